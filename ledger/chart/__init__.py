"""The chart of accounts, and which movements each business event makes.

Pure: events become drafts in terms of named accounts. :class:`ledger.Accounts` turns drafts into groups.
docs/ledger.md has every event with its movements, and a recipe for each.
"""

from ledger.chart.conversions import ConversionQuote, conversion, quote_conversion
from ledger.chart.disputes import (
    dispute_given_back,
    dispute_taken,
    dispute_withdrawn,
    dispute_won,
    dispute_written_off,
    write_off_undone,
)
from ledger.chart.drafts import Draft, Line, RecoveryLine
from ledger.chart.earnings import earning, overpaid_debt, reserve_due
from ledger.chart.own_money import platform_payout, platform_payout_returned, platform_top_up, provider_fee
from ledger.chart.payments import Share, capture, capture_order, capture_reversed, charge, foreign_settlement
from ledger.chart.payouts import payout_asked, payout_failed, payout_paid, payout_transferred, transfer_reversed
from ledger.chart.refunds import Return, refund, refund_failed, refund_returned, refund_transaction
from ledger.chart.specs import (
    CREATOR_KINDS,
    GUARDED_KINDS,
    PERSONAL_KINDS,
    PROVIDER_KINDS,
    AccountKind,
    AccountSpec,
    creator,
    gift_card,
    platform,
    wallet,
    with_provider,
)
from ledger.chart.splits import Split, give_back, refund_split
from ledger.chart.transactions import BALANCE_MOVEMENTS, BalanceTransaction
from ledger.chart.wallets import wallet_transfer

__all__ = [
    "BALANCE_MOVEMENTS",
    "CREATOR_KINDS",
    "GUARDED_KINDS",
    "PERSONAL_KINDS",
    "PROVIDER_KINDS",
    "AccountKind",
    "AccountSpec",
    "BalanceTransaction",
    "ConversionQuote",
    "Draft",
    "Line",
    "RecoveryLine",
    "Return",
    "Share",
    "Split",
    "capture",
    "capture_order",
    "capture_reversed",
    "charge",
    "conversion",
    "creator",
    "dispute_given_back",
    "dispute_taken",
    "dispute_withdrawn",
    "dispute_won",
    "dispute_written_off",
    "earning",
    "foreign_settlement",
    "gift_card",
    "give_back",
    "overpaid_debt",
    "payout_asked",
    "payout_failed",
    "payout_paid",
    "payout_transferred",
    "platform",
    "platform_payout",
    "platform_payout_returned",
    "platform_top_up",
    "provider_fee",
    "quote_conversion",
    "refund",
    "refund_failed",
    "refund_returned",
    "refund_split",
    "refund_transaction",
    "reserve_due",
    "transfer_reversed",
    "wallet",
    "wallet_transfer",
    "with_provider",
    "write_off_undone",
]
