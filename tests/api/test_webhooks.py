"""The webhook endpoint: what it believes is stored once, what it does not leaves no trace."""

import asyncio
import base64
import hashlib
import hmac
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any

import asyncpg
import httpx
import orjson
import pytest

from app.postgres import Lease
from core.clock import now
from core.ids import Noun, uuid7
from providers.payments.sandbox.webhooks import sign, signing_keys
from services import webhooks
from tests.api.shop import Shop, do, unchanged, usd
from tests.support.world import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

OTHER_SECRET = "whsec_" + base64.b64encode(b"another secret of 32 characters!").decode()
CAP = 1024 * 1024


def _body(**changed: Any) -> bytes:
    event_id = f"evt_{uuid7().hex}"
    return orjson.dumps({"id": event_id, "type": "nothing.we.know", "livemode": False, "data": {}, **changed})


def _signed(
    shop: Shop, body: bytes, *, age: float = 0, secret: str | None = None, **changed: Any
) -> dict[str, str]:
    key = signing_keys([secret or shop.world.settings.webhook_secrets[0]])[0]
    try:
        event_id = orjson.loads(body)["id"]
    except (orjson.JSONDecodeError, TypeError, KeyError):
        event_id = "evt_1"
    headers = sign(key, event_id, body.decode("utf-8", "surrogateescape"), now() - timedelta(seconds=age))
    headers["content-type"] = "application/json"
    return {name: value for name, value in (headers | changed).items() if value is not None}


async def _post(
    shop: Shop, body: bytes | AsyncIterator[bytes], headers: Mapping[str, str], provider: str = "sandbox"
) -> httpx.Response:
    async with httpx.AsyncClient(timeout=20) as client:
        return await client.post(f"{shop.world.url}/webhooks/{provider}", content=body, headers=headers)


async def _refused(shop: Shop, body: bytes, headers: Mapping[str, str]) -> None:
    async with unchanged(shop.world):
        response = await _post(shop, body, headers)

    assert (response.status_code, response.text) == (400, "This webhook could not be verified.\n")


# Believed ---------------------------------------------------------------------------------------------------


async def test_signed_event_is_stored_as_it_came(shop: Shop) -> None:
    body = _body()
    before = await shop.world.count("inbox_events")

    response = await _post(shop, body, _signed(shop, body))

    assert (response.status_code, response.text) == (200, "ok\n")
    assert await shop.world.count("inbox_events") == before + 1
    stored = await shop.world.scalar("select body from inbox_events where event_id = $1", orjson.loads(body)["id"])
    assert bytes(stored) == body


async def test_event_sent_a_hundred_times_at_once_is_one_row(shop: Shop) -> None:
    body = _body()
    headers = _signed(shop, body)
    before = await shop.world.count("inbox_events")

    async with httpx.AsyncClient(timeout=20) as client:
        responses = await asyncio.gather(
            *(client.post(f"{shop.world.url}/webhooks/sandbox", content=body, headers=headers) for _ in range(100))
        )

    assert {response.status_code for response in responses} == {200}
    assert await shop.world.count("inbox_events") == before + 1


async def test_event_signed_again_is_still_one_row(shop: Shop) -> None:
    body = _body()

    responses = [await _post(shop, body, _signed(shop, body, age=age)) for age in (60, 0)]

    assert [response.status_code for response in responses] == [200, 200]
    event_id = orjson.loads(body)["id"]
    assert await shop.world.scalar("select count(*) from inbox_events where event_id = $1", event_id) == 1


async def test_payment_is_settled_once_by_an_event_that_comes_twice(shop: Shop) -> None:
    world = shop.world
    sent = await do(shop.supporter, "tipCreate", creatorId=shop.creator, amount=usd("5.00"))
    payment = sent["payment"]["id"]
    await do(shop.supporter, "paymentConfirm", paymentId=payment, method="tok_success")
    bodies = await world.engine.database.reader.fetch("select body from sandbox.event where delivered_at is null")

    for _ in range(2):
        for row in bodies:
            body = row["body"].encode()
            assert (await _post(shop, body, _signed(shop, body))).status_code == 200
        while await webhooks.process(world.engine):
            pass

    assert await world.status(payment) == "SUCCEEDED"
    key = str(world.key(Noun.PAYMENT, payment))
    assert (
        await world.scalar("select count(*) from ledger.request where key like 'capture:' || $1 || '%'", key) == 1
    )
    succeeded = "select count(*) from payment_events where payment_id = $1::uuid and status = 'SUCCEEDED'"
    assert await world.scalar(succeeded, key) == 1


async def test_largest_event_is_taken(shop: Shop) -> None:
    body = _body(data="x" * (CAP - 200)).ljust(CAP)
    assert len(body) == CAP

    assert (await _post(shop, body, _signed(shop, body))).status_code == 200


async def test_event_from_within_the_tolerance_is_taken(shop: Shop) -> None:
    for age in (290, 0, -50):
        body = _body()

        assert (await _post(shop, body, _signed(shop, body, age=age))).status_code == 200


# Not believed -----------------------------------------------------------------------------------------------


async def test_forged_body_is_refused(shop: Shop) -> None:
    body = _body(type="payment.failed")

    await _refused(shop, body.replace(b"payment.failed", b"payment.succeeded"), _signed(shop, body))


async def test_truncated_body_is_refused(shop: Shop) -> None:
    body = _body()

    await _refused(shop, body[:-1], _signed(shop, body))


async def test_empty_body_is_refused(shop: Shop) -> None:
    await _refused(shop, b"", _signed(shop, _body()))
    await _refused(shop, b"", _signed(shop, b""))


async def test_wrong_secret_is_refused(shop: Shop) -> None:
    body = _body()

    await _refused(shop, body, _signed(shop, body, secret=OTHER_SECRET))


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
@pytest.mark.parametrize("value", [None, "", "x", "é".encode().decode("latin-1"), "v1,", "9" * 10_000])
async def test_missing_or_malformed_header_is_refused(shop: Shop, name: str, value: str | None) -> None:
    body = _body()
    headers = {key: text.encode("latin-1") for key, text in _signed(shop, body, **{name: value}).items()}

    await _refused(shop, body, headers)


async def test_header_of_ten_thousand_signatures_is_refused(shop: Shop) -> None:
    body = _body()
    right = _signed(shop, body)["webhook-signature"]

    await _refused(shop, body, _signed(shop, body, **{"webhook-signature": "v1,AAAA " * 1_000 + right}))


async def test_id_of_another_event_is_refused(shop: Shop) -> None:
    body = _body()
    key = signing_keys(shop.world.settings.webhook_secrets)[0]

    await _refused(shop, body, sign(key, "evt_another", body.decode(), now()))


@pytest.mark.parametrize("age", [310, 86_400, 10**9])
async def test_event_after_the_tolerance_is_refused_even_if_it_was_taken_before(shop: Shop, age: float) -> None:
    body = _body()
    assert (await _post(shop, body, _signed(shop, body))).status_code == 200

    await _refused(shop, body, _signed(shop, body, age=age))


@pytest.mark.parametrize("ahead", [70, 86_400, 10**9])
async def test_event_from_the_future_is_refused(shop: Shop, ahead: float) -> None:
    body = _body()

    await _refused(shop, body, _signed(shop, body, age=-ahead))


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xfe",
        b'{"id":"evt_1","type":"\xc3"}',
        b"[]",
        b"null",
        b'"text"',
        b"7",
        b"{",
        b"{}",
        b'{"id":"evt_1"}',
        b'{"id":"evt_1","type":7,"livemode":false}',
        b'{"id":"evt_1","type":"t","livemode":true}',
        b"[" * 100_000,
    ],
    ids=lambda body: body[:20].decode("latin-1"),
)
async def test_signed_body_that_is_no_event_is_refused(shop: Shop, body: bytes) -> None:
    secret = base64.b64decode(shop.world.settings.webhook_secrets[0].removeprefix("whsec_"))
    timestamp = str(int(now().timestamp()))
    signature = hmac.digest(secret, f"evt_1.{timestamp}.".encode() + body, hashlib.sha256)
    headers = {
        "webhook-id": "evt_1",
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{base64.b64encode(signature).decode()}",
    }

    await _refused(shop, body, headers)


# Not even looked at -----------------------------------------------------------------------------------------


async def test_body_over_the_cap_is_too_large(shop: Shop) -> None:
    body = _body(data="x" * CAP)

    async with unchanged(shop.world):
        response = await _post(shop, body, _signed(shop, body))

    assert (response.status_code, response.text) == (413, "A webhook has at most 1 MiB.\n")


async def test_body_over_the_cap_is_too_large_before_it_ends_when_no_length_is_announced(shop: Shop) -> None:
    chunks = (b"10000\r\n" + b"x" * 65_536 + b"\r\n") * 17

    answer = await _raw(shop, b"Transfer-Encoding: chunked\r\n", chunks)

    assert answer.startswith(b"HTTP/1.1 413 ")


async def test_announced_length_over_the_cap_is_answered_before_a_byte_is_sent(shop: Shop) -> None:
    answer = await _raw(shop, f"Content-Length: {CAP + 1}\r\n".encode())

    assert answer.startswith(b"HTTP/1.1 413 ")


async def test_body_longer_than_announced_is_cut_and_refused(shop: Shop) -> None:
    body = _body()
    headers = "".join(f"{name}: {value}\r\n" for name, value in _signed(shop, body).items())

    answer = await _raw(shop, f"{headers}Content-Length: 10\r\n".encode(), body)

    assert answer.startswith(b"HTTP/1.1 400 ")


async def test_body_that_never_ends_as_announced_is_not_stored(shop: Shop) -> None:
    body = _body()
    headers = "".join(f"{name}: {value}\r\n" for name, value in _signed(shop, body).items())

    async with unchanged(shop.world):
        reader, writer = await asyncio.open_connection("127.0.0.1", shop.world.settings.port)
        request = f"POST /webhooks/sandbox HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {len(body) + 1}\r\n\r\n"
        writer.write(request.encode() + body)
        await writer.drain()
        writer.write_eof()
        assert b" 200 " not in await reader.read()
        writer.close()
        await writer.wait_closed()


async def _raw(shop: Shop, headers: bytes, body: bytes = b"") -> bytes:
    """Send a request as bytes and return the first line of the answer at least; nothing is written."""
    async with unchanged(shop.world):
        reader, writer = await asyncio.open_connection("127.0.0.1", shop.world.settings.port)
        writer.write(b"POST /webhooks/sandbox HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n" + body)
        await writer.drain()
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n"), 10)
        writer.close()
        await writer.wait_closed()
    return answer


@pytest.mark.parametrize("provider", ["stripe", "Sandbox", "sandbox%00", "%2e%2e"])
async def test_unknown_provider_is_not_found(shop: Shop, provider: str) -> None:
    body = _body()

    async with unchanged(shop.world):
        response = await _post(shop, body, _signed(shop, body), provider)

    assert response.status_code == 404


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH"])
async def test_other_methods_are_not_allowed(shop: Shop, method: str) -> None:
    body = _body()

    async with unchanged(shop.world), httpx.AsyncClient() as client:
        response = await client.request(
            method, f"{shop.world.url}/webhooks/sandbox", content=body, headers=_signed(shop, body)
        )

    assert response.status_code == 405
    assert response.headers["allow"] == "POST"


# The last of the file: it cuts the server off from its database for a moment.
async def test_event_is_put_off_while_the_database_is_away_and_taken_once_it_is_back(
    shop: Shop, lease: Lease
) -> None:
    body = _body()
    name = await shop.world.scalar("select current_database()")
    admin = await asyncpg.connect(lease.dsn("postgres"))
    try:
        async with unchanged(shop.world):
            await admin.execute(f"alter database {name} allow_connections false")
            await admin.fetch("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", name)
            away = [await _post(shop, body, _signed(shop, body)) for _ in range(20)]
            forged = await _post(shop, body, _signed(shop, body, secret=OTHER_SECRET))
            await admin.execute(f"alter database {name} allow_connections true")
            await eventually(lambda: _is_ready(shop))
    finally:
        await admin.execute(f"alter database {name} allow_connections true")
        await admin.close()

    assert {(response.status_code, response.text) for response in away} == {(503, "Try again later.\n")}
    assert {response.headers["retry-after"] for response in away} == {"5"}
    assert forged.status_code == 400
    before = await shop.world.count("inbox_events")
    assert (await _post(shop, body, _signed(shop, body))).status_code == 200
    assert await shop.world.count("inbox_events") == before + 1


async def _is_ready(shop: Shop) -> bool:
    async with httpx.AsyncClient() as client:
        return (await client.get(f"{shop.world.url}/health/ready")).status_code == 200
