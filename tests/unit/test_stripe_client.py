"""The door to Stripe, against a server that answers what it is told: outcomes, keys, times and loops."""

import ast
import asyncio
import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
import stripe

from core.ids import uuid7
from providers.payments.base import PaymentFact, ProviderAction, ProviderError, ProviderErrorCode, ProviderState
from providers.payments.stripe import client as clients
from providers.payments.stripe.client import API_VERSION, Answer, Client

KEY = "sk_test_51Hx"
DATE = datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC)
CREATED = datetime(2026, 5, 4, 11, 0, 0, tzinfo=UTC)
BALANCE = {"object": "balance", "livemode": False, "available": [], "pending": []}
INTENT: dict[str, Any] = {
    "id": "pi_1", "object": "payment_intent", "status": "requires_payment_method", "amount": 1250,
    "amount_received": 0, "amount_capturable": 0, "currency": "usd", "created": int(CREATED.timestamp()),
    "canceled_at": None, "latest_charge": None, "capture_method": "automatic_async", "next_action": None,
    "last_payment_error": None, "metadata": {"comptoir_payment": "01890000-0000-7000-8000-000000000000"},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came."""

    line: str
    headers: dict[str, str]
    body: str


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, or a silence: ``status`` 0 never answers, and -1 hangs up."""

    status: int = 200
    body: object = field(default_factory=lambda: BALANCE)
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Server:
    """Answers one reply after the other, the last for good; connections are kept open."""

    replies: list[Reply] = field(default_factory=lambda: [Reply()])
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await self._answer(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").rstrip().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = (await reader.readexactly(int(headers.get("content-length", "0")))).decode()
        self.asked.append(Asked(first, headers, body))
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if reply.status == 0:
            await asyncio.Event().wait()
        if reply.status < 0:
            return False
        content = reply.body if isinstance(reply.body, bytes) else orjson.dumps(reply.body)
        sent = {"Date": "Mon, 04 May 2026 12:00:00 GMT", "Request-Id": "req_1"} | reply.headers
        head = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
        writer.write(
            f"HTTP/1.1 {reply.status} X\r\n{head}Content-Length: {len(content)}\r\n\r\n".encode() + content
        )
        await writer.drain()
        return True


@asynccontextmanager
async def served(*replies: Reply) -> AsyncIterator[Server]:
    server = Server()
    if replies:
        server.replies = list(replies)
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(server.serve(reader, writer)))

    listening = await asyncio.start_server(connected, "127.0.0.1", 0)
    host, port = listening.sockets[0].getsockname()
    server.url = f"http://{host}:{port}"
    try:
        yield server
    finally:
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def asking(server: Server, *, timeout: timedelta = timedelta(seconds=30)) -> AsyncIterator[Client]:
    client = Client(KEY, timeout=timeout, api_url=server.url)
    try:
        yield client
    finally:
        await client.close()


def read(client: Client) -> Any:
    return client.ask(client.stripe.v1.balance.retrieve_async)


def write(client: Client, key: str = "payment:1") -> Any:
    return client.ask(
        client.stripe.v1.payment_intents.confirm_async, "pi_1", params={"off_session": True}, key=key
    )


async def refusal(call: Any) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await call
    return caught.value


def refuse(status: int, *, replayed: bool = False, **told: object) -> Reply:
    headers = {"Idempotent-Replayed": "true"} if replayed else {}
    body = {"error": {"type": "invalid_request_error", "message": "Key sk_live_51Hx is bad"} | told}
    return Reply(status, body, headers)


# What is sent ---------------------------------------------------------------------------------------------


async def test_key_account_version_and_parameters_are_sent() -> None:
    async with served(Reply(body=INTENT)) as server, asking(server) as client:
        call = client.stripe.v1.payment_intents.confirm_async
        answer = await client.ask(
            call, "pi_1", params={"expand": ["latest_charge"]}, key="confirm:1", account="acct_1"
        )
        assert answer == Answer(INTENT, DATE, replayed=False)
    (asked,) = server.asked
    assert asked.line == "POST /v1/payment_intents/pi_1/confirm HTTP/1.1"
    assert asked.body == "expand[0]=latest_charge"
    assert asked.headers["idempotency-key"] == "confirm:1"
    assert asked.headers["stripe-account"] == "acct_1"
    assert asked.headers["stripe-version"] == API_VERSION
    assert asked.headers["authorization"] == f"Bearer {KEY}"


async def test_nothing_is_told_of_the_machine() -> None:
    async with served() as server, asking(server) as client:
        await read(client)
        await read(client)
    for asked in server.asked:
        assert "x-stripe-client-telemetry" not in asked.headers
        assert "telemetry_id" not in asked.headers["x-stripe-client-user-agent"]
        assert "idempotency-key" not in asked.headers


def test_version_of_the_api_is_the_one_the_sdk_was_made_for() -> None:
    assert stripe.api_version == API_VERSION


def test_no_proxy_is_given_to_the_sdk() -> None:
    """With ``proxy=`` the SDK hands httpx an argument it has not known since 0.28."""
    tree = ast.parse(Path(clients.__file__).read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    made = {ast.unparse(node.func): {word.arg for word in node.keywords} for node in calls}
    assert "http_client" in made["stripe.StripeClient"]
    assert made["stripe.HTTPXClient"] == {"timeout"}
    assert "proxy" not in made["stripe.StripeClient"]


async def test_proxy_given_to_the_sdk_would_break_every_request() -> None:
    async with served() as server:
        http = stripe.HTTPXClient(proxy="http://127.0.0.1:1")
        with pytest.raises(stripe.APIConnectionError) as caught:
            await http.request_async("get", server.url, {})
        assert isinstance(caught.value.__cause__, TypeError)
        await http.close_async()
    assert server.asked == []


# What comes back ------------------------------------------------------------------------------------------


async def test_answer_is_plain_json_though_the_sdks_object_is_not() -> None:
    async with served(Reply(body=INTENT)) as server, asking(server) as client:
        answer = await write(client)
        result = await client.stripe.v1.payment_intents.retrieve_async("pi_1")
    assert type(answer.body["metadata"]).__mro__[-2] is dict
    assert not isinstance(result, dict)
    assert not isinstance(result.metadata, dict)
    assert result.last_response is not None
    assert result.last_response.data == INTENT


@pytest.mark.parametrize(
    ("changes", "at"),
    [
        ({}, CREATED),
        ({"canceled_at": int(CREATED.timestamp()) + 60}, CREATED + timedelta(minutes=1)),
        ({"latest_charge": {"created": int(CREATED.timestamp()) + 9}}, CREATED + timedelta(seconds=9)),
        ({"latest_charge": "ch_1"}, CREATED),
        ({"created": "2026-05-04T11:00:00.000Z"}, CREATED),
        ({"created": None}, DATE),
        ({"created": "soon", "canceled_at": True}, DATE),
    ],
)
async def test_answer_that_is_replayed_is_of_its_objects_own_time(
    changes: dict[str, object], at: datetime
) -> None:
    reply = Reply(body=INTENT | changes, headers={"Idempotent-Replayed": "true"})
    async with served(reply) as server, asking(server) as client:
        answer = await write(client)
    assert (answer.at, answer.replayed) == (at, True)


@pytest.mark.parametrize("date", ["", "yesterday", "Mon, 99 May 2026 12:00:00 GMT"])
async def test_answer_without_a_date_is_of_now(date: str) -> None:
    before = datetime.now(UTC)
    async with served(Reply(headers={"Date": date})) as server, asking(server) as client:
        answer = await read(client)
    assert before <= answer.at <= datetime.now(UTC)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b'"x"', b"\xff"])
async def test_answer_that_is_no_object_leaves_a_write_open_and_a_read_not(body: bytes) -> None:
    async with served(Reply(body=body)) as server, asking(server) as client:
        error = await refusal(write(client))
        assert (error.code, error.action, error.ambiguous) == (
            ProviderErrorCode.UNAVAILABLE, ProviderAction.SAME_KEY, True,
        )  # fmt: skip
        assert not (await refusal(read(client))).ambiguous


async def test_error_that_the_sdk_cannot_read_leaves_a_write_open() -> None:
    async with served(Reply(400, {"error": ["x"]})) as server, asking(server) as client:
        error = await refusal(write(client))
    assert (error.code, error.ambiguous, error.provider_code) == (
        ProviderErrorCode.UNAVAILABLE, True, "AttributeError",
    )  # fmt: skip


async def test_notice_of_stripes_is_no_answer_lost() -> None:
    """The SDK warns of it, and where warnings are errors what was done is as if nobody had answered."""
    async with served(Reply(headers={"Stripe-Notice": "x"})) as server, asking(server) as client:
        with pytest.raises(ProviderError) as caught:
            await write(client)
    assert (caught.value.ambiguous, caught.value.provider_code) == (True, "UserWarning")


async def test_refusal_over_a_payment_tells_its_fact() -> None:
    told = {"code": "payment_intent_unexpected_state", "payment_intent": INTENT | {"status": "succeeded"}}
    async with served(refuse(400, **told)) as server, asking(server) as client:
        error = await refusal(write(client))
        assert isinstance(error.fact, PaymentFact)
        assert (error.fact.state, error.fact.at) == (ProviderState.SUCCEEDED, DATE)
        server.replies = [refuse(400, replayed=True, **told)]
        error = await refusal(write(client))
        assert isinstance(error.fact, PaymentFact)
        assert error.fact.at == CREATED


@pytest.mark.parametrize("intent", [None, "pi_1", {}, INTENT | {"metadata": {}}, INTENT | {"amount": "x"}])
async def test_refusal_over_what_cannot_be_read_tells_no_fact(intent: object) -> None:
    async with served(refuse(400, payment_intent=intent)) as server, asking(server) as client:
        assert (await refusal(write(client))).fact is None


async def test_what_the_sdk_raised_is_in_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with served(refuse(400)) as server, asking(server) as client:
        error = await refusal(write(client))
    assert error.__cause__ is None
    assert error.__context__ is None
    shown = "".join(traceback.format_exception(error)) + caplog.text
    assert "sk_live" not in shown
    assert KEY not in shown


# Outcomes that nobody knows -------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [0, -1])
async def test_silence_leaves_a_write_open_and_a_read_not(status: int) -> None:
    async with served(Reply(status)) as server, asking(server, timeout=timedelta(seconds=0.3)) as client:
        error = await refusal(write(client))
        assert (error.code, error.action, error.ambiguous) == (
            ProviderErrorCode.UNAVAILABLE, ProviderAction.SAME_KEY, True,
        )  # fmt: skip
        error = await refusal(read(client))
        assert (error.code, error.action, error.ambiguous) == (
            ProviderErrorCode.UNAVAILABLE, ProviderAction.LATER, False,
        )  # fmt: skip
    assert len(server.asked) == 2  # nothing is sent again by itself


async def test_stripe_that_is_away_was_asked_nothing() -> None:
    async with served() as server:
        pass
    async with asking(server) as client:
        error = await refusal(write(client))
    assert (error.code, error.action, error.ambiguous) == (
        ProviderErrorCode.UNAVAILABLE, ProviderAction.LATER, False,
    )  # fmt: skip
    assert error.provider_code == "ConnectError"


async def test_whoever_stops_waiting_is_not_held() -> None:
    async with served(Reply(0)) as server, asking(server) as client:
        task = asyncio.create_task(write(client))
        while not server.asked:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


# Keys -----------------------------------------------------------------------------------------------------


def keys(server: Server) -> list[str]:
    return [asked.headers["idempotency-key"] for asked in server.asked]


async def test_key_in_use_is_waited_for() -> None:
    busy = refuse(409, type="idempotency_error", code="idempotency_key_in_use")
    async with served(busy, busy, Reply(body=INTENT)) as server, asking(server) as client:
        assert (await write(client)).body == INTENT
    assert keys(server) == ["payment:1"] * 3


async def test_key_that_stays_in_use_is_unknown() -> None:
    busy = refuse(409, type="idempotency_error", code="idempotency_key_in_use")
    async with served(busy) as server, asking(server, timeout=timedelta(seconds=0.5)) as client:
        error = await refusal(write(client))
    assert (error.code, error.ambiguous) == (ProviderErrorCode.UNAVAILABLE, True)
    assert set(keys(server)) == {"payment:1"}


@pytest.mark.parametrize("code", ["balance_insufficient", "payouts_not_allowed"])
async def test_refusal_kept_from_earlier_that_time_may_have_cured_is_asked_again(code: str) -> None:
    old, new = refuse(400, replayed=True, code=code), refuse(400, code=code)
    async with served(old, old, Reply(body=INTENT)) as server, asking(server) as client:
        assert (await write(client)).body == INTENT
        assert keys(server) == ["payment:1", "payment:1:2", "payment:1:3"]

        server.asked, server.replies = [], [old, new]
        assert not (await refusal(write(client))).ambiguous
        assert keys(server) == ["payment:1", "payment:1:2"]

        server.asked, server.replies = [], [new]
        await refusal(write(client))
        assert keys(server) == ["payment:1"]


async def test_series_of_keys_ends() -> None:
    async with served(refuse(400, replayed=True, code="balance_insufficient")) as server, asking(server) as client:
        assert (await refusal(write(client))).code is ProviderErrorCode.BALANCE_INSUFFICIENT
    assert len(keys(server)) == len(set(keys(server))) == 20


@pytest.mark.parametrize(
    "kept",
    [
        refuse(402, replayed=True, type="card_error", code="card_declined"),
        refuse(402, replayed=True, type="card_error", code="card_declined", decline_code="insufficient_funds"),
        refuse(500, replayed=True, type="api_error"),
        refuse(400, replayed=True, code="payment_intent_unexpected_state"),
    ],
)
async def test_any_other_refusal_kept_from_earlier_stands(kept: Reply) -> None:
    async with served(kept) as server, asking(server) as client:
        await refusal(write(client))
    assert keys(server) == ["payment:1"]


# Event loops ---------------------------------------------------------------------------------------------


async def _elsewhere(ask: Callable[[], Awaitable[Any]]) -> Any:
    """Run something in another event loop, in another thread, and return what it returned or raised."""

    async def asked() -> Any:
        return await ask()

    def run() -> Any:
        try:
            return asyncio.run(asked())
        except Exception as error:  # ruff: ignore[blind-except] - it is what is looked at
            return error

    return await asyncio.to_thread(run)


async def test_client_of_another_loop_is_refused_before_anything_is_sent() -> None:
    """A connection that is kept open fails in another loop or does not, and a write on it would be in doubt."""
    async with served() as server, asking(server) as client:
        await read(client)
        outcome = await _elsewhere(lambda: write(client, f"payment:{uuid7()}"))
        assert isinstance(outcome, ProviderError)
        assert (outcome.code, outcome.ambiguous, outcome.provider_code) == (
            ProviderErrorCode.MISCONFIGURED, False, "another_event_loop",
        )  # fmt: skip
        assert len(server.asked) == 1
        await read(client)


async def test_client_made_in_each_loop_works_in_it() -> None:
    async def ask() -> Answer:
        async with asking(server) as client:
            answer: Answer = await read(client)
            return answer

    async with served() as server:
        for _ in range(2):
            assert isinstance(await _elsewhere(ask), Answer)
        assert isinstance(await ask(), Answer)
