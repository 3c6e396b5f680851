"""The accounts that the hammer has for its own: the same in every run, so that there are never more of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self
from uuid import UUID, uuid5

from ledger.accounts import ensure, find
from ledger.chart import AccountKind, AccountSpec, creator, gift_card, wallet, with_provider
from ledger.connections import Pool, PoolOrConnection

PROVIDER: Final = "hammer"

_NAMESPACE: Final = UUID("6f1c7f9e-5f0b-4d0e-9f0a-3a7d5d0c2b11")
_CREATORS: Final = 24
_WALLETS: Final = 40
_GIFT_CARDS: Final = 8
_CLOSING: Final = 3
_ASSET: Final = "USD"
_OTHER_ASSET: Final = "JPY"

_ROWS: Final = (
    "select id, coalesce(stripe_of, id) as account from ledger.account where id = any($1) or stripe_of = any($1)"
)


def _owner(what: str, number: int) -> UUID:
    return uuid5(_NAMESPACE, f"{what} {number}")


_CREATORS_KINDS: Final = (
    AccountKind.PENDING,
    AccountKind.AVAILABLE,
    AccountKind.RESERVE,
    AccountKind.PAYOUT,
    AccountKind.OWED,
)


@dataclass(frozen=True, slots=True)
class Creator:
    """The ids of a creator's accounts."""

    pending: int
    available: int
    reserve: int
    payout: int
    owed: int


@dataclass(frozen=True, slots=True)
class Books:
    """The ids of the hammer's accounts. The first creators are the hot ones.

    ``guarded`` are those that cannot be overdrawn, ``closing`` those that are closed now and then, ``foreign``
    is in another asset than all others. ``clearing`` and ``connected`` are striped.
    """

    creators: Sequence[Creator]
    guarded: Sequence[int]
    closing: Sequence[int]
    foreign: Sequence[int]
    clearing: int
    connected: int
    foreign_clearing: int

    @classmethod
    async def open(cls, on: PoolOrConnection) -> Self:
        """Open what is not open yet. Errors: as :func:`ledger.ensure`."""
        return cls._of(await ensure(_specs(), on=on))

    @classmethod
    async def find(cls, pool: Pool) -> Self:
        """Find them once they are open."""
        async with pool.acquire() as connection:
            return cls._of(await find(_specs(), on=connection))

    @classmethod
    def _of(cls, ids: Mapping[AccountSpec, int]) -> Self:
        creators = [
            Creator(*(ids[creator(kind, _ASSET, _owner("creator", number))] for kind in _CREATORS_KINDS))
            for number in range(_CREATORS)
        ]
        wallets = [ids[wallet(_ASSET, _owner("wallet", number))] for number in range(_WALLETS)]
        cards = [ids[gift_card(_ASSET, _owner("gift card", number))] for number in range(_GIFT_CARDS)]
        return cls(
            creators=creators,
            guarded=[
                *(
                    account
                    for one in creators
                    for account in (one.pending, one.available, one.reserve, one.payout)
                ),
                *wallets,
                *cards,
            ],
            closing=[ids[wallet(_ASSET, _owner("closing", number))] for number in range(_CLOSING)],
            foreign=[ids[wallet(_OTHER_ASSET, _owner("wallet", number))] for number in range(_CLOSING)],
            clearing=ids[with_provider(AccountKind.CLEARING, _ASSET, PROVIDER)],
            connected=ids[with_provider(AccountKind.CONNECTED, _ASSET, PROVIDER)],
            foreign_clearing=ids[with_provider(AccountKind.CLEARING, _OTHER_ASSET, PROVIDER)],
        )

    @property
    def all(self) -> list[int]:
        """All of them."""
        owed = [one.owed for one in self.creators]
        striped = [self.clearing, self.connected, self.foreign_clearing]
        return [*self.guarded, *owed, *self.closing, *self.foreign, *striped]

    async def rows(self, on: PoolOrConnection) -> dict[int, int]:
        """Return the account of each row that a movement may have gone through: itself, or its stripes' one."""
        return {row["id"]: row["account"] for row in await on.fetch(_ROWS, self.all)}


def _specs() -> Iterator[AccountSpec]:
    for number in range(_CREATORS):
        for kind in _CREATORS_KINDS:
            yield creator(kind, _ASSET, _owner("creator", number))
    for number in range(_WALLETS):
        yield wallet(_ASSET, _owner("wallet", number))
    for number in range(_GIFT_CARDS):
        yield gift_card(_ASSET, _owner("gift card", number))
    for number in range(_CLOSING):
        yield wallet(_ASSET, _owner("closing", number))
        yield wallet(_OTHER_ASSET, _owner("wallet", number))
    yield with_provider(AccountKind.CLEARING, _ASSET, PROVIDER)
    yield with_provider(AccountKind.CONNECTED, _ASSET, PROVIDER)
    yield with_provider(AccountKind.CLEARING, _OTHER_ASSET, PROVIDER)
