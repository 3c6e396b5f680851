"""Guests who buy in races, and how their orders and payments ended."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from races import operations
from races.caller import Caller, Reply, expect, until
from races.shop import CURRENCY, Product, minor

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
            minor(data["total"]),
            minor(data["discount"]),
            tuple(line["id"] for line in data["lines"]),
            tuple(keys),
            tuple((sale["id"], minor(sale["total"])) for sale in data["sales"]),
        )

    async def payment(self) -> Payment:
        """Return the payment as it is now. Raises ``RaceError``."""
        data = (await self.caller.read(operations.PAYMENT, token=self.payment_token, id=self.payment_id))[
            "payment"
        ]
        expect(data is not None, "a buyer does not see their own payment")
        amounts = {name: minor(amount) for name, amount in data["amounts"].items()}
        return Payment(
            data["id"],
            data["status"],
            minor(data["amount"]),
            amounts["captured"] + amounts["capturedPending"],
            amounts["refunded"] + amounts["refundedPending"],
            amounts["authorized"] + amounts["authorizedPending"],
            sum(event["status"] == "SUCCEEDED" for event in data["events"]),
            tuple((refund["status"], minor(refund["amount"])) for refund in data["refunds"]),
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
