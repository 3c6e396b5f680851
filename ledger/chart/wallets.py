"""Wallets: money that people hold, and send to each other."""

from datetime import datetime
from uuid import UUID

from ledger.chart.drafts import Draft, Line
from ledger.chart.specs import wallet


def wallet_transfer(
    *,
    transfer: UUID,
    sender: UUID,
    recipient: UUID,
    asset: str,
    amount: int,
    effective_at: datetime | None = None,
) -> Draft:
    """Return the group of a transfer from one person's wallet to another's.

    ``amount`` is in the asset's smallest unit. Posting it is refused when the sender has not got it.
    """
    return Draft.of(
        f"wallet_transfer:{transfer}",
        Line(wallet(asset, sender), wallet(asset, recipient), amount, "wallet.transfer", transfer),
        effective_at=effective_at,
    )
