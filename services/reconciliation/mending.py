"""Mending: facts are looked up and settled, or a missed event is stored. Nothing else is ever changed."""

from typing import Final

import structlog

from core.clock import now
from providers.payments.base import ProviderError
from services.engine import Engine
from services.fold import Contradiction
from services.posting import LedgerRefusedError
from services.reconciliation.differences import Difference, LookUp, Remedy, StoreEvent

# As the inbox receives them: an event that arrived after all is left as it is.
_STORE: Final = """
    insert into inbox_events (provider, event_id, type, body, state, attempts, due_at, received_at)
    values ($1, $2, $3, $4, 'PENDING', 0, $5, $5)
    on conflict (provider, event_id) do nothing
"""
UNCHANGED: Final = "The provider's answer changed nothing here."

log = structlog.get_logger(__name__)


async def mend(engine: Engine, difference: Difference) -> str:
    """Apply a difference's remedies; return why that may not have helped.

    Whether it did, the next comparison says.
    """
    try:
        for remedy in difference.remedies:
            await _apply(engine, remedy)
    except ProviderError as error:
        return f"The provider could not be asked ({error.code})."
    except Contradiction as contradiction:
        return f"The provider's answer cannot be true of it: {contradiction}"
    except LedgerRefusedError as refused:
        return f"The ledger refused what follows from the provider's answer: {refused}."
    log.info("difference mended", code=difference.code.value, about=difference.about.id)
    return UNCHANGED


async def _apply(engine: Engine, remedy: Remedy) -> None:
    match remedy:
        case LookUp(subject, str() as provider_reference):
            facts = await engine.provider.fetch(subject, provider_reference)
        case LookUp(subject, None, reference) if reference is not None:
            facts = await engine.provider.find(subject, reference)
        case StoreEvent(event):
            await engine.database.writer.execute(
                _STORE, engine.provider.name, event.id, event.type, event.raw, now()
            )
            engine.inbox_wake()
            return
        case _:
            return
    if facts:
        await engine.settle(engine, facts, look_up_at=None)
