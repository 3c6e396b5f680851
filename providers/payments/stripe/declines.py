"""Why Stripe declined a payment, in the contract's words. Pure.

Of a decline the payer is shown the family alone: that a card is reported stolen, or that fraud is suspected, is
between Stripe and us.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from providers.payments.base import ProviderAction, ProviderErrorCode


class Decline(NamedTuple):
    """A family of declines, and what the payer may do."""

    code: ProviderErrorCode
    action: ProviderAction


_OTHER: Final = Decline(ProviderErrorCode.DECLINED, ProviderAction.OTHER_METHOD)
_FUNDS: Final = Decline(ProviderErrorCode.INSUFFICIENT_FUNDS, ProviderAction.OTHER_METHOD)
_EXPIRED: Final = Decline(ProviderErrorCode.CARD_EXPIRED, ProviderAction.OTHER_METHOD)
_INVALID: Final = Decline(ProviderErrorCode.METHOD_INVALID, ProviderAction.OTHER_METHOD)
_ASKS: Final = Decline(ProviderErrorCode.AUTHENTICATION_REQUIRED, ProviderAction.AUTHENTICATE)
_FAILED: Final = Decline(ProviderErrorCode.AUTHENTICATION_FAILED, ProviderAction.OTHER_METHOD)

# What is not listed is DECLINED: every other refusal of an issuer, and all that speak of theft or fraud.
_FAMILIES: Final[Mapping[str, Decline]] = {
    "insufficient_funds": _FUNDS,
    "expired_card": _EXPIRED,
    "invalid_expiry_month": _EXPIRED,
    "invalid_expiry_year": _EXPIRED,
    "authentication_required": _ASKS,
    "online_or_offline_pin_required": _OTHER,
    "authentication_not_handled": _FAILED,
    "payment_intent_authentication_failure": _FAILED,
    "setup_intent_authentication_failure": _FAILED,
    "incorrect_number": _INVALID,
    "invalid_number": _INVALID,
    "invalid_account": _INVALID,
    "incorrect_cvc": _OTHER,
    "invalid_cvc": _OTHER,
    "incorrect_zip": _OTHER,
    "incorrect_address": _OTHER,
    "stolen_card": _OTHER,
    "lost_card": _OTHER,
    "fraudulent": _OTHER,
    "merchant_blacklist": _OTHER,
    "pickup_card": _OTHER,
    "restricted_card": _OTHER,
    "security_violation": _OTHER,
}


def decline_of(error: Mapping[str, object]) -> Decline:
    """Return the family of a card error or of an intent's ``last_payment_error``. Total."""
    for name in ("decline_code", "code"):
        word = error.get(name)
        if isinstance(word, str) and word in _FAMILIES:
            return _FAMILIES[word]
    return _OTHER
