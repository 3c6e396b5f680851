"""The queue of jobs: part of the transaction that needs it, one job of a kind waiting for a subject."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import asyncpg
import pytest
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.domain.models import Job as QueuedJob
from pgqueuer.domain.types import QueueEntrypoint, QueueManagerId
from pgqueuer.ports.repository import EntrypointExecutionParameter

from app.migrate import migrate
from models.database import APP_ROLE, Database
from services.jobs import Job, enqueue, queries


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    opened = await Database.connect(dsn)
    yield opened
    await opened.close()


@pytest.fixture
async def queue(dsn: str) -> AsyncIterator[Queries]:
    """The library's statements, as the application's role."""
    connection = await asyncpg.connect(dsn, server_settings={"role": APP_ROLE})
    yield queries(connection)
    await connection.close()


class _RolledBackError(Exception):
    pass


async def test_library_finds_the_tables_it_would_have_made(owner: asyncpg.Connection) -> None:
    plan = await queries(owner).plan_upgrade()

    assert (list(plan.statements), list(plan.notes)) == ([], [])


async def test_migrating_again_keeps_what_waits(dsn: str, database: Database, queue: Queries) -> None:
    async with database.transaction() as transaction:
        await enqueue(transaction.connection, Job.RECONCILE)

    await migrate(dsn)

    assert [job.entrypoint for job in await queue.browse_queue()] == ["reconcile"]


async def test_job_of_a_transaction_that_is_rolled_back_was_never_there(
    database: Database, queue: Queries
) -> None:
    async def fail() -> None:
        async with database.transaction() as transaction:
            await enqueue(transaction.connection, Job.ADVANCE_PAYOUT, uuid4())
            raise _RolledBackError

    with pytest.raises(_RolledBackError):
        await fail()

    assert await queue.browse_queue() == []
    assert await queue.queue_log() == []


async def test_asking_twice_adds_one_job(database: Database, queue: Queries) -> None:
    payout, other = uuid4(), uuid4()
    for _ in range(2):
        async with database.transaction() as transaction:
            await enqueue(transaction.connection, Job.ADVANCE_PAYOUT, payout)
            await enqueue(transaction.connection, Job.ADVANCE_PAYOUT, payout)
            await enqueue(transaction.connection, Job.RECONCILE)
    async with database.transaction() as transaction:
        await enqueue(transaction.connection, Job.ADVANCE_PAYOUT, other)

    waiting = await queue.browse_queue()

    assert [(job.entrypoint, job.payload) for job in waiting] == [
        ("advance_payout", str(payout).encode()),
        ("reconcile", None),
        ("advance_payout", str(other).encode()),
    ]
    assert {job.status for job in waiting} == {"queued"}


async def test_many_who_ask_at_once_add_one_job(database: Database, queue: Queries) -> None:
    payout = uuid4()

    async def ask() -> None:
        async with database.transaction() as transaction:
            await enqueue(transaction.connection, Job.ADVANCE_PAYOUT, payout)

    await asyncio.gather(*(ask() for _ in range(20)))

    assert len(await queue.browse_queue()) == 1


async def test_waiting_job_is_not_taken_before_who_asked_again_has_committed(
    database: Database, queue: Queries
) -> None:
    payout = uuid4()
    async with database.transaction() as transaction:
        await enqueue(transaction.connection, Job.ADVANCE_PAYOUT, payout)

    async with database.transaction() as transaction:
        await enqueue(transaction.connection, Job.ADVANCE_PAYOUT, payout)
        early = await _take(queue)

    assert early == []
    assert [job.payload for job in await _take(queue)] == [str(payout).encode()]


async def _take(queue: Queries) -> list[QueuedJob]:
    return await queue.dequeue(
        batch_size=10,
        entrypoints={QueueEntrypoint(job.value): EntrypointExecutionParameter(0) for job in Job},
        queue_manager_id=QueueManagerId(uuid4()),
        global_concurrency_limit=None,
        heartbeat_timeout=timedelta(seconds=30),
    )


@pytest.mark.parametrize(
    "statement", ["truncate jobs.pgqueuer", "drop table jobs.pgqueuer", "create table jobs.mine (id int)"]
)
async def test_application_cannot_change_the_queue_itself(queue: Queries, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await queue.driver.execute(statement)
