"""The connection that races are timed by, against servers that answer in every lawful way and in some others."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from races.wire import Wire, WireError

WHOLE = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
IN_CHUNKS = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"
LAST = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}"


@asynccontextmanager
async def server(answer: Callable[[int], bytes | None]) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Answer the n-th request with what is said, byte by byte; None hangs up."""
    requests: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    int(line[16:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:")
                )
                requests.append(head + await reader.readexactly(length))
                told = answer(len(requests))
                if told is None:
                    return
                for byte in told:
                    writer.write(bytes([byte]))
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}", requests


@pytest.mark.parametrize("told", [WHOLE, IN_CHUNKS, LAST])
async def test_answer_is_whole_however_it_comes(told: bytes) -> None:
    async with server(lambda _: told) as (url, requests):
        wire = Wire(url)
        answers = [await wire.post(b'{"query":""}', "a-token") for _ in range(2)]
        wire.close()

    assert [(answer.status, answer.body) for answer in answers] == [(200, b"{}")] * 2
    assert all(answer.interval.sent < answer.interval.answered for answer in answers)
    assert answers[0].interval.answered <= answers[1].interval.sent
    assert all(b"POST /graphql HTTP/1.1" in request for request in requests)
    assert all(b"authorization: Bearer a-token" in request for request in requests)


async def test_address_below_a_path_is_kept() -> None:
    async with server(lambda _: WHOLE) as (url, requests):
        wire = Wire(f"{url}/shop/")
        await wire.post(b"{}", None)
        wire.close()

    assert requests[0].startswith(b"POST /shop/graphql ")
    assert b"authorization" not in requests[0]


async def test_request_that_was_hung_up_on_is_sent_once_more() -> None:
    async with server(lambda number: None if number == 2 else WHOLE) as (url, requests):
        wire = Wire(url)
        await wire.post(b"{}", None)
        answer = await wire.post(b"{}", None)
        wire.close()

    assert answer.status == 200
    assert len(requests) == 3


async def test_server_that_always_hangs_up_is_an_error() -> None:
    async with server(lambda _: None) as (url, requests):
        wire = Wire(url)
        with pytest.raises(WireError, match="connection was lost"):
            await wire.post(b"{}", None)

    assert len(requests) == 2


async def test_answer_that_breaks_off_is_an_error_and_is_not_asked_for_again() -> None:
    async with server(lambda _: b"this is not HTTP\r\n\r\n") as (url, requests):
        wire = Wire(url)
        with pytest.raises(WireError, match="not HTTP"):
            await wire.post(b"{}", None)
        wire.close()

    assert len(requests) == 1


def test_address_that_is_none_is_refused() -> None:
    with pytest.raises(WireError, match="is not an http or https address"):
        Wire("staging.example")
