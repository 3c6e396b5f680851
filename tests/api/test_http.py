"""GraphQL over HTTP, as its own audits see it, and what they do not ask."""

import json

import httpx
import pytest

from app.http import MAXIMUM_BODY_BYTES
from tests.support.node import run_node
from tests.support.world import World


async def test_all_audits_of_graphql_over_http_pass(world: World) -> None:
    code, audits, problems = await run_node("graphql-http.mjs", f"{world.url}/graphql", world.token("auditor"))

    assert (code, problems) == (0, "")
    assert [audit for audit in audits if audit["status"] != "ok"] == []
    assert len(audits) == 61


@pytest.mark.parametrize(
    ("headers", "content", "status", "code"),
    [
        ({"content-type": "text/plain"}, b'{"query": "{ __typename }"}', 415, "INPUT_INVALID"),
        ({"content-type": "application/json", "accept": "text/html"}, b"{}", 406, "INPUT_INVALID"),
        ({"content-type": "application/json"}, b"{", 400, "INPUT_INVALID"),
        ({"content-type": "application/json"}, b'[{"query": "{ __typename }"}]', 400, "LIMIT_EXCEEDED"),
        ({"content-type": "application/json"}, b" " * (MAXIMUM_BODY_BYTES + 1), 413, "LIMIT_EXCEEDED"),
        (
            {"content-type": "application/json"},
            b'{"query": "{ __typename }", "variables": 1}',
            400,
            "INPUT_INVALID",
        ),
        (
            {"content-type": "application/json", "authorization": "Bearer nonsense"},
            b'{"query": "{ __typename }"}',
            401,
            "UNAUTHENTICATED",
        ),
        (
            {"content-type": "application/json", "authorization": "Basic YTpi"},
            b'{"query": "{ __typename }"}',
            401,
            "UNAUTHENTICATED",
        ),
    ],
)
async def test_what_is_not_a_request_gets_a_status_and_a_code(
    world: World, headers: dict[str, str], content: bytes, status: int, code: str
) -> None:
    async with httpx.AsyncClient() as client:
        response = await client.post(f"{world.url}/graphql", content=content, headers=headers)

    assert response.status_code == status
    [error] = response.json()["errors"]
    assert error["extensions"]["code"] == code
    assert error["message"]


async def test_a_chunked_body_over_the_cap_is_refused_without_a_length(world: World) -> None:
    async def endless():
        for _ in range(MAXIMUM_BODY_BYTES // 1024 + 2):
            yield b" " * 1024

    async with httpx.AsyncClient() as client:
        response = await client.post(
            f"{world.url}/graphql", content=endless(), headers={"content-type": "application/json"}
        )

    assert response.status_code == 413


async def test_limits_on_an_operation_are_errors_with_a_code(world: World) -> None:
    client = world.client("somebody")
    deep = (
        "{ creators(first: 1) { nodes { products(first: 1) { nodes { creator { " * 5
        + "id"
        + " } } } } }" * 5
        + "}"
    )
    wide = "{" + " ".join(f"a{n}: __typename" for n in range(40)) + "}"
    long = "{" + " __typename" * 2_100 + "}"

    for query in (deep, wide, long):
        answer = await client.full(query)
        assert answer.get("data") is None
        assert answer["errors"][0]["extensions"]["code"] == "INPUT_INVALID"


async def test_the_trace_id_of_the_caller_is_quoted_when_something_breaks(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("the secret reason")

    monkeypatch.setattr("services.creators.by_handle", broken)
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"

    response = await world.client("somebody").post(
        {"query": '{ creator(handle: "x") { id } }'}, {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    )

    [error] = response.json()["errors"]
    assert error["extensions"] == {"code": "INTERNAL", "traceId": trace}
    assert "secret reason" not in response.text


async def test_browsers_of_listed_origins_alone_may_call(world: World) -> None:
    async with httpx.AsyncClient() as client:
        response = await client.options(
            f"{world.url}/graphql",
            headers={"origin": "https://elsewhere.example", "access-control-request-method": "POST"},
        )

    assert "access-control-allow-origin" not in response.headers


async def test_the_reference_client_of_graphql_transport_ws_sees_a_payment_live(world: World) -> None:
    creator = await world.creator("fable")
    supporter = world.client("supporter")
    payment = await world.paid_tip(supporter, creator)
    query = (
        "subscription ($id: ID!, $after: String) { paymentStatus(paymentId: $id, after: $after) { kind cursor } }"
    )

    code, results, problems = await run_node(
        "graphql-ws.mjs",
        world.url.replace("http", "ws") + "/graphql",
        json.dumps({"query": query, "variables": {"id": payment}, "token": supporter.token, "count": 1}),
    )

    assert (code, problems) == (0, "")
    assert [result["data"]["paymentStatus"]["kind"] for result in results] == ["SNAPSHOT"]
