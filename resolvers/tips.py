"""Tips: giving one, and reading one."""

import strawberry

from core.ids import Noun
from core.scopes import Scope
from resolvers import shown
from resolvers.context import Info
from resolvers.fields import Id, id_of, mutation, query
from resolvers.loaders import may_see_part
from resolvers.payments import guest_token
from schema.tips import Tip, TipCreateInput, TipCreatePayload
from services import tips


@strawberry.type
class TipQuery:
    @query(
        description="A tip by its id, for who gave it and who received it, or with its payment's token; "
        "null for anybody else.",
        scope=Scope.ACCOUNT_READ,
        guests=True,
    )
    async def tip(self, info: Info, id: Id) -> Tip | None:  # ruff: ignore[builtin-argument-shadowing] - the contract's name
        rows = await tips.by_id(info.context.engine, [id_of(Noun.TIP, id, "id")])
        visible = rows and may_see_part(info.context.viewer, rows[0], "giver_id")
        return shown.tip(rows[0]) if visible else None


@strawberry.type
class TipMutation:
    @mutation(
        description="Give a tip and start its payment. Guests may, with a random UUID as key.",
        scope=Scope.TIPS_WRITE,
        payload=TipCreatePayload,
        guests=True,
    )
    async def tip_create(self, info: Info, input: TipCreateInput) -> TipCreatePayload:  # ruff: ignore[builtin-argument-shadowing]
        command = tips.SendTip(
            creator_id=id_of(Noun.CREATOR, input.creator_id, "creatorId"),
            amount=input.amount.parsed(),
            message=input.message,
            key=input.idempotency_key,
        )
        sent = await tips.send(info.context.engine, info.context.viewer, command)
        info.context.replayed = sent.replayed
        row = {
            **sent.payment,
            "id": sent.tip_id,
            "payment_id": sent.payment["id"],
            "giver_id": sent.payment["payer_id"],
            "message": command.message,
        }
        return TipCreatePayload(
            tip=shown.tip(row),
            payment=shown.payment(sent.payment),
            payment_token=guest_token(info, sent.payment),
        )
