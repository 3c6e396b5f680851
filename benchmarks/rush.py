"""A rush: thousands of tips to one creator whose webhooks are all in the inbox at once."""

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import asyncpg

import ledger
from core.ids import uuid7
from ledger import AccountKind, chart

_PATIENCE_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.05

# Parameters: our ids, the sandbox's ids, gross amounts.
_MAKE_KNOWN: Final = """
    select count(made.state) from unnest($1::uuid[], $2::text[], $3::bigint[]) as given (id, reference, gross),
        sandbox.create_payment('create:' || given.id, given.reference, given.id, given.gross, 'USD', 'tip') as made
"""
_ADD_PAYMENTS: Final = """
    insert into payments (id, kind, creator_id, payer_id, currency, gross, fixed_fee, fee, tax, net, fee_rule_id,
        maturity_delay_seconds, provider, provider_reference, status, sequence, provider_state, provider_state_at,
        authorized, captured, reconciling, created_at, updated_at)
    select s.reference, 'tip', c.id, $3::uuid, s.currency, s.amount, split.fixed, split.fee, split.tax, split.net,
        split.rule_id, split.maturity_delay_seconds, 'sandbox', s.id, 'PENDING', 2, s.state, s.changed_at,
        0, 0, false, s.created_at, s.changed_at
    from unnest($1::text[]) as given (id) join sandbox.payment s on s.id = given.id
        cross join (select * from creators where id = $2) c
        cross join lateral fee_split('tip', s.currency, c.plan, s.amount, s.created_at) as split
"""
_ADD_TIPS: Final = """
    insert into tips (id, payment_id, creator_id, giver_id, message, created_at)
    select given.tip_id, p.id, p.creator_id, p.payer_id, 'For the soup.', p.created_at
    from unnest($1::uuid[], $2::uuid[]) as given (tip_id, payment_id) join payments p on p.id = given.payment_id
"""
_ADD_EVENTS: Final = """
    insert into payment_events (payment_id, sequence, status, at)
    select p.id, first.sequence, first.status, p.updated_at
    from unnest($1::uuid[]) as given (id) join payments p on p.id = given.id
        cross join (values (1, 'CREATED'), (2, 'PENDING')) as first (sequence, status)
"""
_CHARGE: Final = """
    select count(made.state) from unnest($1::uuid[], $2::text[]) as given (id, reference),
        sandbox.confirm_payment(
            'confirm:' || given.id, given.reference, 'tok_success', null, null, 'SUCCEEDED', null, null) as made
"""
# What the sandbox would send is put into the inbox by hand.
_SENT: Final = """
    update sandbox.event set attempts = 1, next_attempt_at = null, delivered_at = clock_timestamp()
    where next_attempt_at is not null
"""
_RECEIVE: Final = """
    insert into inbox_events (provider, event_id, type, body, state, attempts, due_at, received_at)
    select 'sandbox', e.id, e.type, convert_to(e.body::text, 'UTF8'), 'PENDING', 0, $3, $3
    from sandbox.event e where e.payment_id = any($1::text[]) and e.type = any($2::text[])
    order by e.created_at, e.id
"""
_LEFT: Final = "select exists (select from inbox_events where state = 'PENDING')"
_LAST: Final = """
    select max(processed_at) as at, count(*) as events, count(*) filter (where state <> 'DONE') as failed
    from inbox_events where received_at = $1
"""
_SUCCEEDED: Final = """
    select count(*) from payments where id = any($1::uuid[]) and status = 'SUCCEEDED' and captured = gross
"""
_NETS: Final = "select coalesce(sum(net), 0) from payments where creator_id = $1 and status = 'SUCCEEDED'"
_PENDING: Final = "select coalesce(max(posted), 0) from ledger.account where code = $1"


class RushError(Exception):
    """Not every tip was settled, or not rightly."""


async def rush(
    connection: "asyncpg.Connection[asyncpg.Record]",
    creator_id: UUID,
    payer_id: UUID,
    *,
    tips: int,
    event_types: tuple[str, ...],
) -> float:
    """Put the webhooks of so many fresh tips into the inbox at once; return how many tips a second were settled.

    Measured from the commit of the webhooks to the moment the last of them is done. Raises ``RushError``
    unless afterwards every payment has succeeded and the creator's pending balance is the sum of their nets.
    """
    payment_ids, references = await charge_silently(connection, creator_id, payer_id, tips)
    async with connection.transaction():
        received_at = datetime.now(UTC)
        await connection.execute(_RECEIVE, references, list(event_types), received_at)
        committed_at = datetime.now(UTC)
    await _until_done(connection)
    last = await connection.fetchrow(_LAST, received_at)
    expected = tips * len(event_types)
    if last is None or last["events"] != expected or last["failed"]:
        raise RushError(f"Not all of {expected} webhooks were settled: {dict(last or {})}.")
    if await connection.fetchval(_SUCCEEDED, payment_ids) != tips:
        raise RushError("Not every payment of the rush has succeeded.")
    await ensure_balance(connection, creator_id)
    seconds: float = (last["at"] - committed_at).total_seconds()
    return tips / seconds


async def charge_silently(
    connection: Any, creator_id: UUID, payer_id: UUID, tips: int
) -> tuple[list[UUID], list[str]]:
    """Make so many tips and charge them at the sandbox, whose events nobody sends.

    Return the payments' ids, ours and the sandbox's. Raises ``RushError``.
    """
    payment_ids = [uuid7() for _ in range(tips)]
    references = [f"sbx_{uuid7().hex}" for _ in range(tips)]
    amounts = [100 + number % 900 for number in range(tips)]
    async with connection.transaction():
        made = await connection.fetchval(_MAKE_KNOWN, payment_ids, references, amounts)
        await connection.execute(_ADD_PAYMENTS, references, creator_id, payer_id)
        await connection.execute(_ADD_TIPS, [uuid7() for _ in range(tips)], payment_ids)
        await connection.execute(_ADD_EVENTS, payment_ids)
        charged = await connection.fetchval(_CHARGE, payment_ids, references)
        await connection.execute(_SENT)
    if (made, charged) != (tips, tips):
        raise RushError(f"The sandbox made {made} and charged {charged} of {tips} payments.")
    return payment_ids, references


async def ensure_balance(connection: "asyncpg.Connection[asyncpg.Record]", creator_id: UUID) -> None:
    """Check that a creator's pending balance is the sum of the nets of what succeeded. Raises ``RushError``."""
    nets = await connection.fetchval(_NETS, creator_id)
    pending = await connection.fetchval(_PENDING, chart.creator(AccountKind.PENDING, "USD", creator_id).code)
    if nets != pending:
        raise RushError(f"The creator's pending balance is {pending} and the sum of nets is {nets}.")


async def ensure_books(connection: "asyncpg.Connection[asyncpg.Record]") -> int:
    """Check every invariant of the ledger and return how many hold. Raises ``RushError``."""
    findings = await ledger.verify(connection)
    broken = [finding for finding in findings if finding.status is ledger.Status.BROKEN]
    if broken:
        raise RushError(f"The ledger is broken: {broken}.")
    return sum(finding.status is ledger.Status.OK for finding in findings)


async def _until_done(connection: Any) -> None:
    for _ in _polls():
        await asyncio.sleep(_POLL_SECONDS)
        if not await connection.fetchval(_LEFT):
            return
    raise RushError(f"The inbox was not empty after {_PATIENCE_SECONDS:.0f} s.")


def _polls() -> Iterator[None]:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        yield
