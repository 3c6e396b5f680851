"""The chart of accounts, and which movements each business event makes.

Pure: events become drafts in terms of named accounts. :class:`ledger.Accounts` turns drafts into groups.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID


class AccountKind(StrEnum):
    """Every kind of account there is."""

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
PROVIDER_KINDS: Final = frozenset({AccountKind.CLEARING, AccountKind.BALANCE, AccountKind.CONNECTED})
GUARDED_KINDS: Final = CREATOR_KINDS - {AccountKind.OWED}
"""A person's money cannot be overdrawn; a debt and the platform's accounts can be on either side of zero."""

_CREATOR_RANK: Final = 0
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
        if (self.owner is not None) != (self.kind in CREATOR_KINDS):
            raise ValueError(f"A {self.kind} account {'has no' if self.owner else 'needs an'} owner.")
        if (self.provider is not None) != (self.kind in PROVIDER_KINDS):
            raise ValueError(f"A {self.kind} account {'has no' if self.provider else 'needs a'} provider.")

    @property
    def code(self) -> str:
        """The unique name for people: ``creator:<uuid>:pending:USD``, ``sandbox:clearing:USD``."""
        if self.owner is not None:
            return f"creator:{self.owner}:{self.kind}:{self.asset}"
        return f"{self.provider or 'platform'}:{self.kind}:{self.asset}"

    @property
    def guarded(self) -> bool:
        """Whether the database refuses to overdraw it."""
        return self.kind in GUARDED_KINDS

    @property
    def lock_rank(self) -> int:
        """Its place in the order of locking: the fewer batches touch an account, the earlier it is locked.

        The accounts that every batch touches come last, so that nobody waits for anything while holding them.
        """
        if self.kind in CREATOR_KINDS:
            return _CREATOR_RANK
        return _PROVIDER_RANK if self.kind in PROVIDER_KINDS else _PLATFORM_RANK


@dataclass(frozen=True, slots=True)
class Line:
    """A movement between named accounts. ``amount`` is in the asset's smallest unit."""

    debit: AccountSpec
    credit: AccountSpec
    amount: int
    kind: str
    reference: UUID | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """A group between named accounts, before their ids are known. Lines of nothing are left out."""

    key: str
    lines: tuple[Line, ...]
    effective_at: datetime | None = None

    def specs(self) -> Iterator[AccountSpec]:
        """Yield the accounts it touches, some of them more than once."""
        for line in self.lines:
            yield line.debit
            yield line.credit


def creator(kind: AccountKind, asset: str, owner: UUID) -> AccountSpec:
    """Return a creator's account."""
    return AccountSpec(kind, asset, owner=owner)


def platform(kind: AccountKind, asset: str) -> AccountSpec:
    """Return one of the platform's own accounts."""
    return AccountSpec(kind, asset)


def with_provider(kind: AccountKind, asset: str, provider: str) -> AccountSpec:
    """Return an account that mirrors what lies with a payment provider."""
    return AccountSpec(kind, asset, provider=provider)


def capture(
    *,
    payment: UUID,
    creator_id: UUID,
    provider: str,
    asset: str,
    net: int,
    fee: int,
    tax: int,
    effective_at: datetime | None = None,
) -> Draft:
    """Return the group of a captured tip or purchase: the creator's share, the platform's fee, and the tax.

    Amounts are in the asset's smallest unit; their sum is what the payer paid.
    """
    clearing = with_provider(AccountKind.CLEARING, asset, provider)
    return _draft(
        f"capture:{payment}",
        Line(clearing, creator(AccountKind.PENDING, asset, creator_id), net, "capture.net", payment),
        Line(clearing, platform(AccountKind.FEES, asset), fee, "capture.fee", payment),
        Line(clearing, platform(AccountKind.TAX_PAYABLE, asset), tax, "capture.tax", payment),
        effective_at=effective_at,
    )


def charge(
    *,
    provider: str,
    balance_transaction: str,
    asset: str,
    gross: int,
    provider_fee: int,
    reference: UUID | None = None,
    effective_at: datetime | None = None,
) -> Draft:
    """Return the group of a provider's charge transaction: what it collected for us, less what it keeps.

    Amounts are in the smallest unit of the asset it settled in. ``reference`` is usually the payment.
    """
    balance = with_provider(AccountKind.BALANCE, asset, provider)
    clearing = with_provider(AccountKind.CLEARING, asset, provider)
    return _draft(
        f"charge:{provider}:{balance_transaction}",
        Line(balance, clearing, gross, "charge.gross", reference),
        Line(
            platform(AccountKind.PROVIDER_FEES, asset),
            balance,
            provider_fee,
            "charge.provider_fee",
            reference,
        ),
        effective_at=effective_at,
    )


def earning(
    *,
    payment: UUID,
    creator_id: UUID,
    asset: str,
    net: int,
    reserve: int,
    effective_at: datetime | None = None,
) -> Draft:
    """Return the group of a matured earning: available to the creator, except what is kept in reserve.

    ``net`` is the whole earning as it was captured and ``reserve`` the part of it kept back, both in the
    asset's smallest unit.
    """
    pending = creator(AccountKind.PENDING, asset, creator_id)
    return _draft(
        f"earning:{payment}",
        Line(
            pending,
            creator(AccountKind.AVAILABLE, asset, creator_id),
            net - reserve,
            "earning.available",
            payment,
        ),
        Line(pending, creator(AccountKind.RESERVE, asset, creator_id), reserve, "earning.reserve", payment),
        effective_at=effective_at,
    )


def _draft(key: str, *lines: Line, effective_at: datetime | None) -> Draft:
    return Draft(key, tuple(line for line in lines if line.amount != 0), effective_at)
