"""Refunds: asked here, made at the provider itself, and never more than there was."""

from tests.api.shop import ask, do, usd
from tests.localstripe.till import Till


async def given_back(till: Till, payment: str) -> str:
    return str((await till.read(payment))["amounts"]["refunded"]["amount"])


async def test_payment_is_refunded_in_part_and_then_the_rest(till: Till) -> None:
    payment = await till.paid("10.00")
    given = {"paymentId": payment, "amount": usd("4.00"), "reason": "DUPLICATE"}
    await do(till.owner, "refundCreate", **given)
    await till.reached(payment, "PARTIALLY_REFUNDED")
    assert await given_back(till, payment) == "4.00"

    await do(till.owner, "refundCreate", paymentId=payment)
    await till.reached(payment, "REFUNDED")
    made = await till.shim.objects.all_of("refunds")
    assert sorted((each["amount"], each["reason"]) for each in made) == [
        (400, "duplicate"),
        (600, "requested_by_customer"),
    ]
    assert await given_back(till, payment) == "10.00"
    await till.prove_by_command()


async def test_more_than_is_left_is_refused_and_nothing_is_given_back(till: Till) -> None:
    payment = await till.paid("10.00")
    await do(till.owner, "refundCreate", paymentId=payment, amount=usd("4.00"))
    refused = await ask(till.owner, "refundCreate", paymentId=payment, amount=usd("6.01"))
    assert [error["__typename"] for error in refused["errors"]] == ["RefundTooLarge"]
    assert len(await till.shim.objects.all_of("refunds")) == 1
    await till.reached(payment, "PARTIALLY_REFUNDED")
    await till.prove()


async def test_refund_made_at_the_provider_is_booked_here(till: Till) -> None:
    payment = await till.paid("10.00")
    await till.settled()  # nothing else is told that would have the payment looked up
    (intent,) = await till.intents()
    await till.dashboard("refunds", payment_intent=intent["id"], amount="300")
    await till.reached(payment, "PARTIALLY_REFUNDED")
    assert await given_back(till, payment) == "3.00"
    await till.prove()


async def test_refund_of_what_was_given_back_at_the_provider_before_fails_and_moves_nothing(
    till: Till,
) -> None:
    payment = await till.paid("10.00")
    (intent,) = await till.intents()
    till.shim.webhooks.endpoint = None  # what is done at the provider is not told
    await till.dashboard("refunds", payment_intent=intent["id"], amount="700")

    refund = (await ask(till.owner, "refundCreate", paymentId=payment, amount=usd("5.00")))["refund"]
    assert (refund["status"], refund["statusReason"]) == ("FAILED", "AMOUNT_INVALID")
    made = await till.shim.objects.all_of("refunds")
    assert [each["amount"] for each in made] == [700]
    await till.tell_again()
    await till.reached(payment, "PARTIALLY_REFUNDED")
    assert await given_back(till, payment) == "7.00"
    await till.prove()
