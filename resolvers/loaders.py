"""The batch functions behind every edge: keys in, objects out in the keys' order, one statement each.

A key that leads nowhere, or to what the viewer may not see, gives None.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, Final
from uuid import UUID

from core.scopes import Scope
from core.viewer import Viewer
from resolvers import order_loaders, shown, shown_catalogue, shown_digital, shown_pricing, shown_stock
from resolvers.keyed import aligned, grouped
from services import catalogue as catalogue_service
from services import collections as collection_service
from services import creators as creator_service
from services import discounts as discount_service
from services import disputes as dispute_service
from services import downloads as download_service
from services import licences as licence_service
from services import media as media_service
from services import payments as payment_service
from services import payouts as payout_service
from services import purchases as purchase_service
from services import refunds as refund_service
from services import shipping as shipping_service
from services import stock as stock_service
from services import stock_locations as stock_location_service
from services import tips as tip_service
from services import users as user_service
from services.engine import Engine

Loader = Callable[[Engine, Viewer, Sequence[UUID]], Awaitable[list[Any]]]


async def creators(engine: Engine, _: Viewer, keys: Sequence[UUID]) -> list[Any]:
    return aligned(keys, await creator_service.by_id(engine, keys), shown.creator)


async def creator_of_user(engine: Engine, _: Viewer, keys: Sequence[UUID]) -> list[Any]:
    return aligned(keys, await creator_service.by_user(engine, keys), shown.creator, "user_id")


async def products(engine: Engine, _: Viewer, keys: Sequence[UUID]) -> list[Any]:
    return aligned(keys, await catalogue_service.products_by_id(engine, keys), shown_catalogue.product)


async def user_names(engine: Engine, _: Viewer, keys: Sequence[UUID]) -> list[Any]:
    return aligned(keys, await user_service.by_id(engine, keys), itemgetter("name"))


async def payments(engine: Engine, viewer: Viewer, keys: Sequence[UUID]) -> list[Any]:
    """Payments, for those who pay them and those who are paid."""
    rows = await payment_service.by_id(engine, keys)
    own = [row for row in rows if may_see_payment(viewer, row)]
    return aligned(keys, own, lambda row: shown.payment(row, payer=payment_service.is_payer(viewer, row)))


async def events_of_payment(engine: Engine, _: Viewer, keys: Sequence[UUID]) -> list[Any]:
    """The events of payments; reached from payments one may see."""
    rows = await payment_service.events_of(engine, keys)
    return [[shown.payment_event(row) for row in rows if row["payment_id"] == key] for key in keys]


async def tip_of_payment(engine: Engine, _: Viewer, keys: Sequence[UUID]) -> list[Any]:
    """The tips payments are for; reached from payments and activity one may see."""
    return aligned(keys, await tip_service.by_payment(engine, keys), shown.tip, "payment_id")


async def purchase_of_payment(engine: Engine, _: Viewer, keys: Sequence[UUID]) -> list[Any]:
    """The purchases payments are for; reached from payments and activity one may see."""
    return aligned(keys, await purchase_service.by_payment(engine, keys), shown.purchase, "payment_id")


async def refunds_of_payment(engine: Engine, viewer: Viewer, keys: Sequence[UUID]) -> list[Any]:
    """The refunds of payments, for whoever may see them."""
    rows = [row for row in await refund_service.by_payment(engine, keys) if may_see_refund(viewer, row)]
    return [[shown.refund(row) for row in rows if row["payment_id"] == key] for key in keys]


async def disputes_of_payment(engine: Engine, viewer: Viewer, keys: Sequence[UUID]) -> list[Any]:
    """The disputes over payments, for whoever may see them."""
    rows = [row for row in await dispute_service.by_payment(engine, keys) if may_see_dispute(viewer, row)]
    return [[shown.dispute(row) for row in rows if row["payment_id"] == key] for key in keys]


def may_see_payment(viewer: Viewer, row: Any) -> bool:
    """Return whether a payment may be read: by its payer or its creator with the scope, or with its token."""
    if payment_service.is_payer(viewer, row):
        return viewer.payment_id is not None or viewer.may(Scope.ACCOUNT_READ)
    return _is_earner(viewer, row)


def may_see_refund(viewer: Viewer, row: Any) -> bool:
    """Return whether a refund may be read: by either side of its payment, with its token, or by finance."""
    return may_see_part(viewer, row, "payer_id") or viewer.may(Scope.FINANCE_READ)


def may_see_dispute(viewer: Viewer, row: Any) -> bool:
    """Return whether a dispute may be read: by the creator it is about, or by finance."""
    return _is_earner(viewer, row) or viewer.may(Scope.FINANCE_READ)


def _is_earner(viewer: Viewer, row: Any) -> bool:
    own = viewer.user_id is not None and viewer.user_id == row["creator_user_id"]
    return own and viewer.may(Scope.EARNINGS_READ)


def may_see_part(viewer: Viewer, row: Any, payer_column: str) -> bool:
    """Return whether a tip or purchase may be read: by either side of it, or with its payment's token."""
    if viewer.payment_id is not None:
        return bool(viewer.payment_id == row["payment_id"])
    if viewer.user_id is None:
        return False
    if row[payer_column] == viewer.user_id and viewer.may(Scope.ACCOUNT_READ):
        return True
    return bool(row["creator_user_id"] == viewer.user_id) and viewer.may(Scope.EARNINGS_READ)


async def events_of_payout(engine: Engine, _: Viewer, keys: Sequence[UUID]) -> list[Any]:
    """The events of payouts; reached from payouts one may see."""
    rows = await payout_service.events_of(engine, keys)
    return [[shown.payout_event(row) for row in rows if row["payout_id"] == key] for key in keys]


def may_see_payouts(viewer: Viewer, creator_user_id: Any) -> bool:
    """Return whether a creator's payouts may be read: by that creator with the scope, or by finance."""
    own = viewer.user_id == creator_user_id and viewer.may(Scope.EARNINGS_READ)
    return viewer.is_signed_in and (own or viewer.may(Scope.FINANCE_READ))


async def downloads_of_line(engine: Engine, viewer: Viewer, keys: Sequence[UUID]) -> list[Any]:
    """The files of an order's lines, for who bought them."""
    found = await download_service.of_lines(engine, viewer, keys)
    return [[shown_digital.download(engine, row) for row in found[key]] if key in found else None for key in keys]


async def licences_of_line(engine: Engine, viewer: Viewer, keys: Sequence[UUID]) -> list[Any]:
    """The licence keys of an order's lines, for who bought them."""
    found = await licence_service.of_lines(engine, viewer, keys)
    shown_key = partial(shown_digital.licence_key, buyer=True)
    return [[shown_key(row) for row in found[key]] if key in found else None for key in keys]


async def files_of_variant(engine: Engine, viewer: Viewer, keys: Sequence[UUID]) -> list[Any]:
    """The files that variants are sold with, for their creator."""
    found = await download_service.of_variants(engine, viewer, keys)
    return [[shown_digital.variant_file(row) for row in found[key]] if key in found else None for key in keys]


def may_see_stock(viewer: Viewer, creator_user_id: Any) -> bool:
    """Return whether a creator's stock may be read: by that creator with the scope."""
    own = viewer.user_id is not None and viewer.user_id == creator_user_id
    return own and viewer.may(Scope.PRODUCTS_WRITE)


async def stock_locations(engine: Engine, viewer: Viewer, keys: Sequence[UUID]) -> list[Any]:
    rows = await stock_location_service.by_id(engine, keys)
    own = [row for row in rows if may_see_stock(viewer, row["creator_user_id"])]
    return aligned(keys, own, shown_stock.stock_location)


async def levels_of_variant(engine: Engine, viewer: Viewer, keys: Sequence[UUID]) -> list[Any]:
    """The stock levels of variants, for their creator."""
    owners = await stock_service.owners_of(engine, keys)
    rows = await stock_service.of_variants(engine, keys)
    return [
        [shown_stock.stock_level(row) for row in rows if row["variant_id"] == key]
        if may_see_stock(viewer, owners.get(key))
        else None
        for key in keys
    ]


async def variants(engine: Engine, _: Viewer, keys: Sequence[UUID]) -> list[Any]:
    """Variants in whatever state; reached from carts, orders and stock one may see."""
    return aligned(keys, await catalogue_service.variants_by_id(engine, keys), shown_catalogue.variant)


async def variants_of_product(engine: Engine, _: Viewer, keys: Sequence[UUID]) -> list[Any]:
    return grouped(keys, await catalogue_service.variants_of_products(engine, keys), shown_catalogue.variant)


async def pictures_of_product(engine: Engine, _: Viewer, keys: Sequence[UUID]) -> list[Any]:
    base_url = engine.links.base_url
    rows = await media_service.of_products(engine, keys)
    return grouped(keys, rows, lambda row: shown_catalogue.picture(row, base_url))


async def collections_of_product(engine: Engine, _: Viewer, keys: Sequence[UUID]) -> list[Any]:
    return grouped(keys, await collection_service.of_products(engine, keys), shown_catalogue.collection)


async def methods_of_shipping_zone(engine: Engine, _: Viewer, keys: Sequence[UUID]) -> list[Any]:
    """The methods of zones; reached from zones of one's own."""
    rows = await shipping_service.methods_of(engine, keys)
    return grouped(keys, rows, shown_pricing.shipping_method, "zone_id")


async def rates_of_shipping_method(engine: Engine, _: Viewer, keys: Sequence[UUID]) -> list[Any]:
    """The rates of methods; reached from zones of one's own."""
    rows = await shipping_service.rates_of(engine, keys)
    return grouped(keys, rows, shown_pricing.shipping_rate, "method_id")


async def uses_of_discount(engine: Engine, _: Viewer, keys: Sequence[UUID]) -> list[Any]:
    """How often discounts were used; reached from discounts of one's own."""
    return await discount_service.used(engine, keys)


LOADERS: Final[Mapping[str, Loader]] = {
    "creators": creators,
    "creator_of_user": creator_of_user,
    "products": products,
    "user_names": user_names,
    "payments": payments,
    "events_of_payment": events_of_payment,
    "events_of_payout": events_of_payout,
    "tip_of_payment": tip_of_payment,
    "purchase_of_payment": purchase_of_payment,
    "refunds_of_payment": refunds_of_payment,
    "disputes_of_payment": disputes_of_payment,
    "downloads_of_line": downloads_of_line,
    "licences_of_line": licences_of_line,
    "files_of_variant": files_of_variant,
    "stock_locations": stock_locations,
    "levels_of_variant": levels_of_variant,
    "variants": variants,
    "variants_of_product": variants_of_product,
    "pictures_of_product": pictures_of_product,
    "collections_of_product": collections_of_product,
    "methods_of_shipping_zone": methods_of_shipping_zone,
    "rates_of_shipping_method": rates_of_shipping_method,
    "uses_of_discount": uses_of_discount,
    "orders": order_loaders.orders,
    "order_of_payment": order_loaders.order_of_payment,
    "own_sale_of_payment": order_loaders.own_sale_of_payment,
    "order_lines": order_loaders.order_lines,
    "lines_of_order": order_loaders.lines_of_order,
    "lines_of_sale": order_loaders.lines_of_sale,
    "sales_of_order": order_loaders.sales_of_order,
    "discounts_of_order": order_loaders.discounts_of_order,
    "events_of_order": order_loaders.events_of_order,
    "fulfilments_of_sale": order_loaders.fulfilments_of_sale,
    "returns_of_sale": order_loaders.returns_of_sale,
}
