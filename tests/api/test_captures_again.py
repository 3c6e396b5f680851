"""Captures that are repeated, refused, or overtaken by a look-up: the right amount is captured, once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from core.clock import now
from core.ids import Noun, uuid7
from providers.payments import base
from services import sweeper
from tests.api.shop import ask, do, document, usd
from tests.support.payouts import Till, running_till


@pytest.fixture
async def till(dsn: str) -> AsyncIterator[Till]:
    """A creator with 95.00 USD available, who sells what is captured later."""
    async with running_till(dsn) as opened:
        yield await opened.open()


_LEFT = """
    select sum(on_hand - reserved)::int from stock_levels s join order_lines l on l.variant_id = s.variant_id
"""


async def reserved(till: Till) -> str:
    """Return a payment of 10.00 that is authorised."""
    given = {"creatorId": till.creator, "title": "Made to order", "price": usd("10.00"), "stock": 100}
    product = (await do(till.client, "productCreate", **given, manualCapture=True))["product"]["id"]
    supporter = till.world.client("supporter")
    payment = str((await do(supporter, "purchaseCreate", productId=product))["payment"]["id"])
    await do(supporter, "paymentConfirm", paymentId=payment, method="tok_success")
    await till.told()
    assert await till.world.status(payment) == "AUTHORIZED"
    return payment


async def row_of(till: Till, payment: str) -> Any:
    return await till.world.engine.database.reader.fetchrow(
        "select * from payments where id = $1", till.world.key(Noun.PAYMENT, payment)
    )


async def amounts(till: Till, payment: str) -> dict[str, int]:
    """Return what a payment's row says of its money, in cents."""
    row = await row_of(till, payment)
    return {name: int(row[name]) for name in ("authorized", "captured", "capturing")}


async def time_passes(till: Till, payment: str) -> None:
    """Let whoever calls for a payment be gone, and whatever is to be looked up be due."""
    await till.world.engine.database.writer.execute(
        "update payments set calling_until = now() - interval '1 second' where id = $1 and calling_until is not null",
        till.world.key(Noun.PAYMENT, payment),
    )


async def nobody_tells(till: Till) -> None:
    """Let the sandbox do what is due there, and all that it has to tell be lost."""
    await till.control.run_due()
    await till.world.engine.database.writer.execute(
        "update sandbox.event set delivered_at = created_at, next_attempt_at = null where delivered_at is null"
    )


async def posted(till: Till) -> dict[str, int]:
    """Return what is pending for the creator and what the platform earned, in cents."""
    return {"pending": await till.balance("pending", till.key), "fees": await till.balance("fees")}


NOTHING = {"pending": 0, "fees": 500}
"""What is posted before a purchase is captured: the fee of the tip."""
IN_PART = {"pending": 534, "fees": 566}
"""With 6.00 of 10.00 captured: its part of the fee of 1.10 is 0.66."""
IN_FULL = {"pending": 890, "fees": 610}


def refusal(code: str, action: str) -> base.ProviderError:
    return base.ProviderError(
        base.ProviderErrorCode(code), base.ProviderAction(action), ambiguous=False, provider_code="test"
    )


def refusing_once(monkeypatch: pytest.MonkeyPatch, till: Till, refused: Exception) -> list[tuple[str, int]]:
    """Let the provider refuse the first capture; return a list that grows by the key and amount of each."""
    provider = till.world.engine.provider
    original, asked = provider.capture, []

    async def instead(command: base.CapturePayment) -> base.PaymentFact:
        asked.append((command.idempotency_key, int(command.amount)))
        if len(asked) == 1:
            raise refused
        return await original(command)

    monkeypatch.setattr(provider, "capture", instead)
    return asked


# Repeated under its key ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "action"), [("RATE_LIMITED", "LATER"), ("UNAVAILABLE", "SAME_KEY")])
@pytest.mark.parametrize(
    ("amount", "minor", "after"), [(None, 1_000, IN_FULL), (usd("6.00"), 600, IN_PART)], ids=["all", "a part"]
)
async def test_capture_repeated_after_it_was_put_off_asks_for_the_same_amount(
    till: Till,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    action: str,
    amount: dict[str, str] | None,
    minor: int,
    after: dict[str, int],
) -> None:
    payment, key = await reserved(till), str(uuid7())
    asked = refusing_once(monkeypatch, till, refusal(code, action))
    sent = {"paymentId": payment, "amount": amount, "idempotencyKey": key}

    put_off = await ask(till.client, "paymentCapture", **sent)
    assert [error["code"] for error in put_off["errors"]] == ["PROVIDER_UNAVAILABLE"]
    assert await amounts(till, payment) == {"authorized": 1_000, "captured": 0, "capturing": 0}
    await do(till.client, "paymentCapture", **sent)
    await till.told()
    await do(till.client, "paymentCapture", **sent)

    assert [asked_for for _, asked_for in asked] == [minor, minor]
    assert len({sent_key for sent_key, _ in asked}) == 1
    assert await till.world.status(payment) == "SUCCEEDED"
    assert (await amounts(till, payment))["captured"] == minor
    assert await posted(till) == after


@pytest.mark.parametrize("looked_up", [False, True])
async def test_capture_is_made_by_its_repeat_when_its_caller_died_before_the_call(
    till: Till, monkeypatch: pytest.MonkeyPatch, looked_up: bool
) -> None:
    payment, key = await reserved(till), str(uuid7())
    asked = refusing_once(monkeypatch, till, RuntimeError("killed"))
    sent = {"paymentId": payment, "amount": usd("6.00"), "idempotencyKey": key}
    died = await till.client.full(document("paymentCapture"), input=sent)
    assert died["data"] is None
    await time_passes(till, payment)
    if looked_up:
        await sweeper.sweep(till.world.engine)
        assert await amounts(till, payment) == {"authorized": 1_000, "captured": 0, "capturing": 0}

    await do(till.client, "paymentCapture", **sent)
    await till.told()

    assert [asked_for for _, asked_for in asked] == [600, 600]
    assert len({sent_key for sent_key, _ in asked}) == 1
    assert await till.world.status(payment) == "SUCCEEDED"
    assert await posted(till) == IN_PART


async def test_repeat_of_a_capture_that_is_under_way_does_not_call_again(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment, key = await reserved(till), str(uuid7())
    asked, answer = _held_back(monkeypatch, till)
    sent = {"paymentId": payment, "amount": usd("6.00"), "idempotencyKey": key}
    first = asyncio.create_task(do(till.client, "paymentCapture", **sent))
    async with asyncio.timeout(20):
        await asked.wait()

    asked.clear()
    second = await do(till.client, "paymentCapture", **sent)
    assert (second["payment"]["status"], asked.is_set()) == ("AUTHORIZED", False)
    assert second["payment"]["amounts"]["capturedPending"] == {"amount": "6.00"}
    answer.set()
    await first
    await till.told()

    assert not asked.is_set()
    assert await posted(till) == IN_PART


def _held_back(monkeypatch: pytest.MonkeyPatch, till: Till) -> tuple[asyncio.Event, asyncio.Event]:
    """Let the provider say when it is asked to capture, and wait until it may answer."""
    provider = till.world.engine.provider
    original = provider.capture
    asked, answer = asyncio.Event(), asyncio.Event()

    async def slow(command: base.CapturePayment) -> base.PaymentFact:
        asked.set()
        await answer.wait()
        return await original(command)

    monkeypatch.setattr(provider, "capture", slow)
    return asked, answer


# Refused ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "action", "shown"),
    [
        ("STATE_CONFLICT", "NEVER", "PAYMENT_IN_PROGRESS"),
        ("EXPIRED", "NEVER", "CAPTURE_EXPIRED"),
        ("UNSUPPORTED", "NEVER", "PROVIDER_UNAVAILABLE"),
    ],
)
async def test_refused_capture_keeps_its_look_up_at_expiry(
    till: Till, monkeypatch: pytest.MonkeyPatch, code: str, action: str, shown: str
) -> None:
    payment = await reserved(till)
    lapses_at = (await row_of(till, payment))["capture_before"]
    refusing_once(monkeypatch, till, refusal(code, action))

    payload = await ask(till.client, "paymentCapture", paymentId=payment)

    assert [error["code"] for error in payload["errors"]] == [shown]
    assert await amounts(till, payment) == {"authorized": 1_000, "captured": 0, "capturing": 0}
    assert await posted(till) == NOTHING
    assert (await row_of(till, payment))["calling_until"] <= now()
    await sweeper.sweep(till.world.engine)
    row = await row_of(till, payment)
    assert (row["status"], row["calling_until"]) == ("AUTHORIZED", lapses_at + timedelta(minutes=1))

    # It lapses at the provider, and nobody tells.
    await till.control.expire(str(till.world.key(Noun.PAYMENT, payment)))
    await nobody_tells(till)
    assert await till.world.status(payment) == "AUTHORIZED"
    await time_passes(till, payment)
    await sweeper.sweep(till.world.engine)
    assert await till.world.status(payment) == "CANCELED"
    assert await posted(till) == NOTHING
    assert await till.world.scalar(_LEFT) == 100


async def test_capture_refused_because_it_was_made_elsewhere_is_looked_up_though_nobody_tells(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = await reserved(till)
    await till.world.sandbox.capture(
        base.CapturePayment(
            idempotency_key="elsewhere",
            provider_reference=(await row_of(till, payment))["provider_reference"],
            amount=600,
            final=True,
        )
    )
    await nobody_tells(till)
    refusing_once(monkeypatch, till, refusal("STATE_CONFLICT", "NEVER"))

    await ask(till.client, "paymentCapture", paymentId=payment)
    assert (await till.world.status(payment), await posted(till)) == ("AUTHORIZED", NOTHING)
    await time_passes(till, payment)
    await sweeper.sweep(till.world.engine)

    assert await till.world.status(payment) == "SUCCEEDED"
    assert await amounts(till, payment) == {"authorized": 1_000, "captured": 600, "capturing": 0}
    assert await posted(till) == IN_PART


async def test_refusal_of_a_capture_whose_success_was_told_meanwhile_changes_nothing(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = await reserved(till)
    provider = till.world.engine.provider
    original = provider.capture

    async def told_first(command: base.CapturePayment) -> base.PaymentFact:
        await original(command)
        await till.told()
        assert await till.world.status(payment) == "SUCCEEDED"
        raise refusal("STATE_CONFLICT", "NEVER")

    monkeypatch.setattr(provider, "capture", told_first)

    await ask(till.client, "paymentCapture", paymentId=payment)

    row = await row_of(till, payment)
    assert (row["status"], row["calling_until"]) == ("SUCCEEDED", None)
    assert await posted(till) == IN_FULL


# Overtaken ----------------------------------------------------------------------------------------------------


async def test_look_up_that_is_older_than_a_capture_begun_since_does_not_end_it(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = await reserved(till)
    provider = till.world.engine.provider
    fetch = provider.fetch
    asked, answer = _held_back(monkeypatch, till)
    captures: list[asyncio.Task[dict[str, Any]]] = []

    async def fetched_before(*given: Any) -> Any:
        facts = await fetch(*given)
        captures.append(asyncio.create_task(do(till.client, "paymentCapture", paymentId=payment)))
        async with asyncio.timeout(20):
            await asked.wait()
        return facts

    monkeypatch.setattr(provider, "fetch", fetched_before)
    await time_passes(till, payment)
    await sweeper.sweep(till.world.engine)

    (capture,) = captures
    row = await row_of(till, payment)
    assert (row["status"], int(row["capturing"]), row["calling_until"] > now()) == ("AUTHORIZED", 1_000, True)
    let_go = await ask(till.world.client("supporter"), "paymentCancel", paymentId=payment)
    assert [error["code"] for error in let_go["errors"]] == ["PAYMENT_IN_PROGRESS"]
    answer.set()
    await capture
    await till.told()
    assert await till.world.status(payment) == "SUCCEEDED"
    assert await posted(till) == IN_FULL
