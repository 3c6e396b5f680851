"""Webhooks that go wrong on purpose: sent twice, late, out of order, or never; a replay shows all of them."""

import asyncio
from collections import Counter
from datetime import timedelta

import asyncpg
import pytest

from providers.payments.base import ProviderState
from providers.payments.sandbox import SandboxControl, SandboxProvider, delivery
from providers.payments.sandbox.cards import WebhookEffect

from .conformance import fetched
from .receiver import Receiver, receiving
from .sandboxes import account_with, charged, created, paid_out, refunded
from .test_sandbox_delivery import UNDELIVERED, _settled, delivering

SENT = ["payment.succeeded", "charge.updated"]


async def replayed(provider: SandboxProvider, pool: asyncpg.Pool) -> dict[str, bytes]:
    first = await pool.fetchval("select min(created_at) from sandbox.event")
    return {event.id: event.raw async for event in provider.events(first)}


@pytest.mark.parametrize("by_card", [True, False])
async def test_duplicated_event_is_sent_as_often_as_was_said(
    by_card: bool, provider: SandboxProvider, control: SandboxControl, pool: asyncpg.Pool
) -> None:
    if by_card:
        await charged(provider, 1250, "tok_webhooks_duplicated")
    else:
        await control.arm("EVENT", "DUPLICATE", times=2, copies=4)
        await charged(provider)
    times = 2 if by_card else 5
    await charged(provider)
    async with receiving(Receiver()) as receiver, delivering(pool, receiver.url):
        received = await receiver.has(2 * times + 2)
        await _settled(pool)
    assert sorted(Counter(webhook.id for webhook in received).values()) == [1, 1, times, times]
    assert len({(webhook.id, webhook.body) for webhook in received}) == 4


@pytest.mark.parametrize("by_card", [True, False])
async def test_lost_event_is_never_sent_and_a_replay_shows_it(
    by_card: bool, provider: SandboxProvider, control: SandboxControl, pool: asyncpg.Pool
) -> None:
    if by_card:
        await charged(provider, 1250, "tok_webhooks_lost")
        lost = 2
    else:
        await control.arm("EVENT", "LOSE", event_type="charge.updated")
        await charged(provider)
        lost = 1
    await charged(provider)
    async with receiving(Receiver()) as receiver, delivering(pool, receiver.url):
        received = await receiver.has(4 - lost)
        await _settled(pool, but=lost)
    sent = {webhook.id: webhook.body for webhook in received}
    assert len(sent) == len(received) == 4 - lost
    again = await replayed(provider, pool)
    assert len(again) == 4
    assert sent.items() <= again.items()
    assert (await control.status()).events_lost == lost
    assert (await control.status()).events_to_send == 0


@pytest.mark.parametrize("by_card", [True, False])
async def test_delayed_event_waits_for_the_sandboxs_clock(
    by_card: bool, provider: SandboxProvider, control: SandboxControl, pool: asyncpg.Pool
) -> None:
    if by_card:
        await charged(provider, 1250, "tok_webhooks_delayed")
    else:
        await control.arm("EVENT", "DELAY", times=2, delay=timedelta(seconds=60))
        await charged(provider)
    async with receiving(Receiver()) as receiver, delivering(pool, receiver.url):
        await control.advance(timedelta(seconds=30))
        assert await pool.fetchval("select count(*) from sandbox.event where next_attempt_at is not null") == 0
        assert receiver.received == []
        await control.advance(timedelta(seconds=30))
        await receiver.has(2)
        await _settled(pool)
    assert len(receiver.received) == 2


@pytest.mark.parametrize("by_card", [True, False])
async def test_reordered_event_comes_after_a_later_one(
    by_card: bool, provider: SandboxProvider, control: SandboxControl, pool: asyncpg.Pool
) -> None:
    if by_card:
        await charged(provider, 1250, "tok_webhooks_reordered")
    else:
        await control.arm("EVENT", "REORDER")
        await charged(provider)
    async with receiving(Receiver()) as receiver, delivering(pool, receiver.url):
        received = await receiver.has(2)
        await _settled(pool)
    assert [webhook.type for webhook in received] == SENT[::-1]


async def test_held_events_are_let_go_by_a_reset(
    provider: SandboxProvider, control: SandboxControl, pool: asyncpg.Pool
) -> None:
    await control.arm("EVENT", "REORDER", times=10)
    await charged(provider)
    assert (await control.status()).events_held == 2
    async with receiving(Receiver()) as receiver, delivering(pool, receiver.url):
        assert await control.reset() == {"faults": 1, "rules": 0, "events": 2}
        await receiver.has(2)
        await _settled(pool)
    assert sorted(webhook.type for webhook in receiver.received) == sorted(SENT)


async def test_fault_for_one_type_lets_all_others_through(
    provider: SandboxProvider, control: SandboxControl, pool: asyncpg.Pool
) -> None:
    await control.arm("EVENT", "LOSE", times=100, event_type="refund.created")
    payment = await charged(provider)
    await refunded(provider, payment, 100)
    async with receiving(Receiver()) as receiver, delivering(pool, receiver.url):
        received = await receiver.has(2)
        await _settled(pool, but=1)
    assert sorted(webhook.type for webhook in received) == sorted(SENT)


def test_every_effect_is_tested() -> None:
    assert set(WebhookEffect) == {"DUPLICATE", "DELAY", "REORDER", "LOSE"}


async def test_replay_has_every_event_byte_for_byte_as_it_was_sent(
    provider: SandboxProvider, control: SandboxControl, pool: asyncpg.Pool
) -> None:
    payment = await charged(provider)
    await refunded(provider, payment, 4001)
    await control.open_dispute(payment.provider_reference, 500)
    await paid_out(provider, await account_with(provider, 1000), 500)
    await created(provider)
    async with receiving(Receiver()) as receiver, delivering(pool, receiver.url):
        await control.advance(timedelta(days=10))
        await _settled(pool)
    sent = {webhook.id: webhook.body for webhook in receiver.received}
    assert await replayed(provider, pool) == sent
    assert len(sent) == await pool.fetchval("select count(*) from sandbox.event") > 10
    assert await pool.fetchval(UNDELIVERED) == 0
    events = [event async for event in provider.events(payment.at)]
    assert all(event.at is not None and event.raw for event in events)


async def test_replay_and_books_are_read_in_pages_without_a_gap_or_a_repeat(
    provider: SandboxProvider, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("providers.payments.sandbox.feeds.PAGE", 3)
    payments = [await charged(provider) for _ in range(6)]
    # Moments that many share must not be where a page loses some.
    await pool.execute("update sandbox.event set created_at = '2026-01-01Z'")
    events = [event.id async for event in provider.events(payments[0].at - timedelta(days=5000))]
    assert len(events) == len(set(events)) == 12
    await pool.execute("update sandbox.balance_transaction set at = '2026-01-01Z'")
    entries = [entry.id async for entry in provider.balance_entries(payments[0].at - timedelta(days=5000))]
    assert len(entries) == len(set(entries)) == 6


async def test_faults_are_taken_by_many_at_once_and_none_waits_in_a_circle(
    provider: SandboxProvider, control: SandboxControl, pool: asyncpg.Pool
) -> None:
    for _ in range(10):
        await charged(provider, 1250, "tok_processing")
    await control.arm("EVENT", "LOSE", times=1000)
    await asyncio.gather(
        *(charged(provider) for _ in range(10)), *(control.advance(timedelta(minutes=2)) for _ in range(5))
    )
    fates = await pool.fetch("select fate, count(*) from sandbox.event group by fate order by fate nulls first")
    assert [tuple(row) for row in fates] == [(None, 10), ("LOST", 40)]
    assert (await control.status()).faults_armed == 960


async def test_what_is_due_keeps_no_fault_while_it_waits_for_the_next_object(
    provider: SandboxProvider, control: SandboxControl, pool: asyncpg.Pool
) -> None:
    first, second = [await charged(provider, 1250, "tok_processing") for _ in range(2)]
    await provider.advance_clock(timedelta(minutes=2))
    await control.arm("EVENT", "LOSE", times=100)
    async with pool.acquire() as other, other.transaction():
        await other.execute(
            "select from sandbox.payment where id = $1 for no key update", second.provider_reference
        )
        due = asyncio.create_task(provider.run_due())
        async with asyncio.timeout(10):
            while not await pool.fetchval("select exists (select from pg_locks where not granted)"):
                await asyncio.sleep(0.01)
        # A command that holds the second payment comes to its events now.
        assert await other.fetchval("select remaining from sandbox.take_fault('EVENT', null)") == 98
    assert await due == 2
    assert (await fetched(provider, first)).state is ProviderState.SUCCEEDED


async def test_only_the_first_attempt_of_a_duplicated_event_is_sent_several_times(
    provider: SandboxProvider, control: SandboxControl, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "_FIRST_RETRY", timedelta(milliseconds=50))
    await control.arm("EVENT", "DUPLICATE", copies=2, event_type="payment.succeeded")
    await control.arm("EVENT", "LOSE", event_type="charge.updated")
    await charged(provider)
    answers = iter([500, 500, 500, 200, 200, 200])
    async with receiving(Receiver(lambda _: next(answers))) as receiver, delivering(pool, receiver.url):
        await receiver.has(4)
        await _settled(pool, but=1)
    assert len(receiver.received) == 4
