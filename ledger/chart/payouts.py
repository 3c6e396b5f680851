"""Payouts: a creator's money on its way to the bank.

Asked for, transferred to the creator's connected account at the provider, and paid from there. Each step is a
group of its own, because each is a call or an event of its own, and what follows it may never come.
"""

from datetime import datetime
from uuid import UUID

from ledger.chart.drafts import Draft, Line, RecoveryLine
from ledger.chart.specs import AccountKind, creator, with_provider
from ledger.chart.transactions import BalanceTransaction


def payout_asked(
    *,
    payout: UUID,
    creator_id: UUID,
    asset: str,
    amount: int,
    effective_at: datetime | None = None,
) -> Draft:
    """Return the group of a payout asked for, posted before the provider is called.

    ``amount`` is in the asset's smallest unit. What the creator owes is paid first, and posting it is refused when
    that leaves less than ``amount`` available.
    """
    available = creator(AccountKind.AVAILABLE, asset, creator_id)
    return Draft.of(
        f"payout:{payout}",
        RecoveryLine(available, creator(AccountKind.OWED, asset, creator_id), "payout.recovery", payout),
        Line(
            available,
            creator(AccountKind.PAYOUT, asset, creator_id),
            amount,
            "payout.asked",
            payout,
        ),
        effective_at=effective_at,
    )


def payout_transferred(
    *,
    payout: UUID,
    provider: str,
    balance_transaction: str,
    asset: str,
    amount: int,
    effective_at: datetime | None = None,
) -> Draft:
    """Return the group of a transfer from what the provider holds for us to a creator's connected account.

    ``balance_transaction`` is the transfer's; ``amount`` is in the asset's smallest unit.
    """
    return Draft.of(
        BalanceTransaction.TRANSFER.key(provider, balance_transaction),
        Line(
            with_provider(AccountKind.CONNECTED, asset, provider),
            with_provider(AccountKind.BALANCE, asset, provider),
            amount,
            "payout.transferred",
            payout,
        ),
        effective_at=effective_at,
    )


def payout_paid(
    *,
    payout: UUID,
    creator_id: UUID,
    provider: str,
    asset: str,
    amount: int,
    effective_at: datetime | None = None,
) -> Draft:
    """Return the group of a payout that reached the bank. ``amount`` is in the asset's smallest unit."""
    return Draft.of(
        f"payout:{payout}:paid",
        Line(
            creator(AccountKind.PAYOUT, asset, creator_id),
            with_provider(AccountKind.CONNECTED, asset, provider),
            amount,
            "payout.paid",
            payout,
        ),
        effective_at=effective_at,
    )


def payout_failed(
    *,
    payout: UUID,
    creator_id: UUID,
    provider: str,
    asset: str,
    amount: int,
    paid: bool = False,
    effective_at: datetime | None = None,
) -> Draft:
    """Return the group of a payout that failed: its money is available again.

    ``paid``: it had been posted as paid, and the bank sent it back. If it had been transferred,
    :func:`transfer_reversed` follows once the provider has taken that back. ``amount`` is in the asset's
    smallest unit.
    """
    on_its_way = creator(AccountKind.PAYOUT, asset, creator_id)
    connected = with_provider(AccountKind.CONNECTED, asset, provider)
    available = creator(AccountKind.AVAILABLE, asset, creator_id)
    return Draft.of(
        f"payout:{payout}:failed",
        Line(connected, on_its_way, amount if paid else 0, "payout.returned", payout),
        Line(on_its_way, available, amount, "payout.failed", payout),
        effective_at=effective_at,
    )


def transfer_reversed(
    *,
    provider: str,
    balance_transaction: str,
    transfer: str,
    reference: UUID | None = None,
    effective_at: datetime | None = None,
) -> Draft:
    """Return the group of a transfer that the provider took back from the connected account.

    ``balance_transaction`` is the reversal's and ``transfer`` the one that had moved the money there;
    ``reference`` is usually the payout.
    """
    return Draft.undoing(
        BalanceTransaction.TRANSFER.key(provider, transfer),
        BalanceTransaction.TRANSFER_REVERSED.key(provider, balance_transaction),
        kind="payout.transfer_reversed",
        reference=reference,
        effective_at=effective_at,
    )
