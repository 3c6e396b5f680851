"""Shipping: where a creator ships to, and how."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import strawberry

from core.errors import ErrorCode, Refused
from core.ids import Noun
from core.scopes import Scope
from resolvers import shown_pricing
from resolvers.context import Info
from resolvers.fields import id_of, mutation
from resolvers.pages import connection, page_query
from resolvers.variants import price_of
from schema.connections import Connection, PageArguments
from schema.creators import Creator
from schema.shipping import (
    ShippingMethod,
    ShippingMethodArchiveInput,
    ShippingMethodArchivePayload,
    ShippingMethodCreateInput,
    ShippingMethodCreatePayload,
    ShippingMethodUpdateInput,
    ShippingMethodUpdatePayload,
    ShippingRateInput,
    ShippingZone,
    ShippingZoneArchiveInput,
    ShippingZoneArchivePayload,
    ShippingZoneCreateInput,
    ShippingZoneCreatePayload,
    ShippingZoneUpdateInput,
    ShippingZoneUpdatePayload,
)
from schema.sorts import ShippingZoneSort
from services import shipping, shipping_methods, shipping_zones
from services.paging import NEWEST, OLDEST, Order


@strawberry.type
class ShippingMutation:
    @mutation(description="Ship to some countries.", scope=Scope.PRODUCTS_WRITE, payload=ShippingZoneCreatePayload)
    async def shipping_zone_create(self, info: Info, input: ShippingZoneCreateInput) -> ShippingZoneCreatePayload:  # ruff: ignore[builtin-argument-shadowing]
        command = shipping_zones.CreateZone(
            creator_id=id_of(Noun.CREATOR, input.creator_id, "creatorId"),
            name=input.name,
            countries=input.countries,
            key=input.idempotency_key,
        )
        zone_id, info.context.replayed = await shipping_zones.create_zone(
            info.context.engine, info.context.viewer, command
        )
        return ShippingZoneCreatePayload(zone=await _zone(info, zone_id))

    @mutation(
        description="Change a shipping zone of yours.",
        scope=Scope.PRODUCTS_WRITE,
        payload=ShippingZoneUpdatePayload,
    )
    async def shipping_zone_update(self, info: Info, input: ShippingZoneUpdateInput) -> ShippingZoneUpdatePayload:  # ruff: ignore[builtin-argument-shadowing]
        command = shipping_zones.UpdateZone(
            zone_id=id_of(Noun.SHIPPING_ZONE, input.zone_id, "zoneId"),
            name=input.name,
            countries=input.countries,
            key=input.idempotency_key,
        )
        zone_id, info.context.replayed = await shipping_zones.update_zone(
            info.context.engine, info.context.viewer, command
        )
        return ShippingZoneUpdatePayload(zone=await _zone(info, zone_id))

    @mutation(
        description="Ship to a zone of yours no longer. Orders that were made stay as they are.",
        scope=Scope.PRODUCTS_WRITE,
        payload=ShippingZoneArchivePayload,
    )
    async def shipping_zone_archive(
        self,
        info: Info,
        input: ShippingZoneArchiveInput,  # ruff: ignore[builtin-argument-shadowing]
    ) -> ShippingZoneArchivePayload:
        command = shipping_zones.ArchiveZone(
            zone_id=id_of(Noun.SHIPPING_ZONE, input.zone_id, "zoneId"), key=input.idempotency_key
        )
        zone_id, info.context.replayed = await shipping_zones.archive_zone(
            info.context.engine, info.context.viewer, command
        )
        return ShippingZoneArchivePayload(zone=await _zone(info, zone_id))

    @mutation(
        description="Offer a way of shipping within a zone of yours.",
        scope=Scope.PRODUCTS_WRITE,
        payload=ShippingMethodCreatePayload,
    )
    async def shipping_method_create(
        self,
        info: Info,
        input: ShippingMethodCreateInput,  # ruff: ignore[builtin-argument-shadowing]
    ) -> ShippingMethodCreatePayload:
        command = shipping_methods.CreateMethod(
            zone_id=id_of(Noun.SHIPPING_ZONE, input.zone_id, "zoneId"),
            name=input.name,
            days_minimum=input.days_minimum,
            days_maximum=input.days_maximum,
            rates=_rates(input.rates),
            key=input.idempotency_key,
        )
        method_id, info.context.replayed = await shipping_methods.create_method(
            info.context.engine, info.context.viewer, command
        )
        return ShippingMethodCreatePayload(method=await _method(info, method_id))

    @mutation(
        description="Change a way of shipping of yours.",
        scope=Scope.PRODUCTS_WRITE,
        payload=ShippingMethodUpdatePayload,
    )
    async def shipping_method_update(
        self,
        info: Info,
        input: ShippingMethodUpdateInput,  # ruff: ignore[builtin-argument-shadowing]
    ) -> ShippingMethodUpdatePayload:
        command = shipping_methods.UpdateMethod(
            method_id=id_of(Noun.SHIPPING_METHOD, input.method_id, "methodId"),
            name=input.name,
            days_minimum=input.days_minimum,
            days_maximum=input.days_maximum,
            unknown_days=input.unknown_days,
            rates=_rates(input.rates) if input.rates is not None else None,
            key=input.idempotency_key,
        )
        method_id, info.context.replayed = await shipping_methods.update_method(
            info.context.engine, info.context.viewer, command
        )
        return ShippingMethodUpdatePayload(method=await _method(info, method_id))

    @mutation(
        description="Offer a way of shipping of yours no longer. Orders that were made stay as they are.",
        scope=Scope.PRODUCTS_WRITE,
        payload=ShippingMethodArchivePayload,
    )
    async def shipping_method_archive(
        self,
        info: Info,
        input: ShippingMethodArchiveInput,  # ruff: ignore[builtin-argument-shadowing]
    ) -> ShippingMethodArchivePayload:
        command = shipping_methods.ArchiveMethod(
            method_id=id_of(Noun.SHIPPING_METHOD, input.method_id, "methodId"), key=input.idempotency_key
        )
        method_id, info.context.replayed = await shipping_methods.archive_method(
            info.context.engine, info.context.viewer, command
        )
        return ShippingMethodArchivePayload(method=await _method(info, method_id))


async def creator_shipping_zones(
    creator: Creator, info: Info, page: PageArguments, sort: ShippingZoneSort
) -> Connection[ShippingZone] | None:
    """Return a page of the zones a creator ships to, to that creator."""
    if not _is_own(info, creator.user_key):
        return None
    query = page_query(page, order=_ORDERS[sort])
    found = await shipping.of_creator(info.context.engine, creator.key, query)
    return connection(found, shown_pricing.shipping_zone)


async def find_shipping_zone(info: Info, zone_id: UUID) -> ShippingZone | None:
    """Return a zone of the viewer's own."""
    rows = await shipping.zones_by_id(info.context.engine, [zone_id])
    return shown_pricing.shipping_zone(rows[0]) if rows and _is_own(info, rows[0]["creator_user_id"]) else None


async def find_shipping_method(info: Info, method_id: UUID) -> ShippingMethod | None:
    """Return a method of the viewer's own."""
    rows = await shipping.methods_by_id(info.context.engine, [method_id])
    return shown_pricing.shipping_method(rows[0]) if rows and _is_own(info, rows[0]["creator_user_id"]) else None


def _is_own(info: Info, creator_user_id: Any) -> bool:
    viewer = info.context.viewer
    return viewer.user_id == creator_user_id and viewer.may(Scope.PRODUCTS_WRITE)


async def _zone(info: Info, zone_id: UUID) -> ShippingZone:
    return shown_pricing.shipping_zone((await shipping.zones_by_id(info.context.engine, [zone_id]))[0])


async def _method(info: Info, method_id: UUID) -> ShippingMethod:
    return shown_pricing.shipping_method((await shipping.methods_by_id(info.context.engine, [method_id]))[0])


def _rates(rates: Sequence[ShippingRateInput]) -> list[shipping_methods.RateGiven]:
    given = []
    for number, rate in enumerate(rates):
        place = ("rates", str(number))
        price = price_of(rate.price, *place, "price")
        least = price_of(rate.subtotal_from, *place, "subtotalFrom") if rate.subtotal_from is not None else None
        if least is not None and least.currency != price.currency:
            raise Refused(
                ErrorCode.INPUT_INVALID,
                "Send the subtotal in the currency of the price.",
                path=(*place, "subtotalFrom"),
            )
        given.append(
            shipping_methods.RateGiven(
                price=price,
                weight_grams_from=rate.weight_grams_from,
                weight_grams_maximum=rate.weight_grams_maximum,
                subtotal_from=least.minor if least is not None else 0,
            )
        )
    return given


_ORDERS: dict[ShippingZoneSort, Order] = {
    ShippingZoneSort.NEWEST: NEWEST,
    ShippingZoneSort.OLDEST: OLDEST,
    ShippingZoneSort.NAME: Order("name", str, descending=False),
}
