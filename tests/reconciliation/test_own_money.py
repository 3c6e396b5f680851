"""The platform's own money with the provider: settled once, matched with its line, and looked up where it is missing."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from core.clock import now
from ledger import AccountKind, chart
from providers.payments.base import BalanceEntry, BalanceKind, Subject
from services.fold import Contradiction
from services.reconciliation import DifferenceCode
from services.settlement import settle_batch
from tests.reconciliation.faults import paid
from tests.reconciliation.scene import Scene, found, only

LINES: Mapping[str, tuple[BalanceKind, int, int]] = {
    "txn_top_up": (BalanceKind.TOP_UP, 5_000, 0),
    "txn_payout": (BalanceKind.PLATFORM_PAYOUT, -3_000, 25),
    "txn_returned": (BalanceKind.PLATFORM_PAYOUT_RETURNED, 3_000, -25),
    "txn_bill": (BalanceKind.PROVIDER_FEE, -199, 0),
    "txn_bill_with_a_fee": (BalanceKind.PROVIDER_FEE, -10, 1),
    "txn_bill_back": (BalanceKind.PROVIDER_FEE, 99, 0),
    "txn_bill_of_nothing": (BalanceKind.PROVIDER_FEE, 0, 0),
}


def entry(name: str, kind: BalanceKind, amount: int, fee: int = 0, currency: str = "USD") -> BalanceEntry:
    at = now()
    return BalanceEntry(name, kind, Subject.BALANCE_ENTRY, name, amount, fee, amount - fee, currency, at, at)


def added(scene: Scene, *entries: BalanceEntry) -> None:
    """Let the provider have lines beside the sandbox's, and hold what they come to."""
    scene.provider.lines = lambda lines: [*lines, *entries]
    scene.provider.holds = lambda holds: {**holds, "USD": holds.get("USD", 0) + sum(each.net for each in entries)}
    scene.provider.answers.update({(Subject.BALANCE_ENTRY, each.id): [each] for each in entries})


async def balance(scene: Scene, spec: chart.AccountSpec) -> int:
    """Return what an account holds, all its stripes together."""
    return int(
        await scene.owner.fetchval(
            "select coalesce(sum(posted), 0) from ledger.account where code = $1 or stripe_of = "
            "(select id from ledger.account where code = $1)",
            spec.code,
        )
    )


async def groups(scene: Scene) -> int:
    return int(await scene.owner.fetchval("select count(*) from ledger.request"))


BANK = chart.platform(AccountKind.BANK, "USD")
FEES = chart.platform(AccountKind.PROVIDER_FEES, "USD")
HELD = chart.with_provider(AccountKind.BALANCE, "USD", "sandbox")


async def test_platforms_own_money_is_settled_once_and_matches_its_lines(scene: Scene) -> None:
    entries = [entry(name, *line) for name, line in LINES.items()]
    added(scene, *entries)
    for facts in (entries, entries[::-1], [*entries, *entries]):
        await scene.engine.settle(scene.engine, facts)
        assert found(await scene.reconcile()) == []
    assert await groups(scene) == len(entries) - 1
    assert await balance(scene, BANK) == 5_000 - 3_000 + 3_000
    assert await balance(scene, FEES) == -(25 - 25 + 199 + 11 - 99)
    assert await balance(scene, HELD) == -sum(each.net for each in entries)


async def test_own_money_nobody_told_of_is_looked_up_and_posted(scene: Scene) -> None:
    await paid(scene)
    entries = [entry(name, *line) for name, line in LINES.items()]
    added(scene, *entries)
    report = await scene.reconcile()
    missing = {each.about.id for each in report.differences if each.code is DifferenceCode.LINE_NOT_IN_LEDGER}
    assert missing == set(LINES) - {"txn_bill_of_nothing"}

    report = await scene.reconcile(mend=True)

    assert found(report) == []
    assert report.mended == len(missing) + 1  # and what they sum to
    assert {
        reference for subject, reference in scene.provider.asked if subject is Subject.BALANCE_ENTRY
    } == missing
    assert (await scene.reconcile(mend=True)).found == 0


async def test_line_that_disagrees_with_its_group_differs(scene: Scene) -> None:
    bill, payout = (
        entry("txn_bill", BalanceKind.PROVIDER_FEE, -199),
        entry("txn_payout", BalanceKind.PLATFORM_PAYOUT, -5, 1),
    )
    await scene.engine.settle(scene.engine, [bill, payout])
    added(scene, replace(bill, amount=-200, net=-200), replace(payout, kind=BalanceKind.PLATFORM_PAYOUT_RETURNED))
    report = await scene.reconcile()
    assert set(found(report)) == {
        ("LINE_DIFFERS", "txn_bill"),
        ("LINE_DIFFERS", "txn_payout"),
        ("BALANCE_DIFFERS", "USD"),
    }


async def test_line_about_anything_else_settles_nothing_and_stays_unexplained(scene: Scene) -> None:
    other = entry("txn_other", BalanceKind.OTHER, -25)
    added(scene, other)
    await scene.engine.settle(scene.engine, [other])
    assert await groups(scene) == 0
    assert found(await scene.reconcile(mend=True)) == [
        ("LINE_UNEXPLAINED", "txn_other"),
        ("BALANCE_DIFFERS", "USD"),
    ]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (entry("txn_wrong", BalanceKind.TOP_UP, 100, currency="XXB"), "XXB"),
        (entry("txn_wrong", BalanceKind.PLATFORM_PAYOUT, 100), "txn_wrong"),
    ],
)
async def test_line_that_cannot_be_posted_is_named_and_harms_no_other(
    scene: Scene, wrong: BalanceEntry, told: str
) -> None:
    good = entry("txn_good", BalanceKind.TOP_UP, 100)
    with pytest.raises(Contradiction, match=told):
        await scene.engine.settle(scene.engine, [good, wrong])
    assert await groups(scene) == 0

    async with scene.engine.database.transaction() as transaction:
        settled = await settle_batch(transaction, [wrong, good], provider="sandbox")
    assert [draft.key for draft in settled.drafts] == ["platform_top_up:sandbox:txn_good"]
    assert told in (settled.contradiction_of([wrong]) or "")
    assert settled.contradiction_of([good]) is None

    added(scene, wrong)
    scene.provider.holds = lambda _: {wrong.currency: wrong.net}
    report = await scene.reconcile(mend=True)
    assert told in (only(report, DifferenceCode.LINE_NOT_IN_LEDGER).failure or "")
    assert await groups(scene) == 0


@pytest.mark.parametrize(("currency", "state", "posted"), [("USD", "DONE", 1), ("XXB", "DEAD", 0)])
async def test_event_that_states_a_line_is_settled_or_given_up_with_the_reason(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, currency: str, state: str, posted: int
) -> None:
    stated = entry("txn_told", BalanceKind.TOP_UP, 100, currency=currency)
    await scene.tip()
    await scene.arrived()
    await scene.run("delete from inbox_events where id > (select min(id) from inbox_events)")
    monkeypatch.setattr(scene.sandbox, "translate", lambda _: [stated])
    await scene.settled()
    row = await scene.owner.fetchrow("select state, error from inbox_events")
    assert row["state"] == state
    assert ("XXB" in (row["error"] or "")) is (state == "DEAD")
    assert posted == await scene.owner.fetchval(
        "select count(*) from ledger.request where key = 'platform_top_up:sandbox:txn_told'"
    )
