"""The chart of accounts: every kind of account there is, and how an account is named."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID


class AccountKind(StrEnum):
    """Every kind of account there is."""

    # A person's, and a gift card's.
    WALLET = "wallet"
    GIFT_CARD = "gift_card"
    # A creator's.
    PENDING = "pending"
    AVAILABLE = "available"
    RESERVE = "reserve"
    PAYOUT = "payout"
    OWED = "owed"
    # The platform's.
    FEES = "fees"
    TAX_PAYABLE = "tax_payable"
    PROVIDER_FEES = "provider_fees"
    DISPUTE_FEES = "dispute_fees"
    CHARGEBACKS = "chargebacks"
    FX = "fx"
    SUSPENSE = "suspense"
    BANK = "bank"
    # With a provider.
    CLEARING = "clearing"
    BALANCE = "balance"
    CONNECTED = "connected"


CREATOR_KINDS: Final = frozenset(
    {
        AccountKind.PENDING,
        AccountKind.AVAILABLE,
        AccountKind.RESERVE,
        AccountKind.PAYOUT,
        AccountKind.OWED,
    }
)
PERSONAL_KINDS: Final = CREATOR_KINDS | {AccountKind.WALLET, AccountKind.GIFT_CARD}
"""Those with an owner: a creator, a person, or the gift card itself."""
PROVIDER_KINDS: Final = frozenset({AccountKind.CLEARING, AccountKind.BALANCE, AccountKind.CONNECTED})
GUARDED_KINDS: Final = PERSONAL_KINDS - {AccountKind.OWED}
"""A person's money cannot be overdrawn; a debt and the platform's accounts can be on either side of zero."""

_PERSONAL_RANK: Final = 0
_PLATFORM_RANK: Final = 10
_PROVIDER_RANK: Final = 20


@dataclass(frozen=True, slots=True)
class AccountSpec:
    """The name of an account: one per owner (or provider, or the platform), kind and asset code."""

    kind: AccountKind
    asset: str
    owner: UUID | None = None
    provider: str | None = None

    def __post_init__(self) -> None:
        """Refuse a name that cannot be an account's."""
        if (self.owner is not None) != (self.kind in PERSONAL_KINDS):
            raise ValueError(f"A {self.kind} account {'has no' if self.owner else 'needs an'} owner.")
        if (self.provider is not None) != (self.kind in PROVIDER_KINDS):
            raise ValueError(f"A {self.kind} account {'has no' if self.provider else 'needs a'} provider.")

    @property
    def code(self) -> str:
        """The unique name for people: ``creator:<uuid>:pending:USD``, ``sandbox:clearing:USD``."""
        if self.owner is None:
            return f"{self.provider or 'platform'}:{self.kind}:{self.asset}"
        if self.kind in CREATOR_KINDS:
            return f"creator:{self.owner}:{self.kind}:{self.asset}"
        whose = "person" if self.kind is AccountKind.WALLET else "gift_card"
        return f"{whose}:{self.owner}:{self.kind}:{self.asset}"

    @property
    def guarded(self) -> bool:
        """Whether the database refuses to overdraw it."""
        return self.kind in GUARDED_KINDS

    @property
    def striped(self) -> bool:
        """Whether it is several rows that read as one, because every process touches it."""
        return self.owner is None

    @property
    def lock_rank(self) -> int:
        """Its place in the order of locking: the fewer batches touch an account, the earlier it is locked.

        The accounts that every batch touches come last, so that nobody waits for anything while holding them.
        """
        if self.owner is not None:
            return _PERSONAL_RANK
        return _PROVIDER_RANK if self.kind in PROVIDER_KINDS else _PLATFORM_RANK


def creator(kind: AccountKind, asset: str, owner: UUID) -> AccountSpec:
    """Return a creator's account."""
    return AccountSpec(kind, asset, owner=owner)


def wallet(asset: str, owner: UUID) -> AccountSpec:
    """Return a person's wallet."""
    return AccountSpec(AccountKind.WALLET, asset, owner=owner)


def gift_card(asset: str, card: UUID) -> AccountSpec:
    """Return what is on a gift card. It belongs to whoever bears the card, so the card is its owner."""
    return AccountSpec(AccountKind.GIFT_CARD, asset, owner=card)


def platform(kind: AccountKind, asset: str) -> AccountSpec:
    """Return one of the platform's own accounts."""
    return AccountSpec(kind, asset)


def with_provider(kind: AccountKind, asset: str, provider: str) -> AccountSpec:
    """Return an account that mirrors what lies with a payment provider."""
    return AccountSpec(kind, asset, provider=provider)
