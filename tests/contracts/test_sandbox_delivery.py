"""The sandbox's events reach their endpoint: over real HTTP, at least once, whatever goes wrong."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator
from datetime import timedelta

import asyncpg
import httpx
import pytest

from core.clock import wall
from providers.payments.base import ProviderState
from providers.payments.sandbox import SandboxProvider, deliver, delivery, http_client

from .conformance import fetched
from .receiver import Received, Receiver, receiving
from .sandboxes import OTHER_SECRET, SECRET, confirmed, created, sandbox

UNDELIVERED = "select count(*) from sandbox.event where delivered_at is null"


@pytest.fixture(autouse=True)  # ruff: ignore[pytest-fixture-autouse] - for all of this module
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "_FIRST_RETRY", timedelta(milliseconds=50))


@contextlib.asynccontextmanager
async def delivering(
    pool: asyncpg.Pool, url: str, *, workers: int = 1
) -> AsyncGenerator[list[asyncio.Task[None]]]:
    stop = asyncio.Event()
    async with http_client() as client:
        tasks = [
            asyncio.create_task(deliver(pool, url=url, secrets=[SECRET, OTHER_SECRET], client=client, stop=stop))
            for _ in range(workers)
        ]
        try:
            yield tasks
        finally:
            stop.set()
            async with asyncio.timeout(5):
                await asyncio.gather(*tasks)


async def _charge(provider: SandboxProvider, count: int) -> None:
    for _ in range(count):
        await confirmed(provider, await created(provider), "tok_success")


async def _settled(pool: asyncpg.Pool, *, but: int = 0, within_seconds: float = 10) -> None:
    """Wait until nothing, or only so many, is left to deliver."""
    async with asyncio.timeout(within_seconds):
        while await pool.fetchval(UNDELIVERED) > but:
            await asyncio.sleep(0.02)


async def test_events_arrive_signed_and_say_what_the_provider_says(
    provider: SandboxProvider, pool: asyncpg.Pool
) -> None:
    async with receiving(Receiver()) as receiver, delivering(pool, receiver.url):
        charged = await confirmed(provider, await created(provider), "tok_success")
        received = await receiver.has(2)
        await _settled(pool)
    facts = [
        fact
        for webhook in received
        for fact in provider.translate(provider.verify(webhook.headers, webhook.body, wall()))
    ]
    assert charged in facts
    assert sorted(webhook.type for webhook in received) == ["charge.updated", "payment.succeeded"]
    assert {webhook.headers["content-type"] for webhook in received} == {"application/json"}


async def test_several_workers_send_each_event_once(provider: SandboxProvider, pool: asyncpg.Pool) -> None:
    await _charge(provider, 150)
    async with receiving(Receiver()) as receiver, delivering(pool, receiver.url, workers=4):
        received = await receiver.has(300)
        await _settled(pool)
    assert set(Counter(webhook.id for webhook in received).values()) == {1}
    assert len(received) == 300


@pytest.mark.parametrize("refusal", [500, 503, 400, 302, 404])
async def test_anything_but_2xx_is_tried_again_with_the_same_id_and_body(
    refusal: int, provider: SandboxProvider, pool: asyncpg.Pool
) -> None:
    answers = iter([refusal, refusal, 204, 204])
    await _charge(provider, 1)
    await pool.execute("update sandbox.event set next_attempt_at = null where type = 'charge.updated'")
    async with receiving(Receiver(lambda _: next(answers))) as receiver, delivering(pool, receiver.url):
        received = await receiver.has(3)
    assert len({(webhook.id, webhook.body) for webhook in received}) == 1
    assert len(received) == 3
    row = await pool.fetchrow("select * from sandbox.event where type = 'payment.succeeded'")
    assert row["delivered_at"] is not None
    assert (row["attempts"], row["next_attempt_at"]) == (3, None)


async def test_endpoint_that_is_down_gets_everything_once_it_is_up(
    provider: SandboxProvider, pool: asyncpg.Pool
) -> None:
    await _charge(provider, 10)
    async with receiving(Receiver()) as placeholder:
        port = httpx.URL(placeholder.url).port
    async with delivering(pool, placeholder.url):
        await asyncio.sleep(0.2)
        assert await pool.fetchval(UNDELIVERED) == 20
        async with receiving(Receiver(), port or 0) as receiver:
            await _settled(pool)
    assert len({webhook.id for webhook in receiver.received}) == 20


async def test_event_without_an_answer_holds_no_other_back_and_is_tried_again(
    provider: SandboxProvider, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "ATTEMPT_SECONDS", 2)
    await _charge(provider, 30)
    silent: list[str] = []

    def status(webhook: Received) -> int | None:
        if len(silent) < 8:
            silent.append(webhook.id)
            return None
        return 200

    async with receiving(Receiver(status)) as receiver, delivering(pool, receiver.url):
        await receiver.has(60, within_seconds=1.5)
        await _settled(pool, but=8, within_seconds=1.5)
        assert len(receiver.received) == 60
        await _settled(pool, within_seconds=5)
    assert {webhook.id for webhook in receiver.received[60:]} == set(silent)


async def test_event_is_given_up_after_three_days(provider: SandboxProvider, pool: asyncpg.Pool) -> None:
    await _charge(provider, 1)
    await pool.execute(
        "update sandbox.event set queued_at = now() - interval '3 days' where type = 'charge.updated'"
    )
    async with receiving(Receiver(lambda _: 500)) as receiver, delivering(pool, receiver.url):
        await receiver.has(4)
    rows = await pool.fetch("select type, next_attempt_at is null as given_up, delivered_at from sandbox.event")
    assert {row["type"]: row["given_up"] for row in rows} == {"payment.succeeded": False, "charge.updated": True}
    assert {row["delivered_at"] for row in rows} == {None}


async def test_events_of_a_worker_that_died_are_sent_by_another(
    provider: SandboxProvider, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "_LEASE", timedelta(milliseconds=300))
    await _charge(provider, 3)
    async with receiving(Receiver(lambda _: None)) as silent, http_client() as client:
        worker = asyncio.create_task(
            deliver(pool, url=silent.url, secrets=[SECRET], client=client, stop=asyncio.Event())
        )
        await silent.has(6)
        worker.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await worker
    async with receiving(Receiver()) as receiver, delivering(pool, receiver.url):
        await _settled(pool)
    assert {webhook.id for webhook in receiver.received} == {webhook.id for webhook in silent.received}


async def test_outage_of_the_database_is_waited_out(
    provider: SandboxProvider, pool: asyncpg.Pool, dsn: str
) -> None:
    administration = await asyncpg.connect(dsn, database="postgres")
    name = await pool.fetchval("select current_database()")
    await _charge(provider, 5)
    async with receiving(Receiver()) as receiver, delivering(pool, receiver.url) as (worker,):
        await _settled(pool)
        await administration.execute(f'alter database "{name}" allow_connections false')
        try:
            await administration.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", name
            )
            await asyncio.sleep(0.4)
            assert not worker.done()
        finally:
            await administration.execute(f'alter database "{name}" allow_connections true')
        await _charge(provider, 5)
        await _settled(pool)
    await administration.close()
    assert len({webhook.id for webhook in receiver.received}) == 20


async def test_processing_payment_succeeds_by_itself_once(pool: asyncpg.Pool) -> None:
    provider = sandbox(pool, processing_time=timedelta(milliseconds=150))
    payments = [await created(provider) for _ in range(20)]
    async with receiving(Receiver()) as receiver, delivering(pool, receiver.url, workers=3):
        for payment in payments:
            await confirmed(provider, payment, "tok_processing")
        received = await receiver.has(60)
        await _settled(pool)
    assert Counter(webhook.type for webhook in received) == dict.fromkeys(
        ("payment.processing", "payment.succeeded", "charge.updated"), 20
    )
    for payment in payments:
        assert (await fetched(provider, payment)).state is ProviderState.SUCCEEDED


async def test_processing_payment_waits_its_time(pool: asyncpg.Pool) -> None:
    provider = sandbox(pool, processing_time=timedelta(seconds=60))
    payment = await created(provider)
    async with receiving(Receiver()) as receiver, delivering(pool, receiver.url):
        await confirmed(provider, payment, "tok_processing")
        await receiver.has(1)
        await asyncio.sleep(0.15)
    assert (await fetched(provider, payment)).state is ProviderState.PROCESSING


async def test_no_transaction_is_open_during_a_request(provider: SandboxProvider, pool: asyncpg.Pool) -> None:
    await _charge(provider, 2)
    async with receiving(Receiver(lambda _: None)) as receiver, http_client() as client:
        stop = asyncio.Event()
        worker = asyncio.create_task(deliver(pool, url=receiver.url, secrets=[SECRET], client=client, stop=stop))
        await receiver.has(4)
        states = await pool.fetch(
            "select state from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        )
        worker.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await worker
    assert "idle in transaction" not in {row["state"] for row in states}


def test_retries_come_ever_later_up_to_an_hour_and_never_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    for attempts, longest_seconds in [(1, 1), (2, 2), (5, 16), (12, 2048), (13, 3600), (1000, 3600)]:
        waits = [delivery.retry_after(attempts).total_seconds() for _ in range(200)]
        assert longest_seconds / 2 <= min(waits) < max(waits) <= longest_seconds
