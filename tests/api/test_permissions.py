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
from tests.api.books import move
from tests.api.shop import Shop, ask, do, nothing_of, pay, settle, unchanged, usd

pytestmark = pytest.mark.asyncio(loop_scope="module")

WORDS = "words for the two of them alone"
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
    newcomers: int = field(default=0)

    def client(self, user: str | None, without: Scope | None = None, *, scopes: bool = True) -> Client:
        """Return somebody's client, without one scope or without any."""
        if user is None:
            return self.shop.world.client()
        granted = OPERATOR_SCOPES if user == ACCOUNTANT else PERSONAL_SCOPES
        return self.shop.world.client(user, granted - {without} if scopes else frozenset())

    @property
    def creator(self) -> str:
        """Whom both were paid to."""
        return self.shop.creator

    @property
    def secrets(self) -> tuple[str, ...]:
        """What nobody but the two of them may be shown."""
        own = (self.payment, self.tip, self.purchase, self.user, self.refund, self.dispute, self.method)
        return (*own, *filter(None, [self.payout]), WORDS, self.shop.payment, self.shop.archived)


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
    return Stage(shop, *ids, dispute, method, await _paid_out(shop))


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
    "Query.node": [
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
        Reading(_read("node"), {"fable": Scope.PRODUCTS_WRITE}, "archived", nothing_of(Noun.PRODUCT)),
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


FIGURES = ('"amount":"13.65"', '"amount":"4.75"', '"country":"ZZ"', '"amount":"7.25"')
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
    "Mutation.tipCreate": Doing("supporter", {"creatorId": "", "amount": usd("5.00")}),
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
    "Mutation.creatorOnboard": Doing(
        "fable", {"country": "ZZ", "returnUrl": "https://front.test/"}, ("creatorId", Noun.CREATOR)
    ),
    "Mutation.disputeWriteOff": Doing(ACCOUNTANT, {}, ("disputeId", Noun.DISPUTE), _lost),
}


def _input(stage: Stage, doing: Doing, foreign: str | None = None) -> dict[str, Any]:
    objects = {
        "creatorId": stage.shop.creator,
        "productId": stage.shop.product,
        "paymentId": stage.shop.payment,
        "disputeId": stage.dispute,
        "paymentMethodId": stage.method,
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
    given = stage.payment if kind == "payment" else stage.shop.creator
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
        stream = await socket.subscribe(query, id=stage.payment if kind == "payment" else stage.shop.creator)

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
        "Query.quote",
    } == PUBLIC


async def test_every_mutation_and_subscription_states_its_permission() -> None:
    assert set(DOINGS) == {name for name in GUARDED if name.startswith("Mutation.")}
    assert set(WATCHES) == {name for name in GUARDED if name.startswith("Subscription.")}
