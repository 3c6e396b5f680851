"""The stand-in for Stripe, where being wrong it would make other tests lie: what happens to money."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import stripe
from stripe import StripeClient

from tests.support.stripe import StandIn, running_stand_in

from .stand_ins import (
    BACK,
    RECIPIENT,
    asking,
    available,
    charged,
    confirm,
    created,
    lines,
    ready_account,
    refused,
    types,
)

DAY = timedelta(days=1)


@pytest.fixture
async def stand_in() -> AsyncIterator[StandIn]:
    async with running_stand_in() as running:
        yield running


@pytest.fixture
async def client(stand_in: StandIn) -> AsyncIterator[StripeClient]:
    async with asking(stand_in) as opened:
        yield opened


# Payments ---------------------------------------------------------------------------------------------------


async def test_confirmations_at_once_charge_once(client: StripeClient, stand_in: StandIn) -> None:
    intent = await created(client)
    outcomes = await asyncio.gather(
        *(confirm(client, intent, idempotency_key=f"key {n}") for n in range(8)), return_exceptions=True
    )
    errors = [each for each in outcomes if isinstance(each, stripe.StripeError)]
    assert {error.code for error in errors} == {"payment_intent_unexpected_state"}
    assert len(errors) == 7
    assert (await lines(client)) == [("charge", 1000, 59)]
    told: Any = errors[0].json_body
    assert told["error"]["payment_intent"]["status"] == "succeeded"


async def test_fee_is_told_after_the_payment(client: StripeClient, stand_in: StandIn) -> None:
    stand_in.settings.fees_held_back = True
    intent = await created(client)
    params: Any = {"payment_method": "pm_card_visa", "return_url": BACK, "expand": ["latest_charge"]}
    intent = await client.v1.payment_intents.confirm_async(intent.id, params)
    assert isinstance(intent.latest_charge, stripe.Charge)
    assert (intent.status, intent.latest_charge.balance_transaction) == ("succeeded", None)
    assert "charge.updated" not in types(stand_in)
    assert await lines(client) == []
    stand_in.let_go_of_fees()
    assert types(stand_in)[-1] == "charge.updated"
    line = stand_in.object(stand_in.events[-1]["data"]["object"]["balance_transaction"])
    assert (line["amount"], line["fee"], line["net"]) == (1000, 59, 941)
    stand_in.let_go_of_fees()
    assert len(await lines(client)) == 1


@pytest.mark.parametrize(
    ("card", "code", "decline_code"),
    [
        ("pm_card_visa_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", None),
        ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", None),
    ],
)
async def test_declined_card_charges_nothing(
    client: StripeClient, stand_in: StandIn, card: str, code: str, decline_code: str | None
) -> None:
    intent = await created(client)
    error = await refused(confirm(client, intent, card))
    told: Any = error.json_body
    assert (error.http_status, error.code, told["error"].get("decline_code")) == (402, code, decline_code)
    assert told["error"]["payment_intent"]["status"] == "requires_payment_method"
    assert told["error"]["payment_intent"]["last_payment_error"]["code"] == code
    assert await lines(client) == []
    assert (await confirm(client, intent)).status == "succeeded"


async def test_authentication_decides_about_a_payment(client: StripeClient, stand_in: StandIn) -> None:
    proven, failed = [await charged(client, card="pm_card_authenticationRequired") for _ in range(2)]
    assert proven.status == "requires_action"
    assert proven.next_action.redirect_to_url.return_url == BACK
    assert await lines(client) == []
    stand_in.authenticate(proven.id)
    stand_in.authenticate(failed.id, succeeds=False)
    assert stand_in.object(proven.id)["status"] == "succeeded"
    left = stand_in.object(failed.id)
    assert left["status"] == "requires_payment_method"
    assert left["last_payment_error"]["code"] == "payment_intent_authentication_failure"
    assert [kind for kind, _, _ in await lines(client)] == ["charge"]


async def test_owner_who_is_away_cannot_authenticate(client: StripeClient, stand_in: StandIn) -> None:
    intent = await created(client)
    params: Any = {"payment_method": "pm_card_authenticationRequired", "return_url": BACK, "off_session": True}
    error = await refused(client.v1.payment_intents.confirm_async(intent.id, params))
    assert (error.http_status, error.code) == (402, "authentication_required")
    assert stand_in.object(intent.id)["status"] == "requires_payment_method"


async def test_capture_takes_no_more_than_was_reserved_and_lets_the_rest_go(
    client: StripeClient, stand_in: StandIn
) -> None:
    intent = await charged(client, capture_method="manual")
    assert (intent.status, intent.amount_capturable) == ("requires_capture", 1000)
    assert await lines(client) == []
    error = await refused(client.v1.payment_intents.capture_async(intent.id, {"amount_to_capture": 1001}))
    assert error.code == "amount_too_large"
    done = await client.v1.payment_intents.capture_async(intent.id, {"amount_to_capture": 400})
    assert (done.status, done.amount_received, done.amount_capturable) == ("succeeded", 400, 0)
    assert await lines(client) == [("charge", 400, 42)]
    (let_go,) = (await client.v1.refunds.list_async({"payment_intent": intent.id})).data
    assert (let_go.amount, let_go.balance_transaction) == (600, None)
    assert (await refused(client.v1.payment_intents.capture_async(intent.id))).code == (
        "payment_intent_unexpected_state"
    )
    assert (
        await refused(client.v1.refunds.create_async({"payment_intent": intent.id, "amount": 401}))
    ).code is None


async def test_part_capture_has_two_lines_where_that_is_how_it_is_set_up(
    client: StripeClient, stand_in: StandIn
) -> None:
    stand_in.settings.captures_in_two_lines = True
    whole, part, canceled = [await charged(client, capture_method="manual") for _ in range(3)]
    await client.v1.payment_intents.capture_async(whole.id)
    await client.v1.payment_intents.cancel_async(canceled.id)
    assert await lines(client) == [("charge", 1000, 59)]
    await client.v1.payment_intents.capture_async(part.id, {"amount_to_capture": 400})
    assert await lines(client) == [("charge", 1000, 59), ("charge", 1000, 42), ("refund", -600, 0)]
    (let_go,) = (await client.v1.refunds.list_async({"payment_intent": part.id})).data
    (line, *_) = (await client.v1.balance_transactions.list_async({"expand": ["data.source"]})).data
    assert (line.reporting_category, line.id) == ("partial_capture_reversal", let_go.balance_transaction)
    assert getattr(line.source, "id", None) == let_go.id


async def test_what_is_not_captured_lapses_after_a_week(client: StripeClient, stand_in: StandIn) -> None:
    intent = await charged(client, capture_method="manual")
    stand_in.pass_time(6 * DAY)
    assert stand_in.object(intent.id)["status"] == "requires_capture"
    stand_in.pass_time(2 * DAY)
    assert stand_in.object(intent.id)["status"] == "canceled"
    assert await lines(client) == []


async def test_canceled_payment_takes_no_confirmation_and_a_charged_one_no_cancel(client: StripeClient) -> None:
    canceled, done = await created(client), await charged(client)
    await client.v1.payment_intents.cancel_async(canceled.id)
    for call in (
        confirm(client, canceled),
        client.v1.payment_intents.cancel_async(canceled.id),
        client.v1.payment_intents.cancel_async(done.id),
    ):
        assert (await refused(call)).code == "payment_intent_unexpected_state"
    assert len(await lines(client)) == 1


async def test_card_is_charged_for_whom_it_is_kept_and_never_once_detached(client: StripeClient) -> None:
    ada, bob = [await client.v1.customers.create_async() for _ in range(2)]
    kept = await client.v1.payment_methods.attach_async("pm_card_visa", {"customer": ada.id})
    await refused(confirm(client, await created(client), kept.id))
    await refused(confirm(client, await created(client, customer=bob.id), kept.id))
    for _ in range(2):
        assert (await confirm(client, await created(client, customer=ada.id), kept.id)).status == "succeeded"
    await client.v1.payment_methods.detach_async(kept.id)
    await refused(confirm(client, await created(client, customer=ada.id), kept.id))
    await refused(client.v1.payment_methods.attach_async(kept.id, {"customer": ada.id}))
    await refused(client.v1.payment_methods.detach_async(kept.id))
    assert len(await lines(client)) == 2


async def test_confirmation_token_is_good_once(client: StripeClient, stand_in: StandIn) -> None:
    params: Any = {"confirmation_token": stand_in.confirmation_token(), "return_url": BACK}
    first, second = [await created(client) for _ in range(2)]
    assert (await client.v1.payment_intents.confirm_async(first.id, params)).status == "succeeded"
    assert (await refused(client.v1.payment_intents.confirm_async(second.id, params))).code == "token_already_used"


# Money back -------------------------------------------------------------------------------------------------


async def test_no_more_is_refunded_than_was_charged(client: StripeClient, stand_in: StandIn) -> None:
    intent = await charged(client)

    def refund(amount: int) -> Any:
        return client.v1.refunds.create_async({"payment_intent": intent.id, "amount": amount})

    error = await refused(refund(1001))
    assert isinstance(error, stripe.InvalidRequestError)
    assert (error.http_status, error.param) == (400, "amount")
    assert len(await lines(client)) == 1
    outcomes = await asyncio.gather(*(refund(600) for _ in range(4)), return_exceptions=True)
    assert sum(isinstance(each, stripe.InvalidRequestError) for each in outcomes) == 3
    assert await lines(client) == [("charge", 1000, 59), ("refund", -600, 0)]
    await refund(400)
    assert (await refused(refund(1))).code == "charge_already_refunded"


async def test_what_was_not_charged_is_not_refunded(client: StripeClient, stand_in: StandIn) -> None:
    for intent in (await created(client), await charged(client, capture_method="manual")):
        events = len(stand_in.events)
        error = await refused(client.v1.refunds.create_async({"payment_intent": intent.id}))
        assert error.http_status == 400
        assert len(stand_in.events) == events


async def test_refund_that_fails_brings_its_money_back(client: StripeClient, stand_in: StandIn) -> None:
    intent = await charged(client, card="pm_card_refundFail")
    refund = await client.v1.refunds.create_async({"payment_intent": intent.id, "amount": 300})
    assert refund.status == "succeeded"
    stand_in.pass_time(DAY)
    failed = stand_in.object(refund.id)
    assert failed["status"] == "failed"
    assert stand_in.object(failed["failure_balance_transaction"])["amount"] == 300
    stand_in.fail_refund(refund.id)
    assert [amount for _, amount, _ in await lines(client)] == [1000, -300, 300]
    assert types(stand_in).count("refund.failed") == 1
    await client.v1.refunds.create_async({"payment_intent": intent.id})


async def test_dispute_takes_its_money_until_it_is_won(client: StripeClient, stand_in: StandIn) -> None:
    intent = await charged(client)
    reference = stand_in.open_dispute(intent.id)
    assert (await refused(client.v1.refunds.create_async({"payment_intent": intent.id}))).code == "charge_disputed"
    noted = await client.v1.disputes.update_async(
        reference, {"evidence": {"uncategorized_text": "x"}, "submit": False}
    )
    assert (noted.status, noted.evidence_details.has_evidence) == ("needs_response", True)
    assert (await client.v1.disputes.update_async(reference, {"submit": True})).status == "under_review"
    late = client.v1.disputes.update_async(reference, {"evidence": {"uncategorized_text": "y"}})
    assert (await refused(late)).http_status == 400
    stand_in.close_dispute(reference, won=True, fee_returned=1500)
    won = await client.v1.disputes.retrieve_async(reference)
    assert [(line.amount, line.fee) for line in won.balance_transactions] == [(-1000, 1500), (1000, -1500)]
    assert await available(client) == 941


async def test_dispute_that_is_not_answered_is_lost(client: StripeClient, stand_in: StandIn) -> None:
    reference = stand_in.open_dispute((await charged(client)).id)
    stand_in.pass_time(8 * DAY)
    assert stand_in.object(reference)["status"] == "lost"
    late = client.v1.disputes.update_async(reference, {"submit": True})
    assert (await refused(late)).http_status == 400
    assert await available(client) == 941 - 2500


# Money passed on --------------------------------------------------------------------------------------------


async def test_transfers_need_a_ready_account_and_money_that_is_there(
    client: StripeClient, stand_in: StandIn
) -> None:
    stand_in.settings.settles_after = 3600
    await charged(client, 10_000)
    params: Any = {"configuration": RECIPIENT, "identity": {"country": "de"}}
    account = (await client.v2.core.accounts.create_async(params)).id

    def transfer(amount: int, destination: str = account) -> Any:
        return client.v1.transfers.create_async({"amount": amount, "currency": "usd", "destination": destination})

    error = await refused(transfer(1, "acct_1None"))
    assert (error.code, error.http_status) == ("resource_missing", 400)
    assert (await refused(transfer(1))).code == "insufficient_capabilities_for_transfer"
    stand_in.make_ready(account)
    assert (await refused(transfer(1))).code == "balance_insufficient"
    stand_in.pass_time(timedelta(hours=2))
    assert (await refused(transfer(9_681))).code == "balance_insufficient"
    await transfer(9_680)
    assert (await available(client), await available(client, account)) == (0, 9_680)


async def test_reversal_takes_back_what_the_account_still_has(client: StripeClient, stand_in: StandIn) -> None:
    await charged(client, 10_000)
    account = await ready_account(client, stand_in)
    transfer = await client.v1.transfers.create_async({"amount": 3_000, "currency": "usd", "destination": account})
    payout = await client.v1.payouts.create_async({"amount": 1, "currency": "usd"}, {"stripe_account": account})
    error = await refused(client.v1.transfers.reversals.create_async(transfer.id))
    assert error.code == "balance_insufficient"
    stand_in.fail_payout(payout.id)
    await client.v1.transfers.reversals.create_async(transfer.id)
    again = await client.v1.transfers.retrieve_async(transfer.id)
    assert (again.reversed, again.amount_reversed, len(again.reversals.data)) == (True, 3_000, 1)
    assert (await refused(client.v1.transfers.reversals.create_async(transfer.id))).http_status == 400
    assert (await available(client), await available(client, account)) == (9_680, 0)


async def test_payouts_are_the_accounts_own(client: StripeClient, stand_in: StandIn) -> None:
    await charged(client, 10_000)
    account = await ready_account(client, stand_in)
    await client.v1.transfers.create_async({"amount": 3_000, "currency": "usd", "destination": account})
    params: Any = {"amount": 3_001, "currency": "usd"}
    error = await refused(client.v1.payouts.create_async(params, {"stripe_account": account}))
    assert error.code == "balance_insufficient"
    payout = await client.v1.payouts.create_async(params | {"amount": 2_000}, {"stripe_account": account})
    assert (await refused(client.v1.payouts.retrieve_async(payout.id))).code == "resource_missing"
    stand_in.pass_time(3 * DAY)
    paid = await client.v1.payouts.retrieve_async(payout.id, options={"stripe_account": account})
    assert (paid.status, paid.automatic) == ("paid", False)
    stand_in.fail_payout(payout.id)
    assert await available(client, account) == 3_000
    told = [event for event in stand_in.events if event["type"].startswith("payout.")]
    assert {event["account"] for event in told} == {account}
    assert not [event for event in (await client.v1.events.list_async()).data if event.type.startswith("payout.")]


async def test_account_that_is_left_to_stripe_is_paid_out_every_day(
    client: StripeClient, stand_in: StandIn
) -> None:
    await charged(client, 10_000)
    left, manual = [await ready_account(client, stand_in, manual=manual) for manual in (False, True)]
    for account in (left, manual):
        await client.v1.transfers.create_async({"amount": 3_000, "currency": "usd", "destination": account})
    stand_in.pass_time(2 * DAY)
    assert (await available(client, left), await available(client, manual)) == (0, 3_000)


async def test_platform_is_paid_out_from_its_own_balance(client: StripeClient, stand_in: StandIn) -> None:
    await charged(client, 10_000)
    payout = stand_in.platform_payout(5_000)
    assert await available(client) == 4_680
    stand_in.fail_payout(payout)
    assert await available(client) == 9_680
    assert await lines(client) == [("charge", 10_000, 320), ("payout", -5_000, 0), ("payout_failure", 5_000, 0)]


async def test_balance_is_what_the_lines_add_up_to(client: StripeClient, stand_in: StandIn) -> None:
    intent = await charged(client, 10_000)
    await charged(client, 5_000, capture_method="manual")
    await client.v1.refunds.create_async({"payment_intent": intent.id, "amount": 100})
    stand_in.open_dispute((await charged(client, 2_000, "pm_card_createDispute")).id)
    found = await client.v1.balance_transactions.list_async({"limit": 100, "expand": ["data.source"]})
    assert sum(line.net for line in found.data) == await available(client)
    assert all(line.net == line.amount - line.fee for line in found.data)
    assert {getattr(line.source, "object", None) for line in found.data} == {"charge", "refund", "dispute"}


async def test_currency_without_a_balance_is_converted(client: StripeClient, stand_in: StandIn) -> None:
    stand_in.settings.settles_in["eur"] = ("usd", 110)
    intent = await confirm(client, await created(client, currency="eur"))
    await client.v1.refunds.create_async({"payment_intent": intent.id, "amount": 100})
    found = (await client.v1.balance_transactions.list_async({"expand": ["data.source"]})).data
    assert [(line.amount, line.currency, line.exchange_rate) for line in found] == [
        (-110, "usd", 1.1),
        (1100, "usd", 1.1),
    ]
    assert {getattr(line.source, "currency", None) for line in found} == {"eur"}
    assert await available(client) == 1100 - 64 - 110
