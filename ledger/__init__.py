"""The double-entry ledger: every movement of value is a row here, and every balance is read from here.

Post groups with :func:`post`, name accounts and build the groups of business events with :mod:`ledger.chart`,
set money aside with :func:`hold`, send it back with :func:`reverse`, read with :func:`balance`, :func:`history`
and :func:`statement`, prove the books with :func:`verify`. See docs/ledger.md.
"""

from ledger import chart
from ledger.accounts import (
    STRIPES,
    AccountMismatchError,
    AccountNotEmptyError,
    Accounts,
    CreditLimitInUseError,
    UnknownAccountError,
    UnknownAssetError,
    UnknownGroupError,
    close_account,
    ensure,
    find,
    reopen_account,
    set_credit_limit,
)
from ledger.assets import Asset, AssetMismatchError, assets, declare_asset
from ledger.balances import Balance, PastBalance, balance, balances, history
from ledger.chart import AccountKind, AccountSpec, Draft, Line, RecoveryLine
from ledger.functions import functions_sql
from ledger.groups import (
    AccountAfter,
    Capture,
    Group,
    Hold,
    Increment,
    Movement,
    Operation,
    Outcome,
    Posted,
    PostedMovement,
    Recovery,
    Refusal,
    Refused,
    Release,
    Reversal,
)
from ledger.holds import HoldState, capture, expire_holds, hold, holds, increment, release
from ledger.partitions import create_partitions
from ledger.poster import Poster
from ledger.posting import PLATFORM, post
from ledger.reversals import reversal, reverse
from ledger.statements import Position, StatementLine, settled_until, statement, stream
from ledger.verify import Finding, Status, verify

__all__ = [
    "PLATFORM",
    "STRIPES",
    "AccountAfter",
    "AccountKind",
    "AccountMismatchError",
    "AccountNotEmptyError",
    "AccountSpec",
    "Accounts",
    "Asset",
    "AssetMismatchError",
    "Balance",
    "Capture",
    "CreditLimitInUseError",
    "Draft",
    "Finding",
    "Group",
    "Hold",
    "HoldState",
    "Increment",
    "Line",
    "Movement",
    "Operation",
    "Outcome",
    "PastBalance",
    "Position",
    "Posted",
    "PostedMovement",
    "Poster",
    "Recovery",
    "RecoveryLine",
    "Refusal",
    "Refused",
    "Release",
    "Reversal",
    "StatementLine",
    "Status",
    "UnknownAccountError",
    "UnknownAssetError",
    "UnknownGroupError",
    "assets",
    "balance",
    "balances",
    "capture",
    "chart",
    "close_account",
    "create_partitions",
    "declare_asset",
    "ensure",
    "expire_holds",
    "find",
    "functions_sql",
    "history",
    "hold",
    "holds",
    "increment",
    "post",
    "release",
    "reopen_account",
    "reversal",
    "reverse",
    "set_credit_limit",
    "settled_until",
    "statement",
    "stream",
    "verify",
]
