"""Creators: who is paid."""

from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import strawberry

from schema.accounts import Account, CreatorAccountKind
from schema.base import Info, Node, access, computed, nested
from schema.connections import (
    SORT,
    WHERE,
    After,
    Before,
    Connection,
    DateTimeFilter,
    First,
    Last,
    PageArguments,
    StringFilter,
)
from schema.earnings import Earnings
from schema.enums import Scope
from schema.errors import Payload
from schema.scalars import CurrencyCode
from schema.sorts import DiscountSort, PayoutSort, ProductSort, SaleSort, ShippingZoneSort, StockLevelSort, TipSort

if TYPE_CHECKING:
    from schema.discounts import Discount, DiscountWhere
    from schema.disputes import Dispute
    from schema.payouts import Payout, PayoutAccount, PayoutSchedule, PayoutWhere
    from schema.products import Product, ProductWhere
    from schema.refunds import Refund
    from schema.sales import Sale, SaleWhere
    from schema.shipping import ShippingZone
    from schema.stock import StockLevel, StockLevelWhere, StockLocation
    from schema.tips import Tip, TipWhere


@strawberry.input(description="Which creators; all conditions that are given must hold.")
class CreatorWhere:
    handle: StringFilter | None = strawberry.field(default=None, description="By handle.")
    display_name: StringFilter | None = strawberry.field(default=None, description="By display name.")
    created_at: DateTimeFilter | None = strawberry.field(default=None, description="By when they began.")
    and_: list["CreatorWhere"] | None = strawberry.field(
        default=None, name="AND", description="All of these hold."
    )
    or_: list["CreatorWhere"] | None = strawberry.field(
        default=None, name="OR", description="At least one of these holds."
    )


@strawberry.type(description="Somebody who is paid: tipped, and bought from.")
class Creator(Node):
    key: strawberry.Private[UUID]
    user_key: strawberry.Private[UUID]
    handle: str = strawberry.field(description="Their unique name in addresses.")
    display_name: str = strawberry.field(description="Their name for people.")
    bio: str | None = strawberry.field(description="A few words about them.")
    active: bool = strawberry.field(description="Whether they take payments at present.")
    created_at: datetime = strawberry.field(description="When they became a creator.")

    @computed(
        description="The tips they were given, whatever became of them. Null unless you are this creator.",
        directives=access(Scope.EARNINGS_READ),
    )
    async def tips(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        where: Annotated[Annotated["TipWhere", strawberry.lazy("schema.tips")] | None, WHERE] = None,
        sort: Annotated[TipSort, SORT] = TipSort.NEWEST,
    ) -> Connection[Annotated["Tip", strawberry.lazy("schema.tips")]] | None:
        page = PageArguments(first, after, last, before)
        result: Connection[Tip] | None = await nested("creator_tips")(self, info, page, where, sort)
        return result

    @computed(description="What they sell. The creator also sees what is archived.")
    async def products(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        where: Annotated[Annotated["ProductWhere", strawberry.lazy("schema.products")] | None, WHERE] = None,
        sort: Annotated[ProductSort, SORT] = ProductSort.NEWEST,
    ) -> Connection[Annotated["Product", strawberry.lazy("schema.products")]]:
        page = PageArguments(first, after, last, before)
        result: Connection[Product] = await nested("creator_products")(self, info, page, where, sort)
        return result

    @computed(
        description="What they earned in a currency. Null unless you are this creator.",
        directives=access(Scope.EARNINGS_READ),
    )
    async def earnings(
        self,
        info: Info,
        currency: Annotated[CurrencyCode, strawberry.argument(description="In which currency.")],
        since: Annotated[date | None, strawberry.argument(description="The first UTC day that counts.")] = None,
        until: Annotated[date | None, strawberry.argument(description="The last UTC day that counts.")] = None,
    ) -> Earnings | None:
        result: Earnings | None = await nested("creator_earnings")(self, info, currency, since, until)
        return result

    @computed(
        description="The refunds of what they were paid, the newest first. Null unless you are this creator, or "
        "of the platform's finance staff.",
        directives=access(Scope.EARNINGS_READ),
    )
    async def refunds(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[Annotated["Refund", strawberry.lazy("schema.refunds")]] | None:
        page = PageArguments(first, after, last, before)
        result: Connection[Refund] | None = await nested("creator_refunds")(self, info, page)
        return result

    @computed(
        description="What of orders they sold. Null unless you are this creator, or of the platform's finance "
        "staff.",
        directives=access(Scope.SALES_READ),
    )
    async def sales(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        where: Annotated[Annotated["SaleWhere", strawberry.lazy("schema.sales")] | None, WHERE] = None,
        sort: Annotated[SaleSort, SORT] = SaleSort.NEWEST,
    ) -> Connection[Annotated["Sale", strawberry.lazy("schema.sales")]] | None:
        page = PageArguments(first, after, last, before)
        result: Connection[Sale] | None = await nested("creator_sales")(self, info, page, where, sort)
        return result

    @computed(
        description="The disputes over what they were paid, the newest first. Null unless you are this creator, "
        "or of the platform's finance staff.",
        directives=access(Scope.EARNINGS_READ),
    )
    async def disputes(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[Annotated["Dispute", strawberry.lazy("schema.disputes")]] | None:
        page = PageArguments(first, after, last, before)
        result: Connection[Dispute] | None = await nested("creator_disputes")(self, info, page)
        return result

    @computed(
        description="One of their accounts. Null unless you are this creator. Several that are asked for together "
        "are read at one moment.",
        directives=access(Scope.EARNINGS_READ),
    )
    async def account(
        self,
        info: Info,
        kind: Annotated[CreatorAccountKind, strawberry.argument(description="Which of them.")],
        currency: Annotated[CurrencyCode, strawberry.argument(description="In which currency.")],
    ) -> Account | None:
        result: Account | None = await nested("creator_account")(self, info, kind, currency)
        return result

    @computed(
        description="What was paid out to them, or is on its way. Null unless you are this creator, or finance.",
        directives=access(Scope.EARNINGS_READ),
    )
    async def payouts(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        where: Annotated[Annotated["PayoutWhere", strawberry.lazy("schema.payouts")] | None, WHERE] = None,
        sort: Annotated[PayoutSort, SORT] = PayoutSort.NEWEST,
    ) -> Connection[Annotated["Payout", strawberry.lazy("schema.payouts")]] | None:
        page = PageArguments(first, after, last, before)
        result: Connection[Payout] | None = await nested("creator_payouts")(self, info, page, where, sort)
        return result

    @computed(
        description="Their account with the payment provider; null before `creatorOnboard`, and unless you are "
        "this creator, or finance.",
        directives=access(Scope.EARNINGS_READ),
    )
    async def payout_account(
        self, info: Info
    ) -> Annotated["PayoutAccount", strawberry.lazy("schema.payouts")] | None:
        result: PayoutAccount | None = await nested("creator_payout_account")(self, info)
        return result

    @computed(
        description="When a currency is paid out by itself; null if that was never set, and unless you are this "
        "creator, or finance.",
        directives=access(Scope.EARNINGS_READ),
    )
    async def payout_schedule(
        self,
        info: Info,
        currency: Annotated[CurrencyCode, strawberry.argument(description="Of which currency.")],
    ) -> Annotated["PayoutSchedule", strawberry.lazy("schema.payouts")] | None:
        result: PayoutSchedule | None = await nested("creator_payout_schedule")(self, info, currency)
        return result

    @computed(
        description="The places they keep stock at, in their order. Null unless you are this creator.",
        directives=access(Scope.PRODUCTS_WRITE),
    )
    async def stock_locations(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[Annotated["StockLocation", strawberry.lazy("schema.stock")]] | None:
        page = PageArguments(first, after, last, before)
        result: Connection[StockLocation] | None = await nested("creator_stock_locations")(self, info, page)
        return result

    @computed(
        description="How many of what they have where. Null unless you are this creator.",
        directives=access(Scope.PRODUCTS_WRITE),
    )
    async def stock_levels(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        where: Annotated[Annotated["StockLevelWhere", strawberry.lazy("schema.stock")] | None, WHERE] = None,
        sort: Annotated[StockLevelSort, SORT] = StockLevelSort.NEWEST,
    ) -> Connection[Annotated["StockLevel", strawberry.lazy("schema.stock")]] | None:
        page = PageArguments(first, after, last, before)
        result: Connection[StockLevel] | None = await nested("creator_stock_levels")(self, info, page, where, sort)
        return result

    @computed(
        description="Where they ship to, archived zones included. Null unless you are this creator.",
        directives=access(Scope.PRODUCTS_WRITE),
    )
    async def shipping_zones(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        sort: Annotated[ShippingZoneSort, SORT] = ShippingZoneSort.NEWEST,
    ) -> Connection[Annotated["ShippingZone", strawberry.lazy("schema.shipping")]] | None:
        page = PageArguments(first, after, last, before)
        result: Connection[ShippingZone] | None = await nested("creator_shipping_zones")(self, info, page, sort)
        return result

    @computed(
        description="The discounts they give, archived ones included. Null unless you are this creator.",
        directives=access(Scope.PRODUCTS_WRITE),
    )
    async def discounts(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        where: Annotated[Annotated["DiscountWhere", strawberry.lazy("schema.discounts")] | None, WHERE] = None,
        sort: Annotated[DiscountSort, SORT] = DiscountSort.NEWEST,
    ) -> Connection[Annotated["Discount", strawberry.lazy("schema.discounts")]] | None:
        page = PageArguments(first, after, last, before)
        result: Connection[Discount] | None = await nested("creator_discounts")(self, info, page, where, sort)
        return result


@strawberry.input(description="Become a creator.")
class CreatorCreateInput:
    idempotency_key: str = strawberry.field(description="Sent again with the same key it happens once.")
    handle: str = strawberry.field(
        description="3 to 30 small letters, digits and underscores, neither beginning nor ending with one."
    )
    display_name: str = strawberry.field(description="The name for people, 1 to 80 characters.")
    bio: str | None = strawberry.field(default=None, description="A few words, at most 2,000 characters.")


@strawberry.input(description="Change a creator of yours. What is not given stays as it is.")
class CreatorUpdateInput:
    idempotency_key: str = strawberry.field(description="Sent again with the same key it happens once.")
    creator_id: strawberry.ID = strawberry.field(description="Which creator.")
    display_name: str | None = strawberry.field(default=None, description="1 to 80 characters.")
    bio: str | None = strawberry.field(default=None, description="At most 2,000 characters.")
    active: bool | None = strawberry.field(
        default=None, description="An inactive creator takes no new payments; those under way go on."
    )


@strawberry.type(description="The creator that was made.")
class CreatorCreatePayload(Payload):
    creator: Creator | None = strawberry.field(default=None, description="The creator.")


@strawberry.type(description="The creator as it is now.")
class CreatorUpdatePayload(Payload):
    creator: Creator | None = strawberry.field(default=None, description="The creator.")
