"""Creators: finding them, becoming one, and what belongs to one."""

from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any

import strawberry

from core.ids import Noun
from core.payments import PaymentKind
from core.scopes import Scope
from resolvers import shown, shown_catalogue
from resolvers.context import Info
from resolvers.fields import id_of, mutation, query
from resolvers.pages import connection, page_query, status_conditions, text_conditions, time_conditions, tree
from resolvers.products import PRODUCT_ORDERS, product_conditions, ranked_by
from schema.connections import SORT, WHERE, After, Before, Connection, First, Last, PageArguments
from schema.creators import (
    Creator,
    CreatorCreateInput,
    CreatorCreatePayload,
    CreatorUpdateInput,
    CreatorUpdatePayload,
    CreatorWhere,
)
from schema.earnings import Earnings, EarningsByDay, EarningsBySource
from schema.money import Money
from schema.products import Product, ProductWhere
from schema.sorts import CreatorSort, ProductSort, TipSort
from schema.tips import Tip, TipWhere
from services import catalogue, creators, earnings, tips
from services.paging import NEWEST, OLDEST, Condition, Order


@strawberry.type
class CreatorQuery:
    @query(description="The creator with a handle; null if there is none.")
    async def creator(
        self,
        info: Info,
        handle: Annotated[str, strawberry.argument(description="Their handle, without regard to case.")],
    ) -> Creator | None:
        row = await creators.by_handle(info.context.engine, handle)
        return None if row is None else shown.creator(row)

    @query(description="The creators who take payments.")
    async def creators(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        where: Annotated[CreatorWhere | None, WHERE] = None,
        sort: Annotated[CreatorSort, SORT] = CreatorSort.NEWEST,
    ) -> Connection[Creator] | None:
        page = page_query(
            PageArguments(first, after, last, before), where=tree(where, _conditions), order=_ORDERS[sort]
        )
        return connection(await creators.listed(info.context.engine, page), shown.creator)


@strawberry.type
class CreatorMutation:
    @mutation(description="Become a creator.", scope=Scope.CREATORS_WRITE, payload=CreatorCreatePayload)
    async def creator_create(self, info: Info, input: CreatorCreateInput) -> CreatorCreatePayload:  # ruff: ignore[builtin-argument-shadowing]
        command = creators.CreateCreator(
            handle=input.handle,
            display_name=input.display_name,
            bio=input.bio,
            key=input.idempotency_key,
        )
        creator_id, info.context.replayed = await creators.create(
            info.context.engine, info.context.viewer, command
        )
        return CreatorCreatePayload(creator=await _creator(info, creator_id))

    @mutation(description="Change a creator of yours.", scope=Scope.CREATORS_WRITE, payload=CreatorUpdatePayload)
    async def creator_update(self, info: Info, input: CreatorUpdateInput) -> CreatorUpdatePayload:  # ruff: ignore[builtin-argument-shadowing]
        command = creators.UpdateCreator(
            creator_id=id_of(Noun.CREATOR, input.creator_id, "creatorId"),
            display_name=input.display_name,
            bio=input.bio,
            active=input.active,
            key=input.idempotency_key,
        )
        creator_id, info.context.replayed = await creators.update(
            info.context.engine, info.context.viewer, command
        )
        return CreatorUpdatePayload(creator=await _creator(info, creator_id))


async def _creator(info: Info, creator_id: Any) -> Creator:
    return shown.creator((await creators.by_id(info.context.engine, [creator_id]))[0])


def _is_own(creator: Creator, info: Info, scope: Scope) -> bool:
    viewer = info.context.viewer
    return viewer.user_id == creator.user_key and viewer.may(scope)


async def creator_tips(
    creator: Creator, info: Info, page: PageArguments, where: TipWhere | None, sort: TipSort
) -> Connection[Tip] | None:
    """Return a page of the tips a creator was given, to that creator."""
    if not _is_own(creator, info, Scope.EARNINGS_READ):
        return None
    order = NEWEST if sort is TipSort.NEWEST else OLDEST
    query = page_query(page, where=tree(where, _tip_conditions), order=order)
    return connection(await tips.of_creator(info.context.engine, creator.key, query), shown.tip)


async def creator_products(
    creator: Creator, info: Info, page: PageArguments, where: ProductWhere | None, sort: ProductSort
) -> Connection[Product]:
    """Return a page of what a creator sells; to that creator, of drafts and what is archived as well."""
    query = page_query(page, where=tree(where, product_conditions), order=PRODUCT_ORDERS[sort])
    own = _is_own(creator, info, Scope.PRODUCTS_WRITE)
    found = await catalogue.of_creator(
        info.context.engine, creator.key, query, own=own, search=ranked_by(where, sort)
    )
    return connection(found, shown_catalogue.product)


async def creator_earnings(
    creator: Creator, info: Info, currency: str, since: date | None, until: date | None
) -> Earnings | None:
    """Return what a creator earned, to that creator."""
    if not _is_own(creator, info, Scope.EARNINGS_READ):
        return None
    found = await earnings.of_creator(info.context.engine, creator.key, currency, since, until)
    return Earnings(
        pending=Money.of(found.pending),
        available=Money.of(found.available),
        reserved=Money.of(found.reserved),
        in_payout=Money.of(found.in_payout),
        owed=Money.of(found.owed),
        lifetime=Money.of(found.lifetime),
        returned=Money.of(found.returned),
        by_source=[
            EarningsBySource(
                source=PaymentKind(total.source),
                net=Money.of(total.net),
                returned=Money.of(total.returned),
                payments=total.payments,
            )
            for total in found.by_source
        ],
        by_day=[
            EarningsByDay(
                day=total.day,
                net=Money.of(total.net),
                returned=Money.of(total.returned),
                payments=total.payments,
            )
            for total in found.by_day
        ],
    )


_ORDERS = {
    CreatorSort.NEWEST: NEWEST,
    CreatorSort.OLDEST: OLDEST,
    CreatorSort.HANDLE: Order("handle", str, descending=False),
}


def _conditions(where: Any) -> Sequence[Condition]:
    return (
        text_conditions("handle", where.handle)
        + text_conditions("display_name", where.display_name)
        + time_conditions("created_at", where.created_at)
    )


def _tip_conditions(where: Any) -> Sequence[Condition]:
    return status_conditions("status", where.status) + time_conditions("created_at", where.created_at)
