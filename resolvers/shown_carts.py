"""From priced baskets to carts as clients see them."""

from typing import Any
from uuid import UUID

import strawberry

from core import ids
from core.errors import Refused
from core.ids import Noun
from core.money import money
from schema.addresses import PostalAddress
from schema.carts import (
    Cart,
    CartDiscount,
    CartLine,
    CartRejectedDiscount,
    CartShipping,
    CartShippingMethod,
    CartShippingOption,
)
from schema.errors import UserError, user_error
from schema.money import Money
from schema.scalars import CurrencyCode
from services import carts
from services.baskets import BasketRow, Priced


def cart(row: carts.Cart, priced: Priced) -> Cart:
    """Return a cart at the prices of now."""
    totals, code = priced.totals, priced.basket.currency
    return Cart(
        id=_id(Noun.CART, row.id),
        key=row.id,
        order_key=row.order_id,
        currency=CurrencyCode(code),
        lines=[_line(each, code) for each in priced.rows],
        email=priced.basket.email,
        address=None if priced.basket.address is None else PostalAddress.of(priced.basket.address),
        subtotal=_money(totals.subtotal, code),
        discount=_money(totals.discount, code),
        shipping=_money(totals.shipping, code),
        tax=_money(totals.tax, code),
        total=_money(totals.total, code),
        tax_estimated=priced.tax_estimated,
        shipping_options=[_shipping(priced, creator_id) for creator_id in priced.options],
        discounts=[
            CartDiscount(title=each.title, code=each.code, amount=_money(each.amount, code))
            for each in priced.discounts
        ],
        discount_codes=list(priced.basket.discount_codes),
        rejected_discounts=[CartRejectedDiscount(code=each.code, reason=each.reason) for each in priced.rejected],
        problems=[user_error(problem) for problem in problems(row, priced)],
        version=row.version,
        updated_at=row.updated_at,
    )


def problems(row: carts.Cart, priced: Priced) -> list[Refused]:
    """Return what stands in the way of checking a cart out; nothing, once that is done."""
    return [] if row.order_id is not None else list(priced.problems)


def _line(row: BasketRow, code: str) -> CartLine:
    amounts = row.amounts
    # What became a draft again is its creator's alone, whoever has put it in a cart before.
    seen = row.variant is not None and row.variant.product_state != "draft"
    return CartLine(
        variant_id=_id(Noun.VARIANT, row.line.variant_id),
        variant_key=row.line.variant_id if seen else None,
        product_key=row.variant.product_id if row.variant is not None and seen else None,
        quantity=row.line.quantity,
        unit_price=None if row.unit_price is None else _money(row.unit_price, code),
        subtotal=None if amounts is None else _money(amounts.subtotal, code),
        discount=None if amounts is None else _money(amounts.discount, code),
        tax=None if amounts is None else _money(amounts.tax, code),
        total=None if amounts is None else _money(amounts.total, code),
        available=None if row.variant is None else row.variant.available,
        problem=_problem(row),
    )


def _problem(row: BasketRow) -> UserError | None:
    return None if row.problem is None else user_error(row.problem)


def _shipping(priced: Priced, creator_id: UUID) -> CartShipping:
    chosen = priced.chosen_method(creator_id)
    return CartShipping(
        creator_key=creator_id,
        options=[
            CartShippingOption(
                method=CartShippingMethod(id=_id(Noun.SHIPPING_METHOD, option.method_id)),
                name=option.name,
                price=_money(option.price, priced.basket.currency),
                days_minimum=option.days_minimum,
                days_maximum=option.days_maximum,
            )
            for option in priced.options[creator_id]
        ],
        chosen_method_id=None if chosen is None else _id(Noun.SHIPPING_METHOD, chosen),
    )


def _id(noun: Noun, value: Any) -> strawberry.ID:
    return strawberry.ID(ids.encode(noun, value))


def _money(minor: int, code: str) -> Money:
    return Money.of(money(minor, code))
