"""The way of money on Stripe, from the payer's click to the books.

Each ends with the books proven, and with Stripe, the ledger and the business telling the same.
"""

import random
from datetime import timedelta

import pytest

from app.postgres import Lease
from core import clock
from core.ids import Noun
from services import inbox, maturing, reconciliation
from services.reconciliation import DifferenceCode
from tests.api.shop import ask, do, usd
from tests.stripe.desk import ASKS, DECLINED, GOOD, Desk, open_desk
from tests.support.databases import fresh_database

EVIDENCE = {"productDescription": "An evening of songs.", "customerName": "Sam Supporter"}
DISPUTE = "query ($id: ID!) { dispute(id: $id) { status evidenceSubmittedAt amount { amount } } }"


# Payments ---------------------------------------------------------------------------------------------------


async def test_tip_is_paid_at_once_and_its_fee_is_learnt_afterwards(desk: Desk) -> None:
    desk.stripe.settings.fees_held_back = True
    payment = await desk.paid("10.00")
    (intent,) = desk.objects("payment_intent")
    assert (intent["amount"], intent["currency"], intent["capture_method"]) == (1000, "usd", "automatic_async")
    assert await desk.posted("charge.provider_fee") == 0

    desk.stripe.let_go_of_fees()
    await desk.tell()
    assert await desk.posted("charge.provider_fee") == 59
    assert (await desk.read(payment))["amounts"]["captured"] == {"amount": "10.00"}
    await desk.prove()


async def test_payer_authenticates_with_the_bank_and_is_charged_once(desk: Desk) -> None:
    payment = await desk.tip()
    asked = await desk.confirm(payment, ASKS, returnUrl="https://front.test/back")
    assert asked["payment"]["status"] == "REQUIRES_ACTION"
    intent = await desk.intent(payment)
    told = desk.stripe.object(intent)["next_action"]["redirect_to_url"]
    assert asked["payment"]["nextAction"] == {"type": "AUTHENTICATE", "url": told["url"]}
    assert told["return_url"] == "https://front.test/back"
    assert desk.objects("charge") == []
    await desk.tell()

    desk.stripe.authenticate(intent)
    await desk.tell()
    assert await desk.world.status(payment) == "SUCCEEDED"
    assert len(desk.objects("charge")) == 1
    await desk.prove()


async def test_part_of_what_is_reserved_is_captured_and_the_rest_let_go(desk: Desk) -> None:
    payment = await desk.reserved("10.00")
    before = await desk.read(payment)
    assert before["amounts"]["authorized"] == {"amount": "10.00"}
    assert before["captureBefore"] is not None
    assert await desk.posted("charge.gross") == 0

    await do(desk.owner, "paymentCapture", paymentId=payment, amount=usd("6.00"))
    await desk.tell()
    amounts = (await desk.read(payment))["amounts"]
    assert (amounts["captured"], amounts["canceled"]) == ({"amount": "6.00"}, {"amount": "4.00"})
    assert amounts["refunded"] == {"amount": "0.00"}
    assert await desk.posted("charge.gross") == 600
    await desk.prove()


async def test_what_is_reserved_is_let_go_at_the_payers_wish(desk: Desk) -> None:
    payment = await desk.reserved("10.00")
    await do(desk.payer, "paymentCancel", paymentId=payment)
    await desk.tell()
    assert await desk.world.status(payment) == "CANCELED"
    assert await desk.posted("charge.gross") == 0
    await desk.prove()


async def test_declined_card_is_followed_by_another_that_pays(desk: Desk) -> None:
    payment = await desk.tip()
    declined = await ask(desk.payer, "paymentConfirm", paymentId=payment, method=DECLINED)
    assert [(each["code"], each["nextAction"]) for each in declined["errors"]] == [
        ("PAYMENT_DECLINED", "OTHER_METHOD")
    ]
    await desk.tell()
    assert await desk.world.status(payment) == "FAILED"
    assert await desk.posted("charge.gross") == 0

    await desk.confirm(payment, GOOD)
    await desk.tell()
    assert await desk.world.status(payment) == "SUCCEEDED"
    assert [charge["status"] for charge in desk.objects("charge")] == ["failed", "succeeded"]
    await desk.prove()


async def test_token_of_the_payers_browser_pays(desk: Desk) -> None:
    payment = await desk.tip()
    await desk.confirm(payment, desk.stripe.confirmation_token())
    await desk.tell()
    assert await desk.world.status(payment) == "SUCCEEDED"
    await desk.prove()


async def test_saved_card_is_charged_without_its_owner_until_it_is_removed(desk: Desk) -> None:
    saved = (await do(desk.payer, "paymentMethodSave", method=GOOD))["paymentMethod"]
    assert (saved["brand"].lower(), saved["lastFour"]) == ("visa", "4242")

    on_the_page, alone = await desk.tip(), await desk.tip()
    await do(desk.payer, "paymentConfirm", paymentId=on_the_page, paymentMethodId=saved["id"])
    await desk.charge_off_session(alone, saved["id"])
    await desk.tell()
    assert {await desk.world.status(each) for each in (on_the_page, alone)} == {"SUCCEEDED"}
    (customer,) = desk.objects("customer")
    assert {intent["customer"] for intent in desk.objects("payment_intent")} == {customer["id"]}
    confirmed = [seen for seen in desk.stripe.seen if seen.call.endswith("/confirm")]
    assert [seen.params.get("off_session") for seen in confirmed] == [None, True]

    await do(desk.payer, "paymentMethodRemove", paymentMethodId=saved["id"])
    await desk.sweep()
    refused = await ask(desk.payer, "paymentConfirm", paymentId=await desk.tip(), paymentMethodId=saved["id"])
    assert [each["code"] for each in refused["errors"]] == ["NOT_FOUND"]
    assert len(desk.objects("charge")) == 2
    await desk.prove()


# Money going back -------------------------------------------------------------------------------------------


async def test_payment_is_refunded_in_parts(desk: Desk) -> None:
    payment = await desk.paid("10.00")
    await do(desk.owner, "refundCreate", paymentId=payment, amount=usd("4.00"), reason="DUPLICATE")
    await desk.tell()
    assert await desk.world.status(payment) == "PARTIALLY_REFUNDED"

    await do(desk.owner, "refundCreate", paymentId=payment)
    await desk.tell()
    assert await desk.world.status(payment) == "REFUNDED"
    told = [(refund["amount"], refund["reason"]) for refund in desk.objects("refund")]
    assert told == [(400, "duplicate"), (600, "requested_by_customer")]
    await desk.prove()


async def test_refund_that_fails_later_gives_the_creator_back_what_they_had(desk: Desk) -> None:
    payment = await desk.paid("10.00", "pm_card_refundFail")
    before = await desk.held("pending", own=True)
    await do(desk.owner, "refundCreate", paymentId=payment, amount=usd("4.00"))
    await desk.tell()
    assert await desk.world.status(payment) == "PARTIALLY_REFUNDED"
    assert await desk.held("pending", own=True) != before

    desk.stripe.pass_time(timedelta(hours=2))
    await desk.tell()
    assert await desk.world.scalar("select status from refunds") == "FAILED"
    assert await desk.world.status(payment) == "SUCCEEDED"
    assert await desk.held("pending", own=True) == before
    await desk.prove()


async def test_refund_made_at_stripe_itself_is_booked(desk: Desk) -> None:
    payment = await desk.paid("10.00")
    await desk.dashboard("refunds", payment_intent=await desk.intent(payment), amount=300)
    await desk.tell()
    assert await desk.world.status(payment) == "PARTIALLY_REFUNDED"
    assert (await desk.read(payment))["amounts"]["refunded"] == {"amount": "3.00"}
    await desk.prove()


@pytest.mark.parametrize("fee_returned", [0, 1500], ids=["fee kept", "fee returned"])
async def test_dispute_is_answered_and_won(desk: Desk, fee_returned: int) -> None:
    payment = await desk.paid("10.00")
    dispute = desk.stripe.open_dispute(await desk.intent(payment))
    await desk.tell()
    assert await desk.world.status(payment) == "DISPUTED"
    ours = await desk.only(Noun.DISPUTE, "disputes")
    shown = (await desk.owner.run(DISPUTE, id=ours))["dispute"]
    assert (shown["status"], shown["amount"]) == ("NEEDS_RESPONSE", {"amount": "10.00"})
    await desk.prove()

    await do(desk.owner, "disputeAnswer", disputeId=ours, evidence=EVIDENCE)
    evidence = desk.stripe.object(dispute)["evidence"]
    assert (evidence["product_description"], evidence["customer_name"]) == tuple(EVIDENCE.values())
    await desk.tell()
    assert (await desk.owner.run(DISPUTE, id=ours))["dispute"]["status"] == "UNDER_REVIEW"

    desk.stripe.close_dispute(dispute, won=True, fee_returned=fee_returned)
    await desk.tell()
    assert await desk.world.status(payment) == "SUCCEEDED"
    await desk.prove()


async def test_dispute_that_nobody_answers_is_lost_and_can_still_be_won(desk: Desk) -> None:
    payment = await desk.paid("10.00")
    dispute = desk.stripe.open_dispute(await desk.intent(payment))
    await desk.tell()
    desk.stripe.pass_time(timedelta(days=8))
    await desk.tell()
    assert await desk.world.status(payment) == "CHARGED_BACK"
    await desk.prove()

    desk.stripe.close_dispute(dispute, won=True)
    await desk.tell()
    assert await desk.world.status(payment) == "SUCCEEDED"
    await desk.prove()


# Money going out --------------------------------------------------------------------------------------------


async def test_creator_is_ready_when_a_thin_event_says_that_something_changed(desk: Desk) -> None:
    opened = await desk.onboard()
    assert opened["errors"] == []
    assert opened["payoutAccount"]["ready"] is False
    assert opened["payoutAccount"]["missing"] != []
    assert opened["onboardingUrl"].startswith("https://")
    (account,) = desk.objects("v2.core.account")
    assert desk.stripe.store.hidden(account["id"])["interval"] == "manual"

    desk.stripe.make_ready(account["id"])
    told = desk.sent()
    assert {event["object"] for event in told} == {"v2.core.event"}
    assert not await desk.world.scalar("select ready from payout_accounts")
    for event in told:
        assert await desk.post(event) == 200
    await desk.settle()
    assert await desk.world.scalar("select ready from payout_accounts")
    assert await desk.states("DONE") == len(told)

    desk.stripe.restrict(account["id"])
    await desk.tell()
    assert not await desk.world.scalar("select ready from payout_accounts")
    await desk.prove()


async def test_payout_is_transferred_paid_out_and_paid(desk: Desk) -> None:
    await desk.with_money("100.00")
    payout = await desk.requested("20.00")
    assert (await desk.advance(payout))["status"] == "TRANSFERRED"
    await desk.tell()
    (transfer,) = desk.objects("transfer")
    (paid_out,) = desk.objects("payout", desk.account)
    assert (transfer["amount"], paid_out["amount"], paid_out["automatic"]) == (2000, 2000, False)

    desk.stripe.pass_time(timedelta(days=3))
    await desk.tell()
    assert (await desk.payout(payout))["status"] == "PAID"
    assert await desk.held("available", own=True) == 9500 - 2000
    await desk.prove()


async def test_payout_that_fails_after_it_was_paid_is_taken_back(desk: Desk) -> None:
    await desk.with_money("100.00")
    payout = await desk.requested("20.00")
    await desk.advance(payout)
    desk.stripe.pass_time(timedelta(days=3))
    await desk.tell()
    assert (await desk.payout(payout))["status"] == "PAID"

    (paid_out,) = desk.objects("payout", desk.account)
    desk.stripe.fail_payout(paid_out["id"])
    await desk.tell()
    assert (await desk.advance(payout))["status"] == "FAILED"
    await desk.tell()
    (transfer,) = desk.objects("transfer")
    assert transfer["reversed"] is True
    assert await desk.held("available", own=True) == 9500
    assert await desk.held("connected") == 0
    await desk.prove()


async def test_what_stripe_pays_out_to_the_platform_by_itself_is_booked(desk: Desk) -> None:
    await desk.paid("100.00")
    sent = desk.stripe.platform_payout(3000)
    await desk.tell()
    assert await desk.held("bank") == -3000
    await desk.prove()

    desk.stripe.fail_payout(sent)
    await desk.tell()
    assert await desk.held("bank") == 0
    await desk.prove()


async def test_charge_that_stripe_converted_waits_in_suspense_and_is_told_of(desk: Desk) -> None:
    desk.stripe.settings.fees_held_back = True
    payment = await desk.paid("10.00")
    desk.stripe.let_go_of_fees()
    converted_into_euros(desk)
    await desk.tell()

    assert await desk.world.status(payment) == "SUCCEEDED"
    assert await desk.held("suspense", currency="EUR") == 920
    report = await desk.compared()
    assert {difference.code for difference in report.differences} <= {
        DifferenceCode.SETTLED_IN_OTHER_CURRENCY,
        DifferenceCode.CLEARING_OPEN,
    }
    (alarm,) = [each for each in report.differences if each.code is DifferenceCode.SETTLED_IN_OTHER_CURRENCY]
    assert (alarm.found, alarm.currency) == (920, "EUR")


def converted_into_euros(desk: Desk) -> None:
    """Let the one charge there is have come in as euros: 9.20 of the 10.00 dollars."""
    (line,) = desk.objects("balance_transaction")
    line |= {"amount": 920, "fee": 40, "net": 880, "currency": "eur", "exchange_rate": 0.92}
    line["fee_details"] = [{**line["fee_details"][0], "amount": 40, "currency": "eur"}]


# A whole day ------------------------------------------------------------------------------------------------


async def busy_day(desk: Desk, chaos: random.Random | None) -> None:
    """Let all kinds of things happen; with ``chaos`` what Stripe tells comes late, twice and in any order."""

    async def told() -> None:
        if chaos is None:
            await desk.tell()

    plain = [await desk.tip(f"{number}.00") for number in (10, 20, 30, 40)]
    for payment in plain:
        await desk.confirm(payment)
        await told()
    tried = await desk.tip("15.00")
    await ask(desk.payer, "paymentConfirm", paymentId=tried, method=DECLINED)
    await told()
    await desk.confirm(tried)
    secured = await desk.tip("25.00")
    await desk.confirm(secured, ASKS)
    await told()
    desk.stripe.authenticate(await desk.intent(secured))
    await told()
    given_back, in_dispute, lost, partly = [await desk.intent(payment) for payment in plain]
    await desk.dashboard("refunds", payment_intent=given_back)
    await desk.dashboard("refunds", payment_intent=partly, amount=700)
    await told()
    won = desk.stripe.open_dispute(in_dispute)
    gone = desk.stripe.open_dispute(lost)
    await told()
    desk.stripe.close_dispute(won, won=True, fee_returned=1500)
    desk.stripe.close_dispute(gone, won=False)
    failing = desk.objects("refund")[-1]
    desk.stripe.fail_refund(failing["id"])
    desk.stripe.platform_payout(1000)
    await told()
    await desk.tell(times=1 if chaos is None else 2, shuffled=chaos)


async def books(desk: Desk) -> list[tuple[str, str, int]]:
    """Return what every account holds, its stripes and names apart."""
    rows = await desk.engine.database.reader.fetch(
        "select kind, split_part(code, ':', 1) as whose, sum(posted)::bigint as held from ledger.account "
        "group by 1, 2 having sum(posted) <> 0 order by 1, 2"
    )
    return [(row["kind"], row["whose"], row["held"]) for row in rows]


async def statuses(desk: Desk) -> list[str]:
    rows = await desk.engine.database.reader.fetch("select status from payments order by id")
    return [row["status"] for row in rows]


async def test_busy_day_told_twice_and_in_any_order_ends_in_the_same_books(lease: Lease, template: str) -> None:
    ends = []
    for chaos in (None, random.Random(1), random.Random(2)):
        async with fresh_database(lease, template) as dsn, open_desk(dsn) as desk:
            await busy_day(desk, chaos)
            await desk.prove()
            ends.append((await books(desk), await statuses(desk)))
    ordered, *shuffled = ends
    assert set(ordered[1]) >= {"SUCCEEDED", "REFUNDED", "CHARGED_BACK"}
    assert shuffled == [ordered, ordered]


async def test_day_of_which_nothing_was_told_is_healed_by_replay_and_sweeps(desk: Desk) -> None:
    await desk.with_money("100.00")
    begin = desk.stripe.store.clock.moment - timedelta(seconds=5)
    payment, refunded, disputed = [await desk.tip() for _ in range(3)]
    for each in (payment, refunded, disputed):
        await desk.confirm(each)
    await desk.dashboard("refunds", payment_intent=await desk.intent(refunded))
    desk.stripe.close_dispute(desk.stripe.open_dispute(await desk.intent(disputed)), won=False)
    payout = await desk.requested("20.00")
    await desk.advance(payout)
    desk.stripe.pass_time(timedelta(days=3))
    desk.stripe.platform_payout(500)
    desk.tell_nobody()
    assert await desk.world.status(payment) == "PROCESSING"

    await desk.caught_up()
    assert await inbox.replay(desk.engine, min(begin, clock.wall())) > 0
    await desk.settle()
    assert await desk.world.status(payment) == "SUCCEEDED"
    assert await desk.world.status(refunded) == "REFUNDED"
    assert await desk.world.status(disputed) == "CHARGED_BACK"
    assert (await desk.payout(payout))["status"] == "TRANSFERRED"

    await desk.sweep()
    assert (await desk.payout(payout))["status"] == "PAID"
    await desk.prove()
    assert await inbox.replay(desk.engine, min(begin, clock.wall())) == 0


async def test_day_of_which_nothing_was_told_is_seen_and_mended_by_doctor(desk: Desk) -> None:
    payment = await desk.tip()
    await desk.confirm(payment)
    desk.tell_nobody()
    report = await desk.compared()
    assert {DifferenceCode.EVENT_MISSED, DifferenceCode.PAYMENT_OUTDATED} & {
        difference.code for difference in report.differences
    }
    await reconciliation.run(desk.engine, mend=True, grace=timedelta(0))
    await desk.settle()
    await maturing.mature(desk.engine)
    assert await desk.world.status(payment) == "SUCCEEDED"
    await desk.prove()
