"""From rows of the services to the types of the contract: orders, sales, what was sent and what comes back."""

from typing import Any
from uuid import UUID

import orjson
import strawberry

from core import ids
from core.addresses import Address
from core.cursors import encode_cursor
from core.ids import Noun
from core.money import money
from core.orders import OrderEventKind, OrderStatus, ReturnStatus, order_message
from schema.addresses import PostalAddress
from schema.fulfilments import Fulfilment, FulfilmentLine
from schema.money import Money
from schema.order_returns import OrderReturn, OrderReturnLine
from schema.orders import Order, OrderDiscount, OrderEvent, OrderLine
from schema.sales import Sale, SaleShipping
from schema.scalars import CurrencyCode
from services import orders, receipts
from services.engine import Engine


def _id(noun: Noun, value: Any) -> strawberry.ID:
    return strawberry.ID(ids.encode(noun, value))


def _amount(row: Any, column: str) -> Money:
    return Money.of(money(row[column], row["currency"]))


def _address(row: Any) -> PostalAddress | None:
    stored = orjson.loads(row["address"]) if isinstance(row["address"], str) else row["address"]
    return PostalAddress.of(Address.of(stored)) if stored else None


def order(engine: Engine, row: Any) -> Order:
    """Return an order to whoever bought it."""
    status = OrderStatus(row["status"])
    return Order(
        id=_id(Noun.ORDER, row["id"]),
        key=row["id"],
        payment_key=row["payment_id"],
        number=row["number"],
        status=status,
        status_reason=row["reason"],
        status_message=order_message(status, row["reason"]),
        currency=CurrencyCode(row["currency"]),
        subtotal=_amount(row, "subtotal"),
        discount=_amount(row, "discount"),
        shipping=_amount(row, "shipping"),
        tax=_amount(row, "tax"),
        total=_amount(row, "total"),
        refunded=_amount(row, "refunded"),
        email=row["email"],
        address=_address(row),
        can_cancel=orders.is_cancelable(row),
        receipt=lambda: receipts.link(engine, row),
        cursor=encode_cursor(row["id"], row["sequence"]),
        created_at=row["created_at"],
        paid_at=row["paid_at"],
        canceled_at=row["canceled_at"],
        status_changed_at=row["updated_at"],
    )


def line(row: Any) -> OrderLine:
    return OrderLine(
        id=_id(Noun.ORDER_LINE, row["id"]),
        key=row["id"],
        product_key=row["product_id"],
        variant_key=row["variant_id"],
        title=row["title"],
        variant_title=row["variant_title"],
        sku=row["sku"],
        requires_shipping=row["requires_shipping"],
        quantity=row["quantity"],
        unit_price=_amount(row, "unit_price"),
        subtotal=_amount(row, "subtotal"),
        discount=_amount(row, "discount"),
        tax=_amount(row, "tax"),
        tax_name=row["tax_name"],
        tax_rate_basis_points=row["tax_basis_points"],
        tax_included=row["tax_inclusive"],
        total=_amount(row, "total"),
        fulfilled=row["fulfilled"],
        canceled=row["canceled"],
        returned=row["returned"],
        refunded=row["refunded"],
        refunded_amount=_amount(row, "refunded_amount"),
    )


def discount(row: Any) -> OrderDiscount:
    return OrderDiscount(title=row["title"], code=row["code"], amount=_amount(row, "amount"))


def event(row: Any) -> OrderEvent:
    status = OrderStatus(row["status"])
    return OrderEvent(
        cursor=encode_cursor(row["order_id"], row["sequence"]),
        kind=OrderEventKind(row["kind"]),
        status=status,
        reason=row["reason"],
        message=order_message(status, row["reason"]),
        at=row["at"],
    )


def sale(row: Any) -> Sale:
    """Return a creator's part of an order. The address goes with what is shipped, once it is paid."""
    shipped = row["shipping_method_id"] is not None
    return Sale(
        id=_id(Noun.SALE, row["id"]),
        key=row["id"],
        creator_key=row["creator_id"],
        order_number=row["number"],
        status=OrderStatus(row["status"]),
        currency=CurrencyCode(row["currency"]),
        subtotal=_amount(row, "subtotal"),
        discount=_amount(row, "discount"),
        tax=_amount(row, "tax"),
        total=_amount(row, "total"),
        refunded=_amount(row, "refunded"),
        shipping=_shipping(row) if shipped else None,
        address=_address(row) if shipped and row["paid_at"] is not None else None,
        created_at=row["created_at"],
        paid_at=row["paid_at"],
        status_changed_at=row["updated_at"],
    )


def _shipping(row: Any) -> SaleShipping:
    return SaleShipping(
        title=row["shipping_title"] or "",
        price=_amount(row, "shipping_price"),
        discount=_amount(row, "shipping_discount"),
        tax=_amount(row, "shipping_tax"),
        tax_name=row["shipping_tax_name"],
        tax_rate_basis_points=row["shipping_tax_basis_points"],
        total=_amount(row, "shipping_total"),
        refunded_amount=_amount(row, "shipping_refunded_amount"),
    )


def fulfilment(row: Any) -> Fulfilment:
    return Fulfilment(
        id=_id(Noun.FULFILMENT, row["id"]),
        key=row["id"],
        carrier=row["carrier"],
        tracking_number=row["tracking_number"],
        tracking_url=row["tracking_url"],
        automatic=row["automatic"],
        lines=[FulfilmentLine(line_key=key, quantity=quantity) for key, quantity in _quantities(row)],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def order_return(row: Any) -> OrderReturn:
    return OrderReturn(
        id=_id(Noun.ORDER_RETURN, row["id"]),
        key=row["id"],
        status=ReturnStatus(row["status"]),
        reason=row["reason"],
        lines=[OrderReturnLine(line_key=key, quantity=quantity) for key, quantity in _quantities(row)],
        created_at=row["created_at"],
        status_changed_at=row["updated_at"],
    )


def _quantities(row: Any) -> list[tuple[UUID, int]]:
    # Ids are in the order of their making, which is that of the order's lines.
    return sorted((UUID(key), quantity) for key, quantity in orjson.loads(row["quantities"]).items())
