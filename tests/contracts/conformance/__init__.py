"""What every payment provider must do, whichever it is: checks that take an adapter and its test methods.

Each check gets an adapter and the names its test methods go by, and makes objects of its own. A check is for
providers that declare what it needs; what a provider does not declare, it has to refuse.
"""

from . import captures, disputes, feeds, methods, payments, payouts, refunds, undeclared
from .words import CHECKS, Check, Levers, Methods, fetched, first, refusal

__all__ = ["CHECKS", "Check", "Levers", "Methods", "fetched", "first", "refusal"]
