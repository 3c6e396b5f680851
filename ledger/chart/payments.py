"""Payments: what is captured, and what a provider collects for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ledger.chart.drafts import Draft, Line, signed_line
from ledger.chart.specs import AccountKind, creator, platform, with_provider
from ledger.chart.splits import Split
from ledger.chart.transactions import BalanceTransaction


@dataclass(frozen=True, slots=True)
class Share:
    """One creator's part of an order, with the fee and the tax on it.

    ``reference`` is the part's own id: it matures under that instead of the payment's.
    """

    creator_id: UUID
    split: Split
    reference: UUID


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
    return capture_order(
        payment=payment,
        provider=provider,
        asset=asset,
        shares=[Share(creator_id, Split(net, fee, tax), payment)],
        effective_at=effective_at,
    )


def capture_order(
    *,
    payment: UUID,
    provider: str,
    asset: str,
    shares: Sequence[Share],
    effective_at: datetime | None = None,
) -> Draft:
    """Return the group of one captured payment for several creators; the shares sum to what the payer paid."""
    clearing = with_provider(AccountKind.CLEARING, asset, provider)
    fees = platform(AccountKind.FEES, asset)
    taxes = platform(AccountKind.TAX_PAYABLE, asset)
    lines = [
        line
        for share in shares
        for line in (
            Line(
                clearing,
                creator(AccountKind.PENDING, asset, share.creator_id),
                share.split.net,
                "capture.net",
                share.reference,
            ),
            Line(clearing, fees, share.split.fee, "capture.fee", share.reference),
            Line(clearing, taxes, share.split.tax, "capture.tax", share.reference),
        )
    ]
    return Draft.of(f"capture:{payment}", *lines, effective_at=effective_at)


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
    fees = platform(AccountKind.PROVIDER_FEES, asset)
    return Draft.of(
        BalanceTransaction.CHARGE.key(provider, balance_transaction),
        Line(balance, clearing, gross, "charge.gross", reference),
        Line(fees, balance, provider_fee, "charge.provider_fee", reference),
        effective_at=effective_at,
    )


def capture_reversed(
    *,
    provider: str,
    balance_transaction: str,
    asset: str,
    amount: int,
    provider_fee: int = 0,
    reference: UUID | None = None,
    effective_at: datetime | None = None,
) -> Draft:
    """Return the group of what a provider let go of a charge that was captured in part.

    Only where its books have two lines for such a charge: this one, and one of the whole. Amounts are in the
    asset's smallest unit; the fee is negative where one was given back. ``reference`` is usually the payment.
    """
    balance = with_provider(AccountKind.BALANCE, asset, provider)
    clearing = with_provider(AccountKind.CLEARING, asset, provider)
    fees = platform(AccountKind.PROVIDER_FEES, asset)
    return Draft.of(
        BalanceTransaction.CAPTURE_REVERSED.key(provider, balance_transaction),
        Line(clearing, balance, amount, "capture_reversed", reference),
        signed_line(fees, balance, provider_fee, "provider_fee", reference),
        effective_at=effective_at,
    )


def foreign_settlement(
    *,
    provider: str,
    balance_transaction: str,
    asset: str,
    gross: int,
    provider_fee: int,
    fees_to: AccountKind = AccountKind.PROVIDER_FEES,
    reference: UUID | None = None,
    effective_at: datetime | None = None,
) -> Draft:
    """Return the group of a balance transaction in another currency than what it settles.

    It waits in suspense until somebody converts it (see :func:`conversion`); whoever posts it raises the alarm.
    ``asset`` is the currency it came in, amounts are in its smallest unit, and ``gross`` is negative for what
    the provider took. The fee goes to ``fees_to``, a dispute's to DISPUTE_FEES; it is negative where the provider
    gave one back.
    """
    balance = with_provider(AccountKind.BALANCE, asset, provider)
    suspense = platform(AccountKind.SUSPENSE, asset)
    return Draft.of(
        BalanceTransaction.FOREIGN_SETTLEMENT.key(provider, balance_transaction),
        signed_line(balance, suspense, gross, "foreign_settlement.gross", reference),
        signed_line(platform(fees_to, asset), balance, provider_fee, "foreign_settlement.provider_fee", reference),
        effective_at=effective_at,
    )
