"""Two web processes behind one Redis: clients move between them, and either may be killed."""

import asyncio
import os
import shutil
import signal
import subprocess  # ruff: ignore[suspicious-subprocess-import] - starts Redis and our own program
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from app.client import Socket, Stream
from app.settings import CHECKOUT
from core import ids
from core.ids import Noun
from tests.faults import places
from tests.faults.shop import Customer, audit, everything_told, open_shop, relayed, settled
from tests.support.processes import Deployment, Nursery, Process, deployment, environment
from tests.support.redis_server import RedisServer
from tests.support.world import add_fee_rules, eventually, free_port

_STATUS: Final = """
subscription ($id: ID!, $after: String) {
  paymentStatus(paymentId: $id, after: $after) { kind cursor event { status } payment { status } }
}
"""
_ACTIVITY: Final = """
subscription ($id: ID!, $after: String) {
  creatorActivity(creatorId: $id, after: $after) { kind cursor activity { tip { id } } recent { tip { id } } }
}
"""
_PAYMENTS: Final = 12


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of the test's own."""
    if shutil.which("redis-server") is None:
        pytest.skip("only REDIS_URL is there, and this test stops its Redis")
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.kill()


@dataclass
class Two:
    """Two web processes, A first and so leading, and a worker whose webhooks go to B."""

    deployed: Deployment
    a: Process
    b: Process
    worker: Process

    def at(self, process: Process) -> Customer:
        """Return a customer who talks to one of them."""
        return Customer(self.deployed, at=process)


@asynccontextmanager
async def two_webs(forks: Nursery, dsn: str, redis_url: str, fault: str | None = None) -> AsyncIterator[Two]:
    """Start them; ``fault`` is where A's relay kills A."""
    await add_fee_rules(dsn)
    async with deployment(forks, dsn, redis_url=redis_url) as deployed:
        a = await deployed.web(fault=fault)
        await relay_is(a, "leading")
        b = await deployed.web(port=free_port())
        yield Two(deployed, a, b, deployed.worker(deliver_to=b.port))


@pytest.fixture
async def two(dsn: str, books: None, forks: Nursery, request: pytest.FixtureRequest) -> AsyncIterator[Two]:
    """Two web processes and a worker, with the Redis that there is; a parameter is where A's relay kills A."""
    url = None if shutil.which("redis-server") else os.environ.get("REDIS_URL")
    fault = getattr(request, "param", None)
    async with two_webs(forks, dsn, url or request.getfixturevalue("redis").url, fault) as running:
        yield running


async def relay_is(process: Process, state: str) -> None:
    async def reached() -> bool:
        return bool((await process.health()).get("relay") == state)

    await eventually(reached, 15, lambda: f"the relay of {process.name} is not {state}")


@dataclass
class Follower:
    """Somebody who follows a stream, and goes on from their last cursor wherever they are told to connect."""

    query: str
    root: str
    id: str
    token: str
    items: list[dict[str, Any]] = field(default_factory=list)
    socket: Socket | None = None
    stream: Stream | None = None

    async def connect(self, process: Process) -> None:
        """Follow from the last cursor, or from the start."""
        after = self.items[-1]["cursor"] if self.items else None
        self.socket = Socket(process.url, self.token)
        await self.socket.__aenter__()  # ruff: ignore[unnecessary-dunder-call] - left in close
        self.stream = await self.socket.subscribe(self.query, id=self.id, after=after)

    async def next(self, seconds: float = 20) -> dict[str, Any]:
        """Return the next item, and remember it."""
        assert self.stream is not None
        item: dict[str, Any] = (await self.stream.next(seconds))[self.root]
        self.items.append(item)
        return item

    async def until_lost(self) -> None:
        """Take what comes until the connection is gone."""
        lost = False
        while not lost:
            try:
                await self.next()
            except ConnectionError:
                lost = True

    async def close(self) -> None:
        if self.socket is not None:
            await self.socket.drop()

    @property
    def statuses(self) -> list[str]:
        """Every status told, the snapshot's first."""
        return [(item["event"] or item["payment"])["status"] for item in self.items]

    @property
    def tips(self) -> list[str]:
        """Every tip told, in order, those of the snapshot first."""
        assert [item["kind"] for item in self.items].count("RESET") == 0
        first = [entry["tip"]["id"] for entry in reversed(self.items[0]["recent"])]
        return first + [item["activity"]["tip"]["id"] for item in self.items[1:]]


@asynccontextmanager
async def following(
    two: Two, process: Process, query: str, root: str, key: str, user: str
) -> AsyncIterator[Follower]:
    follower = Follower(query, root, key, two.deployed.token(user))
    await follower.connect(process)
    try:
        yield follower
    finally:
        await follower.close()


async def statuses_since(deployed: Deployment, payment: str, first: str) -> list[str]:
    """Return every status of a payment from one of them on, as the database has them."""
    rows = await deployed.pool.fetch(
        "select status from payment_events where payment_id = $1 order by sequence",
        deployed.key(Noun.PAYMENT, payment),
    )
    statuses = [str(row["status"]) for row in rows]
    return statuses[statuses.index(first) :]


async def tips_in_order(deployed: Deployment) -> list[str]:
    """Return the ids of all tips as the creator's activity has them."""
    rows = await deployed.pool.fetch(
        "select t.id from outbox_events o join tips t on t.payment_id = o.payment_id "
        "where o.in_activity order by o.creator_offset"
    )
    return [ids.encode(Noun.TIP, row["id"]) for row in rows]


@pytest.mark.redis
async def test_client_on_one_web_sees_what_the_other_was_told(two: Two) -> None:
    creator, _ = await open_shop(two.deployed)
    customer = two.at(two.a)
    payment = await customer.tip(creator)

    async with following(two, two.a, _STATUS, "paymentStatus", payment, "payer") as status:
        assert (await status.next())["kind"] == "SNAPSHOT"
        await customer.pay(payment)
        while status.statuses[-1] != "SUCCEEDED":
            await status.next()

    assert status.statuses == await statuses_since(two.deployed, payment, "PENDING")
    assert (await two.a.health())["relay"] == "leading"
    assert (await two.b.health())["relay"] == "standing by"


@pytest.mark.redis
async def test_clients_of_a_killed_web_go_on_at_the_other_without_loss_or_repeat(two: Two) -> None:
    deployed = two.deployed
    creator, _ = await open_shop(deployed)
    customer = two.at(two.b)
    watched = await customer.tip(creator)

    async def pay_one() -> str:
        one = two.at(two.b)
        payment = await one.tip(creator)
        await one.pay(payment)
        return payment

    paid = [await pay_one()]
    await settled(deployed, *paid)
    async with (
        following(two, two.a, _STATUS, "paymentStatus", watched, "payer") as status,
        following(two, two.a, _ACTIVITY, "creatorActivity", creator, "fable") as activity,
    ):
        await status.next()
        await activity.next()
        async with asyncio.TaskGroup() as group:
            paying = [group.create_task(pay_one()) for _ in range(_PAYMENTS // 2)]
            await activity.next()
            await two.a.kill()
            lost = [group.create_task(follower.until_lost()) for follower in (status, activity)]
            paying += [group.create_task(pay_one()) for _ in range(_PAYMENTS // 2)]
            await asyncio.gather(*lost)
            await customer.pay(watched)
            for follower in (status, activity):
                await follower.close()
                await follower.connect(two.b)
        paid += [task.result() for task in paying] + [watched]
        await relay_is(two.b, "leading")
        await settled(deployed, *paid)
        while status.statuses[-1] != "SUCCEEDED":
            await status.next()
        while len(activity.tips) < len(paid):
            await activity.next()

    assert status.statuses == await statuses_since(deployed, watched, "PENDING")
    assert all(item["kind"] == "EVENT" for item in activity.items[1:])
    await everything_told(deployed)
    assert activity.tips == await tips_in_order(deployed)
    await audit(deployed, paid)


@pytest.mark.redis
@pytest.mark.parametrize("two", places.RELAY, indirect=True)
async def test_what_a_killed_relay_left_unfinished_the_next_one_tells_once(two: Two) -> None:
    deployed = two.deployed
    creator = await deployed.creator("fable")
    customer = two.at(two.b)
    payments = [await customer.tip(creator)]
    async with (
        following(two, two.b, _STATUS, "paymentStatus", payments[0], "payer") as status,
        following(two, two.b, _ACTIVITY, "creatorActivity", creator, "fable") as activity,
    ):
        await status.next()
        await activity.next()
        await customer.pay(payments[0])
        assert await two.a.ended() == -signal.SIGKILL
        while status.statuses[-1] != "SUCCEEDED":
            await status.next()
        while len(activity.tips) < 1:
            await activity.next()
        # Were anything told twice, it would come before this one.
        payments.append(await customer.tip(creator))
        await customer.pay(payments[1])
        while len(activity.tips) < 2:
            await activity.next()

    assert status.statuses == await statuses_since(deployed, payments[0], status.statuses[0])
    await everything_told(deployed)
    assert activity.tips == await tips_in_order(deployed)
    await audit(deployed, payments)


@pytest.mark.redis
async def test_while_redis_is_away_payments_go_on_and_watchers_get_everything_once_it_is_back(
    redis: RedisServer, dsn: str, books: None, forks: Nursery
) -> None:
    async with two_webs(forks, dsn, redis.url) as two:
        deployed = two.deployed
        creator, _ = await open_shop(deployed)
        customer = two.at(two.a)
        watched = await customer.tip(creator)
        async with (
            following(two, two.b, _STATUS, "paymentStatus", watched, "payer") as status,
            following(two, two.b, _ACTIVITY, "creatorActivity", creator, "fable") as activity,
        ):
            await status.next()
            await activity.next()
            redis.kill()
            await customer.pay(watched)
            paid = [watched]
            for process in (two.a, two.b):
                another = two.at(process)
                payment = await another.tip(creator)
                await another.pay(payment)
                paid.append(payment)
            await settled(deployed, *paid)

            async def unwell() -> bool:
                return "problems" in await two.b.health()

            await eventually(unwell, 15, lambda: "nobody noticed that Redis is away")
            redis.start()
            while status.statuses[-1] != "SUCCEEDED":
                await status.next()
            while len(activity.tips) < len(paid):
                await activity.next()
        assert status.statuses == await statuses_since(deployed, watched, "PENDING")
        await everything_told(deployed)
        assert activity.tips == await tips_in_order(deployed)
        await two.a.ready()
        await two.b.ready()


@pytest.mark.redis
async def test_what_redis_lost_after_it_was_published_is_read_from_the_database(
    redis: RedisServer, dsn: str, books: None, forks: Nursery
) -> None:
    async with two_webs(forks, dsn, redis.url) as two:
        deployed = two.deployed
        creator = await deployed.creator("fable")
        async with following(two, two.b, _ACTIVITY, "creatorActivity", creator, "fable") as activity:
            await activity.next()
            # B is too busy to read what A publishes, and when it has time again that is gone.
            two.b.send(signal.SIGSTOP)
            try:
                payments = []
                for _ in range(3):
                    customer = two.at(two.a)
                    payments.append(await customer.tip(creator))
                    await customer.pay(payments[-1])
                await deployed.hours_pass()
                await settled(deployed, *payments)
                await relayed(deployed)
                redis.kill()
                redis.start()
            finally:
                two.b.send(signal.SIGCONT)
            while len(activity.tips) < len(payments):
                await activity.next()
        assert activity.tips == await tips_in_order(deployed)


async def test_second_web_without_redis_says_so_in_a_sentence_and_ends_with_1(deployed: Deployment) -> None:
    await deployed.web()
    second = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "app",
        "serve",
        "--port",
        str(free_port()),
        cwd=CHECKOUT,
        env=environment(deployed.dsn, deployed.settings.state_directory),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(60):
            out, err = (text.decode() for text in await second.communicate())
    finally:
        if second.returncode is None:
            second.send_signal(signal.SIGKILL)
            await second.wait()

    assert second.returncode == 1
    assert "Another web process serves this database. Set REDIS_URL to run more than one." in err
    assert "Traceback" not in out + err
