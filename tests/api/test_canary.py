"""Nothing that a person sent and no secret gets into a log, a metric or a column that operators read.

A word is planted wherever a client, a payer or a provider can write, everything is done and broken in turn, and
then it is looked for.
"""

import io
import json
import logging
import traceback
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import httpx
import orjson
import pytest
import structlog
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLScalarType,
    build_schema,
)

from app.graphql import printed_schema
from app.logs import configure_logs
from core.clock import now, wall
from core.ids import Noun, encode, uuid7
from core.scopes import Scope
from providers.payments.base import ProviderAction, ProviderError, ProviderErrorCode, Subject
from providers.payments.sandbox.webhooks import sign, signing_keys
from services import reconciliation, webhooks
from tests.api.shop import a_while_passes, settle
from tests.support.stripe_desk import KEY, Desk, running_desk
from tests.support.world import World, running_world

WORD = "zugvogel"
CARD = "4242424242424242"
MUTATION = build_schema(printed_schema()).mutation_type
assert MUTATION is not None
MUTATIONS = {name: field.args["input"].type.of_type for name, field in MUTATION.fields.items()}

# What operators read without asking for a person's data.
COLUMNS = """
    select error as text from inbox_events
    union all select findings::text from reconciliations
    union all select traceback::text from jobs.pgqueuer_log
    union all select concat_ws(' ', status, reason, decline_code, provider_reference) from payments
    union all select concat_ws(' ', status, reason, failure_code, provider_reference) from refunds
    union all select concat_ws(' ', status, reason, provider_reference) from payouts
    union all select concat_ws(' ', status, reason) from payment_events
    union all select concat_ws(' ', kind, status, reason, data) from order_events
"""
_LEAK = """
    create function public.leak() returns trigger language plpgsql as $$
    begin
        raise exception 'the row is %', to_json(new) using detail = to_json(new)::text;
    end $$
"""


PRODUCT = {"variants": None, "options": [], "state": "ACTIVE", "releasesAt": None}


@dataclass
class Scene:
    """A server to which everything was said with the word in it, and the secrets that went over the wire."""

    world: World
    logged: io.StringIO
    ids: dict[str, str]
    secrets: set[str] = field(default_factory=set)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.logged.getvalue().splitlines()]

    def token(self, user: str) -> str:
        token = self.world.token(f"{WORD}-{user}", frozenset(Scope))
        self.secrets.add(token)
        return token

    async def send(self, query: str, variables: Any = None, **headers: str) -> Any:
        async with httpx.AsyncClient(timeout=30) as client:
            response = await client.post(
                f"{self.world.url}/graphql", json={"query": query, "variables": variables}, headers=headers
            )
        return response.json()

    async def mutate(self, name: str, user: str, **changed: Any) -> Any:
        """Send a mutation with the word in every text; return what came back."""
        kind = MUTATIONS[name]
        given = {**{key: self._value(key, each.type) for key, each in kind.fields.items()}, **changed}
        selection = "{ errors { code message } }"
        if name in {"tipCreate", "purchaseCreate"}:
            selection = "{ payment { id } paymentToken errors { code message } }"
        answer = await self.send(
            f"mutation ($input: {kind.name}!) {{ {name}(input: $input) {selection} }}",
            {"input": given},
            authorization=f"Bearer {self.token(user)}",
        )
        token = ((answer.get("data") or {}).get(name) or {}).get("paymentToken")
        self.secrets.update([token] if token else [])
        return answer

    def _value(self, name: str, kind: Any) -> Any:
        match kind:
            case GraphQLNonNull():
                return self._value(name, kind.of_type)
            case GraphQLList():
                return [self._value(name, kind.of_type)]
            case GraphQLInputObjectType():
                return {key: self._value(key, each.type) for key, each in kind.fields.items()}
            case GraphQLEnumType():
                return next(iter(kind.values))
            case GraphQLScalarType():
                return self._scalar(name, kind.name)
        raise TypeError(kind)

    def _scalar(self, name: str, kind: str) -> Any:
        known = {
            "Boolean": True,
            "Int": 1,
            "Decimal": "5.00",
            "CurrencyCode": "USD",
            "DateTime": "2026-01-01T00:00:00Z",
            "ID": self.ids.get(name, f"{WORD}_id"),
        }
        texts = {
            "handle": f"{WORD}_{uuid7().hex[:8]}",
            "country": "FR",
            "returnUrl": f"https://{WORD}.test/back",
            "customerEmailAddress": f"ann@{WORD}.test",
            "idempotencyKey": f"{WORD}-{uuid7()}",
        }
        return known.get(kind, texts.get(name, f"{WORD} wrote {name}"))

    async def found(self) -> list[str]:
        """Return where the word or a secret is found."""
        async with httpx.AsyncClient() as client:
            metrics = (await client.get(f"{self.world.url}/metrics")).text
        rows = await self.world.engine.database.reader.fetch(COLUMNS)
        texts = {"a log": self.logged.getvalue(), "a metric": metrics}
        texts |= {f"a column: {row['text']}": row["text"] or "" for row in rows}
        sought = {WORD, CARD, *self.secrets, *self.world.settings.webhook_secrets}
        sought |= {secret.removeprefix("whsec_") for secret in self.world.settings.webhook_secrets}
        return [where for where, text in texts.items() for word in sought if word.lower() in text.lower()]


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """Everything that is logged meanwhile, by whomever, as production writes it."""
    stream = io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    configure_logs(production=True)
    structlog.configure(cache_logger_on_first_use=False)
    root.handlers[0].setStream(stream)  # type: ignore[attr-defined] # it is a StreamHandler
    yield stream
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


@pytest.fixture
async def scene(dsn: str, logged: io.StringIO) -> AsyncIterator[Scene]:
    async with running_world(dsn, worker=False, deliveries=False, delay=timedelta(0)) as world:
        scene = Scene(world, logged, {})
        await scene.mutate("creatorCreate", "owner")
        creator = await world.scalar("select id from creators")
        scene.ids["creatorId"] = encode(Noun.CREATOR, creator)
        await scene.mutate("productCreate", "owner", **PRODUCT)
        scene.ids["productId"] = encode(Noun.PRODUCT, await world.scalar("select id from products"))
        for key, method in (("disputed", "tok_dispute"), ("paid", "tok_success"), ("open", None)):
            tip = await scene.mutate("tipCreate", "payer", amount={"amount": "50.00", "currency": "USD"})
            scene.ids[key] = tip["data"]["tipCreate"]["payment"]["id"]
            if method is not None:
                await _confirm(scene, scene.ids[key], method)
        await settle(world)
        await a_while_passes(world)
        scene.ids["disputeId"] = encode(Noun.DISPUTE, await world.scalar("select id from disputes"))
        scene.ids["paymentId"] = scene.ids["open"]
        yield scene


async def _confirm(scene: Scene, payment: str, method: str) -> None:
    answer = await scene.mutate(
        "paymentConfirm", "payer", paymentId=payment, method=method, paymentMethodId=None, returnUrl=None
    )
    assert answer["data"]["paymentConfirm"]["errors"] == []


async def _everything(scene: Scene) -> list[Any]:
    """Say everything that can be said, as everybody; return the answers."""
    said: list[tuple[str, str, dict[str, Any]]] = []
    for name, kind in MUTATIONS.items():
        payment = scene.ids["paid" if name == "refundCreate" else "open"]
        changed = {"paymentId": payment} if "paymentId" in kind.fields else {}
        said += [(name, user, changed) for user in ("owner", "payer", "stranger")]
    method = {"method": "tok_success", "returnUrl": f"https://{WORD}.test"}
    said += [
        ("paymentMethodSave", "payer", {"method": "tok_success"}),
        ("refundCreate", "owner", {"paymentId": scene.ids["paid"], "amount": None}),
        ("paymentConfirm", "payer", {"paymentMethodId": None, **method}),
    ]
    return [await scene.mutate(name, user, **changed) for name, user, changed in said]


def _codes(answers: list[Any]) -> list[str]:
    return [
        error["extensions"]["code"]
        for answer in answers
        for error in answer.get("errors", [])
        if "extensions" in error
    ]


async def test_word_is_found_where_it_is(scene: Scene) -> None:
    """The search itself finds: in a log line or a column it would be seen."""
    assert await scene.found() == []
    logging.getLogger("anybody").warning("%s", WORD)
    await scene.world.engine.database.writer.execute(
        "insert into inbox_events (provider, event_id, type, body, state, attempts, due_at, received_at, error) "
        "values ('sandbox', 'evt_1', 't', '', 'DEAD', 1, $1, $1, $2)",
        now(),
        WORD,
    )

    assert await scene.found() == ["a log", f"a column: {WORD}"]


async def test_nothing_of_what_is_said_is_told(scene: Scene) -> None:
    answers = await _everything(scene)
    await settle(scene.world)
    await reconciliation.run(scene.world.engine)

    assert "INTERNAL" not in _codes(answers)
    assert await scene.found() == []


async def test_nothing_is_told_when_the_provider_breaks(scene: Scene) -> None:
    scene.world.engine.provider = Broken(scene.world.engine.provider)  # type: ignore[assignment] # for once

    answers = await _everything(scene)
    await settle(scene.world)
    await reconciliation.run(scene.world.engine)

    assert _codes(answers).count("INTERNAL") > 0
    assert any("RuntimeError" in line.get("exception", "") for line in scene.lines)
    assert await scene.found() == []


async def test_nothing_is_told_when_the_database_refuses(scene: Scene, owner: asyncpg.Connection) -> None:
    await owner.execute(_LEAK)
    for table in (
        *("creators", "products", "tips", "orders", "payments", "refunds", "disputes"),
        *("payouts", "payout_accounts", "payout_schedules", "payment_methods"),
    ):
        await owner.execute(
            f"create trigger leak before insert or update on {table} for each row execute function leak()"
        )

    answers = await _everything(scene)

    assert _codes(answers).count("INTERNAL") > 10
    assert await scene.found() == []


async def test_nothing_is_told_of_a_request_that_is_no_good(scene: Scene) -> None:
    query = "mutation ($input: TipCreateInput!) { tipCreate(input: $input) { errors { code } } }"
    for variables in (
        {"input": WORD},
        {"input": {"creatorId": WORD, "amount": {"amount": WORD, "currency": WORD}}},
        {"input": {"message": CARD}},
        {WORD: WORD},
    ):
        await scene.send(query, variables)
    await scene.send(f'{{ node(id: "{WORD}") {{ id }} {WORD} }}')
    await scene.send(f"{{ {WORD}")
    for authorization in (WORD, f"Bearer {WORD}", f"Basic {WORD}", f"Bearer {scene.token('owner')}x"):
        await scene.send("{ me { id } }", authorization=authorization, cookie=WORD, traceparent=WORD)
    async with httpx.AsyncClient() as client:
        await client.post(f"{scene.world.url}/graphql", content=WORD, headers={"content-type": "application/json"})
        await client.get(f"{scene.world.url}/graphql", params={"query": WORD})
        await client.get(f"{scene.world.url}/{WORD}")

    assert await scene.found() == []


async def test_nothing_is_told_of_a_webhook_however_it_fails(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    types = await scene.world.engine.database.reader.fetch(
        "select distinct body::jsonb ->> 'type' from sandbox.event"
    )
    bodies = [
        {"type": kind, "data": {"object": {"id": WORD, "reference": WORD, "state": WORD, "amount": CARD}}}
        for kind in (*(row[0] for row in types), f"{WORD}.happened")
    ]
    bodies += [{"type": row[0], "data": WORD} for row in types]
    key = signing_keys(scene.world.settings.webhook_secrets)[0]
    async with httpx.AsyncClient() as client:
        for number, given in enumerate(bodies):
            body = orjson.dumps({"id": f"evt_{number}", "livemode": False, **given})
            for headers in (sign(key, f"evt_{number}", body.decode(), wall()), {"webhook-signature": WORD}):
                await client.post(f"{scene.world.url}/webhooks/sandbox", content=body, headers=headers)

    async def fail(*_: object, **__: object) -> Any:
        raise ValueError(WORD)

    with monkeypatch.context() as broken:
        broken.setattr(webhooks, "settle_batch", fail)
        await webhooks.process(scene.world.engine)
    await scene.world.engine.database.writer.execute("update inbox_events set due_at = received_at")
    while await webhooks.process(scene.world.engine):
        pass

    states = "select count(*) from inbox_events where state = $1"
    assert await scene.world.scalar(states, "DEAD") > 0
    assert any(line["event"] == "webhook not settled" for line in scene.lines)
    assert any(line["event"] == "webhook refused" for line in scene.lines)
    assert await scene.found() == []


async def test_every_line_of_a_request_has_its_trace(scene: Scene) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    scene.world.engine.provider = Broken(scene.world.engine.provider)  # type: ignore[assignment] # for once
    scene.logged.truncate(0)
    scene.logged.seek(0)

    sent = {"authorization": f"Bearer {scene.token('payer')}", "traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    saved = await scene.send(
        "mutation ($input: PaymentMethodSaveInput!) { paymentMethodSave(input: $input) { errors { code } } }",
        {"input": {"idempotencyKey": "k", "method": "tok_success"}},
        **sent,
    )
    sent["authorization"] = f"Bearer {scene.token('owner')}"
    await scene.send(
        "mutation ($input: RefundCreateInput!) { refundCreate(input: $input) { errors { code } } }",
        {"input": {"idempotencyKey": "k", "paymentId": scene.ids["paid"]}},
        **sent,
    )

    assert saved["errors"][0]["extensions"] == {"code": "INTERNAL", "traceId": trace}
    assert [line["event"] for line in scene.lines] == ["operation failed", "refund could not be settled"]
    assert [line["trace_id"] for line in scene.lines] == [trace, trace]


# How an answer may fail, with everything that was sent in its text: the status, and the kind of error if it has one.
_ECHOES = (
    *((400, "invalid_request_error"), (400, "idempotency_error"), (401, "invalid_request_error")),
    *((402, "card_error"), (403, "invalid_request_error"), (404, "invalid_request_error")),
    *((409, "invalid_request_error"), (429, "invalid_request_error"), (500, "api_error"), (502, ""), (200, "")),
)
_CALLS = (
    *(("tipCreate", "payer"), ("paymentConfirm", "payer"), ("paymentMethodSave", "payer")),
    ("creatorOnboard", "owner"),
)
_STRIPE_SECRETS = ("whsec_51CanaryOfTheFirst", "whsec_51CanaryOfTheSecond")


@pytest.fixture
def desk() -> Iterator[Desk]:
    with running_desk() as desk:
        yield desk


@pytest.fixture
async def on_stripe(dsn: str, logged: io.StringIO, desk: Desk) -> AsyncIterator[Scene]:
    """A server on what stands in for Stripe, that has a creator."""
    async with running_world(
        dsn,
        worker=False,
        deliveries=False,
        provider="stripe",
        stripe_api_key=KEY,
        stripe_webhook_secret=",".join(_STRIPE_SECRETS),
        stripe_api_url=desk.url,
        provider_timeout_seconds=5,
    ) as world:
        scene = Scene(world, logged, {})
        # Stripe itself shows the last four characters of a key.
        scene.secrets |= {KEY, KEY[8:], KEY[-6:], *_STRIPE_SECRETS, *(each[6:] for each in _STRIPE_SECRETS)}
        await scene.mutate("creatorCreate", "owner")
        scene.ids["creatorId"] = encode(Noun.CREATOR, await world.scalar("select id from creators"))
        await scene.mutate("productCreate", "owner", **PRODUCT)
        scene.ids["productId"] = encode(Noun.PRODUCT, await world.scalar("select id from products"))
        yield scene


async def test_nothing_of_stripe_s_secrets_is_told_however_it_refuses(on_stripe: Scene, desk: Desk) -> None:
    engine = on_stripe.world.engine
    desk.echoes = (500, "api_error")
    for noun, name in ((Noun.PAYMENT, "open"), (Noun.PAYMENT, "paid")):
        await on_stripe.mutate("tipCreate", "payer", amount={"amount": "50.00", "currency": "USD"})
        on_stripe.ids[name] = encode(
            noun, await on_stripe.world.scalar("select max(id::text)::uuid from payments")
        )
    on_stripe.ids["paymentId"] = on_stripe.ids["open"]

    answers: list[Any] = []
    raised: list[str] = []
    for echo in _ECHOES:
        desk.echoes, before = echo, len(desk.asked)
        answers += [await on_stripe.mutate(name, user) for name, user in _CALLS]
        for subject, reference in ((Subject.PAYMENT, "pi_1Canary"), (Subject.ACCOUNT, "acct_1Canary")):
            with pytest.raises(ProviderError) as failed:
                await engine.provider.fetch(subject, reference)
            raised.append("".join(traceback.format_exception(failed.value)))
        assert len(desk.asked) > before
    await reconciliation.run(engine)
    await settle(on_stripe.world)
    for headers in ({"stripe-signature": f"t=1,v1={WORD}"}, {"stripe-signature": _STRIPE_SECRETS[0]}, {}):
        async with httpx.AsyncClient() as client:
            url = f"{on_stripe.world.url}/webhooks/stripe"
            assert (await client.post(url, content=WORD, headers=headers)).status_code == 400

    assert on_stripe.lines
    assert await on_stripe.found() == []
    told = json.dumps(answers) + "".join(raised)
    assert [secret for secret in (KEY, KEY[8:], *_STRIPE_SECRETS) if secret in told] == []


class Broken:
    """A provider whose every call fails with all it was told."""

    def __init__(self, inner: Any) -> None:
        self.name = inner.name
        self.capabilities = inner.capabilities
        self.verify = inner.verify
        self.translate = inner.translate

    async def balance_entries(self, since: datetime) -> AsyncIterator[Any]:
        raise ProviderError(ProviderErrorCode.UNAVAILABLE, ProviderAction.LATER)
        yield

    events = balance_entries

    def __getattr__(self, name: str) -> Any:
        async def fail(*given: Any) -> Any:
            told = [
                getattr(each, "__slots__", ()) and {s: getattr(each, s) for s in each.__slots__} for each in given
            ]
            raise RuntimeError(f"{WORD} {name} {told}")

        return fail
