"""Orders as settlement moves them: paid, cancelled, given back, with their payments and in their transaction.

Whoever calls holds the payments' locks. Everything takes a fixed number of statements for any number of
payments, and none for payments of tips; only refunds of what was sold out meanwhile are opened one by one.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson

from core.disputes import DisputeStatus
from core.ids import uuid7
from core.orders import UNPAID, OrderEventKind, OrderStatus
from core.payments import CAPTURED_STATUSES, PaymentKind, PaymentStatus
from core.refunds import RefundReason, RefundStatus
from models.database import Connection
from services import access, order_state, returns, stock_reservations, usage
from services.order_money import left_of, take_back
from services.order_state import Line, NewFulfilment, Order, Part
from services.returns import ReturnsChange

STOCK_LOST: Final = "STOCK_LOST"
"""Why lines of a paid order were cancelled: they were sold out when the payment arrived."""

_READ_PAYMENTS: Final = "select * from payments where id = any($1::uuid[])"
_READ_ITEMS: Final = "select * from order_refund_items where refund_id = any($1::uuid[]) order by id"
_LOCK_ORDERS: Final = "select from orders where payment_id = any($1::uuid[]) order by id for no key update"
_LOCK_LEVELS: Final = """
    select from stock_levels where variant_id in (
        select l.variant_id from order_lines l join orders o on o.id = l.order_id
        where o.payment_id = any($1::uuid[]))
    order by variant_id, location_id for no key update
"""
_FAILED: Final = frozenset({RefundStatus.FAILED, RefundStatus.CANCELED})


async def lock(payment_ids: Sequence[UUID], *, on: Connection) -> None:
    """Lock the orders of payments and then all their stock, before some are paid and others cancelled."""
    await on.execute(_LOCK_ORDERS, payment_ids)
    await on.execute(_LOCK_LEVELS, payment_ids)


async def paid(payments: Sequence[Any], *, on: Connection, at: datetime) -> None:
    """Let the orders of payments that are captured with this settlement be paid. Once each.

    ``payments`` are rows with ``id`` and ``kind``, in any order. What was sold out meanwhile is cancelled, and a
    refund of exactly that is opened, which the worker asks the provider for.
    """
    wanted = [row["id"] for row in payments if row["kind"] == PaymentKind.PURCHASE]
    if wanted:
        await _pay(await order_state.lock_of_payments(wanted, on=on), on, at)


async def paid_free(order_ids: Sequence[UUID], *, on: Connection, at: datetime) -> None:
    """Let orders that cost nothing be paid, by whoever has just made them. Once each."""
    if order_ids:
        await _pay(await order_state.lock(order_ids, on=on), on, at)


async def canceled(payment_ids: Sequence[UUID], *, on: Connection, at: datetime) -> None:
    """Cancel the orders of cancelled payments, with what they reserved and count towards. Idempotent."""
    orders = [
        order
        for order in await order_state.lock_of_payments(payment_ids, on=on)
        if order.status is OrderStatus.PENDING
    ]
    if not orders:
        return
    for order in orders:
        order.canceled_at = at
        for line in order.lines:
            line.canceled, line.changed = line.quantity, True
        order.tell(OrderEventKind.CANCELED, reason=order.row["payment_reason"])
    await stock_reservations.release([line.id for order in orders for line in order.lines], on=on, at=at)
    counted = [use for order in orders for use in _usage(order)]
    if counted:
        await usage.release(counted, on=on)
    await order_state.write(orders, on=on, at=at)


async def returned(changes: Sequence[ReturnsChange], *, on: Connection, at: datetime) -> None:
    """Let orders follow what became of their payments' refunds and disputes, once all of that is written.

    What failed is given back to its lines, what is back in full ends the order and its downloads, and so does a
    chargeback until it is undone. ``changes`` as ``returns.write`` took them.
    """
    by_payment = {change.row["id"]: change for change in changes if change.row["kind"] == PaymentKind.PURCHASE}
    if not by_payment:
        return
    orders = [
        order
        for order in await order_state.lock_of_payments(list(by_payment), on=on)
        if order.status not in UNPAID
    ]
    if not orders:
        return
    items: defaultdict[UUID, list[Any]] = defaultdict(list)
    refund_ids = [refund["id"] for change in by_payment.values() for refund in change.refunds]
    for item in await on.fetch(_READ_ITEMS, refund_ids) if refund_ids else ():
        items[item["order_id"]].append(item)
    turns = _Turns()
    for order in orders:
        _Return(order, by_payment[order.row["payment_id"]], items[order.id], at, turns).follow()
    if turns.restocked:
        await stock_reservations.give_back(turns.restocked, on=on, at=at)
    for reason, lines in turns.revoked.items():
        await access.revoke(lines, reason, on=on, at=at)
    if turns.restored:
        await access.restore(turns.restored, on=on, at=at)
    await order_state.write(orders, on=on, at=at)


# Paid ---------------------------------------------------------------------------------------------------------


async def _pay(locked: Sequence[Order], on: Connection, at: datetime) -> None:
    orders = [order for order in locked if order.status in UNPAID]
    if not orders:
        return
    orders.sort(key=lambda order: (order.row["payment_succeeded_at"] or at, order.id))
    again: list[usage.Use] = []
    for place, order in enumerate(orders, start=1):
        order.place, order.paid_at, order.canceled_at = place, order.row["payment_succeeded_at"] or at, None
        if order.status is OrderStatus.CANCELED:
            # What was counted before it was cancelled counts again, whatever else was sold meanwhile.
            again.extend(
                usage.Use(UUID(use["subject"]), use["scope"], use["quantity"], usage.UNLIMITED)
                for use in _usage(order)
            )
            for line in order.lines:
                line.canceled, line.changed = 0, True
        order.tell(OrderEventKind.PAID)
    lost = dict(await stock_reservations.take([line.id for order in orders for line in order.lines], on=on, at=at))
    kept = [line.id for order in orders for line in order.lines if lost.get(line.id, 0) < line.quantity]
    if kept:
        for line_id, keys in (await access.grant(kept, on=on, at=at)).items():
            lost[line_id] = lost.get(line_id, 0) + keys
    if again:
        await usage.use(again, on=on)
    with_losses: list[tuple[Order, list[tuple[Line, int]]]] = []
    for order in orders:
        losses = [(line, lost[line.id]) for line in order.lines if lost.get(line.id)]
        for line, quantity in losses:
            line.canceled, line.changed = line.canceled + quantity, True
        if losses:
            with_losses.append((order, losses))
    if with_losses:
        await _give_back_losses(with_losses, on, at)
    for order in orders:
        _hand_over(order)
    await order_state.write(orders, on=on, at=at)


def _hand_over(order: Order) -> None:
    """Fulfil at once what is not shipped."""
    sent: dict[str, int] = {}
    for part in order.parts:
        quantities = {
            str(line.id): line.open for line in part.lines if line.open and not line.row["requires_shipping"]
        }
        if not quantities:
            continue
        order.fulfilments.append(NewFulfilment(uuid7(), part.id, quantities, automatic=True))
        sent.update(quantities)
        for line in part.lines:
            if str(line.id) in quantities:
                line.fulfilled, line.changed = line.fulfilled + line.open, True
    if sent:
        order.tell_how_far(data={"automatic": True, "lines": sent})


async def _give_back_losses(
    losses: Sequence[tuple[Order, list[tuple[Line, int]]]], on: Connection, at: datetime
) -> None:
    """Tell of lines that were sold out, and open a refund of what was paid for them."""
    payment_ids = [order.row["payment_id"] for order, _ in losses if order.row["payment_id"] is not None]
    payments = {row["id"]: row for row in await on.fetch(_READ_PAYMENTS, payment_ids)} if payment_ids else {}
    for order, lines in losses:
        payment = payments.get(order.row["payment_id"])
        # A payment that its payer's bank has taken back already has nothing to refund.
        refundable = payment is not None and payment["dispute"] is None
        left = await left_of(payment, on=on) if refundable else {}
        gone = {part.id for part in order.parts if all(line.canceled == line.quantity for line in part.lines)}
        refund_id = uuid7()
        of = take_back(order, refund_id, lines, gone, left) if refundable or payment is None else []
        told = {"lines": {str(line.id): quantity for line, quantity in lines}}
        order.tell(OrderEventKind.STOCK_LOST, reason=STOCK_LOST, data=told)
        if of:
            amount = sum(one.amount for one in of)
            await returns.open_refund(
                payment,
                refund_id,
                amount,
                of=of,
                reason=RefundReason.OTHER,
                requested_by=None,
                calling_until=at,
                on=on,
                at=at,
            )
            order.tell(OrderEventKind.REFUND_STARTED, data={"refund": str(refund_id), "amount": amount})
        elif payment is None and all(line.canceled == line.quantity for line in order.lines):
            # It cost nothing: there is no money to wait for.
            order.tell(OrderEventKind.REFUNDED)


def _usage(order: Order) -> list[Mapping[str, Any]]:
    stored = order.row["usage"]
    found: list[Mapping[str, Any]] = orjson.loads(stored) if isinstance(stored, str) else list(stored or ())
    return found


# Given back ---------------------------------------------------------------------------------------------------


class _Turns:
    """What becomes of the downloads, keys and stock of lines, gathered over all orders of a settlement."""

    def __init__(self) -> None:
        self.revoked: defaultdict[str, list[UUID]] = defaultdict(list)
        self.restored: list[UUID] = []
        self.restocked: dict[UUID, int] = {}


class _Return:
    """One order following its payment's refunds and disputes."""

    def __init__(
        self, order: Order, change: ReturnsChange, items: Sequence[Any], at: datetime, turns: _Turns
    ) -> None:
        self.order = order
        self.change = change
        self.items = items
        self.at = at
        self.turns = turns
        self.payment_status = PaymentStatus(order.row["payment_status"])

    def follow(self) -> None:
        """Let the order follow."""
        if self.payment_status not in CAPTURED_STATUSES:
            return
        self._undo_failed()
        self._tell_refunded()
        self._follow_disputes()
        self._turn_access()

    @property
    def _all_back(self) -> bool:
        captured = int(self.order.row["payment_captured"] or 0)
        return bool(captured) and self.change.refunded >= captured

    def _undo_failed(self) -> None:
        """Give lines again what a refund that failed was to pay back, and take it anew if it stands after all."""
        statuses = {UUID(str(refund["id"])): refund["status"] for refund in self.change.refunds}
        for item in self.items:
            failed = statuses.get(item["refund_id"]) in _FAILED
            if failed and item["undone_at"] is None:
                self._move(item, -1)
                self.order.undone.append({"id": item["id"], "undone_at": self.at})
            elif not failed and item["undone_at"] is not None and self._fits(item):
                self._move(item, 1)
                self.order.undone.append({"id": item["id"], "undone_at": None})
        for refund in self.change.refunds:
            # When it was given back is written by the settlement that learnt of its failure, and stays.
            if refund["status"] in _FAILED and refund["returned_at"] == self.at:
                data = {"refund": str(refund["id"]), "amount": int(refund["amount"])}
                if self.order.status is OrderStatus.REFUNDED and not self._all_back:
                    self.order.tell_undone(OrderEventKind.REFUND_UNDONE, data=data)
                else:
                    self.order.tell(OrderEventKind.REFUND_FAILED, data=data)

    def _move(self, item: Any, sign: int) -> None:
        amount, tax = sign * int(item["amount"]), sign * int(item["tax"])
        line = next((line for line in self.order.lines if line.id == item["line_id"]), None)
        if line is not None:
            line.refunded += sign * item["quantity"]
            line.refunded_amount += amount
            line.refunded_tax += tax
            line.changed = True
            return
        part = self._part(item)
        part.shipping_refunded_amount += amount
        part.shipping_refunded_tax += tax
        part.changed = True

    def _fits(self, item: Any) -> bool:
        """Whether nothing else has paid back meanwhile what an item that was undone would."""
        amount, tax = int(item["amount"]), int(item["tax"])
        line = next((line for line in self.order.lines if line.id == item["line_id"]), None)
        if line is None:
            left, tax_left = self._part(item).shipping_left
            return amount <= left and tax <= tax_left
        return (
            line.refunded + item["quantity"] <= line.fulfilled + line.canceled
            and line.refunded_amount + amount <= int(line.row["total"])
            and line.refunded_tax + tax <= int(line.row["tax"])
        )

    def _part(self, item: Any) -> Part:
        return next(part for part in self.order.parts if part.id == item["part_id"])

    def _tell_refunded(self) -> None:
        before, after = int(self.change.row["refunded"]), self.change.refunded
        if after <= before and not (self._all_back and self.order.status is not OrderStatus.REFUNDED):
            return
        data = {"amount": after - before, "refunded": after}
        if not self._all_back:
            self.order.tell(OrderEventKind.PARTIALLY_REFUNDED, data=data)
            return
        # Nothing of it will be sent any more.
        for line in self.order.lines:
            if line.open:
                if line.restockable:
                    self.turns.restocked[line.id] = self.turns.restocked.get(line.id, 0) + line.open
                line.canceled, line.changed = line.canceled + line.open, True
        if after > before or self.order.status is not OrderStatus.CHARGED_BACK:
            self.order.tell(OrderEventKind.REFUNDED, data=data)

    def _follow_disputes(self) -> None:
        lost = self.payment_status is PaymentStatus.CHARGED_BACK
        if lost and self.order.status is not OrderStatus.CHARGED_BACK:
            self.order.tell(OrderEventKind.CHARGED_BACK)
        elif self.order.status is OrderStatus.CHARGED_BACK and not lost:
            self.order.tell_undone(OrderEventKind.CHARGEBACK_UNDONE)
            if self._all_back:
                self.order.tell(OrderEventKind.REFUNDED)

    def _turn_access(self) -> None:
        """Stop downloads and keys of what is given back or taken back, and let those of the rest go on."""
        taken_back = any(
            dispute.known.withdrawal is not None and dispute.known.status is not DisputeStatus.WON
            for dispute in self.change.returns.disputes
        )
        if taken_back or self.order.status is OrderStatus.CHARGED_BACK:
            self.turns.revoked["CHARGED_BACK"].extend(line.id for line in self.order.lines)
            return
        for line in self.order.lines:
            if self._all_back or line.refunded == line.quantity:
                self.turns.revoked["REFUNDED"].append(line.id)
            else:
                self.turns.restored.append(line.id)
