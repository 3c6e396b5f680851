"""Faults of payments, of what they are for, and of what they earn."""

from datetime import timedelta
from uuid import UUID

from core.clock import now
from core.ids import Noun, encode, uuid7
from ledger import chart
from ledger.chart import Split
from providers.payments.base import CancelPayment, Subject
from services import payments
from services.reconciliation import DifferenceCode as Code
from services.reconciliation import Limits
from tests.reconciliation.faults import fault, paid, pay
from tests.reconciliation.scene import Scene
from tests.support.shared_payments import SharedPayment, make_creator, make_shared_payment


async def reference(scene: Scene, payment: UUID) -> str:
    return str((await scene.row("payments", payment))["provider_reference"])


@fault(Code.CAPTURE_NOT_POSTED, Code.PAYMENT_EVENTS_DIFFER, Code.EARNINGS_DIFFER)
async def somebody_called_a_payment_captured(scene: Scene) -> str:
    payment = await scene.tip(method=None)
    await scene.told()
    await scene.run(
        "update payments set status = 'SUCCEEDED', provider_state = 'SUCCEEDED', captured = gross, "
        "succeeded_at = now(), available_on = now() where id = $1",
        payment,
    )
    return pay(payment)


@fault(Code.CAPTURE_NOT_CAPTURED)
async def open_payment_was_posted_as_captured(scene: Scene) -> str:
    payment = await scene.tip(method=None)
    await scene.told()
    await scene.post(
        chart.capture(
            payment=payment,
            creator_id=scene.creator,
            provider="sandbox",
            asset="USD",
            net=950,
            fee=50,
            tax=0,
        )
    )
    return pay(payment)


@fault(Code.CAPTURE_AMOUNT_DIFFERS)
async def less_was_captured_than_is_posted(scene: Scene) -> str:
    payment = await paid(scene)
    await scene.run("update payments set captured = captured - 1 where id = $1", payment)
    return pay(payment)


@fault(
    Code.CHARGE_MISSING,
    Code.LINE_NOT_IN_LEDGER,
    Code.BALANCE_DIFFERS,
    Code.EVENT_MISSED,
    safe=True,
    limits=Limits(charge=timedelta(0)),
)
async def charge_was_never_told(scene: Scene) -> str:
    payment = await scene.tip()
    await scene.arrived()
    await scene.run("delete from inbox_events where type like 'charge.%'")
    await scene.settled()
    return pay(payment)


@fault(Code.PAYMENT_STATUS_DIFFERS, Code.PAYMENT_EVENTS_DIFFER)
async def somebody_set_a_status(scene: Scene) -> str:
    payment = await paid(scene)
    await scene.run("update payments set status = 'PROCESSING' where id = $1", payment)
    return pay(payment)


@fault(Code.PAYMENT_EVENTS_DIFFER)
async def event_of_a_payment_is_gone(scene: Scene) -> str:
    payment = await paid(scene)
    await scene.untriggered("delete from payment_events where payment_id = $1 and sequence = 1", payment)
    return pay(payment)


@fault(Code.PAYMENT_RETURNS_DIFFER)
async def more_was_returned_than_refunds_say(scene: Scene) -> str:
    payment = await paid(scene)
    await scene.run("update payments set returned_fee = 1 where id = $1", payment)
    return pay(payment)


@fault(Code.PAYMENT_OUTDATED, Code.EVENT_MISSED, safe=True)
async def payment_was_cancelled_at_the_provider(scene: Scene) -> str:
    payment = await scene.tip(method=None)
    await scene.told()
    await scene.sandbox.cancel(CancelPayment(str(uuid7()), await reference(scene, payment)))
    return pay(payment)


@fault(Code.PAYMENT_STUCK, limits=Limits(processing=timedelta(0)))
async def payment_is_processed_for_ever(scene: Scene) -> str:
    return pay(await paid(scene, method="tok_processing"))


@fault(Code.PAYMENT_UNKNOWN)
async def provider_forgot_a_payment(scene: Scene) -> str:
    payment = await scene.tip(method=None)
    await scene.told()
    scene.provider.answers[Subject.PAYMENT, await reference(scene, payment)] = None
    return pay(payment)


@fault(Code.ITEM_MISSING)
async def tip_is_gone(scene: Scene) -> str:
    payment = await paid(scene)
    await scene.run("delete from tips where payment_id = $1", payment)
    return pay(payment)


@fault(Code.ITEM_OF_OTHER_KIND)
async def tip_is_paid_for_as_a_purchase(scene: Scene) -> str:
    payment = await scene.tip(method=None)
    await scene.told()
    await scene.run("update payments set kind = 'purchase' where id = $1", payment)
    return pay(payment)


@fault(Code.ITEM_CREATOR_DIFFERS)
async def tip_is_another_creators(scene: Scene) -> str:
    payment, other = await paid(scene), uuid7()
    await scene.run(
        "insert into creators (id, user_id, handle, display_name, plan, state, created_at, updated_at) "
        "values ($1, $2, 'other', 'Other', 'standard', 'active', $3, $3)",
        other,
        scene.payer.user_id,
        now(),
    )
    await scene.run("update tips set creator_id = $2 where payment_id = $1", payment, other)
    return pay(payment)


@fault(Code.SHARES_DIFFER)
async def share_gave_back_more_than_its_payment_says(scene: Scene) -> str:
    made = await shared(scene)
    await scene.run("update payment_shares set returned_fee = 1 where id = $1", made.shares[0])
    return pay(made.id)


@fault(Code.SHARE_POSTING_DIFFERS, Code.EARNINGS_DIFFER)
async def creators_changed_a_cent_between_them(scene: Scene) -> str:
    made = await shared(scene)
    await scene.run(
        "update payment_shares set net = net + case id when $1 then 1 else -1 end, "
        "gross = gross + case id when $1 then 1 else -1 end where payment_id = $2",
        made.shares[0],
        made.id,
    )
    return pay(made.id)


async def shared(scene: Scene) -> SharedPayment:
    """Pay an order of two creators."""
    assert scene.payer.user_id is not None
    other, _ = await make_creator(scene.owner, "other")
    splits = [(scene.creator, Split(900, 60, 40)), (other, Split(450, 30, 20))]
    made = await make_shared_payment(scene.owner, scene.payer.user_id, splits)
    await payments.resume(scene.engine, made.id, fresh=True)
    await scene.confirm(made.id, "tok_success")
    await scene.told()
    return made


async def order_of(scene: Scene, payment: UUID) -> UUID:
    found: UUID = await scene.owner.fetchval("select id from orders where payment_id = $1", payment)
    return found


@fault(Code.STOCK_NOT_RELEASED, Code.STOCK_LEVEL_DIFFERS)
async def cancelled_purchase_keeps_its_stock(scene: Scene) -> str:
    payment = await scene.buy(None)
    await scene.cancel(payment)
    await scene.told()
    await scene.run("update stock_reservations set state = 'HELD'")
    return encode(Noun.ORDER, await order_of(scene, payment))


@fault(Code.STOCK_RELEASED_WRONGLY)
async def paid_purchase_lost_its_stock(scene: Scene) -> str:
    payment = await scene.buy()
    await scene.told()
    await scene.run("update stock_reservations set state = 'RELEASED'")
    return encode(Noun.ORDER, await order_of(scene, payment))


@fault(Code.STOCK_SOLD_WRONGLY)
async def cancelled_purchase_took_its_stock(scene: Scene) -> str:
    payment = await scene.buy(None)
    await scene.cancel(payment)
    await scene.told()
    await scene.run("update stock_reservations set state = 'TAKEN'")
    return encode(Noun.ORDER, await order_of(scene, payment))


@fault(Code.STOCK_LEVEL_DIFFERS)
async def thing_was_lost_without_a_word(scene: Scene) -> str:
    variant: UUID = await scene.owner.fetchval(
        "update stock_levels set on_hand = on_hand - 1 returning variant_id"
    )
    return encode(Noun.VARIANT, variant)


@fault(Code.EARNINGS_DIFFER)
async def day_shows_too_much(scene: Scene) -> str:
    await paid(scene)
    day = await scene.owner.fetchval("update earning_days set net = net + 1 returning day")
    return f"{encode(Noun.CREATOR, scene.creator)}/USD/{day}/tip"
