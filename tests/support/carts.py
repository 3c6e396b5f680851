"""Things to put in carts, written straight into the database, and carts of them filled through the services."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import starmap
from typing import Any, Final
from uuid import UUID

import asyncpg

from core.addresses import Address
from core.clock import now
from core.ids import Noun, encode, uuid7
from core.money import money
from core.viewer import Viewer
from services import baskets, carts, checkouts
from services.engine import Engine
from tests.support.orders import insert, main_location
from tests.support.world import World

HOME: Final = Address(
    name="Ada Example", line1="1 Sample Street", city="Springfield", country="US", region="IL", postal_code="62701"
)


@dataclass(frozen=True)
class Market:
    """A world with creators who sell in dollars."""

    world: World

    @property
    def engine(self) -> Engine:
        return self.world.engine

    async def creator(self, handle: str = "fable") -> UUID:
        """Return a new creator's id."""
        found: UUID = self.world.key(Noun.CREATOR, await self.world.creator(handle))
        return found

    async def variant(
        self,
        creator: UUID,
        price: int = 1_000,
        *,
        stock: int | None = None,
        product: dict[str, Any] | None = None,
        **variant: Any,
    ) -> UUID:
        """Offer a product with one variant; return the variant's id. ``product``: columns of ``products``."""
        at = now()
        times = {"created_at": at, "updated_at": at}
        columns = {
            "title": "A thing",
            "price": Decimal(price),
            "currency": "USD",
            "state": "active",
            **(product or {}),
        }
        async with self._owner() as connection:
            made = await insert(connection, "products", creator_id=creator, **columns, **times)
            found = await insert(
                connection,
                "product_variants",
                product_id=made,
                position=0,
                state="active",
                stock_tracked=stock is not None,
                **variant,
                **times,
            )
            await insert(connection, "variant_prices", variant_id=found, currency="USD", amount=Decimal(price))
            if stock is not None:
                location = await main_location(connection, creator)
                await insert(
                    connection,
                    "stock_levels",
                    variant_id=found,
                    location_id=location,
                    on_hand=stock,
                    updated_at=at,
                )
        return found

    async def discount(self, creator: UUID, code: str | None = "SAVE", **columns: Any) -> UUID:
        """Offer ten per cent off, unless told otherwise; return the discount's id."""
        at = now()
        given = {"kind": "PERCENT", "basis_points": 1_000, **columns}
        async with self._owner() as connection:
            return await insert(
                connection,
                "discounts",
                creator_id=creator,
                code=code,
                title="A discount",
                state="active",
                created_at=at,
                updated_at=at,
                **given,
            )

    async def shipping(self, creator: UUID, price: int = 500, name: str = "Post") -> UUID:
        """Ship everywhere at a price; return the method's id."""
        at = now()
        times = {"created_at": at, "updated_at": at}
        async with self._owner() as connection:
            zone = await connection.fetchval("select id from shipping_zones where creator_id = $1", creator)
            zone = zone or await insert(
                connection, "shipping_zones", creator_id=creator, name="World", state="active", **times
            )
            method = await insert(connection, "shipping_methods", zone_id=zone, name=name, state="active", **times)
            await insert(connection, "shipping_rates", method_id=method, currency="USD", amount=Decimal(price))
        return method

    async def cart(
        self, lines: dict[UUID, int], *, codes: Sequence[str] = (), viewer: Viewer | None = None, **more: Any
    ) -> tuple[UUID, Viewer]:
        """Fill a cart, a guest's unless told otherwise; return its id and who may open it."""
        given = {"email": f"{uuid7()}@example.com", **more}
        command = carts.CreateCart(
            currency="USD",
            key=str(uuid7()),
            lines=list(starmap(carts.Wish, lines.items())),
            discount_codes=codes,
            **given,
        )
        made = (await carts.create(self.engine, viewer or Viewer(), command)).cart
        return made.id, viewer or Viewer(cart_id=made.id)

    async def total(self, cart_id: UUID, viewer: Viewer) -> int:
        """Return what a cart costs now."""
        found = await carts.read(self.engine, viewer, cart_id)
        assert found is not None
        return (await baskets.price(self.engine, found.basket, now())).totals.total

    async def check_out(
        self, cart_id: UUID, viewer: Viewer, total: int | None = None, *, key: str | None = None
    ) -> checkouts.Completed:
        """Check a cart out for what it costs now, unless told otherwise."""
        expected = await self.total(cart_id, viewer) if total is None else total
        command = checkouts.Complete(cart_id, money(expected, "USD"), key or str(uuid7()))
        return await checkouts.complete(self.engine, viewer, command)

    async def left(self, variant: UUID) -> int:
        """Return how many of a variant can be sold."""
        found: int = await self.world.scalar(
            "select sum(on_hand - reserved)::int from stock_levels where variant_id = $1", variant
        )
        return found

    def _owner(self) -> "_Connected":
        return _Connected(self.world.dsn)

    @staticmethod
    def id(noun: Noun, key: UUID) -> str:
        """Return an id as clients know it."""
        return encode(noun, key)


class _Connected:
    """A connection of the database's owner, for as long as it is needed."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    async def __aenter__(self) -> "asyncpg.Connection[asyncpg.Record]":
        self._connection = await asyncpg.connect(self._dsn)
        return self._connection

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()
