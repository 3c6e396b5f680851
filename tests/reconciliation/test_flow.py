"""A running system: payments flow while it is compared, and nothing that is only on its way is an alarm."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from core import clock
from core.ids import uuid7
from models.database import Connection
from providers.payments.base import BalanceEntry, CancelPayment, Fact, Subject
from services import payments
from services.reconciliation import GRACE, Check, DifferenceCode, Report, comparing
from services.reconciliation.frame import Frame, Snapshot
from tests.reconciliation.scene import Scene, found
from tests.support.edited_provider import silence

PAYERS = 4
TIPS = 12


async def test_nothing_is_found_while_payments_flow(scene: Scene) -> None:
    for _ in range(3):
        await scene.tip()
    await scene.told()
    # Old enough to be judged, in the midst of what is not.
    await scene.later(hours=1)
    await scene.relayed()
    flowing = asyncio.Event()

    async def pay() -> None:
        for number in range(TIPS):
            payment = await scene.tip(1_000 + number)
            if number % 4 == 0:
                while (await payments.read(scene.engine, payment))["status"] != "SUCCEEDED":
                    await asyncio.sleep(0.01)
                await scene.refund(payment, 300)

    async def settle() -> None:
        while not flowing.is_set():
            await scene.told()
            await scene.matured()
            await asyncio.sleep(0.01)

    async def compare() -> list[Report]:
        reports = []
        while not flowing.is_set():
            reports.append(await scene.reconcile(grace=GRACE))
        return reports

    comparing, settling = asyncio.create_task(compare()), asyncio.create_task(settle())
    try:
        await asyncio.gather(*(pay() for _ in range(PAYERS)))
    finally:
        flowing.set()
        reports = await comparing
        await settling

    assert [found(report) for report in reports if not report.clean] == []
    # Money did move while it was looked at.
    assert len({report.entries for report in reports}) > 1
    await scene.later(minutes=1)
    assert found(await scene.reconcile()) == []


async def test_what_is_missing_is_found_in_the_midst_of_what_flows(scene: Scene) -> None:
    lost = await scene.tip()
    await scene.later(hours=1)
    await scene.run("delete from inbox_events")
    await scene.run("update payments set available_on = null where id = $1", lost)
    await scene.relayed()
    await scene.tip()
    report = await scene.reconcile(grace=GRACE)
    assert {each.code for each in report.differences} == {
        DifferenceCode.EVENT_MISSED,
        DifferenceCode.CHARGE_MISSING,
    }


async def test_mending_twice_changes_nothing_the_second_time(busy: Scene) -> None:
    await busy.tip()
    canceled = await busy.tip(method=None)
    await busy.told()
    await busy.tip(2_500)
    reference = (await busy.row("payments", canceled))["provider_reference"]
    await busy.sandbox.cancel(CancelPayment(str(uuid7()), reference))
    await busy.run("delete from inbox_events where id = (select min(id) from inbox_events)")
    await busy.run("update earning_days set net = net + 1 where id = (select min(id) from earning_days)")

    first = await busy.reconcile(mend=True)
    assert first.mended >= 4
    assert {each.code for each in first.differences if not each.mended} == {DifferenceCode.EARNINGS_DIFFER}
    await busy.settled()
    state = await busy.state()

    second = await busy.reconcile(mend=True)
    assert second.mended == 0
    assert found(second) == found(first)
    assert await busy.state() == state


async def test_grace_is_measured_in_business_time(scene: Scene) -> None:
    await scene.tip()
    assert (await scene.reconcile(grace=timedelta(hours=2))).clean
    clock.set_ahead(timedelta(hours=3))
    report = await scene.reconcile(grace=timedelta(hours=2))
    assert DifferenceCode.LINE_NOT_IN_LEDGER in {each.code for each in report.differences}


async def test_what_is_settled_while_it_is_looked_up_is_not_outdated(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = await scene.tip(method=None)
    await scene.told()
    reference = (await scene.row("payments", payment))["provider_reference"]
    await scene.sandbox.cancel(CancelPayment(str(uuid7()), reference))
    fetch = scene.sandbox.fetch

    async def settled_meanwhile(subject: Subject, provider_reference: str) -> Sequence[Fact]:
        facts = await fetch(subject, provider_reference)
        await scene.told()
        return facts

    monkeypatch.setattr(scene.sandbox, "fetch", settled_meanwhile)
    report = await scene.reconcile()
    assert (await scene.row("payments", payment))["status"] == "CANCELED"
    assert report.result(Check.STANDING).differences == ()


async def test_payment_somebody_talks_to_the_provider_about_is_not_asked_about(scene: Scene) -> None:
    payment = await scene.tip(method=None)
    await scene.told()
    await scene.run("update payments set calling_until = now() + interval '1 minute'")
    scene.provider.asked.clear()
    assert found(await scene.reconcile()) == []
    assert scene.provider.asked == []
    await scene.run("update payments set calling_until = null")
    assert found(await scene.reconcile()) == []
    assert len(scene.provider.asked) == 1
    assert (await scene.row("payments", payment))["status"] == "PENDING"


async def test_what_cannot_be_compared_again_is_not_taken_for_mended(scene: Scene) -> None:
    await scene.tip()
    readings = itertools.count()

    def once(lines: list[BalanceEntry]) -> list[BalanceEntry]:
        # Read once, and a second time for what came meanwhile; then never again.
        if next(readings) > 1:
            raise silence()
        return lines

    scene.provider.lines = once
    report = await scene.reconcile(mend=True)
    books = report.result(Check.BOOKS)
    assert [(each.code, each.mended) for each in books.differences] == [
        (DifferenceCode.LINE_NOT_IN_LEDGER, False),
        (DifferenceCode.PROVIDER_SILENT, False),
    ]
    assert not report.clean


async def test_what_is_posted_after_the_books_were_read_is_not_looked_for_in_them(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = comparing._snapshot

    @asynccontextmanager
    async def late(frame: Frame, connection: Connection) -> AsyncIterator[Snapshot]:
        await scene.tip()
        await scene.told()
        async with snapshot(frame, connection) as opened:
            yield opened

    await scene.tip()
    await scene.told()
    monkeypatch.setattr(comparing, "_snapshot", late)
    report = await scene.reconcile()
    assert report.entries == 1
    assert found(report) == []


async def test_balance_that_never_stands_still_agrees_with_the_lines_on_the_way(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    balances = scene.sandbox.balances

    async def moving() -> Mapping[str, int]:
        await scene.tip(1_001)
        held = await balances()
        await scene.tip(1_002)
        return held

    monkeypatch.setattr(scene.sandbox, "balances", moving)
    await scene.tip()
    await scene.told()
    report = await scene.reconcile(grace=GRACE)
    assert found(report) == []
    assert report.entries == 3
