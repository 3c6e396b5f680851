"""Users: the person behind the credential."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry

from schema.base import Info, Node, access, computed, edge, nested
from schema.connections import SORT, WHERE, After, Before, Connection, First, Last, PageArguments
from schema.creators import Creator
from schema.enums import Scope
from schema.methods import PaymentMethod
from schema.orders import Order, OrderWhere
from schema.payments import Payment, PaymentWhere
from schema.purchases import Purchase
from schema.sorts import OrderSort, PaymentSort


@strawberry.type(description="A person who signs in.")
class User(Node):
    key: strawberry.Private[UUID]
    name: str | None = strawberry.field(description="What they are called, if they said so.")
    created_at: datetime = strawberry.field(description="When they first signed in.")
    creator: Creator | None = edge(
        "creator_of_user", key=lambda user: user.key, description="The creator they are, if they are one."
    )

    @computed(description="The payments they made.", directives=access(Scope.ACCOUNT_READ))
    async def payments(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        where: Annotated[PaymentWhere | None, WHERE] = None,
        sort: Annotated[PaymentSort, SORT] = PaymentSort.NEWEST,
    ) -> Connection[Payment] | None:
        page = PageArguments(first, after, last, before)
        result: Connection[Payment] | None = await nested("user_payments")(self, info, page, where, sort)
        return result

    @computed(description="What they bought, newest first.", directives=access(Scope.ACCOUNT_READ))
    async def purchases(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Purchase] | None:
        page = PageArguments(first, after, last, before)
        result: Connection[Purchase] | None = await nested("user_purchases")(self, info, page)
        return result

    @computed(description="What they ordered.", directives=access(Scope.ACCOUNT_READ))
    async def orders(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        where: Annotated[OrderWhere | None, WHERE] = None,
        sort: Annotated[OrderSort, SORT] = OrderSort.NEWEST,
    ) -> Connection[Order] | None:
        page = PageArguments(first, after, last, before)
        result: Connection[Order] | None = await nested("user_orders")(self, info, page, where, sort)
        return result

    @computed(
        description="The payment methods they saved, the newest first.", directives=access(Scope.ACCOUNT_READ)
    )
    async def payment_methods(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[PaymentMethod] | None:
        page = PageArguments(first, after, last, before)
        result: Connection[PaymentMethod] | None = await nested("user_methods")(self, info, page)
        return result
