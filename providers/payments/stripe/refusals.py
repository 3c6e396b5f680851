"""Refusals that Stripe has no code for: judged by how the object stands. Pure functions."""

from collections.abc import Collection

from providers.payments.base import Fact, ProviderAction, ProviderError, ProviderErrorCode


def is_unclear(error: ProviderError, codes: Collection[ProviderErrorCode]) -> bool:
    """Return whether a refusal of one of these codes is worth a look at what it is about.

    One whose outcome nobody knows is not: it has to be asked for again. Nor is that of a key which was used for
    something else: it says all there is to say.
    """
    reused = error.code is ProviderErrorCode.MISCONFIGURED and error.action is ProviderAction.NEVER
    return not error.ambiguous and not reused and error.code in codes


def told_with(error: ProviderError, code: ProviderErrorCode, fact: Fact | None) -> ProviderError:
    """Return a refusal as what it turned out to be, with the state of its object."""
    passing = code in {ProviderErrorCode.ACCOUNT_NOT_READY, ProviderErrorCode.BALANCE_INSUFFICIENT}
    action = ProviderAction.LATER if passing else ProviderAction.NEVER
    return ProviderError(code, action, provider_code=error.provider_code, request_id=error.request_id, fact=fact)
