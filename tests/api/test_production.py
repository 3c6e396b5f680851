"""What a production server keeps to itself, and what it does not offer at all."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import orjson
import pytest
from stripe import WebhookSignature

from app.cli_stripe import book_currencies
from app.observed import unwrapped
from app.settings import Settings
from core.clock import wall
from core.scopes import Scope
from providers.payments.stripe import API_VERSION
from tests.conftest import assert_books_are_sound
from tests.support.world import World, running_world


@pytest.fixture
async def production(dsn: str) -> AsyncIterator[World]:
    """A server as it runs for the public, without a worker; nobody can sign in."""
    async with running_world(
        dsn,
        worker=False,
        deliveries=False,
        environment="production",
        jwks_url="https://127.0.0.1:1/jwks.json",
        secret_key="a secret of exactly 32 characters",
        sandbox_webhook_secret="whsec_c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0",
    ) as world:
        yield world
    await assert_books_are_sound(dsn)


async def test_schema_is_not_told(production: World) -> None:
    client = production.client()

    for query in ("{ __schema { types { name } } }", '{ __type(name: "Query") { name } }'):
        answer = await client.full(query)

        assert "data" not in answer
        assert answer["errors"]
        assert {error["extensions"]["code"] for error in answer["errors"]} == {"INPUT_INVALID"}
    assert await client.run("{ __typename }") == {"__typename": "Query"}


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        ("{ creatorz { id } }", {}),
        ('{ creator(handl: "x") { id } }', {}),
        ("query ($w: ProductWher) { products(first: 1, where: $w) { nodes { id } } }", {}),
        ("{ products(first: 1, sort: NEWES) { nodes { id } } }", {}),
        (
            "query ($w: ProductWhere) { products(first: 1, where: $w) { nodes { id } } }",
            {"w": {"titl": {"eq": "x"}}},
        ),
        ("query ($s: ProductSort!) { products(first: 1, sort: $s) { nodes { id } } }", {"s": "NEWES"}),
    ],
)
async def test_names_are_not_suggested(production: World, query: str, variables: dict[str, object]) -> None:
    answer = await production.client().full(query, **variables)

    assert len(answer["errors"]) >= 1
    assert "Did you mean" not in str(answer)


async def test_development_suggests_names(world: World) -> None:
    answer = await world.client().full("{ creatorz { id } }")

    assert [error["message"] for error in answer["errors"]] == [
        "Cannot query field 'creatorz' on type 'Query'. Did you mean 'creator' or 'creators'?"
    ]


@pytest.mark.parametrize("path", ["/", "/graphiql", "/static/index.html", "/.well-known/jwks.json"])
async def test_what_development_offers_is_not_there(production: World, path: str) -> None:
    async with httpx.AsyncClient() as http:
        assert (await http.get(production.url + path)).status_code == 404


async def test_operations_are_not_sent_by_get(production: World) -> None:
    async with httpx.AsyncClient() as http:
        response = await http.get(f"{production.url}/graphql", params={"query": "{ __typename }"})

    assert response.status_code == 405
    assert response.headers["allow"] == "POST"


async def test_nobody_signs_in_while_the_issuer_cannot_be_reached(production: World, tmp_path: Path) -> None:
    elsewhere = Settings(_env_file=None, state_directory=tmp_path)
    token = elsewhere.development.token(
        issuer=production.settings.issuer,
        audience=production.settings.jwt_audience,
        subject="supporter",
        scopes=frozenset(Scope),
    )

    response = await production.client_with(token).post({"query": "{ me { id } }"})

    assert response.status_code == 401
    assert [error["message"] for error in response.json()["errors"]] == [
        "Sign-in is not possible at present: the issuer's keys cannot be read. Try again."
    ]
    assert await production.count("users") == 0
    assert await production.client().run("{ creators(first: 1) { nodes { id } } }") == {"creators": {"nodes": []}}


@pytest.fixture
async def on_stripe(dsn: str) -> AsyncIterator[World]:
    """A server as it runs for the public on Stripe, without anything of the sandbox; nothing answers for Stripe."""
    async with running_world(
        dsn,
        worker=False,
        deliveries=False,
        environment="production",
        jwks_url="https://127.0.0.1:1/jwks.json",
        secret_key="a secret of exactly 32 characters",
        provider="stripe",
        stripe_api_key="rk_live_51Nonesuch",
        stripe_webhook_secret="whsec_Nonesuch0123456789,whsec_Nonesuch9876543210",
        stripe_api_url="http://127.0.0.1:1",
    ) as world:
        yield world
    await assert_books_are_sound(dsn)


async def test_server_on_stripe_has_nothing_of_the_sandbox(on_stripe: World) -> None:
    async with httpx.AsyncClient() as http:
        for path in ("/sandbox", "/sandbox/3ds/x", "/sandbox/onboarding/x"):
            assert (await http.get(on_stripe.url + path)).status_code == 404
        assert (await http.post(f"{on_stripe.url}/webhooks/sandbox", content=b"{}")).status_code == 404
    assert unwrapped(on_stripe.engine.provider).name == "stripe"
    assert await on_stripe.client().run("{ creators(first: 1) { nodes { id } } }") == {"creators": {"nodes": []}}


@pytest.mark.parametrize("number", [0, 1])
async def test_webhook_signed_with_any_secret_of_stripe_is_taken_and_no_other(
    on_stripe: World, number: int
) -> None:
    body = orjson.dumps(
        {
            "id": "evt_1Nonesuch",
            "object": "event",
            "api_version": API_VERSION,
            "created": int(wall().timestamp()),
            "livemode": True,
            "type": "customer.created",
            "data": {"object": {"id": "cus_1Nonesuch"}},
        }
    ).decode()
    url = f"{on_stripe.url}/webhooks/stripe"
    given = on_stripe.settings.stripe_webhook_secrets[number]
    async with httpx.AsyncClient() as http:
        for secret, status in (("whsec_NonesuchAtAll", 400), (given, 200)):
            header = WebhookSignature.generate_signature_header(body, secret, int(wall().timestamp()))
            answer = await http.post(url, content=body, headers={"stripe-signature": header})

            assert answer.status_code == status
            assert await on_stripe.count("inbox_events") == (1 if status == 200 else 0)


async def test_currencies_of_the_books_are_what_stripe_is_compared_with(dsn: str) -> None:
    known = await book_currencies(Settings(_env_file=None, database_url=dsn))
    away = await book_currencies(Settings(_env_file=None, database_url="postgresql://127.0.0.1:1/x"))

    assert {"EUR", "JPY", "USD"} <= set(known)
    assert list(away) == []
