"""What /metrics says, to whom, and what it costs the database."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.routing import Route

from app.metrics import endpoint, serve_metrics
from app.settings import CHECKOUT, Settings
from core.clock import now
from models.database import Database
from services import gauges, measures
from services.jobs import Job, enqueue
from tests.support.world import eventually, free_port

TOKEN = "a token of thirty-two characters!"


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    opened = await Database.connect(dsn, readers=2, writers=2)
    yield opened
    await opened.close()


@asynccontextmanager
async def scraped(database: Any, **given: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application that serves nothing but metrics."""
    settings = Settings(_env_file=None, **given)
    app = Starlette(routes=[Route("/metrics", endpoint(settings))])
    app.state.engine = SimpleNamespace(database=database)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://metrics.test") as client:
        yield client


async def samples(database: Any) -> dict[tuple[str, tuple[str, ...]], float]:
    async with scraped(database) as client:
        return parsed((await client.get("/metrics")).text)


def parsed(text: str) -> dict[tuple[str, tuple[str, ...]], float]:
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


# To whom ----------------------------------------------------------------------------------------------------


async def test_development_shows_metrics_to_everybody(database: Database) -> None:
    async with scraped(database) as client:
        response = await client.get("/metrics")

    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")
    assert response.headers["cache-control"] == "no-store"


async def test_production_without_a_token_shows_none(database: Database) -> None:
    async with scraped(database, environment="production") as client:
        response = await client.get("/metrics", headers={"authorization": "Bearer "})

    assert (response.status_code, response.text) == (404, "Not Found")


@pytest.mark.parametrize("environment", ["development", "production"])
@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer é"],
)
async def test_whoever_does_not_send_the_token_sees_none(
    database: Database, environment: str, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"authorization": authorization.encode()}
    async with scraped(database, environment=environment, metrics_token=SecretStr(TOKEN)) as client:
        response = await client.get("/metrics", headers=headers)

    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert "comptoir_" not in response.text


@pytest.mark.parametrize("environment", ["development", "production"])
async def test_whoever_sends_the_token_sees_them(database: Database, environment: str) -> None:
    async with scraped(database, environment=environment, metrics_token=SecretStr(TOKEN)) as client:
        response = await client.get("/metrics", headers={"authorization": f"bearer {TOKEN}"})

    assert response.status_code == 200
    assert "comptoir_database_up 1.0" in response.text


# What -------------------------------------------------------------------------------------------------------


async def test_every_gauge_is_there_and_says_what_it_is(database: Database) -> None:
    async with scraped(database) as client:
        families = list(text_string_to_metric_families((await client.get("/metrics")).text))

    names = {family.name for family in families}
    assert {f"comptoir_{gauge.name}" for gauge in gauges.GAUGES} <= names
    assert all(name.startswith("comptoir_") for name in names)
    assert all(family.documentation for family in families)


def test_operators_are_told_of_every_metric() -> None:
    told = (CHECKOUT / "docs" / "operations.md").read_text(encoding="utf-8")
    own = {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in measures.REGISTRY.collect()
        if "_process_" not in family.name
    }
    names = own | {f"comptoir_{gauge.name}" for gauge in gauges.GAUGES}

    assert [name for name in sorted(names) if f"`{name}`" not in told and f"`{name}{{" not in told] == []


async def test_a_quiet_database_counts_nothing(database: Database) -> None:
    read = await gauges.read(database.reader)

    expected = {
        (gauge.name, value) for gauge in gauges.GAUGES if gauge.always for value in gauge.values or (None,)
    }
    assert set(read) == expected
    assert set(read.values()) == {0.0}


async def test_inbox_is_counted_by_where_events_stand(database: Database, owner: asyncpg.Connection) -> None:
    at = now()
    for number, state in enumerate(("PENDING", "PENDING", "DEAD", "DONE")):
        received = at - timedelta(seconds=100 * (number + 1))
        await owner.execute(
            "insert into inbox_events (provider, event_id, type, body, state, attempts, due_at, received_at) "
            "values ('sandbox', $1, 'a.type', '', $2, 0, $3, $3)",
            f"evt_{number}",
            state,
            received,
        )

    read = await gauges.read(database.reader)

    assert read["inbox_events", "pending"] == 2
    assert read["inbox_events", "dead"] == 1
    assert read["dead_letters", None] == 1
    # The dead one is older, and waits for a person, not for us.
    assert 200 <= read["inbox_oldest_seconds", None] < 300


async def test_last_reconciliation_is_told(database: Database, owner: asyncpg.Connection) -> None:
    assert not any(name.startswith("reconciliation") for name, _ in await gauges.read(database.reader))
    for differences, mended, hours in ((9, 0, 30), (5, 3, 2)):
        await owner.execute(
            "insert into reconciliations (provider, since, started_at, finished_at, entries, differences, mended, findings) "
            "values ('sandbox', $1, $1, $1, 0, $2, $3, '[]')",
            now() - timedelta(hours=hours),
            differences,
            mended,
        )

    read = await gauges.read(database.reader)

    assert read["reconciliation_differences", None] == 5
    assert read["reconciliation_unmended", None] == 2
    assert 7200 <= read["reconciliation_age_seconds", None] < 7300


async def test_waiting_jobs_are_counted(database: Database) -> None:
    async with database.transaction() as transaction:
        await enqueue(transaction.connection, Job.ADVANCE_PAYOUT, uuid4())
        await enqueue(transaction.connection, Job.ADVANCE_PAYOUT, uuid4())

    read = await gauges.read(database.reader)

    assert read["jobs_waiting", "advance_payout"] == 2
    assert read["jobs_waiting", "reconcile"] == 0
    assert 0 < read["jobs_oldest_seconds", None] < 60


async def test_unfinished_payments_and_missing_charges_are_counted(
    database: Database, owner: asyncpg.Connection
) -> None:
    await owner.execute("set session_replication_role = replica")
    at = now()
    for calling, reconciling, succeeded, available in (
        (at, True, None, None),
        (at, False, None, None),
        (None, False, at - timedelta(hours=2), None),
        (None, False, at - timedelta(hours=2), at),
        (None, False, at - timedelta(minutes=2), None),
    ):
        await owner.execute(
            "insert into payments (id, kind, creator_id, currency, gross, fixed_fee, fee, tax, net, fee_rule_id, "
            "maturity_delay_seconds, provider, status, sequence, authorized, captured, reconciling, created_at, "
            "updated_at, calling_until, succeeded_at, available_on) "
            "values (gen_random_uuid(), 'tip', gen_random_uuid(), 'USD', 100, 0, 0, 0, 100, gen_random_uuid(), 0, "
            "'sandbox', $1, 1, 0, 0, $2, $3, $3, $4, $5, $6)",
            "SUCCEEDED" if succeeded else "PENDING",
            reconciling,
            at - timedelta(minutes=10),
            calling,
            succeeded,
            available,
        )

    read = await gauges.read(database.reader)

    assert read["payments_unfinished", None] == 2
    assert read["payments_reconciling", None] == 1
    assert 600 <= read["payments_unfinished_oldest_seconds", None] < 700
    assert read["charges_missing", None] == 1


async def test_labels_have_known_values_only(database: Database) -> None:
    """No label holds an id, an amount or what a person sent."""
    async with scraped(database) as client:
        text = (await client.get("/metrics")).text

    labels = {name for _, name in re.findall(r"([{,])([a-z_]+)=\"", text)}
    assert labels <= {"state", "status", "job", "outcome", "command", "provider", "le"}
    for _, value in re.findall(r"([a-z_]+)=\"([^\"]*)\"", text):
        assert re.fullmatch(r"[a-z_]{1,32}|[0-9.]+|\+Inf", value), value


# What it costs ----------------------------------------------------------------------------------------------


class Counting:
    """Counts the statements that reach a database."""

    def __init__(self, database: Database) -> None:
        self.reader = self
        self.statements = 0
        self._pool = database.reader

    async def fetch(self, *arguments: Any, **options: Any) -> Any:
        self.statements += 1
        return await self._pool.fetch(*arguments, **options)


async def test_many_scrapes_at_once_are_one_statement(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Counting(database)
    monkeypatch.setattr("app.metrics._KEEP_SECONDS", 3600)
    async with scraped(counting) as client:
        responses = await asyncio.gather(*(client.get("/metrics") for _ in range(10)))
        assert counting.statements == 1
        monkeypatch.setattr("app.metrics._KEEP_SECONDS", 0)
        await client.get("/metrics")

    assert counting.statements == 2
    assert {response.status_code for response in responses} == {200}


async def test_metrics_of_the_process_are_shown_while_the_database_is_away(dsn: str) -> None:
    database = await Database.connect(dsn, readers=1, writers=1)
    await database.close()

    measures.EVENTS_SETTLED.labels("done").inc(0)
    read = await samples(database)

    assert read["comptoir_database_up", ()] == 0
    assert ("comptoir_dead_letters", ()) not in read
    assert ("comptoir_events_settled_total", ("done",)) in read


async def test_worker_serves_the_same_on_a_port_of_its_own(database: Database) -> None:
    port = free_port()
    settings = Settings(_env_file=None, worker_metrics_port=port)
    serving = asyncio.create_task(serve_metrics(settings, SimpleNamespace(database=database)))

    async def answers() -> bool:
        try:
            async with httpx.AsyncClient() as client:
                return "comptoir_database_up 1.0" in (await client.get(f"http://127.0.0.1:{port}/metrics")).text
        except httpx.TransportError:
            return False

    await eventually(answers)
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert not await answers()
