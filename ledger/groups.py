"""What is posted, and what comes back."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Movement:
    """An amount on its way from one account to another.

    ``debit`` and ``credit`` are account ids of one asset, ``amount`` is a positive whole number of that
    asset's smallest unit. ``kind`` names the line on a statement; ``reference`` the thing it is about.
    """

    debit: int
    credit: int
    amount: int
    kind: str
    reference: UUID | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """The movements of one business operation: posted whole or not at all, and once per key.

    ``key`` has 1 to 255 printable characters. ``effective_at`` (aware) is when it happened in the world;
    without it, when it is posted. It is a part of what the key stands for, so take it from the event and
    never from the clock.
    """

    key: str
    movements: tuple[Movement, ...]
    effective_at: datetime | None = None


class Refusal(StrEnum):
    """Why a group was not posted."""

    INSUFFICIENT_FUNDS = "insufficient_funds"
    ACCOUNT_CLOSED = "account_closed"
    BALANCE_TOO_LARGE = "balance_too_large"

    KEY_REUSED = "key_reused"

    MALFORMED = "malformed"
    NO_MOVEMENTS = "no_movements"
    AMOUNT_NOT_POSITIVE = "amount_not_positive"
    AMOUNT_NOT_WHOLE = "amount_not_whole"
    AMOUNT_TOO_LARGE = "amount_too_large"
    SAME_ACCOUNT = "same_account"
    UNKNOWN_ACCOUNT = "unknown_account"
    ASSET_MISMATCH = "asset_mismatch"

    @property
    def stored(self) -> bool:
        """Whether the refusal is the key's answer for ever. Otherwise the key is still free, or another's."""
        return self in _STORED


_STORED = frozenset({Refusal.INSUFFICIENT_FUNDS, Refusal.ACCOUNT_CLOSED, Refusal.BALANCE_TOO_LARGE})


@dataclass(frozen=True, slots=True)
class Posted:
    """The group is in the books, now or (``replayed``) since an earlier call with the same key and body."""

    group_id: UUID
    posted_at: datetime
    replayed: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing of the group was written.

    ``account`` is the id of the account that stood in the way, where there is one. ``missing``, with
    INSUFFICIENT_FUNDS only, is what that account lacked, in its smallest unit, for the first movement that
    could not be made. ``replayed``: an earlier call with the same key and body was refused so.
    """

    code: Refusal
    account: int | None = None
    missing: int | None = None
    replayed: bool = False


Outcome: TypeAlias = Posted | Refused
