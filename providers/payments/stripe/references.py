"""Whose objects at Stripe are ours, and what their names look like. Pure functions.

Our id of an object stands in its metadata, which Stripe keeps and tells with it. An id that was made at Stripe is
checked by its form before it becomes part of an address.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from providers.payments.base import ProviderAction, ProviderError, ProviderErrorCode, Subject

# The names in the metadata.
PAYMENT: Final = "comptoir_payment"
REFUND: Final = "comptoir_refund"
TRANSFER: Final = "comptoir_transfer"
PAYOUT: Final = "comptoir_payout"
CREATOR: Final = "comptoir_creator"
CUSTOMER: Final = "comptoir_customer"

PREFIXES: Final[Mapping[Subject, tuple[str, ...]]] = {
    Subject.PAYMENT: ("pi_",),
    Subject.REFUND: ("re_", "pyr_"),
    Subject.DISPUTE: ("dp_", "du_"),
    Subject.ACCOUNT: ("acct_",),
    Subject.TRANSFER: ("tr_",),
    Subject.PAYOUT: ("po_",),
    Subject.BALANCE_ENTRY: ("txn_",),
}
"""What the ids of each kind of object begin with; a payout is named with its account: ``acct_…/po_…``."""

_LONGEST: Final = 255
_FORM: Final = re.compile(rf"[A-Za-z0-9_]{{1,{_LONGEST}}}", re.ASCII)
_UUID7_SHIFT: Final = 80  # of 128 bits, the first 48 are milliseconds
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# However wrong our clock was when it made an id: what is looked for longer costs a page or two.
_CLOCKS_APART: Final = timedelta(hours=1)


def ours(source: Mapping[str, object], name: str) -> UUID | None:
    """Return our id in an object's metadata, or None when the object was not made by us. Total."""
    metadata = source.get("metadata")
    value = metadata.get(name) if isinstance(metadata, Mapping) else None
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


def has_form(text: str, *prefixes: str) -> bool:
    """Return whether a text could be an id of Stripe's that begins with one of these."""
    return _FORM.fullmatch(text) is not None and text.startswith(prefixes) and text not in prefixes


def known(subject: Subject, provider_reference: str) -> str:
    """Return an object's id when it could be one; not for payouts. Raises ProviderError NOT_FOUND."""
    if not has_form(provider_reference, *PREFIXES[subject]):
        raise not_found(subject.value.lower())
    return provider_reference


def known_payout(provider_reference: str) -> tuple[str, str]:
    """Return the account's and the payout's id of a payout's name. Raises ProviderError NOT_FOUND."""
    pair = split(provider_reference, "acct_", "po_")
    if pair is None:
        raise not_found("payout")
    return pair


def known_method(provider_reference: str) -> tuple[str, str]:
    """Return the customer's and the method's id of a saved method's name. Raises ProviderError NOT_FOUND."""
    pair = split(provider_reference, "cus_", "pm_")
    if pair is None:
        raise not_found("method")
    return pair


def join(owner: str, one: str) -> str:
    """Return the name of an object that is found only by its owner."""
    return f"{owner}/{one}"


def split(text: str, owner_prefix: str, prefix: str) -> tuple[str, str] | None:
    """Return the two ids of such a name, or None when it is none."""
    owner, _, one = text.partition("/")
    return (owner, one) if has_form(owner, owner_prefix) and has_form(one, prefix) else None


def not_found(what: str) -> ProviderError:
    """Return the refusal of an id that names nothing there is."""
    return ProviderError(ProviderErrorCode.NOT_FOUND, ProviderAction.NEVER, provider_code=f"{what}_not_found")


def window(reference: UUID) -> datetime:
    """Return the moment since which whatever was made for an id of ours was made, however two clocks differ.

    It is read from the id, a UUIDv7; an id of another kind tells none, and everything there is has to be read.
    """
    if reference.version != 7:
        return _EPOCH
    return max(_EPOCH, _EPOCH + timedelta(milliseconds=reference.int >> _UUID7_SHIFT) - _CLOCKS_APART)
