"""The batcher: many callers of one process, few calls of the ledger, and to each its own outcome."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import asyncpg
import pytest

import ledger
from ledger import Hold, Posted, Poster, Recovery, Refusal, Refused
from ledger.bench.round_trips import counted
from models.database import APP_ROLE, DATABASE_ERRORS, Database
from tests.ledger.ledger_helpers import (
    codes,
    funded,
    group,
    is_new,
    new_clearing,
    opened,
    operating,
    owed,
    posted_balances,
    snapshot,
    until_waiting,
    written,
)


@pytest.fixture
def dsn(shared_dsn: str) -> str:
    return shared_dsn


@pytest.fixture
def poster(pool: asyncpg.Pool) -> Poster:
    return Poster(pool)


async def batches(connection: asyncpg.Connection, account: int) -> list[int]:
    """How many movements of an account each commit brought, in order. A batch is one statement and one commit."""
    rows = await connection.fetch(
        "select count(*) as movements from ledger.movement where debit = $1 or credit = $1"
        " group by xid order by min(debit_version)",
        account,
    )
    return [row["movements"] for row in rows]


async def test_lone_group_is_posted_at_once(connection: asyncpg.Connection, poster: Poster) -> None:
    source, ana = await funded(connection, 0)
    for number in range(3):
        outcome = await poster.post(group((source, ana, 5)))
        assert isinstance(outcome, Posted)
        assert outcome.after[ana] == ledger.AccountAfter(5 * (number + 1), number + 1)
    assert await batches(connection, ana) == [1, 1, 1]


async def test_what_comes_while_a_batch_is_on_its_way_is_the_next_one(
    connection: asyncpg.Connection, owner: asyncpg.Connection, poster: Poster
) -> None:
    """The first one is held up by a lock; whoever comes meanwhile goes together, as far as a batch is long."""
    source, ana = await funded(connection, 0)
    async with connection.transaction():
        await connection.fetch("select ledger.change_account($1, 'reopened', null)", ana)  # takes its lock
        tasks = [asyncio.create_task(poster.post(group((source, ana, 1))))]
        await until_waiting(owner)
        tasks += [asyncio.create_task(poster.post(group((source, ana, 1)))) for _ in range(700)]
        await asyncio.sleep(0)
    outcomes = await asyncio.gather(*tasks)
    assert all(map(is_new, outcomes))
    assert await batches(connection, ana) == [1, 500, 200]
    # Each caller has heard of its own group: the balances after them are all different.
    after = [outcome.after[ana].posted for outcome in outcomes if isinstance(outcome, Posted)]
    assert after == list(range(1, 702))


async def test_rush_of_callers_becomes_few_batches(connection: asyncpg.Connection, poster: Poster) -> None:
    source, *wallets = await funded(connection, *[0] * 20)

    async def call(number: int) -> list[tuple[int, int]]:
        account, answers = wallets[number % 20], []
        for turn in range(5):
            outcome = await poster.post(group((source, account, number * 10 + turn + 1)))
            assert isinstance(outcome, Posted)
            (movement,) = outcome.movements
            answers.append((movement.credit - account, movement.amount - number * 10))
        return answers

    answers = await asyncio.gather(*(call(number) for number in range(100)))
    assert answers == [[(0, turn + 1) for turn in range(5)]] * 100
    found = await batches(connection, source)
    assert sum(found) == 500
    assert len(found) < 25


async def test_bad_group_never_fails_its_neighbours(connection: asyncpg.Connection, poster: Poster) -> None:
    """Neither a refused one, nor one that cannot even be sent, nor one of a kind of its own."""
    source, ana, ben = await funded(connection, 0, 10)
    repeated = group((source, ana, 1))
    asked = [
        repeated,
        group((ben, ana, 11)),
        group((source, ana, 0)),
        operating(Hold(uuid4(), ben, ana, 4, "test")),
        group((source, 2**62, 1)),
        repeated,
        operating(Recovery(ana, source, "test")),
        group((source, ana, 2), key="x" * 256),
        group((ben, ana, 6)),
        group((source, ana, 9), key=repeated.key),
    ]
    outcomes = await asyncio.gather(*map(poster.post, asked))
    assert codes(outcomes) == [
        None, Refusal.INSUFFICIENT_FUNDS, Refusal.AMOUNT_NOT_POSITIVE, None, Refusal.UNKNOWN_ACCOUNT, None, None,
        Refusal.MALFORMED, None, Refusal.KEY_REUSED,
    ]  # fmt: skip
    assert outcomes[1] == Refused(Refusal.INSUFFICIENT_FUNDS, ben, 1)
    assert [isinstance(outcome, Posted) and outcome.replayed for outcome in (outcomes[0], outcomes[5])] == [
        False,
        True,
    ]
    assert await posted_balances(connection, ben) == [4]


async def test_caller_who_is_cancelled_disturbs_nobody(
    connection: asyncpg.Connection, owner: asyncpg.Connection, poster: Poster
) -> None:
    """On its way or still waiting: what was asked for is posted, and posting it again is the same posting."""
    source, ana = await funded(connection, 0)
    groups = [group((source, ana, 1)) for _ in range(6)]
    async with connection.transaction():
        await connection.fetch("select ledger.change_account($1, 'reopened', null)", ana)  # takes its lock
        tasks = [asyncio.create_task(poster.post(groups[0]))]
        await until_waiting(owner)
        tasks += [asyncio.create_task(poster.post(one)) for one in groups[1:]]
        await asyncio.sleep(0)
        for number in (0, 2, 5):
            tasks[number].cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    cancelled = [isinstance(outcome, asyncio.CancelledError) for outcome in outcomes]
    assert cancelled == [True, False, True, False, False, True]
    again = await asyncio.gather(*map(poster.post, groups))
    assert [isinstance(outcome, Posted) and outcome.replayed for outcome in again] == [True] * 6
    assert [again[number].movements for number in (1, 3, 4)] == [  # type: ignore[union-attr]
        outcomes[number].movements
        for number in (1, 3, 4)  # type: ignore[union-attr]
    ]
    assert await posted_balances(connection, ana) == [6]


async def test_connection_lost_before_the_commit_is_made_good_for_a_batch(
    connection: asyncpg.Connection, owner: asyncpg.Connection, poster: Poster
) -> None:
    source, ana = await funded(connection, 0)
    async with connection.transaction():
        await connection.fetch("select ledger.change_account($1, 'reopened', null)", ana)  # takes its lock
        tasks = [asyncio.create_task(poster.post(group((source, ana, 1)))) for _ in range(5)]
        await until_waiting(owner)
        before = await written(owner)
        await owner.fetch(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and wait_event_type = 'Lock'"
        )
        await until_waiting(owner)  # it is being tried again
        assert await written(owner, before) == (0, 0)
    assert all(map(is_new, await asyncio.gather(*tasks)))
    assert await posted_balances(connection, ana) == [5]


async def test_connection_lost_under_a_lone_group_is_told_and_the_group_can_be_posted_again(
    connection: asyncpg.Connection, owner: asyncpg.Connection, poster: Poster
) -> None:
    source, ana = await funded(connection, 0)
    one = group((source, ana, 1))
    async with connection.transaction():
        await connection.fetch("select ledger.change_account($1, 'reopened', null)", ana)  # takes its lock
        task = asyncio.create_task(poster.post(one))
        await until_waiting(owner)
        await owner.fetch(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and wait_event_type = 'Lock'"
        )
        with pytest.raises(DATABASE_ERRORS):
            await task
    assert is_new(await poster.post(one))
    assert await posted_balances(connection, ana) == [1]


@asynccontextmanager
async def deaf(dsn: str, folder: Path) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """A way to the server on which no answer comes back once the event is set: the connection is lost instead."""
    query = parse_qs(urlsplit(dsn).query)
    host, port = query["host"][0], query["port"][0]
    lost, serving = asyncio.Event(), set()

    async def serve(from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        from_server, to_server = await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")

        async def ask() -> None:
            while data := await from_client.read(65536):
                to_server.write(data)
            to_server.close()

        async def answer() -> None:
            while data := await from_server.read(65536):
                if lost.is_set():
                    break
                to_client.write(data)
            to_client.close()

        await asyncio.gather(ask(), answer(), return_exceptions=True)

    async with await asyncio.start_unix_server(serve, folder / f".s.PGSQL.{port}"):
        yield urlsplit(dsn)._replace(query=f"host={folder}&port={port}").geturl(), lost
    await asyncio.gather(*serving)


@pytest.mark.parametrize("number", [1, 4])
async def test_answer_lost_after_the_commit_changes_nothing(
    connection: asyncpg.Connection, dsn: str, number: int, tmp_path_factory: Any
) -> None:
    """The groups are in the books, and their callers were never told: posting them again says what was said then."""
    source, ana = await funded(connection, 0)
    groups = [group((source, ana, 1)) for _ in range(number)]
    async with (
        deaf(dsn, tmp_path_factory.mktemp("w")) as (address, lost),
        asyncpg.create_pool(address, min_size=1, max_size=1, server_settings={"role": APP_ROLE}) as pool,
    ):
        poster = Poster(pool)
        # The statement is made ready, so that the next time it is done in one go.
        await asyncio.gather(*(poster.post(group((source, ana, 1))) for _ in range(number)))
        lost.set()
        outcomes = await asyncio.gather(*map(poster.post, groups), return_exceptions=True)
        assert all(isinstance(outcome, DATABASE_ERRORS) for outcome in outcomes)
        assert await posted_balances(connection, ana) == [2 * number]
        lost.clear()
        before = await snapshot(connection)
        again = await asyncio.gather(*map(poster.post, groups))
        assert [isinstance(outcome, Posted) and outcome.replayed for outcome in again] == [True] * number
        assert await snapshot(connection) == before


async def test_posting_takes_one_round_trip(connection: asyncpg.Connection, dsn: str, tmp_path: Path) -> None:
    """Alone or in a batch, straight or through the batcher, however many callers there are."""
    source, ana = await funded(connection, 100_000)
    debt, striped = await opened(connection, owed(), new_clearing())
    async with counted(dsn, tmp_path) as wire:
        database = await Database.connect(wire.dsn, readers=1, writers=2)
        poster = Poster(database.writer)

        async def spent(number: int, kind: str) -> int:
            groups = [
                operating(Recovery(ana, debt, "test")) if kind == "others" else
                group((ana, striped, 1), (striped, source, 1)) if kind == "several" else group((ana, striped, 1))
                for _ in range(number)
            ]  # fmt: skip
            before = wire.round_trips
            if kind == "straight":
                async with database.writer.acquire() as mine:
                    outcomes = await ledger.post(groups, on=mine)
            else:
                outcomes = await asyncio.gather(*map(poster.post, groups))
            assert all(map(is_new, outcomes))
            return wire.round_trips - before

        asked = [(number, kind) for kind in ("one", "several", "others", "straight") for number in (1, 2, 300)]
        for number, kind in asked:  # statements are made ready once per connection
            await spent(number, kind)
        assert {(number, kind): await spent(number, kind) for number, kind in asked} == dict.fromkeys(asked, 1)
        await database.close()


async def test_keys_of_another_tenant_are_its_own(connection: asyncpg.Connection, pool: asyncpg.Pool) -> None:
    source, ana = await funded(connection, 0)
    one = group((source, ana, 1))
    posters = [Poster(pool), Poster(pool, tenant="another")]
    assert [is_new(await poster.post(one)) for poster in (*posters, *posters)] == [True, True, False, False]


async def test_batch_is_as_long_as_it_may_be(connection: asyncpg.Connection, pool: asyncpg.Pool) -> None:
    source, ana = await funded(connection, 0)
    poster = Poster(pool, largest=3)
    await asyncio.gather(*(poster.post(group((source, ana, 1))) for _ in range(8)))
    assert await batches(connection, ana) == [3, 3, 2]
