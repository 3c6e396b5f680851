"""What a reconciliation says: one result for each check."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from services.reconciliation.codes import DifferenceCode
from services.reconciliation.differences import Difference


class Check(StrEnum):
    """What is compared with what, in the order it is done."""

    BOOKS = "books"
    BALANCE = "balance"
    SUSPENSE = "suspense"
    PAYMENTS = "payments"
    SHARES = "shares"
    ITEMS = "items"
    STOCK = "stock"
    EARNINGS = "earnings"
    REFUNDS = "refunds"
    DISPUTES = "disputes"
    PAYOUTS = "payouts"
    STANDING = "standing"
    EVENTS = "events"
    INBOX = "inbox"
    OUTBOX = "outbox"
    LEDGER = "ledger"
    CLEARING = "clearing"


COMPARED = {
    Check.BOOKS: "each line of the provider's books with its group in the ledger, and back",
    Check.BALANCE: "what the provider holds with what the ledger says it holds",
    Check.SUSPENSE: "what was settled in another currency with what was converted",
    Check.PAYMENTS: "each payment with its facts, its events and what was posted for it",
    Check.SHARES: "each share of a payment for several creators with the payment and with what was posted",
    Check.ITEMS: "each payment with the tip or order it is for",
    Check.STOCK: "each stock level with its movements and reservations, and those with their orders",
    Check.EARNINGS: "each creator's earnings by day with the payments they come from",
    Check.REFUNDS: "each refund with what was posted for it",
    Check.DISPUTES: "each dispute with what was posted for it",
    Check.PAYOUTS: "each payout with what was posted for it",
    Check.STANDING: "whatever is under way with what the provider says of it",
    Check.EVENTS: "the provider's events with those that arrived",
    Check.INBOX: "what arrived and was not settled",
    Check.OUTBOX: "what is to be told and was not",
    Check.LEDGER: "the ledger with its own invariants",
    Check.CLEARING: "what has been on its way for long",
}


class State(StrEnum):
    """How a check ended. NOT_POSSIBLE: this provider has nothing to compare with."""

    DONE = "done"
    NOT_POSSIBLE = "not_possible"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check found. ``more`` differences were found beyond those listed; ``note`` is what else to know."""

    check: Check
    differences: tuple[Difference, ...] = ()
    more: int = 0
    state: State = State.DONE
    note: str = ""

    @property
    def standing(self) -> int:
        """How many differences there are that were not mended."""
        return self.more + sum(not difference.mended for difference in self.differences)

    @property
    def ran(self) -> bool:
        """Whether it was made at all; one that could not be made is a difference of its own."""
        unmade = {DifferenceCode.PROVIDER_SILENT, DifferenceCode.CHECK_FAILED}
        return self.state is State.DONE and not any(
            difference.code in unmade and not difference.mended for difference in self.differences
        )

    def as_json(self) -> dict[str, Any]:
        """Return it as it is recorded and printed."""
        return {
            "check": self.check.value,
            "state": self.state.value,
            "note": self.note,
            "differences": [difference.as_json() for difference in self.differences],
            "more": self.more,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """One reconciliation. ``entries`` lines of the provider's books were read, from ``since`` on."""

    provider: str
    since: datetime
    started_at: datetime
    finished_at: datetime
    entries: int
    checks: tuple[CheckResult, ...]

    @property
    def differences(self) -> tuple[Difference, ...]:
        """All that is listed, mended or not."""
        return tuple(difference for result in self.checks for difference in result.differences)

    @property
    def found(self) -> int:
        """How many differences there were, mended or not."""
        return sum(len(result.differences) + result.more for result in self.checks)

    @property
    def standing(self) -> int:
        """How many differences there still are."""
        return sum(result.standing for result in self.checks)

    @property
    def mended(self) -> int:
        """How many differences there are no more."""
        return self.found - self.standing

    @property
    def clean(self) -> bool:
        """Whether nothing differs, or no longer."""
        return self.standing == 0

    def result(self, check: Check) -> CheckResult:
        """Return what one check found."""
        return next(result for result in self.checks if result.check is check)

    def mended_from(self, first: "Report", failures: dict[Any, str]) -> Self:
        """Return this second look with what the ``first`` one saw and is gone now counted as mended."""
        seen = {result.check: result for result in first.checks}
        return replace(
            self,
            started_at=first.started_at,
            checks=tuple(_merged(seen[result.check], result, failures) for result in self.checks),
        )

    def as_json(self) -> dict[str, Any]:
        """Return it as it is printed."""
        return {
            "provider": self.provider,
            "since": self.since.isoformat(),
            "started_at": self.started_at.isoformat(),
            "finished_at": self.finished_at.isoformat(),
            "entries": self.entries,
            "differences": self.standing,
            "mended": self.mended,
            "clean": self.clean,
            "checks": [result.as_json() for result in self.checks],
        }


def _merged(first: CheckResult, second: CheckResult, failures: dict[Any, str]) -> CheckResult:
    # A check that could not be made the second time cannot say that anything is mended.
    unsure = not second.ran and second.state is State.DONE
    still = {difference.key for difference in second.differences}
    gone = [difference for difference in first.differences if difference.key not in still]
    return replace(
        second,
        differences=(
            *(
                difference.after_mending(
                    mended=not unsure and not second.more, failure=failures.get(difference.key)
                )
                for difference in gone
            ),
            *(
                difference.after_mending(mended=False, failure=failures.get(difference.key))
                for difference in second.differences
            ),
        ),
    )
