"""What is posted, and what comes back."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, TypeAlias
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Movement:
    """An amount on its way from one account to another.

    ``debit`` and ``credit`` are account ids of one asset, ``amount`` is a positive whole number of that
    asset's smallest unit. ``kind`` names the line on a statement; ``reference`` the thing it is about.

    ``shortfall`` is an account that pays what ``debit`` has not got. It is for what has happened already and
    can be refused no more; the movement then becomes two, or one out of ``shortfall`` alone.
    """

    debit: int
    credit: int
    amount: int
    kind: str
    reference: UUID | None = None
    shortfall: int | None = None


@dataclass(frozen=True, slots=True)
class Recovery:
    """A debt recovered: as much as ``debit`` has available and ``credit`` is below zero, whichever is less.

    Where that is nothing, nothing moves. In a group it finds what the operations before it left.
    """

    debit: int
    credit: int
    kind: str
    reference: UUID | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """Money set aside in ``debit`` for ``credit``: it stays posted and is no longer available.

    ``id`` is the caller's, and names the hold from then on. From ``expires_at`` (aware) nothing can be captured
    any more, and what is left becomes available again.
    """

    id: UUID
    debit: int
    credit: int
    amount: int
    kind: str
    reference: UUID | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Capture:
    """Part of a hold paid out, from its debit to its credit account; without ``amount``, all that is left.

    ``final`` releases what is left after it.
    """

    hold: UUID
    amount: int | None
    kind: str
    reference: UUID | None = None
    final: bool = False


@dataclass(frozen=True, slots=True)
class Increment:
    """More money set aside under a hold that is still open."""

    hold: UUID
    amount: int


@dataclass(frozen=True, slots=True)
class Release:
    """Part of a hold made available again; without ``amount``, all that is left."""

    hold: UUID
    amount: int | None = None


@dataclass(frozen=True, slots=True)
class Reversal:
    """A movement sent back, linked to it; without ``amount``, what was not sent back before.

    The reversals of a movement never exceed it. A reversal can be reversed in its turn.
    """

    movement: UUID
    amount: int | None
    kind: str
    reference: UUID | None = None


Operation: TypeAlias = Movement | Recovery | Hold | Capture | Increment | Release | Reversal


@dataclass(frozen=True, slots=True)
class Group:
    """The operations of one business operation: done whole or not at all, in order, and once per key.

    ``key`` has 1 to 255 printable characters. ``effective_at`` (aware) is when it happened in the world;
    without it, when it is posted. It is a part of what the key stands for, so take it from the event and
    never from the clock.
    """

    key: str
    operations: tuple[Operation, ...]
    effective_at: datetime | None = None


class Refusal(StrEnum):
    """Why a group was not posted."""

    INSUFFICIENT_FUNDS = "insufficient_funds"
    ACCOUNT_CLOSED = "account_closed"
    BALANCE_TOO_LARGE = "balance_too_large"
    HOLD_ENDED = "hold_ended"
    HOLD_EXPIRED = "hold_expired"
    HOLD_EXCEEDED = "hold_exceeded"
    REVERSAL_EXCEEDED = "reversal_exceeded"

    KEY_REUSED = "key_reused"

    MALFORMED = "malformed"
    NO_MOVEMENTS = "no_movements"
    AMOUNT_NOT_POSITIVE = "amount_not_positive"
    AMOUNT_NOT_WHOLE = "amount_not_whole"
    AMOUNT_TOO_LARGE = "amount_too_large"
    SAME_ACCOUNT = "same_account"
    UNKNOWN_ACCOUNT = "unknown_account"
    ASSET_MISMATCH = "asset_mismatch"
    UNKNOWN_HOLD = "unknown_hold"
    HOLD_EXISTS = "hold_exists"
    UNKNOWN_MOVEMENT = "unknown_movement"

    @property
    def stored(self) -> bool:
        """Whether the refusal is the key's answer for ever. Otherwise the key is still free, or another's."""
        return self in _STORED


_STORED = frozenset(
    {
        Refusal.INSUFFICIENT_FUNDS,
        Refusal.ACCOUNT_CLOSED,
        Refusal.BALANCE_TOO_LARGE,
        Refusal.HOLD_ENDED,
        Refusal.HOLD_EXPIRED,
        Refusal.HOLD_EXCEEDED,
        Refusal.REVERSAL_EXCEEDED,
    }
)


class AccountAfter(NamedTuple):
    """What an account held after a group, in its smallest unit, and at which version of it."""

    posted: int
    version: int


class PostedMovement(NamedTuple):
    """A movement as it stands in the books. ``debit`` and ``credit`` are the rows it went through.

    A row is the account itself, or of a striped account one of its stripes; the balances are those rows'.
    """

    id: UUID
    debit: int
    credit: int
    amount: int
    debit_after: AccountAfter
    credit_after: AccountAfter


@dataclass(frozen=True, slots=True)
class Posted:
    """The group is in the books, now or (``replayed``) since an earlier call with the same key and body."""

    group_id: UUID
    posted_at: datetime
    replayed: bool
    movements: tuple[PostedMovement, ...]

    @property
    def after(self) -> Mapping[int, AccountAfter]:
        """What each account held when the group had been posted, as it was then, by id."""
        found: dict[int, AccountAfter] = {}
        for movement in self.movements:
            for account, after in (
                (movement.debit, movement.debit_after),
                (movement.credit, movement.credit_after),
            ):
                if account not in found or found[account].version < after.version:
                    found[account] = after
        return found


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing of the group was written.

    ``account`` is the id of the account that stood in the way, where there is one. ``missing`` is in its
    smallest unit: with INSUFFICIENT_FUNDS, what it lacked for the first operation that could not be done; with
    HOLD_EXCEEDED and REVERSAL_EXCEEDED, by how much the amount is more than what is left. ``replayed``: an
    earlier call with the same key and body was refused so.
    """

    code: Refusal
    account: int | None = None
    missing: int | None = None
    replayed: bool = False


Outcome: TypeAlias = Posted | Refused
