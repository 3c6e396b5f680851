"""Card payments from the payer's click to the books: paid, declined, authenticated, reserved, let go."""

from typing import Any

from tests.api.shop import ask, do
from tests.localstripe.shapes import fee
from tests.localstripe.till import ASKS, ASKS_AND_DECLINED, DECLINED, GOOD, Till

BACK = "https://front.test/back"


async def sent_to_the_bank(till: Till, payment: str, number: str) -> str:
    """Pay with a card whose bank asks; return the address of the bank's page."""
    given = {"paymentId": payment, "method": await till.card(number), "returnUrl": BACK}
    asked = await do(till.payer, "paymentConfirm", **given)
    assert asked["payment"]["status"] == "REQUIRES_ACTION"
    assert asked["payment"]["nextAction"]["type"] == "AUTHENTICATE"
    assert await till.charges() == []
    return str(asked["payment"]["nextAction"]["url"])


def refusals(payload: dict[str, Any]) -> list[tuple[str, str]]:
    return [(error["__typename"], error["nextAction"]) for error in payload["errors"]]


async def test_card_payment_is_settled_with_what_the_provider_kept(till: Till) -> None:
    payment = await till.paid("5.00")
    await till.settled()

    (intent,) = await till.intents()
    assert (intent["amount"], intent["currency"], intent["status"]) == (500, "usd", "succeeded")
    assert intent["metadata"] == {"comptoir_payment": str(await till.world.scalar("select id from payments"))}
    assert (await till.read(payment))["amounts"]["captured"] == {"amount": "5.00"}
    assert await till.posted("charge.provider_fee") == fee(500)
    await till.prove_by_command()


async def test_card_of_the_providers_own_tests_pays(till: Till) -> None:
    payment = await till.tip()
    assert (await till.world.confirm(till.payer, payment, "pm_card_visa"))["errors"] == []
    await till.reached(payment, "SUCCEEDED")
    await till.prove()


async def test_declined_card_charges_nothing_and_another_pays(till: Till) -> None:
    payment = await till.tip()
    declined = await till.confirm(payment, DECLINED)
    assert refusals(declined) == [("PaymentDeclined", "OTHER_METHOD")]
    await till.settled()
    assert await till.world.status(payment) == "FAILED"
    assert (await till.read(payment))["statusReason"] == "DECLINED"
    assert await till.posted("charge.gross") == 0

    assert (await till.confirm(payment, GOOD))["errors"] == []
    await till.reached(payment, "SUCCEEDED")
    assert [each["status"] for each in await till.charges()] == ["failed", "succeeded"]
    await till.prove()
    assert await till.posted("charge.gross") == 500


async def test_payer_authenticates_with_the_bank_and_comes_back(till: Till) -> None:
    payment = await till.tip()
    page = await sent_to_the_bank(till, payment, ASKS)

    back = await till.authenticate(page, "success")
    assert (back.status_code, back.headers["location"]) == (303, BACK)
    await till.reached(payment, "SUCCEEDED")
    assert len(await till.charges()) == 1
    await till.prove()


async def test_payer_who_fails_to_authenticate_is_not_charged_and_pays_with_another_card(till: Till) -> None:
    payment = await till.tip()
    page = await sent_to_the_bank(till, payment, ASKS)

    await till.authenticate(page, "failure")
    await till.reached(payment, "FAILED")
    assert (await till.read(payment))["statusReason"] == "AUTHENTICATION_FAILED"
    assert await till.charges() == []

    assert (await till.confirm(payment, GOOD))["errors"] == []
    await till.reached(payment, "SUCCEEDED")
    await till.prove()


async def test_card_declined_after_authentication_charges_nothing(till: Till) -> None:
    payment = await till.tip()
    page = await sent_to_the_bank(till, payment, ASKS_AND_DECLINED)

    await till.authenticate(page, "success")
    await till.reached(payment, "FAILED")
    await till.prove()
    assert await till.posted("charge.gross") == 0


async def test_reserved_price_is_captured_later(till: Till) -> None:
    payment = await till.reserved("10.00")
    await till.settled()
    before = await till.read(payment)
    assert before["amounts"]["authorized"] == {"amount": "10.00"}
    assert before["captureBefore"] is not None
    assert await till.posted("charge.gross") == 0

    await do(till.owner, "paymentCapture", paymentId=payment)
    await till.reached(payment, "SUCCEEDED")
    await till.prove()
    assert await till.posted("charge.gross") == 1000
    assert await till.posted("charge.provider_fee") == fee(1000)


async def test_reserved_price_is_let_go(till: Till) -> None:
    payment = await till.reserved("10.00")

    await do(till.payer, "paymentCancel", paymentId=payment)
    await till.reached(payment, "CANCELED")
    (intent,) = await till.intents()
    assert intent["status"] == "canceled"
    await till.prove()
    assert await till.posted("charge.gross") == 0


async def test_payment_that_nobody_paid_is_cancelled_and_cannot_be_paid_any_more(till: Till) -> None:
    payment = await till.tip()

    await do(till.payer, "paymentCancel", paymentId=payment)
    await till.reached(payment, "CANCELED")
    refused = await till.confirm(payment, GOOD)
    assert len(refused["errors"]) == 1
    assert await till.charges() == []
    await till.prove()


async def test_payment_cancelled_at_the_provider_is_cancelled_here(till: Till) -> None:
    payment = await till.tip()
    (intent,) = await till.intents()

    await till.dashboard(f"payment_intents/{intent['id']}/cancel")
    await till.reached(payment, "CANCELED")
    await till.prove()


async def test_saved_card_pays_again(till: Till) -> None:
    saved = (await do(till.payer, "paymentMethodSave", method=await till.card()))["paymentMethod"]
    assert (saved["brand"].lower(), saved["lastFour"], saved["expiresYear"]) == ("visa", "4242", 2040)

    for _ in range(2):
        payment = await till.tip()
        await do(till.payer, "paymentConfirm", paymentId=payment, paymentMethodId=saved["id"])
        await till.reached(payment, "SUCCEEDED")
    (customer,) = {intent["customer"] for intent in await till.intents()}
    assert customer.startswith("cus_")

    await do(till.payer, "paymentMethodRemove", paymentMethodId=saved["id"])
    refused = await ask(till.payer, "paymentConfirm", paymentId=await till.tip(), paymentMethodId=saved["id"])
    assert len(refused["errors"]) == 1
    assert len(await till.charges()) == 2
    await till.prove()


async def test_payment_whose_making_was_never_answered_is_found_and_paid(till: Till) -> None:
    till.shim.losing = "payment_intents"
    payment = await till.tip()
    assert till.shim.losing is None
    assert await till.world.status(payment) == "RECONCILING"

    await till.reached(payment, "PENDING")
    assert till.shim.replays == 0  # it was found, not asked for again
    assert (await till.confirm(payment))["errors"] == []
    await till.reached(payment, "SUCCEEDED")
    assert len(await till.intents()) == 1
    await till.prove()


async def test_charge_that_was_never_answered_is_found_and_not_made_twice(till: Till) -> None:
    payment = await till.tip()
    till.shim.losing = "confirm"
    await till.confirm(payment)
    assert till.shim.losing is None

    await till.reached(payment, "SUCCEEDED")
    assert len(await till.charges()) == 1
    await till.prove()


async def test_same_request_twice_is_one_charge(till: Till) -> None:
    payment, method = await till.tip(), await till.card()
    for _ in range(2):
        given = {"paymentId": payment, "method": method, "idempotencyKey": "once"}
        assert (await ask(till.payer, "paymentConfirm", **given))["errors"] == []
    await till.reached(payment, "SUCCEEDED")
    assert len(await till.charges()) == 1
    await till.prove()
