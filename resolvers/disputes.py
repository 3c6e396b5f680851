"""Disputes: reading them, answering them, and bearing what one has cost."""

from dataclasses import asdict

import strawberry

from core.ids import Noun
from core.scopes import Scope
from resolvers import shown
from resolvers.context import Info
from resolvers.fields import Id, id_of, mutation, query
from resolvers.loaders import may_see_dispute
from resolvers.pages import connection, page_query
from schema.connections import Connection, PageArguments
from schema.creators import Creator
from schema.disputes import (
    Dispute,
    DisputeAnswerInput,
    DisputeAnswerPayload,
    DisputeWriteOffInput,
    DisputeWriteOffPayload,
)
from schema.errors import user_error
from services import disputes, write_offs


@strawberry.type
class DisputeQuery:
    @query(
        description="A dispute by its id, for the creator who was paid and for finance; null for anybody else.",
        scope=Scope.EARNINGS_READ,
    )
    async def dispute(self, info: Info, id: Id) -> Dispute | None:  # ruff: ignore[builtin-argument-shadowing] - the contract's name
        rows = await disputes.by_id(info.context.engine, [id_of(Noun.DISPUTE, id, "id")])
        return shown.dispute(rows[0]) if rows and may_see_dispute(info.context.viewer, rows[0]) else None


@strawberry.type
class DisputeMutation:
    @mutation(
        description="Give evidence in a dispute over what you were paid. Operators may in any.",
        scope=Scope.DISPUTES_WRITE,
        payload=DisputeAnswerPayload,
        operators=True,
    )
    async def dispute_answer(self, info: Info, input: DisputeAnswerInput) -> DisputeAnswerPayload:  # ruff: ignore[builtin-argument-shadowing]
        command = disputes.AnswerDispute(
            dispute_id=id_of(Noun.DISPUTE, input.dispute_id, "disputeId"),
            evidence={name: text for name, text in asdict(input.evidence).items() if text is not None},
            submit=input.submit,
            key=input.idempotency_key,
        )
        answer = await disputes.answer(info.context.engine, info.context.viewer, command)
        info.context.replayed = answer.replayed
        errors = [] if answer.refusal is None else [user_error(answer.refusal)]
        return DisputeAnswerPayload(dispute=shown.dispute(answer.row), errors=errors)

    @mutation(
        description="Have the platform bear what a creator owes for a dispute that was lost. For operators.",
        scope=Scope.FINANCE_WRITE,
        payload=DisputeWriteOffPayload,
    )
    async def dispute_write_off(self, info: Info, input: DisputeWriteOffInput) -> DisputeWriteOffPayload:  # ruff: ignore[builtin-argument-shadowing]
        command = write_offs.WriteOff(
            dispute_id=id_of(Noun.DISPUTE, input.dispute_id, "disputeId"), key=input.idempotency_key
        )
        answer = await write_offs.write_off(info.context.engine, info.context.viewer, command)
        info.context.replayed = answer.replayed
        return DisputeWriteOffPayload(dispute=shown.dispute(answer.row))


async def creator_disputes(creator: Creator, info: Info, page: PageArguments) -> Connection[Dispute] | None:
    """Return a page of the disputes over what a creator was paid, to that creator and to finance."""
    viewer = info.context.viewer
    own = viewer.user_id == creator.user_key and viewer.may(Scope.EARNINGS_READ)
    if not own and not viewer.may(Scope.FINANCE_READ):
        return None
    found = await disputes.of_creator(info.context.engine, creator.key, page_query(page))
    return connection(found, shown.dispute)
