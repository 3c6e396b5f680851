"""Connected accounts, of version 2 of Stripe's API, as facts."""

from datetime import datetime
from typing import Final

from providers.payments.base import AccountFact
from providers.payments.stripe import references
from providers.payments.stripe.objects import fields
from providers.payments.stripe.objects.fields import Source

INCLUDED: Final = ("configuration.recipient", "identity", "requirements")
"""What of an account has to be asked for by name to be told."""

_BALANCE: Final = ("configuration", "recipient", "capabilities", "stripe_balance")
_DUE: Final = frozenset(("currently_due", "past_due"))


def account_fact(account: Source, at: datetime) -> AccountFact | None:
    """Return what an account says, ``at`` a moment; None when it is of no creator of ours.

    What ``INCLUDED`` names has to be told with it.
    """
    reference = references.ours(account, references.CREATOR)
    if reference is None:
        return None
    return AccountFact(
        reference=reference,
        provider_reference=fields.text(account, "id"),
        at=at,
        ready=_is_ready(account),
        missing=_missing(account),
    )


def country(account: Source) -> str | None:
    """Return the country an account was opened in, as its ISO 3166-1 alpha-2 code; None where it is not told."""
    identity = fields.inner_or_none(account, "identity") or {}
    code = fields.text_or_none(identity, "country")
    return None if code is None else code.upper()


def _is_ready(account: Source) -> bool:
    """Return whether it can receive transfers, and pay out what it received."""
    balance: Source | None = account
    for name in _BALANCE:
        balance = None if balance is None else fields.inner_or_none(balance, name)
    if balance is None or account.get("closed") is True:
        return False
    payouts = fields.inner_or_none(balance, "payouts")
    return _is_active(fields.inner_or_none(balance, "stripe_transfers")) and (
        payouts is None or _is_active(payouts)
    )


def _is_active(capability: Source | None) -> bool:
    return capability is not None and capability.get("status") == "active"


def _missing(account: Source) -> tuple[str, ...]:
    """Return what is due from the creator, in Stripe's words, each once."""
    requirements = fields.inner_or_none(account, "requirements") or {}
    if requirements.get("entries") is None:
        return ()
    wanted = (
        fields.text(entry, "description")
        for entry in fields.items(requirements, "entries")
        if entry.get("awaiting_action_from") == "user" and _is_due(entry)
    )
    return tuple(dict.fromkeys(wanted))


def _is_due(entry: Source) -> bool:
    deadline = fields.inner_or_none(entry, "minimum_deadline") or {}
    return deadline.get("status") in _DUE
