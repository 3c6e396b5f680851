"""Refunds: giving back what was paid, and reading what went back."""

import strawberry

from core.ids import Noun
from core.scopes import Scope
from resolvers import shown
from resolvers.context import Info
from resolvers.fields import Id, id_of, mutation, query
from resolvers.loaders import may_see_refund
from resolvers.pages import connection, page_query
from schema.connections import Connection, PageArguments
from schema.creators import Creator
from schema.refunds import Refund, RefundCreateInput, RefundCreatePayload
from services import refunds


@strawberry.type
class RefundQuery:
    @query(
        description="A refund by its id, for the creator who was paid, the payer, with the payment's token, and "
        "for finance; null for anybody else.",
        scope=Scope.EARNINGS_READ,
        guests=True,
    )
    async def refund(self, info: Info, id: Id) -> Refund | None:  # ruff: ignore[builtin-argument-shadowing] - the contract's name
        rows = await refunds.by_id(info.context.engine, [id_of(Noun.REFUND, id, "id")])
        return shown.refund(rows[0]) if rows and may_see_refund(info.context.viewer, rows[0]) else None


@strawberry.type
class RefundMutation:
    @mutation(
        description="Give back a payment that you were paid, or a part of it. Operators may give back any. What "
        "becomes of it is seen in its `status`.",
        scope=Scope.REFUNDS_WRITE,
        payload=RefundCreatePayload,
        operators=True,
    )
    async def refund_create(self, info: Info, input: RefundCreateInput) -> RefundCreatePayload:  # ruff: ignore[builtin-argument-shadowing]
        command = refunds.CreateRefund(
            payment_id=id_of(Noun.PAYMENT, input.payment_id, "paymentId"),
            amount=None if input.amount is None else input.amount.parsed(),
            reason=input.reason,
            key=input.idempotency_key,
        )
        answer = await refunds.create(info.context.engine, info.context.viewer, command)
        info.context.replayed = answer.replayed
        return RefundCreatePayload(refund=shown.refund(answer.row))


async def creator_refunds(creator: Creator, info: Info, page: PageArguments) -> Connection[Refund] | None:
    """Return a page of the refunds of what a creator was paid, to that creator and to finance."""
    viewer = info.context.viewer
    own = viewer.user_id == creator.user_key and viewer.may(Scope.EARNINGS_READ)
    if not own and not viewer.may(Scope.FINANCE_READ):
        return None
    found = await refunds.of_creator(info.context.engine, creator.key, page_query(page))
    return connection(found, shown.refund)
