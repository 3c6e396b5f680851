"""Background jobs: put on the queue by the transaction that makes them necessary, run by the workers.

A job whose transaction is rolled back was never there; one whose transaction commits is run at least once, so what
it does is done idempotently. The queue is pgqueuer's; ``app/jobs.py`` says what each job does.
"""

from enum import StrEnum
from typing import TYPE_CHECKING, Final, cast
from uuid import UUID

from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment, QueryQueueBuilder, QuerySchedulerBuilder
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.domain.settings import DBSettings, Durability
from pgqueuer.domain.types import Channel

from models.database import Connection

if TYPE_CHECKING:
    import asyncpg

# Every name is said: what is not said the library reads from the environment, under names as common as CHANNEL.
SETTINGS: Final = DBSettings(
    prefix="",
    db_schema="jobs",
    channel=Channel("ch_pgqueuer"),
    function="fn_pgqueuer_changed",
    trigger="tg_pgqueuer_changed",
    queue_status_type="pgqueuer_status",
    queue_table="pgqueuer",
    queue_table_log="pgqueuer_log",
    schedules_table="pgqueuer_schedules",
    statistics_table="pgqueuer_statistics",
    durability=Durability.durable,
    widen_id=True,
)
_ENVIRONMENT: Final = QueryBuilderEnvironment(SETTINGS)
_QUEUE: Final = QueryQueueBuilder(SETTINGS)
_SCHEDULES: Final = QuerySchedulerBuilder(SETTINGS)


class Job(StrEnum):
    """What can be put on the queue."""

    ADVANCE_PAYOUT = "advance_payout"
    RUN_PAYOUT_SCHEDULES = "run_payout_schedules"
    RECONCILE = "reconcile"


def queries(connection: Connection) -> Queries:
    """Return the library's statements on our schema and this connection."""
    # A connection lent by a pool answers the same calls as one of its own.
    driver = AsyncpgDriver(cast("asyncpg.Connection[asyncpg.Record]", connection))
    return Queries(driver, qbe=_ENVIRONMENT, qbq=_QUEUE, qbs=_SCHEDULES)


async def enqueue(connection: Connection, job: Job, subject: UUID | None = None) -> None:
    """Put a job on the queue, in the transaction of ``connection`` if one is open.

    One job of a kind waits for a subject at a time: asking again while it waits adds nothing. It then still sees
    what this transaction does, because the waiting row stays locked, and is not taken, until this one has ended.
    Who enqueues for several subjects in a transaction does so in the order of their ids.
    """
    await queries(connection).enqueue(
        job.value,
        None if subject is None else str(subject).encode(),
        dedupe_key=f"{job.value}:{subject or ''}",
        # Not "skip", which would let a worker take the job before what it is for has been committed.
        on_conflict="update_priority",
    )
