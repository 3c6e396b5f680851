"""The batch functions behind every edge: keys in, objects out in the keys' order, one statement each.

A key that leads nowhere, or to what the viewer may not see, gives None.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final
from uuid import UUID

from core.scopes import Scope
from core.viewer import Viewer
from resolvers import shown
from services import creators as creator_service
from services import payments as payment_service
from services import products as product_service
from services import purchases as purchase_service
from services import tips as tip_service
from services import users as user_service
from services.engine import Engine

Loader = Callable[[Engine, Viewer, Sequence[UUID]], Awaitable[list[Any]]]


def _aligned(
    keys: Sequence[UUID], rows: Sequence[Any], show: Callable[[Any], Any], column: str = "id"
) -> list[Any]:
    by_key: Mapping[UUID, Any] = {row[column]: row for row in rows}
    return [show(by_key[key]) if key in by_key else None for key in keys]


async def creators(engine: Engine, _: Viewer, keys: Sequence[UUID]) -> list[Any]:
    return _aligned(keys, await creator_service.by_id(engine, keys), shown.creator)


async def creator_of_user(engine: Engine, _: Viewer, keys: Sequence[UUID]) -> list[Any]:
    return _aligned(keys, await creator_service.by_user(engine, keys), shown.creator, "user_id")


async def products(engine: Engine, _: Viewer, keys: Sequence[UUID]) -> list[Any]:
    return _aligned(keys, await product_service.by_id(engine, keys), shown.product)


async def user_names(engine: Engine, _: Viewer, keys: Sequence[UUID]) -> list[Any]:
    return _aligned(keys, await user_service.by_id(engine, keys), itemgetter("name"))


async def payments(engine: Engine, viewer: Viewer, keys: Sequence[UUID]) -> list[Any]:
    """Payments, for those who pay them."""
    rows = await payment_service.by_id(engine, keys)
    own = [row for row in rows if may_see_payment(viewer, row)]
    return _aligned(keys, own, shown.payment)


async def events_of_payment(engine: Engine, _: Viewer, keys: Sequence[UUID]) -> list[Any]:
    """The events of payments; reached from payments one may see."""
    rows = await payment_service.events_of(engine, keys)
    return [[shown.payment_event(row) for row in rows if row["payment_id"] == key] for key in keys]


async def tip_of_payment(engine: Engine, _: Viewer, keys: Sequence[UUID]) -> list[Any]:
    """The tips payments are for; reached from payments and activity one may see."""
    return _aligned(keys, await tip_service.by_payment(engine, keys), shown.tip, "payment_id")


async def purchase_of_payment(engine: Engine, _: Viewer, keys: Sequence[UUID]) -> list[Any]:
    """The purchases payments are for; reached from payments and activity one may see."""
    return _aligned(keys, await purchase_service.by_payment(engine, keys), shown.purchase, "payment_id")


def may_see_payment(viewer: Viewer, row: Any) -> bool:
    """Return whether a payment may be read: by its payer with the scope, or with the payment's token."""
    guest = viewer.payment_id is not None
    return payment_service.is_payer(viewer, row) and (guest or viewer.may(Scope.ACCOUNT_READ))


def may_see_part(viewer: Viewer, row: Any, payer_column: str) -> bool:
    """Return whether a tip or purchase may be read: by either side of it, or with its payment's token."""
    if viewer.payment_id is not None:
        return bool(viewer.payment_id == row["payment_id"])
    if viewer.user_id is None:
        return False
    if row[payer_column] == viewer.user_id and viewer.may(Scope.ACCOUNT_READ):
        return True
    return bool(row["creator_user_id"] == viewer.user_id) and viewer.may(Scope.EARNINGS_READ)


LOADERS: Final[Mapping[str, Loader]] = {
    "creators": creators,
    "creator_of_user": creator_of_user,
    "products": products,
    "user_names": user_names,
    "payments": payments,
    "events_of_payment": events_of_payment,
    "tip_of_payment": tip_of_payment,
    "purchase_of_payment": purchase_of_payment,
}
