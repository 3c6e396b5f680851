"""A sandbox that was in use before there were refunds goes on where it was."""

import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from app.postgres import Lease
from providers.payments.base import BalanceKind, ChargeFact, ConfirmPayment, ProviderState, Subject
from providers.payments.sandbox import migrations
from providers.payments.sandbox.migrations import __path__ as places

from .conformance import fetched, first
from .sandboxes import refunded, sandbox

HERE = Path(next(iter(places)))
BEFORE = """
select sandbox.create_payment('create:' || n, 'sbx_' || lpad(n::text, 32, '0'), gen_random_uuid(), 1250, 'USD', 'A tip')
  from generate_series(1, 3) as n;
select sandbox.confirm_payment(
    'confirm:1', 'sbx_' || lpad('1', 32, '0'), 'tok_success', null, null, 'SUCCEEDED', null, null);
select sandbox.confirm_payment(
    'confirm:2', 'sbx_' || lpad('2', 32, '0'), 'tok_processing', null, null, 'PROCESSING', null, interval '1 hour');
"""


@pytest.fixture
async def used(lease: Lease) -> AsyncIterator[asyncpg.Pool]:
    """A sandbox of the first migration with payments in it, brought up to date."""
    administration = await asyncpg.connect(lease.dsn("postgres"))
    name = f"used_sandbox_{os.getpid()}"
    await administration.execute(f"create database {name}")
    async with asyncpg.create_pool(lease.dsn(name), min_size=1, max_size=2) as pool:
        await pool.execute((HERE / "0001_initial.sql").read_text(encoding="utf-8"))
        await pool.execute(BEFORE)
        await pool.expire_connections()
        for operation in _operations():
            await pool.execute(operation)
        yield pool
    await administration.execute(f"drop database {name} with (force)")
    await administration.close()


def _operations() -> list[str]:
    module = __import__(f"{migrations.__name__}.0002_settlement", fromlist=["Migration"])
    return [str(operation.sql) for operation in module.Migration.operations]


async def test_payments_of_before_have_their_charge_in_the_books_and_settle_in_their_time(
    used: asyncpg.Pool,
) -> None:
    provider = sandbox(used)
    charged, processing, fresh = ["sbx_" + str(number).rjust(32, "0") for number in (1, 2, 3)]
    facts = await provider.fetch(Subject.PAYMENT, charged)
    (charge,) = [fact for fact in facts if isinstance(fact, ChargeFact)]
    payment = first(facts)
    assert (payment.state, payment.authorized, charge.gross, charge.fee) == (ProviderState.SUCCEEDED, 0, 1250, 66)
    (entry,) = [entry async for entry in provider.balance_entries(payment.at - timedelta(days=1))]
    assert (entry.id, entry.kind, entry.net) == (charge.balance_transaction, BalanceKind.CHARGE, 1184)
    # The event that told of it says the same.
    told = [fact async for event in provider.events(payment.at) for fact in provider.translate(event)]
    assert {payment, charge} <= set(told)

    assert await provider.confirm_payment(ConfirmPayment("confirm:1", charged, "tok_success")) == payment
    assert (await refunded(provider, payment, 1250)).amount == 1250

    await provider.control().advance(timedelta(minutes=59))
    (waiting,) = await provider.fetch(Subject.PAYMENT, processing)
    assert first([waiting]).state is ProviderState.PROCESSING
    await provider.control().advance(timedelta(minutes=2))
    assert (await fetched(provider, first([waiting]))).state is ProviderState.SUCCEEDED
    late = await provider.confirm_payment(ConfirmPayment("confirm:3", fresh, "tok_success"))
    assert late.state is ProviderState.SUCCEEDED
