"""Refunds: money on its way back to the payer, out of every part it was split into."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from ledger.chart.drafts import Draft, Line
from ledger.chart.specs import AccountKind, creator, platform, with_provider
from ledger.chart.splits import Split
from ledger.chart.transactions import BalanceTransaction

_PLACES: Final = frozenset({AccountKind.PENDING, AccountKind.AVAILABLE})


@dataclass(frozen=True, slots=True)
class Return:
    """What goes back of one creator's earning, with the fee and the tax on it.

    ``split`` is as :func:`refund_split` divides it. Its net is taken from where the earning sits: PENDING until
    it matures and AVAILABLE from then on, also once it was paid out. ``from_reserve`` is how much of it comes
    from what is still kept in reserve of this earning instead; that much less is due later. What is not there
    the creator owes. Everything is in the asset's smallest unit.
    """

    creator_id: UUID
    split: Split
    taken_from: AccountKind
    from_reserve: int = 0

    def __post_init__(self) -> None:
        """Refuse a place where no earning sits."""
        if self.taken_from not in _PLACES:
            raise ValueError(f"An earning is pending or available, not {self.taken_from}.")
        if not 0 <= self.from_reserve <= self.split.net:
            raise ValueError("At least nothing and at most all of the net comes from the reserve.")


def refund(
    *,
    refund: UUID,
    provider: str,
    asset: str,
    returns: Sequence[Return],
    beyond: int = 0,
    effective_at: datetime | None = None,
) -> Draft:
    """Return the group of a refund that the provider accepted.

    One return, or in an order split over several creators one for each of them that it concerns; with ``beyond``
    their sum is what the payer gets back. ``beyond``, in the asset's smallest unit, is what a provider gave back
    although a dispute had taken it already: nobody earned that any more, so the platform bears it.
    """
    return Draft.of(
        _key(refund),
        *return_lines(returns, provider=provider, asset=asset, event="refund", reference=refund),
        Line(
            platform(AccountKind.CHARGEBACKS, asset),
            with_provider(AccountKind.CLEARING, asset, provider),
            beyond,
            "refund.beyond",
            refund,
        ),
        effective_at=effective_at,
    )


def refund_transaction(
    *,
    provider: str,
    balance_transaction: str,
    asset: str,
    amount: int,
    reference: UUID | None = None,
    effective_at: datetime | None = None,
) -> Draft:
    """Return the group of a provider's refund transaction: what it paid back out of what it holds for us.

    ``amount`` is in the asset's smallest unit; ``reference`` is usually the refund.
    """
    return Draft.of(
        BalanceTransaction.REFUND.key(provider, balance_transaction),
        Line(
            with_provider(AccountKind.CLEARING, asset, provider),
            with_provider(AccountKind.BALANCE, asset, provider),
            amount,
            "refund_transaction",
            reference,
        ),
        effective_at=effective_at,
    )


def refund_failed(*, refund: UUID, effective_at: datetime | None = None) -> Draft:
    """Return the group of a refund that was accepted and failed later: everybody has again what they gave.

    The money is back in clearing's care; :func:`refund_returned` follows if the provider had paid it already.
    """
    return Draft.undoing(
        _key(refund),
        f"{_key(refund)}:failed",
        kind="refund.failed",
        reference=refund,
        effective_at=effective_at,
    )


def refund_returned(
    *,
    provider: str,
    balance_transaction: str,
    refund_transaction: str,
    reference: UUID | None = None,
    effective_at: datetime | None = None,
) -> Draft:
    """Return the group of the balance transaction by which a provider takes back a failed refund's money.

    ``refund_transaction`` is the balance transaction that had paid it; ``reference`` is usually the refund.
    """
    return Draft.undoing(
        BalanceTransaction.REFUND.key(provider, refund_transaction),
        BalanceTransaction.REFUND_RETURNED.key(provider, balance_transaction),
        kind="refund_returned",
        reference=reference,
        effective_at=effective_at,
    )


def return_lines(
    returns: Sequence[Return], *, provider: str, asset: str, event: str, reference: UUID
) -> list[Line]:
    """Return the lines by which earnings, fees and taxes go back to a provider's clearing."""
    clearing = with_provider(AccountKind.CLEARING, asset, provider)
    lines = []
    for part in returns:
        owed = creator(AccountKind.OWED, asset, part.creator_id)
        reserve = creator(AccountKind.RESERVE, asset, part.creator_id)
        earned = creator(part.taken_from, asset, part.creator_id)
        lines += [
            Line(reserve, clearing, part.from_reserve, f"{event}.net", reference, owed),
            Line(earned, clearing, part.split.net - part.from_reserve, f"{event}.net", reference, owed),
            Line(platform(AccountKind.FEES, asset), clearing, part.split.fee, f"{event}.fee", reference),
            Line(platform(AccountKind.TAX_PAYABLE, asset), clearing, part.split.tax, f"{event}.tax", reference),
        ]
    return lines


def _key(refund: UUID) -> str:
    return f"refund:{refund}"
