"""Users: who is signed in, and what they paid and bought."""

from collections.abc import Sequence
from typing import Any

import strawberry

from core.scopes import Scope
from resolvers import shown
from resolvers.context import Info
from resolvers.fields import query
from resolvers.pages import connection, page_query, status_conditions, time_conditions, tree
from schema.connections import Connection, PageArguments
from schema.payments import Payment, PaymentWhere
from schema.purchases import Purchase
from schema.sorts import PaymentSort
from schema.users import User
from services import payments, purchases, users
from services.paging import NEWEST, OLDEST, Compare, Condition


@strawberry.type
class UserQuery:
    @query(
        description="The signed-in user; null for anybody else. A user is made at first sign-in.",
        scope=Scope.ACCOUNT_READ,
    )
    async def me(self, info: Info) -> User | None:
        viewer = info.context.viewer
        if viewer.user_id is None or not viewer.may(Scope.ACCOUNT_READ):
            return None
        rows = await users.by_id(info.context.engine, [viewer.user_id])
        return shown.user(rows[0]) if rows else None


def _is_self(user: User, info: Info) -> bool:
    viewer = info.context.viewer
    return viewer.user_id == user.key and viewer.may(Scope.ACCOUNT_READ)


async def user_payments(
    user: User, info: Info, page: PageArguments, where: PaymentWhere | None, sort: PaymentSort
) -> Connection[Payment] | None:
    """Return a page of one's own payments."""
    if not _is_self(user, info):
        return None
    order = NEWEST if sort is PaymentSort.NEWEST else OLDEST
    query = page_query(page, where=tree(where, _conditions), order=order)
    return connection(await payments.of_payer(info.context.engine, user.key, query), shown.payment)


async def user_purchases(user: User, info: Info, page: PageArguments) -> Connection[Purchase] | None:
    """Return a page of one's own purchases."""
    if not _is_self(user, info):
        return None
    found = await purchases.of_buyer(info.context.engine, user.key, page_query(page))
    return connection(found, shown.purchase)


def _conditions(where: Any) -> Sequence[Condition]:
    conditions = status_conditions("status", where.status) + time_conditions("created_at", where.created_at)
    if where.kind is not None:
        conditions.append(Compare("kind", "=", where.kind.value))
    return conditions
