"""What races are run in: a creator's products, codes and keys, and guests who buy."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

from races import operations
from races.caller import Caller, RaceError, Reply, expect, until

CURRENCY: Final = "USD"
PATIENCE_SECONDS: Final = 60.0

_ADDRESS: Final = {
    "name": "Ada Nobody",
    "line1": "Nirgendstraße 1",
    "city": "Berlin",
    "postalCode": "10115",
    "country": "DE",
}
_UNDER_WAY: Final = frozenset({"CREATED", "PROCESSING", "RECONCILING", "REQUIRES_ACTION", "AUTHORIZED"})
_REFUND_UNDER_WAY: Final = frozenset({"CREATED", "RECONCILING", "PENDING"})


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
                Sold(line["id"], sale["status"], _minor(sale["total"]), line["quantity"])
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


@dataclass(frozen=True, slots=True)
class Payment:
    """How a payment ended. Amounts are of the smallest unit."""

    id: str
    status: str
    amount: int
    captured: int
    refunded: int
    authorized: int
    successes: int
    refunds: tuple[tuple[str, int], ...]

    @property
    def kept(self) -> int:
        """What was taken and not given back."""
        return self.captured - self.refunded


@dataclass(frozen=True, slots=True)
class Order:
    """How an order ended. Amounts are of the smallest unit."""

    id: str
    status: str
    total: int
    discount: int
    lines: tuple[str, ...]
    keys: tuple[str, ...]
    sales: tuple[tuple[str, int], ...]

    @property
    def is_paid(self) -> bool:
        return self.status in {"PAID", "PARTIALLY_FULFILLED", "FULFILLED"}


@dataclass(eq=False)
class Guest:
    """Somebody who buys without signing in, through one connection."""

    caller: Caller
    method: str
    number: int = 0
    cart_id: str = ""
    cart_token: str = ""
    cart_total: dict[str, str] = field(default_factory=dict)
    order_id: str = ""
    payment_id: str = ""
    payment_token: str = ""

    async def cart(self, lines: Sequence[tuple[Product, int]], codes: Sequence[str] = ()) -> Reply:
        """Make a cart. Raises ``RaceError``."""
        reply = await self.caller.do(
            operations.CART_CREATE,
            currency=CURRENCY,
            lines=[{"variantId": product.variant, "quantity": quantity} for product, quantity in lines],
            email=f"racer-{secrets.token_hex(6)}@example.com",
            address=_ADDRESS,
            discountCodes=list(codes),
        )
        if not reply.refusals:
            cart = reply.payload["cart"]
            self.cart_id, self.cart_total = cart["id"], cart["total"]
            self.cart_token = reply.payload["cartToken"]
        return reply

    async def checkout(self) -> Reply:
        """Make an order of the cart. Raises ``RaceError``."""
        reply = await self.caller.do(
            operations.CHECKOUT_COMPLETE,
            token=self.cart_token,
            cartId=self.cart_id,
            expectedTotal=self.cart_total,
        )
        if not reply.refusals:
            self.order_id, self.payment_id = reply.payload["order"]["id"], reply.payload["payment"]["id"]
            self.payment_token = reply.payload["paymentToken"] or self.payment_token
        return reply

    async def confirm(self, key: str | None = None) -> Reply:
        """Pay the order. Raises ``RaceError``."""
        return await self.caller.do(
            operations.PAYMENT_CONFIRM,
            key=key,
            token=self.payment_token,
            paymentId=self.payment_id,
            method=self.method,
        )

    async def buy(self) -> Reply:
        """Check out and, if that was taken, pay at once. Raises ``RaceError``."""
        reply = await self.checkout()
        return reply if reply.refusals else await self.confirm()

    async def order(self) -> Order:
        """Return the order as it is now. Raises ``RaceError``."""
        data = (await self.caller.read(operations.ORDER, token=self.cart_token, id=self.order_id))["order"]
        expect(data is not None, "a buyer does not see their own order")
        keys = [key["key"] for line in data["lines"] for key in line["licenceKeys"] or ()]
        return Order(
            data["id"],
            data["status"],
            _minor(data["total"]),
            _minor(data["discount"]),
            tuple(line["id"] for line in data["lines"]),
            tuple(keys),
            tuple((sale["id"], _minor(sale["total"])) for sale in data["sales"]),
        )

    async def payment(self) -> Payment:
        """Return the payment as it is now. Raises ``RaceError``."""
        data = (await self.caller.read(operations.PAYMENT, token=self.payment_token, id=self.payment_id))[
            "payment"
        ]
        expect(data is not None, "a buyer does not see their own payment")
        amounts = {name: _minor(amount) for name, amount in data["amounts"].items()}
        return Payment(
            data["id"],
            data["status"],
            _minor(data["amount"]),
            amounts["captured"] + amounts["capturedPending"],
            amounts["refunded"] + amounts["refundedPending"],
            amounts["authorized"] + amounts["authorizedPending"],
            sum(event["status"] == "SUCCEEDED" for event in data["events"]),
            tuple((refund["status"], _minor(refund["amount"])) for refund in data["refunds"]),
        )

    async def settled(self) -> tuple[Order, Payment]:
        """Wait until nothing is under way any more; return how it ended. Raises ``RaceError``."""
        last: list[tuple[Order, Payment]] = []

        async def look() -> tuple[Order, Payment] | None:
            order, payment = await self.order(), await self.payment()
            last[:] = [(order, payment)]
            is_moving = (
                payment.status in _UNDER_WAY
                or any(status in _REFUND_UNDER_WAY for status, _ in payment.refunds)
                # Both are changed by one transaction, and read by two.
                or (payment.captured > 0) == (order.status in {"PENDING", "CANCELED"})
                or (payment.status == "CANCELED") != (order.status == "CANCELED")
            )
            return None if is_moving else (order, payment)

        return await until(look, PATIENCE_SECONDS, lambda: f"an order did not settle, but is {last}")


def _money(amount: str) -> dict[str, str]:
    return {"amount": amount, "currency": CURRENCY}


def _minor(money: dict[str, Any]) -> int:
    return int(money["minorUnits"])
