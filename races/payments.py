"""Races for one order's money: confirmed, refunded and cancelled by several at once."""

import asyncio
from dataclasses import replace
from functools import partial
from operator import methodcaller
from typing import Final

from races import operations
from races.caller import Caller, Reply, expect, new_key, together
from races.guests import Guest, Payment
from races.judging import SOLD_OUT, counted, ends, losers, winners
from races.shop import Product
from races.track import Track

CONFIRMS: Final = 6
REFUNDS: Final = 10
CANCELED: Final = 12
HEAD_START_SECONDS: Final = 0.01
BUYERS_OF_TWO: Final = 12
UNITS_OF_TWO: Final = 4

_CONFIRMED: Final = frozenset({None, "PAYMENT_IN_PROGRESS", "PAYMENT_NOT_CONFIRMABLE"})
_NOT_REFUNDED: Final = frozenset(
    {None, "REFUND_TOO_LARGE", "QUANTITY_TOO_LARGE", "PAYMENT_NOT_REFUNDABLE", "ORDER_NOT_PAID"}
)
_UNDECIDED: Final = _CONFIRMED | {"PAYMENT_NOT_CANCELABLE", "ORDER_NOT_CANCELABLE", "RESERVATION_EXPIRED"}


async def same_payment(track: Track) -> str:
    """One payment confirmed six times at once, under one key and under six: it is charged once."""
    creator = await track.creator()
    product = await creator.product()
    said = []
    for what, key in (("one key", new_key()), ("six keys", None)):
        guest = await track.ordered([(product, 1)])
        tabs = _tabs(track, guest, CONFIRMS)
        replies = await track.each(tabs, methodcaller("confirm", key))
        _expect_codes(replies, _CONFIRMED)
        _, payment = await guest.settled()
        _expect_charged_once(payment)
        said.append(f"{what}: 1 charge ({counted(replies)})")
    return "; ".join(said)


async def two_tabs(track: Track) -> str:
    """One cart checked out and paid in two tabs at once: one order, one charge, and it stays like that."""
    creator = await track.creator()
    product = await creator.product(stock=5)
    (guest,) = track.guests(1)
    (await guest.cart([(product, 1)])).done("a cart")
    tabs = _tabs(track, guest, 2)
    replies = await track.each(tabs, lambda tab: tab.checkout())
    _expect_codes(replies, frozenset({None, "CART_CHECKED_OUT"}))
    orders = {tab.order_id for tab in tabs if tab.order_id} | {
        refusal.data["orderId"] for reply in replies for refusal in reply.refusals
    }
    expect(len(orders) == 1, f"{len(orders)} orders were made of one cart")
    first = next(tab for tab in tabs if tab.order_id)
    tabs = _tabs(track, first, 2)
    confirmed = await track.each(tabs, lambda tab: tab.confirm())
    _expect_codes(confirmed, _CONFIRMED)
    order, payment = await first.settled()
    expect(order.is_paid, f"the order is {order.status}")
    _expect_charged_once(payment)

    third = _tabs(track, first, 1)[0]
    again = await third.checkout()
    expect(third.order_id == order.id, "a third tab made another order")
    expect(again.refused in {None, "CART_CHECKED_OUT"}, f"a third checkout was answered {again.refused}")
    expect((await third.confirm()).refused is not None, "a payment that succeeded was confirmed once more")
    change = await first.caller.do(
        operations.CART_UPDATE,
        token=first.cart_token,
        cartId=first.cart_id,
        lines=[{"variantId": product.variant, "quantity": 3}],
    )
    expect(change.refused == "CART_CHECKED_OUT", f"changing the cart was answered {change.refused}")
    expect(await first.settled() == (order, payment), "a third attempt changed something")
    stock = await creator.stock(product)
    expect((stock.on_hand, stock.reserved) == (4, 0), f"the stock is {stock}")
    expect(len(await creator.sold(product)) == 1, "the creator sees more than one sale")
    return f"1 order, 1 charge (checkouts: {counted(replies)}; confirms: {counted(confirmed)}), a third refused"


async def refunds(track: Track) -> str:
    """Ten refunds of one order at once, of its line and of amounts: never more than was captured."""
    creator = await track.creator()
    product = await creator.product()
    guest, order, _ = await track.paid([(product, REFUNDS)])
    ((sale, _),) = order.sales
    callers = [track.caller(creator.caller.token) for _ in range(REFUNDS)]

    async def refund(number: int, caller: Caller) -> Reply:
        if number % 2:
            amount = {"amount": "30.00", "currency": "USD"}
            return await caller.do(operations.REFUND_CREATE, paymentId=guest.payment_id, amount=amount)
        lines = [{"lineId": order.lines[0], "quantity": REFUNDS // 2}]
        return await caller.do(operations.SALE_REFUND, saleId=sale, lines=lines)

    replies = await together(
        track.meter, callers, [partial(refund, number, caller) for number, caller in enumerate(callers)]
    )
    _expect_codes(replies, _NOT_REFUNDED)
    _, payment = await guest.settled()
    done = sum(amount for status, amount in payment.refunds if status == "SUCCEEDED")
    expect(done == payment.refunded, f"refunds of {done} make {payment.refunded} refunded")
    expect(0 < done <= payment.captured, f"{done} was given back of {payment.captured}")
    expect(
        len(payment.refunds) == sum(not reply.refusals for reply in replies), "a refund was made that was refused"
    )
    return f"{done} of {payment.captured} given back by {len(payment.refunds)} refunds ({counted(replies)})"


async def cancel_or_pay(track: Track) -> str:
    """Orders cancelled and paid at once: each is either paid, or cancelled with nothing captured."""
    creator = await track.creator()
    product = await creator.product(stock=CANCELED)
    guests = [await track.ordered([(product, 1)]) for _ in range(CANCELED)]
    others = [_tabs(track, guest, 1)[0] for guest in guests]

    async def cancel(guest: Guest) -> Reply:
        if others.index(guest) // 2 % 2:
            return await guest.caller.do(
                operations.PAYMENT_CANCEL, token=guest.payment_token, paymentId=guest.payment_id
            )
        return await guest.caller.do(operations.ORDER_CANCEL, token=guest.cart_token, orderId=guest.order_id)

    async def pay(guest: Guest) -> Reply:
        # Cancelling has a longer way to the payment: without a head start it would lose every time.
        await asyncio.sleep(HEAD_START_SECONDS * (guests.index(guest) % 6))
        return await guest.confirm()

    replies = await track.each([*others, *guests], lambda one: cancel(one) if one in others else pay(one))
    _expect_codes(replies, _UNDECIDED)
    paid = canceled = 0
    for guest in guests:
        order, payment = await guest.settled()
        if order.is_paid:
            _expect_charged_once(payment)
            paid += 1
        else:
            expect(order.status == "CANCELED", f"an order is {order.status} and its payment {payment.status}")
            expect(payment.kept == 0 and not payment.authorized, f"{payment.kept} was kept of a cancelled order")
            canceled += 1
    stock = await creator.stock(product)
    expect(
        (stock.on_hand, stock.reserved) == (CANCELED - paid, 0),
        f"{paid} of {CANCELED} are paid, and the stock is {stock}",
    )
    return f"{paid} paid, {canceled} cancelled, stock agrees"


async def two_creators(track: Track) -> str:
    """Carts with the last units of two creators, in either order: sold together or not at all, and sums agree."""
    first, second = await track.creator(0), await track.creator(1)
    one, two = await first.product("10.00", stock=UNITS_OF_TWO), await second.product("7.50", stock=UNITS_OF_TWO)
    guests = track.guests(BUYERS_OF_TWO)

    def lines(guest: Guest) -> list[tuple[Product, int]]:
        return [(one, 1), (two, 1)] if guest.number % 2 else [(two, 1), (one, 1)]

    for reply in await track.each(guests, lambda guest: guest.cart(lines(guest))):
        reply.done("a cart")
    replies = await track.each(guests, lambda guest: guest.buy())
    ended = await ends(guests, replies)
    paid = winners(ended, UNITS_OF_TWO)
    lost = losers(ended, SOLD_OUT, "InsufficientStock")
    sold = {sale.line: sale.total for sale in [*await first.sold(one), *await second.sold(two)]}
    for winner in paid:
        if winner.order is not None and winner.payment is not None:
            parts = [sold[line] for line in winner.order.lines]
            shown = [total for _, total in winner.order.sales]
            expect(sorted(parts) == sorted(shown), f"creators see sales of {parts}, and the buyer of {shown}")
            expect(sum(parts) == winner.order.total, f"sales of {parts} make an order of {winner.order.total}")
    for creator, product in ((first, one), (second, two)):
        stock = await creator.stock(product)
        expect((stock.on_hand, stock.reserved) == (0, 0), f"the stock is {stock}")
    return f"{len(paid)} paid, each the sum of its two sales; {len(lost)} told so"


def _tabs(track: Track, guest: Guest, count: int) -> list[Guest]:
    """Return the same guest so often, each with a connection of their own."""
    return [replace(guest, caller=track.caller(), number=number) for number in range(count)]


def _expect_codes(replies: list[Reply], codes: frozenset[str | None]) -> None:
    odd = {reply.refused for reply in replies} - codes
    expect(not odd, f"answers were {odd}")


def _expect_charged_once(payment: Payment) -> None:
    expect(payment.status == "SUCCEEDED", f"the payment is {payment.status}")
    expect(payment.captured == payment.amount, f"{payment.captured} was captured of {payment.amount}")
    expect(payment.successes == 1, f"it succeeded {payment.successes} times")
