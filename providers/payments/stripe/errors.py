"""What Stripe refuses with, in the contract's words.

Nothing here repeats a sentence of Stripe's: they name cards, addresses and pieces of keys. Its codes and the id of
the request are enough to find them in its dashboard.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import httpx
import stripe

from providers.payments.base import ProviderAction, ProviderError, ProviderErrorCode
from providers.payments.stripe.declines import decline_of
from providers.payments.stripe.objects.fields import MALFORMED, Source, inner_or_none

_Verdict = tuple[ProviderErrorCode, ProviderAction]

_GONE: Final = (ProviderErrorCode.NOT_FOUND, ProviderAction.NEVER)
_METHOD: Final = (ProviderErrorCode.METHOD_INVALID, ProviderAction.OTHER_METHOD)
_AMOUNT: Final = (ProviderErrorCode.AMOUNT_INVALID, ProviderAction.NEVER)
_CONFLICT: Final = (ProviderErrorCode.STATE_CONFLICT, ProviderAction.NEVER)
_EXPIRED: Final = (ProviderErrorCode.EXPIRED, ProviderAction.NEVER)
_BALANCE: Final = (ProviderErrorCode.BALANCE_INSUFFICIENT, ProviderAction.LATER)
_ACCOUNT: Final = (ProviderErrorCode.ACCOUNT_NOT_READY, ProviderAction.LATER)
_BUSY: Final = (ProviderErrorCode.UNAVAILABLE, ProviderAction.LATER)
_RATE: Final = (ProviderErrorCode.RATE_LIMITED, ProviderAction.LATER)
_REUSED: Final = (ProviderErrorCode.MISCONFIGURED, ProviderAction.NEVER)
_CONFIG: Final = (ProviderErrorCode.MISCONFIGURED, ProviderAction.FIX_CONFIG)
_UNKNOWN: Final = (ProviderErrorCode.UNAVAILABLE, ProviderAction.SAME_KEY)

KEY_IN_USE: Final = "idempotency_key_in_use"
NO_MORE_TOLD: Final = "invalid_request_error"
"""What is left to say of a refusal that has neither a code nor a parameter, but a sentence."""

# Refusals that are no declines, by Stripe's code. Every one is definite: nothing was made or moved.
BY_CODE: Final[Mapping[str, _Verdict]] = {
    # There is no such object.
    "resource_missing": _GONE,
    # The method cannot be charged.
    "customer_session_expired": _METHOD,
    "expired_payment_method": _METHOD,
    "payment_intent_incompatible_payment_method": _METHOD,
    "payment_method_bank_account_blocked": _METHOD,
    "payment_method_currency_mismatch": _METHOD,
    "payment_method_customer_decline": _METHOD,
    "payment_method_invalid_parameter": _METHOD,
    "payment_method_not_available": _METHOD,
    "payment_method_provider_decline": _METHOD,
    "payment_method_restricted": _METHOD,
    "payment_method_unactivated": _METHOD,
    "payment_method_unexpected_state": _METHOD,
    "payment_method_unsupported_type": _METHOD,
    "token_already_used": _METHOD,
    "token_in_use": _METHOD,
    # The amount is not one.
    "amount_too_large": _AMOUNT,
    "amount_too_small": _AMOUNT,
    "charge_exceeds_source_limit": _AMOUNT,
    "charge_exceeds_transaction_limit": _AMOUNT,
    "invalid_charge_amount": _AMOUNT,
    "parameter_invalid_integer": _AMOUNT,
    # The object is not in a state for it.
    "capture_unauthorized_payment": _CONFLICT,
    "charge_already_captured": _CONFLICT,
    "charge_already_refunded": _CONFLICT,
    "charge_disputed": _CONFLICT,
    "charge_not_refundable": _CONFLICT,
    "charge_invalid_parameter": _CONFLICT,
    "intent_invalid_state": _CONFLICT,
    "payment_intent_unexpected_state": _CONFLICT,
    "payout_reconciliation_not_ready": _CONFLICT,
    "refund_disputed_payment": _CONFLICT,
    "status_transition_invalid": _CONFLICT,
    # It could have been done in time.
    "capture_charge_authorization_expired": _EXPIRED,
    "charge_expired_for_capture": _EXPIRED,
    "payment_intent_payment_attempt_expired": _EXPIRED,
    # There is not enough in the balance it comes from.
    "balance_insufficient": _BALANCE,
    "insufficient_funds": _BALANCE,
    # The connected account cannot be paid yet, or no more.
    "account_closed": _ACCOUNT,
    "account_invalid": _ACCOUNT,
    "capability_not_active": _ACCOUNT,
    "instant_payouts_config_disabled": _ACCOUNT,
    "instant_payouts_currency_disabled": _ACCOUNT,
    "instant_payouts_unsupported": _ACCOUNT,
    "insufficient_capabilities_for_transfer": _ACCOUNT,
    "no_account": _ACCOUNT,
    "payouts_not_allowed": _ACCOUNT,
    "transfers_not_allowed": _ACCOUNT,
    # Another request holds the object: this one was not begun.
    "lock_timeout": _BUSY,
    # Too much at once, or on one day.
    "instant_payouts_limit_exceeded": _RATE,
    "payment_intent_rate_limit_exceeded": _RATE,
    "payouts_limit_exceeded": _RATE,
    "rate_limit": _RATE,
    # The first request with this key still runs, and nobody knows how it ends.
    KEY_IN_USE: _UNKNOWN,
}

_DECLINES_BY_CODE: Final = frozenset(
    ("authentication_required", "card_declined", "payment_intent_authentication_failure")
)
# What is wrong with it is what the payer handed over, or the customer that it was kept for.
_OF_A_METHOD: Final = frozenset(("payment_method", "confirmation_token"))
_OF_A_SAVED_METHOD: Final = _OF_A_METHOD | {"customer"}
_LET_GO_BY_TIME: Final = frozenset(("automatic", "expired"))

# Nothing was sent, or not all of it: Stripe has not begun.
_NEVER_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
_WORD: Final = re.compile(r"[A-Za-z0-9_.\-\[\]]{1,64}", re.ASCII)


def provider_error(error: stripe.StripeError, *, writes: bool, account: str | None) -> ProviderError:
    """Return the contract's word for what the SDK raised; its ``fact`` is not read here.

    ``writes``: it might have changed something, so that an outcome nobody knows is ambiguous. ``account`` is the
    connected account that was asked on behalf of.
    """
    if isinstance(error, stripe.APIConnectionError):
        return _unreached(error, writes=writes)
    told = told_by(error)
    (code, action), decline_code = _verdict(error, told, account), None
    if _is_decline(error, told):
        code, action = decline_of(told)
        decline_code = code.value
    unknown = (code, action) == _UNKNOWN
    if unknown and not writes:
        action = ProviderAction.LATER
    return ProviderError(
        code,
        action,
        ambiguous=unknown and writes,
        provider_code=_provider_code(error, told),
        decline_code=decline_code,
        request_id=_word(error.request_id),
    )


def told_by(error: stripe.StripeError) -> Source:
    """Return the object ``error`` of Stripe's answer, or nothing. Total."""
    body = error.json_body
    return (inner_or_none(body, "error") or {}) if isinstance(body, Mapping) else {}


def unknown_outcome(provider_code: str, *, writes: bool) -> ProviderError:
    """Return what is to be said when nobody knows whether it took effect; a read had none to take."""
    action = ProviderAction.SAME_KEY if writes else ProviderAction.LATER
    return ProviderError(ProviderErrorCode.UNAVAILABLE, action, ambiguous=writes, provider_code=provider_code)


@contextmanager
def readable(*, writes: bool) -> Iterator[None]:
    """Turn what a reader raises of a malformed answer into a ProviderError.

    UNAVAILABLE and ambiguous of a write, whose outcome nobody knows; MISCONFIGURED of a read.
    """
    try:
        yield
    except MALFORMED:
        # Without the cause: what a value was that could not be read is not for our logs.
        if writes:
            raise unknown_outcome("unreadable_answer", writes=True) from None
        # Stripe is there and answered: asked again, it says the same, and nothing else has to wait for it.
        raise ProviderError(*_CONFIG, provider_code="unreadable_answer") from None


def _unreached(error: stripe.APIConnectionError, *, writes: bool) -> ProviderError:
    cause = error.__cause__
    word = "no_connection" if cause is None else type(cause).__name__
    if isinstance(cause, _NEVER_SENT):
        return ProviderError(*_BUSY, provider_code=word)
    return unknown_outcome(word, writes=writes)


def _is_decline(error: stripe.StripeError, told: Source) -> bool:
    if (error.http_status or 0) >= 500:
        return False
    # That the payer could not be authenticated is told as a wrong request, too.
    by_code = _word(told.get("code")) in _DECLINES_BY_CODE
    return by_code or isinstance(error, stripe.CardError) or told.get("type") == "card_error"


def _verdict(error: stripe.StripeError, told: Source, account: str | None) -> _Verdict:
    status, code, param = error.http_status or 0, _word(told.get("code")), _word(told.get("param"))
    if status >= 500:
        return _UNKNOWN
    if code == "resource_missing" and param in _OF_A_SAVED_METHOD:
        return _METHOD
    if code == "payment_intent_unexpected_state" and _lapsed(told):
        return _EXPIRED
    if code is not None and code in BY_CODE:
        return BY_CODE[code]
    if isinstance(error, stripe.IdempotencyError):
        return _REUSED
    if isinstance(error, stripe.RateLimitError) or status == 429:
        return _RATE
    if 400 <= status < 403 and param in _OF_A_METHOD:
        return _METHOD
    if status == 403:
        return _CONFIG if account is None else _ACCOUNT
    if status == 404:
        return _GONE
    # What is no refusal, a conflict of two requests or an answer that cannot be read, leaves all open.
    return _CONFIG if 400 <= status < 500 and status != 409 else _UNKNOWN


def _lapsed(told: Source) -> bool:
    intent = inner_or_none(told, "payment_intent") or {}
    return intent.get("status") == "canceled" and _word(intent.get("cancellation_reason")) in _LET_GO_BY_TIME


def _provider_code(error: stripe.StripeError, told: Source) -> str:
    """Return the closest word of Stripe's; of a wrong request without a code, what was wrong if that is told."""
    code = _word(told.get("decline_code")) or _word(told.get("code"))
    if code is not None:
        return code
    kind, param = _word(told.get("type")), _word(told.get("param"))
    if error.http_status != 400 or kind is None:
        return f"http_{error.http_status}"
    return kind if param is None else f"{kind}:{param}"


def _word(value: object) -> str | None:
    """Return a code of Stripe's, or None for what is none: no sentence gets into our logs by this door."""
    return value if isinstance(value, str) and _WORD.fullmatch(value) else None
