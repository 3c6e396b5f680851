"""Thousands of payments charged at the provider, of which our side has heard nothing yet."""

import asyncio
from contextlib import suppress
from typing import Any, Final
from uuid import UUID

import asyncpg

from app.engine import open_engine
from core.ids import uuid7
from providers.payments.base import ConfirmPayment, CreatePayment, PaymentFact
from tests.support.processes import Deployment

_AT_ONCE: Final = 100

# As tipCreate and the provider's answer to it leave them: CREATED, then PENDING.
_ADD: Final = """
    with made as (
        insert into payments (id, kind, creator_id, currency, gross, fixed_fee, fee, tax, net, fee_rule_id,
            maturity_delay_seconds, provider, provider_reference, status, sequence, provider_state,
            provider_state_at, authorized, captured, reconciling, created_at, updated_at)
        select given.id, 'tip', c.id, 'USD', 500, split.fixed, split.fee, split.tax, split.net, split.rule_id,
            split.maturity_delay_seconds, 'sandbox', given.reference, 'PENDING', 2, 'REQUIRES_METHOD', given.at,
            0, 0, false, now(), now()
        from unnest($2::uuid[], $3::text[], $4::timestamptz[]) as given (id, reference, at)
            cross join (select * from creators where id = $1) c
            cross join lateral fee_split('tip', 'USD', c.plan, 500, now()) as split
        returning *
    ),
    told as (
        insert into payment_events (payment_id, sequence, status, at)
        select made.id, first.sequence, first.status, now()
        from made, (values (1, 'CREATED'), (2, 'PENDING')) first (sequence, status)
    ),
    leaving as (
        insert into outbox_events (payment_id, sequence, status, at, creator_id, in_activity)
        select id, 2, 'PENDING', now(), creator_id, false from made
    )
    insert into tips (id, payment_id, creator_id, created_at) select gen_random_uuid(), id, creator_id, now() from made
"""
_GIVE_UP: Final = """
    update sandbox.event set next_attempt_at = null, queued_at = queued_at - interval '4 days'
    where delivered_at is null
"""


async def charged_at_the_provider(deployed: Deployment, creator: UUID, count: int) -> list[UUID]:
    """Make so many tips of 5.00 to a creator and charge them at the provider alone; return the payments' keys."""
    keys = [uuid7() for _ in range(count)]
    async with open_engine(deployed.settings, deployed.dsn, subscribers=False) as engine:
        turns = asyncio.Semaphore(_AT_ONCE)

        async def known(key: UUID) -> PaymentFact:
            async with turns:
                return await engine.provider.create_payment(
                    CreatePayment(f"create:{key}", key, 500, "USD", "A tip")
                )

        facts = await asyncio.gather(*(known(key) for key in keys))
        columns: list[list[Any]] = [
            keys,
            [fact.provider_reference for fact in facts],
            [fact.at for fact in facts],
        ]
        await deployed.pool.execute(_ADD, creator, *columns)

        async def charge(key: UUID, reference: str) -> None:
            async with turns:
                await engine.provider.confirm_payment(
                    ConfirmPayment(f"confirm:{key}", reference, "tok_success", None)
                )

        await asyncio.gather(
            *(charge(key, fact.provider_reference) for key, fact in zip(keys, facts, strict=True))
        )
    return keys


async def bodies_of_all(pool: "asyncpg.Pool[asyncpg.Record]") -> list[str]:
    """Return the bodies of everything the sandbox has to tell, the oldest first."""
    rows = await pool.fetch("select body::text as body from sandbox.event order by created_at, id")
    return [row["body"] for row in rows]


async def provider_gives_up(pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    """Have the sandbox give up what it could not deliver: those attempts, too, that fail only now."""
    done = False
    while not done:
        # The worker notes its attempts meanwhile, in an order of its own.
        with suppress(asyncpg.DeadlockDetectedError):
            await pool.execute(_GIVE_UP)
            done = True
