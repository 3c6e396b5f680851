"""Kill -9 of the server, of a backend, of who posts and of who hammers: what was answered is there, nothing is half there."""

import asyncio
import os
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

import ledger
from app.migrate import migrate
from app.postgres import Cluster, Lease
from ledger import Posted
from ledger.hammer import Plan, Report, run
from models.database import APP_ROLE
from tests.conftest import assert_books_are_sound
from tests.faults.posting import groups_of, run_until_killed, wire
from tests.ledger.ledger_helpers import CLEARING, opened, pending
from tests.support.world import eventually

_CALLS = "select count(*) from ledger.request where tenant like 'hammer:%'"
_OTHERS = """
    select count(*) from pg_stat_activity
    where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()
"""
_BUSY = """
    select pid from pg_stat_activity
    where application_name = 'comptoir hammer' and query like '%ledger.%' and state = 'active'
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[tuple[Cluster, Lease]]:
    """A PostgreSQL that can be killed: durable, unlike the one of the run."""
    directory = Path(tempfile.mkdtemp(prefix="comptoir-kill-"))
    directory.chmod(0o711)
    cluster = Cluster(directory / "postgres")
    with cluster.lease() as lease:
        lease.ensure_database("killed")
        yield cluster, lease
    cluster.remove()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="module")
def durable(cluster: tuple[Cluster, Lease]) -> str:
    """The address of its migrated database."""
    dsn = cluster[1].dsn("killed")
    asyncio.run(migrate(dsn))
    return dsn


@pytest.fixture
async def observer(durable: str) -> AsyncIterator[Callable[[str], Awaitable[list[asyncpg.Record]]]]:
    """Asks the database something, over a connection of its own each time: others may be dead."""

    async def ask(query: str) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(durable)
        try:
            rows: list[asyncpg.Record] = await connection.fetch(query)
            return rows
        finally:
            await connection.close()

    yield ask
    await assert_books_are_sound(durable)


# Who posts -----------------------------------------------------------------------------------------------

_ALONE = [[f"call {call}"] for call in range(5)]
_BATCHES = [[f"call {call}, key {key}" for key in range(50)] for call in range(5)]


@pytest.mark.parametrize("calls", [_ALONE, _BATCHES], ids=["alone", "batch"])
@pytest.mark.parametrize(
    ("in_transaction", "marker", "sent_on", "there"),
    [
        (False, b"call 3", False, 0),
        (False, b"call 3", True, 1),
        (True, b"COMMIT", False, 0),
        (True, b"COMMIT", True, 1),
    ],
    ids=["before posting", "while posting", "before the commit", "while committing"],
)
async def test_who_posts_is_killed_between_asking_and_hearing_the_answer(
    durable: str, calls: list[list[str]], in_transaction: bool, marker: bytes, sent_on: bool, there: int
) -> None:
    connection = await asyncpg.connect(durable)
    folder = Path(tempfile.mkdtemp(prefix="comptoir-wire-"))
    try:
        clearing, creator = await opened(connection, CLEARING, pending())
        order: dict[str, object] = {
            "role": APP_ROLE,
            "in_transaction": in_transaction,
            "debit": clearing,
            "credit": creator,
        }
        prefix = folder.name
        calls = [[f"{prefix} {key}" for key in keys] for keys in calls]
        dies_at = 0 if in_transaction else 3
        async with wire(durable, folder, marker=marker, sent_on=sent_on) as through:
            answered = await run_until_killed(through, order, calls)
        assert answered == [key for keys in calls[:dies_at] for key in keys]

        async def is_gone() -> bool:
            return bool(await connection.fetchval(_OTHERS) == 0)

        await eventually(is_gone)
        done = dies_at + there
        balance = await ledger.balance(creator, on=connection)
        assert balance is not None
        assert balance.posted == 100 * len(calls[0]) * done

        # Started again, it asks for everything again.
        for number, keys in enumerate(calls):
            outcomes = await ledger.post(groups_of(order, keys), on=connection)
            assert all(isinstance(outcome, Posted) for outcome in outcomes)
            assert {outcome.replayed for outcome in outcomes} == {number < done}
        balance = await ledger.balance(creator, on=connection)
        assert balance is not None
        assert balance.posted == 100 * sum(map(len, calls))
        assert balance.version == sum(map(len, calls))
    finally:
        await connection.close()
        shutil.rmtree(folder)
    await assert_books_are_sound(durable)


# The hammer -----------------------------------------------------------------------------------------------


class Hammering:
    """A hammer at work."""

    def __init__(self, dsn: str, folder: Path, observer: Callable[[str], Awaitable[list[asyncpg.Record]]]) -> None:
        plan = Plan.of(dsn=dsn, role=APP_ROLE, seconds=60, processes=2, folder=folder)
        self._observer = observer
        self._stop = asyncio.Event()
        self.said: list[str] = []
        self.running = asyncio.create_task(run(plan, self.said.append, self._stop))

    async def goes_on(self, calls: int = 200) -> None:
        """Wait until so many more keys were decided."""
        ((before,),) = await self._observer(_CALLS)

        async def more() -> bool:
            assert not self.running.done(), self.said
            ((number,),) = await self._observer(_CALLS)
            return number >= before + calls

        await eventually(more, 20, lambda: "nothing is posted any more")

    async def ended(self) -> Report:
        """End it; everything has to be well."""
        self._stop.set()
        report, findings = await self.running
        assert report.faults == [], self.said
        assert [finding for finding in findings if finding.status is ledger.Status.BROKEN] == []
        assert report.posted.total() > 100
        return report


@pytest.fixture
async def hammering(
    durable: str, tmp_path: Path, observer: Callable[[str], Awaitable[list[asyncpg.Record]]]
) -> AsyncIterator[Hammering]:
    """A hammer that has been at work for a while."""
    hammering = Hammering(durable, tmp_path, observer)
    await hammering.goes_on()
    yield hammering
    if not hammering.running.done():
        hammering.running.cancel()
        await asyncio.gather(hammering.running, return_exceptions=True)


async def test_server_is_killed_and_started_again(hammering: Hammering, cluster: tuple[Cluster, Lease]) -> None:
    files, lease = cluster
    (postmaster,) = files.directory.rglob("postmaster.pid")
    os.kill(int(postmaster.read_text().splitlines()[0]), signal.SIGKILL)
    await asyncio.to_thread(_start_again, lease)

    await hammering.goes_on()
    report = await hammering.ended()
    assert report.happened["connections lost"] > 0
    assert report.happened["calls repeated"] > 0


def _start_again(lease: Lease) -> None:
    """Start the server once its keeper has seen that it is dead."""
    for _ in range(100):
        lease.ensure_running()
        try:
            asyncio.run(_answer(lease.dsn("killed")))
        except (OSError, asyncpg.PostgresError):
            time.sleep(0.05)
            continue
        return
    raise AssertionError("the server does not answer")


async def _answer(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.close()


async def test_backend_is_killed_while_it_posts(
    hammering: Hammering, observer: Callable[[str], Awaitable[list[asyncpg.Record]]]
) -> None:
    async def killed() -> bool:
        busy = await observer(_BUSY)
        if busy:
            os.kill(busy[0]["pid"], signal.SIGKILL)
        return bool(busy)

    await eventually(killed)

    # PostgreSQL ends all other backends with it, and recovers as from a crash.
    await asyncio.sleep(0.2)
    while True:
        try:
            await observer("select 1")
            break
        except (OSError, asyncpg.PostgresError):
            await asyncio.sleep(0.05)
    await hammering.goes_on()
    report = await hammering.ended()
    assert report.happened["connections lost"] > 0
    assert report.happened["calls repeated"] > 0


async def test_process_is_killed_while_it_hammers(hammering: Hammering) -> None:
    victim, *others = _children("ledger.hammer")
    assert len(others) == 1
    os.kill(victim, signal.SIGKILL)

    await hammering.goes_on()
    report = await hammering.ended()
    assert [note for note in report.notes if "was killed" in note]
    unanswered = [count for what, count in report.happened.items() if what.startswith("groups unanswered")]
    assert sum(unanswered) > 0


def _children(module: str) -> list[int]:
    """The processes that this one started for a module."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parent = (entry / "stat").read_text().rsplit(")", 1)[1].split()[1]
                command = (entry / "cmdline").read_bytes().split(b"\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(parent) == os.getpid() and module.encode() in command:
                found.append(int(entry.name))
    return sorted(found)
