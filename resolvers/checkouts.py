"""Checkout: the root field that makes an order of a cart."""

import strawberry

from core.ids import Noun
from core.scopes import Scope
from resolvers import shown
from resolvers.context import Info
from resolvers.fields import id_of, mutation
from resolvers.payments import guest_token
from resolvers.variants import price_of
from schema.checkouts import CheckoutCompleteInput, CheckoutCompletePayload
from services import checkouts


@strawberry.type
class CheckoutMutation:
    @mutation(
        description="Order what is in a cart of yours: what it needs is reserved, and its payment begun. Sent "
        "again, from another tab as well, it is the same order.",
        scope=Scope.PURCHASES_WRITE,
        payload=CheckoutCompletePayload,
        guests=True,
    )
    async def checkout_complete(self, info: Info, input: CheckoutCompleteInput) -> CheckoutCompletePayload:  # ruff: ignore[builtin-argument-shadowing]
        command = checkouts.Complete(
            cart_id=id_of(Noun.CART, input.cart_id, "cartId"),
            expected_total=price_of(input.expected_total, "expectedTotal"),
            key=input.idempotency_key,
        )
        done = await checkouts.complete(info.context.engine, info.context.viewer, command)
        info.context.replayed = done.replayed
        return CheckoutCompletePayload(
            order_key=done.order_id,
            payment=None if done.payment is None else shown.payment(done.payment),
            payment_token=None if done.payment is None else guest_token(info, done.payment),
        )
