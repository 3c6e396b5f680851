"""What races are run in: a creator's products, codes and stock."""

import secrets
from dataclasses import dataclass, field
from typing import Any, Final, Self

from races import operations
from races.caller import Caller, RaceError, expect

CURRENCY: Final = "USD"


@dataclass(frozen=True, slots=True)
class Product:
    """Something on sale, with its one variant."""

    id: str
    variant: str


@dataclass(frozen=True, slots=True)
class Stock:
    """What is on hand at all locations, how many of them are reserved, and what became of them, by kind."""

    on_hand: int
    reserved: int
    available: int
    location: str
    moved: dict[str, int]


@dataclass(frozen=True, slots=True)
class Sold:
    """What a creator sees of one order: the line of the product, and the amount of all lines."""

    line: str
    status: str
    total: int
    quantity: int


@dataclass(eq=False)
class Creator:
    """A creator who sells, through one connection. Amounts are of the smallest unit."""

    caller: Caller
    id: str
    handle: str
    _products: list[Product] = field(default_factory=list)
    _discounts: list[str] = field(default_factory=list)

    @classmethod
    async def of(cls, caller: Caller) -> Self:
        """Return the creator that the caller is, or becomes. Raises ``RaceError``."""
        me = (await caller.read(operations.MY_CREATOR))["me"]
        if me is None:
            raise RaceError("the token is nobody's")
        found = me["creator"]
        if found is None:
            handle = f"race_{secrets.token_hex(8)}"
            reply = await caller.do(operations.CREATOR_CREATE, handle=handle, displayName="Race Course")
            found = reply.done("becoming a creator")["creator"]
        return cls(caller, found["id"], found["handle"])

    async def product(self, price: str = "10.00", *, stock: int | None = None, **variant: Any) -> Product:
        """Offer something that is not shipped. Raises ``RaceError``."""
        given = {
            "choices": [],
            "prices": [_money(price)],
            "requiresShipping": False,
            **({} if stock is None else {"stock": stock}),
            **variant,
        }
        reply = await self.caller.do(
            operations.PRODUCT_CREATE,
            creatorId=self.id,
            title="A thing to race for",
            taxCategory="EXEMPT",
            variants=[given],
        )
        made = reply.done("a product")["product"]
        product = Product(made["id"], made["variants"][0]["id"])
        self._products.append(product)
        return product

    async def discount(self, *, uses: int) -> str:
        """Give a code that takes half off, so many times; return it. Raises ``RaceError``."""
        code = f"RACE-{secrets.token_hex(6).upper()}"
        reply = await self.caller.do(
            operations.DISCOUNT_CREATE,
            creatorId=self.id,
            code=code,
            title="Half of it",
            kind="PERCENT",
            basisPoints=5000,
            terms={"usageLimit": uses},
        )
        self._discounts.append(reply.done("a discount")["discount"]["id"])
        return code

    async def stock(self, product: Product) -> Stock:
        """Return how much there is. Raises ``RaceError`` if what the levels say is not what moved."""
        found = (await self.caller.read(operations.STOCK, product=product.id))["product"]
        (variant,) = found["variants"]
        levels = variant["stockLevels"]
        moved: dict[str, int] = {}
        for level in levels:
            on_hand = reserved = 0
            for movement in level["movements"]["nodes"]:
                on_hand += movement["onHand"]
                reserved += movement["reserved"]
                moved[movement["kind"]] = moved.get(movement["kind"], 0) + movement["onHand"]
            if not level["movements"]["pageInfo"]["hasNextPage"]:
                said = (level["onHand"], level["reserved"])
                expect(said == (on_hand, reserved), f"stock of {said}, and movements of {(on_hand, reserved)}")
            expect(0 <= level["reserved"] <= level["onHand"], f"{level['reserved']} of {level['onHand']} reserved")
        expect(variant["available"] >= 0, f"{variant['available']} available")
        return Stock(
            sum(level["onHand"] for level in levels),
            sum(level["reserved"] for level in levels),
            variant["available"],
            levels[0]["location"]["id"],
            moved,
        )

    async def sold(self, product: Product) -> list[Sold]:
        """Return what was sold of a product, paid or not. Raises ``RaceError``."""
        found: list[Sold] = []
        after = None
        while True:
            data = await self.caller.read(operations.SALES, handle=self.handle, after=after)
            page = data["creator"]["sales"]
            ours = [
                Sold(line["id"], sale["status"], minor(sale["total"]), line["quantity"])
                for sale in page["nodes"]
                for line in sale["lines"]
                if line["variant"]["id"] == product.variant
            ]
            found += ours
            # The newest come first: a page with nothing of it is older than the product.
            if not ours or not page["pageInfo"]["hasNextPage"]:
                return found
            after = page["pageInfo"]["endCursor"]

    async def clear(self) -> None:
        """Take everything off sale. Raises ``RaceError``."""
        for product in self._products:
            (await self.caller.do(operations.PRODUCT_ARCHIVE, productId=product.id)).done("archiving a product")
        for discount in self._discounts:
            reply = await self.caller.do(operations.DISCOUNT_ARCHIVE, discountId=discount)
            reply.done("archiving a discount")
        self._products.clear()
        self._discounts.clear()


def _money(amount: str) -> dict[str, str]:
    return {"amount": amount, "currency": CURRENCY}


def minor(money: dict[str, Any]) -> int:
    """Return an amount in the smallest unit."""
    return int(money["minorUnits"])
