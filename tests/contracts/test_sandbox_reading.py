"""What is read of the sandbox again: its events from their stored bytes, and single lines of its books."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import orjson
import pytest

from core.ids import uuid7
from providers.payments.base import Event, ProviderError, ProviderErrorCode, Subject, WebhookRejected
from providers.payments.sandbox import SandboxProvider

from .sandboxes import account_with, charged, refunded, sandbox

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[asyncpg.Pool]:
    async with asyncpg.create_pool(dsn, min_size=1, max_size=2) as opened:
        yield opened


@pytest.fixture
async def provider(pool: asyncpg.Pool) -> SandboxProvider:
    provider = sandbox(pool, processing_time=timedelta(0))
    payment = await charged(provider)
    await refunded(provider, payment, 500)
    await account_with(provider, 1_000)
    return provider


async def test_event_is_decoded_from_its_bytes_as_it_was_told(provider: SandboxProvider) -> None:
    events: list[Event] = [event async for event in provider.events(LONG_AGO)]

    assert len(events) > 4
    for event in events:
        again = provider.decode(event.raw)
        assert again == event
        assert (again.account, again.foreign) == (None, None)
        assert provider.translate(again) == provider.translate(event)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"\xff",
        b"{",
        b'{"type": "a.type", "livemode": false}',
        b'{"id": 1, "type": "a.type", "livemode": false}',
        b'{"id": "", "type": "a.type", "livemode": false}',
        b'{"id": "evt_1", "livemode": false}',
        b'{"id": "evt_1", "type": "a.type"}',
        b'{"id": "evt_1", "type": "a.type", "livemode": true}',
    ],
)
async def test_bytes_that_are_no_event_are_rejected(provider: SandboxProvider, raw: bytes) -> None:
    with pytest.raises(WebhookRejected):
        provider.decode(raw)


async def test_every_kind_of_object_is_replayed_but_lines_of_the_books(provider: SandboxProvider) -> None:
    told = {orjson.loads(event.raw)["type"].partition(".")[0] async for event in provider.events(LONG_AGO)}

    assert provider.capabilities.replayed == set(Subject) - {Subject.BALANCE_ENTRY}
    assert {"payment", "refund", "account", "transfer"} <= told


async def test_each_line_of_the_books_can_be_looked_up(provider: SandboxProvider) -> None:
    lines = [line async for line in provider.balance_entries(LONG_AGO)]

    assert len(lines) > 3
    for line in lines:
        assert await provider.fetch(Subject.BALANCE_ENTRY, line.id) == (line,)


@pytest.mark.parametrize("line", ["", "txn_", f"txn_{'0' * 32}", "sbx_" + "0" * 32, "x" * 1_000, "txn_\x00"])
async def test_line_that_is_none_is_not_found(provider: SandboxProvider, line: str) -> None:
    with pytest.raises(ProviderError) as raised:
        await provider.fetch(Subject.BALANCE_ENTRY, line)

    assert raised.value.code is ProviderErrorCode.NOT_FOUND


async def test_line_is_not_searched_by_an_id_of_ours(provider: SandboxProvider) -> None:
    with pytest.raises(ProviderError) as raised:
        await provider.find(Subject.BALANCE_ENTRY, uuid7())

    assert raised.value.code is ProviderErrorCode.UNSUPPORTED
