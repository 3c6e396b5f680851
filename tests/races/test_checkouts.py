"""Carts checked out, changed and emptied of their last unit at the same moment."""

import asyncio
from collections.abc import Awaitable, Sequence
from uuid import UUID

import pytest

from core.errors import ErrorCode, Refused
from core.ids import uuid7
from core.viewer import Viewer
from services import carts, purchases
from services.checkouts import Completed
from tests.support.carts import Market
from tests.support.world import World


@pytest.fixture
def market(idle: World) -> Market:
    return Market(idle)


async def _all(what: Sequence[Awaitable[Completed]]) -> tuple[list[Completed], list[Refused]]:
    """Return what was done and what was refused."""
    answers = await asyncio.gather(*what, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException) and not isinstance(answer, Refused):
            raise answer
    done = [answer for answer in answers if isinstance(answer, Completed)]
    return done, [answer for answer in answers if isinstance(answer, Refused)]


async def _counts(market: Market) -> tuple[int, ...]:
    tables = ("orders", "order_parts", "order_lines", "order_events", "payments", "sandbox.payment")
    return tuple([await market.world.count(table) for table in tables])


async def test_twenty_tabs_make_one_order_and_one_payment(market: Market) -> None:
    variant = await market.variant(await market.creator(), stock=30)
    cart, viewer = await market.cart({variant: 2})

    done, refused = await _all([market.check_out(cart, viewer, 2_000) for _ in range(20)])

    assert refused == []
    assert len({answer.order_id for answer in done}) == len({answer.payment["id"] for answer in done}) == 1
    assert await _counts(market) == (1, 1, 1, 1, 1, 1)
    assert await market.left(variant) == 28


async def test_one_key_twenty_times_makes_one_order(market: Market) -> None:
    variant = await market.variant(await market.creator(), stock=30)
    cart, viewer = await market.cart({variant: 1})
    key = str(uuid7())

    done, refused = await _all([market.check_out(cart, viewer, 1_000, key=key) for _ in range(20)])

    assert refused == []
    assert len({answer.order_id for answer in done}) == 1
    assert [answer.replayed for answer in done].count(False) == 1
    assert await _counts(market) == (1, 1, 1, 1, 1, 1)
    assert await market.left(variant) == 29


async def test_the_last_one_is_ordered_by_one_of_fifty_carts(market: Market) -> None:
    variant = await market.variant(await market.creator(), stock=1)
    filled = [await market.cart({variant: 1}) for _ in range(50)]

    done, refused = await _all([market.check_out(cart, viewer, 1_000) for cart, viewer in filled])

    assert len(done) == 1
    assert {(each.code, each.data["available"]) for each in refused} == {(ErrorCode.OUT_OF_STOCK, 0)}
    assert len(refused) == 49
    assert await _counts(market) == (1, 1, 1, 1, 1, 1)
    assert await market.left(variant) == 0


async def test_a_code_for_one_use_is_used_by_one_of_twenty(market: Market) -> None:
    creator = await market.creator()
    variant = await market.variant(creator)
    discount = await market.discount(creator, "ONCE", usage_limit=1)
    filled = [await market.cart({variant: 1}, codes=["once"]) for _ in range(20)]

    done, refused = await _all([market.check_out(cart, viewer, 900) for cart, viewer in filled])

    assert len(done) == 1
    reasons = {(each.code, each.data["discountCode"], each.data["reason"]) for each in refused}
    assert reasons == {(ErrorCode.DISCOUNT_REJECTED, "ONCE", "USED_UP")}
    assert await _counts(market) == (1, 1, 1, 1, 1, 1)
    assert await market.world.scalar("select used from usage_counters where subject = $1", discount) == 1


async def test_one_buyer_has_no_more_than_their_limit_of_ten_carts_at_once(market: Market) -> None:
    variant = await market.variant(await market.creator(), stock=50, product={"per_buyer_limit": 3})
    filled = [await market.cart({variant: 1}, email="Same@example.com") for _ in range(10)]

    done, refused = await _all([market.check_out(cart, viewer, 1_000) for cart, viewer in filled])

    assert len(done) == 3
    assert {each.code for each in refused} == {ErrorCode.BUYER_LIMIT_EXCEEDED}
    assert await market.world.count("orders") == 3
    assert await market.left(variant) == 47


async def test_a_cart_changed_while_it_is_checked_out_is_ordered_as_it_was_or_refused(market: Market) -> None:
    for _ in range(5):
        variant = await market.variant(await market.creator(f"h{uuid7().hex[-12:]}"), stock=10)
        cart, viewer = await market.cart({variant: 1})
        change = carts.UpdateCart(cart, str(uuid7()), lines=[carts.Wish(variant, 4)])

        changed, completed = await asyncio.gather(
            carts.update(market.engine, viewer, change),
            market.check_out(cart, viewer, 1_000),
            return_exceptions=True,
        )

        ordered = await market.world.scalar(
            "select quantity from order_lines l join orders o on o.id = l.order_id where o.cart_id = $1", cart
        )
        if isinstance(changed, Refused):
            assert changed.code is ErrorCode.CART_CHECKED_OUT
            assert isinstance(completed, Completed)
            assert (ordered, changed.data["order"]) == (1, str(completed.order_id))
        else:
            assert isinstance(completed, Refused)
            assert (completed.code, completed.data["now"]) == (ErrorCode.PRICE_CHANGED, 4_000)
            assert ordered is None
        assert await market.left(variant) == 10 - (ordered or 0)


async def test_carts_and_purchases_in_any_order_sell_what_there_is_and_no_more(market: Market) -> None:
    creators = [await market.creator(f"h{uuid7().hex[-12:]}") for _ in range(3)]
    variants = [await market.variant(creator, stock=10) for creator in creators]
    filled = [await market.cart(dict.fromkeys(variants if turn % 2 else variants[::-1], 1)) for turn in range(14)]
    product: UUID = await market.world.scalar("select product_id from product_variants where id = $1", variants[0])

    async def buy() -> Completed:
        bought = await purchases.buy(market.engine, Viewer(), purchases.Buy(product, str(uuid7())))
        return Completed(bought.purchase_id, bought.payment, bought.replayed)

    done, refused = await _all(
        [
            *(market.check_out(cart, viewer, 3_000) for cart, viewer in filled),
            *(buy() for _ in range(4)),
        ]
    )

    assert len(done) + len(refused) == 18
    assert {each.code for each in refused} <= {ErrorCode.OUT_OF_STOCK}
    assert await market.left(variants[0]) == 0
    of_carts = await market.world.scalar("select count(*) from orders where origin = 'CART'")
    assert [await market.left(variant) for variant in variants[1:]] == [10 - of_carts] * 2
    assert await market.world.count("payment_shares") == 3 * of_carts
