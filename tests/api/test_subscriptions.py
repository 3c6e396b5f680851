"""Watching: a snapshot, then every change, resumed anywhere without loss or repeat; and how sockets end."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, NegotiationError
from websockets.typing import Origin, Subprotocol

from app.client import Client, GraphQLFailed, Socket, Stream
from core.cursors import encode_cursor
from core.ids import Noun, uuid7
from core.scopes import Scope
from tests.api.shop import Shop, ask, do, nothing_of, pay, settle, unchanged, usd
from tests.api.test_credentials import token

pytestmark = pytest.mark.asyncio(loop_scope="module")

WATCH = """
subscription ($id: ID!, $after: String) {
  paymentStatus(paymentId: $id, after: $after) {
    kind cursor event { status reason cursor } payment { id status cursor }
  }
}
"""
EVENTS = "query ($id: ID!) { payment(id: $id) { cursor events { status cursor } } }"
ACTIVITY = """
subscription ($id: ID!, $after: String) {
  creatorActivity(creatorId: $id, after: $after) {
    kind cursor
    activity { cursor kind amount { amount } net { amount } tip { id message giverName } purchase { id title } }
    recent { cursor kind amount { amount } }
  }
}
"""


async def _tip(shop: Shop, client: Client | None = None, amount: str = "5.00", creator: str | None = None) -> str:
    made = await do(client or shop.supporter, "tipCreate", creatorId=creator or shop.creator, amount=usd(amount))
    return str(made["payment"]["id"])


async def _watch(socket: Socket, payment: str, after: str | None = None) -> Stream:
    return await socket.subscribe(WATCH, id=payment, after=after)


async def _status(stream: Stream) -> dict[str, Any]:
    update: dict[str, Any] = (await stream.next())["paymentStatus"]
    return update


# A payment's status -----------------------------------------------------------------------------------------


async def test_snapshot_comes_first_and_then_every_change_in_order(shop: Shop) -> None:
    payment = await _tip(shop)
    async with shop.supporter.socket() as socket:
        stream = await _watch(socket, payment)
        snapshot = await _status(stream)
        assert (snapshot["kind"], snapshot["event"]) == ("SNAPSHOT", None)
        assert snapshot["payment"] == {"id": payment, "status": "PENDING", "cursor": snapshot["cursor"]}

        await ask(shop.supporter, "paymentConfirm", paymentId=payment, method="tok_insufficient_funds")
        await pay(shop.supporter, payment, shop.world)

        updates = [await _status(stream) for _ in range(3)]
    assert [update["kind"] for update in updates] == ["EVENT"] * 3
    assert [(update["event"]["status"], update["event"]["reason"]) for update in updates] == [
        ("FAILED", "INSUFFICIENT_FUNDS"),
        ("PROCESSING", None),
        ("SUCCEEDED", None),
    ]
    assert all(update["cursor"] == update["event"]["cursor"] for update in updates)
    assert updates[-1]["payment"]["status"] == "SUCCEEDED"


async def test_watcher_resumes_from_every_cursor_without_loss_or_repeat(shop: Shop) -> None:
    payment = await _tip(shop)
    for method in ("tok_declined", "tok_3ds", "tok_insufficient_funds", "tok_3ds"):
        await ask(shop.supporter, "paymentConfirm", paymentId=payment, method=method)
    past = (await shop.supporter.run(EVENTS, id=payment))["payment"]["events"]
    assert len(past) == 6

    async with shop.supporter.socket() as socket:
        streams = [await _watch(socket, payment, event["cursor"]) for event in past]
        seen: list[list[dict[str, Any]]] = [
            [await _status(stream) for _ in range(len(past) - place)] for place, stream in enumerate(streams, 1)
        ]
        await do(shop.supporter, "paymentCancel", paymentId=payment)
        last = [await _status(stream) for stream in streams]

    for place, updates in enumerate(seen, 1):
        assert [update["kind"] for update in updates] == ["EVENT"] * len(updates)
        assert [update["event"]["cursor"] for update in updates] == [event["cursor"] for event in past[place:]]
        assert [update["event"]["status"] for update in updates] == [event["status"] for event in past[place:]]
    assert {update["event"]["status"] for update in last} == {"CANCELED"}
    assert len({update["cursor"] for update in last}) == 1


async def test_watcher_whose_connection_drops_after_every_message_misses_nothing(shop: Shop) -> None:
    payment = await _tip(shop)
    statuses: list[str] = []
    cursor = None

    async def happen() -> None:
        for method in ("tok_declined", "tok_3ds", "tok_declined", "tok_3ds"):
            await ask(shop.supporter, "paymentConfirm", paymentId=payment, method=method)
        await pay(shop.supporter, payment, shop.world)

    happening = asyncio.create_task(happen())
    while not statuses or statuses[-1] != "SUCCEEDED":
        async with shop.supporter.socket() as socket:
            update = await _status(await _watch(socket, payment, cursor))
        assert update["kind"] == ("SNAPSHOT" if cursor is None else "EVENT")
        cursor = update["cursor"]
        statuses.append(update["event"]["status"] if update["event"] else update["payment"]["status"])
    await happening

    told = [event["status"] for event in (await shop.supporter.run(EVENTS, id=payment))["payment"]["events"]]
    assert told[-len(statuses) :] == statuses
    assert (
        told[: -len(statuses)] == ["CREATED", "PENDING", "FAILED", "REQUIRES_ACTION"][: len(told) - len(statuses)]
    )


async def test_watcher_with_the_last_cursor_hears_nothing_before_the_next_change(shop: Shop) -> None:
    payment = await _tip(shop)
    cursor = (await shop.supporter.run(EVENTS, id=payment))["payment"]["cursor"]

    async with shop.supporter.socket() as socket:
        stream = await _watch(socket, payment, cursor)
        await do(shop.supporter, "paymentCancel", paymentId=payment)
        update = await _status(stream)

    assert (update["kind"], update["event"]["status"]) == ("EVENT", "CANCELED")


async def test_cursor_that_was_never_given_is_answered_by_a_reset_and_a_snapshot(shop: Shop) -> None:
    payment, other = await _tip(shop), await _tip(shop)
    key = shop.world.key(Noun.PAYMENT, payment)
    foreign = (await shop.supporter.run(EVENTS, id=other))["payment"]["cursor"]
    cursors = (
        "",
        "nonsense",
        "é",
        "=",
        "A" * 5_000,
        foreign,
        encode_cursor(key, 3),
        encode_cursor(key, 2**63 - 1),
    )

    async with shop.supporter.socket() as socket:
        for cursor in cursors:
            stream = await _watch(socket, payment, cursor)
            reset, snapshot = await _status(stream), await _status(stream)

            assert (reset["kind"], reset["event"]) == ("RESET", None)
            assert (snapshot["kind"], snapshot["payment"]["status"]) == ("SNAPSHOT", "PENDING")
            assert snapshot["cursor"] == snapshot["payment"]["cursor"]


async def test_cursor_of_a_reset_starts_from_the_very_first_event(shop: Shop) -> None:
    payment = await _tip(shop)
    async with shop.supporter.socket() as socket:
        reset = await _status(await _watch(socket, payment, "nonsense"))

        stream = await _watch(socket, payment, reset["cursor"])
        updates = [await _status(stream) for _ in range(2)]

    assert [update["event"]["status"] for update in updates] == ["CREATED", "PENDING"]


async def test_hundred_watchers_of_one_payment_hear_the_same(shop: Shop) -> None:
    payment = await _tip(shop)
    async with shop.supporter.socket() as socket:
        streams = [await _watch(socket, payment) for _ in range(100)]
        for stream in streams:
            await _status(stream)
        await pay(shop.supporter, payment, shop.world)
        heard = [[(await _status(stream))["event"]["status"] for _ in range(2)] for stream in streams]

        refused = await _watch(socket, payment)
        with pytest.raises(GraphQLFailed) as failed:
            await _status(refused)

    assert heard == [["PROCESSING", "SUCCEEDED"]] * 100
    assert [error["message"] for error in failed.value.errors] == ["Subscription limit reached"]


# A creator's activity ---------------------------------------------------------------------------------------


async def _activity(stream: Stream) -> dict[str, Any]:
    update: dict[str, Any] = (await stream.next())["creatorActivity"]
    return update


async def test_activity_tells_each_payment_that_succeeds_and_no_other(shop: Shop) -> None:
    creator = await shop.world.creator("active")
    product = await shop.world.product("active", creator, "10.00")
    async with shop.world.client("active").socket() as socket:
        stream = await socket.subscribe(ACTIVITY, id=creator)
        assert await _activity(stream) == {
            "kind": "SNAPSHOT",
            "cursor": encode_cursor(shop.world.key(Noun.CREATOR, creator), 0),
            "activity": None,
            "recent": [],
        }
        declined = await _tip(shop, amount="1.00", creator=creator)
        await ask(shop.supporter, "paymentConfirm", paymentId=declined, method="tok_declined")
        tip = await do(shop.supporter, "tipCreate", creatorId=creator, amount=usd("5.00"), message="Bravo")
        await pay(shop.supporter, tip["payment"]["id"], shop.world)
        bought = await do(shop.supporter, "purchaseCreate", productId=product)
        await pay(shop.supporter, bought["payment"]["id"], shop.world)

        told = [await _activity(stream) for _ in range(2)]

    assert [update["kind"] for update in told] == ["EVENT", "EVENT"]
    first, second = (update["activity"] for update in told)
    assert first == {
        "cursor": told[0]["cursor"],
        "kind": "TIP",
        "amount": {"amount": "5.00"},
        "net": {"amount": "4.75"},
        "tip": {"id": tip["tip"]["id"], "message": "Bravo", "giverName": "supporter"},
        "purchase": None,
    }
    assert second["purchase"] == {"id": bought["purchase"]["id"], "title": "A thing"}
    assert (second["kind"], second["net"], second["tip"]) == ("PURCHASE", {"amount": "8.90"}, None)


async def test_activity_resumes_from_every_cursor_without_loss_or_repeat(shop: Shop) -> None:
    creator = await shop.world.creator("resumed")
    owner = shop.world.client("resumed")
    amounts = [f"{number}.00" for number in range(1, 6)]
    async with owner.socket() as socket:
        watching = await socket.subscribe(ACTIVITY, id=creator)
        start = (await _activity(watching))["cursor"]
        cursors = [start]
        for amount in amounts:
            await pay(shop.supporter, await _tip(shop, amount=amount, creator=creator), shop.world)
            cursors.append((await _activity(watching))["cursor"])
        assert len(set(cursors)) == 6

        streams = [await socket.subscribe(ACTIVITY, id=creator, after=cursor) for cursor in cursors]
        seen = [
            [(await _activity(stream))["activity"]["amount"]["amount"] for _ in amounts[place:]]
            for place, stream in enumerate(streams)
        ]
        await pay(shop.supporter, await _tip(shop, amount="9.00", creator=creator), shop.world)
        last = [await _activity(stream) for stream in streams]
        snapshot = await _activity(await socket.subscribe(ACTIVITY, id=creator))

    assert seen == [amounts[place:] for place in range(6)]
    assert [update["activity"]["amount"] for update in last] == [{"amount": "9.00"}] * 6
    assert snapshot["kind"] == "SNAPSHOT"
    assert snapshot["cursor"] == last[0]["cursor"]
    assert [item["amount"]["amount"] for item in snapshot["recent"]] == ["9.00", *amounts[::-1]]
    assert [item["cursor"] for item in snapshot["recent"]] == [snapshot["cursor"], *cursors[:0:-1]]


async def test_activity_cursor_that_was_never_given_is_answered_by_a_reset_and_a_snapshot(shop: Shop) -> None:
    key = shop.world.key(Noun.CREATOR, shop.creator)
    other = shop.world.key(Noun.CREATOR, shop.inactive)

    async with shop.owner.socket() as socket:
        for cursor in ("", "nonsense", encode_cursor(other, 0), encode_cursor(key, 10**6)):
            stream = await socket.subscribe(ACTIVITY, id=shop.creator, after=cursor)

            assert [(await _activity(stream))["kind"] for _ in range(2)] == ["RESET", "SNAPSHOT"]


async def test_activity_of_somebody_else_is_watched_like_that_of_a_creator_who_is_not_there(shop: Shop) -> None:
    clients = (
        shop.stranger,
        shop.nobody,
        shop.guest,
        shop.world.client("fable", frozenset(Scope) - {Scope.EARNINGS_READ}),
    )
    for client in clients:
        async with client.socket() as socket:
            errors = []
            for creator in (shop.creator, nothing_of(Noun.CREATOR), "nonsense", shop.product):
                stream = await socket.subscribe(ACTIVITY, id=creator)
                with pytest.raises(GraphQLFailed) as failed:
                    await stream.next()
                errors.append(failed.value.errors)

        assert errors == [errors[0]] * 4
        assert [error["extensions"]["code"] for error in errors[0]] == ["NOT_FOUND"]


# Sockets ----------------------------------------------------------------------------------------------------


def _address(shop: Shop) -> str:
    return shop.world.url.replace("http", "ws", 1) + "/graphql"


@asynccontextmanager
async def _open(shop: Shop, *, init: str | None = None, **options: Any) -> AsyncIterator[ClientConnection]:
    given = {"subprotocols": [Subprotocol("graphql-transport-ws")], **options}
    async with connect(_address(shop), **given) as connection:
        if init is not None:
            await _send(connection, {"type": "connection_init", "payload": {"Authorization": f"Bearer {init}"}})
            assert await _receive(connection) == {"type": "connection_ack"}
        yield connection


async def _send(connection: ClientConnection, message: object) -> None:
    await connection.send(orjson.dumps(message).decode())


async def _receive(connection: ClientConnection) -> Any:
    return orjson.loads(await asyncio.wait_for(connection.recv(), 10))


async def _closes_with(connection: ClientConnection) -> int:
    """Return the code a connection is closed with, whatever comes before; 1006 if it is just dropped."""
    try:
        while True:
            await asyncio.wait_for(connection.recv(), 10)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd is not None else 1006


def _subscribe(query: str, key: str = "1", **variables: Any) -> dict[str, Any]:
    return {"id": key, "type": "subscribe", "payload": {"query": query, "variables": variables}}


async def test_socket_is_closed_when_its_token_ends(shop: Shop) -> None:
    payment = await _tip(shop)
    ends = token(shop.world, exp=int(time.time()) + 2)

    async with _open(shop, init=ends) as connection:
        await _send(connection, _subscribe(WATCH, id=payment))
        assert (await _receive(connection))["payload"]["data"]["paymentStatus"]["kind"] == "SNAPSHOT"

        assert await _closes_with(connection) == 4403


async def test_socket_of_a_token_that_has_just_ended_is_closed_at_once(shop: Shop) -> None:
    async with _open(shop) as connection:
        given = token(shop.world, exp=int(time.time()) - 2)
        await _send(connection, {"type": "connection_init", "payload": {"Authorization": f"Bearer {given}"}})

        assert await _closes_with(connection) == 4403


@pytest.mark.parametrize(
    "origin", ["https://evil.test", "https://front.test.evil.test", "http://front.test", "null"]
)
async def test_socket_from_another_origin_is_refused(shop: Shop, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with _open(shop, origin=Origin(origin)):
            pass

    assert refused.value.response.status_code == 403


async def test_socket_from_this_origin_or_one_that_is_allowed_is_opened(shop: Shop) -> None:
    for origin in (shop.world.url, "https://front.test", None):
        async with _open(shop, init=shop.world.token("supporter"), origin=origin):
            pass


@pytest.mark.parametrize("subprotocols", [["graphql-ws"], ["nonsense"], None])
async def test_socket_of_another_subprotocol_is_refused(shop: Shop, subprotocols: list[str] | None) -> None:
    wanted = [Subprotocol(name) for name in subprotocols] if subprotocols else None
    try:
        async with _open(shop, subprotocols=wanted) as connection:
            assert connection.subprotocol is None
            code = await _closes_with(connection)
    except (InvalidStatus, NegotiationError):
        return
    assert code == 4406


async def test_message_over_the_cap_closes_the_socket(shop: Shop) -> None:
    async with _open(shop, init=shop.world.token("supporter")) as connection:
        most = 64 * 1024
        fits = orjson.dumps(_subscribe("{ me { id } }", padding=""))
        padding = "x" * (most - len(fits))
        await _send(connection, _subscribe("{ me { id } }", padding=padding))
        assert (await _receive(connection))["type"] == "next"
        assert (await _receive(connection))["type"] == "complete"

        await _send(connection, _subscribe("{ me { id } }", "2", padding=padding + "x"))

        assert await _closes_with(connection) == 1009


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        ([{"id": "1", "type": "subscribe", "payload": {"query": "{ me { id } }"}}], 4401),
        ([{"type": "connection_init"}, {"type": "connection_init"}], 4429),
        ([{"type": "connection_init"}, {"type": "nonsense"}], 4400),
        ([{"type": "connection_init"}, {"id": "1", "type": "subscribe"}], 4400),
        ([{"type": "connection_init", "payload": []}], 4400),
    ],
    ids=str,
)
async def test_message_out_of_turn_closes_the_socket(shop: Shop, messages: list[Any], code: int) -> None:
    async with unchanged(shop.world), _open(shop) as connection:
        for message in messages:
            await _send(connection, message)

        assert await _closes_with(connection) == code


@pytest.mark.parametrize(
    "message",
    [
        [],
        7,
        None,
        "text",
        {"type": ["subscribe"]},
        {"type": "subscribe", "id": [], "payload": {"query": "{ me { id } }"}},
        {"type": "subscribe", "id": "1", "payload": 7},
        {"type": "subscribe", "id": "1", "payload": None},
        {"type": "complete", "id": {}},
    ],
    ids=str,
)
async def test_message_of_another_shape_ends_the_socket_and_nothing_else(shop: Shop, message: object) -> None:
    given = shop.world.token("supporter")
    async with _open(shop, init=given) as bystander:
        async with unchanged(shop.world), _open(shop, init=given) as connection:
            await _send(connection, message)

            assert await _closes_with(connection) in {4400, 1006}

        await _send(bystander, {"type": "ping"})
        assert await _receive(bystander) == {"type": "pong"}


@pytest.mark.parametrize("text", ["", "{", "nonsense", '{"type": "connection_init"', '"\\ud800"'])
async def test_message_that_is_no_json_closes_the_socket(shop: Shop, text: str) -> None:
    async with _open(shop) as connection:
        await connection.send(text)

        assert await _closes_with(connection) == 4400


async def test_id_that_is_in_use_closes_the_socket(shop: Shop) -> None:
    async with _open(shop, init=shop.world.token("supporter")) as connection:
        for _ in range(2):
            await _send(connection, _subscribe(WATCH, id=shop.payment))

        assert await _closes_with(connection) == 4409


async def test_completed_watch_says_nothing_more_and_its_id_is_free(shop: Shop) -> None:
    payment, other = await _tip(shop), await _tip(shop)
    async with _open(shop, init=shop.world.token("supporter")) as connection:
        await _send(connection, _subscribe(WATCH, id=payment))
        await _receive(connection)
        await _send(connection, {"id": "1", "type": "complete"})
        await _send(connection, _subscribe(WATCH, id=other))
        snapshot = await _receive(connection)
        await do(shop.supporter, "paymentCancel", paymentId=payment)
        await do(shop.supporter, "paymentCancel", paymentId=other)
        change = await _receive(connection)

    assert snapshot["payload"]["data"]["paymentStatus"]["payment"]["id"] == other
    assert change["payload"]["data"]["paymentStatus"]["payment"]["id"] == other
    assert change["payload"]["data"]["paymentStatus"]["event"]["status"] == "CANCELED"


async def test_operation_that_cannot_be_run_is_answered_by_an_error(shop: Shop) -> None:
    async with shop.supporter.socket() as socket:
        for query in (
            "subscription {",
            "{" + " me" * 3_000 + "}",
            "subscription { nonsense }",
            "subscription { paymentStatus { cursor } }",
            "subscription ($id: ID!) { paymentStatus(paymentId: $id) { cursor } }",
        ):
            stream = await socket.subscribe(query)
            with pytest.raises(GraphQLFailed) as failed:
                await stream.next()

            assert [error["extensions"]["code"] for error in failed.value.errors] == ["INPUT_INVALID"]


async def test_queries_and_mutations_run_over_a_socket_each_for_itself(shop: Shop) -> None:
    given = {"idempotencyKey": str(uuid7()), "creatorId": shop.creator, "amount": usd("5.00")}
    mutation = "mutation ($input: TipCreateInput!) { tipCreate(input: $input) { tip { id } errors { code } } }"
    async with _open(shop, init=shop.world.token("supporter")) as connection:
        answers = []
        for key, query, variables in (
            ("1", mutation, {"input": given}),
            ("2", mutation, {"input": given}),
            ("3", "{ me { name } }", {}),
        ):
            await _send(connection, _subscribe(query, key, **variables))
            answers.append((await _receive(connection))["payload"])
            assert (await _receive(connection)) == {"id": key, "type": "complete"}

    assert answers[0]["data"] == answers[1]["data"]
    assert [answer.get("extensions") for answer in answers] == [
        {"idempotency": {"replayed": False}},
        {"idempotency": {"replayed": True}},
        None,
    ]
    assert answers[2]["data"] == {"me": {"name": "supporter"}}


async def test_ping_is_answered_by_a_pong(shop: Shop) -> None:
    async with _open(shop, init=shop.world.token("supporter")) as connection:
        await _send(connection, {"type": "ping"})

        assert await _receive(connection) == {"type": "pong"}


async def test_watch_over_http_is_refused_with_the_way_to_do_it(shop: Shop) -> None:
    response = await shop.supporter.post({"query": WATCH, "variables": {"id": shop.payment}})

    assert response.status_code == 400
    assert [error["message"] for error in response.json()["errors"]] == [
        "Subscriptions are served over WebSocket, with the subprotocol graphql-transport-ws."
    ]


async def test_watchers_are_let_go_when_they_leave(shop: Shop) -> None:
    payment = await _tip(shop)
    for _ in range(20):
        async with shop.supporter.socket() as socket:
            await _status(await _watch(socket, payment))
    await settle(shop.world)

    await do(shop.supporter, "paymentCancel", paymentId=payment)

    async with shop.supporter.socket() as socket:
        assert (await _status(await _watch(socket, payment)))["payment"]["status"] == "CANCELED"
