"""Places on a payout's way where a process can be made to kill itself."""

from typing import Any, Final, NoReturn

import ledger
from providers.payments.sandbox import SandboxProvider
from services import payout_books, payout_calls, payout_schedules, payouts
from tests.faults.places import _after, _before, _die


def _within_request() -> None:
    """Die when all of a payout is written and its money is set aside, and nothing is committed."""
    original = payouts.once

    async def once(engine: Any, request: Any, act: Any) -> Any:
        async def act_and_die(transaction: Any) -> NoReturn:
            await act(transaction)
            _die()

        return await original(engine, request, act_and_die)

    payouts.once = once  # type: ignore[assignment] # only ever in a process that is about to die


def _of_a_transfer(_: Any, arguments: tuple[Any, ...]) -> bool:
    return any(group.key.startswith("transfer:") for group in arguments[0])


def _of_an_end(_: Any, arguments: tuple[Any, ...]) -> bool:
    return any(group.key.endswith((":paid", ":failed")) for group in arguments[0])


def _of_a_reversal(_: Any, arguments: tuple[Any, ...]) -> bool:
    return any(group.key.startswith("transfer_reversed:") for group in arguments[0])


WEB: Final = {
    "payout written, not committed": _within_request,
    "payout committed, not answered": _after(payouts, "request"),
}
ACCOUNT: Final = {
    "account remembered, provider not called": _before(SandboxProvider, "onboard"),
    "account opened by the provider, not recorded": _after(SandboxProvider, "onboard"),
}
WORKER: Final = {
    "payout claimed, nothing done": _before(payout_calls, "_do"),
    "transfer begun, provider not called": _before(SandboxProvider, "transfer"),
    "transferred by the provider, not recorded": _after(SandboxProvider, "transfer"),
    "transfer written, not posted": _after(payout_books, "write_change"),
    "transfer posted, not committed": _after(ledger, "post", _of_a_transfer),
    "transfer settled, payout not begun": _after(payout_calls, "_transfer"),
    "payout begun, provider not called": _before(SandboxProvider, "payout"),
    "paid out by the provider, not recorded": _after(SandboxProvider, "payout"),
    "payout settled and committed": _after(payout_calls, "_pay_out"),
}
"""On the way to a payout that the provider has."""
END: Final = {
    "end of a payout written, not posted": _after(payout_books, "write_change"),
    "end of a payout posted, not committed": _after(ledger, "post", _of_an_end),
}
"""When the provider has told how it ended."""
FAILURE: Final = {
    "transfer about to be taken back": _before(SandboxProvider, "reverse_transfer"),
    "transfer taken back, not recorded": _after(SandboxProvider, "reverse_transfer"),
    "reversal posted, not committed": _after(ledger, "post", _of_a_reversal),
    "transfer taken back and committed": _after(payout_calls, "_take_back"),
}
SCHEDULE: Final = {
    "schedule claimed, not moved": _before(payout_schedules, "_next_of"),
    "schedule moved, nothing paid": _before(payout_schedules, "_pay"),
    "schedule's payout made, not committed": _after(payout_schedules, "open_payout"),
    "schedule's payout committed": _after(payout_schedules, "_run_next"),
}
PAYOUTS: Final = {**WEB, **ACCOUNT, **WORKER, **END, **FAILURE, **SCHEDULE}
