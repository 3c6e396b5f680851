"""Payment methods kept for later: saving, listing and removing one's own."""

import strawberry

from core.ids import Noun
from core.scopes import Scope
from resolvers import shown
from resolvers.context import Info
from resolvers.fields import id_of, mutation
from resolvers.pages import connection, page_query
from schema.connections import Connection, PageArguments
from schema.methods import (
    PaymentMethod,
    PaymentMethodRemoveInput,
    PaymentMethodRemovePayload,
    PaymentMethodSaveInput,
    PaymentMethodSavePayload,
)
from schema.users import User
from services import methods


@strawberry.type
class PaymentMethodMutation:
    @mutation(
        description="Have the payment provider keep a method of yours for later.",
        scope=Scope.PAYMENTS_WRITE,
        payload=PaymentMethodSavePayload,
    )
    async def payment_method_save(self, info: Info, input: PaymentMethodSaveInput) -> PaymentMethodSavePayload:  # ruff: ignore[builtin-argument-shadowing]
        command = methods.SaveMethod(method=input.method, key=input.idempotency_key)
        answer = await methods.save(info.context.engine, info.context.viewer, command)
        info.context.replayed = answer.replayed
        return PaymentMethodSavePayload(payment_method=shown.payment_method(answer.row))

    @mutation(
        description="Have the payment provider forget a method of yours. From then on it cannot be paid with.",
        scope=Scope.PAYMENTS_WRITE,
        payload=PaymentMethodRemovePayload,
    )
    async def payment_method_remove(
        self,
        info: Info,
        input: PaymentMethodRemoveInput,  # ruff: ignore[builtin-argument-shadowing]
    ) -> PaymentMethodRemovePayload:
        command = methods.RemoveMethod(
            method_id=id_of(Noun.PAYMENT_METHOD, input.payment_method_id, "paymentMethodId"),
            key=input.idempotency_key,
        )
        answer = await methods.remove(info.context.engine, info.context.viewer, command)
        info.context.replayed = answer.replayed
        return PaymentMethodRemovePayload(payment_method=shown.payment_method(answer.row))


async def user_methods(user: User, info: Info, page: PageArguments) -> Connection[PaymentMethod] | None:
    """Return a page of the methods one can pay with, to oneself."""
    viewer = info.context.viewer
    if viewer.user_id != user.key or not viewer.may(Scope.ACCOUNT_READ):
        return None
    found = await methods.of_user(info.context.engine, user.key, page_query(page))
    return connection(found, shown.payment_method)
