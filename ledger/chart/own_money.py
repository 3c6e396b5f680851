"""The platform's own money: what passes between a provider and the platform's bank, and what the provider bills.

Each is one balance transaction and nothing else: nobody's payment, refund or payout. The bank's own account is not
kept here; ``bank`` is the sum of what went there and came from there.
"""

from datetime import datetime

from ledger.chart.drafts import Draft, Line, signed_line
from ledger.chart.specs import AccountKind, platform, with_provider
from ledger.chart.transactions import BalanceTransaction


def platform_payout(
    *,
    provider: str,
    balance_transaction: str,
    asset: str,
    amount: int,
    fee: int = 0,
    effective_at: datetime | None = None,
) -> Draft:
    """Return the group of what a provider paid to the platform's bank, and its fee for that.

    Amounts are in the asset's smallest unit; the fee is negative where one was given back.
    """
    bank, balance = platform(AccountKind.BANK, asset), with_provider(AccountKind.BALANCE, asset, provider)
    return Draft.of(
        BalanceTransaction.PLATFORM_PAYOUT.key(provider, balance_transaction),
        Line(bank, balance, amount, "platform_payout"),
        _fee(provider, asset, fee),
        effective_at=effective_at,
    )


def platform_payout_returned(
    *,
    provider: str,
    balance_transaction: str,
    asset: str,
    amount: int,
    fee: int = 0,
    effective_at: datetime | None = None,
) -> Draft:
    """Return the group of such a payout that failed or was cancelled: the provider has the money again.

    Not linked to the payout: the provider's line does not say which line had paid it. Amounts are as for
    :func:`platform_payout`.
    """
    bank, balance = platform(AccountKind.BANK, asset), with_provider(AccountKind.BALANCE, asset, provider)
    return Draft.of(
        BalanceTransaction.PLATFORM_PAYOUT_RETURNED.key(provider, balance_transaction),
        Line(balance, bank, amount, "platform_payout_returned"),
        _fee(provider, asset, fee),
        effective_at=effective_at,
    )


def platform_top_up(
    *,
    provider: str,
    balance_transaction: str,
    asset: str,
    amount: int,
    fee: int = 0,
    effective_at: datetime | None = None,
) -> Draft:
    """Return the group of what the platform paid in from its bank; ``amount`` is negative where that was undone.

    Amounts are in the asset's smallest unit; the fee is negative where one was given back.
    """
    bank, balance = platform(AccountKind.BANK, asset), with_provider(AccountKind.BALANCE, asset, provider)
    return Draft.of(
        BalanceTransaction.PLATFORM_TOP_UP.key(provider, balance_transaction),
        signed_line(balance, bank, amount, "platform_top_up"),
        _fee(provider, asset, fee),
        effective_at=effective_at,
    )


def provider_fee(
    *,
    provider: str,
    balance_transaction: str,
    asset: str,
    amount: int,
    effective_at: datetime | None = None,
) -> Draft:
    """Return the group of what a provider bills for no payment in particular; below zero it gave that back.

    ``amount`` is in the asset's smallest unit.
    """
    return Draft.of(
        BalanceTransaction.PROVIDER_FEE.key(provider, balance_transaction),
        _fee(provider, asset, amount),
        effective_at=effective_at,
    )


def _fee(provider: str, asset: str, amount: int) -> Line:
    fees, balance = platform(AccountKind.PROVIDER_FEES, asset), with_provider(AccountKind.BALANCE, asset, provider)
    return signed_line(fees, balance, amount, "provider_fee")
