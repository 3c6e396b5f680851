"""What can be said of a group without the books."""

from collections.abc import Sequence
from typing import Final

from ledger.groups import (
    Capture,
    Group,
    Hold,
    Increment,
    Movement,
    Operation,
    Recovery,
    Refusal,
    Release,
    Reversal,
)

_AMOUNT_LIMIT: Final = 10**38
_ID_LIMIT: Final = 2**63
_TEXT_LIMIT: Final = 255


def unsendable(group: Group) -> Refusal | None:
    """Return why a group cannot even be sent. One that could not be encoded would fail the whole batch."""
    if not _is_text(group.key):
        return Refusal.MALFORMED
    if group.effective_at is not None and group.effective_at.tzinfo is None:
        return Refusal.MALFORMED
    if not group.operations:
        return Refusal.NO_MOVEMENTS
    return next(filter(None, map(_unsendable_operation, group.operations)), None)


def _unsendable_operation(operation: Operation) -> Refusal | None:
    match operation:
        case Movement(debit, credit, amount, kind, _, shortfall):
            accounts = (debit, credit) if shortfall is None else (debit, credit, shortfall)
            return _unsendable_amount(amount) or _unsendable_accounts(accounts) or _unsendable_kind(kind)
        case Recovery(debit, credit, kind):
            return _unsendable_accounts((debit, credit)) or _unsendable_kind(kind)
        case Hold(_, debit, credit, amount, kind, _, expires_at):
            if expires_at is not None and expires_at.tzinfo is None:
                return Refusal.MALFORMED
            return _unsendable_amount(amount) or _unsendable_accounts((debit, credit)) or _unsendable_kind(kind)
        case Capture(_, amount, kind) | Reversal(_, amount, kind):
            return _unsendable_kind(kind) or (None if amount is None else _unsendable_amount(amount))
        case Increment(_, amount) | Release(_, amount):
            return None if amount is None else _unsendable_amount(amount)


def _unsendable_amount(amount: int) -> Refusal | None:
    if type(amount) is not int:
        return Refusal.AMOUNT_NOT_WHOLE
    if amount >= _AMOUNT_LIMIT:
        return Refusal.AMOUNT_TOO_LARGE
    return Refusal.AMOUNT_NOT_POSITIVE if amount <= 0 else None


def _unsendable_accounts(accounts: Sequence[int]) -> Refusal | None:
    return None if all(0 < account < _ID_LIMIT for account in accounts) else Refusal.UNKNOWN_ACCOUNT


def _unsendable_kind(kind: str) -> Refusal | None:
    return None if _is_text(kind) else Refusal.MALFORMED


def _is_text(value: str) -> bool:
    """Tell whether a short text is one that PostgreSQL can hold."""
    return 0 < len(value) <= _TEXT_LIMIT and "\0" not in value and value.isprintable()
