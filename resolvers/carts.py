"""Carts: begun, changed and read."""

from collections.abc import Sequence
from uuid import UUID

import strawberry

from core.clock import now
from core.ids import Noun
from core.scopes import Scope
from resolvers import shown_carts
from resolvers.context import Info
from resolvers.fields import Id, id_of, mutation, query
from resolvers.variants import price_of
from schema.carts import (
    Cart,
    CartCreateInput,
    CartCreatePayload,
    CartLineInput,
    CartUpdateInput,
    CartUpdatePayload,
)
from services import baskets, carts


@strawberry.type
class CartQuery:
    @query(
        description="A cart by its id, for who began it: signed in, or with its token; null for anybody else.",
        scope=Scope.ACCOUNT_READ,
        guests=True,
    )
    async def cart(self, info: Info, id: Id) -> Cart | None:  # ruff: ignore[builtin-argument-shadowing] - the contract's name
        viewer = info.context.viewer
        if viewer.is_signed_in and not viewer.may(Scope.ACCOUNT_READ):
            return None
        return await _shown(info, id_of(Noun.CART, id, "id"))


@strawberry.type
class CartMutation:
    @mutation(
        description="Begin a cart. Guests may, with a random UUID as key, and are given its token.",
        scope=Scope.PURCHASES_WRITE,
        payload=CartCreatePayload,
        guests=True,
    )
    async def cart_create(self, info: Info, input: CartCreateInput) -> CartCreatePayload:  # ruff: ignore[builtin-argument-shadowing]
        command = carts.CreateCart(
            currency=input.currency,
            key=input.idempotency_key,
            lines=_wishes(input.lines),
            email=input.email,
            address=None if input.address is None else input.address.parsed(),
            shipping_methods=_methods(input.shipping_method_ids),
            discount_codes=input.discount_codes,
        )
        engine, viewer = info.context.engine, info.context.viewer
        created = await carts.create(engine, viewer, command)
        info.context.replayed = created.replayed
        priced = await baskets.price(engine, created.cart.basket, now(), created.variants)
        return CartCreatePayload(
            cart=shown_carts.cart(created.cart, priced),
            cart_token=None if viewer.is_signed_in else engine.guests.issue_for_cart(created.cart.id),
        )

    @mutation(
        description="Change a cart of yours, as long as no order was made of it.",
        scope=Scope.PURCHASES_WRITE,
        payload=CartUpdatePayload,
        guests=True,
    )
    async def cart_update(self, info: Info, input: CartUpdateInput) -> CartUpdatePayload:  # ruff: ignore[builtin-argument-shadowing]
        cart_id = id_of(Noun.CART, input.cart_id, "cartId")
        command = carts.UpdateCart(
            cart_id=cart_id,
            key=input.idempotency_key,
            currency=input.currency,
            lines=_wishes(input.lines),
            email=input.email,
            address=None if input.address is None else input.address.parsed(),
            shipping_methods=None if input.shipping_method_ids is None else _methods(input.shipping_method_ids),
            discount_codes=input.discount_codes,
        )
        info.context.replayed = await carts.update(info.context.engine, info.context.viewer, command)
        return CartUpdatePayload(cart=await _shown(info, cart_id))


async def _shown(info: Info, cart_id: UUID) -> Cart | None:
    found = await carts.read(info.context.engine, info.context.viewer, cart_id)
    if found is None:
        return None
    return shown_carts.cart(found, await baskets.price(info.context.engine, found.basket, now()))


def _wishes(lines: Sequence[CartLineInput]) -> list[carts.Wish]:
    return [
        carts.Wish(
            id_of(Noun.VARIANT, line.variant_id, "lines", str(index), "variantId"),
            line.quantity,
            None if line.chosen_price is None else price_of(line.chosen_price, "lines", str(index), "chosenPrice"),
        )
        for index, line in enumerate(lines)
    ]


def _methods(texts: Sequence[strawberry.ID]) -> list[UUID]:
    return [id_of(Noun.SHIPPING_METHOD, text, "shippingMethodIds", str(index)) for index, text in enumerate(texts)]
