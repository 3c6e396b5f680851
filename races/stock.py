"""Races for what there is too little of: units, keys, uses of a code; and edits of the stock meanwhile."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

from races import operations
from races.caller import Caller, Reply, expect, together
from races.guests import Guest
from races.judging import SOLD_OUT, counted, ends, losers, winners
from races.track import Track

BUYERS: Final = 50
FEWER_BUYERS: Final = 20
KEYS: Final = 5
ON_SALE: Final = 20


async def last_unit(track: Track) -> str:
    """Fifty buyers, one unit: one gets it, the others are told so, and nobody's money is kept for nothing."""
    creator = await track.creator()
    product = await creator.product(stock=1)
    guests = track.guests(BUYERS)
    await track.carts(guests, [(product, 1)])
    replies = await track.each(guests, lambda guest: guest.buy())
    ended = await ends(guests, replies)
    (winner,) = winners(ended, 1)
    lost = losers(ended, SOLD_OUT, "InsufficientStock")
    stock = await creator.stock(product)
    expect((stock.on_hand, stock.reserved) == (0, 0), f"the stock is {stock}")
    paid = [sale for sale in await creator.sold(product) if sale.status not in {"PENDING", "CANCELED", "REFUNDED"}]
    bought = winner.order.lines if winner.order is not None else ()
    expect(tuple(sale.line for sale in paid) == bought, f"the creator sees {len(paid)} paid sales")
    return f"1 paid, {len(lost)} told so ({counted(one.reply for one in lost)})"


async def licence_pool(track: Track) -> str:
    """Twenty buyers, five licence keys: five get one each, all different."""
    creator = await track.creator()
    product = await creator.product(licencePolicy="POOL")
    keys = [f"RACE-{product.variant[-12:]}-{number}".upper() for number in range(KEYS)]
    upload = await creator.caller.do(operations.KEYS_UPLOAD, variantId=product.variant, keys=keys)
    upload.done("uploading keys")
    guests = track.guests(FEWER_BUYERS)
    await track.carts(guests, [(product, 1)])
    replies = await track.each(guests, lambda guest: guest.buy())
    ended = await ends(guests, replies)
    paid = winners(ended, KEYS)
    lost = losers(ended, SOLD_OUT, "InsufficientStock")
    given = [key for one in paid if one.order is not None for key in one.order.keys]
    expect(sorted(given) == sorted(keys), f"{len(given)} keys were given, {len(set(given))} of them different")
    expect(not any(one.order.keys for one in lost if one.order is not None), "somebody who did not pay has a key")
    stock = await creator.stock(product)
    expect((stock.on_hand, stock.reserved) == (0, 0), f"the stock is {stock}")
    return f"{len(paid)} paid with {len(set(given))} different keys, {len(lost)} told so"


async def one_use_code(track: Track) -> str:
    """Twenty buyers, a code that works once: one order has the discount, the others are told so."""
    creator = await track.creator()
    product = await creator.product()
    code = await creator.discount(uses=1)
    guests = track.guests(FEWER_BUYERS)
    await track.carts(guests, [(product, 1)], [code])
    replies = await track.each(guests, lambda guest: guest.buy())
    ended = await ends(guests, replies)
    (winner,) = winners(ended, 1)
    expect(winner.order is not None and winner.order.discount > 0, "the one order has no discount")
    lost = losers(ended, frozenset({"DISCOUNT_REJECTED"}), "DiscountRejected")
    reasons = {refusal.data.get("reason") for one in lost for refusal in one.reply.refusals}
    expect(reasons == {"USED_UP"}, f"they were told {reasons}")
    orders = await creator.sold(product)
    expect(len(orders) == 1, f"{len(orders)} orders were made")
    return f"1 order with the discount, {len(lost)} told USED_UP"


async def stock_edits(track: Track) -> str:
    """Twenty buyers, and the creator takes stock away meanwhile: never more sold than there was."""
    taken, sold = await _adjusted(track)
    left, more_sold = await _counted(track)
    return f"{ON_SALE} less {taken} taken away, {sold} sold; then {left} counted, {more_sold} sold"


async def _adjusted(track: Track) -> tuple[int, int]:
    """Take stock away one by one; return how many were, and how many were sold."""
    creator = await track.creator()
    product = await creator.product(stock=ON_SALE)
    location = (await creator.stock(product)).location
    editors = [track.caller(creator.caller.token) for _ in range(ON_SALE // 2)]
    guests = track.guests(FEWER_BUYERS)
    await track.carts(guests, [(product, 1)])
    given: dict[str, Any] = {"variantId": product.variant, "locationId": location, "by": -1, "note": "A race."}
    edits = [partial(editor.do, operations.STOCK_ADJUST, **given) for editor in editors]
    edited, bought = await _at_once(track, editors, edits, guests)
    ended = await ends(guests, bought)
    taken = sum(not edit.refusals for edit in edited)
    paid = winners(ended, sum(one.is_paid for one in ended))
    losers(ended, SOLD_OUT, "InsufficientStock")
    stock = await creator.stock(product)
    expect(
        (stock.on_hand, stock.reserved) == (ON_SALE - taken - len(paid), 0),
        f"{taken} of {ON_SALE} were taken away and {len(paid)} sold, and the stock is {stock}",
    )
    return taken, len(paid)


async def _counted(track: Track) -> tuple[int, int]:
    """Set stock to less, again and again; return what it was set to last, and how many were sold."""
    creator = await track.creator()
    product = await creator.product(stock=ON_SALE)
    location = (await creator.stock(product)).location
    editors = [track.caller(creator.caller.token) for _ in range(5)]
    guests = track.guests(FEWER_BUYERS)
    await track.carts(guests, [(product, 1)])

    def set_to(number: int) -> dict[str, Any]:
        return {"variantId": product.variant, "locationId": location, "onHand": 12 - number}

    edits = [partial(editor.do, operations.STOCK_SET, **set_to(n)) for n, editor in enumerate(editors)]
    _, bought = await _at_once(track, editors, edits, guests)
    ended = await ends(guests, bought)
    paid = winners(ended, sum(one.is_paid for one in ended))
    losers(ended, SOLD_OUT, "InsufficientStock")
    stock = await creator.stock(product)
    # Counting may find more than sales had left, never more than there was before.
    added = sum(amount for kind, amount in stock.moved.items() if kind in {"RECEIVED", "ADJUSTED"})
    expect(stock.reserved == 0, f"{stock.reserved} stayed reserved")
    expect(len(paid) <= ON_SALE, f"{len(paid)} of {ON_SALE} were sold")
    expect(-stock.moved.get("SOLD", 0) == len(paid), f"{len(paid)} were sold, and moved were {stock.moved}")
    expect(added - len(paid) == stock.on_hand, f"{added} less {len(paid)} sold are not {stock.on_hand}")
    return stock.on_hand, len(paid)


async def _at_once(
    track: Track,
    editors: Sequence[Caller],
    edits: Sequence[Callable[[], Awaitable[Reply]]],
    guests: Sequence[Guest],
) -> tuple[list[Reply], list[Reply]]:
    """Edit stock while guests buy; return what each edit and each buyer was answered."""
    callers = [*editors, *(guest.caller for guest in guests)]
    starts: list[Callable[[], Awaitable[Reply]]] = [*edits, *(guest.buy for guest in guests)]
    replies = await together(track.meter, callers, starts)
    return replies[: len(editors)], replies[len(editors) :]
