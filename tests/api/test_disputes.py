"""Disputes: answered with evidence, in time and once; written off when they are lost."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import fields, replace
from typing import Any

import pytest
import pytest_asyncio

from app.client import Client
from core.ids import Noun, encode, uuid7
from core.scopes import OPERATOR_SCOPES, PERSONAL_SCOPES
from providers.payments import base
from providers.payments.sandbox import SandboxControl
from schema.disputes import DisputeEvidenceInput
from services import disputes
from services.engine import Engine
from tests.api.shop import Shop, a_while_passes, ask, do, refused, settle, unchanged, usd

pytestmark = pytest.mark.asyncio(loop_scope="module")

DISPUTE = """
query ($id: ID!) {
  dispute(id: $id) {
    id status message nextAction reason amount { amount currency } respondBy evidenceSubmittedAt
    writtenOff { amount } closedAt payment { id status }
  }
}
"""
EVIDENCE = {"productDescription": "An evening of songs.", "customerName": "Sam Supporter"}
_WON, _LOST = base.DisputeState.WON, base.DisputeState.LOST


@pytest_asyncio.fixture(loop_scope="module")
async def control(shop: Shop) -> AsyncIterator[SandboxControl]:
    """The other end of the sandbox, left as it was found."""
    opened = SandboxControl(shop.world.engine.database.writer)
    yield opened
    await opened.reset()


@pytest.fixture
def provider(shop: Shop) -> Any:
    return shop.world.engine.provider


@pytest.fixture
def operator(shop: Shop) -> Client:
    """Somebody of the platform's staff."""
    return shop.world.client("operator", OPERATOR_SCOPES)


async def paid(shop: Shop) -> str:
    """Return a settled payment of 10.00 of the supporter's to the creator."""
    tip = await do(shop.supporter, "tipCreate", creatorId=shop.creator, amount=usd("10.00"))
    payment = str(tip["payment"]["id"])
    await do(shop.supporter, "paymentConfirm", paymentId=payment, method="tok_success")
    await settle(shop.world)
    return payment


async def disputed(shop: Shop, control: SandboxControl, amount: int | None = None) -> str:
    """Return an open dispute over a payment of 10.00."""
    payment = await paid(shop)
    await control.open_dispute(str(shop.world.key(Noun.PAYMENT, payment)), amount)
    await settle(shop.world)
    (found,) = (await shop.owner.run("query ($id: ID!) { payment(id: $id) { disputes { id } } }", id=payment))[
        "payment"
    ]["disputes"]
    return str(found["id"])


async def closed(shop: Shop, control: SandboxControl, dispute: str, how: base.DisputeState) -> None:
    row = await row_of(shop, dispute)
    await control.close_dispute(row["provider_reference"], how)
    await settle(shop.world)


async def row_of(shop: Shop, dispute: str) -> Any:
    return await disputes.read(shop.world.engine, shop.world.key(Noun.DISPUTE, dispute))


async def read(client: Client, dispute: str) -> dict[str, Any]:
    found: dict[str, Any] = (await client.run(DISPUTE, id=dispute))["dispute"]
    return found


async def given(shop: Shop, dispute: str) -> dict[str, str]:
    """Return the evidence the provider has."""
    reference = (await row_of(shop, dispute))["provider_reference"]
    rows = await shop.world.engine.database.reader.fetch(
        "select t.key, t.value from sandbox.dispute d, jsonb_each_text(d.evidence) t where d.id = $1", reference
    )
    return {row["key"]: row["value"] for row in rows}


async def time_passes(shop: Shop, dispute: str) -> None:
    """Let whoever answers a dispute be gone."""
    sql = "update disputes set calling_until = now() - interval '1 second' where id = $1"
    await shop.world.engine.database.writer.execute(sql, shop.world.key(Noun.DISPUTE, dispute))


async def balance(shop: Shop, kind: str) -> int:
    """Return what is on an account of the creator's or, taken together, of the platform's, in cents."""
    sql = "select coalesce(sum(posted), 0)::bigint from ledger.account where kind = $1 and code like '%USD%'"
    return int(await shop.world.scalar(sql, kind))


def counted(monkeypatch: pytest.MonkeyPatch, provider: Any) -> list[base.AnswerDispute]:
    """Return a list that grows by each answer given to the provider."""
    calls: list[base.AnswerDispute] = []
    original = provider.answer_dispute

    async def instead(command: base.AnswerDispute) -> base.DisputeFact:
        calls.append(command)
        fact: base.DisputeFact = await original(command)
        return fact

    monkeypatch.setattr(provider, "answer_dispute", instead)
    return calls


# Answered ---------------------------------------------------------------------------------------------------


async def test_dispute_is_shown_with_what_to_do_and_until_when(shop: Shop, control: SandboxControl) -> None:
    dispute = await disputed(shop, control)

    seen = await read(shop.owner, dispute)

    assert (seen["status"], seen["nextAction"], seen["amount"]) == ("NEEDS_RESPONSE", "ANSWER", usd("10.00"))
    assert (seen["reason"], seen["closedAt"], seen["evidenceSubmittedAt"]) == ("fraudulent", None, None)
    assert seen["payment"]["status"] == "DISPUTED"
    assert seen["message"] == "The payer's bank took the money back. Evidence may change that."
    assert seen["respondBy"] is not None
    node = await shop.owner.run("query ($id: ID!) { node(id: $id) { id __typename } }", id=dispute)
    assert node["node"] == {"id": dispute, "__typename": "Dispute"}


async def test_evidence_is_handed_in_and_the_dispute_is_under_review(
    shop: Shop, control: SandboxControl, provider: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = counted(monkeypatch, provider)
    dispute = await disputed(shop, control)

    payload = await do(shop.owner, "disputeAnswer", disputeId=dispute, evidence=EVIDENCE)

    assert (payload["dispute"]["status"], payload["dispute"]["nextAction"]) == ("UNDER_REVIEW", "WAIT")
    assert payload["dispute"]["evidenceSubmittedAt"] is not None
    assert await given(shop, dispute) == {
        "product_description": "An evening of songs.",
        "customer_name": "Sam Supporter",
    }
    assert [call.submit for call in calls] == [True]
    assert "songs" not in repr(calls[0])


async def test_evidence_is_gathered_until_it_is_submitted(shop: Shop, control: SandboxControl) -> None:
    dispute = await disputed(shop, control)

    first = await do(shop.owner, "disputeAnswer", disputeId=dispute, evidence=EVIDENCE, submit=False)
    await do(shop.owner, "disputeAnswer", disputeId=dispute, evidence={"serviceDate": "Monday"}, submit=False)
    last = await do(shop.owner, "disputeAnswer", disputeId=dispute, evidence={})

    assert (first["dispute"]["status"], first["dispute"]["nextAction"]) == ("NEEDS_RESPONSE", "ANSWER")
    assert first["dispute"]["evidenceSubmittedAt"] is None
    assert last["dispute"]["status"] == "UNDER_REVIEW"
    assert set(await given(shop, dispute)) == {"product_description", "customer_name", "service_date"}


@pytest.mark.parametrize(("words", "ends"), [("winning_evidence", "WON"), ("losing_evidence", "LOST")])
async def test_answered_dispute_ends_as_its_evidence_deserves(
    shop: Shop, control: SandboxControl, words: str, ends: str
) -> None:
    dispute = await disputed(shop, control)

    await do(shop.owner, "disputeAnswer", disputeId=dispute, evidence={"uncategorizedText": words})
    await a_while_passes(shop.world)

    seen = await read(shop.owner, dispute)
    assert (seen["status"], seen["nextAction"]) == (ends, "NONE")
    assert seen["closedAt"] is not None
    assert seen["payment"]["status"] == ("SUCCEEDED" if ends == "WON" else "CHARGED_BACK")


async def test_operator_answers_for_a_creator(shop: Shop, control: SandboxControl, operator: Client) -> None:
    dispute = await disputed(shop, control)

    payload = await do(operator, "disputeAnswer", disputeId=dispute, evidence=EVIDENCE)

    assert payload["dispute"]["status"] == "UNDER_REVIEW"


# Refused ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [_WON, _LOST])
async def test_decided_dispute_takes_no_evidence(
    shop: Shop, control: SandboxControl, how: base.DisputeState
) -> None:
    dispute = await disputed(shop, control)
    await closed(shop, control, dispute, how)

    async with unchanged(shop.world, requests=1):
        payload = await ask(shop.owner, "disputeAnswer", disputeId=dispute, evidence=EVIDENCE)

    refused(payload, "DISPUTE_CLOSED", "disputeId", says="This dispute is decided: no more evidence is taken.")


async def test_evidence_is_submitted_once(shop: Shop, control: SandboxControl) -> None:
    dispute = await disputed(shop, control)
    await do(shop.owner, "disputeAnswer", disputeId=dispute, evidence=EVIDENCE)

    async with unchanged(shop.world, requests=1):
        payload = await ask(shop.owner, "disputeAnswer", disputeId=dispute, evidence={"serviceDate": "Monday"})

    refused(
        payload,
        "DISPUTE_CLOSED",
        "disputeId",
        says="The evidence was handed in already, and no more is taken.",
    )


async def test_late_evidence_is_refused_and_says_until_when_it_was_taken(
    shop: Shop, control: SandboxControl
) -> None:
    dispute = await disputed(shop, control)
    await shop.world.engine.database.writer.execute(
        "update disputes set respond_by = now() - interval '1 second' where id = $1",
        shop.world.key(Noun.DISPUTE, dispute),
    )

    async with unchanged(shop.world, requests=1):
        payload = await ask(shop.owner, "disputeAnswer", disputeId=dispute, evidence=EVIDENCE)

    (error,) = payload["errors"]
    assert (error["code"], error["__typename"]) == ("DISPUTE_RESPONSE_LATE", "DisputeResponseLate")
    seen = await read(shop.owner, dispute)
    assert error["respondBy"] == seen["respondBy"]
    assert seen["nextAction"] == "NONE"


async def test_dispute_that_is_late_or_closed_at_the_provider_alone_is_refused_with_what_it_is(
    shop: Shop, control: SandboxControl
) -> None:
    dispute = await disputed(shop, control)
    await control.close_dispute((await row_of(shop, dispute))["provider_reference"], _LOST)

    payload = await ask(shop.owner, "disputeAnswer", disputeId=dispute, evidence=EVIDENCE)

    assert [error["code"] for error in payload["errors"]] == ["DISPUTE_CLOSED"]
    assert (payload["dispute"]["status"], payload["dispute"]["evidenceSubmittedAt"]) == ("LOST", None)
    assert await given(shop, dispute) == {}


@pytest.mark.parametrize(
    ("evidence", "submit", "path"),
    [
        ({"productDescription": "x" * 20_001}, True, ["evidence", "productDescription"]),
        ({"productDescription": " "}, True, ["evidence", "productDescription"]),
        ({}, False, ["evidence"]),
    ],
)
async def test_evidence_that_is_none_is_refused(
    shop: Shop, control: SandboxControl, evidence: dict[str, str], submit: bool, path: list[str]
) -> None:
    dispute = await disputed(shop, control)

    async with unchanged(shop.world):
        payload = await ask(shop.owner, "disputeAnswer", disputeId=dispute, evidence=evidence, submit=submit)

    assert [(error["code"], error["path"]) for error in payload["errors"]] == [("INPUT_INVALID", ["input", *path])]


async def test_contract_names_every_kind_of_evidence() -> None:
    assert {field.name for field in fields(DisputeEvidenceInput)} == disputes.EVIDENCE


async def test_provider_without_disputes_is_not_answered(
    shop: Shop, control: SandboxControl, provider: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    dispute = await disputed(shop, control)
    able = provider.capabilities
    without = replace(able, features=able.features - {base.Capability.DISPUTES})
    monkeypatch.setattr(provider, "capabilities", without)

    async with unchanged(shop.world, requests=1):
        payload = await ask(shop.owner, "disputeAnswer", disputeId=dispute, evidence=EVIDENCE)

    assert [error["code"] for error in payload["errors"]] == ["PROVIDER_UNSUPPORTED"]


async def test_card_number_in_evidence_is_refused(shop: Shop, control: SandboxControl) -> None:
    dispute = await disputed(shop, control)

    async with unchanged(shop.world):
        answer = await shop.owner.full(
            "mutation ($input: DisputeAnswerInput!) { disputeAnswer(input: $input) { errors { code } } }",
            input={
                "idempotencyKey": "card",
                "disputeId": dispute,
                "evidence": {"uncategorizedText": "It was 4242 4242 4242 4242."},
            },
        )

    assert answer["errors"][0]["extensions"]["code"] == "CARD_NUMBER_REFUSED"


# Asked twice, and lost on the way ---------------------------------------------------------------------------


async def test_same_key_hands_in_once(
    shop: Shop, control: SandboxControl, provider: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = counted(monkeypatch, provider)
    dispute, key = await disputed(shop, control), str(uuid7())
    sent = {"disputeId": dispute, "idempotencyKey": key}

    first = await do(shop.owner, "disputeAnswer", **sent, evidence=EVIDENCE)
    second = await do(shop.owner, "disputeAnswer", **sent, evidence=EVIDENCE)
    other = await ask(shop.owner, "disputeAnswer", **sent, evidence={"serviceDate": "Monday"})

    assert first == second
    assert len(calls) == 1
    assert [error["code"] for error in other["errors"]] == ["IDEMPOTENCY_KEY_REUSED"]


async def test_while_evidence_is_on_its_way_no_other_is_taken(
    shop: Shop, control: SandboxControl, provider: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    dispute, key = await disputed(shop, control), str(uuid7())
    asked, answer = asyncio.Event(), asyncio.Event()
    original = provider.answer_dispute

    async def slow(command: base.AnswerDispute) -> Any:
        asked.set()
        await answer.wait()
        return await original(command)

    monkeypatch.setattr(provider, "answer_dispute", slow)
    sent = {"disputeId": dispute, "evidence": EVIDENCE}
    first = asyncio.create_task(do(shop.owner, "disputeAnswer", **sent, idempotencyKey=key))
    async with asyncio.timeout(20):
        await asked.wait()

    same = await do(shop.owner, "disputeAnswer", **sent, idempotencyKey=key)
    other = await ask(shop.owner, "disputeAnswer", **sent)
    answer.set()

    assert (same["dispute"]["status"], same["dispute"]["nextAction"]) == ("NEEDS_RESPONSE", "WAIT")
    assert same["dispute"]["evidenceSubmittedAt"] is None
    assert [error["code"] for error in other["errors"]] == ["PAYMENT_IN_PROGRESS"]
    assert (await first)["dispute"]["status"] == "UNDER_REVIEW"


async def _never_asked(_: Engine, __: Any) -> None:
    """Stand for a caller who was killed before asking the provider."""


@pytest.mark.parametrize("by", ["a repeat", "the sweeper"])
@pytest.mark.parametrize("effect", [None, "ANSWER_LOST", "REQUEST_LOST", "UNAVAILABLE"])
async def test_answer_nobody_finished_is_finished_once(
    shop: Shop, control: SandboxControl, monkeypatch: pytest.MonkeyPatch, by: str, effect: str | None
) -> None:
    dispute, key = await disputed(shop, control), str(uuid7())
    sent = {"disputeId": dispute, "evidence": EVIDENCE, "idempotencyKey": key}
    with monkeypatch.context() as patched:
        if effect is None:
            patched.setattr(disputes, "_call", _never_asked)
        else:
            await control.arm("ANSWER_DISPUTE", effect)
        left = await ask(shop.owner, "disputeAnswer", **sent)
    assert (left["dispute"]["status"], left["dispute"]["nextAction"]) == ("NEEDS_RESPONSE", "WAIT")

    await time_passes(shop, dispute)
    if by == "a repeat":
        await do(shop.owner, "disputeAnswer", **sent)
    else:
        await disputes.sweep(shop.world.engine)

    row = await row_of(shop, dispute)
    assert (row["status"], row["calling_until"]) == ("UNDER_REVIEW", None)
    assert set(await given(shop, dispute)) == {"product_description", "customer_name"}
    count = "select count(*) from sandbox.event where type = 'dispute.updated' and body::text like $1"
    assert await shop.world.scalar(count, f"%{row['provider_reference']}%") == 1


async def test_submitted_answer_of_unknown_outcome_stays_submitted_when_more_is_only_kept(
    shop: Shop, control: SandboxControl, provider: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    dispute = await disputed(shop, control)
    await control.arm("ANSWER_DISPUTE", "REQUEST_LOST")
    lost = await do(shop.owner, "disputeAnswer", disputeId=dispute, evidence=EVIDENCE)
    assert (lost["dispute"]["status"], lost["dispute"]["nextAction"]) == ("NEEDS_RESPONSE", "WAIT")
    assert await given(shop, dispute) == {}
    submitted_at = (await row_of(shop, dispute))["evidence_submitted_at"]
    assert submitted_at is not None
    calls = counted(monkeypatch, provider)

    more = {"serviceDate": "Monday"}
    kept = await do(shop.owner, "disputeAnswer", disputeId=dispute, evidence=more, submit=False)

    assert (kept["dispute"]["status"], kept["dispute"]["nextAction"]) == ("UNDER_REVIEW", "WAIT")
    assert [call.submit for call in calls] == [True]
    assert await given(shop, dispute) == {
        "product_description": "An evening of songs.",
        "customer_name": "Sam Supporter",
        "service_date": "Monday",
    }
    row = await row_of(shop, dispute)
    assert (row["evidence_submitted_at"], row["calling_until"]) == (submitted_at, None)
    await disputes.sweep(shop.world.engine)
    assert len(calls) == 1


async def test_submitted_answer_that_arrived_stays_submitted_when_more_is_refused_for_it(
    shop: Shop, control: SandboxControl
) -> None:
    dispute = await disputed(shop, control)
    await control.arm("ANSWER_DISPUTE", "ANSWER_LOST")
    await do(shop.owner, "disputeAnswer", disputeId=dispute, evidence=EVIDENCE)
    submitted_at = (await row_of(shop, dispute))["evidence_submitted_at"]
    assert submitted_at is not None

    more = {"serviceDate": "Monday"}
    late = await ask(shop.owner, "disputeAnswer", disputeId=dispute, evidence=more, submit=False)

    assert [error["code"] for error in late["errors"]] == ["DISPUTE_CLOSED"]
    assert late["dispute"]["status"] == "UNDER_REVIEW"
    assert late["dispute"]["evidenceSubmittedAt"] is not None
    assert set(await given(shop, dispute)) == {"product_description", "customer_name"}
    row = await row_of(shop, dispute)
    assert (row["evidence_submitted_at"], row["calling_until"]) == (submitted_at, None)


# Written off ------------------------------------------------------------------------------------------------


async def debts(shop: Shop, control: SandboxControl) -> list[str]:
    """Return two disputes over all of the payments to a creator who had spent what they earned."""
    creator = await shop.world.creator(f"debtor_{uuid7().hex[-8:]}")
    found = []
    for _ in range(2):
        tip = await do(shop.supporter, "tipCreate", creatorId=creator, amount=usd("10.00"))
        payment = shop.world.key(Noun.PAYMENT, str(tip["payment"]["id"]))
        await do(shop.supporter, "paymentConfirm", paymentId=tip["payment"]["id"], method="tok_success")
        await settle(shop.world)
        # As if it was paid out long ago.
        await shop.world.engine.database.writer.execute(
            "update payments set matured_at = now() where id = $1", payment
        )
        await control.open_dispute(str(payment))
        await settle(shop.world)
        dispute = await shop.world.scalar("select id from disputes where payment_id = $1", payment)
        found.append(encode(Noun.DISPUTE, dispute))
    return found


@pytest_asyncio.fixture(loop_scope="module")
async def owing(shop: Shop, control: SandboxControl) -> str:
    """A lost dispute for which a creator owes, as they do for another one."""
    lost, _ = await debts(shop, control)
    await closed(shop, control, lost, _LOST)
    return lost


async def test_debt_of_a_lost_dispute_is_borne_by_the_platform(shop: Shop, owing: str, operator: Client) -> None:
    owed, borne = await balance(shop, "owed"), await balance(shop, "chargebacks")

    payload = await do(operator, "disputeWriteOff", disputeId=owing)

    assert payload["dispute"]["writtenOff"] == {"amount": "9.50"}
    assert await balance(shop, "owed") == owed + 950
    assert await balance(shop, "chargebacks") == borne - 950


async def test_debt_is_written_off_once(shop: Shop, owing: str, operator: Client) -> None:
    key = str(uuid7())
    first = await do(operator, "disputeWriteOff", disputeId=owing, idempotencyKey=key)

    async with unchanged(shop.world, requests=1):
        again = await do(operator, "disputeWriteOff", disputeId=owing, idempotencyKey=key)
        other = await ask(operator, "disputeWriteOff", disputeId=owing)

    assert again == first
    assert [error["code"] for error in other["errors"]] == ["NOTHING_TO_WRITE_OFF"]


async def test_dispute_won_on_appeal_takes_its_write_off_back(
    shop: Shop, control: SandboxControl, owing: str, operator: Client
) -> None:
    borne = await balance(shop, "chargebacks")
    await do(operator, "disputeWriteOff", disputeId=owing)

    await closed(shop, control, owing, _WON)

    assert await balance(shop, "chargebacks") == borne
    assert (await read(operator, owing))["writtenOff"] == {"amount": "0.00"}


async def test_open_dispute_is_not_written_off_though_its_creator_owes(
    shop: Shop, control: SandboxControl, operator: Client
) -> None:
    dispute, _ = await debts(shop, control)
    owed = await balance(shop, "owed")

    payload = await ask(operator, "disputeWriteOff", disputeId=dispute)

    assert [error["code"] for error in payload["errors"]] == ["NOTHING_TO_WRITE_OFF"]
    assert await balance(shop, "owed") == owed < 0


@pytest.mark.parametrize("state", ["open", "won", "lost and paid"])
async def test_dispute_for_which_nothing_is_owed_is_not_written_off(
    shop: Shop, control: SandboxControl, operator: Client, state: str
) -> None:
    dispute = await disputed(shop, control)
    if state != "open":
        await closed(shop, control, dispute, _WON if state == "won" else _LOST)

    async with unchanged(shop.world, requests=1):
        payload = await ask(operator, "disputeWriteOff", disputeId=dispute)

    refused(
        payload,
        "NOTHING_TO_WRITE_OFF",
        "disputeId",
        says="The creator owes nothing for this dispute, or it was written off before.",
    )


async def test_creator_cannot_write_off_their_own_debt(shop: Shop, control: SandboxControl) -> None:
    dispute = await disputed(shop, control)

    async with unchanged(shop.world):
        payload = await ask(shop.world.client("fable", PERSONAL_SCOPES), "disputeWriteOff", disputeId=dispute)

    assert [error["code"] for error in payload["errors"]] == ["FORBIDDEN"]


# Who sees them ----------------------------------------------------------------------------------------------


async def test_payer_sees_that_their_payment_is_disputed_and_no_more(shop: Shop, control: SandboxControl) -> None:
    dispute = await disputed(shop, control)
    payment = (await read(shop.owner, dispute))["payment"]["id"]

    seen = await shop.supporter.run("query ($id: ID!) { payment(id: $id) { status disputes { id } } }", id=payment)

    assert seen["payment"] == {"status": "DISPUTED", "disputes": []}
    assert (await shop.supporter.run(DISPUTE, id=dispute))["dispute"] is None


async def test_creator_and_finance_page_through_disputes(
    shop: Shop, control: SandboxControl, operator: Client
) -> None:
    dispute = await disputed(shop, control)
    query = '{ creator(handle: "fable") { disputes(first: 1) { nodes { id } } } }'

    for client in (shop.owner, operator):
        assert (await client.run(query))["creator"]["disputes"] == {"nodes": [{"id": dispute}]}
    assert (await shop.supporter.run(query))["creator"]["disputes"] is None
