"""Shipping: where a creator ships to, how, and what that costs."""

from datetime import datetime
from uuid import UUID

import strawberry

from schema.base import Node, edge
from schema.errors import Payload
from schema.money import Money, MoneyInput


@strawberry.type(description="What a way of shipping costs from a weight and a subtotal on.")
class ShippingRate:
    price: Money = strawberry.field(description="What it costs; zero is free.")
    weight_grams_from: int = strawberry.field(description="For parcels that weigh at least that.")
    weight_grams_maximum: int | None = strawberry.field(
        description="For parcels that weigh at most that; null is without limit."
    )
    subtotal_from: Money = strawberry.field(description="For what costs at least that, before discounts.")


@strawberry.type(
    description="A way of shipping. Of the rates that apply, that with the highest subtotal counts, and of these "
    "that with the highest weight; a parcel to which none applies does not go this way."
)
class ShippingMethod(Node):
    key: strawberry.Private[UUID]
    name: str = strawberry.field(description="Its name.")
    days_minimum: int | None = strawberry.field(description="How many days it takes at least.")
    days_maximum: int | None = strawberry.field(description="How many days it takes at most.")
    active: bool = strawberry.field(description="Whether it is offered; otherwise it is archived.")
    created_at: datetime = strawberry.field(description="When it was first offered.")
    rates: list[ShippingRate] = edge(
        "rates_of_shipping_method", key=lambda method: method.key, description="What it costs."
    )


@strawberry.type(description="Countries that a creator ships to alike. Seen by that creator alone.")
class ShippingZone(Node):
    key: strawberry.Private[UUID]
    name: str = strawberry.field(description="Its name.")
    countries: list[str] = strawberry.field(
        description="By their two letters (ISO 3166-1). None: everywhere that no other zone names."
    )
    active: bool = strawberry.field(description="Whether it is shipped to; otherwise it is archived.")
    created_at: datetime = strawberry.field(description="When it was made.")
    methods: list[ShippingMethod] = edge(
        "methods_of_shipping_zone",
        key=lambda zone: zone.key,
        description="The ways of shipping there, archived ones included.",
    )


@strawberry.input(description="What a way of shipping costs from a weight and a subtotal on.")
class ShippingRateInput:
    price: MoneyInput = strawberry.field(description="What it costs; zero is free.")
    weight_grams_from: int = strawberry.field(default=0, description="For parcels that weigh at least that.")
    weight_grams_maximum: int | None = strawberry.field(
        default=None, description="For parcels that weigh at most that."
    )
    subtotal_from: MoneyInput | None = strawberry.field(
        default=None, description="For what costs at least that, before discounts; in the currency of the price."
    )


@strawberry.input(description="Ship to some countries.")
class ShippingZoneCreateInput:
    idempotency_key: str = strawberry.field(description="Sent again with the same key it happens once.")
    creator_id: strawberry.ID = strawberry.field(description="Who ships: a creator of yours.")
    name: str = strawberry.field(description="1 to 120 characters.")
    countries: list[str] = strawberry.field(
        description="By their two letters (ISO 3166-1), none of them in another zone of yours. An empty list is "
        "the rest of the world."
    )


@strawberry.input(description="Change a shipping zone of yours. What is not given stays as it is.")
class ShippingZoneUpdateInput:
    idempotency_key: str = strawberry.field(description="Sent again with the same key it happens once.")
    zone_id: strawberry.ID = strawberry.field(description="Which zone.")
    name: str | None = strawberry.field(default=None, description="1 to 120 characters.")
    countries: list[str] | None = strawberry.field(default=None, description="All of its countries from now on.")


@strawberry.input(description="Ship to a zone of yours no longer.")
class ShippingZoneArchiveInput:
    idempotency_key: str = strawberry.field(description="Sent again with the same key it happens once.")
    zone_id: strawberry.ID = strawberry.field(description="Which zone.")


@strawberry.input(description="Offer a way of shipping within a zone of yours.")
class ShippingMethodCreateInput:
    idempotency_key: str = strawberry.field(description="Sent again with the same key it happens once.")
    zone_id: strawberry.ID = strawberry.field(description="In which zone.")
    name: str = strawberry.field(description="1 to 120 characters.")
    days_minimum: int | None = strawberry.field(default=None, description="How many days it takes at least.")
    days_maximum: int | None = strawberry.field(default=None, description="How many days it takes at most.")
    rates: list[ShippingRateInput] = strawberry.field(
        description="What it costs, 1 to 100 rates. It is not offered in a currency that has none."
    )


@strawberry.input(description="Change a way of shipping of yours. What is not given stays as it is.")
class ShippingMethodUpdateInput:
    idempotency_key: str = strawberry.field(description="Sent again with the same key it happens once.")
    method_id: strawberry.ID = strawberry.field(description="Which method.")
    name: str | None = strawberry.field(default=None, description="1 to 120 characters.")
    days_minimum: int | None = strawberry.field(default=None, description="How many days it takes at least.")
    days_maximum: int | None = strawberry.field(default=None, description="How many days it takes at most.")
    unknown_days: bool = strawberry.field(default=False, description="Say no longer how many days it takes.")
    rates: list[ShippingRateInput] | None = strawberry.field(
        default=None, description="All of its rates from now on. Orders that were made keep what they paid."
    )


@strawberry.input(description="Offer a way of shipping of yours no longer.")
class ShippingMethodArchiveInput:
    idempotency_key: str = strawberry.field(description="Sent again with the same key it happens once.")
    method_id: strawberry.ID = strawberry.field(description="Which method.")


@strawberry.type(description="The zone that was made.")
class ShippingZoneCreatePayload(Payload):
    zone: ShippingZone | None = strawberry.field(default=None, description="The zone.")


@strawberry.type(description="The zone as it is now.")
class ShippingZoneUpdatePayload(Payload):
    zone: ShippingZone | None = strawberry.field(default=None, description="The zone.")


@strawberry.type(description="The zone, archived.")
class ShippingZoneArchivePayload(Payload):
    zone: ShippingZone | None = strawberry.field(default=None, description="The zone.")


@strawberry.type(description="The method that is offered.")
class ShippingMethodCreatePayload(Payload):
    method: ShippingMethod | None = strawberry.field(default=None, description="The method.")


@strawberry.type(description="The method as it is now.")
class ShippingMethodUpdatePayload(Payload):
    method: ShippingMethod | None = strawberry.field(default=None, description="The method.")


@strawberry.type(description="The method, archived.")
class ShippingMethodArchivePayload(Payload):
    method: ShippingMethod | None = strawberry.field(default=None, description="The method.")
