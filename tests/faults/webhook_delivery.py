"""Webhooks as they come over HTTP, signed by any secret at any time; and the books they have to leave behind."""

import base64
import hmac
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final

import asyncpg
import httpx
import orjson

from core.clock import wall
from services import webhooks
from tests.support.processes import PLAIN
from tests.support.world import World, eventually

_ANSWER_SECONDS: Final = 60
_WAITING: Final = """
    select pid from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock' and pid <> pg_backend_pid()
"""
_WRITTEN: Final = (
    *("tips", "payments", "payment_events", "outbox_events", "earning_days"),
    *("ledger.request", "ledger.movement", "ledger.account"),
)


def signed(
    body: str | bytes, secret: str, at: datetime | None = None, event_id: str | None = None
) -> dict[str, str]:
    """Return the headers of a webhook signed now or at another time, as Standard Webhooks says, with nothing of ours."""
    content = body.encode() if isinstance(body, str) else body
    event_id = event_id or orjson.loads(content)["id"]
    timestamp = str(int((at or wall()).timestamp()))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signature = hmac.digest(key, f"{event_id}.{timestamp}.".encode() + content, "sha256")
    return {
        "webhook-id": event_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{base64.b64encode(signature).decode()}",
        "content-type": "application/json",
    }


class Sender:
    """Sends webhooks to a server over kept connections."""

    def __init__(self, world: World, http: httpx.AsyncClient) -> None:
        self._url = f"{world.url}/webhooks/sandbox"
        self._secret = world.settings.webhook_secrets[0]
        self._http = http

    async def send(self, body: str, *, secret: str | None = None, **headers: str) -> int:
        """Sign a body and send it; return the status of the answer. ``headers`` replace signed ones."""
        given = signed(body, secret or self._secret)
        return await self.send_as_it_is(
            body.encode(), given | {name.replace("_", "-"): text for name, text in headers.items()}
        )

    async def send_as_it_is(self, body: bytes, headers: Mapping[str, str]) -> int:
        """Send a body with headers that need not be ASCII; return the status of the answer."""
        encoded = {name: text.encode() for name, text in headers.items()}
        return (await self._http.post(self._url, content=body, headers=encoded)).status_code

    async def send_all(self, bodies: Sequence[str]) -> None:
        """Send one after the other; each has to be taken."""
        for body in bodies:
            assert await self.send(body) == 200


@asynccontextmanager
async def sending(world: World) -> AsyncIterator[Sender]:
    """Open a ``Sender``."""
    async with httpx.AsyncClient(timeout=_ANSWER_SECONDS, verify=PLAIN) as http:
        yield Sender(world, http)


async def process_all(world: World) -> None:
    """Settle everything that is due."""
    while await webhooks.process(world.engine):
        pass


def told_again(body: str, number: int = 1) -> str:
    """Return the same fact as an event of another id."""
    event = orjson.loads(body)
    return orjson.dumps(event | {"id": f"{event['id']}_again_{number}"}).decode()


async def until_waiting(connection: asyncpg.Connection, count: int = 1) -> list[int]:
    """Wait until so many backends of this database wait for a lock; return them."""
    waiting: list[int] = []

    async def reached() -> bool:
        # Within a transaction the server would show again what it showed first.
        await connection.execute("select pg_stat_clear_snapshot()")
        waiting[:] = [row["pid"] for row in await connection.fetch(_WAITING)]
        return len(waiting) >= count

    await eventually(reached, 30, lambda: f"fewer than {count} wait for a lock")
    return waiting


async def written(world: World) -> dict[str, int]:
    """Return how many rows there are of all that settling writes, but for the inbox, and when money last moved."""
    counts = {table: await world.count(table) for table in _WRITTEN}
    return counts | {"posted": await world.scalar("select coalesce(sum(version), 0)::bigint from ledger.account")}


async def inbox_states(world: World) -> set[tuple[str, int]]:
    """Return which states and numbers of attempts there are among the events received."""
    states = "select array_agg(distinct state || ' ' || attempts) from inbox_events"
    found = [text.split() for text in await world.scalar(states) or []]
    return {(state, int(attempts)) for state, attempts in found}


async def assert_paid_once(world: World, keys: Sequence[Any], charges: Sequence[str]) -> None:
    """Assert that exactly these payments are captured and charged, once each, and that every balance says so.

    ``charges`` are the bodies of the charges told. The platform's fee is 5 % and nothing has matured.
    """
    fetch: Callable[..., Any] = world.engine.database.reader.fetch
    rows = await fetch("select id, gross, net, fee, captured from payments where status = 'SUCCEEDED' order by id")
    assert [row["id"] for row in rows] == sorted(keys)
    assert all(row["captured"] == row["gross"] for row in rows)
    told = [orjson.loads(body)["data"]["object"] for body in charges]
    posted = await fetch("select key from ledger.request where outcome = 'posted'")
    expected = [f"capture:{key}" for key in keys]
    expected += [f"charge:{world.engine.provider.name}:{one['balance_transaction']}" for one in told]
    assert sorted(row["key"] for row in posted) == sorted(expected)
    balances = {
        row["kind"]: int(row["posted"])
        for row in await fetch("select kind, sum(posted) as posted from ledger.account group by kind")
        if row["posted"]
    }
    kept = sum(one["fee"] for one in told)
    left = {
        "pending": sum(row["net"] for row in rows),
        "fees": sum(row["fee"] for row in rows),
        "provider_fees": -kept,
        "balance": kept - sum(one["gross"] for one in told),
        "clearing": sum(one["gross"] for one in told) - sum(row["gross"] for row in rows),
    }
    assert balances == {kind: amount for kind, amount in left.items() if amount}
    day = (await fetch("select coalesce(sum(net), 0) as net, coalesce(sum(payments), 0) as n from earning_days"))[
        0
    ]
    assert (day["net"], day["n"]) == (left["pending"], len(keys))


async def assert_story(world: World, key: Any, status: str, reason: str | None = None) -> None:
    """Assert that a payment's events are numbered without a gap, change each time, and end once, as they should."""
    rows = await world.engine.database.reader.fetch(
        "select sequence, status, reason from payment_events where payment_id = $1 order by sequence", key
    )
    told = [row["status"] for row in rows]
    assert [row["sequence"] for row in rows] == list(range(1, len(rows) + 1))
    assert told[0] == "CREATED"
    assert (told[-1], rows[-1]["reason"]) == (status, reason), told
    ends = [one for one in told if one in {"SUCCEEDED", "CANCELED"}]
    assert ends == ([status] if status in {"SUCCEEDED", "CANCELED"} else []), told
