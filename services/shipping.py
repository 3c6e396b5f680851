"""Shipping: how a creator's parcel can be sent and for how much, and reading what they set up for that."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from models.database import PoolOrConnection
from services.engine import Engine
from services.paging import Page, PageQuery, fetch_page

# A zone that names the country comes before the one that names none. Of a method's rates that apply, the one with
# the highest subtotal is taken, and of these the one with the highest weight.
_OPTIONS: Final = """
    select p.creator_id, m.id as method_id, m.name, r.amount, m.days_minimum, m.days_maximum
    from unnest($1::uuid[], $2::text[], $3::bigint[], $4::numeric[], $5::text[]) with ordinality
        p (creator_id, country, weight_grams, subtotal, currency, place)
    join lateral (
        select z.id from shipping_zones z
        where z.creator_id = p.creator_id and z.state = 'active'
            and (z.countries = '{}' or p.country = any(z.countries))
        order by z.countries = '{}', z.id limit 1
    ) z on true
    join shipping_methods m on m.zone_id = z.id and m.state = 'active'
    join lateral (
        select r.amount from shipping_rates r
        where r.method_id = m.id and r.currency = p.currency and r.removed_at is null
            and r.weight_grams_from <= p.weight_grams
            and (r.weight_grams_maximum is null or p.weight_grams <= r.weight_grams_maximum)
            and r.subtotal_from <= p.subtotal
        order by r.subtotal_from desc, r.weight_grams_from desc, r.id limit 1
    ) r on true
    order by p.place, r.amount, m.id
"""
_READ_ZONES: Final = """
    select z.*, c.user_id as creator_user_id from shipping_zones z join creators c on c.id = z.creator_id
    where z.id = any($1::uuid[])
"""
_READ_METHODS: Final = """
    select m.*, z.creator_id, c.user_id as creator_user_id
    from shipping_methods m join shipping_zones z on z.id = m.zone_id join creators c on c.id = z.creator_id
    where m.id = any($1::uuid[])
"""
_METHODS_OF_ZONES: Final = "select * from shipping_methods where zone_id = any($1::uuid[]) order by id"
_RATES_OF_METHODS: Final = """
    select * from shipping_rates where method_id = any($1::uuid[]) and removed_at is null
    order by currency, subtotal_from, weight_grams_from
"""
_LIST_OF_CREATOR: Final = "select * from shipping_zones where creator_id = $1"


@dataclass(frozen=True, slots=True)
class Parcel:
    """What a creator ships in one order. ``subtotal``: of all their lines, before discounts."""

    creator_id: UUID
    country: str
    weight_grams: int
    subtotal: int
    currency: str


@dataclass(frozen=True, slots=True)
class ShippingOption:
    """A way to ship a parcel; ``price`` in the smallest unit of its currency."""

    method_id: UUID
    name: str
    price: int
    days_minimum: int | None
    days_maximum: int | None


async def options(db: PoolOrConnection, parcels: Sequence[Parcel]) -> Mapping[UUID, list[ShippingOption]]:
    """Return how each creator's parcel can be shipped, the cheapest first; one parcel for each creator.

    A creator who does not ship there, or not in that currency, has an empty list. One statement.
    """
    found: dict[UUID, list[ShippingOption]] = {parcel.creator_id: [] for parcel in parcels}
    if not parcels:
        return found
    rows = await db.fetch(
        _OPTIONS,
        [parcel.creator_id for parcel in parcels],
        [parcel.country for parcel in parcels],
        [parcel.weight_grams for parcel in parcels],
        [parcel.subtotal for parcel in parcels],
        [parcel.currency for parcel in parcels],
    )
    for row in rows:
        found[row["creator_id"]].append(
            ShippingOption(
                method_id=row["method_id"],
                name=row["name"],
                price=int(row["amount"]),
                days_minimum=row["days_minimum"],
                days_maximum=row["days_maximum"],
            )
        )
    return found


async def zones_by_id(engine: Engine, ids: Sequence[UUID]) -> list[Any]:
    """Read zones, archived ones included, with ``creator_user_id``."""
    return await engine.database.reader.fetch(_READ_ZONES, ids)


async def methods_by_id(engine: Engine, ids: Sequence[UUID]) -> list[Any]:
    """Read methods, archived ones included, with ``creator_id`` and ``creator_user_id``."""
    return await engine.database.reader.fetch(_READ_METHODS, ids)


async def methods_of(engine: Engine, zone_ids: Sequence[UUID]) -> list[Any]:
    """Read the methods of zones, archived ones included."""
    return await engine.database.reader.fetch(_METHODS_OF_ZONES, zone_ids)


async def rates_of(engine: Engine, method_ids: Sequence[UUID]) -> list[Any]:
    """Read the rates of methods that are in force."""
    return await engine.database.reader.fetch(_RATES_OF_METHODS, method_ids)


async def of_creator(engine: Engine, creator_id: UUID, query: PageQuery) -> Page:
    """Page through a creator's zones, archived ones included."""
    return await fetch_page(
        engine.database.reader, "shipping zones of a creator", _LIST_OF_CREATOR, (creator_id,), query
    )
