"""Anything by its id."""

import strawberry

from core import ids
from core.ids import Noun
from core.scopes import Scope
from resolvers import shown
from resolvers.collections import find_collection
from resolvers.context import Info
from resolvers.discounts import find_discount
from resolvers.fields import Id, query
from resolvers.fulfilments import find_fulfilment
from resolvers.licences import find_licence
from resolvers.loaders import may_see_dispute, may_see_part, may_see_payment, may_see_refund
from resolvers.media import find_media
from resolvers.order_returns import find_return
from resolvers.orders import find_line, find_order
from resolvers.payouts import find_payout
from resolvers.products import find_product, find_variant
from resolvers.sales import find_sale
from resolvers.shipping import find_shipping_method, find_shipping_zone
from resolvers.stock import find_stock_location
from schema.base import Node
from services import creators, disputes, methods, payments, purchases, refunds, tips, users


@strawberry.type
class NodeQuery:
    @query(description="Whatever has this id; null if nothing has, or if it is not yours to see.")
    async def node(self, info: Info, id: Id) -> Node | None:  # ruff: ignore[builtin-argument-shadowing] - the contract's name; a return per noun
        noun = ids.noun_of(id)
        key = ids.decode(noun, id) if noun is not None else None
        if key is None:
            return None
        engine, viewer = info.context.engine, info.context.viewer
        if noun is Noun.USER:
            rows = await users.by_id(engine, [key])
            own = viewer.user_id == key and viewer.may(Scope.ACCOUNT_READ)
            return shown.user(rows[0]) if rows and own else None
        if noun is Noun.CREATOR:
            rows = await creators.by_id(engine, [key])
            return shown.creator(rows[0]) if rows else None
        if noun is Noun.PRODUCT:
            return await find_product(info, key)
        if noun is Noun.VARIANT:
            return await find_variant(info, key)
        if noun is Noun.COLLECTION:
            return await find_collection(info, key)
        if noun is Noun.MEDIA:
            return await find_media(info, key)
        if noun is Noun.SHIPPING_ZONE:
            return await find_shipping_zone(info, key)
        if noun is Noun.SHIPPING_METHOD:
            return await find_shipping_method(info, key)
        if noun is Noun.DISCOUNT:
            return await find_discount(info, key)
        if noun is Noun.TIP:
            rows = await tips.by_id(engine, [key])
            return shown.tip(rows[0]) if rows and may_see_part(viewer, rows[0], "giver_id") else None
        if noun is Noun.PURCHASE:
            rows = await purchases.by_id(engine, [key])
            return shown.purchase(rows[0]) if rows and may_see_part(viewer, rows[0], "buyer_id") else None
        if noun is Noun.REFUND:
            rows = await refunds.by_id(engine, [key])
            return shown.refund(rows[0]) if rows and may_see_refund(viewer, rows[0]) else None
        if noun is Noun.DISPUTE:
            rows = await disputes.by_id(engine, [key])
            return shown.dispute(rows[0]) if rows and may_see_dispute(viewer, rows[0]) else None
        if noun is Noun.PAYMENT_METHOD:
            rows = await methods.by_id(engine, [key])
            own = bool(rows) and rows[0]["user_id"] == viewer.user_id and viewer.may(Scope.ACCOUNT_READ)
            return shown.payment_method(rows[0]) if own and methods.is_usable(rows[0]) else None
        if noun is Noun.STOCK_LOCATION:
            return await find_stock_location(info, key)
        if noun is Noun.LICENCE:
            return await find_licence(info, key)
        if noun is Noun.ORDER:
            return await find_order(info, key)
        if noun is Noun.ORDER_LINE:
            return await find_line(info, key)
        if noun is Noun.SALE:
            return await find_sale(info, key)
        if noun is Noun.FULFILMENT:
            return await find_fulfilment(info, key)
        if noun is Noun.ORDER_RETURN:
            return await find_return(info, key)
        if noun is Noun.PAYOUT:
            return await find_payout(info, key)
        if noun is Noun.PAYMENT:
            row = await payments.read(engine, key)
            if row is None or not may_see_payment(viewer, row):
                return None
            return shown.payment(row, payer=payments.is_payer(viewer, row))
        return None
