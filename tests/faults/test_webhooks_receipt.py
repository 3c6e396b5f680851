"""Webhooks that cannot be believed, and those that are hard to receive: huge, slow, signed by a secret that changes."""

import asyncio
import base64
from collections.abc import Callable
from datetime import timedelta
from typing import Final

import httpx
import orjson
import pytest

from core.clock import wall
from tests.faults.shop import Customer, audit, everything_told, open_shop, settled
from tests.faults.webhook_delivery import (
    assert_paid_once,
    assert_story,
    inbox_states,
    process_all,
    sending,
    signed,
    told_again,
    written,
)
from tests.faults.webhook_flows import FLOWS, AtTheProvider, Played, play
from tests.support.processes import Deployment
from tests.support.world import World

_CAP: Final = 1024 * 1024
_SIGNATURES: Final = 10_000
_SLOW: Final = 64  # more than there are connections to the database
_OLD: Final = "whsec_" + base64.b64encode(b"the secret that is taken away").decode()
_NEW: Final = "whsec_" + base64.b64encode(b"the secret that comes instead").decode()


async def one_paid(world: World) -> Played:
    """Have one tip charged at the provider, its webhooks not yet delivered."""
    (played,) = await play(world, FLOWS["success with charge"], await world.creator("fable"), 1, AtTheProvider)
    return played


async def assert_settled(world: World, played: Played) -> None:
    await process_all(world)
    assert await inbox_states(world) == {("DONE", 0)}
    await assert_story(world, played.key, "SUCCEEDED")
    await assert_paid_once(world, [played.key], [played.bodies[1]])


def _forged(body: bytes, secret: str) -> tuple[bytes, dict[str, str]]:
    return body.replace(b"USD", b"EUR"), signed(body, secret)


def _without(name: str) -> Callable[[bytes, str], tuple[bytes, dict[str, str]]]:
    def leave_out(body: bytes, secret: str) -> tuple[bytes, dict[str, str]]:
        return body, {key: text for key, text in signed(body, secret).items() if key != name}

    return leave_out


def _not_ascii(body: bytes, secret: str) -> tuple[bytes, dict[str, str]]:
    headers = signed(body, secret)
    return body, headers | {"webhook-signature": f"{headers['webhook-signature']} v1,é"}


def _not_utf8(body: bytes, secret: str) -> tuple[bytes, dict[str, str]]:
    broken = body.replace(b"USD", b"US\xc3")
    return broken, signed(broken, secret, event_id=orjson.loads(body)["id"])


def _instead(other: bytes) -> Callable[[bytes, str], tuple[bytes, dict[str, str]]]:
    def take(body: bytes, secret: str) -> tuple[bytes, dict[str, str]]:
        return other, signed(other, secret, event_id=orjson.loads(body)["id"])

    return take


def _live(body: bytes, secret: str) -> tuple[bytes, dict[str, str]]:
    live = orjson.dumps(orjson.loads(body) | {"livemode": True})
    return live, signed(live, secret)


def _dated(ahead: timedelta) -> Callable[[bytes, str], tuple[bytes, dict[str, str]]]:
    return lambda body, secret: (body, signed(body, secret, wall() + ahead))


_UNBELIEVABLE: Final[dict[str, Callable[[bytes, str], tuple[bytes, dict[str, str]]]]] = {
    "forged body": _forged,
    "wrong secret": lambda body, _: (body, signed(body, _OLD)),
    "webhook-id missing": _without("webhook-id"),
    "webhook-timestamp missing": _without("webhook-timestamp"),
    "webhook-signature missing": _without("webhook-signature"),
    "signature not ASCII": _not_ascii,
    "body not UTF-8": _not_utf8,
    "signed empty list": _instead(b"[]"),
    "signed null": _instead(b"null"),
    "timestamp in the future": _dated(timedelta(minutes=2)),
    "timestamp before the tolerance": _dated(-timedelta(minutes=6)),
    "event of the other mode": _live,
}


@pytest.mark.parametrize("fault", _UNBELIEVABLE)
async def test_webhook_that_cannot_be_believed_leaves_no_trace_and_the_real_one_settles(
    idle: World, fault: str
) -> None:
    played = await one_paid(idle)
    body, charge = played.bodies
    before = await written(idle)

    async with sending(idle) as sender:
        content, headers = _UNBELIEVABLE[fault](body.encode(), idle.settings.webhook_secrets[0])
        assert await sender.send_as_it_is(content, headers) == 400
        await process_all(idle)
        assert await written(idle) == before
        assert await idle.count("inbox_events") == 0
        assert await idle.scalar("select status from payments") == "PENDING"

        await sender.send_all([body, charge])

    await assert_settled(idle, played)


async def test_replay_after_the_tolerance_is_refused_though_it_was_taken_before(idle: World) -> None:
    played = await one_paid(idle)
    secret = idle.settings.webhook_secrets[0]
    async with sending(idle) as sender:
        await sender.send_all(played.bodies)
        await process_all(idle)
        before = await written(idle)

        for body in played.bodies:
            old = signed(body, secret, wall() - timedelta(minutes=6))
            assert await sender.send_as_it_is(body.encode(), old) == 400

    assert await idle.count("inbox_events") == 2
    assert await written(idle) == before
    await assert_settled(idle, played)


async def test_of_ten_thousand_signatures_in_one_header_only_the_first_are_looked_at(idle: World) -> None:
    played = await one_paid(idle)
    body, charge = played.bodies
    secret = idle.settings.webhook_secrets[0]
    headers = signed(body, secret)
    right, moment = headers["webhook-signature"], headers["webhook-timestamp"]
    wrong = signed(told_again(body), secret)["webhook-signature"]
    before = await written(idle)

    async with sending(idle) as sender:
        last = " ".join([wrong] * (_SIGNATURES - 1) + [right])
        assert await sender.send(body, webhook_signature=last, webhook_timestamp=moment) == 400
        assert (
            await sender.send(body, webhook_signature=" ".join([wrong] * _SIGNATURES), webhook_timestamp=moment)
            == 400
        )
        await process_all(idle)
        assert await written(idle) == before
        assert await idle.count("inbox_events") == 0

        first = " ".join([right] + [wrong] * (_SIGNATURES - 1))
        assert await sender.send(body, webhook_signature=first, webhook_timestamp=moment) == 200
        await sender.send_all([charge])

    await assert_settled(idle, played)


async def test_secret_is_rotated_without_a_gap_and_the_old_one_is_worth_nothing_once_it_is_gone(
    deployed: Deployment,
) -> None:
    deployed.common["comptoir_sandbox_webhook_secret"] = f"{_NEW},{_OLD}"
    web = await deployed.web()
    creator, _ = await open_shop(deployed)
    customer = Customer(deployed)
    payments = [await customer.tip(creator) for _ in range(3)]
    bodies: list[list[str]] = []
    for payment in payments:
        await customer.pay(payment)
        told = [row["body"] for row in await deployed.pool.fetch("select body::text as body from sandbox.event")]
        bodies.append([body for body in told if body not in [one for each in bodies for one in each]])

    async with sending(deployed) as sender:
        for secret, each in ((_OLD, bodies[0]), (_NEW, bodies[1])):
            assert [await sender.send(body, secret=secret) for body in each] == [200, 200]
        await web.stop()
        web.environment["COMPTOIR_SANDBOX_WEBHOOK_SECRET"] = _NEW
        await web.restart()
        received = await deployed.count("inbox_events")
        assert received == 4
        # A repeat of what was taken before is as little believed as what is new.
        refused = [await sender.send(body, secret=_OLD) for body in (*bodies[0], *bodies[2])]
        assert refused == [400] * 4
        assert await deployed.count("inbox_events") == received
        assert [await sender.send(body, secret=_NEW) for body in bodies[2]] == [200, 200]

    deployed.worker()
    await settled(deployed, *payments)
    await everything_told(deployed)
    await audit(deployed, payments)


async def test_valid_event_of_exactly_one_mebibyte_is_settled_and_one_byte_more_is_too_large(idle: World) -> None:
    played = await one_paid(idle)
    body, charge = played.bodies
    before = await written(idle)

    async with sending(idle) as sender:
        over = _grown(body, _CAP + 1)
        assert await sender.send(over) == 413
        assert await written(idle) == before
        assert await idle.count("inbox_events") == 0
        full = _grown(body, _CAP)
        assert await sender.send(full) == 200
        await sender.send_all([charge])

    stored = await idle.scalar("select body from inbox_events where type = 'payment.succeeded'")
    assert bytes(stored) == full.encode()
    await assert_settled(idle, played)


def _grown(body: str, size: int) -> str:
    """Return an event with a note in it that makes it so many bytes long."""
    event = orjson.loads(body)
    empty = len(orjson.dumps(event | {"note": ""}))
    grown = orjson.dumps(event | {"note": "x" * (size - empty)}).decode()
    assert len(grown.encode()) == size
    return grown


async def test_slow_bodies_hold_up_nobody_and_are_taken_when_they_are_complete(idle: World) -> None:
    slow = await one_paid(idle)
    body = slow.bodies[0].encode()
    head = "".join(
        f"{name}: {text}\r\n" for name, text in signed(slow.bodies[0], idle.settings.webhook_secrets[0]).items()
    )
    request = f"POST /webhooks/sandbox HTTP/1.1\r\nhost: x\r\n{head}content-length: {len(body)}\r\n\r\n".encode()
    connections = [await asyncio.open_connection("127.0.0.1", idle.settings.port) for _ in range(_SLOW)]
    for _, writer in connections:
        writer.write(request + body[:100])
        await writer.drain()

    # While all of them are under way, a byte now and then, the others are served.
    async with sending(idle) as sender:
        for place in range(100, 110):
            for _, writer in connections:
                writer.write(body[place : place + 1])
            await sender.send_all([told_again(slow.bodies[1], place)])
    async with httpx.AsyncClient() as http:
        assert (await http.get(f"{idle.url}/health/ready")).status_code == 200
    assert await idle.scalar("select count(*) from inbox_events where type = 'payment.succeeded'") == 0
    # Half of them hang up; the others come to their end.
    left, finishing = connections[: _SLOW // 2], connections[_SLOW // 2 :]
    for _, writer in left:
        writer.close()
    for reader, writer in finishing:
        writer.write(body[110:])
        assert (await asyncio.wait_for(reader.readline(), 30)).startswith(b"HTTP/1.1 200 ")
        writer.close()
    for _, writer in connections:
        await writer.wait_closed()

    assert await idle.scalar("select count(*) from inbox_events where type = 'payment.succeeded'") == 1
    await assert_settled(idle, slow)


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "in chunks"])
async def test_body_over_the_cap_is_answered_before_it_is_sent(idle: World, announced: bool) -> None:
    played = await one_paid(idle)
    before = await written(idle)
    length = f"content-length: {_CAP + 1}" if announced else "transfer-encoding: chunked"
    reader, writer = await asyncio.open_connection("127.0.0.1", idle.settings.port)
    writer.write(f"POST /webhooks/sandbox HTTP/1.1\r\nhost: x\r\n{length}\r\n\r\n".encode())
    if not announced:
        # One chunk too many, and no last one: the body has not come to its end.
        writer.write((b"10000\r\n" + b"x" * 65_536 + b"\r\n") * (_CAP // 65_536 + 1))

    answer = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    await writer.wait_closed()

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"\r\nconnection: close\r\n" in answer.lower()
    assert await written(idle) == before
    assert await idle.count("inbox_events") == 0
    async with sending(idle) as sender:
        await sender.send_all(played.bodies)
    await assert_settled(idle, played)
