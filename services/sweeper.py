"""The sweeper: finds payments whose call to the provider nobody finished, and looks up how it ended.

An unknown outcome is looked up, never guessed: found, it is settled; absent and young, the same call is made
again under the same key.
"""

from datetime import timedelta
from typing import Any, Final

import structlog

from core.clock import now
from core.payments import PaymentStatus
from providers.payments.base import ProviderError
from services import charging, payments
from services.engine import Engine
from services.fold import Contradiction
from services.settlement import LedgerRefusedError

# Providers may forget an idempotency key after a day; then the same call would no longer be the same.
_RESEND_WITHIN: Final = timedelta(hours=23)
_RETRY_AFTER: Final = timedelta(seconds=10)
_BATCH: Final = 100

_CLAIM: Final = """
    update payments set calling_until = $2 where id in (
        select id from payments where calling_until <= $1 order by calling_until limit $3
        for no key update skip locked
    )
    returning *
"""
_EXPIRED: Final = """
    update payments set calling_until = $2 where id in (
        select id from payments
        where kind = 'purchase' and status in ('CREATED', 'PENDING', 'REQUIRES_ACTION', 'FAILED')
            and created_at < $1 and (calling_until is null or status = 'REQUIRES_ACTION')
        order by created_at limit $3 for no key update skip locked
    )
    returning *
"""

log = structlog.get_logger(__name__)


async def sweep(engine: Engine) -> int:
    """Look up payments left in an unknown state, and cancel purchases nobody completed; return how many.

    Claiming moves ``calling_until`` ahead, so that several workers share the work and a failure comes back.
    """
    at = now()
    rows = await engine.database.writer.fetch(_CLAIM, at, at + _RETRY_AFTER, _BATCH)
    for row in rows:
        await _guarded(engine, row, _look_up)
    expired = await engine.database.writer.fetch(_EXPIRED, at - engine.payment_expiry, at + _RETRY_AFTER, _BATCH)
    for row in expired:
        await _guarded(engine, row, _expire)
    return len(rows) + len(expired)


async def _guarded(engine: Engine, row: Any, step: Any) -> None:
    try:
        await step(engine, row)
    except ProviderError as error:
        log.warning("provider could not be asked", payment=str(row["id"]), code=error.code.value)
    except (Contradiction, LedgerRefusedError):
        log.exception("provider contradicts our record", payment=str(row["id"]))


async def _look_up(engine: Engine, row: Any) -> None:
    if row["provider_reference"] is None:
        fact = await engine.provider.find(row["id"])
    else:
        fact = await engine.provider.fetch(row["provider_reference"])
    if fact is not None:
        # Nothing happened and the payer may try again, or it goes on, or this is how it ended.
        await engine.settle(engine, [fact], look_up_at=charging.look_up_at(engine, fact))
        return
    if row["provider_reference"] is None and now() - row["created_at"] < _RESEND_WITHIN:
        await payments.start(engine, row["id"], int(row["gross"]), row["currency"], row["kind"])
        return
    log.error("payment is unknown to its provider", payment=str(row["id"]), status=row["status"])


async def _expire(engine: Engine, row: Any) -> None:
    if row["status"] == PaymentStatus.CREATED or row["provider_reference"] is None:
        await _look_up(engine, row)
        return
    await charging.cancel_at_provider(engine, row)
