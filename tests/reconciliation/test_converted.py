"""What the provider converted: it waits in suspense with an alarm, and people book its conversion."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from core.clock import now
from core.ids import uuid7
from ledger import AccountKind, chart
from providers.payments.base import (
    BalanceKind,
    BalanceMove,
    ChargeFact,
    DisputeFact,
    DisputeState,
    RefundFact,
    RefundState,
    Subject,
)
from services.fold import Contradiction
from services.reconciliation import DifferenceCode
from tests.reconciliation.faults import paid, pay
from tests.reconciliation.faults_of_books import converted, line
from tests.reconciliation.scene import Scene, found, only

ALARM = "provider settled in another currency"
SUSPENSE = chart.platform(AccountKind.SUSPENSE, "EUR")
CLEARING = chart.with_provider(AccountKind.CLEARING, "USD", "sandbox")


async def balance(scene: Scene, spec: chart.AccountSpec) -> int:
    """Return what an account holds, all its stripes together."""
    return int(
        await scene.owner.fetchval(
            "select coalesce(sum(posted), 0) from ledger.account where code = $1 or stripe_of = "
            "(select id from ledger.account where code = $1)",
            spec.code,
        )
    )


def refunded(payment: UUID, state: RefundState, at: datetime, *, returned: bool = False) -> RefundFact:
    return RefundFact(
        payment, None, "re_euros", state, at, 1_000, "USD",
        balance_transaction="txn_refund",
        return_transaction="txn_back" if returned else None,
        converted=BalanceMove("txn_refund", 930, 0, "EUR"),
        return_converted=BalanceMove("txn_back", 925, 0, "EUR") if returned else None,
    )  # fmt: skip


def disputed(payment: UUID, state: DisputeState, at: datetime, *, won: bool = False) -> DisputeFact:
    return DisputeFact(
        payment, "dp_euros", state, at, 1_000, "USD", "fraudulent",
        withdrawal=BalanceMove("txn_taken", 930, 1_400, "EUR"),
        reinstatement=BalanceMove("txn_given", 925, 1_400, "EUR") if won else None,
    )  # fmt: skip


async def added(scene: Scene, **lines: tuple[str, int, int]) -> None:
    """Let the provider's books have lines in euros beside the sandbox's: kind, amount and fee of each."""
    at = now()
    before, held = scene.provider.lines, scene.provider.holds
    first = await line(scene)
    entries = [
        replace(
            first, id=name, kind=BalanceKind(kind), amount=amount, fee=fee, net=amount - fee, currency="EUR", at=at
        )
        for name, (kind, amount, fee) in lines.items()
    ]

    def holds(inner: dict[str, int]) -> Mapping[str, int]:
        known = held(inner)
        return {**known, "EUR": known.get("EUR", 0) + sum(each.net for each in entries)}

    scene.provider.lines = lambda inner: [*before(inner), *entries]
    scene.provider.holds = holds


async def test_payment_settled_in_another_currency_succeeds_and_matures_as_ever(scene: Scene) -> None:
    with capture_logs() as logs:
        payment = await converted(scene)
    row = await scene.row("payments", payment)
    assert row["status"] == "SUCCEEDED"
    assert None not in {row["available_on"], row["matures_at"]}
    assert [log["log_level"] for log in logs if log["event"] == ALARM] == ["error"]
    assert (await balance(scene, SUSPENSE), await balance(scene, CLEARING)) == (920, -1_000)
    await scene.later(days=8)
    await scene.matured()
    assert (await scene.row("payments", payment))["matured_at"] is not None
    await scene.relayed()
    report = await scene.reconcile(mend=True)
    assert set(found(report)) == {("SETTLED_IN_OTHER_CURRENCY", pay(payment)), ("CLEARING_OPEN", pay(payment))}
    difference = only(report, DifferenceCode.SETTLED_IN_OTHER_CURRENCY)
    assert (difference.found, difference.currency) == (920, "EUR")

    quote = chart.ConversionQuote(sold=920, bought=1_000, spread=0)
    await scene.post(
        chart.conversion(conversion=uuid7(), sell=SUSPENSE, buy=CLEARING, quote=quote, reference=payment)
    )

    assert (await balance(scene, SUSPENSE), await balance(scene, CLEARING)) == (0, 0)
    await scene.later(days=8)
    assert found(await scene.reconcile()) == []


async def test_conversion_told_again_is_posted_and_cried_out_once(scene: Scene) -> None:
    payment = await converted(scene)
    reference = (await scene.row("payments", payment))["provider_reference"]
    facts = [
        replace(fact, gross=920, fee=40, currency="EUR")
        for fact in await scene.sandbox.fetch(Subject.PAYMENT, reference)
        if isinstance(fact, ChargeFact)
    ]
    with capture_logs() as logs:
        await scene.engine.settle(scene.engine, facts)
    assert [log for log in logs if log["event"] == ALARM] == []
    assert (await balance(scene, SUSPENSE), await balance(scene, CLEARING)) == (920, -1_000)


async def test_charge_in_a_currency_that_is_no_asset_is_refused_by_name(scene: Scene) -> None:
    await scene.tip()
    reference = (await line(scene)).provider_reference or ""
    facts = [
        replace(fact, gross=920, fee=40, currency="XXB") if isinstance(fact, ChargeFact) else fact
        for fact in await scene.sandbox.fetch(Subject.PAYMENT, reference)
    ]
    before = await scene.state()
    with pytest.raises(Contradiction, match="XXB"):
        await scene.engine.settle(scene.engine, facts)
    assert await scene.state() == before


async def test_charge_of_nothing_in_another_currency_cannot_be_true(scene: Scene) -> None:
    await scene.tip()
    reference = (await line(scene)).provider_reference or ""
    facts = [
        replace(fact, gross=0, currency="EUR") if isinstance(fact, ChargeFact) else fact
        for fact in await scene.sandbox.fetch(Subject.PAYMENT, reference)
    ]
    with pytest.raises(Contradiction, match="charged"):
        await scene.engine.settle(scene.engine, facts)


async def test_refund_settled_in_another_currency_waits_as_well_until_it_is_converted(scene: Scene) -> None:
    payment = await paid(scene)
    await added(scene, txn_refund=("REFUND", -930, 0))
    with capture_logs() as logs:
        for _ in range(2):
            await scene.engine.settle(scene.engine, [refunded(payment, RefundState.SUCCEEDED, now())])
    assert len([log for log in logs if log["event"] == ALARM]) == 1
    assert (await scene.row("payments", payment))["status"] == "REFUNDED"
    assert (await balance(scene, SUSPENSE), await balance(scene, CLEARING)) == (-930, 1_000)
    assert found(await scene.reconcile()) == [("SETTLED_IN_OTHER_CURRENCY", pay(payment))]

    refund = await scene.owner.fetchval("select id from refunds")
    quote = chart.ConversionQuote(sold=1_000, bought=930, spread=0)
    await scene.post(
        chart.conversion(conversion=uuid7(), sell=CLEARING, buy=SUSPENSE, quote=quote, reference=refund)
    )
    assert found(await scene.reconcile()) == []


async def test_refund_that_fails_after_it_was_converted_gives_back_what_it_took(scene: Scene) -> None:
    payment = await paid(scene)
    await added(scene, txn_refund=("REFUND", -930, 0), txn_back=("REFUND_RETURNED", 925, 0))
    await scene.engine.settle(scene.engine, [refunded(payment, RefundState.SUCCEEDED, now())])
    await scene.engine.settle(scene.engine, [refunded(payment, RefundState.FAILED, now(), returned=True)])
    assert (await scene.row("payments", payment))["status"] == "SUCCEEDED"
    assert (await balance(scene, SUSPENSE), await balance(scene, CLEARING)) == (-5, 0)
    assert found(await scene.reconcile()) == [("SETTLED_IN_OTHER_CURRENCY", pay(payment))]


async def test_dispute_settled_in_another_currency_is_won_as_ever(scene: Scene) -> None:
    payment = await paid(scene)
    await added(scene, txn_taken=("DISPUTE_WITHDRAWN", -930, 1_400))
    await scene.engine.settle(scene.engine, [disputed(payment, DisputeState.NEEDS_RESPONSE, now())])
    assert (await scene.row("payments", payment))["status"] == "DISPUTED"
    assert (await balance(scene, SUSPENSE), await balance(scene, CLEARING)) == (-930, 1_000)
    report = await scene.reconcile()
    # The sandbox knows nothing of the dispute.
    assert set(found(report)) - {("DISPUTE_UNKNOWN", only(report, DifferenceCode.DISPUTE_UNKNOWN).about.id)} == {
        ("SETTLED_IN_OTHER_CURRENCY", pay(payment))
    }

    await added(scene, txn_given=("DISPUTE_WON", 925, -1_400))
    await scene.engine.settle(scene.engine, [disputed(payment, DisputeState.WON, now(), won=True)])
    assert (await scene.row("payments", payment))["status"] == "SUCCEEDED"
    assert (await balance(scene, SUSPENSE), await balance(scene, CLEARING)) == (-5, 0)
    assert await balance(scene, chart.platform(AccountKind.DISPUTE_FEES, "EUR")) == 0
    assert found(await scene.reconcile()) == [("SETTLED_IN_OTHER_CURRENCY", pay(payment))]


@pytest.mark.parametrize("key", ["dispute:%:taken", "foreign_settlement:%"])
async def test_converted_dispute_of_which_a_half_is_not_posted_differs(scene: Scene, key: str) -> None:
    payment = await paid(scene)
    await scene.engine.settle(scene.engine, [disputed(payment, DisputeState.NEEDS_RESPONSE, now())])
    await scene.run("set session_replication_role = replica")
    await scene.run("update ledger.request set key = 'else' where key like $1", key)
    report = await scene.reconcile()
    assert DifferenceCode.DISPUTE_POSTING_DIFFERS in {each.code for each in report.differences}


async def test_converted_refund_whose_line_is_not_posted_differs(scene: Scene) -> None:
    payment = await paid(scene)
    await scene.engine.settle(scene.engine, [refunded(payment, RefundState.SUCCEEDED, now())])
    await scene.run("set session_replication_role = replica")
    await scene.run("update ledger.request set key = 'else' where key like 'foreign_settlement:%'")
    report = await scene.reconcile()
    assert DifferenceCode.REFUND_TRANSACTION_NOT_POSTED in {each.code for each in report.differences}
