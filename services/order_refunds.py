"""Refunds of a sale: lines that will not be sent, that came back or that were not right, and its shipping.

What goes back is fixed by the lines (see ``services.order_money``) and comes out of that creator's part of the
payment. The refund is written with the quantities in one commit, and the provider is asked after it; if whoever
asks is gone in between, the worker goes on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from core.clock import now
from core.errors import ErrorCode, Refused
from core.ids import uuid7
from core.orders import OrderEventKind
from core.payments import CAPTURED_STATUSES
from core.refunds import RefundReason
from core.viewer import Viewer
from models.database import Connection, Transaction
from providers.payments import base
from services import access, order_state, refunds, returns, stock_reservations
from services.calls import claimed_until
from services.engine import Engine
from services.order_locks import Sale, Some, chosen, lock_sale
from services.order_money import left_of, take_back
from services.order_state import Line
from services.requests import Outcome, Request, once

_REVOKED: Final = "REFUNDED"


@dataclass(frozen=True, slots=True)
class Cancel:
    """Do not send lines of a sale, and give back what was paid for them; None is all that was not sent."""

    sale_id: UUID
    lines: Sequence[Some] | None
    reason: RefundReason
    key: str


@dataclass(frozen=True, slots=True)
class RefundLines:
    """Give back lines of a sale, and its shipping; None is everything that is left of it, shipping too.

    What was not sent is not sent any more, and goes back on the shelf; with ``restock`` what was sent does too.
    """

    sale_id: UUID
    lines: Sequence[Some] | None
    shipping: bool
    restock: bool
    reason: RefundReason
    key: str


@dataclass(frozen=True, slots=True)
class Done:
    """A sale's id, and its refund's where money goes back."""

    sale_id: UUID
    refund_id: UUID | None
    replayed: bool


@dataclass(slots=True)
class Wish:
    """What of a locked sale is to go back. ``came_back``: so many that were sent are here again.

    ``restocked`` of each line go back on the shelf. ``most``: give back no more than there is, without a word.
    """

    lines: Sequence[tuple[Line, int]]
    shipping: bool
    reason: RefundReason
    restocked: dict[UUID, int] = field(default_factory=dict)
    most: bool = False


async def cancel(engine: Engine, viewer: Viewer, command: Cancel) -> Done:
    """Cancel what was not sent of a sale: it is on the shelf again and what was paid for it goes back.

    For its creator or an operator, exactly once per ``command.key``. While the buyer's bank has the money, and
    where nothing is left of it, nothing goes back.
    Errors: NOT_FOUND, INPUT_INVALID, ORDER_NOT_PAID, QUANTITY_TOO_LARGE, PROVIDER_UNSUPPORTED,
    IDEMPOTENCY_KEY_REUSED.
    """
    body = {"sale": command.sale_id, "lines": command.lines, "reason": command.reason}
    request = Request.of(viewer, "saleCancel", command.key, body)

    async def act(transaction: Transaction) -> dict[str, UUID]:
        connection = transaction.connection
        sale = await lock_sale(viewer, command.sale_id, "saleId", on=connection)
        lines = chosen(sale.part.lines, command.lines, {line.id: line.open for line in sale.part.lines})
        wish = Wish(lines, shipping=False, reason=command.reason, most=True)
        _cancel_lines(sale, lines, wish.restocked)
        return await give_back(engine, viewer, sale, wish, on=connection, at=now())

    return await _done(engine, await once(engine, request, act))


async def refund(engine: Engine, viewer: Viewer, command: RefundLines) -> Done:
    """Give back lines of a sale and its shipping, for its creator or an operator, once per ``command.key``.

    Errors: NOT_FOUND, INPUT_INVALID, ORDER_NOT_PAID, QUANTITY_TOO_LARGE, PAYMENT_NOT_REFUNDABLE,
    REFUND_TOO_LARGE (with ``refundable`` in minor units of ``currency``), PROVIDER_UNSUPPORTED,
    IDEMPOTENCY_KEY_REUSED.
    """
    body = {
        "sale": command.sale_id,
        "lines": command.lines,
        "shipping": command.shipping,
        "restock": command.restock,
        "reason": command.reason,
    }
    request = Request.of(viewer, "saleRefund", command.key, body)

    async def act(transaction: Transaction) -> dict[str, UUID]:
        connection = transaction.connection
        sale = await lock_sale(viewer, command.sale_id, "saleId", on=connection)
        available = {line.id: line.quantity - line.refunded for line in sale.part.lines}
        shipping = command.shipping or command.lines is None
        has_shipping = shipping and sale.part.shipping_left[0] > 0
        # Shipping may go back alone: then no line has to be named, and none has to be left.
        nothing = not command.lines if command.lines is not None else not any(available.values())
        if command.lines is not None and not command.lines:
            # Nobody named a line: then none goes back, and without shipping that is left there is nothing to do.
            available = dict.fromkeys(available, 0)
        lines = [] if nothing and has_shipping else chosen(sale.part.lines, command.lines or None, available)
        wish = Wish(lines, shipping=shipping, reason=command.reason)
        take_lines(sale, lines, wish.restocked, restock=command.restock)
        return await give_back(engine, viewer, sale, wish, on=connection, at=now())

    return await _done(engine, await once(engine, request, act))


def take_lines(
    sale: Sale, lines: Sequence[tuple[Line, int]], restocked: dict[UUID, int], *, restock: bool
) -> None:
    """Decide which of the quantities that go back were sent, and cancel those that were not.

    What was cancelled before and not paid back goes first, then what was sent, then what was not.
    """
    unsent = []
    for line, quantity in lines:
        fulfilled_or_gone = line.fulfilled + line.canceled - line.refunded
        canceled_before = min(quantity, max(0, line.canceled - line.refunded))
        sent = min(quantity, fulfilled_or_gone) - canceled_before
        if quantity > fulfilled_or_gone:
            unsent.append((line, quantity - fulfilled_or_gone))
        came_back = min(sent, line.fulfilled - line.returned) if restock else 0
        if came_back > 0:
            line.returned, line.changed = line.returned + came_back, True
            put_back(restocked, line, came_back)
    _cancel_lines(sale, unsent, restocked)


def put_back(restocked: dict[UUID, int], line: Line, quantity: int) -> None:
    """Note that so many of a line go back on the shelf, if they can be sold again."""
    if line.restockable:
        restocked[line.id] = restocked.get(line.id, 0) + quantity


def _cancel_lines(sale: Sale, lines: Sequence[tuple[Line, int]], restocked: dict[UUID, int]) -> None:
    if not lines:
        return
    for line, quantity in lines:
        line.canceled, line.changed = line.canceled + quantity, True
        put_back(restocked, line, quantity)
    told = {"lines": {str(line.id): quantity for line, quantity in lines}}
    sale.order.tell(OrderEventKind.LINES_CANCELED, data=told)


async def give_back(
    engine: Engine, viewer: Viewer, sale: Sale, wish: Wish, *, on: Connection, at: datetime
) -> dict[str, UUID]:
    """Write what goes back of a locked sale, and open its refund where that is money. Return the ids of both."""
    order, part, payment = sale.order, sale.part, sale.payment
    refund_id = uuid7()
    done = {"sale": part.id}
    left = await _left(sale, on) if payment is not None else {}
    after = {line.id: line.refunded for line in part.lines}
    for line, quantity in wish.lines:
        after[line.id] += quantity
    whole = all(after[line.id] == line.quantity for line in part.lines)
    unsent = whole and not any(line.fulfilled for line in part.lines)
    shipping_of = {part.id} if wish.shipping or unsent else set()
    # Without the money nothing is paid back, and the lines are not either.
    pays = payment is None or not wish.most or any(left.values())
    if pays and payment is not None and not wish.most:
        _ensure_enough(sale, wish.lines, shipping_of, left, whole=whole)
    of = take_back(order, refund_id, wish.lines, shipping_of, left) if pays else []
    if of:
        amount = sum(one.amount for one in of)
        _ensure_provider_can(engine, payment, amount)
        await returns.open_refund(
            payment,
            refund_id,
            amount,
            of=of,
            reason=wish.reason,
            requested_by=viewer.user_id,
            calling_until=claimed_until(engine, at, calls=2),
            on=on,
            at=at,
        )
        order.tell(OrderEventKind.REFUND_STARTED, data={"refund": str(refund_id), "amount": amount})
        done["refund"] = refund_id
    order.tell_how_far()
    if payment is None and all(line.refunded == line.quantity for line in order.lines):
        # There is no money to wait for.
        order.tell(OrderEventKind.REFUNDED)
    if wish.restocked:
        await stock_reservations.give_back(wish.restocked, on=on, at=at)
    over = [line.id for line, _ in wish.lines if line.refunded == line.quantity]
    if over:
        await access.revoke(over, _REVOKED, on=on, at=at)
    await order_state.write([order], on=on, at=at)
    return done


async def _left(sale: Sale, on: Connection) -> Mapping[UUID, int]:
    """Return what can come out of the creator's part: nothing while the buyer's bank has the money."""
    payment, creator_id = sale.payment, UUID(int=sale.part.row["creator_id"].int)
    if payment["status"] not in CAPTURED_STATUSES or payment["dispute"] == "OPEN":
        return {creator_id: 0}
    whole = int(payment["captured"] - payment["refunded"] - payment["refund_pending"])
    return {creator_id: min((await left_of(payment, on=on)).get(creator_id, 0), whole)}


def _ensure_enough(
    sale: Sale,
    lines: Sequence[tuple[Line, int]],
    shipping_of: set[UUID],
    left: Mapping[UUID, int],
    *,
    whole: bool,
) -> None:
    payment, most = sale.payment, sum(left.values())
    wanted = sum(line.price_of(quantity)[0] for line, quantity in lines)
    wanted += sale.part.shipping_left[0] if shipping_of else 0
    if not wanted:
        return
    if not most and payment["dispute"] is not None:
        raise Refused(
            ErrorCode.PAYMENT_NOT_REFUNDABLE,
            "The buyer's bank has taken this payment back. Answer the dispute instead.",
            path=("saleId",),
        )
    # Of a payment that was captured in part, or refunded in part as a whole, the last lines have less left than
    # they cost: who gives back all of a sale gives back what is left.
    if wanted > most and ((payment["captured"] == payment["gross"] and not whole) or not most):
        raise Refused(
            ErrorCode.REFUND_TOO_LARGE,
            "That is more than is left of what was paid for this sale: some was given back otherwise.",
            path=("lines",),
            data={"refundable": most, "currency": payment["currency"]},
        )


def _ensure_provider_can(engine: Engine, payment: Any, amount: int) -> None:
    features = engine.provider.capabilities.features
    needed = base.Capability.REFUND if amount == payment["captured"] else base.Capability.PARTIAL_REFUND
    if payment["provider"] != engine.provider.name or not {base.Capability.REFUND, needed} <= features:
        raise Refused(
            ErrorCode.PROVIDER_UNSUPPORTED,
            "The payment provider gives back a payment in full or not at all. Give back the whole order."
            if base.Capability.REFUND in features and payment["provider"] == engine.provider.name
            else "The payment provider gives nothing back from here.",
            path=("saleId",),
        )


async def _done(engine: Engine, outcome: Outcome) -> Done:
    refund_id = outcome.ids.get("refund")
    await ask(engine, outcome)
    return Done(outcome.ids["sale"], refund_id, outcome.replayed)


async def ask(engine: Engine, outcome: Outcome) -> None:
    """Have the provider give back what a request has written, after its commit."""
    engine.relay_wake()
    if "refund" in outcome.ids:
        await refunds.ask(engine, outcome.ids["refund"], replayed=outcome.replayed)
