"""Refusals of Stripe's in the contract's words, each read by the SDK as it comes over the wire."""

import inspect
import traceback
from typing import Any

import httpx
import orjson
import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st

from providers.payments.base import ProviderAction, ProviderError, ProviderErrorCode
from providers.payments.stripe.declines import decline_of
from providers.payments.stripe.errors import BY_CODE, KEY_IN_USE, provider_error, readable

Code, Action = ProviderErrorCode, ProviderAction
SECRET_SENTENCE = "Invalid key sk_live_51Hx for card 4242424242424242 of payer@shop.example"
HEADERS = {"request-id": "req_1Abc", "date": "Mon, 04 May 2026 12:00:00 GMT"}


def raised(status: int, body: bytes, *, mode: str = "V1") -> stripe.StripeError:
    """Return what the SDK raises of an answer."""
    with pytest.raises(stripe.StripeError) as caught:
        stripe._api_requestor._APIRequestor()._interpret_response(body, status, HEADERS, mode)  # type: ignore[arg-type]
    return caught.value


def refused(
    status: int, *, writes: bool = True, account: str | None = None, mode: str = "V1", **told: Any
) -> ProviderError:
    body = orjson.dumps({"error": {"type": "invalid_request_error", "message": SECRET_SENTENCE} | told})
    return provider_error(raised(status, body, mode=mode), writes=writes, account=account)


def declined(code: str, decline_code: str | None = None) -> ProviderError:
    told = {"type": "card_error", "code": code} | ({} if decline_code is None else {"decline_code": decline_code})
    return refused(402, **told)


# Declines -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "decline_code", "family", "action"),
    [
        ("card_declined", "insufficient_funds", Code.INSUFFICIENT_FUNDS, Action.OTHER_METHOD),
        ("card_declined", "generic_decline", Code.DECLINED, Action.OTHER_METHOD),
        ("card_declined", "do_not_honor", Code.DECLINED, Action.OTHER_METHOD),
        ("card_declined", "a_word_of_tomorrow", Code.DECLINED, Action.OTHER_METHOD),
        ("card_declined", None, Code.DECLINED, Action.OTHER_METHOD),
        ("card_declined", "lost_card", Code.DECLINED, Action.OTHER_METHOD),
        ("card_declined", "stolen_card", Code.DECLINED, Action.OTHER_METHOD),
        ("card_declined", "fraudulent", Code.DECLINED, Action.OTHER_METHOD),
        ("card_declined", "merchant_blacklist", Code.DECLINED, Action.OTHER_METHOD),
        ("expired_card", None, Code.CARD_EXPIRED, Action.OTHER_METHOD),
        ("card_declined", "expired_card", Code.CARD_EXPIRED, Action.OTHER_METHOD),
        ("incorrect_number", None, Code.METHOD_INVALID, Action.OTHER_METHOD),
        ("incorrect_cvc", None, Code.DECLINED, Action.OTHER_METHOD),
        ("processing_error", None, Code.DECLINED, Action.OTHER_METHOD),
        ("authentication_required", "authentication_required", Code.AUTHENTICATION_REQUIRED, Action.AUTHENTICATE),
        ("payment_intent_authentication_failure", None, Code.AUTHENTICATION_FAILED, Action.OTHER_METHOD),
    ],
)
def test_decline_is_of_its_family(code: str, decline_code: str | None, family: Code, action: Action) -> None:
    error = declined(code, decline_code)
    assert (error.code, error.action, error.ambiguous) == (family, action, False)
    # What the payer may know, and what we may.
    assert error.decline_code == family.value
    assert error.provider_code == (decline_code or code)


@pytest.mark.parametrize("why", ["stolen_card", "lost_card", "fraudulent", "pickup_card", "security_violation"])
def test_theft_and_fraud_look_like_any_other_decline(why: str) -> None:
    assert declined("card_declined", why).decline_code == declined("card_declined", "generic_decline").decline_code


def test_authentication_that_failed_is_a_decline_though_it_is_told_as_a_wrong_request() -> None:
    error = refused(400, type="invalid_request_error", code="payment_intent_authentication_failure")
    assert (error.code, error.action) == (Code.AUTHENTICATION_FAILED, Action.OTHER_METHOD)
    assert error.decline_code == "AUTHENTICATION_FAILED"


@given(
    error=st.dictionaries(
        st.sampled_from(["code", "decline_code", "type", "x"]),
        st.none() | st.integers() | st.text() | st.lists(st.text()) | st.sampled_from(["expired_card"]),
    )
)
def test_every_decline_has_a_family(error: dict[str, object]) -> None:
    assert decline_of(error).code in set(Code)


# Refusals that are definite -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "told", "code", "action"),
    [
        (404, {"code": "resource_missing", "param": "intent"}, Code.NOT_FOUND, Action.NEVER),
        (400, {"code": "resource_missing", "param": "payment_method"}, Code.METHOD_INVALID, Action.OTHER_METHOD),
        (
            400,
            {"code": "resource_missing", "param": "confirmation_token"},
            Code.METHOD_INVALID,
            Action.OTHER_METHOD,
        ),
        (400, {"code": "resource_missing", "param": "customer"}, Code.METHOD_INVALID, Action.OTHER_METHOD),
        (400, {"code": "resource_missing", "param": "destination"}, Code.NOT_FOUND, Action.NEVER),
        (400, {"param": "payment_method"}, Code.METHOD_INVALID, Action.OTHER_METHOD),
        (400, {"code": "payment_method_unexpected_state"}, Code.METHOD_INVALID, Action.OTHER_METHOD),
        (400, {"code": "amount_too_small", "param": "amount"}, Code.AMOUNT_INVALID, Action.NEVER),
        (400, {"code": "amount_too_large"}, Code.AMOUNT_INVALID, Action.NEVER),
        (400, {"code": "payment_intent_unexpected_state"}, Code.STATE_CONFLICT, Action.NEVER),
        (400, {"code": "charge_already_refunded"}, Code.STATE_CONFLICT, Action.NEVER),
        (400, {"code": "charge_expired_for_capture"}, Code.EXPIRED, Action.NEVER),
        (400, {"code": "balance_insufficient"}, Code.BALANCE_INSUFFICIENT, Action.LATER),
        (400, {"code": "insufficient_funds"}, Code.BALANCE_INSUFFICIENT, Action.LATER),
        (400, {"code": "account_invalid"}, Code.ACCOUNT_NOT_READY, Action.LATER),
        (403, {"code": "account_invalid"}, Code.ACCOUNT_NOT_READY, Action.LATER),
        (400, {"code": "payouts_not_allowed"}, Code.ACCOUNT_NOT_READY, Action.LATER),
        (400, {"code": "transfers_not_allowed"}, Code.ACCOUNT_NOT_READY, Action.LATER),
        (400, {"code": "insufficient_capabilities_for_transfer"}, Code.ACCOUNT_NOT_READY, Action.LATER),
        (401, {}, Code.MISCONFIGURED, Action.FIX_CONFIG),
        (403, {}, Code.MISCONFIGURED, Action.FIX_CONFIG),
        (404, {}, Code.NOT_FOUND, Action.NEVER),
        (400, {"code": "parameter_unknown", "param": "x"}, Code.MISCONFIGURED, Action.FIX_CONFIG),
        (400, {}, Code.MISCONFIGURED, Action.FIX_CONFIG),
        (429, {}, Code.RATE_LIMITED, Action.LATER),
        (400, {"code": "payouts_limit_exceeded"}, Code.RATE_LIMITED, Action.LATER),
        (400, {"code": "rate_limit"}, Code.RATE_LIMITED, Action.LATER),
        (429, {"code": "lock_timeout"}, Code.UNAVAILABLE, Action.LATER),
        (400, {"type": "idempotency_error"}, Code.MISCONFIGURED, Action.NEVER),
    ],
)
@pytest.mark.parametrize("writes", [True, False])
def test_refusal_is_definite(status: int, told: dict[str, str], code: Code, action: Action, writes: bool) -> None:
    error = refused(status, writes=writes, **told)
    assert (error.code, error.action, error.ambiguous) == (code, action, False)
    assert error.decline_code is None
    assert error.request_id == "req_1Abc"


def test_codes_are_stripes() -> None:
    """A code that is misspelt here is one that is never met."""
    source = inspect.getsource(stripe.PaymentIntent.LastPaymentError)
    # Told of transfers in Stripe's manual, and of none of the SDK's objects.
    elsewhere = {"insufficient_capabilities_for_transfer"}
    assert {code for code in BY_CODE if f'"{code}"' not in source} == elsewhere


def test_account_that_may_not_be_asked_is_not_ready() -> None:
    assert refused(403, account="acct_1").code is Code.ACCOUNT_NOT_READY
    assert refused(401, account="acct_1").code is Code.MISCONFIGURED


@pytest.mark.parametrize("reason", ["automatic", "expired"])
def test_payment_that_was_let_go_by_time_expired(reason: str) -> None:
    intent = {"status": "canceled", "cancellation_reason": reason}
    error = refused(400, code="payment_intent_unexpected_state", payment_intent=intent)
    assert error.code is Code.EXPIRED


@pytest.mark.parametrize(
    "intent",
    [
        {"status": "canceled", "cancellation_reason": None},
        {"status": "canceled", "cancellation_reason": "requested_by_customer"},
        {"status": "canceled", "cancellation_reason": ["automatic"]},
        {"status": "succeeded", "cancellation_reason": "automatic"},
        "pi_1",
        None,
    ],
)
def test_payment_that_somebody_canceled_did_not_expire(intent: object) -> None:
    error = refused(400, code="payment_intent_unexpected_state", payment_intent=intent)
    assert error.code is Code.STATE_CONFLICT


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("rate_limit", Code.RATE_LIMITED),
        ("idempotency_error", Code.MISCONFIGURED),
        ("insufficient_funds", Code.MISCONFIGURED),
    ],
)
def test_errors_of_version_two_are_read_too(kind: str, code: Code) -> None:
    status = 429 if kind == "rate_limit" else 400
    assert refused(status, mode="V2", type=kind).code is code


# Outcomes that nobody knows -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (500, {"type": "api_error"}),
        (502, {}),
        (500, {"type": "card_error", "code": "resource_missing"}),
        (409, {}),
        (409, {"code": KEY_IN_USE, "type": "idempotency_error"}),
        (400, {"code": KEY_IN_USE, "type": "idempotency_error"}),
    ],
)
def test_nobody_knows_whether_it_was_written(status: int, told: dict[str, str]) -> None:
    error = refused(status, **told)
    assert (error.code, error.action, error.ambiguous) == (Code.UNAVAILABLE, Action.SAME_KEY, True)
    read = refused(status, writes=False, **told)
    assert (read.code, read.action, read.ambiguous) == (Code.UNAVAILABLE, Action.LATER, False)


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b""), (200, b"<html>"), (200, b"\xff")]
    + [
        (status, body)
        for status in (500, 503)
        for body in (b"", b"<html>", b"\xff", b"[]", b"null", b'"x"', b"{}")
    ],
)
def test_answer_that_cannot_be_read_leaves_all_open(status: int, body: bytes) -> None:
    error = provider_error(raised(status, body), writes=True, account=None)
    assert (error.code, error.ambiguous) == (Code.UNAVAILABLE, True)


def unreached(cause: Exception, *, writes: bool = True) -> ProviderError:
    error = stripe.APIConnectionError(SECRET_SENTENCE)
    error.__cause__ = cause
    return provider_error(error, writes=writes, account=None)


@pytest.mark.parametrize(
    "cause",
    [httpx.ConnectError("x"), httpx.ConnectTimeout("x"), httpx.PoolTimeout("x"), httpx.UnsupportedProtocol("x")],
)
def test_what_was_never_sent_changed_nothing(cause: Exception) -> None:
    error = unreached(cause)
    assert (error.code, error.action, error.ambiguous) == (Code.UNAVAILABLE, Action.LATER, False)
    assert error.provider_code == type(cause).__name__


@pytest.mark.parametrize(
    "cause",
    [
        httpx.ReadTimeout("x"),
        httpx.WriteTimeout("x"),
        httpx.ReadError("x"),
        httpx.RemoteProtocolError("x"),
        RuntimeError("x"),
    ],
)
def test_what_was_sent_and_not_answered_is_unknown(cause: Exception) -> None:
    error = unreached(cause)
    assert (error.code, error.action, error.ambiguous) == (Code.UNAVAILABLE, Action.SAME_KEY, True)
    read = unreached(cause, writes=False)
    assert (read.action, read.ambiguous) == (Action.LATER, False)


def test_answer_that_is_malformed_is_unknown_of_a_write_only() -> None:
    for writes in (True, False):
        with pytest.raises(ProviderError) as caught, readable(writes=writes):
            raise KeyError("sk_live_secret")
        code = Code.UNAVAILABLE if writes else Code.MISCONFIGURED
        assert (caught.value.code, caught.value.ambiguous) == (code, writes)
        assert "sk_live" not in "".join(traceback.format_exception(caught.value))


# What is told ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 409, 429, 500])
def test_no_sentence_of_stripes_is_repeated(status: int) -> None:
    for told in ({}, {"code": SECRET_SENTENCE, "decline_code": SECRET_SENTENCE, "param": SECRET_SENTENCE}):
        error = refused(status, **told)
        shown = f"{error} {error!r} {vars(error)}"
        for word in ("sk_live", "4242", "payer@", "Invalid key"):
            assert word not in shown


def test_wrong_request_without_a_code_tells_its_parameter() -> None:
    assert refused(400, param="off_session").provider_code == "invalid_request_error:off_session"
    assert refused(400).provider_code == "invalid_request_error"


@given(
    status=st.sampled_from([400, 401, 402, 403, 404, 409, 422, 429, 500]),
    told=st.recursive(
        st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=9),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["error", "code", "type", "param", "decline_code", "payment_intent", "status"]),
                inner,
            )
        ),
        max_leaves=9,
    ),
)
def test_whatever_is_told_has_a_word(status: int, told: object) -> None:
    try:
        stripe_error = raised(status, orjson.dumps({"error": told}))
    except AttributeError:
        return  # the SDK's own, of an error that is no object; the client takes it for an unknown outcome
    error = provider_error(stripe_error, writes=True, account=None)
    assert error.code in set(Code)
    assert error.ambiguous is ((error.code, error.action) == (Code.UNAVAILABLE, Action.SAME_KEY))
