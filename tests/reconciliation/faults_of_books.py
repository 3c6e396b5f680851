"""Faults between the provider's books and the ledger, of what was told, and of the ledger itself."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from core.clock import now
from ledger import AccountKind, chart
from providers.payments.base import BalanceEntry, BalanceKind, ChargeFact, Subject
from services.reconciliation import DifferenceCode as Code
from services.reconciliation import Limits
from tests.reconciliation.faults import fault, paid, pay
from tests.reconciliation.scene import Scene


async def line(scene: Scene) -> BalanceEntry:
    """Return the one line there is in the provider's books."""
    (entry,) = [entry async for entry in scene.sandbox.balance_entries(now() - timedelta(days=1))]
    return entry


async def converted(scene: Scene) -> UUID:
    """Let a tip of ten dollars come in as 9.20 euros, less a fee of 0.40; return the payment's id."""
    payment = await scene.tip()
    await scene.arrived()
    await scene.run("update inbox_events set state = 'DONE'")
    whole = await line(scene)
    settled = replace(whole, amount=920, fee=40, net=880, currency="EUR")
    scene.provider.lines = lambda entries: [settled if entry.id == whole.id else entry for entry in entries]
    scene.provider.holds = lambda holds: {**holds, "USD": holds["USD"] - whole.net, "EUR": 880}
    facts = [
        replace(fact, gross=920, fee=40, currency="EUR") if isinstance(fact, ChargeFact) else fact
        for fact in await scene.sandbox.fetch(Subject.PAYMENT, whole.provider_reference or "")
    ]
    await scene.engine.settle(scene.engine, facts, look_up_at=None)
    return payment


@fault(Code.PROVIDER_SILENT)
async def provider_is_away(scene: Scene) -> str:
    await paid(scene)
    scene.provider.silent.add("balance_entries")
    return "books"


@fault(Code.LINE_NOT_IN_LEDGER, Code.BALANCE_DIFFERS, Code.EVENT_MISSED, Code.PAYMENT_OUTDATED, safe=True)
async def nothing_was_told_of_a_charge(scene: Scene) -> str:
    await scene.tip()
    return (await line(scene)).id


@fault(Code.LINE_UNEXPLAINED, Code.BALANCE_DIFFERS)
async def provider_takes_a_fee_of_its_own(scene: Scene) -> str:
    await paid(scene)
    at = (await line(scene)).at
    own = BalanceEntry("txn_own", BalanceKind.OTHER, None, None, -25, 0, -25, "USD", at, at)
    scene.provider.lines = lambda lines: [*lines, own]
    scene.provider.holds = lambda holds: {"USD": holds["USD"] - 25}
    return "txn_own"


@fault(Code.LINE_DIFFERS, Code.BALANCE_DIFFERS)
async def provider_took_a_larger_fee_than_it_told(scene: Scene) -> str:
    await paid(scene)
    scene.provider.lines = lambda lines: [replace(entry, fee=entry.fee + 1, net=entry.net - 1) for entry in lines]
    scene.provider.holds = lambda holds: {"USD": holds["USD"] - 1}
    return (await line(scene)).id


@fault(Code.GROUP_NOT_IN_BOOKS, Code.BALANCE_DIFFERS)
async def provider_has_no_line_for_what_it_told(scene: Scene) -> str:
    await paid(scene)
    scene.provider.lines = lambda _: []
    scene.provider.holds = lambda _: {}
    return (await line(scene)).id


@fault(Code.BOOKS_DO_NOT_SUM)
async def provider_holds_more_than_its_lines_say(scene: Scene) -> str:
    await paid(scene)
    scene.provider.holds = lambda holds: {"USD": holds["USD"] + 1}
    return "USD"


@fault(Code.BALANCE_DIFFERS, Code.INVARIANT_BROKEN)
async def ledger_holds_more_than_its_groups_say(scene: Scene) -> str:
    await paid(scene)
    await scene.run(
        "update ledger.account set posted = posted - 1 where code = 'sandbox:balance:USD' or stripe_of = "
        "(select id from ledger.account where code = 'sandbox:balance:USD')"
    )
    return "USD"


@fault(Code.SETTLED_IN_OTHER_CURRENCY)
async def provider_settled_in_euros(scene: Scene) -> str:
    return pay(await converted(scene))


@fault(Code.EVENT_MISSED, safe=True)
async def event_never_arrived(scene: Scene) -> str:
    await paid(scene)
    event = await scene.owner.fetchval("select max(event_id) from inbox_events")
    await scene.run("delete from inbox_events where event_id = $1", event)
    return str(event)


@fault(Code.EVENT_DEAD)
async def event_was_given_up(scene: Scene) -> str:
    await paid(scene)
    event = await scene.owner.fetchval("select max(event_id) from inbox_events")
    await scene.run("update inbox_events set state = 'DEAD', error = 'poison' where event_id = $1", event)
    return str(event)


@fault(Code.EVENT_QUARANTINED)
async def event_was_not_for_us(scene: Scene) -> str:
    await paid(scene)
    event = await scene.owner.fetchval("select max(event_id) from inbox_events")
    sql = "update inbox_events set state = 'QUARANTINED', error = 'FOREIGN MODE' where event_id = $1"
    await scene.run(sql, event)
    return str(event)


@fault(Code.EVENT_PENDING, limits=Limits(event=timedelta(0)))
async def event_waits_for_a_worker(scene: Scene) -> str:
    await paid(scene)
    event = await scene.owner.fetchval("select max(event_id) from inbox_events")
    await scene.run("update inbox_events set state = 'PENDING' where event_id = $1", event)
    return str(event)


@fault(Code.OUTBOX_NOT_RELAYED, limits=Limits(outbox=timedelta(0)))
async def nobody_relays(scene: Scene) -> str:
    await paid(scene)
    return "outbox_events"


@fault(Code.INVARIANT_BROKEN)
async def somebody_wrote_a_balance(scene: Scene) -> str:
    await paid(scene)
    # Two at once, so that the sum over all accounts still is zero.
    await scene.run("update ledger.account set posted = posted + 1 where kind = 'pending'")
    await scene.run(
        "update ledger.account set posted = posted - 1 where id = (select min(id) from ledger.account where kind = 'fees')"
    )
    return "balance_is_fold_of_movements"


@fault(Code.CLEARING_OPEN, limits=Limits(clearing=timedelta(0)))
async def money_stays_in_clearing(scene: Scene) -> str:
    payment = await paid(scene)
    await scene.post(correction(payment))
    return pay(payment)


def correction(reference: UUID) -> chart.Draft:
    """Return a group that takes something out of clearing which nobody put there."""
    clearing = chart.with_provider(AccountKind.CLEARING, "USD", "sandbox")
    borne = chart.platform(AccountKind.CHARGEBACKS, "USD")
    return chart.Draft.of("correction:1", chart.Line(clearing, borne, 5, "correction", reference))
