"""Places on the way of a refund, of evidence and of a saved method where a process can be made to kill itself."""

from typing import Any, Final, NoReturn

import ledger
from providers.payments.sandbox import SandboxProvider
from services import disputes, methods, refunds, returns, write_offs
from tests.faults.places import _after, _before, _die


def _within_refund() -> None:
    """Die when all of a refund is written and nothing is committed."""
    original = refunds.once

    async def once(engine: Any, request: Any, act: Any) -> Any:
        async def act_and_die(transaction: Any) -> NoReturn:
            await act(transaction)
            _die()

        return await original(engine, request, act_and_die)

    refunds.once = once  # type: ignore[assignment] # only ever in a process that is about to die


def _of_a_refund(_: Any, arguments: tuple[Any, ...]) -> bool:
    return any(group.key.startswith("refund:") for group in arguments[0])


def _of_a_write_off(_: Any, arguments: tuple[Any, ...]) -> bool:
    return any(group.key.endswith(":written_off") for group in arguments[0])


WEB: Final = {
    "refund written, not committed": _within_refund,
    "refund committed, provider not called": _before(SandboxProvider, "refund"),
    "refunded by the provider, not recorded": _after(SandboxProvider, "refund"),
    "refund folded, not written": _before(returns, "write"),
    "refund written, not posted": _after(returns, "write"),
    "refund posted, not committed": _after(ledger, "post", _of_a_refund),
    "refund recorded, not answered": _after(refunds, "_settle"),
}
SWEEPER: Final = {
    "refund claimed, provider not asked": _before(refunds, "_advance"),
    "refund looked for, not asked for again": _after(SandboxProvider, "find"),
    "refund asked for again, not recorded": _after(SandboxProvider, "refund"),
    "refund asked for again, posted, not committed": _after(ledger, "post", _of_a_refund),
    "refund finished and committed": _after(refunds, "_settle"),
}
REFUSED: Final = {
    "refund refused by the provider, not recorded": _before(refunds, "_end"),
    "refund's refusal written, not committed": _after(returns, "write"),
    "refund's refusal recorded, not answered": _after(refunds, "_end"),
}
EVIDENCE: Final = {
    "evidence written, provider not called": _before(SandboxProvider, "answer_dispute"),
    "evidence taken by the provider, not recorded": _after(SandboxProvider, "answer_dispute"),
    "evidence recorded, not answered": _after(disputes, "_call"),
}
WRITE_OFF: Final = {
    "write-off written, not posted": _before(write_offs, "post"),
    "write-off posted, not committed": _after(ledger, "post", _of_a_write_off),
    "write-off committed, not answered": _after(write_offs, "once"),
}
SAVING: Final = {
    "method begun, provider not called": _before(SandboxProvider, "save_method"),
    "method kept by the provider, not recorded": _after(SandboxProvider, "save_method"),
    "method recorded, not answered": _after(methods, "_save_at_provider"),
}
REMOVING: Final = {
    "removal begun, provider not called": _before(SandboxProvider, "detach_method"),
    "method forgotten by the provider, not recorded": _after(SandboxProvider, "detach_method"),
    "removal recorded, not answered": _after(methods, "_detach_quietly"),
}
RETURNS: Final = {**WEB, **SWEEPER, **REFUSED, **EVIDENCE, **WRITE_OFF, **SAVING, **REMOVING}
