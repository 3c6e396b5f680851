"""Payouts: asked for, transferred, paid, failed; held back by disputes; refused without a trace."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from core.clock import now
from core.ids import Noun
from core.scopes import PERSONAL_SCOPES, Scope
from providers.payments.base import (
    Capability,
    DisputeState,
    ProviderAction,
    ProviderError,
    ProviderErrorCode,
    ReverseTransfer,
    Transfer,
)
from services import payouts
from tests.api.shop import nothing_of
from tests.support.payouts import PAYOUTS, Till, running_till


@pytest.fixture
async def till(dsn: str) -> AsyncIterator[Till]:
    """A creator with 95.00 USD available and an account that is ready."""
    async with running_till(dsn) as opened:
        yield await opened.open()


def statuses(payout: dict[str, Any]) -> list[str]:
    assert [event["sequence"] for event in payout["events"]] == list(range(1, len(payout["events"]) + 1))
    return [event["status"] for event in payout["events"]]


def codes(payload: dict[str, Any]) -> list[str]:
    return [error["code"] for error in payload["errors"]]


# On its way ---------------------------------------------------------------------------------------------------


async def test_payout_takes_the_money_at_once_and_ends_at_the_bank(till: Till) -> None:
    payload = await till.requests("20.00")

    assert payload["errors"] == []
    asked = payload["payout"]
    assert (asked["status"], asked["nextAction"]) == ("REQUESTED", "WAIT")
    assert (asked["amount"], asked["scheduled"]) == ({"amount": "20.00", "currency": "USD"}, False)
    assert asked["creator"] == {"handle": "fable"}
    assert await till.balances() == {"available": 7_500, "payout": 2_000, "connected": 0}
    assert await till.world.count("sandbox.transfer") == 0

    sent = await till.advances(asked["id"])
    assert (sent["status"], sent["arrivesAt"] is not None) == ("TRANSFERRED", True)
    assert await till.balances() == {"available": 7_500, "payout": 2_000, "connected": -2_000}

    await till.control.pay_payout("latest")
    await till.told()
    paid = await till.seen(asked["id"])
    assert (paid["status"], paid["nextAction"], paid["statusReason"]) == ("PAID", "NONE", None)
    assert statuses(paid) == ["REQUESTED", "TRANSFERRED", "PAID"]
    assert await till.balances() == {"available": 7_500, "payout": 0, "connected": 0}
    await till.due()
    assert await payouts.sweep(till.world.engine) is False
    assert await till.seen(asked["id"]) == paid


async def test_payout_that_fails_gives_the_money_back_and_takes_its_transfer_back(till: Till) -> None:
    payout = await till.requested("20.00")
    await till.advances(payout)

    await till.control.fail_payout("latest")
    await till.told()
    failed = await till.seen(payout)
    assert (failed["status"], failed["statusReason"], failed["nextAction"]) == (
        "FAILED",
        "account_closed",
        "REQUEST_AGAIN",
    )
    assert await till.balances() == {"available": 9_500, "payout": 0, "connected": -2_000}

    await payouts.sweep(till.world.engine)
    await till.told()
    assert statuses(await till.seen(payout)) == ["REQUESTED", "TRANSFERRED", "FAILED"]
    assert await till.balances() == {"available": 9_500, "payout": 0, "connected": 0}
    assert await till.world.scalar("select count(*) from sandbox.transfer where reversal_transaction is null") == 0


async def test_payout_that_was_paid_can_still_fail(till: Till) -> None:
    payout = await till.requested("20.00")
    await till.advances(payout)
    await till.control.pay_payout("latest")
    await till.told()
    assert (await till.seen(payout))["status"] == "PAID"

    await till.control.fail_payout("latest")
    await till.told()
    await payouts.sweep(till.world.engine)

    failed = await till.seen(payout)
    assert (failed["status"], failed["statusReason"]) == ("FAILED", "returned_by_bank")
    assert await till.balances() == {"available": 9_500, "payout": 0, "connected": 0}


async def test_all_that_is_available_can_be_asked_for_and_no_more(till: Till) -> None:
    assert codes(await till.requests("95.00")) == []
    assert (await till.balances())["available"] == 0

    refused = await till.requests("1.00")

    assert codes(refused) == ["INSUFFICIENT_BALANCE"]
    assert refused["errors"][0]["available"] == {"amount": "0.00", "currency": "USD"}


async def test_same_key_is_the_same_payout(till: Till) -> None:
    first = await till.requests("20.00", idempotencyKey="once")
    again = await till.requests("20.00", idempotencyKey="once")
    other = await till.requests("21.00", idempotencyKey="once")

    assert again == first
    assert codes(other) == ["IDEMPOTENCY_KEY_REUSED"]
    assert await till.world.count("payouts") == 1
    assert (await till.balances())["payout"] == 2_000


async def test_refusal_is_the_answer_to_its_key_for_good(till: Till) -> None:
    first = await till.requests("100.00", idempotencyKey="once")
    assert codes(first) == ["INSUFFICIENT_BALANCE"]
    await till.earns("50.00")

    assert await till.requests("100.00", idempotencyKey="once") == first
    assert codes(await till.requests("100.00")) == []


# Refused ------------------------------------------------------------------------------------------------------


async def test_more_than_is_available_is_refused_and_leaves_no_trace(till: Till) -> None:
    before = await till.counts()

    payload = await till.requests("95.01")

    assert payload["payout"] is None
    assert payload["errors"] == [
        {
            "__typename": "InsufficientBalance",
            "code": "INSUFFICIENT_BALANCE",
            "message": "The creator has less than this available. Ask for at most what is available.",
            "path": ["input", "amount", "amount"],
            "nextAction": "FIX_INPUT",
            "available": {"amount": "95.00", "currency": "USD"},
        }
    ]
    assert await till.counts() == before


async def test_less_than_the_minimum_is_refused_and_says_the_minimum(till: Till) -> None:
    before = await till.counts()

    payload = await till.requests("0.99")

    (error,) = payload["errors"]
    assert (error["__typename"], error["code"]) == ("PayoutBelowMinimum", "PAYOUT_BELOW_MINIMUM")
    assert error["minimum"] == {"amount": "1.00", "currency": "USD"}
    assert error["path"] == ["input", "amount", "amount"]
    assert await till.counts() == before
    assert codes(await till.requests("1.00")) == []


async def test_minimum_of_the_schedule_holds_where_it_is_higher(till: Till) -> None:
    await till.scheduled(interval="MANUAL", minimum={"amount": "30.00", "currency": "USD"})

    (error,) = (await till.requests("29.99"))["errors"]

    assert error["minimum"] == {"amount": "30.00", "currency": "USD"}
    assert codes(await till.requests("30.00")) == []


@pytest.mark.parametrize("country", [None, "FR"], ids=["no account", "something missing"])
async def test_account_that_is_not_ready_is_refused(dsn: str, country: str | None) -> None:
    async with running_till(dsn) as till:
        await till.open(country=country)
        before = await till.counts()

        payload = await till.requests("20.00")

        (error,) = payload["errors"]
        assert (error["code"], error["nextAction"]) == ("PAYOUT_ACCOUNT_NOT_READY", "ONBOARD")
        assert error["path"] == ["input", "creatorId"]
        assert await till.counts() == before


@pytest.mark.parametrize(
    ("amount", "currency", "code"),
    [
        ("0.00", "USD", "AMOUNT_INVALID"),
        ("-1.00", "USD", "AMOUNT_INVALID"),
        ("1.001", "USD", "AMOUNT_TOO_PRECISE"),
        ("1" + "0" * 40, "USD", "AMOUNT_TOO_LARGE"),
        ("20.00", "XXX", "CURRENCY_NOT_SUPPORTED"),
    ],
)
async def test_amount_that_is_none_is_refused(till: Till, amount: str, currency: str, code: str) -> None:
    before = await till.counts()

    assert codes(await till.requests(amount, currency)) == [code]

    assert await till.counts() == before
    assert await till.world.count("requests") == await till.world.scalar(
        "select count(*) from requests where operation <> 'payoutRequest'"
    )


async def test_provider_that_makes_no_payouts_is_said_to(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    provider = till.world.engine.provider
    features = provider.capabilities.features - {Capability.PAYOUTS}
    monkeypatch.setattr(provider, "capabilities", replace(provider.capabilities, features=features))
    before = await till.counts()

    for payload in (
        await till.requests("20.00"),
        await till.scheduled(),
        await till.onboarded(idempotencyKey="another"),
    ):
        assert codes(payload) == ["PROVIDER_UNSUPPORTED"]
        assert payload["errors"][0]["nextAction"] == "NONE"

    assert await till.counts() == before


# Permissions --------------------------------------------------------------------------------------------------


async def test_only_the_creator_with_the_scope_may_ask(till: Till) -> None:
    before = await till.counts()
    world = till.world

    for send in (till.requests, till.scheduled, till.onboarded):
        stranger = await send(client=world.client("stranger"))
        assert codes(stranger) == ["NOT_FOUND"]
        assert codes(await send(client=world.client())) == ["UNAUTHENTICATED"]
        without = world.client("fable", PERSONAL_SCOPES - {Scope.PAYOUTS_WRITE})
        assert codes(await send(client=without)) == ["FORBIDDEN"]
        assert codes(await send(creatorId=nothing_of(Noun.CREATOR))) == ["NOT_FOUND"]
        assert codes(await send(creatorId=nothing_of(Noun.PAYOUT))) == ["NOT_FOUND"]

    assert await till.counts() == before


async def test_payout_is_seen_by_its_creator_and_by_finance_alone(till: Till) -> None:
    payout = await till.requested("20.00")
    world = till.world
    finance = world.client("accountant", frozenset({Scope.FINANCE_READ}))
    owner = world.client("fable", frozenset({Scope.EARNINGS_READ}))
    nothing = {"payouts": None, "payoutAccount": None, "payoutSchedule": None}
    node = "query ($id: ID!) { node(id: $id) { id } }"

    for client in (owner, finance):
        assert (await till.seen(payout, client))["id"] == payout
        assert (await client.run(node, id=payout))["node"] == {"id": payout}
        found = (await client.run(PAYOUTS, handle="fable"))["creator"]
        assert [shown["id"] for shown in found["payouts"]["nodes"]] == [payout]
        assert found["payoutAccount"] == {"ready": True, "missing": [], "country": "ZZ"}
    for client in (
        world.client(),
        world.client("stranger"),
        world.client("fable", PERSONAL_SCOPES - {Scope.EARNINGS_READ}),
    ):
        assert await till.seen(payout, client) is None
        assert (await client.run(node, id=payout))["node"] is None
        assert (await client.run(PAYOUTS, handle="fable"))["creator"] == nothing


async def test_payouts_are_filtered_and_sorted(till: Till) -> None:
    first, second = await till.requested("20.00"), await till.requested("21.00")
    await till.advances(first)

    async def found(**variables: Any) -> list[str]:
        answer = await till.client.run(PAYOUTS, handle="fable", **variables)
        listed = answer["creator"]["payouts"]
        assert listed["totalCount"] == len(listed["nodes"])
        return [node["id"] for node in listed["nodes"]]

    assert await found() == [second, first]
    assert await found(sort="OLDEST") == [first, second]
    assert await found(where={"status": {"eq": "REQUESTED"}}) == [second]
    assert await found(where={"status": {"in": ["TRANSFERRED", "PAID"]}}) == [first]
    assert await found(where={"currency": "EUR"}) == []
    either = {"OR": [{"status": {"eq": "REQUESTED"}}, {"status": {"eq": "TRANSFERRED"}}]}
    assert await found(where=either) == [second, first]


# Held back ----------------------------------------------------------------------------------------------------


async def test_payout_waits_while_a_dispute_is_open_and_goes_on_when_the_last_one_closes(till: Till) -> None:
    payments = [await till.earns("10.00"), await till.earns("11.00")]
    disputes = [
        (await till.control.open_dispute(payment)).provider_reference for payment in await _keys(till, payments)
    ]
    await till.told()
    engine = till.world.engine

    payload = await till.requests("20.00")

    held = payload["payout"]
    assert (held["status"], held["statusReason"], held["nextAction"]) == ("ON_HOLD", "DISPUTE_OPEN", "WAIT")
    assert (await till.balances())["payout"] == 2_000
    assert await till.world.count("jobs.pgqueuer") == 0
    assert (await till.advances(held["id"]))["status"] == "ON_HOLD"

    await till.control.close_dispute(disputes[0], DisputeState.WON)
    await till.told()
    await payouts.release_holds(engine)
    assert (await till.seen(held["id"]))["status"] == "ON_HOLD"
    assert await till.world.count("sandbox.transfer") == 0

    await till.control.close_dispute(disputes[1], DisputeState.LOST)
    await till.told()
    assert await payouts.release_holds(engine) is False
    await payouts.sweep(engine)
    sent = await till.seen(held["id"])
    assert statuses(sent) == ["ON_HOLD", "REQUESTED", "TRANSFERRED"]
    assert await till.world.count("sandbox.payout") == 1


async def test_dispute_opened_before_the_transfer_holds_the_payout_back(till: Till) -> None:
    payment = await till.earns("10.00")
    payout = await till.requested("20.00")
    await till.control.open_dispute((await _keys(till, [payment]))[0])
    await till.told()

    held = await till.advances(payout)

    assert statuses(held) == ["REQUESTED", "ON_HOLD"]
    assert await till.world.count("sandbox.transfer") == 0
    assert await till.world.scalar("select calling_until from payouts") is None


async def _keys(till: Till, payments: list[str]) -> list[str]:
    return [str(till.world.key(Noun.PAYMENT, payment)) for payment in payments]


# The provider does not answer, or refuses ---------------------------------------------------------------------


@pytest.mark.parametrize("command", ["transfer", "payout"])
@pytest.mark.parametrize(("effect", "calls"), [("ANSWER_LOST", 1), ("REQUEST_LOST", 2)])
async def test_answer_that_never_came_is_looked_up_and_the_call_repeated_only_if_it_never_arrived(
    till: Till, monkeypatch: pytest.MonkeyPatch, command: str, effect: str, calls: int
) -> None:
    made = _calls_of(till, monkeypatch, command)
    payout = await till.requested("20.00")
    await till.control.arm(command.upper(), effect)

    lost = await till.advances(payout)
    assert (lost["status"], lost["nextAction"]) == ("RECONCILING", "WAIT")
    assert await till.world.count(f"sandbox.{command}") == (effect == "ANSWER_LOST")
    assert (await till.balances())["payout"] == 2_000

    await till.due()
    found = await till.advances(payout)
    assert found["status"] == "TRANSFERRED"
    assert statuses(found)[-2:] == ["RECONCILING", "TRANSFERRED"]
    assert await till.world.count("sandbox.transfer") == await till.world.count("sandbox.payout") == 1
    key = till.world.key(Noun.PAYOUT, payout)
    assert made == [f"{command}:{key}"] * calls
    await till.told()
    assert await till.balances() == {"available": 7_500, "payout": 2_000, "connected": -2_000}


def _calls_of(till: Till, monkeypatch: pytest.MonkeyPatch, name: str) -> list[str]:
    """Collect the keys a command of the provider is called with."""
    provider = till.world.engine.provider
    original, made = getattr(provider, name), []

    async def noted(command: Any) -> Any:
        made.append(command.idempotency_key)
        return await original(command)

    monkeypatch.setattr(provider, name, noted)
    return made


async def test_call_whose_caller_died_is_looked_up_before_it_is_made_again(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = _calls_of(till, monkeypatch, "transfer")
    payout = await till.requested("20.00")
    key = till.world.key(Noun.PAYOUT, payout)
    # As a caller leaves it that dies between the provider's answer and its own commit.
    row = await till.world.engine.database.writer.fetchrow(
        "update payouts set attempts = 1, calling_until = now() - interval '1 second' where id = $1 returning *",
        key,
    )
    await till.world.engine.provider.transfer(
        Transfer(f"transfer:{key}", key, row["account_reference"], 2_000, "USD")
    )

    assert (await till.advances(payout))["status"] == "TRANSFERRED"

    assert made == [f"transfer:{key}"]
    assert await till.world.count("sandbox.transfer") == 1


async def test_payout_somebody_is_at_is_left_to_them(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    made = _calls_of(till, monkeypatch, "transfer")
    payout = await till.requested("20.00")
    await till.world.engine.database.writer.execute(
        "update payouts set calling_until = now() + interval '1 minute'"
    )

    assert (await till.advances(payout))["status"] == "REQUESTED"
    assert await payouts.sweep(till.world.engine) is False

    assert made == []


@pytest.mark.parametrize("effect", ["ANSWER_LOST", "REQUEST_LOST", "UNAVAILABLE"])
async def test_transfer_is_taken_back_once_whatever_the_provider_answers(till: Till, effect: str) -> None:
    payout = await till.requested("20.00")
    await till.advances(payout)
    await till.control.fail_payout("latest")
    await till.told()
    await till.control.arm("REVERSE_TRANSFER", effect)

    assert (await till.advances(payout))["status"] == "FAILED"
    await till.due()
    await till.advances(payout)
    await till.told()

    assert await till.balances() == {"available": 9_500, "payout": 0, "connected": 0}
    assert await till.world.scalar("select step from payouts") is None
    assert await till.world.scalar("select calling_until from payouts") is None


async def test_transfer_the_provider_will_not_take_back_is_asked_for_until_it_does(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    payout = await till.requested("20.00")
    await till.advances(payout)
    await till.control.fail_payout("latest")
    await till.told()
    provider = till.world.engine.provider
    with monkeypatch.context() as patched:
        patched.setattr(
            provider, "reverse_transfer", _refusing(ProviderErrorCode.STATE_CONFLICT, ProviderAction.NEVER)
        )
        for attempt in (1, 2, 3):
            await till.due()
            assert (await till.advances(payout))["status"] == "FAILED"
            row = await till.world.engine.database.reader.fetchrow("select * from payouts")
            assert (row["step"], row["attempts"]) == ("REVERSE", attempt)
            assert row["calling_until"] - now() <= timedelta(seconds=2 ** (attempt - 1))
    assert await till.balances() == {"available": 9_500, "payout": 0, "connected": -2_000}

    await till.due()
    await till.advances(payout)

    assert await till.balances() == {"available": 9_500, "payout": 0, "connected": 0}


async def test_transfer_taken_back_at_the_provider_before_it_was_paid_out_ends_the_payout(till: Till) -> None:
    payout = await till.requested("20.00")
    await till.control.arm("PAYOUT", "UNAVAILABLE")
    assert (await till.advances(payout))["status"] == "TRANSFERRED"
    reference = await till.world.scalar("select transfer_reference from payouts")
    await till.world.engine.provider.reverse_transfer(ReverseTransfer("by hand", reference))
    await till.told()
    await till.due()

    failed = await till.advances(payout)

    assert (failed["status"], failed["statusReason"]) == ("FAILED", "TRANSFER_REVERSED")
    assert await till.balances() == {"available": 9_500, "payout": 0, "connected": 0}
    assert await till.world.count("sandbox.payout") == 0


REFUSALS = [
    (ProviderErrorCode.BALANCE_INSUFFICIENT, ProviderAction.NEVER, "REQUESTED"),
    (ProviderErrorCode.RATE_LIMITED, ProviderAction.LATER, "REQUESTED"),
    (ProviderErrorCode.UNAVAILABLE, ProviderAction.SAME_KEY, "REQUESTED"),
    (ProviderErrorCode.MISCONFIGURED, ProviderAction.FIX_CONFIG, "REQUESTED"),
    (ProviderErrorCode.ACCOUNT_NOT_READY, ProviderAction.LATER, "FAILED"),
    (ProviderErrorCode.AMOUNT_INVALID, ProviderAction.NEVER, "FAILED"),
    (ProviderErrorCode.UNSUPPORTED, ProviderAction.NEVER, "FAILED"),
]


async def test_refusal_that_passes_is_waited_for_and_any_other_ends_the_payout(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    for code, action, status in REFUSALS:
        payout = await till.requested("10.00")
        with monkeypatch.context() as patched:
            patched.setattr(till.world.engine.provider, "transfer", _refusing(code, action))
            refused = await till.advances(payout)

        assert refused["status"] == status, code
        assert refused["statusReason"] == (code.value if status == "FAILED" else None)
    waiting = sum(status == "REQUESTED" for _, _, status in REFUSALS)
    assert await till.world.scalar("select count(*) from payouts where calling_until is not null") == waiting
    assert (await till.balances())["payout"] == waiting * 1_000


def _refusing(code: ProviderErrorCode, action: ProviderAction) -> Any:
    async def refuses(command: Any) -> Any:
        raise ProviderError(code, action)

    return refuses


async def test_provider_that_is_silent_for_a_day_ends_the_payout(till: Till) -> None:
    payout = await till.requested("20.00")
    await till.control.arm("TRANSFER", "REQUEST_LOST")
    await till.advances(payout)
    await _made_long_ago(till, timedelta(hours=24))
    await till.due()

    failed = await till.advances(payout)

    assert (failed["status"], failed["statusReason"]) == ("FAILED", "PROVIDER_SILENT")
    assert await till.balances() == {"available": 9_500, "payout": 0, "connected": 0}
    assert await till.world.count("sandbox.transfer") == 0


async def _made_long_ago(till: Till, ago: timedelta) -> None:
    owner = await asyncpg.connect(till.world.dsn)
    try:
        await owner.execute("alter table payout_events disable trigger payout_events_only_grow")
        await owner.execute("update payout_events set at = $1", now() - ago)
        await owner.execute("alter table payout_events enable trigger payout_events_only_grow")
    finally:
        await owner.close()


async def test_account_no_longer_ready_ends_the_payout_and_gives_the_money_back(till: Till) -> None:
    payout = await till.requested("20.00")
    await till.control.revoke_account("latest")

    failed = await till.advances(payout)

    assert (failed["status"], failed["statusReason"], failed["nextAction"]) == (
        "FAILED",
        "ACCOUNT_NOT_READY",
        "ONBOARD",
    )
    assert await till.balances() == {"available": 9_500, "payout": 0, "connected": 0}
    assert codes(await till.requests("20.00")) == ["PAYOUT_ACCOUNT_NOT_READY"]


async def test_account_that_is_closed_between_transfer_and_payout_gives_everything_back(till: Till) -> None:
    payout = await till.requested("20.00")
    await till.control.arm("PAYOUT", "UNAVAILABLE")
    assert (await till.advances(payout))["status"] == "TRANSFERRED"
    await till.control.revoke_account("latest")
    await till.due()

    failed = await till.advances(payout)

    assert (failed["status"], failed["statusReason"]) == ("FAILED", "ACCOUNT_NOT_READY")
    assert await till.balances() == {"available": 9_500, "payout": 0, "connected": 0}
    assert await till.world.count("sandbox.payout") == 0


async def test_provider_without_enough_money_is_asked_again_later(dsn: str) -> None:
    async with running_till(dsn) as till:
        # The sandbox keeps more of so small a charge than we do: not all that is available lies there.
        await till.open(tips="2.00")
        payout = await till.requested("1.90")

        waiting = await till.advances(payout)

        assert (waiting["status"], await till.world.count("sandbox.transfer")) == ("REQUESTED", 0)
        assert await till.world.scalar("select calling_until is not null from payouts")
        assert await till.balances() == {"available": 0, "payout": 190, "connected": 0}

        await till.earns("5.00")
        await till.due()
        assert (await till.advances(payout))["status"] == "TRANSFERRED"


async def test_payout_that_processes_without_news_is_looked_up(till: Till) -> None:
    payout = await till.requested("20.00")
    await till.advances(payout)
    await till.control.pay_payout("latest")  # and nobody tells
    assert await payouts.sweep(till.world.engine) is False
    assert (await till.seen(payout))["status"] == "TRANSFERRED"

    await till.due()
    await payouts.sweep(till.world.engine)

    assert (await till.seen(payout))["status"] == "PAID"
    # The bank may send it back for a while, and that may not be told.
    assert await till.world.scalar("select calling_until > now() from payouts")
