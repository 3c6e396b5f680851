"""The floor of a list: stock Strawberry that answers the same query from memory.

Run by the benchmark as ``python -m benchmarks.commerce_floor PORT``: a plain ``strawberry.Schema`` over
dataclasses of the same shape, behind Strawberry's own ASGI view, with the loop and the HTTP parser of the real
server. It has no database, no permissions, no pages and no loaders: every value is an attribute that is there.
"""

import sys
from decimal import Decimal
from typing import Final
from uuid import UUID

import strawberry
import uvicorn
from strawberry.asgi import GraphQL

from core import ids
from core.ids import Noun, uuid7

PRODUCTS: Final = 20
SIZES: Final = ("Small", "Medium", "Large")
DESCRIPTION: Final = "A shirt that nobody has sewn, of a cloth that nobody has woven, in a colour without a name."
CREATORS: Final = 4


@strawberry.type
class Money:
    """An amount."""

    amount: Decimal
    currency: str


@strawberry.type
class Creator:
    """Who sells."""

    id: strawberry.ID
    handle: str
    display_name: str


@strawberry.type
class Variant:
    """What is sold."""

    id: strawberry.ID
    title: str
    choices: list[str]
    sku: str | None
    available: int | None
    prices: list[Money]


@strawberry.type
class Product:
    """What is looked at."""

    id: strawberry.ID
    title: str
    description: str | None
    price: Money
    creator: Creator
    variants: list[Variant]


@strawberry.type
class PageInfo:
    """Where the page stands."""

    has_next_page: bool
    end_cursor: str | None


@strawberry.type
class Products:
    """A page."""

    nodes: list[Product]
    page_info: PageInfo


def schema() -> strawberry.Schema:
    """Return the schema, with its answer made once."""
    page = _page()

    @strawberry.type
    class Query:
        """Reading."""

        @strawberry.field
        def products(self, first: int) -> Products:  # ruff: ignore[unused-method-argument] - the page is as long as is asked for
            """Return the page."""
            return page

    return strawberry.Schema(Query)


def _page() -> Products:
    products = [
        Product(
            id=_id(Noun.PRODUCT, uuid7()),
            title=title(number),
            description=DESCRIPTION,
            price=Money(amount=Decimal("19.00"), currency="USD"),
            creator=Creator(id=_id(Noun.CREATOR, uuid7()), handle=handle(number), display_name=handle(number)),
            variants=[
                Variant(
                    id=_id(Noun.VARIANT, uuid7()),
                    title=size,
                    choices=[size],
                    sku=f"{number}-{size}",
                    available=100,
                    prices=[Money(amount=Decimal(19 + place), currency="USD")],
                )
                for place, size in enumerate(SIZES)
            ],
        )
        for number in range(PRODUCTS)
    ]
    return Products(nodes=products, page_info=PageInfo(has_next_page=True, end_cursor=str(uuid7())))


def title(number: int) -> str:
    """Return the name of a made-up product."""
    return f"Imaginary shirt {number:02}"


def handle(number: int) -> str:
    """Return the creator of a made-up product."""
    return f"shirt_maker_{number % CREATORS}"


def _id(noun: Noun, key: UUID) -> strawberry.ID:
    return strawberry.ID(ids.encode(noun, key))


def main() -> None:
    """Serve until a signal ends it."""
    uvicorn.run(
        GraphQL(schema(), graphql_ide=None),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
    )


if __name__ == "__main__":
    main()
