"""The provider's books and the ledger, where matching them takes more than a look."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from core.clock import now
from core.ids import Noun, encode, uuid7
from ledger import AccountKind, chart
from providers.payments.base import BalanceEntry, BalanceKind
from services.reconciliation import Check, DifferenceCode, comparing
from services.reconciliation.mending import UNCHANGED
from tests.reconciliation.faults import paid, pay
from tests.reconciliation.scene import Scene, found, only
from tests.support.edited_provider import silence


async def lines(scene: Scene) -> list[BalanceEntry]:
    return [entry async for entry in scene.sandbox.balance_entries(now() - timedelta(days=1))]


async def test_group_taken_back_by_a_correction_matches_no_line(scene: Scene) -> None:
    await paid(scene)
    (line,) = await lines(scene)
    await scene.post(
        chart.Draft.undoing(f"charge:sandbox:{line.id}", "correction:1", kind="correction", reference=uuid7())
    )
    report = await scene.reconcile(mend=True)
    assert ("LINE_NOT_IN_LEDGER", line.id) in found(report)
    # The key of the mistake stands for what was posted then: posting it again is up to a person.
    assert only(report, DifferenceCode.LINE_NOT_IN_LEDGER).failure == UNCHANGED


async def test_line_of_another_kind_than_its_group_differs(scene: Scene) -> None:
    await paid(scene)
    scene.provider.lines = lambda entries: [replace(entry, kind=BalanceKind.REFUND_RETURNED) for entry in entries]
    (line,) = await lines(scene)
    assert found(await scene.reconcile()) == [("LINE_DIFFERS", line.id)]


async def test_line_in_another_currency_than_its_group_differs(scene: Scene) -> None:
    await paid(scene)
    (line,) = await lines(scene)
    scene.provider.lines = lambda entries: [replace(entry, currency="EUR") for entry in entries]
    scene.provider.holds = lambda holds: {"EUR": holds["USD"]}
    assert set(found(await scene.reconcile())) == {
        ("LINE_DIFFERS", line.id),
        ("BALANCE_DIFFERS", "EUR"),
        ("BALANCE_DIFFERS", "USD"),
    }


async def test_settlement_in_another_currency_waits_in_suspense_and_matches_its_line(scene: Scene) -> None:
    await paid(scene)
    (line,) = await lines(scene)
    foreign = replace(line, id="txn_foreign", currency="EUR", amount=900, fee=20, net=880)
    scene.provider.lines = lambda entries: [*entries, foreign]
    scene.provider.holds = lambda holds: {**holds, "EUR": 880}
    await scene.post(
        chart.foreign_settlement(
            provider="sandbox", balance_transaction="txn_foreign", asset="EUR", gross=900, provider_fee=20
        )
    )
    report = await scene.reconcile()
    assert found(report) == [("SETTLED_IN_OTHER_CURRENCY", "platform:suspense:EUR")]
    assert only(report, DifferenceCode.SETTLED_IN_OTHER_CURRENCY).found == 900


async def test_books_of_another_provider_are_none_of_this_ones(scene: Scene) -> None:
    await paid(scene)
    await scene.post(
        chart.charge(provider="elsewhere", balance_transaction="txn_1", asset="USD", gross=100, provider_fee=3)
    )
    assert found(await scene.reconcile()) == []


async def test_each_line_is_matched_however_many_there_are_and_in_whatever_currency(scene: Scene) -> None:
    for currency in ("USD", "JPY", "KWD"):
        for number in range(3):
            await scene.tip(1_000 + number, currency=currency)
    await scene.told()
    report = await scene.reconcile()
    assert found(report) == []
    assert report.entries == 9
    first, *_ = await lines(scene)
    scene.provider.lines = lambda entries: [entry for entry in entries if entry.id != first.id]
    report = await scene.reconcile()
    assert {each.code for each in report.differences} == {
        DifferenceCode.GROUP_NOT_IN_BOOKS,
        DifferenceCode.BALANCE_DIFFERS,
        DifferenceCode.BOOKS_DO_NOT_SUM,
    }


async def test_since_judges_what_came_later_and_matches_it_with_what_came_a_little_before(scene: Scene) -> None:
    await scene.tip()
    await scene.told()
    await scene.later(days=10)
    since = now() - timedelta(days=1)
    await scene.tip()
    await scene.told()
    old, new = await lines_of_all_time(scene)
    assert found(await scene.reconcile(since=since)) == []

    # Older than what is judged, on either side.
    scene.provider.lines = lambda entries: [entry for entry in entries if entry.id != old.id]
    assert found(await scene.reconcile(since=since)) == []
    scene.provider.lines = lambda entries: [entry for entry in entries if entry.id != new.id]
    report = await scene.reconcile(since=since)
    assert found(report) == [("GROUP_NOT_IN_BOOKS", new.id)]
    assert "not compared as a whole" in report.result(Check.BALANCE).note


async def lines_of_all_time(scene: Scene) -> list[BalanceEntry]:
    return [entry async for entry in scene.sandbox.balance_entries(now() - timedelta(days=100))]


async def test_books_that_break_off_are_not_matched_at_all(scene: Scene) -> None:
    await paid(scene)

    def breaks_off(entries: list[BalanceEntry]):
        yield from entries[:0]
        raise silence()

    scene.provider.lines = breaks_off
    report = await scene.reconcile()
    assert found(report) == [("PROVIDER_SILENT", "books"), ("PROVIDER_SILENT", "balance")]


async def test_capture_posted_for_no_payment_is_found(scene: Scene) -> None:
    nobody = uuid7()
    await scene.post(
        chart.capture(
            payment=nobody, creator_id=scene.creator, provider="sandbox", asset="USD", net=90, fee=10, tax=0
        )
    )
    report = await scene.reconcile()
    assert found(report) == [("CAPTURE_NOT_CAPTURED", pay(nobody))]
    difference = only(report, DifferenceCode.CAPTURE_NOT_CAPTURED)
    assert (difference.expected, difference.found, difference.currency) == (0, 100, "USD")


async def test_what_is_in_clearing_for_nobody_is_told_by_its_account(scene: Scene) -> None:
    clearing = chart.with_provider(AccountKind.CLEARING, "USD", "sandbox")
    borne = chart.platform(AccountKind.CHARGEBACKS, "USD")
    await scene.post(chart.Draft.of("correction:1", chart.Line(clearing, borne, 5, "correction", None)))
    assert found(await scene.reconcile()) == []
    await scene.later(days=8)
    report = await scene.reconcile()
    assert found(report) == [("CLEARING_OPEN", "sandbox:clearing:USD")]
    assert only(report, DifferenceCode.CLEARING_OPEN).found == 5


async def test_more_differences_than_are_listed_are_counted(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "LISTED", 2)
    payments: list[UUID] = [await paid(scene) for _ in range(3)]
    await scene.run("delete from tips")
    report = await scene.reconcile()
    items = report.result(Check.ITEMS)
    assert [each.about.id for each in items.differences] == [
        encode(Noun.PAYMENT, key) for key in sorted(payments)[:2]
    ]
    assert (items.more, items.standing, report.found) == (1, 3, 3)
    assert not report.clean
