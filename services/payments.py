"""Payments: made known to the provider, confirmed, cancelled. The only writer of payment events.

A payment's status is never set here: facts are folded (``services.fold``) and what follows is written.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg

from core.clock import now
from core.payments import PaymentStatus
from core.scopes import Scope
from core.viewer import Viewer
from models.database import Connection, fetch_one
from providers.payments import base
from services.engine import Engine
from services.fold import Known, Part
from services.paging import Page, PageQuery, fetch_page
from services.payment_shares import parts_of

CREATE_PAYMENT: Final = """
    payment as (
        insert into payments (id, kind, creator_id, payer_id, currency, gross, fixed_fee, fee, tax, net,
            fee_rule_id, maturity_delay_seconds, provider, status, sequence, authorized, captured, reconciling,
            calling_until, manual_capture, created_at, updated_at)
        select id, kind, creator_id, payer_id, currency, gross, fixed_fee, fee, tax, net, rule_id,
            maturity_delay_seconds, provider, 'CREATED', 1, 0, 0, false, calling_until, manual_capture, at, at
        from draft
        returning *
    ),
    first_event as (
        insert into payment_events (payment_id, sequence, status, at)
        select id, 1, 'CREATED', created_at from payment
    )
"""
"""Two steps of a statement that names its new payment in a step called ``draft``."""

_KNOWN_TO_PROVIDER: Final = """
    with told as (
        select t.* from unnest($1::uuid[], $2::text[], $3::timestamptz[]) as t (id, reference, at)
        join payments p on p.id = t.id
        order by t.id for no key update of p
    ),
    payment as (
        update payments p set provider_reference = t.reference, provider_state = 'REQUIRES_METHOD',
            provider_state_at = t.at, status = 'PENDING', sequence = 2, calling_until = null, updated_at = $4
        from told t
        where p.id = t.id and p.status = 'CREATED' and p.provider_state is null
        returning p.*
    ),
    event as (
        insert into payment_events (payment_id, sequence, status, at)
        select id, sequence, status, updated_at from payment
    ),
    leaving as (
        insert into outbox_events (payment_id, sequence, status, at, creator_id, in_activity)
        select p.id, p.sequence, p.status, p.updated_at, coalesce(p.creator_id, s.creator_id), false
        from payment p
        left join lateral (
            select creator_id from payment_shares where p.creator_id is null and payment_id = p.id order by id
        ) s on true
    )
    select * from payment
"""
_READ: Final = """
    select p.*, c.user_id as creator_user_id from payments p left join creators c on c.id = p.creator_id
"""
_READ_PAYMENT: Final = f"{_READ} where p.id = $1"
_READ_PAYMENTS: Final = f"{_READ} where p.id = any($1::uuid[])"
_READ_OF_PAYEE: Final = """
    select p.id, p.kind, p.currency, coalesce(s.gross, p.gross) as gross, coalesce(s.net, p.net) as net
    from payments p left join payment_shares s on s.payment_id = p.id and s.creator_id = $2
    where p.id = any($1::uuid[]) and coalesce(p.creator_id, s.creator_id) = $2
"""
_READ_EVENTS: Final = (
    "select * from payment_events where payment_id = any($1::uuid[]) order by payment_id, sequence"
)
LOCK_PAYMENT: Final = "select * from payments where id = $1 for no key update"
_WRITE_CHANGES: Final = """
    with changed as (
        select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::int[], $6::text[],
            $7::timestamptz[], $8::numeric[], $9::numeric[], $10::text[], $11::text[], $12::bool[],
            $13::timestamptz[], $14::timestamptz[], $15::timestamptz[], $16::timestamptz[], $17::bool[],
            $18::bool[], $20::timestamptz[], $21::bool[], $22::text[])
        as c (id, provider_reference, status, reason, sequence, provider_state, provider_state_at, authorized,
            captured, decline_code, action_url, reconciling, calling_until, succeeded_at, available_on, matures_at,
            tells, in_activity, capture_before, ends_call, row_version)
    ),
    payment as (
        update payments p set provider_reference = c.provider_reference, status = c.status, reason = c.reason,
            sequence = c.sequence, provider_state = c.provider_state, provider_state_at = c.provider_state_at,
            authorized = c.authorized, captured = c.captured, decline_code = c.decline_code,
            action_url = c.action_url, reconciling = c.reconciling, calling_until = c.calling_until,
            succeeded_at = c.succeeded_at, available_on = c.available_on, matures_at = c.matures_at,
            capture_before = c.capture_before,
            capturing = case when c.ends_call then 0 else p.capturing end,
            canceling = p.canceling and not c.ends_call,
            updated_at = $19
        from changed c where p.id = c.id and (c.row_version is null or p.xmin::text = c.row_version)
        returning p.id, p.sequence, p.status, p.reason, p.creator_id, c.tells, c.in_activity
    ),
    event as (
        insert into payment_events (payment_id, sequence, status, reason, at)
        select id, sequence, status, reason, $19 from payment where tells
    )
    insert into outbox_events (payment_id, sequence, status, reason, at, creator_id, in_activity)
    select p.id, p.sequence, p.status, p.reason, $19, coalesce(p.creator_id, s.creator_id), p.in_activity
    from payment p
    left join lateral (
        select creator_id from payment_shares where p.creator_id is null and payment_id = p.id order by id
    ) s on true
    where p.tells
"""


@dataclass(frozen=True, slots=True)
class Change:
    """What a locked payment becomes. ``row`` is as it was; times not given stay as they were.

    ``shares`` are those of a payment for several creators.
    """

    row: asyncpg.Record
    known: Known
    calling_until: datetime | None = None
    succeeded_at: datetime | None = None
    available_on: datetime | None = None
    matures_at: datetime | None = None
    ends_call: bool = False
    shares: Sequence[Any] = ()

    @property
    def tells(self) -> bool:
        """Whether the status changed, or how much was refunded, so that an event is due."""
        return bool(
            self.row["status"] != self.known.status
            or self.row["reason"] != self.known.reason
            or self.row["refunded"] != self.known.refunded
        )

    @property
    def succeeded(self) -> bool:
        """Whether the payment is captured with this change."""
        captured = base.ProviderState.SUCCEEDED
        return self.known.state is captured and self.row["provider_state"] != captured

    @property
    def canceled(self) -> bool:
        """Whether the payment is cancelled with this change."""
        return self.known.status is PaymentStatus.CANCELED and self.row["status"] != PaymentStatus.CANCELED

    @property
    def parts(self) -> tuple[Part, ...]:
        """Whose it is, with how what is captured divides."""
        return parts_of(self.row, self.known.captured, self.shares)


async def write_changes(changes: Sequence[Change], *, on: Connection, at: datetime) -> None:
    """Write payments that are locked, with their events and what must leave, in one statement."""
    await _write(changes, [None] * len(changes), on, at)


async def write_if_unchanged(change: Change, row_version: str, *, on: Connection, at: datetime) -> bool:
    """Write a payment that is not locked, if nobody has written it since its row was ``row_version`` (``xmin``).

    Return whether it was written; ``change`` has to tell something.
    """
    return await _write([change], [row_version], on, at) != "INSERT 0 0"


async def _write(changes: Sequence[Change], versions: Sequence[str | None], on: Connection, at: datetime) -> str:
    columns: list[list[Any]] = [[] for _ in range(20)]
    for change in changes:
        known = change.known
        values = (
            change.row["id"],
            known.provider_reference,
            known.status.value,
            known.reason,
            change.row["sequence"] + change.tells,
            known.state.value if known.state else None,
            known.at,
            known.authorized,
            known.captured,
            known.decline_code,
            known.action_url,
            known.reconciling,
            change.calling_until,
            change.succeeded_at or change.row["succeeded_at"],
            change.available_on or change.row["available_on"],
            change.matures_at or change.row["matures_at"],
            change.tells,
            change.succeeded,
            known.capture_before,
            change.ends_call,
        )
        for column, value in zip(columns, values, strict=True):
            column.append(value)
    return await on.execute(_WRITE_CHANGES, *columns[:18], at, *columns[18:], versions)


async def start(
    engine: Engine, payment_id: UUID, amount: int, currency: str, kind: str, *, manual_capture: bool = False
) -> Any:
    """Make a new payment known to the provider, after its own commit; return its row as it is then.

    Called again for the same payment it is the same call: the provider's key is the payment's id. What could
    not be learnt is left to the sweeper.
    """
    command = base.CreatePayment(
        idempotency_key=f"create:{payment_id}",
        reference=payment_id,
        amount=amount,
        currency=currency,
        description=kind,
        manual_capture=manual_capture,
    )
    try:
        fact = await engine.provider.create_payment(command)
    except base.ProviderError as error:
        if error.ambiguous:
            await reconcile_later(engine, payment_id)
        return await read(engine, payment_id)
    row = None
    if fact.state is base.ProviderState.REQUIRES_METHOD:
        row = await engine.batched(_known_to_provider).submit(fact)
    engine.relay_wake()
    if row is None:
        row = await read(engine, payment_id)
        if row["provider_state"] is None:
            # Nobody knew how the first call ended; this is how.
            await engine.settle(engine, [fact], look_up_at=None)
            row = await read(engine, payment_id)
    return row


async def _known_to_provider(engine: Engine, facts: Sequence[base.PaymentFact]) -> list[Any]:
    """Record that payments are known to their provider; None for one that somebody has moved on already."""
    rows = await engine.database.writer.fetch(
        _KNOWN_TO_PROVIDER,
        [fact.reference for fact in facts],
        [fact.provider_reference for fact in facts],
        [fact.at for fact in facts],
        now(),
    )
    by_id = {row["id"]: row for row in rows}
    return [by_id.get(fact.reference) for fact in facts]


async def resume(engine: Engine, payment_id: UUID, *, fresh: bool = False) -> Any:
    """Return a payment's row, going on with one that never reached its provider and that nobody works on.

    ``fresh``: the caller has just made it, so nobody else works on it yet.
    """
    row = await read(engine, payment_id)
    if row["status"] == PaymentStatus.CREATED and (fresh or row["calling_until"] <= now()):
        return await start_again(engine, row)
    return row


async def start_again(engine: Engine, row: Any) -> Any:
    """Make a payment known to the provider of which nobody knows whether it is; the same call as the first."""
    return await start(
        engine,
        row["id"],
        int(row["gross"]),
        row["currency"],
        row["kind"],
        manual_capture=row["manual_capture"],
    )


async def by_id(engine: Engine, ids: Sequence[UUID]) -> list[Any]:
    """Read payments. Says nothing about who may see them."""
    return await engine.database.reader.fetch(_READ_PAYMENTS, ids)


async def of_payee(engine: Engine, creator_id: UUID, ids: Sequence[UUID]) -> list[Any]:
    """Read payments to a creator as they see them: of one for several, their share alone."""
    return await engine.database.reader.fetch(_READ_OF_PAYEE, ids, creator_id)


async def events_of(engine: Engine, payment_ids: Sequence[UUID]) -> list[Any]:
    """Read the events of payments, each payment's in order."""
    return await engine.database.reader.fetch(_READ_EVENTS, payment_ids)


async def of_payer(engine: Engine, user_id: UUID, query: PageQuery) -> Page:
    """Page through the payments a user makes."""
    return await fetch_page(
        engine.database.reader,
        "payments of a payer",
        "select * from payments where payer_id = $1",
        (user_id,),
        query,
    )


async def read(engine: Engine, payment_id: UUID) -> Any:
    """Return a payment's row as it is now, or None. Says nothing about who may see it."""
    return await engine.database.reader.fetchrow(_READ_PAYMENT, payment_id)


@dataclass(frozen=True, slots=True)
class Amounts:
    """What became of a payment's amount so far, in minor units; ``pending`` is what a call under way asks for.

    ``authorized`` is reserved and neither captured nor let go, ``captured`` was taken in, whatever went back
    since, ``refunded`` went back, ``canceled`` will not be taken any more.
    """

    authorized: int = 0
    authorized_pending: int = 0
    captured: int = 0
    captured_pending: int = 0
    refunded: int = 0
    refunded_pending: int = 0
    canceled: int = 0
    canceled_pending: int = 0


def amounts(row: Any) -> Amounts:
    """Return what became of a payment's amount so far."""
    gross, manual, state = int(row["gross"]), row["manual_capture"], row["provider_state"]
    if state == base.ProviderState.SUCCEEDED:
        captured = int(row["captured"])
        return Amounts(
            captured=captured,
            refunded=int(row["refunded"]),
            refunded_pending=int(row["refund_pending"]),
            canceled=gross - captured,
        )
    if state == base.ProviderState.CANCELED:
        return Amounts(canceled=gross)
    if state == base.ProviderState.AUTHORIZED:
        capturing = int(row["capturing"])
        reserved = int(row["authorized"])
        letting_go = reserved - capturing if capturing or row["canceling"] else 0
        return Amounts(
            authorized=reserved - capturing - letting_go,
            captured_pending=capturing,
            canceled_pending=letting_go,
        )
    under_way = {PaymentStatus.PROCESSING, PaymentStatus.REQUIRES_ACTION, PaymentStatus.RECONCILING}
    if PaymentStatus(row["status"]) not in under_way:
        return Amounts()
    if manual and not int(row["authorized"]):
        return Amounts(authorized_pending=gross)
    return Amounts(captured_pending=int(row["capturing"]) or gross)


def is_payer(viewer: Viewer, row: Any) -> bool:
    """Return whether a payment is the viewer's own: they pay it, or they hold its token."""
    if viewer.payment_id is not None:
        return bool(viewer.payment_id == row["id"])
    return viewer.user_id is not None and row["payer_id"] == viewer.user_id


def is_payee(viewer: Viewer, row: Any) -> bool:
    """Return whether a viewer acts for the creator who is paid: that creator, or an operator.

    ``row`` has the creator's user as ``creator_user_id``, None where there are several: then only operators do.
    """
    if viewer.user_id is None:
        return False
    return row["creator_user_id"] == viewer.user_id or viewer.may(Scope.FINANCE_WRITE)


async def reconcile_later(engine: Engine, payment_id: UUID) -> None:
    """Note that nobody knows how a call to the provider ended; the sweeper looks it up."""
    at = now()
    async with engine.database.transaction() as transaction:
        row = await fetch_one(transaction.connection, LOCK_PAYMENT, payment_id)
        known = replace(Known.of(row), reconciling=True)
        change = Change(row, known, calling_until=at)
        await write_changes([change], on=transaction.connection, at=at)
    engine.relay_wake()
