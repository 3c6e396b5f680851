"""Purchases: buying one product now, and reading what was bought."""

import strawberry

from core.ids import Noun
from core.scopes import Scope
from resolvers import shown
from resolvers.context import Info
from resolvers.fields import Id, id_of, mutation, query
from resolvers.loaders import may_see_part
from resolvers.payments import guest_token
from resolvers.variants import price_of
from schema.purchases import Purchase, PurchaseCreateInput, PurchaseCreatePayload
from services import purchases


@strawberry.type
class PurchaseQuery:
    @query(
        description="A purchase by its id, for its buyer and its seller, or with its payment's token; "
        "null for anybody else.",
        scope=Scope.ACCOUNT_READ,
        guests=True,
    )
    async def purchase(self, info: Info, id: Id) -> Purchase | None:  # ruff: ignore[builtin-argument-shadowing] - the contract's name
        rows = await purchases.by_id(info.context.engine, [id_of(Noun.PURCHASE, id, "id")])
        visible = rows and may_see_part(info.context.viewer, rows[0], "buyer_id")
        return shown.purchase(rows[0]) if visible else None


@strawberry.type
class PurchaseMutation:
    @mutation(
        description="Buy a product at once, without a cart, and start its payment. It is reserved, and released "
        "when the payment is cancelled. Guests may, with a random UUID as key.",
        scope=Scope.PURCHASES_WRITE,
        payload=PurchaseCreatePayload,
        guests=True,
    )
    async def purchase_create(self, info: Info, input: PurchaseCreateInput) -> PurchaseCreatePayload:  # ruff: ignore[builtin-argument-shadowing]
        command = purchases.Buy(
            product_id=id_of(Noun.PRODUCT, input.product_id, "productId"),
            key=input.idempotency_key,
            variant_id=None if input.variant_id is None else id_of(Noun.VARIANT, input.variant_id, "variantId"),
            quantity=input.quantity,
            expected=None if input.expected_price is None else price_of(input.expected_price, "expectedPrice"),
            email=input.email,
        )
        bought = await purchases.buy(info.context.engine, info.context.viewer, command)
        info.context.replayed = bought.replayed
        rows = await purchases.by_id(info.context.engine, [bought.purchase_id])
        return PurchaseCreatePayload(
            purchase=shown.purchase(rows[0]),
            payment=None if bought.payment is None else shown.payment(bought.payment),
            payment_token=None if bought.payment is None else guest_token(info, bought.payment),
        )
