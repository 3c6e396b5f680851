"""What Stripe does not tell, or tells so that it cannot be read: nothing else waits for it, and it is learnt of."""

from datetime import timedelta
from typing import Any, Final

from core import clock
from providers.payments.base import LookUp, Subject
from services import look_ups
from services.inbox_events import Verdict
from tests.stripe.desk import Desk
from tests.support.stripe.books import enter

_ANOTHER_VERSION: Final = "2025-01-27.acacia"


async def inquired(desk: Desk, payment: str, status: str) -> dict[str, Any]:
    """Let the payer's bank ask about a payment and take nothing; return the dispute as Stripe keeps it."""
    rows = desk.stripe.store.rows
    dispute = rows[desk.stripe.open_dispute(await desk.intent(payment))].body
    for line in dispute["balance_transactions"]:
        del rows[line]
    dispute |= {"status": status, "balance_transactions": []}
    rows[dispute["charge"]].body["disputed"] = False
    await desk.tell()
    return dispute


def withdrawn(desk: Desk, dispute: dict[str, Any]) -> None:
    """Let an inquiry become a chargeback: the money is taken, and evidence is asked for anew."""
    store = desk.stripe.store
    store.clock.tick()
    line = enter(
        store, "adjustment", -dispute["amount"], dispute, category="dispute", fee=store.settings.dispute_fee
    )
    dispute |= {"status": "needs_response", "balance_transactions": [line["id"]]}
    store.rows[dispute["charge"]].body["disputed"] = True
    store.tell("charge.dispute.funds_withdrawn", dispute)


async def status_of_dispute(desk: Desk) -> str:
    return str(await desk.world.scalar("select status from disputes"))


# Disputes -------------------------------------------------------------------------------------------------


async def test_inquiry_whose_end_was_not_told_is_learnt_of(desk: Desk) -> None:
    payment = await desk.paid("10.00")
    dispute = await inquired(desk, payment, "warning_needs_response")
    assert (await status_of_dispute(desk), await desk.world.status(payment)) == ("NEEDS_RESPONSE", "DISPUTED")

    dispute["status"] = "warning_closed"
    desk.tell_nobody()
    await desk.sweep()
    assert (await status_of_dispute(desk), await desk.world.status(payment)) == ("WON", "SUCCEEDED")
    await desk.prove()


async def test_inquiry_that_was_answered_and_becomes_a_chargeback_can_be_answered(desk: Desk) -> None:
    payment = await desk.paid("10.00")
    dispute = await inquired(desk, payment, "warning_under_review")
    assert await status_of_dispute(desk) == "UNDER_REVIEW"
    assert await desk.world.scalar("select withdrawn from disputes") is None

    withdrawn(desk, dispute)
    await desk.tell()
    assert await status_of_dispute(desk) == "NEEDS_RESPONSE"
    assert await desk.world.scalar("select withdrawn from disputes") == 1000
    assert await desk.world.status(payment) == "DISPUTED"
    await desk.prove()


# What Stripe tells ----------------------------------------------------------------------------------------


async def test_object_that_cannot_be_read_holds_up_no_other(desk: Desk) -> None:
    readable = [LookUp(Subject.PAYMENT, await desk.intent(await desk.paid("3.00"))) for _ in range(9)]
    dispute = desk.stripe.open_dispute(await desk.intent(await desk.paid("10.00")))
    body = desk.stripe.store.rows[dispute].body
    body["status"] = "something_new"
    unreadable = LookUp(Subject.DISPUTE, dispute)

    until = clock.now() + timedelta(minutes=5)
    answered = await look_ups.ask(desk.engine, [unreadable, *readable], until)
    assert set(answered) == {unreadable, *readable}
    failed = {look_up: answer for look_up, answer in answered.items() if isinstance(answer, look_ups.Failure)}
    assert failed == {unreadable: look_ups.Failure("look-up: MISCONFIGURED", Verdict.LATER)}
    assert await desk.world.scalar("select count(*) from disputes") == 0

    desk.stripe.mistakes.clear()  # of the status, which it knows as little as we do
    body["status"] = "needs_response"
    await desk.tell()
    assert await status_of_dispute(desk) == "NEEDS_RESPONSE"
    await desk.prove()


async def test_event_that_comes_in_another_version_first_is_settled_by_the_same_event_in_ours(desk: Desk) -> None:
    """Two endpoints stand side by side while the version is changed, and each event comes in both."""
    payment = await desk.paid("10.00")
    await desk.dashboard("refunds", payment_intent=await desk.intent(payment))
    events = desk.sent()
    for event in events:
        assert await desk.post({**event, "api_version": _ANOTHER_VERSION}) == 200
    await desk.settle()
    assert await desk.states("QUARANTINED") == len(events)
    assert await desk.world.status(payment) == "SUCCEEDED"

    for event in events:
        assert await desk.post(event) == 200
    await desk.settle()
    assert await desk.states("QUARANTINED") == len(events)
    assert await desk.world.status(payment) == "REFUNDED"
    await desk.prove()


async def test_what_stripe_takes_from_the_platforms_bank_is_booked(desk: Desk) -> None:
    await desk.paid("10.00")
    desk.stripe.platform_payout(-500)
    await desk.tell()
    assert await desk.held("bank") == 500
    await desk.prove()
