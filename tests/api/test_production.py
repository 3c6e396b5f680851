"""What a production server keeps to itself, and what it does not offer at all."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from app.settings import Settings
from core.scopes import Scope
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
