"""A part of what was reserved is captured: Stripe's books have one line for that, or two, and ours come out even."""

import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from core.ids import Noun
from providers.payments.base import BalanceEntry, BalanceKind, LookUp, Subject
from services import reconciliation
from services.fold import Contradiction
from services.reconciliation import DifferenceCode
from tests.api.shop import do, usd
from tests.stripe.desk import Desk, open_desk
from tests.support.stripe import Settings

FEE = (500 * 29 + 500) // 1000 + 30
CAPTURE_REVERSALS = "select count(*) from ledger.request where key like 'capture\\_reversed:stripe:%'"


@pytest.fixture
async def two_lines(dsn: str) -> AsyncIterator[Desk]:
    """A server on a Stripe whose books have a line of the whole charge, and one of what was let go of it."""
    async with open_desk(dsn, Settings(captures_in_two_lines=True)) as opened:
        yield opened


async def captured_in_part(desk: Desk) -> str:
    """Return a payment of which 5.00 of 12.50 were captured; nothing of that is told yet."""
    payment = await desk.reserved("12.50")
    await do(desk.owner, "paymentCapture", paymentId=payment, amount=usd("5.00"))
    return payment


def lines(desk: Desk) -> list[tuple[str, int]]:
    return [(line["reporting_category"], line["amount"]) for line in desk.objects("balance_transaction")]


async def let_go(desk: Desk, payment: str) -> BalanceEntry:
    """Return the line of what was let go of a payment, as a look-up of the payment tells it."""
    facts = await desk.engine.provider.fetch(Subject.PAYMENT, await desk.intent(payment))
    (entry,) = [fact for fact in facts if isinstance(fact, BalanceEntry)]
    return entry


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (Settings(lets_go_by_refund=False), [("charge", 500)]),
        (Settings(), [("charge", 500)]),
        (Settings(captures_in_two_lines=True), [("charge", 1250), ("partial_capture_reversal", -750)]),
    ],
    ids=["one line", "one line and a refund", "two lines"],
)
async def test_part_capture_ends_in_the_same_books_however_stripe_writes_it_down(
    dsn: str, settings: Settings, told: list[tuple[str, int]]
) -> None:
    async with open_desk(dsn, settings) as desk:
        payment = await captured_in_part(desk)
        assert lines(desk) == told
        await desk.tell()
        # Where no refund is told of, nothing says that the charge was booked: it is looked up a minute later.
        await desk.sweep()

        amounts = (await desk.read(payment))["amounts"]
        assert (amounts["captured"], amounts["canceled"]) == ({"amount": "5.00"}, {"amount": "7.50"})
        assert amounts["refunded"] == {"amount": "0.00"}
        assert await desk.world.scalar("select count(*) from refunds") == 0
        assert await desk.posted("charge.gross") == told[0][1]
        assert await desk.posted("capture_reversed") == told[0][1] - 500
        assert await desk.held("clearing") == 0
        assert await desk.held("balance") == FEE - 500
        assert await desk.held("provider_fees") == -FEE
        await desk.prove()


@pytest.mark.parametrize("seed", [None, 1, 2])
async def test_two_lines_are_posted_once_however_they_are_told(two_lines: Desk, seed: int | None) -> None:
    await captured_in_part(two_lines)
    await two_lines.tell(times=2, shuffled=None if seed is None else random.Random(seed))
    assert await two_lines.world.scalar(CAPTURE_REVERSALS) == 1
    assert await two_lines.held("clearing") == 0
    await two_lines.prove()


async def test_rest_of_a_part_capture_can_be_refunded(two_lines: Desk) -> None:
    payment = await captured_in_part(two_lines)
    await two_lines.tell()
    await do(two_lines.owner, "refundCreate", paymentId=payment, amount=usd("2.00"))
    await two_lines.tell()
    assert await two_lines.world.status(payment) == "PARTIALLY_REFUNDED"
    assert (await two_lines.read(payment))["amounts"]["refunded"] == {"amount": "2.00"}
    assert await two_lines.held("clearing") == 0
    await two_lines.prove()


async def test_line_nobody_told_of_is_seen_looked_up_and_posted(two_lines: Desk) -> None:
    payment = await captured_in_part(two_lines)
    line = two_lines.objects("balance_transaction")[1]
    # All is told but the line: as if it had been booked only afterwards.
    (refund,) = two_lines.objects("refund")
    whole, refund["balance_transaction"] = refund["balance_transaction"], None
    await two_lines.tell()
    refund["balance_transaction"] = whole
    assert await two_lines.held("clearing") == 750

    report = await two_lines.compared()
    (missing,) = [each for each in report.differences if each.code is DifferenceCode.LINE_NOT_IN_LEDGER]
    assert (missing.about.id, missing.expected) == (line["id"], -750)
    (look_up,) = missing.remedies
    assert isinstance(look_up, reconciliation.LookUp | LookUp)
    assert (look_up.subject, look_up.provider_reference) == (Subject.BALANCE_ENTRY, line["id"])

    await reconciliation.run(two_lines.engine, mend=True, grace=timedelta(0))
    assert await two_lines.held("clearing") == 0
    assert (await let_go(two_lines, payment)).reference == two_lines.world.key(Noun.PAYMENT, payment)
    await two_lines.prove()


@pytest.mark.parametrize(
    "untrue",
    [{"amount": 750, "net": 750}, {"amount": -1250, "net": -1250}, {"net": -749}, {"currency": "XXB"}],
    ids=str,
)
async def test_line_that_cannot_be_true_posts_nothing(two_lines: Desk, untrue: dict[str, Any]) -> None:
    payment = await captured_in_part(two_lines)
    entry = await let_go(two_lines, payment)
    with pytest.raises(Contradiction):
        await two_lines.engine.settle(two_lines.engine, [replace(entry, id="txn_untrue", **untrue)])
    assert await two_lines.world.scalar(CAPTURE_REVERSALS) == 0
    await two_lines.tell()
    await two_lines.prove()


async def test_payment_that_was_not_only_reserved_has_no_such_line(two_lines: Desk) -> None:
    reserved = await let_go(two_lines, await captured_in_part(two_lines))
    await two_lines.tell()
    payment = two_lines.world.key(Noun.PAYMENT, await two_lines.paid("12.50"))
    with pytest.raises(Contradiction, match="txn_other"):
        await two_lines.engine.settle(two_lines.engine, [replace(reserved, id="txn_other", reference=payment)])
    assert await two_lines.world.scalar(CAPTURE_REVERSALS) == 1
    await two_lines.prove()


async def test_what_was_let_go_of_a_converted_charge_waits_in_suspense_with_it(two_lines: Desk) -> None:
    two_lines.stripe.settings.settles_in["usd"] = ("eur", 92)
    payment = await captured_in_part(two_lines)
    assert lines(two_lines) == [("charge", 1150), ("partial_capture_reversal", -690)]
    await two_lines.tell()
    assert (await let_go(two_lines, payment)).kind is BalanceKind.CAPTURE_REVERSED
    assert await two_lines.held("suspense", currency="EUR") == 1150 - 690
    assert await two_lines.world.scalar(CAPTURE_REVERSALS) == 0
    report = await two_lines.compared()
    (alarm,) = [each for each in report.differences if each.code is DifferenceCode.SETTLED_IN_OTHER_CURRENCY]
    assert (alarm.about.id, alarm.found) == (payment, 460)
