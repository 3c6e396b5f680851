"""Commands over payments and methods where Stripe answers in ways that no stand-in does by itself."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

import pytest

from core.ids import uuid7
from providers.payments.base import (
    CancelPayment,
    CapturePayment,
    ConfirmPayment,
    CreatePayment,
    DetachMethod,
    ProviderAction,
    ProviderError,
    ProviderErrorCode,
    ProviderState,
    SaveMethod,
)
from providers.payments.stripe import StripeProvider

from .test_stripe_client import INTENT, Reply, Server, refuse, served

OURS = UUID("01890000-0000-7000-8000-000000000000")
SPENT = refuse(400)
METHOD: dict[str, Any] = {
    "id": "pm_1", "object": "payment_method", "type": "card", "customer": "cus_1",
    "card": {"brand": "visa", "last4": "4242", "exp_month": 12, "exp_year": 2049},
}  # fmt: skip
CUSTOMER = Reply(body={"id": "cus_1", "object": "customer"})


@asynccontextmanager
async def adapter(server: Server, **currencies: int) -> AsyncIterator[StripeProvider]:
    provider = StripeProvider(
        "sk_test_1",
        webhook_secrets=["whsec_a_secret_of_the_tests"],
        return_url="https://shop.example/back",
        currencies=currencies or {"USD": 2},
        timeout=timedelta(seconds=30),
        api_url=server.url,
    )
    try:
        yield provider
    finally:
        await provider.close()


def paths(server: Server) -> list[str]:
    return [asked.line.split(" ")[1] for asked in server.asked]


def sent(server: Server, number: int) -> dict[str, str]:
    return dict(parse_qsl(server.asked[number].body))


def confirmation(method: str, **more: Any) -> ConfirmPayment:
    return ConfirmPayment("confirm:1", "pi_1", method, **more)


async def refusal(call: Any) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await call
    return caught.value


# Creating -------------------------------------------------------------------------------------------------


async def test_payment_is_made_once_for_its_reference_whatever_the_key() -> None:
    async with served(Reply(body=INTENT)) as server, adapter(server) as provider:
        for key in ("create:1", "create:2"):
            await provider.create_payment(CreatePayment(key, OURS, 1250, "USD", "A tip"))
    assert {asked.headers["idempotency-key"] for asked in server.asked} == {f"payment:{OURS}"}
    assert (
        sent(server, 0)
        == sent(server, 1)
        == {
            "amount": "1250",
            "currency": "usd",
            "capture_method": "automatic_async",
            "automatic_payment_methods[enabled]": "true",
            "transfer_group": f"payment_{OURS}",
            "metadata[comptoir_payment]": str(OURS),
            "description": "A tip",
        }
    )


@pytest.mark.parametrize(
    ("amount", "currency"),
    [(49, "USD"), (0, "USD"), (-1, "USD"), (100_000_000, "USD"), (1250, "XXX"), (5124, "KWD")],
)
async def test_what_stripe_does_not_charge_is_not_asked_for(amount: int, currency: str) -> None:
    async with served() as server, adapter(server, USD=2, KWD=3) as provider:
        error = await refusal(provider.create_payment(CreatePayment("create:1", uuid7(), amount, currency, "")))
        assert error.code is ProviderErrorCode.UNSUPPORTED
    assert server.asked == []


async def test_answer_without_our_reference_is_no_payment_of_ours() -> None:
    async with served(Reply(body=INTENT | {"metadata": {}})) as server, adapter(server) as provider:
        error = await refusal(provider.cancel(CancelPayment("cancel:1", "pi_1")))
    assert (error.code, error.ambiguous) == (ProviderErrorCode.NOT_FOUND, False)


async def test_answer_that_cannot_be_read_leaves_the_outcome_open() -> None:
    async with served(Reply(body=INTENT | {"amount": "1250"})) as server, adapter(server) as provider:
        error = await refusal(provider.cancel(CancelPayment("cancel:1", "pi_1")))
    assert (error.code, error.action, error.ambiguous) == (
        ProviderErrorCode.UNAVAILABLE, ProviderAction.SAME_KEY, True,
    )  # fmt: skip


# Confirming -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "name"), [("pm_1", "payment_method"), ("ctoken_1", "confirmation_token")])
async def test_payer_comes_back_to_where_we_say(method: str, name: str) -> None:
    async with served(Reply(body=INTENT)) as server, adapter(server) as provider:
        await provider.confirm_payment(confirmation(method))
        await provider.confirm_payment(
            confirmation(method, return_url="https://shop.example/thanks", off_session=True)
        )
    asked = {name: method, "expand[0]": "latest_charge"}
    assert sent(server, 0) == asked | {"return_url": "https://shop.example/back"}
    assert sent(server, 1) == asked | {"return_url": "https://shop.example/thanks", "off_session": "true"}


@pytest.mark.parametrize(
    "method",
    ["", "tok_visa", "4242424242424242", "pm_", "pm_1?x", "cus_1/", "cus_1/pm_1", "cus_1/pm_1/x", "src_1"],
)
async def test_text_that_is_no_method_is_not_sent(method: str) -> None:
    async with served() as server, adapter(server) as provider:
        error = await refusal(provider.confirm_payment(confirmation(method)))
        assert (error.code, error.action) == (ProviderErrorCode.METHOD_INVALID, ProviderAction.OTHER_METHOD)
        error = await refusal(provider.save_method(SaveMethod("save:1", OURS, method)))
        assert error.code is ProviderErrorCode.METHOD_INVALID
    assert server.asked == []


async def test_method_that_was_used_before_is_invalid_though_stripe_has_no_word_for_it() -> None:
    async with served(SPENT) as server, adapter(server) as provider:
        error = await refusal(provider.confirm_payment(confirmation("pm_1")))
    assert (error.code, error.action) == (ProviderErrorCode.METHOD_INVALID, ProviderAction.OTHER_METHOD)


async def test_request_that_is_wrong_otherwise_is_our_own_mistake() -> None:
    wrong = refuse(400, param="return_url"), refuse(400, code="url_invalid"), refuse(401)
    async with served(*wrong) as server, adapter(server) as provider:
        for _ in wrong:
            error = await refusal(provider.confirm_payment(confirmation("pm_1")))
            assert (error.code, error.action) == (ProviderErrorCode.MISCONFIGURED, ProviderAction.FIX_CONFIG)


async def test_saved_method_charges_a_payment_of_its_customer() -> None:
    async with served(Reply(body=INTENT)) as server, adapter(server) as provider:
        await provider.confirm_payment(confirmation("cus_1/pm_1", saved=True))
    assert paths(server) == ["/v1/payment_intents/pi_1", "/v1/payment_intents/pi_1/confirm"]
    assert [asked.headers["idempotency-key"] for asked in server.asked] == ["confirm:1:customer", "confirm:1"]
    assert sent(server, 0) == {"customer": "cus_1"}
    assert sent(server, 1)["payment_method"] == "pm_1"


@pytest.mark.parametrize(
    ("customer", "code"),
    [
        (None, ProviderErrorCode.METHOD_INVALID),
        ("cus_9", ProviderErrorCode.METHOD_INVALID),
        ("cus_1", ProviderErrorCode.MISCONFIGURED),
        ({"id": "cus_1"}, ProviderErrorCode.MISCONFIGURED),
    ],
)
async def test_saved_method_is_looked_at_when_stripe_says_no_more_than_no(
    customer: object, code: ProviderErrorCode
) -> None:
    replies = Reply(body=INTENT), SPENT, Reply(body=METHOD | {"customer": customer})
    async with served(*replies) as server, adapter(server) as provider:
        error = await refusal(provider.confirm_payment(confirmation("cus_1/pm_1", saved=True)))
    assert error.code is code
    assert paths(server)[2] == "/v1/payment_methods/pm_1"


async def test_saved_method_that_is_declined_is_not_looked_at() -> None:
    declined = refuse(402, type="card_error", code="card_declined", decline_code="insufficient_funds")
    replies = Reply(body=INTENT), declined, Reply(body=METHOD | {"customer": None})
    async with served(*replies) as server, adapter(server) as provider:
        error = await refusal(provider.confirm_payment(confirmation("cus_1/pm_1", saved=True)))
    assert (error.code, error.decline_code) == (ProviderErrorCode.INSUFFICIENT_FUNDS, "INSUFFICIENT_FUNDS")
    assert len(server.asked) == 2


async def test_payment_of_another_customer_takes_another_method_only() -> None:
    async with served(refuse(400, param="customer")) as server, adapter(server) as provider:
        error = await refusal(provider.confirm_payment(confirmation("cus_1/pm_1", saved=True)))
    assert (error.code, error.action) == (ProviderErrorCode.METHOD_INVALID, ProviderAction.OTHER_METHOD)
    assert len(server.asked) == 1


# Capturing and cancelling ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "code"),
    [
        (0, ProviderErrorCode.AMOUNT_INVALID),
        (-1, ProviderErrorCode.AMOUNT_INVALID),
        (2**64, ProviderErrorCode.AMOUNT_INVALID),
    ],
)
async def test_amount_that_no_payment_has_is_not_captured(amount: int, code: ProviderErrorCode) -> None:
    async with served() as server, adapter(server) as provider:
        assert (await refusal(provider.capture(CapturePayment("capture:1", "pi_1", amount)))).code is code
    assert server.asked == []


async def test_amount_is_captured_as_stripe_writes_it() -> None:
    icelandic = INTENT | {"currency": "isk", "amount": 125_000, "amount_received": 50_000, "status": "succeeded"}
    async with served(Reply(body=icelandic)) as server, adapter(server, ISK=0, USD=2) as provider:
        fact = await provider.capture(CapturePayment("capture:1", "pi_1", 500))
    assert (fact.amount, fact.captured, fact.currency) == (1250, 500, "ISK")
    assert paths(server) == ["/v1/payment_intents/pi_1", "/v1/payment_intents/pi_1/capture"]
    assert sent(server, 1)["amount_to_capture"] == "50000"


async def test_authorisation_that_lapsed_expired() -> None:
    lapsed = INTENT | {"status": "canceled", "cancellation_reason": "automatic"}
    told = refuse(400, code="payment_intent_unexpected_state", payment_intent=lapsed)
    async with served(told) as server, adapter(server) as provider:
        error = await refusal(provider.capture(CapturePayment("capture:1", "pi_1", 500)))
        assert error.code is ProviderErrorCode.EXPIRED
        assert error.fact is not None
        # Cancelled it is, whoever did it.
        assert (await provider.cancel(CancelPayment("cancel:1", "pi_1"))).state is ProviderState.CANCELED


async def test_payment_that_succeeded_is_not_canceled() -> None:
    told = refuse(400, code="payment_intent_unexpected_state", payment_intent=INTENT | {"status": "succeeded"})
    async with served(told) as server, adapter(server) as provider:
        assert (
            await refusal(provider.cancel(CancelPayment("cancel:1", "pi_1")))
        ).code is ProviderErrorCode.STATE_CONFLICT


# Methods --------------------------------------------------------------------------------------------------


async def test_customer_who_is_known_is_made_no_second_time() -> None:
    async with served(Reply(body=METHOD)) as server, adapter(server) as provider:
        saved = await provider.save_method(SaveMethod("save:1", OURS, "pm_card_visa", customer_reference="cus_1"))
    assert paths(server) == ["/v1/payment_methods/pm_card_visa/attach"]
    assert (sent(server, 0)["customer"], saved.customer_reference) == ("cus_1", "cus_1")


async def test_method_is_kept_for_a_customer_and_named_with_it() -> None:
    async with served(CUSTOMER, Reply(body=METHOD)) as server, adapter(server) as provider:
        saved = await provider.save_method(SaveMethod("save:1", OURS, "pm_card_visa"))
    assert (saved.provider_reference, saved.customer_reference) == ("cus_1/pm_1", "cus_1")
    assert (saved.kind, saved.brand, saved.last_four, saved.expires_month, saved.expires_year) == (
        "card", "visa", "4242", 12, 2049,
    )  # fmt: skip
    assert [asked.headers["idempotency-key"] for asked in server.asked] == [f"customer:{OURS}", "save:1"]
    assert sent(server, 0) == {"metadata[comptoir_customer]": str(OURS)}


async def test_what_is_no_card_is_not_kept() -> None:
    debit = METHOD | {"type": "sepa_debit", "card": None}
    async with served(CUSTOMER, Reply(body=debit)) as server, adapter(server) as provider:
        error = await refusal(provider.save_method(SaveMethod("save:1", OURS, "pm_1")))
    assert (error.code, error.provider_code) == (ProviderErrorCode.METHOD_INVALID, "not_a_card")
    assert paths(server)[2] == "/v1/payment_methods/pm_1/detach"


async def test_card_that_is_declined_when_it_is_to_be_kept_is_declined() -> None:
    declined = refuse(402, type="card_error", code="card_declined", decline_code="lost_card")
    async with served(CUSTOMER, declined) as server, adapter(server) as provider:
        error = await refusal(provider.save_method(SaveMethod("save:1", OURS, "pm_1")))
    assert (error.code, error.decline_code) == (ProviderErrorCode.DECLINED, "DECLINED")


@pytest.mark.parametrize(("customer", "gone"), [(None, True), ("cus_1", False)])
async def test_method_that_is_attached_to_nobody_is_detached(customer: str | None, gone: bool) -> None:
    replies = refuse(400), Reply(body=METHOD | {"customer": customer})
    async with served(*replies) as server, adapter(server) as provider:
        call = provider.detach_method(DetachMethod("detach:1", "cus_1/pm_1"))
        if gone:
            await call
        else:
            assert (await refusal(call)).code is ProviderErrorCode.MISCONFIGURED
    assert paths(server) == ["/v1/payment_methods/pm_1/detach", "/v1/payment_methods/pm_1"]


async def test_detaching_that_nobody_knows_the_outcome_of_is_not_done() -> None:
    async with served(refuse(500)) as server, adapter(server) as provider:
        error = await refusal(provider.detach_method(DetachMethod("detach:1", "cus_1/pm_1")))
    assert error.ambiguous
    assert len(server.asked) == 1


async def test_method_that_stripe_does_not_have_is_not_found() -> None:
    missing = refuse(404, code="resource_missing", param="payment_method")
    async with served(missing) as server, adapter(server) as provider:
        error = await refusal(provider.detach_method(DetachMethod("detach:1", "cus_1/pm_1")))
        assert error.code is ProviderErrorCode.NOT_FOUND
        assert (
            await refusal(provider.detach_method(DetachMethod("detach:1", "pm_1")))
        ).code is ProviderErrorCode.NOT_FOUND
    assert len(server.asked) == 1
