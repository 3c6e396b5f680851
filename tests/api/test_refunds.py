"""Refunds: whole and in parts, refused, repeated, lost on the way, failed afterwards."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from app.client import Client
from core.ids import Noun, uuid7
from providers.payments import base
from providers.payments.sandbox import SandboxControl
from services import refunds
from services.engine import Engine
from tests.api.shop import Shop, a_while_passes, ask, do, nothing_of, refused, settle, unchanged, usd

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAYMENT = """
query ($id: ID!) {
  payment(id: $id) {
    status
    amounts { captured { amount } refunded { amount } refundedPending { amount } }
    refunds { id status amount { amount } payment { id } }
  }
}
"""
REFUND = "query ($id: ID!) { refund(id: $id) { id status statusReason statusMessage nextAction reason } }"


@pytest_asyncio.fixture(loop_scope="module")
async def control(shop: Shop) -> AsyncIterator[SandboxControl]:
    """The other end of the sandbox, left as it was found."""
    opened = SandboxControl(shop.world.engine.database.writer)
    yield opened
    await opened.reset()


@pytest.fixture
def provider(shop: Shop) -> Any:
    return shop.world.engine.provider


async def paid(shop: Shop, amount: str = "10.00", method: str = "tok_success") -> str:
    """Return a settled payment of the supporter's to the creator."""
    tip = await do(shop.supporter, "tipCreate", creatorId=shop.creator, amount=usd(amount))
    payment = str(tip["payment"]["id"])
    await do(shop.supporter, "paymentConfirm", paymentId=payment, method=method)
    await settle(shop.world)
    assert await shop.world.status(payment) == "SUCCEEDED"
    return payment


async def refund(client: Client, payment: str, **given: Any) -> dict[str, Any]:
    """Ask for a refund that is bound to be taken; return it."""
    found: dict[str, Any] = (await do(client, "refundCreate", paymentId=payment, **given))["refund"]
    return found


async def read(client: Client, payment: str) -> dict[str, Any]:
    found: dict[str, Any] = (await client.run(PAYMENT, id=payment))["payment"]
    return found


async def row_of(shop: Shop, refund_id: str) -> Any:
    return await refunds.read(shop.world.engine, shop.world.key(Noun.REFUND, refund_id))


async def status_of(shop: Shop, refund_id: str) -> str:
    return str((await row_of(shop, refund_id))["status"])


async def left_of(shop: Shop, payment: str) -> int:
    """Return what could still be given back, in cents."""
    key = shop.world.key(Noun.PAYMENT, payment)
    sql = "select captured - refunded - refund_pending from payments where id = $1"
    return int(await shop.world.scalar(sql, key))


async def time_passes(shop: Shop, refund_id: str, **ago: float) -> None:
    """Let a refund be due to be looked up; with an age, let it be that old."""
    sql = "update refunds set calling_until = now() - interval '1 second', created_at = created_at - $2::interval where id = $1"
    key = shop.world.key(Noun.REFUND, refund_id)
    await shop.world.engine.database.writer.execute(sql, key, timedelta(**ago))


async def posted(shop: Shop) -> dict[str, int]:
    """Return what the creator and the platform have in the books, in cents of USD."""
    rows = await shop.world.engine.database.reader.fetch(
        "select kind, sum(posted)::bigint as posted from ledger.account where code like '%USD%' "
        "and kind in ('pending', 'available', 'owed', 'fees') group by kind"
    )
    return dict.fromkeys(("pending", "available", "owed", "fees"), 0) | {
        row["kind"]: row["posted"] for row in rows
    }


@asynccontextmanager
async def books_unchanged(shop: Shop) -> AsyncIterator[None]:
    before = await posted(shop)
    yield  # ruff: ignore[fallible-context-manager] - a failure meanwhile says enough
    assert await posted(shop) == before


def failing(code: str = "STATE_CONFLICT", action: str = "NEVER", *, ambiguous: bool = False) -> base.ProviderError:
    return base.ProviderError(
        base.ProviderErrorCode(code), base.ProviderAction(action), ambiguous=ambiguous, provider_code="test"
    )


def counted(monkeypatch: pytest.MonkeyPatch, provider: Any) -> list[base.Refund]:
    """Return a list that grows by each refund asked of the provider."""
    calls: list[base.Refund] = []
    original = provider.refund

    async def instead(command: base.Refund) -> base.RefundFact:
        calls.append(command)
        fact: base.RefundFact = await original(command)
        return fact

    monkeypatch.setattr(provider, "refund", instead)
    return calls


# What goes back ---------------------------------------------------------------------------------------------


async def test_refund_without_an_amount_gives_back_all_of_it(shop: Shop) -> None:
    before = await posted(shop)
    payment = await paid(shop)

    made = await refund(shop.owner, payment)
    await settle(shop.world)

    assert (made["status"], made["amount"], made["nextAction"]) == ("SUCCEEDED", usd("10.00"), "NONE")
    assert made["reason"] == "REQUESTED_BY_CUSTOMER"
    seen = await read(shop.supporter, payment)
    assert seen["status"] == "REFUNDED"
    assert seen["amounts"] == {
        "captured": {"amount": "10.00"},
        "refunded": {"amount": "10.00"},
        "refundedPending": {"amount": "0.00"},
    }
    assert seen["refunds"] == [
        {"id": made["id"], "status": "SUCCEEDED", "amount": {"amount": "10.00"}, "payment": {"id": payment}}
    ]
    assert await posted(shop) == before


async def test_refund_in_parts_leaves_the_payment_partially_refunded_until_nothing_is_left(shop: Shop) -> None:
    payment = await paid(shop)

    await refund(shop.owner, payment, amount=usd("3.00"), reason="DUPLICATE")
    assert (await read(shop.owner, payment))["status"] == "PARTIALLY_REFUNDED"
    assert await left_of(shop, payment) == 700
    rest = await refund(shop.owner, payment)

    assert rest["amount"] == usd("7.00")
    assert (await read(shop.owner, payment))["status"] == "REFUNDED"
    reasons = [
        (await row_of(shop, found["id"]))["reason"] for found in (await read(shop.owner, payment))["refunds"]
    ]
    assert reasons == ["DUPLICATE", "REQUESTED_BY_CUSTOMER"]


async def test_part_of_a_refund_takes_fee_and_net_in_proportion(shop: Shop) -> None:
    payment = await paid(shop)
    before = await posted(shop)

    await refund(shop.owner, payment, amount=usd("5.00"))

    after = await posted(shop)
    assert after["pending"] - before["pending"] == -475
    assert after["fees"] - before["fees"] == -25


async def test_payment_tells_its_watchers_of_a_refund(shop: Shop) -> None:
    payment = await paid(shop)

    await refund(shop.owner, payment)

    events = await shop.supporter.run("query ($id: ID!) { payment(id: $id) { events { status } } }", id=payment)
    assert [event["status"] for event in events["payment"]["events"]][-2:] == ["SUCCEEDED", "REFUNDED"]


async def test_refund_told_of_by_webhooks_twice_is_one_refund(shop: Shop) -> None:
    payment = await paid(shop)
    await refund(shop.owner, payment, amount=usd("4.00"))

    for _ in range(2):
        await settle(shop.world)
        await shop.world.engine.database.writer.execute(
            "update sandbox.event set delivered_at = null where type like 'refund.%'"
        )
    await settle(shop.world)

    assert await left_of(shop, payment) == 600
    assert len((await read(shop.owner, payment))["refunds"]) == 1


async def test_refund_is_read_by_both_sides_and_by_its_id(shop: Shop) -> None:
    made = await refund(shop.owner, await paid(shop))

    for client in (shop.owner, shop.supporter):
        seen = (await client.run(REFUND, id=made["id"]))["refund"]
        assert (seen["id"], seen["status"], seen["statusReason"]) == (made["id"], "SUCCEEDED", None)
        assert seen["statusMessage"] == "The money was given back to the payer."
        node = await client.run("query ($id: ID!) { node(id: $id) { id __typename } }", id=made["id"])
        assert node["node"] == {"id": made["id"], "__typename": "Refund"}


async def test_creator_pages_through_their_refunds_newest_first(shop: Shop) -> None:
    ids = [(await refund(shop.owner, await paid(shop)))["id"] for _ in range(3)]
    query = """
    query ($after: String) {
      creator(handle: "fable") { refunds(first: 2, after: $after) { nodes { id } pageInfo { endCursor } } }
    }
    """

    first = (await shop.owner.run(query))["creator"]["refunds"]
    second = (await shop.owner.run(query, after=first["pageInfo"]["endCursor"]))["creator"]["refunds"]

    assert [node["id"] for node in first["nodes"]] == [ids[2], ids[1]]
    assert second["nodes"][0]["id"] == ids[0]


# What is refused --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("given_back", "asked", "left"), [(None, "10.01", "10.00"), ("6.00", "4.01", "4.00")])
async def test_refund_of_more_than_is_left_is_refused_and_says_what_is(
    shop: Shop, given_back: str | None, asked: str, left: str
) -> None:
    payment = await paid(shop)
    if given_back:
        await refund(shop.owner, payment, amount=usd(given_back))

    async with unchanged(shop.world, requests=1), books_unchanged(shop):
        payload = await ask(shop.owner, "refundCreate", paymentId=payment, amount=usd(asked))

    (error,) = payload["errors"]
    assert (error["code"], error["__typename"]) == ("REFUND_TOO_LARGE", "RefundTooLarge")
    assert error["refundable"] == usd(left)
    assert payload["refund"] is None


@pytest.mark.parametrize("amount", [None, usd("0.01")])
async def test_refund_where_nothing_is_left_is_refused(shop: Shop, amount: Any) -> None:
    payment = await paid(shop)
    await refund(shop.owner, payment)

    async with unchanged(shop.world, requests=1), books_unchanged(shop):
        payload = await ask(shop.owner, "refundCreate", paymentId=payment, amount=amount)

    assert payload["errors"][0]["refundable"] == usd("0.00")


async def test_what_is_on_its_way_back_cannot_go_back_twice(shop: Shop) -> None:
    payment = await paid(shop, method="tok_refund_pending")
    pending = await refund(shop.owner, payment, amount=usd("6.00"))
    assert (pending["status"], pending["nextAction"]) == ("PENDING", "WAIT")
    assert (await read(shop.owner, payment))["amounts"]["refundedPending"] == {"amount": "6.00"}

    payload = await ask(shop.owner, "refundCreate", paymentId=payment, amount=usd("4.01"))

    assert payload["errors"][0]["refundable"] == usd("4.00")


async def test_payment_that_was_not_captured_is_not_refundable(shop: Shop) -> None:
    async with unchanged(shop.world, requests=1):
        payload = await ask(shop.owner, "refundCreate", paymentId=shop.payment)

    refused(
        payload,
        "PAYMENT_NOT_REFUNDABLE",
        "paymentId",
        says="This payment is PENDING: nothing was captured that could go back.",
    )


@pytest.mark.parametrize("lost", [False, True])
async def test_disputed_payment_is_not_refundable(shop: Shop, control: SandboxControl, lost: bool) -> None:
    payment = await paid(shop)
    fact = await control.open_dispute(str(shop.world.key(Noun.PAYMENT, payment)))
    if lost:
        await control.close_dispute(fact.provider_reference, base.DisputeState.LOST)
    await settle(shop.world)
    assert await shop.world.status(payment) == ("CHARGED_BACK" if lost else "DISPUTED")

    async with unchanged(shop.world, requests=1), books_unchanged(shop):
        payload = await ask(shop.owner, "refundCreate", paymentId=payment)

    refused(
        payload,
        "PAYMENT_NOT_REFUNDABLE",
        "paymentId",
        says="The payer's bank has taken this payment back for good."
        if lost
        else "The payer's bank has taken this payment back. Answer the dispute instead.",
    )


@pytest.mark.parametrize(
    ("amount", "code", "path", "stored"),
    [
        (usd("0"), "AMOUNT_INVALID", ["amount", "amount"], 0),
        (usd("-1.00"), "AMOUNT_INVALID", ["amount", "amount"], 0),
        (usd("1.001"), "AMOUNT_TOO_PRECISE", ["amount", "amount"], 0),
        ({"amount": "1.00", "currency": "EUR"}, "INPUT_INVALID", ["amount", "currency"], 1),
        ({"amount": "1.00", "currency": "XXX"}, "CURRENCY_NOT_SUPPORTED", ["amount", "currency"], 0),
    ],
)
async def test_amount_that_is_none_of_this_payment_is_refused(
    shop: Shop, amount: dict[str, str], code: str, path: list[str], stored: int
) -> None:
    payment = await paid(shop)

    async with unchanged(shop.world, requests=stored), books_unchanged(shop):
        payload = await ask(shop.owner, "refundCreate", paymentId=payment, amount=amount)

    assert [(error["code"], error["path"]) for error in payload["errors"]] == [(code, ["input", *path])]


async def test_payer_cannot_refund_their_own_payment(shop: Shop) -> None:
    payment = await paid(shop)

    async with unchanged(shop.world), books_unchanged(shop):
        payload = await ask(shop.supporter, "refundCreate", paymentId=payment)

    assert payload == await ask(shop.supporter, "refundCreate", paymentId=nothing_of(Noun.PAYMENT))
    refused(payload, "NOT_FOUND", "paymentId", says="There is no such payment. Check the id that was sent.")


@pytest.mark.parametrize(
    ("missing", "amount", "refused_with"),
    [
        ({base.Capability.REFUND, base.Capability.PARTIAL_REFUND}, None, "PROVIDER_UNSUPPORTED"),
        ({base.Capability.PARTIAL_REFUND}, "4.00", "PROVIDER_UNSUPPORTED"),
        ({base.Capability.PARTIAL_REFUND}, None, None),
    ],
)
async def test_refund_that_the_provider_cannot_do_is_refused(
    shop: Shop,
    provider: Any,
    monkeypatch: pytest.MonkeyPatch,
    missing: set[base.Capability],
    amount: str | None,
    refused_with: str | None,
) -> None:
    payment = await paid(shop)
    able = provider.capabilities
    monkeypatch.setattr(provider, "capabilities", replace(able, features=able.features - missing))
    given = {} if amount is None else {"amount": usd(amount)}

    payload = await ask(shop.owner, "refundCreate", paymentId=payment, **given)

    assert [error["code"] for error in payload["errors"]] == ([refused_with] if refused_with else [])
    assert await left_of(shop, payment) == (1000 if refused_with else 0)


# Asked twice ------------------------------------------------------------------------------------------------


async def test_same_key_gives_back_once_and_answers_with_the_refund_as_it_is(
    shop: Shop, provider: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = counted(monkeypatch, provider)
    payment, key = await paid(shop), str(uuid7())

    first = await refund(shop.owner, payment, amount=usd("4.00"), idempotencyKey=key)
    second = await refund(shop.owner, payment, amount=usd("4.00"), idempotencyKey=key)

    assert second == first
    assert len(calls) == 1
    assert await left_of(shop, payment) == 600


@pytest.mark.parametrize("other", [{"amount": usd("4.01")}, {"reason": "FRAUDULENT"}, {}])
async def test_same_key_with_other_input_is_refused(shop: Shop, other: dict[str, Any]) -> None:
    payment, key = await paid(shop), str(uuid7())
    await refund(shop.owner, payment, amount=usd("4.00"), idempotencyKey=key)

    async with unchanged(shop.world), books_unchanged(shop):
        given = {"paymentId": payment, "idempotencyKey": key} | (
            {"amount": usd("4.00")} if "reason" in other else {}
        )
        payload = await ask(shop.owner, "refundCreate", **given, **other)

    assert [error["code"] for error in payload["errors"]] == ["IDEMPOTENCY_KEY_REUSED"]


async def test_refusal_is_kept_under_its_key(shop: Shop) -> None:
    payment, key = await paid(shop), str(uuid7())
    first = await ask(shop.owner, "refundCreate", paymentId=payment, amount=usd("10.01"), idempotencyKey=key)

    async with unchanged(shop.world):
        second = await ask(shop.owner, "refundCreate", paymentId=payment, amount=usd("10.01"), idempotencyKey=key)

    assert second == first


async def test_repeat_while_the_provider_is_asked_answers_the_refund_as_it_stands(
    shop: Shop, provider: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = counted(monkeypatch, provider)
    asked, answer = asyncio.Event(), asyncio.Event()
    original = provider.refund

    async def slow(command: base.Refund) -> Any:
        asked.set()
        await answer.wait()
        return await original(command)

    monkeypatch.setattr(provider, "refund", slow)
    payment, key = await paid(shop), str(uuid7())
    first = asyncio.create_task(refund(shop.owner, payment, idempotencyKey=key))
    async with asyncio.timeout(20):
        await asked.wait()

    second = await refund(shop.owner, payment, idempotencyKey=key)
    assert not await refunds.sweep(shop.world.engine)
    answer.set()

    assert (second["status"], second["nextAction"]) == ("CREATED", "WAIT")
    assert (await first)["id"] == second["id"]
    assert len(calls) == 1
    assert await status_of(shop, second["id"]) == "SUCCEEDED"


async def _never_asked(_: Engine, __: Any) -> None:
    """Stand for a caller who was killed before asking the provider."""


@pytest.mark.parametrize("by", ["a repeat", "the sweeper"])
@pytest.mark.parametrize("had_asked", [False, True])
async def test_refund_whose_caller_is_gone_is_taken_over(
    shop: Shop,
    provider: Any,
    monkeypatch: pytest.MonkeyPatch,
    by: str,
    had_asked: bool,
) -> None:
    payment, key = await paid(shop), str(uuid7())
    with monkeypatch.context() as patched:
        patched.setattr(
            refunds, "_settle" if had_asked else "_call", _settled_by_nobody if had_asked else _never_asked
        )
        left = await refund(shop.owner, payment, idempotencyKey=key)
    assert left["status"] == "CREATED"
    calls = counted(monkeypatch, provider)

    await time_passes(shop, left["id"])
    if by == "a repeat":
        await refund(shop.owner, payment, idempotencyKey=key)
    else:
        await refunds.sweep(shop.world.engine)

    assert await status_of(shop, left["id"]) == "SUCCEEDED"
    assert len(calls) == (0 if had_asked else 1)
    count = "select count(*) from sandbox.refund where reference = $1"
    assert await shop.world.scalar(count, shop.world.key(Noun.REFUND, left["id"])) == 1


async def _settled_by_nobody(_: Engine, __: Any, ___: Any) -> None:
    """Stand for a caller who was killed before writing down what the provider answered."""


# Lost on the way --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("effect", ["ANSWER_LOST", "REQUEST_LOST"])
async def test_refund_whose_answer_is_lost_is_looked_up_and_made_once(
    shop: Shop, provider: Any, control: SandboxControl, monkeypatch: pytest.MonkeyPatch, effect: str
) -> None:
    calls = counted(monkeypatch, provider)
    payment = await paid(shop)
    await control.arm("REFUND", effect)

    made = await refund(shop.owner, payment, amount=usd("4.00"))
    assert (made["status"], made["nextAction"]) == ("RECONCILING", "WAIT")
    assert await left_of(shop, payment) == 600
    await refunds.sweep(shop.world.engine)

    assert await status_of(shop, made["id"]) == "SUCCEEDED"
    assert await shop.world.status(payment) == "PARTIALLY_REFUNDED"
    assert len(calls) == (1 if effect == "ANSWER_LOST" else 2)
    assert {call.idempotency_key for call in calls} == {f"refund:{shop.world.key(Noun.REFUND, made['id'])}"}
    count = "select count(*) from sandbox.refund where reference = $1"
    assert await shop.world.scalar(count, shop.world.key(Noun.REFUND, made["id"])) == 1


async def test_refund_the_provider_did_not_take_yet_is_asked_for_again(
    shop: Shop, control: SandboxControl
) -> None:
    payment = await paid(shop)
    await control.arm("REFUND", "UNAVAILABLE", times=2)
    made = await refund(shop.owner, payment)
    assert made["status"] in {"CREATED", "RECONCILING"}

    for _ in range(2):
        await time_passes(shop, made["id"])
        await refunds.sweep(shop.world.engine)

    assert await status_of(shop, made["id"]) == "SUCCEEDED"


async def test_refund_nobody_finished_is_not_swept_before_its_time(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(refunds, "_call", _never_asked)
        left = await refund(shop.owner, await paid(shop))

    await refunds.sweep(shop.world.engine)

    assert await status_of(shop, left["id"]) == "CREATED"


@pytest.mark.parametrize(("hours", "status", "left"), [(23.5, "RECONCILING", 600), (24.5, "CANCELED", 1000)])
async def test_refund_the_provider_never_got_is_given_up_after_a_day(
    shop: Shop, control: SandboxControl, hours: float, status: str, left: int
) -> None:
    payment = await paid(shop)
    await control.arm("REFUND", "REQUEST_LOST")
    made = await refund(shop.owner, payment, amount=usd("4.00"))
    before = await shop.world.count("sandbox.refund")

    async with books_unchanged(shop):
        await time_passes(shop, made["id"], hours=hours)
        await refunds.sweep(shop.world.engine)

    assert await status_of(shop, made["id"]) == status
    assert await left_of(shop, payment) == left
    assert await shop.world.count("sandbox.refund") == before
    assert await shop.world.status(payment) == "SUCCEEDED"


async def test_provider_that_cannot_be_asked_is_asked_again_later(
    shop: Shop, provider: Any, control: SandboxControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    await control.arm("REFUND", "REQUEST_LOST")
    made = await refund(shop.owner, await paid(shop))

    async def away(*_: Any) -> Any:
        raise failing("UNAVAILABLE", "LATER")

    with monkeypatch.context() as patched:
        patched.setattr(provider, "find", away)
        await refunds.sweep(shop.world.engine)
    assert await status_of(shop, made["id"]) == "RECONCILING"
    await time_passes(shop, made["id"])
    await refunds.sweep(shop.world.engine)

    assert await status_of(shop, made["id"]) == "SUCCEEDED"


async def test_pending_refund_is_asked_for_when_the_provider_says_nothing(
    shop: Shop, provider: Any, control: SandboxControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await refund(shop.owner, await paid(shop, method="tok_refund_pending"))
    asked: list[Any] = []
    original = provider.fetch

    async def fetch(*given: Any) -> Any:
        asked.append(given)
        return await original(*given)

    monkeypatch.setattr(provider, "fetch", fetch)
    await refunds.sweep(shop.world.engine)
    assert asked == []
    await time_passes(shop, made["id"])
    await refunds.sweep(shop.world.engine)
    assert await status_of(shop, made["id"]) == "PENDING"
    due = (await row_of(shop, made["id"]))["calling_until"] - (await row_of(shop, made["id"]))["updated_at"]
    assert due > timedelta(minutes=50)

    # It succeeds at the provider, and no webhook tells of it.
    await shop.world.engine.database.writer.execute("update sandbox.agenda set due_at = sandbox.now()")
    await control.run_due()
    await time_passes(shop, made["id"])
    await refunds.sweep(shop.world.engine)

    assert len(asked) == 2
    assert await status_of(shop, made["id"]) == "SUCCEEDED"


# Failed -----------------------------------------------------------------------------------------------------


async def test_refund_the_provider_refuses_fails_and_what_it_took_is_there_again(
    shop: Shop, provider: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = await paid(shop)

    async def no(_: base.Refund) -> Any:
        raise failing()

    async with books_unchanged(shop):
        with monkeypatch.context() as patched:
            patched.setattr(provider, "refund", no)
            made = await refund(shop.owner, payment, amount=usd("4.00"))

    assert (made["status"], made["statusReason"], made["nextAction"]) == ("FAILED", "STATE_CONFLICT", "NONE")
    assert await left_of(shop, payment) == 1000
    assert await shop.world.status(payment) == "SUCCEEDED"
    assert (await refund(shop.owner, payment))["amount"] == usd("10.00")


async def test_refund_of_a_payment_disputed_meanwhile_fails(shop: Shop, control: SandboxControl) -> None:
    payment = await paid(shop)
    await control.open_dispute(str(shop.world.key(Noun.PAYMENT, payment)))

    made = await refund(shop.owner, payment)
    await settle(shop.world)

    assert (made["status"], made["statusReason"]) == ("FAILED", "STATE_CONFLICT")
    assert await shop.world.status(payment) == "DISPUTED"


async def test_refund_that_fails_later_leaves_the_payment_as_it_was(shop: Shop) -> None:
    payment = await paid(shop, method="tok_refund_fails_later")
    before = await posted(shop)
    made = await refund(shop.owner, payment)
    assert made["status"] == "SUCCEEDED"
    assert await shop.world.status(payment) == "REFUNDED"

    await a_while_passes(shop.world)

    seen = (await shop.owner.run(REFUND, id=made["id"]))["refund"]
    assert (seen["status"], seen["nextAction"]) == ("FAILED", "NONE")
    assert seen["statusReason"] is not None
    assert await shop.world.status(payment) == "SUCCEEDED"
    assert await left_of(shop, payment) == 1000
    assert await posted(shop) == before


async def test_refund_its_provider_knows_no_more_is_asked_for_more_rarely(
    shop: Shop, provider: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await refund(shop.owner, await paid(shop, method="tok_refund_pending"))

    async def unknown(*_: Any) -> Any:
        raise failing("NOT_FOUND")

    monkeypatch.setattr(provider, "fetch", unknown)
    await time_passes(shop, made["id"])
    await refunds.sweep(shop.world.engine)

    row = await row_of(shop, made["id"])
    assert row["status"] == "PENDING"
    assert row["calling_until"] - row["updated_at"] > timedelta(minutes=50)
