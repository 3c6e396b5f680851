"""Groups that cannot be posted by anybody, each with the reason that has to be given."""

from collections.abc import Callable
from datetime import datetime
from random import Random
from typing import Any, Final

from core.ids import uuid7
from ledger.groups import (
    Capture,
    Group,
    Hold,
    Increment,
    Movement,
    Recovery,
    Refusal,
    Release,
    Reversal,
)
from ledger.hammer.accounts import Books
from ledger.hammer.asks import Ask

_NO_ACCOUNT: Final = 2**62
_NAIVE: Final = datetime(2026, 1, 1)  # ruff: ignore[call-datetime-without-tzinfo] - that is what is wrong with it

Made = tuple[Group, Refusal]


def malformed(key: str, books: Books, chance: Random) -> Ask:
    """Return a group that is refused before anything is decided, under a key that stays free."""
    group, refusal = chance.choice(WAYS)(key, books)
    return Ask("malformed", group, frozenset({refusal}))


def _amount(amount: Any, refusal: Refusal) -> Callable[[str, Books], Made]:
    def make(key: str, books: Books) -> Made:
        sound = Movement(books.clearing, books.guarded[0], 1, "hammer.0")
        return Group(key, (sound, Movement(books.clearing, books.guarded[0], amount, "hammer.1"))), refusal

    return make


def _accounts(
    debit: Callable[[Books], int], credit: Callable[[Books], int], refusal: Refusal
) -> Callable[[str, Books], Made]:
    def make(key: str, books: Books) -> Made:
        sound = Movement(books.clearing, books.guarded[0], 1, "hammer.0")
        return Group(key, (sound, Movement(debit(books), credit(books), 1, "hammer.1"))), refusal

    return make


def _operation(make_one: Callable[[Books], Any], refusal: Refusal) -> Callable[[str, Books], Made]:
    def make(key: str, books: Books) -> Made:
        sound = Movement(books.clearing, books.guarded[0], 1, "hammer.0")
        return Group(key, (sound, make_one(books))), refusal

    return make


WAYS: Final[list[Callable[[str, Books], Made]]] = [
    _amount(0, Refusal.AMOUNT_NOT_POSITIVE),
    _amount(-5, Refusal.AMOUNT_NOT_POSITIVE),
    _amount(1.5, Refusal.AMOUNT_NOT_WHOLE),
    _amount(2.0, Refusal.AMOUNT_NOT_WHOLE),
    _amount("3", Refusal.AMOUNT_NOT_WHOLE),
    _amount(True, Refusal.AMOUNT_NOT_WHOLE),
    _amount(10**38, Refusal.AMOUNT_TOO_LARGE),
    _amount(10**60, Refusal.AMOUNT_TOO_LARGE),
    _accounts(lambda books: books.guarded[0], lambda books: books.guarded[0], Refusal.SAME_ACCOUNT),
    _accounts(lambda books: books.clearing, lambda books: books.clearing, Refusal.SAME_ACCOUNT),
    _accounts(lambda _: _NO_ACCOUNT, lambda books: books.guarded[0], Refusal.UNKNOWN_ACCOUNT),
    _accounts(lambda books: books.clearing, lambda _: _NO_ACCOUNT, Refusal.UNKNOWN_ACCOUNT),
    _accounts(lambda books: books.clearing, lambda _: 0, Refusal.UNKNOWN_ACCOUNT),
    _accounts(lambda books: books.clearing, lambda _: 2**70, Refusal.UNKNOWN_ACCOUNT),
    _accounts(lambda books: books.clearing, lambda books: books.foreign[0], Refusal.ASSET_MISMATCH),
    _operation(
        lambda books: Recovery(books.guarded[0], books.foreign[0], "hammer.1"),
        Refusal.ASSET_MISMATCH,
    ),
    _operation(
        lambda books: Hold(uuid7(), books.guarded[0], books.guarded[0], 1, "hammer.1"),
        Refusal.SAME_ACCOUNT,
    ),
    _operation(lambda _: Capture(uuid7(), None, "hammer.1"), Refusal.UNKNOWN_HOLD),
    _operation(lambda _: Increment(uuid7(), 1), Refusal.UNKNOWN_HOLD),
    _operation(lambda _: Release(uuid7()), Refusal.UNKNOWN_HOLD),
    _operation(lambda _: Release(uuid7(), 0), Refusal.AMOUNT_NOT_POSITIVE),
    _operation(lambda _: Reversal(uuid7(), None, "hammer.1"), Refusal.UNKNOWN_MOVEMENT),
    _operation(lambda books: Movement(books.clearing, books.guarded[0], 1, ""), Refusal.MALFORMED),
    _operation(
        lambda books: Movement(books.guarded[0], books.clearing, 1, "hammer.1", shortfall=books.clearing),
        Refusal.SAME_ACCOUNT,
    ),
    lambda key, _: (Group(key, ()), Refusal.NO_MOVEMENTS),
    lambda key, books: (
        Group(f"{key}\0", (Movement(books.clearing, books.guarded[0], 1, "hammer.0"),)),
        Refusal.MALFORMED,
    ),
    lambda _, books: (Group("", (Movement(books.clearing, books.guarded[0], 1, "hammer.0"),)), Refusal.MALFORMED),
    lambda key, books: (
        Group(key.ljust(256, "x"), (Movement(books.clearing, books.guarded[0], 1, "hammer.0"),)),
        Refusal.MALFORMED,
    ),
    lambda key, books: (
        Group(key, (Movement(books.clearing, books.guarded[0], 1, "hammer.0"),), _NAIVE),
        Refusal.MALFORMED,
    ),
]
