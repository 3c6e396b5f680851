"""The hammer: many processes that try to break the books, and an auditor who looks whether they did.

:func:`run` starts processes that post, hold, capture, reverse, repeat themselves and talk nonsense at the same
accounts at the same time, and read while the others write. Each logs what it asks and what it is answered. At the
end every answer is compared with the books, the accounts are emptied, and every invariant is checked.
"""

from ledger.hammer.plan import HammerError, Plan
from ledger.hammer.report import Report
from ledger.hammer.run import run

__all__ = ["HammerError", "Plan", "Report", "run"]
