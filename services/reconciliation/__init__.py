"""Reconciliation: the provider, the ledger and the business, compared with each other.

docs/reconciliation.md says what is compared with what, and what to do about each kind of difference.
"""

from services.reconciliation.codes import MEANINGS, DifferenceCode, Meaning
from services.reconciliation.comparing import LISTED
from services.reconciliation.differences import About, AboutKind, Difference, LookUp, StoreEvent
from services.reconciliation.frame import BEGINNING, Limits
from services.reconciliation.report import COMPARED, Check, CheckResult, Report, State
from services.reconciliation.running import GRACE, run

__all__ = [
    "BEGINNING",
    "COMPARED",
    "GRACE",
    "LISTED",
    "MEANINGS",
    "About",
    "AboutKind",
    "Check",
    "CheckResult",
    "Difference",
    "DifferenceCode",
    "Limits",
    "LookUp",
    "Meaning",
    "Report",
    "State",
    "StoreEvent",
    "run",
]
