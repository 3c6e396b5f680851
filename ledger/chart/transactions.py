"""Balance transactions: the lines of a provider's own books, and the groups that match them.

Whatever touches an account ``P:balance`` is a group whose key is ``<prefix>:<provider>:<balance transaction>``,
and whatever has such a key is what one balance transaction did. So each of the provider's lines can be matched
with exactly one group, and each of these groups with a line.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from ledger.chart.specs import AccountKind

_BALANCE: Final = AccountKind.BALANCE
_PROVIDER_FEE: Final = frozenset({(AccountKind.PROVIDER_FEES, _BALANCE), (_BALANCE, AccountKind.PROVIDER_FEES)})
_BANK: Final = frozenset({(AccountKind.BANK, _BALANCE), (_BALANCE, AccountKind.BANK)})


class BalanceTransaction(StrEnum):
    """What a provider's balance transaction is about: the prefix of its group's key."""

    CHARGE = "charge"
    CAPTURE_REVERSED = "capture_reversed"
    FOREIGN_SETTLEMENT = "foreign_settlement"
    REFUND = "refund_transaction"
    REFUND_RETURNED = "refund_returned"
    DISPUTE_WITHDRAWN = "dispute_withdrawn"
    DISPUTE_WON = "dispute_won"
    TRANSFER = "transfer"
    TRANSFER_REVERSED = "transfer_reversed"
    PLATFORM_PAYOUT = "platform_payout"
    PLATFORM_PAYOUT_RETURNED = "platform_payout_returned"
    PLATFORM_TOP_UP = "platform_top_up"
    PROVIDER_FEE = "provider_fee"

    def key(self, provider: str, balance_transaction: str) -> str:
        """Return the key of the one group that matches a provider's balance transaction."""
        return f"{self}:{provider}:{balance_transaction}"


BALANCE_MOVEMENTS: Final[Mapping[BalanceTransaction, frozenset[tuple[AccountKind, AccountKind]]]] = (
    MappingProxyType(
        {
            BalanceTransaction.CHARGE: frozenset(
                {(_BALANCE, AccountKind.CLEARING), (AccountKind.PROVIDER_FEES, _BALANCE)}
            ),
            BalanceTransaction.CAPTURE_REVERSED: frozenset({(AccountKind.CLEARING, _BALANCE)}) | _PROVIDER_FEE,
            BalanceTransaction.FOREIGN_SETTLEMENT: frozenset(
                {
                    (_BALANCE, AccountKind.SUSPENSE),
                    (AccountKind.SUSPENSE, _BALANCE),
                    (AccountKind.PROVIDER_FEES, _BALANCE),
                    (_BALANCE, AccountKind.PROVIDER_FEES),
                    (AccountKind.DISPUTE_FEES, _BALANCE),
                    (_BALANCE, AccountKind.DISPUTE_FEES),
                }
            ),
            BalanceTransaction.REFUND: frozenset({(AccountKind.CLEARING, _BALANCE)}),
            BalanceTransaction.REFUND_RETURNED: frozenset({(_BALANCE, AccountKind.CLEARING)}),
            BalanceTransaction.DISPUTE_WITHDRAWN: frozenset(
                {(AccountKind.CLEARING, _BALANCE), (AccountKind.DISPUTE_FEES, _BALANCE)}
            ),
            BalanceTransaction.DISPUTE_WON: frozenset(
                {
                    (_BALANCE, AccountKind.CLEARING),
                    (_BALANCE, AccountKind.DISPUTE_FEES),
                    (AccountKind.DISPUTE_FEES, _BALANCE),
                    (_BALANCE, AccountKind.CHARGEBACKS),
                    (AccountKind.CHARGEBACKS, _BALANCE),
                }
            ),
            BalanceTransaction.TRANSFER: frozenset({(AccountKind.CONNECTED, _BALANCE)}),
            BalanceTransaction.TRANSFER_REVERSED: frozenset({(_BALANCE, AccountKind.CONNECTED)}),
            BalanceTransaction.PLATFORM_PAYOUT: frozenset({(AccountKind.BANK, _BALANCE)}) | _PROVIDER_FEE,
            BalanceTransaction.PLATFORM_PAYOUT_RETURNED: frozenset({(_BALANCE, AccountKind.BANK)}) | _PROVIDER_FEE,
            BalanceTransaction.PLATFORM_TOP_UP: _BANK | _PROVIDER_FEE,
            BalanceTransaction.PROVIDER_FEE: _PROVIDER_FEE,
        }
    )
)
"""The movements (debit, credit) that may touch ``P:balance`` in a group, by what the group is about."""
