"""Discounts: giving them, changing their terms, ending them."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import strawberry

from core.errors import Refused
from core.ids import Noun
from core.money import Money
from core.scopes import Scope
from resolvers import shown_pricing
from resolvers.context import Info
from resolvers.fields import id_of, mutation
from resolvers.pages import connection, in_utc, page_query, text_conditions, time_conditions, tree
from schema.connections import Connection, PageArguments
from schema.creators import Creator
from schema.discounts import (
    Discount,
    DiscountArchiveInput,
    DiscountArchivePayload,
    DiscountCreateInput,
    DiscountCreatePayload,
    DiscountTermsInput,
    DiscountUpdateInput,
    DiscountUpdatePayload,
    DiscountWhere,
)
from schema.money import MoneyInput
from schema.sorts import DiscountSort
from services import discount_terms, discounts
from services.discount_terms import Terms
from services.paging import NEWEST, OLDEST, Compare, Condition


@strawberry.type
class DiscountMutation:
    @mutation(description="Give a discount.", scope=Scope.PRODUCTS_WRITE, payload=DiscountCreatePayload)
    async def discount_create(self, info: Info, input: DiscountCreateInput) -> DiscountCreatePayload:  # ruff: ignore[builtin-argument-shadowing]
        command = discount_terms.CreateDiscount(
            creator_id=id_of(Noun.CREATOR, input.creator_id, "creatorId"),
            code=input.code,
            title=input.title,
            kind=input.kind,
            basis_points=input.basis_points,
            amount=_amount(input.amount, "amount") if input.amount is not None else None,
            terms=_terms(input.terms) if input.terms is not None else Terms(),
            key=input.idempotency_key,
        )
        discount_id, info.context.replayed = await discount_terms.create(
            info.context.engine, info.context.viewer, command
        )
        return DiscountCreatePayload(discount=await _discount(info, discount_id))

    @mutation(
        description="Change the terms of a discount of yours. Orders that were made keep what they were given.",
        scope=Scope.PRODUCTS_WRITE,
        payload=DiscountUpdatePayload,
    )
    async def discount_update(self, info: Info, input: DiscountUpdateInput) -> DiscountUpdatePayload:  # ruff: ignore[builtin-argument-shadowing]
        command = discount_terms.UpdateDiscount(
            discount_id=id_of(Noun.DISCOUNT, input.discount_id, "discountId"),
            title=input.title,
            terms=_terms(input.terms) if input.terms is not None else None,
            key=input.idempotency_key,
        )
        discount_id, info.context.replayed = await discount_terms.update(
            info.context.engine, info.context.viewer, command
        )
        return DiscountUpdatePayload(discount=await _discount(info, discount_id))

    @mutation(
        description="Give a discount of yours no longer. Its code stays taken.",
        scope=Scope.PRODUCTS_WRITE,
        payload=DiscountArchivePayload,
    )
    async def discount_archive(self, info: Info, input: DiscountArchiveInput) -> DiscountArchivePayload:  # ruff: ignore[builtin-argument-shadowing]
        command = discount_terms.ArchiveDiscount(
            discount_id=id_of(Noun.DISCOUNT, input.discount_id, "discountId"), key=input.idempotency_key
        )
        discount_id, info.context.replayed = await discount_terms.archive(
            info.context.engine, info.context.viewer, command
        )
        return DiscountArchivePayload(discount=await _discount(info, discount_id))


async def creator_discounts(
    creator: Creator, info: Info, page: PageArguments, where: DiscountWhere | None, sort: DiscountSort
) -> Connection[Discount] | None:
    """Return a page of the discounts a creator gives or gave, to that creator."""
    if not _is_own(info, creator.user_key):
        return None
    order = NEWEST if sort is DiscountSort.NEWEST else OLDEST
    query = page_query(page, where=tree(where, _conditions), order=order)
    found = await discounts.of_creator(info.context.engine, creator.key, query)
    return connection(found, shown_pricing.discount)


async def find_discount(info: Info, discount_id: UUID) -> Discount | None:
    """Return a discount of the viewer's own."""
    rows = await discounts.by_id(info.context.engine, [discount_id])
    return shown_pricing.discount(rows[0]) if rows and _is_own(info, rows[0]["creator_user_id"]) else None


def _is_own(info: Info, creator_user_id: Any) -> bool:
    viewer = info.context.viewer
    return viewer.user_id == creator_user_id and viewer.may(Scope.PRODUCTS_WRITE)


async def _discount(info: Info, discount_id: UUID) -> Discount:
    return shown_pricing.discount((await discounts.by_id(info.context.engine, [discount_id]))[0])


def _terms(terms: DiscountTermsInput) -> Terms:
    return Terms(
        product_ids=[id_of(Noun.PRODUCT, text, "terms", "productIds") for text in terms.product_ids or ()],
        minimum_subtotal=(
            _amount(terms.minimum_subtotal, "terms", "minimumSubtotal")
            if terms.minimum_subtotal is not None
            else None
        ),
        starts_at=in_utc(terms.starts_at, "terms", "startsAt") if terms.starts_at is not None else None,
        ends_at=in_utc(terms.ends_at, "terms", "endsAt") if terms.ends_at is not None else None,
        usage_limit=terms.usage_limit,
        per_buyer_limit=terms.per_buyer_limit,
        period=terms.period,
        per_period_limit=terms.per_period_limit,
    )


def _amount(amount: MoneyInput, *path: str) -> Money:
    try:
        return amount.parsed()
    except Refused as refused:
        raise refused.at(*path, *refused.path[1:]) from None


def _conditions(where: Any) -> Sequence[Condition]:
    conditions = [
        *text_conditions("code", where.code),
        *text_conditions("title", where.title),
        *time_conditions("created_at", where.created_at),
    ]
    if where.active is not None:
        conditions.append(Compare("state", "=", "active" if where.active else "archived"))
    return conditions
