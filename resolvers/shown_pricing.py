"""Shipping and discounts, from rows to the contract."""

from typing import Any
from uuid import UUID

import strawberry

from core.ids import Noun, encode
from core.money import money
from schema.discounts import Discount
from schema.enums import DiscountKind, DiscountPeriod
from schema.money import Money
from schema.shipping import ShippingMethod, ShippingRate, ShippingZone


def shipping_zone(row: Any) -> ShippingZone:
    return ShippingZone(
        id=_id(Noun.SHIPPING_ZONE, row["id"]),
        key=row["id"],
        name=row["name"],
        countries=list(row["countries"]),
        active=row["state"] == "active",
        created_at=row["created_at"],
    )


def shipping_method(row: Any) -> ShippingMethod:
    return ShippingMethod(
        id=_id(Noun.SHIPPING_METHOD, row["id"]),
        key=row["id"],
        name=row["name"],
        days_minimum=row["days_minimum"],
        days_maximum=row["days_maximum"],
        active=row["state"] == "active",
        created_at=row["created_at"],
    )


def shipping_rate(row: Any) -> ShippingRate:
    return ShippingRate(
        price=_money(row["amount"], row["currency"]),
        weight_grams_from=row["weight_grams_from"],
        weight_grams_maximum=row["weight_grams_maximum"],
        subtotal_from=_money(row["subtotal_from"], row["currency"]),
    )


def discount(row: Any) -> Discount:
    return Discount(
        id=_id(Noun.DISCOUNT, row["id"]),
        key=row["id"],
        code=row["code"],
        title=row["title"],
        kind=DiscountKind(row["kind"]),
        basis_points=row["basis_points"],
        amount=_money(row["amount"], row["currency"]) if row["amount"] is not None else None,
        minimum_subtotal=(
            _money(row["minimum_subtotal"], row["currency"]) if row["minimum_subtotal"] is not None else None
        ),
        product_ids=[_id(Noun.PRODUCT, product_id) for product_id in row["product_ids"]],
        starts_at=row["starts_at"],
        ends_at=row["ends_at"],
        usage_limit=row["usage_limit"],
        per_buyer_limit=row["per_buyer_limit"],
        period=DiscountPeriod(row["period"]) if row["period"] is not None else None,
        per_period_limit=row["per_period_limit"],
        active=row["state"] == "active",
        created_at=row["created_at"],
    )


def _id(noun: Noun, key: UUID) -> strawberry.ID:
    return strawberry.ID(encode(noun, key))


def _money(minor: Any, currency: str) -> Money:
    return Money.of(money(int(minor), currency))
