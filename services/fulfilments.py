"""Fulfilments: what of a sale is sent or handed over, in as many parts as it takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from core.clock import now
from core.errors import ErrorCode, Refused, not_found
from core.ids import uuid7
from core.orders import OrderEventKind, OrderStatus
from core.viewer import Viewer
from models.database import Transaction
from services import order_state
from services.engine import Engine
from services.order_locks import Some, chosen, lock_sale
from services.order_state import NewFulfilment
from services.requests import Request, once

_MAXIMUM_TEXT: Final = 100
_MAXIMUM_URL: Final = 2_000
_FIND: Final = "select part_id from fulfilments where id = $1"
_WRITE_TRACKING: Final = """
    update fulfilments set carrier = coalesce($2, carrier), tracking_number = coalesce($3, tracking_number),
        tracking_url = coalesce($4, tracking_url), updated_at = $5
    where id = $1
"""
_READ: Final = """
    select f.*, coalesce(
            (select jsonb_object_agg(l.line_id, l.quantity) from fulfilment_lines l where l.fulfilment_id = f.id),
            '{}')::text as quantities
    from fulfilments f
"""
_READ_OF_PARTS: Final = f"{_READ} where f.part_id = any($1::uuid[]) order by f.id"
_READ_BY_ID: Final = """
    select f.*, c.user_id as creator_user_id, o.buyer_id, o.cart_id, o.payment_id,
        coalesce(
            (select jsonb_object_agg(l.line_id, l.quantity) from fulfilment_lines l where l.fulfilment_id = f.id),
            '{}')::text as quantities
    from fulfilments f join order_parts a on a.id = f.part_id join creators c on c.id = a.creator_id
    join orders o on o.id = a.order_id
    where f.id = any($1::uuid[])
"""


@dataclass(frozen=True, slots=True)
class Tracking:
    """How a parcel can be followed: who carries it, its number there, and an https address."""

    carrier: str | None = None
    number: str | None = None
    url: str | None = None

    def checked(self) -> "Tracking":
        """Return it without space around. Errors: INPUT_INVALID."""
        return Tracking(
            _text(self.carrier, "carrier"), _text(self.number, "trackingNumber"), _url(self.url, "trackingUrl")
        )


@dataclass(frozen=True, slots=True)
class Create:
    """Send lines of a sale; None is all that was not sent yet."""

    sale_id: UUID
    lines: Sequence[Some] | None
    tracking: Tracking
    key: str


@dataclass(frozen=True, slots=True)
class Update:
    """Change how a parcel can be followed; what is not given stays as it is."""

    fulfilment_id: UUID
    tracking: Tracking
    key: str


@dataclass(frozen=True, slots=True)
class Done:
    """A fulfilment's id and its sale's."""

    fulfilment_id: UUID
    sale_id: UUID
    replayed: bool


async def create(engine: Engine, viewer: Viewer, command: Create) -> Done:
    """Say that something of a sale was sent, for its creator or an operator. Exactly once per ``command.key``.

    Errors: NOT_FOUND, INPUT_INVALID, ORDER_NOT_PAID, QUANTITY_TOO_LARGE, IDEMPOTENCY_KEY_REUSED.
    """
    tracking = command.tracking.checked()
    body = {"sale": command.sale_id, "lines": command.lines, "tracking": tracking}
    request = Request.of(viewer, "fulfilmentCreate", command.key, body)
    fulfilment_id = uuid7()

    async def act(transaction: Transaction) -> dict[str, UUID]:
        sale = await lock_sale(viewer, command.sale_id, "saleId", on=transaction.connection)
        order = sale.order
        if order.status is OrderStatus.CHARGED_BACK:
            raise Refused(
                ErrorCode.ORDER_NOT_PAID,
                "The buyer's bank took the payment back. Nothing has to be sent.",
                path=("saleId",),
            )
        lines = chosen(sale.part.lines, command.lines, {line.id: line.open for line in sale.part.lines})
        for line, quantity in lines:
            line.fulfilled, line.changed = line.fulfilled + quantity, True
        sent = {str(line.id): quantity for line, quantity in lines}
        order.fulfilments.append(
            NewFulfilment(
                fulfilment_id,
                sale.part.id,
                sent,
                carrier=tracking.carrier,
                tracking_number=tracking.number,
                tracking_url=tracking.url,
            )
        )
        order.tell_how_far(data={"fulfilment": str(fulfilment_id), "lines": sent})
        await order_state.write([order], on=transaction.connection, at=now())
        return {"fulfilment": fulfilment_id, "sale": command.sale_id}

    outcome = await once(engine, request, act)
    engine.relay_wake()
    return Done(outcome.ids["fulfilment"], outcome.ids["sale"], outcome.replayed)


async def update(engine: Engine, viewer: Viewer, command: Update) -> Done:
    """Say how a parcel can be followed, for its creator or an operator. Exactly once per ``command.key``.

    Errors: NOT_FOUND, INPUT_INVALID, IDEMPOTENCY_KEY_REUSED.
    """
    tracking = command.tracking.checked()
    body = {"fulfilment": command.fulfilment_id, "tracking": tracking}
    request = Request.of(viewer, "fulfilmentUpdate", command.key, body)

    async def act(transaction: Transaction) -> dict[str, UUID]:
        connection = transaction.connection
        part_id = await connection.fetchval(_FIND, command.fulfilment_id)
        if part_id is None:
            raise not_found("fulfilment", "fulfilmentId")
        try:
            sale = await lock_sale(viewer, part_id, on=connection)
        except Refused as refused:
            raise not_found("fulfilment", "fulfilmentId") from refused
        at = now()
        await connection.execute(
            _WRITE_TRACKING, command.fulfilment_id, tracking.carrier, tracking.number, tracking.url, at
        )
        sale.order.tell(OrderEventKind.TRACKING_CHANGED, data={"fulfilment": str(command.fulfilment_id)})
        await order_state.write([sale.order], on=connection, at=at)
        return {"fulfilment": command.fulfilment_id, "sale": part_id}

    outcome = await once(engine, request, act)
    engine.relay_wake()
    return Done(outcome.ids["fulfilment"], outcome.ids["sale"], outcome.replayed)


async def of_parts(engine: Engine, part_ids: Sequence[UUID]) -> list[Any]:
    """Read the fulfilments of sales, oldest first, ``quantities`` as JSON by line."""
    return await engine.database.reader.fetch(_READ_OF_PARTS, part_ids)


async def by_id(engine: Engine, ids: Sequence[UUID]) -> list[Any]:
    """Read fulfilments with who may see them."""
    return await engine.database.reader.fetch(_READ_BY_ID, ids)


def _text(given: str | None, *path: str) -> str | None:
    text = None if given is None else given.strip()
    if not text:
        return None
    if len(text) > _MAXIMUM_TEXT or not text.isprintable():
        raise Refused(ErrorCode.INPUT_INVALID, f"Send at most {_MAXIMUM_TEXT} printable characters.", path=path)
    return text


def _url(given: str | None, *path: str) -> str | None:
    text = None if given is None else given.strip()
    if not text:
        return None
    try:
        parts = urlsplit(text)
        sound = parts.scheme == "https" and bool(parts.hostname) and parts.username is None
    except ValueError:
        sound = False
    # A space or a control character in it would be somebody else's idea of where it ends.
    if not sound or len(text) > _MAXIMUM_URL or not text.isascii() or not text.isprintable() or " " in text:
        raise Refused(
            ErrorCode.INPUT_INVALID, "Send an address that begins with https:// and names a host.", path=path
        )
    return text
