"""Who may do what: every field with a permission, every role, somebody else's object."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson
import pytest
import pytest_asyncio
from graphql import ObjectTypeDefinitionNode, parse

from app.client import Client, GraphQLFailed
from app.graphql import printed_schema
from core.ids import Noun, encode, uuid7
from core.scopes import OPERATOR_SCOPES, PERSONAL_SCOPES, Scope
from ledger import AccountKind, chart
from providers.payments.base import DisputeState
from providers.payments.sandbox import SandboxControl
from services.addresses import COUNTRIES
from tests.api import digital_goods
from tests.api.books import move
from tests.api.shop import Shop, ask, do, nothing_of, pay, settle, unchanged, usd

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("goods")]

WORDS = "words for the two of them alone"
_FREE_COUNTRIES = iter(sorted(COUNTRIES))
ACCOUNTANT = "accountant"
"""Somebody of the platform's, who reads the books and nothing else."""


@dataclass(frozen=True)
class Permission:
    """What the schema says of a field: nobody may use it without the scope, but guests and operators where it
    says so."""

    scope: Scope
    guests: bool
    operators: bool


def _stated() -> tuple[dict[str, Permission], set[str]]:
    """Read from the printed schema which fields state a permission, and which root fields state none."""
    guarded: dict[str, Permission] = {}
    public: set[str] = set()
    for definition in parse(printed_schema()).definitions:
        if not isinstance(definition, ObjectTypeDefinitionNode):
            continue
        for declared in definition.fields or ():
            name = f"{definition.name.value}.{declared.name.value}"
            access = [found for found in declared.directives or () if found.name.value == "access"]
            if access:
                given: dict[str, Any] = {argument.name.value: argument.value for argument in access[0].arguments}
                guarded[name] = Permission(
                    Scope[given["scope"].value], given["guests"].value, given["operators"].value
                )
            elif definition.name.value in {"Query", "Mutation", "Subscription"}:
                public.add(name)
    return guarded, public


GUARDED, PUBLIC = _stated()


@dataclass
class Stage:
    """A shop with a tip and a purchase between the supporter and the creator, both paid.

    Another creator gave back one of the supporter's tips, and another one is disputed.
    """

    shop: Shop
    payment: str
    tip: str
    purchase: str
    user: str
    refund: str
    dispute: str
    method: str
    payout: str = ""
    zone: str = ""
    shipping_method: str = ""
    discount: str = ""
    collection: str = ""
    cart: str = ""
    order: str = ""
    sale: str = ""
    line: str = ""
    fulfilment: str = ""
    order_return: str = ""
    newcomers: int = field(default=0)

    def client(self, user: str | None, without: Scope | None = None, *, scopes: bool = True) -> Client:
        """Return somebody's client, without one scope or without any."""
        if user is None:
            return self.shop.world.client()
        granted = OPERATOR_SCOPES if user == ACCOUNTANT else PERSONAL_SCOPES
        return self.shop.world.client(user, granted - {without} if scopes else frozenset())

    @property
    def digital(self) -> str:
        """A product of the creator's with a file and licence keys."""
        return digital_goods.PRODUCT

    @property
    def licence(self) -> str:
        """A key of it that the supporter bought."""
        return digital_goods.LICENCE

    @property
    def creator(self) -> str:
        """Whom both were paid to."""
        return self.shop.creator

    @property
    def secrets(self) -> tuple[str, ...]:
        """What nobody but the two of them may be shown."""
        own = (self.payment, self.tip, self.purchase, self.user, self.refund, self.dispute, self.method)
        more = (self.payout, self.zone, self.shipping_method, self.discount, self.cart)
        more += (self.order, self.sale, self.line, self.fulfilment, self.order_return)
        digital = (digital_goods.MEDIA, digital_goods.LICENCE, digital_goods.LICENCE_KEY)
        return (*own, *digital, *filter(None, more), WORDS, self.shop.payment, self.shop.archived, self.location)

    @property
    def variant(self) -> str:
        """What the purchase was of."""
        return self.shop.variant

    @property
    def location(self) -> str:
        """Where the creator keeps it."""
        return self.shop.location


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def goods(shop: Shop) -> None:
    """Sell something digital."""
    await digital_goods.sell_digital_goods(shop)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(shop: Shop) -> Stage:
    """What everybody tries to get at."""
    tip = await do(shop.supporter, "tipCreate", creatorId=shop.creator, amount=usd("5.00"), message=WORDS)
    bought = await do(shop.supporter, "purchaseCreate", productId=shop.product)
    await pay(shop.supporter, tip["payment"]["id"], shop.world)
    await pay(shop.supporter, bought["payment"]["id"], shop.world)
    user = (await shop.supporter.run("{ me { id } }"))["me"]["id"]
    await shop.world.creator("gable")
    gable = shop.world.client("gable")
    returned = await do(gable, "refundCreate", paymentId=await _paid(shop, "gable"))
    dispute = await _disputed(shop, "gable")
    method = await _saved(shop, "supporter")
    await shop.world.client(ACCOUNTANT, OPERATOR_SCOPES).run("{ me { id } }")
    ids = (tip["payment"]["id"], tip["tip"]["id"], bought["purchase"]["id"], user, returned["refund"]["id"])
    return Stage(
        shop,
        *ids,
        dispute,
        method,
        payout=await _paid_out(shop),
        zone=await _zone(shop),
        shipping_method=await _shipping_method(shop),
        discount=await _discount(shop),
        collection=await _collection(shop),
        cart=await _cart(shop),
        **await _sent(shop),
    )


async def _ordered(shop: Shop, *, paid: bool = True) -> dict[str, str]:
    """Return an order of the supporter's of something that the creator ships, and what belongs to it."""
    # A country is in one zone of a creator's only, so that the first order makes it.
    zone = await ask(shop.owner, "shippingZoneCreate", creatorId=shop.creator, name="Home", countries=["US"])
    if not zone["errors"]:
        rates = [{"price": usd("0.00")}]
        await do(shop.owner, "shippingMethodCreate", zoneId=zone["zone"]["id"], name="Parcel", rates=rates)
    made = await do(
        shop.owner,
        "productCreate",
        creatorId=shop.creator,
        title="Sent by post",
        variants=[{"choices": [], "prices": [usd("5.00")], "requiresShipping": True, "weightGrams": 1}],
    )
    query = "query ($id: ID!) { product(id: $id) { variants { id } } }"
    variants = (await shop.owner.run(query, id=made["product"]["id"]))["product"]["variants"]
    street = {"name": "Ada Example", "line1": "1 Sample Street", "city": "Springfield"}
    home = {**street, "region": "IL", "postalCode": "62701", "country": "US"}
    cart = await do(
        shop.supporter,
        "cartCreate",
        currency="USD",
        lines=[{"variantId": variants[0]["id"], "quantity": 3}],
        address=home,
    )
    done = await do(shop.supporter, "checkoutComplete", cartId=cart["cart"]["id"], expectedTotal=usd("15.00"))
    if paid:
        await pay(shop.supporter, done["payment"]["id"], shop.world)
    query = "query ($id: ID!) { order(id: $id) { sales { id } lines { id } } }"
    found = (await shop.supporter.run(query, id=done["order"]["id"]))["order"]
    return {"order": done["order"]["id"], "sale": found["sales"][0]["id"], "line": found["lines"][0]["id"]}


async def _sent(shop: Shop) -> dict[str, str]:
    """Return such an order of which one was sent, and is coming back."""
    made = await _ordered(shop)
    lines = [{"lineId": made["line"], "quantity": 1}]
    sent = await do(shop.owner, "fulfilmentCreate", saleId=made["sale"], lines=lines)
    back = await do(shop.supporter, "orderReturnRequest", orderId=made["order"], lines=lines)
    return {**made, "fulfilment": sent["fulfilment"]["id"], "order_return": back["orderReturns"][0]["id"]}


async def _all_sent(shop: Shop) -> str:
    """Return such an order that was sent."""
    made = await _ordered(shop)
    await do(shop.owner, "fulfilmentCreate", saleId=made["sale"])
    return made["order"]


def _of_order(name: str, *, paid: bool = True) -> Callable[[Shop], Awaitable[str]]:
    """Return what makes an order, and returns its id or that of something that belongs to it."""

    async def prepare(shop: Shop) -> str:
        made = await (_sent(shop) if name in {"fulfilment", "order_return"} else _ordered(shop, paid=paid))
        return made[name]

    return prepare


async def _paid(shop: Shop, handle: str) -> str:
    """Return a settled payment of the supporter's to a creator."""
    found = await shop.nobody.run("query ($handle: String!) { creator(handle: $handle) { id } }", handle=handle)
    tip = await do(shop.supporter, "tipCreate", creatorId=found["creator"]["id"], amount=usd("5.00"))
    await pay(shop.supporter, tip["payment"]["id"], shop.world)
    return str(tip["payment"]["id"])


async def _disputed(shop: Shop, handle: str) -> str:
    """Return an open dispute over such a payment."""
    return await _dispute_of(shop, shop.world.key(Noun.PAYMENT, await _paid(shop, handle)))


async def _dispute_of(shop: Shop, payment: UUID) -> str:
    await SandboxControl(shop.world.engine.database.writer).open_dispute(str(payment))
    await settle(shop.world)
    found = await shop.world.scalar("select id from disputes where payment_id = $1", payment)
    return encode(Noun.DISPUTE, found)


async def _lost(shop: Shop) -> str:
    """Return a lost dispute for which the creator owes: what they earned was theirs, and they have it no more."""
    handle = f"debtor_{uuid7().hex[-8:]}"
    await shop.world.creator(handle)
    payment = shop.world.key(Noun.PAYMENT, await _paid(shop, handle))
    await shop.world.engine.database.writer.execute(
        "update payments set matured_at = now() where id = $1", payment
    )
    dispute = await _dispute_of(shop, payment)
    reference = await shop.world.scalar(
        "select provider_reference from disputes where id = $1", shop.world.key(Noun.DISPUTE, dispute)
    )
    await SandboxControl(shop.world.engine.database.writer).close_dispute(reference, DisputeState.LOST)
    await settle(shop.world)
    return dispute


async def _payable(shop: Shop, handle: str = "fable") -> str:
    """Give a creator something available and an account that is ready; return the creator's id."""
    found = await shop.nobody.run("query ($handle: String!) { creator(handle: $handle) { id } }", handle=handle)
    creator = str(found["creator"]["id"])
    clearing = chart.with_provider(AccountKind.CLEARING, "USD", "sandbox")
    available = chart.creator(AccountKind.AVAILABLE, "USD", shop.world.key(Noun.CREATOR, creator))
    await move(shop.world, clearing, available, 1_000)
    given = {"creatorId": creator, "country": "ZZ", "returnUrl": "https://front.test/"}
    await do(shop.world.client(handle), "creatorOnboard", **given)
    return creator


async def _paid_out(shop: Shop) -> str:
    """Return a payout of a creator's who has a schedule, too."""
    await shop.world.creator("payee")
    creator, payee = await _payable(shop, "payee"), shop.world.client("payee")
    given = {"creatorId": creator, "currency": "USD", "interval": "MANUAL", "minimum": usd("7.25")}
    await do(payee, "payoutScheduleSet", **given)
    return str((await do(payee, "payoutRequest", creatorId=creator, amount=usd("8.00")))["payout"]["id"])


async def _zone(shop: Shop) -> str:
    """Return a shipping zone of the creator's, in a country of its own."""
    made = await do(
        shop.owner, "shippingZoneCreate", creatorId=shop.creator, name="Zone", countries=[next(_FREE_COUNTRIES)]
    )
    return str(made["zone"]["id"])


async def _shipping_method(shop: Shop) -> str:
    """Return a way of shipping of the creator's."""
    given = {"zoneId": await _zone(shop), "name": "Parcel", "rates": [{"price": usd("5.00")}]}
    return str((await do(shop.owner, "shippingMethodCreate", **given))["method"]["id"])


async def _discount(shop: Shop) -> str:
    """Return a discount of the creator's."""
    given = {"creatorId": shop.creator, "title": "Less", "kind": "FREE_SHIPPING"}
    return str((await do(shop.owner, "discountCreate", **given))["discount"]["id"])


async def _saved(shop: Shop, user: str) -> str:
    """Return a saved payment method of somebody's."""
    payload = await do(shop.world.client(user), "paymentMethodSave", method="tok_success")
    return str(payload["paymentMethod"]["id"])


async def _reserved(shop: Shop) -> str:
    """Return a payment to the creator whose amount is reserved."""
    made = await do(
        shop.owner, "productCreate", creatorId=shop.creator, title="Later", price=usd("5.00"), manualCapture=True
    )
    bought = await do(shop.supporter, "purchaseCreate", productId=made["product"]["id"])
    await do(shop.supporter, "paymentConfirm", paymentId=bought["payment"]["id"], method="tok_success")
    await settle(shop.world)
    assert await shop.world.status(bought["payment"]["id"]) == "AUTHORIZED"
    return str(bought["payment"]["id"])


async def _sized(shop: Shop, part: str) -> str:
    """Return a product of the creator's that comes in two sizes, or a variant of it."""
    made = await do(
        shop.owner,
        "productCreate",
        creatorId=shop.creator,
        title="In sizes",
        options=["Size"],
        variants=[{"choices": [size], "prices": [usd("5.00")]} for size in "SM"],
    )
    product = str(made["product"]["id"])
    query = "query ($id: ID!) { product(id: $id) { variants { id } } }"
    variants = (await shop.owner.run(query, id=product))["product"]["variants"]
    return product if part == "product" else str(variants[0]["id"])


async def _collection(shop: Shop) -> str:
    """Return a collection of the creator's."""
    made = await do(
        shop.owner, "collectionCreate", creatorId=shop.creator, title="A choice", slug=f"slug-{uuid7()}"
    )
    return str(made["collection"]["id"])


async def _cart(shop: Shop) -> str:
    """Return a cart of the supporter's with the creator's variant in it."""
    made = await do(shop.supporter, "cartCreate", currency="USD", lines=[{"variantId": shop.variant}])
    return str(made["cart"]["id"])


async def _shelf(shop: Shop) -> str:
    """Return a place of the creator's that has nothing."""
    made = await do(shop.owner, "stockLocationCreate", creatorId=shop.creator, name=f"Shelf {uuid7()}")
    return str(made["location"]["id"])


async def _stocked(shop: Shop) -> str:
    """Return a variant of the creator's whose stock is counted."""
    return shop.variant


OUTSIDERS = ("nobody", "a stranger", "a stranger without scopes", "a guest of another payment", ACCOUNTANT)


def _outsider(stage: Stage, role: str) -> Client:
    return {
        "nobody": stage.shop.nobody,
        "a stranger": stage.shop.stranger,
        "a stranger without scopes": stage.client("stranger", scopes=False),
        "a guest of another payment": stage.shop.guest,
        ACCOUNTANT: stage.client(ACCOUNTANT),
    }[role]


# Reading ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reading:
    """A query for somebody's object; ``owners`` are who may see it, each with the scope it takes.

    ``of_each``: everybody who is signed in has one of their own.
    """

    query: str
    owners: Mapping[str, Scope]
    given: str | None = None
    missing: str | None = None
    nothing: Mapping[str, Any] | None = None
    of_each: bool = False


def _read(name: str) -> str:
    return f"query ($id: ID!) {{ found: {name}(id: $id) {{ id }} }}"


NOTHING = {"found": None}
READINGS: dict[str, list[Reading]] = {
    "Query.me": [
        Reading("{ found: me { id name } }", {"supporter": Scope.ACCOUNT_READ}, nothing=NOTHING, of_each=True)
    ],
    "Query.payment": [
        Reading(
            _read("payment"),
            {"supporter": Scope.ACCOUNT_READ, "fable": Scope.EARNINGS_READ},
            "payment",
            nothing_of(Noun.PAYMENT),
        )
    ],
    "Query.refund": [
        Reading(
            _read("refund"),
            {"supporter": Scope.ACCOUNT_READ, "gable": Scope.EARNINGS_READ, ACCOUNTANT: Scope.FINANCE_READ},
            "refund",
            nothing_of(Noun.REFUND),
        )
    ],
    "Query.dispute": [
        Reading(
            _read("dispute"),
            {"gable": Scope.EARNINGS_READ, ACCOUNTANT: Scope.FINANCE_READ},
            "dispute",
            nothing_of(Noun.DISPUTE),
        )
    ],
    "Creator.refunds": [
        Reading(
            '{ creator(handle: "gable") { found: refunds(first: 100) { totalCount nodes { id } } } }',
            {"gable": Scope.EARNINGS_READ, ACCOUNTANT: Scope.FINANCE_READ},
            nothing={"creator": NOTHING},
        )
    ],
    "Creator.disputes": [
        Reading(
            '{ creator(handle: "gable") { found: disputes(first: 100) { totalCount nodes { id } } } }',
            {"gable": Scope.EARNINGS_READ, ACCOUNTANT: Scope.FINANCE_READ},
            nothing={"creator": NOTHING},
        )
    ],
    "Query.payout": [
        Reading(
            _read("payout"),
            {"payee": Scope.EARNINGS_READ, ACCOUNTANT: Scope.FINANCE_READ},
            "payout",
            nothing_of(Noun.PAYOUT),
        )
    ],
    "Creator.payouts": [
        Reading(
            '{ creator(handle: "payee") { found: payouts(first: 100) { totalCount nodes { id } } } }',
            {"payee": Scope.EARNINGS_READ, ACCOUNTANT: Scope.FINANCE_READ},
            nothing={"creator": NOTHING},
        )
    ],
    "Creator.payoutAccount": [
        Reading(
            '{ creator(handle: "payee") { found: payoutAccount { country ready missing } } }',
            {"payee": Scope.EARNINGS_READ, ACCOUNTANT: Scope.FINANCE_READ},
            nothing={"creator": NOTHING},
        )
    ],
    "Creator.payoutSchedule": [
        Reading(
            '{ creator(handle: "payee") { found: payoutSchedule(currency: "USD") { minimum { amount } } } }',
            {"payee": Scope.EARNINGS_READ, ACCOUNTANT: Scope.FINANCE_READ},
            nothing={"creator": NOTHING},
        )
    ],
    "User.paymentMethods": [
        Reading(
            "{ me { found: paymentMethods(first: 100) { totalCount nodes { id } } } }",
            {"supporter": Scope.ACCOUNT_READ},
            nothing={"me": None},
            of_each=True,
        )
    ],
    "Query.tip": [
        Reading(
            _read("tip"),
            {"supporter": Scope.ACCOUNT_READ, "fable": Scope.EARNINGS_READ},
            "tip",
            nothing_of(Noun.TIP),
        )
    ],
    "Query.cart": [
        Reading(_read("cart"), {"supporter": Scope.ACCOUNT_READ}, "cart", nothing_of(Noun.CART)),
    ],
    "Query.order": [
        Reading(_read("order"), {"supporter": Scope.ACCOUNT_READ}, "order", nothing_of(Noun.ORDER)),
    ],
    "Query.sale": [
        Reading(
            _read("sale"),
            {"fable": Scope.SALES_READ, ACCOUNTANT: Scope.FINANCE_READ},
            "sale",
            nothing_of(Noun.SALE),
        )
    ],
    "User.orders": [
        Reading(
            "{ me { found: orders(first: 100) { totalCount nodes { id } } } }",
            {"supporter": Scope.ACCOUNT_READ},
            nothing={"me": None},
            of_each=True,
        )
    ],
    "Creator.sales": [
        Reading(
            '{ creator(handle: "fable") { found: sales(first: 100) { totalCount nodes { id } } } }',
            {"fable": Scope.SALES_READ, ACCOUNTANT: Scope.FINANCE_READ},
            nothing={"creator": NOTHING},
        )
    ],
    "Query.purchase": [
        Reading(
            _read("purchase"),
            {"supporter": Scope.ACCOUNT_READ, "fable": Scope.EARNINGS_READ},
            "purchase",
            nothing_of(Noun.PURCHASE),
        )
    ],
    "User.payments": [
        Reading(
            "{ me { found: payments(first: 100) { totalCount nodes { id } } } }",
            {"supporter": Scope.ACCOUNT_READ},
            nothing={"me": None},
            of_each=True,
        )
    ],
    "User.purchases": [
        Reading(
            "{ me { found: purchases(first: 100) { totalCount nodes { id } } } }",
            {"supporter": Scope.ACCOUNT_READ},
            nothing={"me": None},
            of_each=True,
        )
    ],
    "Creator.tips": [
        Reading(
            '{ creator(handle: "fable") { found: tips(first: 100) { totalCount nodes { id message } } } }',
            {"fable": Scope.EARNINGS_READ},
            nothing={"creator": NOTHING},
        )
    ],
    "Creator.shippingZones": [
        Reading(
            '{ creator(handle: "fable") { found: shippingZones(first: 100) {'
            " totalCount nodes { id methods { id rates { price { amount } } } } } } }",
            {"fable": Scope.PRODUCTS_WRITE},
            nothing={"creator": NOTHING},
        )
    ],
    "Creator.discounts": [
        Reading(
            '{ creator(handle: "fable") { found: discounts(first: 100) { totalCount nodes { id used } } } }',
            {"fable": Scope.PRODUCTS_WRITE},
            nothing={"creator": NOTHING},
        )
    ],
    "Creator.earnings": [
        Reading(
            '{ creator(handle: "fable") { found: earnings(currency: "USD") { lifetime { amount } } } }',
            {"fable": Scope.EARNINGS_READ},
            nothing={"creator": NOTHING},
        )
    ],
    "Creator.account": [
        Reading(
            '{ creator(handle: "fable") { found: account(kind: PENDING, currency: "USD") {'
            " posted { amount } statement(first: 100) { totalCount nodes { reference } } } } }",
            {"fable": Scope.EARNINGS_READ},
            nothing={"creator": NOTHING},
        )
    ],
    "Query.account": [
        Reading(
            'query ($id: ID!) { found: account(kind: PENDING, currency: "USD", owner: $id) {'
            " posted { amount } statement(first: 100) { totalCount nodes { reference } } } }",
            {ACCOUNTANT: Scope.FINANCE_READ},
            "creator",
            nothing_of(Noun.CREATOR),
        ),
        Reading(
            '{ found: account(kind: FEES, currency: "USD") {'
            " posted { amount } statement(first: 100) { totalCount nodes { reference } } } }",
            {ACCOUNTANT: Scope.FINANCE_READ},
            nothing=NOTHING,
        ),
    ],
    "Variant.files": [
        Reading(
            "query ($id: ID!) { product(id: $id) { variants { found: files { mediaId } } } }",
            {"fable": Scope.PRODUCTS_WRITE},
            "digital",
            nothing={"product": {"variants": [NOTHING]}},
        )
    ],
    "Variant.licenceKeys": [
        Reading(
            "query ($id: ID!) { product(id: $id) { variants {"
            " found: licenceKeys(first: 100) { totalCount nodes { id key } } } } }",
            {"fable": Scope.PRODUCTS_WRITE},
            "digital",
            nothing={"product": {"variants": [NOTHING]}},
        )
    ],
    "Query.node": [
        Reading(
            _read("node"),
            {"supporter": Scope.ACCOUNT_READ, "fable": Scope.PRODUCTS_WRITE},
            "licence",
            nothing_of(Noun.LICENCE),
        ),
        Reading(_read("node"), {"supporter": Scope.ACCOUNT_READ}, "user", nothing_of(Noun.USER)),
        Reading(
            _read("node"),
            {"supporter": Scope.ACCOUNT_READ, "fable": Scope.EARNINGS_READ},
            "payment",
            nothing_of(Noun.PAYMENT),
        ),
        Reading(
            _read("node"),
            {"supporter": Scope.ACCOUNT_READ, "gable": Scope.EARNINGS_READ, ACCOUNTANT: Scope.FINANCE_READ},
            "refund",
            nothing_of(Noun.REFUND),
        ),
        Reading(
            _read("node"),
            {"gable": Scope.EARNINGS_READ, ACCOUNTANT: Scope.FINANCE_READ},
            "dispute",
            nothing_of(Noun.DISPUTE),
        ),
        Reading(_read("node"), {"supporter": Scope.ACCOUNT_READ}, "method", nothing_of(Noun.PAYMENT_METHOD)),
        Reading(
            _read("node"),
            {"supporter": Scope.ACCOUNT_READ, "fable": Scope.EARNINGS_READ},
            "tip",
            nothing_of(Noun.TIP),
        ),
        Reading(
            _read("node"),
            {"supporter": Scope.ACCOUNT_READ, "fable": Scope.EARNINGS_READ},
            "purchase",
            nothing_of(Noun.PURCHASE),
        ),
        Reading(
            _read("node"),
            {"payee": Scope.EARNINGS_READ, ACCOUNTANT: Scope.FINANCE_READ},
            "payout",
            nothing_of(Noun.PAYOUT),
        ),
        Reading(_read("node"), {"supporter": Scope.ACCOUNT_READ}, "order", nothing_of(Noun.ORDER)),
        *(
            Reading(
                _read("node"),
                {
                    "supporter": Scope.ACCOUNT_READ,
                    "fable": Scope.SALES_READ,
                    ACCOUNTANT: Scope.FINANCE_READ,
                },
                name,
                nothing_of(noun),
            )
            for name, noun in (
                ("sale", Noun.SALE),
                ("line", Noun.ORDER_LINE),
                ("fulfilment", Noun.FULFILMENT),
                ("order_return", Noun.ORDER_RETURN),
            )
        ),
        Reading(_read("node"), {"fable": Scope.PRODUCTS_WRITE}, "archived", nothing_of(Noun.PRODUCT)),
        Reading(_read("node"), {"fable": Scope.PRODUCTS_WRITE}, "zone", nothing_of(Noun.SHIPPING_ZONE)),
        Reading(
            _read("node"), {"fable": Scope.PRODUCTS_WRITE}, "shipping_method", nothing_of(Noun.SHIPPING_METHOD)
        ),
        Reading(_read("node"), {"fable": Scope.PRODUCTS_WRITE}, "discount", nothing_of(Noun.DISCOUNT)),
        Reading(_read("node"), {"fable": Scope.PRODUCTS_WRITE}, "location", nothing_of(Noun.STOCK_LOCATION)),
    ],
    "Creator.stockLocations": [
        Reading(
            '{ creator(handle: "fable") { found: stockLocations(first: 100) { totalCount nodes { id } } } }',
            {"fable": Scope.PRODUCTS_WRITE},
            nothing={"creator": NOTHING},
        )
    ],
    "Creator.stockLevels": [
        Reading(
            '{ creator(handle: "fable") { found: stockLevels(first: 100) {'
            " totalCount nodes { onHand location { id } movements(first: 9) { totalCount } } } } }",
            {"fable": Scope.PRODUCTS_WRITE},
            nothing={"creator": NOTHING},
        )
    ],
    "Variant.stockLevels": [
        Reading(
            "query ($id: ID!) { node(id: $id) { ... on Variant { found: stockLevels { onHand location { id } } } } }",
            {"fable": Scope.PRODUCTS_WRITE},
            "variant",
            nothing={"node": NOTHING},
        )
    ],
    "Query.product": [
        Reading(_read("product"), {"fable": Scope.PRODUCTS_WRITE}, "archived", nothing_of(Noun.PRODUCT))
    ],
}

NAMED_READINGS = {
    " ".join(filter(None, (name, reading.given, number and str(number + 1)))): reading
    for name, readings in READINGS.items()
    for number, reading in enumerate(readings)
}
ALL_READINGS = [pytest.param(reading, id=name) for name, reading in NAMED_READINGS.items()]
FORBIDDEN_READINGS = [
    pytest.param(reading, role, id=f"{name} by {role}")
    for name, reading in NAMED_READINGS.items()
    for role in OUTSIDERS
    if role not in reading.owners
]


def _id(stage: Stage, reading: Reading) -> dict[str, str]:
    if reading.given is None:
        return {}
    return {"id": stage.shop.archived if reading.given == "archived" else getattr(stage, reading.given)}


FIGURES = ('"amount":"27.15"', '"amount":"4.75"', '"country":"ZZ"', '"amount":"7.25"')
"""What the owners of what has no id are shown."""


@pytest.mark.parametrize("reading", ALL_READINGS)
async def test_object_is_read_by_those_it_belongs_to(stage: Stage, reading: Reading) -> None:
    for owner in reading.owners:
        text = orjson.dumps(await stage.client(owner).full(reading.query, **_id(stage, reading))).decode()

        assert '"errors"' not in text
        assert any(secret in text for secret in (*stage.secrets, *FIGURES))


@pytest.mark.parametrize(("reading", "role"), FORBIDDEN_READINGS)
async def test_object_of_somebody_else_is_read_like_one_that_is_not_there(
    stage: Stage, reading: Reading, role: str
) -> None:
    client = _outsider(stage, role)

    answer = await client.full(reading.query, **_id(stage, reading))

    if reading.missing is not None:
        assert answer == await client.full(reading.query, id=reading.missing) == {"data": NOTHING}
    elif role != "a stranger" or not reading.of_each:
        assert answer == {"data": reading.nothing}
    text = orjson.dumps(answer).decode()
    assert not any(secret in text for secret in stage.secrets)


@pytest.mark.parametrize("reading", ALL_READINGS)
async def test_owner_without_the_scope_reads_nothing(stage: Stage, reading: Reading) -> None:
    for owner, scope in reading.owners.items():
        answer = await stage.client(owner, without=scope).full(reading.query, **_id(stage, reading))

        assert answer == {"data": reading.nothing or NOTHING}


@pytest.mark.parametrize(
    "name", ["Query.creator", "Query.creators", "Query.products", "Query.quote", "Creator.products"]
)
async def test_public_field_says_the_same_to_everybody(stage: Stage, name: str) -> None:
    query = {
        "Query.creator": '{ creator(handle: "fable") { id handle displayName bio active createdAt } }',
        "Query.creators": "{ creators(first: 100) { totalCount nodes { id handle } } }",
        "Query.products": "{ products(first: 100) { totalCount nodes { id title creator { handle } } } }",
        "Query.quote": f'{{ quote(input: {{kind: TIP, creatorId: "{stage.shop.creator}", '
        'amount: {amount: "5", currency: "USD"}}) { lines { amount { amount } } } }',
        "Creator.products": '{ creator(handle: "fable") { products(first: 100) { totalCount nodes { id } } } }',
    }[name]
    answers = [await _outsider(stage, role).full(query) for role in OUTSIDERS]

    assert answers == [answers[0]] * len(OUTSIDERS)
    assert "errors" not in answers[0]
    assert not any(secret in orjson.dumps(answers[0]).decode() for secret in stage.secrets)


# Doing ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Doing:
    """A mutation of ``owner``; ``foreign`` names the argument that holds the object, if it takes one.

    ``prepare`` makes an object that it can be done to.
    """

    owner: str
    given: Mapping[str, Any]
    foreign: tuple[str, Noun] | None = None
    prepare: Callable[[Shop], Awaitable[str]] | None = None


DOINGS: dict[str, Doing] = {
    "Mutation.creatorCreate": Doing("unborn", {"handle": "unborn", "displayName": "U"}),
    "Mutation.creatorUpdate": Doing("fable", {"bio": "Changed"}, ("creatorId", Noun.CREATOR)),
    "Mutation.productCreate": Doing("fable", {"title": "A", "price": usd("5.00")}, ("creatorId", Noun.CREATOR)),
    "Mutation.productUpdate": Doing("fable", {"title": "B"}, ("productId", Noun.PRODUCT)),
    "Mutation.productArchive": Doing("fable", {}, ("productId", Noun.PRODUCT)),
    "Mutation.variantCreate": Doing(
        "fable",
        {"variant": {"choices": ["L"], "prices": [usd("5.00")]}},
        ("productId", Noun.PRODUCT),
        lambda shop: _sized(shop, "product"),
    ),
    "Mutation.variantUpdate": Doing(
        "fable", {"sku": "B"}, ("variantId", Noun.VARIANT), lambda shop: _sized(shop, "variant")
    ),
    "Mutation.variantArchive": Doing(
        "fable", {}, ("variantId", Noun.VARIANT), lambda shop: _sized(shop, "variant")
    ),
    "Mutation.productPicturesSet": Doing("fable", {"pictures": ""}, ("productId", Noun.PRODUCT)),
    "Mutation.collectionCreate": Doing("fable", {"title": "A", "slug": "a-choice"}, ("creatorId", Noun.CREATOR)),
    "Mutation.collectionUpdate": Doing("fable", {"title": "B"}, ("collectionId", Noun.COLLECTION), _collection),
    "Mutation.collectionArchive": Doing("fable", {}, ("collectionId", Noun.COLLECTION), _collection),
    "Mutation.collectionProductsSet": Doing(
        "fable", {"productIds": ""}, ("collectionId", Noun.COLLECTION), _collection
    ),
    "Mutation.mediaUpload": Doing(
        "fable",
        {"kind": "DIGITAL", "fileName": "a", "contentType": "a/b", "size": "1"},
        ("creatorId", Noun.CREATOR),
    ),
    "Mutation.stockLocationCreate": Doing("fable", {"name": "The cellar"}, ("creatorId", Noun.CREATOR)),
    "Mutation.stockLocationUpdate": Doing("fable", {"position": 3}, ("locationId", Noun.STOCK_LOCATION)),
    "Mutation.stockLocationArchive": Doing("fable", {}, ("locationId", Noun.STOCK_LOCATION), _shelf),
    "Mutation.stockSet": Doing("fable", {"locationId": "", "onHand": 900}, ("variantId", Noun.VARIANT), _stocked),
    "Mutation.stockAdjust": Doing("fable", {"locationId": "", "by": 1}, ("variantId", Noun.VARIANT), _stocked),
    "Mutation.stockMove": Doing(
        "fable",
        {"fromLocationId": "", "toLocationId": "", "quantity": 1},
        ("variantId", Noun.VARIANT),
        _stocked,
    ),
    "Mutation.shippingZoneCreate": Doing(
        "fable", {"name": "Zone", "countries": ["ZW"]}, ("creatorId", Noun.CREATOR)
    ),
    "Mutation.shippingZoneUpdate": Doing("fable", {"name": "B"}, ("zoneId", Noun.SHIPPING_ZONE), _zone),
    "Mutation.shippingZoneArchive": Doing("fable", {}, ("zoneId", Noun.SHIPPING_ZONE), _zone),
    "Mutation.shippingMethodCreate": Doing(
        "fable",
        {"name": "Parcel", "rates": [{"price": usd("5.00")}]},
        ("zoneId", Noun.SHIPPING_ZONE),
        _zone,
    ),
    "Mutation.shippingMethodUpdate": Doing(
        "fable", {"name": "B"}, ("methodId", Noun.SHIPPING_METHOD), _shipping_method
    ),
    "Mutation.shippingMethodArchive": Doing("fable", {}, ("methodId", Noun.SHIPPING_METHOD), _shipping_method),
    "Mutation.discountCreate": Doing(
        "fable", {"title": "Less", "kind": "FREE_SHIPPING"}, ("creatorId", Noun.CREATOR)
    ),
    "Mutation.discountUpdate": Doing("fable", {"title": "B"}, ("discountId", Noun.DISCOUNT), _discount),
    "Mutation.discountArchive": Doing("fable", {}, ("discountId", Noun.DISCOUNT), _discount),
    "Mutation.tipCreate": Doing("supporter", {"creatorId": "", "amount": usd("5.00")}),
    "Mutation.cartCreate": Doing("supporter", {"currency": "USD"}),
    "Mutation.cartUpdate": Doing("supporter", {"email": "a@example.com"}, ("cartId", Noun.CART), _cart),
    "Mutation.checkoutComplete": Doing("supporter", {"expectedTotal": usd("10.00")}, ("cartId", Noun.CART), _cart),
    "Mutation.orderCancel": Doing("supporter", {}, ("orderId", Noun.ORDER), _of_order("order", paid=False)),
    "Mutation.fulfilmentCreate": Doing("fable", {}, ("saleId", Noun.SALE), _of_order("sale")),
    "Mutation.fulfilmentUpdate": Doing(
        "fable", {"carrier": "Post"}, ("fulfilmentId", Noun.FULFILMENT), _of_order("fulfilment")
    ),
    "Mutation.saleCancel": Doing("fable", {}, ("saleId", Noun.SALE), _of_order("sale")),
    "Mutation.saleRefund": Doing("fable", {}, ("saleId", Noun.SALE), _of_order("sale")),
    "Mutation.orderReturnRequest": Doing("supporter", {}, ("orderId", Noun.ORDER), _all_sent),
    "Mutation.orderReturnReceive": Doing("fable", {}, ("returnId", Noun.ORDER_RETURN), _of_order("order_return")),
    "Mutation.orderReturnDecline": Doing("fable", {}, ("returnId", Noun.ORDER_RETURN), _of_order("order_return")),
    "Mutation.orderReturnCancel": Doing(
        "supporter", {}, ("returnId", Noun.ORDER_RETURN), _of_order("order_return")
    ),
    "Mutation.purchaseCreate": Doing("supporter", {"productId": ""}),
    "Mutation.paymentConfirm": Doing("supporter", {"method": "tok_success"}, ("paymentId", Noun.PAYMENT)),
    "Mutation.paymentCancel": Doing("supporter", {}, ("paymentId", Noun.PAYMENT)),
    "Mutation.paymentCapture": Doing("fable", {}, ("paymentId", Noun.PAYMENT), _reserved),
    "Mutation.paymentMethodSave": Doing("supporter", {"method": "tok_success"}),
    "Mutation.paymentMethodRemove": Doing(
        "supporter",
        {},
        ("paymentMethodId", Noun.PAYMENT_METHOD),
        lambda shop: _saved(shop, "supporter"),
    ),
    "Mutation.refundCreate": Doing("fable", {}, ("paymentId", Noun.PAYMENT), lambda shop: _paid(shop, "fable")),
    "Mutation.disputeAnswer": Doing(
        "gable",
        {"evidence": {"uncategorizedText": "Look."}},
        ("disputeId", Noun.DISPUTE),
        lambda shop: _disputed(shop, "gable"),
    ),
    "Mutation.payoutRequest": Doing("fable", {"amount": usd("1.00")}, ("creatorId", Noun.CREATOR), _payable),
    "Mutation.payoutScheduleSet": Doing(
        "fable", {"currency": "USD", "interval": "DAILY"}, ("creatorId", Noun.CREATOR)
    ),
    "Mutation.variantFilesSet": Doing(
        "fable", {"mediaIds": [digital_goods.MEDIA]}, ("variantId", Noun.VARIANT), digital_goods.digital_variant
    ),
    "Mutation.licenceKeysUpload": Doing(
        "fable", {"keys": ["ONE-MORE-KEY"]}, ("variantId", Noun.VARIANT), digital_goods.digital_variant
    ),
    "Mutation.licenceKeyActivate": Doing("supporter", {"key": digital_goods.LICENCE_KEY, "instance": "desk"}),
    "Mutation.licenceKeyDeactivate": Doing("supporter", {"key": digital_goods.LICENCE_KEY, "instance": "desk"}),
    "Mutation.licenceKeyRotate": Doing("supporter", {}, ("licenceId", Noun.LICENCE), digital_goods.sold_licence),
    "Mutation.creatorOnboard": Doing(
        "fable", {"country": "ZZ", "returnUrl": "https://front.test/"}, ("creatorId", Noun.CREATOR)
    ),
    "Mutation.disputeWriteOff": Doing(ACCOUNTANT, {}, ("disputeId", Noun.DISPUTE), _lost),
}


def _input(stage: Stage, doing: Doing, foreign: str | None = None) -> dict[str, Any]:
    objects = {
        "creatorId": stage.shop.creator,
        "productId": stage.shop.product,
        "collectionId": stage.collection,
        "cartId": stage.cart,
        "productIds": [stage.shop.product],
        "pictures": [],
        "paymentId": stage.shop.payment,
        "disputeId": stage.dispute,
        "paymentMethodId": stage.method,
        "orderId": stage.order,
        "saleId": stage.sale,
        "fulfilmentId": stage.fulfilment,
        "returnId": stage.order_return,
        "zoneId": stage.zone,
        "methodId": stage.shipping_method,
        "discountId": stage.discount,
        "locationId": stage.location,
        "fromLocationId": stage.location,
        "toLocationId": stage.shop.attic,
        "variantId": digital_goods.VARIANT,
        "licenceId": stage.licence,
    }
    given = {name: value or objects[name] for name, value in doing.given.items()}
    if doing.foreign is not None:
        given[doing.foreign[0]] = foreign or objects[doing.foreign[0]]
    return given


def _codes(payload: Mapping[str, Any]) -> list[str]:
    assert all(value is None for name, value in payload.items() if name != "errors") or not payload["errors"]
    return [error["code"] for error in payload["errors"]]


@pytest.mark.parametrize("role", OUTSIDERS)
@pytest.mark.parametrize("name", DOINGS)
async def test_mutation_of_somebody_elses_object_is_refused_and_does_nothing(
    stage: Stage, name: str, role: str
) -> None:
    doing, permission = DOINGS[name], GUARDED[name]
    mutation = name.partition(".")[2]
    client = _outsider(stage, role)
    signed_in = role.startswith("a stranger")
    if role == ACCOUNTANT and (permission.operators or doing.owner == ACCOUNTANT):
        # Operators may, with anybody's.
        return
    if role in {"a stranger without scopes", ACCOUNTANT} or (signed_in and permission.scope in OPERATOR_SCOPES):
        expected, stored = "FORBIDDEN", 0
    elif not signed_in and not permission.guests:
        expected, stored = "UNAUTHENTICATED", 0
    elif doing.foreign is None:
        # With the scope, or as a guest, anybody may: it makes something of their own.
        return
    else:
        expected, stored = "NOT_FOUND", 0

    async with unchanged(stage.shop.world, requests=stored):
        theirs = await ask(client, mutation, **_input(stage, doing))
    assert _codes(theirs) == [expected]
    if doing.foreign is not None:
        async with unchanged(stage.shop.world, requests=stored):
            missing = await ask(client, mutation, **_input(stage, doing, nothing_of(doing.foreign[1])))
        assert theirs == missing


@pytest.mark.parametrize("name", DOINGS)
async def test_mutation_without_its_scope_is_refused_and_does_nothing(stage: Stage, name: str) -> None:
    doing, permission = DOINGS[name], GUARDED[name]
    await stage.client(doing.owner).run("{ me { id } }")
    client = stage.client(doing.owner, without=permission.scope)

    async with unchanged(stage.shop.world):
        payload = await ask(client, name.partition(".")[2], **_input(stage, doing))

    assert _codes(payload) == ["FORBIDDEN"]
    assert permission.scope.value in payload["errors"][0]["message"]


@pytest.mark.parametrize("name", [name for name in DOINGS if name != "Mutation.productArchive"])
async def test_mutation_with_nothing_but_its_scope_is_done(shop: Shop, name: str) -> None:
    doing, permission = DOINGS[name], GUARDED[name]
    client = shop.world.client(doing.owner, frozenset([permission.scope]))
    stage = Stage(shop, "", "", "", "", "", "", "")
    given = _input(stage, doing)
    if doing.foreign is not None and doing.prepare is not None:
        given[doing.foreign[0]] = await doing.prepare(shop)
    elif "paymentId" in given:
        given["paymentId"] = (await shop.world.tip(shop.supporter, shop.creator))["payment"]["id"]

    payload = await ask(client, name.partition(".")[2], **given)

    assert payload["errors"] == []


# Watching ---------------------------------------------------------------------------------------------------


WATCHES: dict[str, tuple[str, str, Noun, str]] = {
    "Subscription.paymentStatus": (
        "subscription ($id: ID!) { paymentStatus(paymentId: $id) { payment { id } } }",
        "supporter",
        Noun.PAYMENT,
        "payment",
    ),
    "Subscription.orderStatus": (
        "subscription ($id: ID!) { orderStatus(orderId: $id) { order { id } } }",
        "supporter",
        Noun.ORDER,
        "order",
    ),
    "Subscription.creatorActivity": (
        "subscription ($id: ID!) { creatorActivity(creatorId: $id) { recent { tip { message } } } }",
        "fable",
        Noun.CREATOR,
        "creator",
    ),
}


@pytest.mark.parametrize("role", [*OUTSIDERS, "its owner without the scope"])
@pytest.mark.parametrize("name", WATCHES)
async def test_object_of_somebody_else_is_watched_like_one_that_is_not_there(
    stage: Stage, name: str, role: str
) -> None:
    query, owner, noun, kind = WATCHES[name]
    given = {"payment": stage.payment, "order": stage.order, "creator": stage.shop.creator}[kind]
    client = stage.client(owner, without=GUARDED[name].scope) if role.startswith("its") else _outsider(stage, role)
    errors = []
    async with client.socket() as socket:
        for wanted in (given, nothing_of(noun)):
            stream = await socket.subscribe(query, id=wanted)
            with pytest.raises(GraphQLFailed) as failed:
                await stream.next()
            errors.append(failed.value.errors)

    assert errors[0] == errors[1]
    assert [error["extensions"]["code"] for error in errors[0]] == ["NOT_FOUND"]


@pytest.mark.parametrize("name", WATCHES)
async def test_object_is_watched_by_its_owner_with_nothing_but_the_scope(stage: Stage, name: str) -> None:
    query, owner, _, kind = WATCHES[name]
    client = stage.shop.world.client(owner, frozenset([GUARDED[name].scope]))

    async with client.socket() as socket:
        given = {"payment": stage.payment, "order": stage.order, "creator": stage.shop.creator}[kind]
        stream = await socket.subscribe(query, id=given)

        assert await stream.next()


# Nothing is forgotten ---------------------------------------------------------------------------------------


async def test_every_field_with_a_permission_has_its_case() -> None:
    assert set(READINGS) | set(DOINGS) | set(WATCHES) >= set(GUARDED)


async def test_every_root_field_without_a_permission_is_known_to_be_public() -> None:
    assert {
        "Query.node",
        "Query.creator",
        "Query.creators",
        "Query.product",
        "Query.products",
        "Query.collection",
        "Query.collections",
        "Query.quote",
        "Query.licenceKey",
    } == PUBLIC


async def test_every_mutation_and_subscription_states_its_permission() -> None:
    assert set(DOINGS) == {name for name in GUARDED if name.startswith("Mutation.")}
    assert set(WATCHES) == {name for name in GUARDED if name.startswith("Subscription.")}
