"""The sweeper: finds payments whose call to the provider nobody finished, and looks up how it ended.

An unknown outcome is looked up, never guessed: found, it is settled; absent and young, the same call is made
again under the same key.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, Final

import structlog

from core.clock import now
from core.payments import PaymentStatus
from models.database import DATABASE_ERRORS
from providers.payments.base import DisputeFact, ProviderError, Subject
from services import charging, payments
from services.calls import RESEND_WITHIN
from services.engine import Engine
from services.fold import Contradiction
from services.settlement import abandon

_RETRY_AFTER: Final = timedelta(seconds=10)
_PUT_OFF_BY: Final = timedelta(hours=1)
_BATCH: Final = 100

_CLAIM: Final = """
    update payments set calling_until = $2 where id in (
        select id from payments where calling_until <= $1 and provider = $4 order by calling_until limit $3
        for no key update skip locked
    )
    returning *
"""
_EXPIRED: Final = """
    update payments set calling_until = $2, updated_at = $4 where id in (
        select id from payments
        where kind = 'purchase' and status in ('CREATED', 'PENDING', 'REQUIRES_ACTION', 'FAILED')
            and created_at < $1 and updated_at < $5 and (calling_until is null or status = 'REQUIRES_ACTION')
            and provider = $6
        order by created_at limit $3 for no key update skip locked
    )
    returning *
"""
_PUT_OFF: Final = "update payments set calling_until = $3 where id = $1 and calling_until = $2"

_OPEN_DISPUTES: Final = """
    select provider_reference from disputes where payment_id = $1 and status in ('NEEDS_RESPONSE', 'UNDER_REVIEW')
"""

log = structlog.get_logger(__name__)


async def sweep(engine: Engine) -> bool:
    """Look up payments left in an unknown state, and cancel purchases nobody completed.

    Return whether there may be more. Claiming moves ``calling_until`` ahead, so that several workers share the
    work and a failure comes back.
    """
    writer, provider = engine.database.writer, engine.provider.name
    at = now()
    rows = await writer.fetch(_CLAIM, at, at + _RETRY_AFTER, _BATCH, provider)
    await _each(engine, rows, _look_up)
    at = now()
    unpaid = at - engine.payment_expiry
    # One that could not be cancelled is tried again after a while, not in the next breath.
    expired = await writer.fetch(_EXPIRED, unpaid, at + _RETRY_AFTER, _BATCH, at, at - _RETRY_AFTER, provider)
    await _each(engine, expired, _expire)
    return _BATCH in {len(rows), len(expired)}


async def _each(engine: Engine, rows: Sequence[Any], step: Callable[[Engine, Any], Awaitable[None]]) -> None:
    for row in rows:
        if now() >= row["calling_until"]:
            return  # the claim has lapsed: the rest is anybody's again
        try:
            await step(engine, row)
        except ProviderError as error:
            log.warning("provider could not be asked", payment=str(row["id"]), code=error.code.value)
        except DATABASE_ERRORS:
            raise
        except Contradiction as contradiction:
            # Asking again soon will not change it; somebody has to look at it.
            log.error("provider contradicts itself", payment=str(row["id"]), error=str(contradiction))
            await engine.database.writer.execute(_PUT_OFF, row["id"], row["calling_until"], now() + _PUT_OFF_BY)
        except Exception:
            # Whatever is wrong with one payment, the others wait behind it.
            log.exception("payment could not be looked up", payment=str(row["id"]))


async def _look_up(engine: Engine, row: Any) -> None:
    if row["provider_reference"] is None:
        facts = await engine.provider.find(Subject.PAYMENT, row["id"])
    else:
        facts = await engine.provider.fetch(Subject.PAYMENT, row["provider_reference"])
        if row["dispute"] == "OPEN":
            # A provider need not tell with a payment what is not decided about it.
            told = {fact.provider_reference for fact in facts if isinstance(fact, DisputeFact)}
            for each in await engine.database.reader.fetch(_OPEN_DISPUTES, row["id"]):
                if each["provider_reference"] not in told:
                    facts = [*facts, *await engine.provider.fetch(Subject.DISPUTE, each["provider_reference"])]
    if facts:
        # Nothing happened and the payer may try again, or it goes on, or this is how it ended.
        await charging.settle_looked_up(engine, facts, row["calling_until"])
        return
    if row["provider_reference"] is None and now() - row["created_at"] < RESEND_WITHIN:
        await payments.start_again(engine, row)
        return
    if row["provider_reference"] is None:
        await abandon(engine, row["id"])
        return
    log.error("payment is unknown to its provider", payment=str(row["id"]), status=row["status"])


async def _expire(engine: Engine, row: Any) -> None:
    if row["status"] == PaymentStatus.CREATED or row["provider_reference"] is None:
        await _look_up(engine, row)
        return
    await charging.cancel_at_provider(engine, row)
