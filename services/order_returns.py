"""Returns of goods: asked for by the buyer, received or declined by the creator. What comes is paid back."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson

from core.clock import now
from core.errors import ErrorCode, Refused, not_found
from core.ids import uuid7
from core.orders import OrderEventKind, ReturnStatus
from core.refunds import RefundReason
from core.viewer import Viewer
from models.database import Connection, Transaction
from services import order_refunds, order_state, stock_reservations
from services.engine import Engine
from services.order_locks import Sale, Some, chosen, ensure_paid, lock_bought, lock_sale
from services.order_refunds import Wish
from services.order_state import Order
from services.requests import Request, once

_MAXIMUM_REASON: Final = 500
_FIND: Final = """
    select r.part_id, a.order_id from order_returns r join order_parts a on a.id = r.part_id where r.id = $1
"""
# An order's lock guards its returns.
_READ_STATUS: Final = "select status from order_returns where id = $1"
_READ_LINES: Final = "select line_id, quantity from order_return_lines where order_return_id = $1"
_READ_WAITING: Final = """
    select l.line_id, sum(l.quantity)::int as quantity
    from order_returns r join order_return_lines l on l.order_return_id = r.id
    where r.part_id = any($1::uuid[]) and r.status = 'REQUESTED' group by l.line_id
"""
_INSERT: Final = """
    with asked as (
        select * from jsonb_to_recordset($1::jsonb) as r (id uuid, part_id uuid, lines jsonb)
    ),
    made as (
        insert into order_returns (id, part_id, status, reason, created_at, updated_at)
        select id, part_id, 'REQUESTED', $2, $3, $3 from asked
    )
    insert into order_return_lines (id, order_return_id, line_id, quantity)
    select gen_random_uuid(), asked.id, q.key::uuid, q.value::int from asked, jsonb_each_text(asked.lines) q
"""
_END: Final = "update order_returns set status = $2, updated_at = $3 where id = $1"
_READ: Final = """
    select r.*, a.order_id, a.creator_id, c.user_id as creator_user_id, o.buyer_id, o.cart_id, o.payment_id,
        coalesce(
            (select jsonb_object_agg(l.line_id, l.quantity) from order_return_lines l
             where l.order_return_id = r.id), '{}')::text as quantities
    from order_returns r join order_parts a on a.id = r.part_id join creators c on c.id = a.creator_id
    join orders o on o.id = a.order_id
"""
_READ_OF_PARTS: Final = f"{_READ} where r.part_id = any($1::uuid[]) order by r.id"
_READ_BY_ID: Final = f"{_READ} where r.id = any($1::uuid[])"


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask to send lines back; None is everything that can be."""

    order_id: UUID
    lines: Sequence[Some] | None
    reason: str | None
    key: str


@dataclass(frozen=True, slots=True)
class Receive:
    """Say that a return arrived. ``restock`` puts it back on the shelf, ``refund`` pays it back."""

    return_id: UUID
    restock: bool
    refund: bool
    key: str


@dataclass(frozen=True, slots=True)
class End:
    """Decline a return as its creator, or cancel it as its buyer."""

    return_id: UUID
    key: str


@dataclass(frozen=True, slots=True)
class Done:
    """Returns' ids: one for each creator. ``refund_id`` where money goes back."""

    return_ids: Sequence[UUID]
    refund_id: UUID | None
    replayed: bool


async def ask(engine: Engine, viewer: Viewer, command: Ask) -> Done:
    """Ask for a return of what was shipped, as the buyer: one for each creator. Once per ``command.key``.

    Errors: NOT_FOUND, INPUT_INVALID, ORDER_NOT_PAID, QUANTITY_TOO_LARGE, IDEMPOTENCY_KEY_REUSED.
    """
    reason = _reason(command.reason)
    body = {"order": command.order_id, "lines": command.lines, "reason": reason}
    request = Request.of(viewer, "orderReturnRequest", command.key, body)

    async def act(transaction: Transaction) -> dict[str, UUID]:
        connection = transaction.connection
        order = await lock_bought(viewer, command.order_id, "orderId", on=connection)
        ensure_paid(order, "orderId")
        parts = [part.id for part in order.parts]
        waiting = {row["line_id"]: row["quantity"] for row in await connection.fetch(_READ_WAITING, parts)}
        available = {
            line.id: line.fulfilled - line.returned - waiting.get(line.id, 0)
            if line.row["requires_shipping"]
            else 0
            for line in order.lines
        }
        lines = {line.id: quantity for line, quantity in chosen(order.lines, command.lines, available)}
        asked = []
        for part in order.parts:
            own = {str(line.id): lines[line.id] for line in part.lines if line.id in lines}
            if own:
                asked.append({"id": uuid7(), "part_id": part.id, "lines": own})
        at = now()
        await connection.execute(_INSERT, orjson.dumps(asked).decode(), reason, at)
        for each in asked:
            order.tell(OrderEventKind.RETURN_REQUESTED, data={"return": str(each["id"]), "lines": each["lines"]})
        await order_state.write([order], on=connection, at=at)
        return {f"return{place}": UUID(str(each["id"])) for place, each in enumerate(asked)}

    outcome = await once(engine, request, act)
    engine.relay_wake()
    return Done(list(outcome.ids.values()), None, outcome.replayed)


async def receive(engine: Engine, viewer: Viewer, command: Receive) -> Done:
    """Say that a return arrived, as its creator or an operator. Once per ``command.key``.

    Errors: NOT_FOUND, RETURN_CLOSED, PAYMENT_NOT_REFUNDABLE, REFUND_TOO_LARGE, PROVIDER_UNSUPPORTED,
    IDEMPOTENCY_KEY_REUSED.
    """
    body = {"return": command.return_id, "restock": command.restock, "refund": command.refund}
    request = Request.of(viewer, "orderReturnReceive", command.key, body)

    async def act(transaction: Transaction) -> dict[str, UUID]:
        connection = transaction.connection
        found = await connection.fetchrow(_FIND, command.return_id)
        if found is None:
            raise _no_return()
        sale = await _own_sale(viewer, found["part_id"], connection)
        at = now()
        await _end(command.return_id, ReturnStatus.RECEIVED, connection, at)
        rows = await connection.fetch(_READ_LINES, command.return_id)
        sent = {row["line_id"]: row["quantity"] for row in rows}
        wish = Wish([], shipping=False, reason=RefundReason.REQUESTED_BY_CUSTOMER)
        paid_back = []
        for line in sale.part.lines:
            quantity = sent.get(line.id, 0)
            # Some may have been taken back by a refund meanwhile.
            here = min(quantity, line.fulfilled - line.returned)
            if here:
                line.returned, line.changed = line.returned + here, True
                if command.restock:
                    order_refunds.put_back(wish.restocked, line, here)
            left = min(quantity, line.fulfilled + line.canceled - line.refunded)
            if left > 0:
                paid_back.append((line, left))
        told = {"return": str(command.return_id), "lines": {str(line): sent[line] for line in sent}}
        sale.order.tell(OrderEventKind.RETURN_RECEIVED, data=told)
        done = {"return": command.return_id}
        if command.refund and paid_back:
            wish.lines = paid_back
            try:
                ids = await order_refunds.give_back(engine, viewer, sale, wish, on=connection, at=at)
            except Refused as refused:
                # Whatever it is about, the return is all that the creator named.
                raise refused.at("returnId") from None
            return {**ids, **done}
        if wish.restocked:
            await stock_reservations.give_back(wish.restocked, on=connection, at=at)
        await order_state.write([sale.order], on=connection, at=at)
        return done

    outcome = await once(engine, request, act)
    await order_refunds.ask(engine, outcome)
    return Done([outcome.ids["return"]], outcome.ids.get("refund"), outcome.replayed)


async def decline(engine: Engine, viewer: Viewer, command: End) -> Done:
    """Do not take something back, as its creator or an operator. Once per ``command.key``.

    Errors: NOT_FOUND, RETURN_CLOSED, IDEMPOTENCY_KEY_REUSED.
    """
    request = Request.of(viewer, "orderReturnDecline", command.key, {"return": command.return_id})

    async def lock(found: Any, connection: Connection) -> Order:
        sale = await _own_sale(viewer, found["part_id"], connection)
        return sale.order

    return await _end_return(engine, request, command, lock, ReturnStatus.DECLINED, OrderEventKind.RETURN_DECLINED)


async def cancel(engine: Engine, viewer: Viewer, command: End) -> Done:
    """Keep something after all, as its buyer. Once per ``command.key``.

    Errors: NOT_FOUND, RETURN_CLOSED, IDEMPOTENCY_KEY_REUSED.
    """
    request = Request.of(viewer, "orderReturnCancel", command.key, {"return": command.return_id})

    async def lock(found: Any, connection: Connection) -> Order:
        try:
            return await lock_bought(viewer, found["order_id"], on=connection)
        except Refused as refused:
            raise _no_return() from refused

    return await _end_return(engine, request, command, lock, ReturnStatus.CANCELED, OrderEventKind.RETURN_CANCELED)


async def of_parts(engine: Engine, part_ids: Sequence[UUID]) -> list[Any]:
    """Read the returns of sales, oldest first, ``quantities`` as JSON by line."""
    return await engine.database.reader.fetch(_READ_OF_PARTS, part_ids)


async def by_id(engine: Engine, ids: Sequence[UUID]) -> list[Any]:
    """Read returns with who may see them."""
    return await engine.database.reader.fetch(_READ_BY_ID, ids)


async def _end_return(
    engine: Engine,
    request: Request,
    command: End,
    lock: Callable[[Any, Connection], Awaitable[Order]],
    status: ReturnStatus,
    kind: OrderEventKind,
) -> Done:
    async def act(transaction: Transaction) -> dict[str, UUID]:
        connection = transaction.connection
        found = await connection.fetchrow(_FIND, command.return_id)
        if found is None:
            raise _no_return()
        order = await lock(found, connection)
        at = now()
        await _end(command.return_id, status, connection, at)
        order.tell(kind, data={"return": str(command.return_id)})
        await order_state.write([order], on=connection, at=at)
        return {"return": command.return_id}

    outcome = await once(engine, request, act)
    engine.relay_wake()
    return Done([outcome.ids["return"]], None, outcome.replayed)


async def _own_sale(viewer: Viewer, part_id: UUID, on: Connection) -> Sale:
    try:
        return await lock_sale(viewer, part_id, on=on)
    except Refused as refused:
        raise _no_return() from refused


async def _end(return_id: UUID, status: ReturnStatus, on: Connection, at: datetime) -> None:
    if await on.fetchval(_READ_STATUS, return_id) != ReturnStatus.REQUESTED:
        raise Refused(
            ErrorCode.RETURN_CLOSED,
            "This return was received, declined or cancelled before. Read its status.",
            path=("returnId",),
        )
    await on.execute(_END, return_id, status.value, at)


def _no_return() -> Refused:
    return not_found("return", "returnId")


def _reason(given: str | None) -> str | None:
    text = None if given is None else given.strip()
    if not text:
        return None
    if len(text) > _MAXIMUM_REASON or "\x00" in text:
        raise Refused(
            ErrorCode.INPUT_INVALID, f"Send a reason of at most {_MAXIMUM_REASON} characters.", path=("reason",)
        )
    return text
