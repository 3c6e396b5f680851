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
from services import disputes as dispute_service
from services import payments as payment_service
from services import payouts as payout_service
from services import products as product_service
from services import purchases as purchase_service
from services import refunds as refund_service
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
    """Payments, for those who pay them and those who are paid."""
    rows = await payment_service.by_id(engine, keys)
    own = [row for row in rows if may_see_payment(viewer, row)]
    return _aligned(keys, own, lambda row: shown.payment(row, payer=payment_service.is_payer(viewer, row)))


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
}
