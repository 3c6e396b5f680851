"""The double-entry ledger: every movement of value is a row here, and every balance is read from here.

Post groups with :func:`post`, name accounts and build the groups of business events with :mod:`ledger.chart`,
read with :func:`balances` and :func:`statement`, prove the books with :func:`verify`. See docs/ledger.md.
"""

from ledger import chart
from ledger.accounts import AccountMismatchError, Accounts, UnknownAssetError, ensure, find
from ledger.assets import Asset, assets
from ledger.balances import Balance, StatementLine, balances, statement
from ledger.chart import AccountKind, AccountSpec, Draft, Line
from ledger.functions import functions_sql
from ledger.groups import Group, Movement, Outcome, Posted, Refusal, Refused
from ledger.posting import PLATFORM, post
from ledger.verify import Finding, Status, verify

__all__ = [
    "PLATFORM",
    "AccountKind",
    "AccountMismatchError",
    "AccountSpec",
    "Accounts",
    "Asset",
    "Balance",
    "Draft",
    "Finding",
    "Group",
    "Line",
    "Movement",
    "Outcome",
    "Posted",
    "Refusal",
    "Refused",
    "StatementLine",
    "Status",
    "UnknownAssetError",
    "assets",
    "balances",
    "chart",
    "ensure",
    "find",
    "functions_sql",
    "post",
    "statement",
    "verify",
]
