"""localstripe, the shim before it, and a server whose provider they are: all of it on this machine, new for each test."""

import asyncio
import socket
from collections.abc import AsyncIterator

import httpx
import pytest
import uvicorn

from tests.localstripe.objects import Objects
from tests.localstripe.process import running_localstripe
from tests.localstripe.shim import TOLD, Shim
from tests.localstripe.till import Till
from tests.localstripe.webhooks import SECRET, Webhooks
from tests.support.processes import PLAIN
from tests.support.world import running_world

KEY = "sk_test_localstripe"


@pytest.fixture
async def shim() -> AsyncIterator[Shim]:
    """localstripe as Stripe, on a free port; it sends no webhooks yet."""
    listening = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    async with (
        running_localstripe() as address,
        httpx.AsyncClient(base_url=address, auth=(KEY, ""), timeout=30, verify=PLAIN) as http,
    ):
        opened = Shim(Objects(http, url), Webhooks())
        server = uvicorn.Server(uvicorn.Config(opened.application(), log_config=None, timeout_graceful_shutdown=2))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        hook = {"url": f"{url}/webhooks", "secret": SECRET, "events": list(TOLD)}
        (await http.post("/_config/webhooks/shim", json=hook)).raise_for_status()
        try:
            yield opened
        finally:
            await opened.webhooks.close()
            server.should_exit = True
            await serving


@pytest.fixture
async def till(dsn: str, books: None, shim: Shim) -> AsyncIterator[Till]:
    """A server and a worker, with a creator, on localstripe; the books are proven once more at the end."""
    async with running_world(
        dsn,
        deliveries=False,
        provider="stripe",
        stripe_api_key=KEY,
        stripe_webhook_secret=SECRET,
        stripe_api_url=shim.objects.url,
    ) as world:
        shim.webhooks.endpoint = f"{world.url}/webhooks/stripe"
        yield Till(world, shim, await world.creator("fable"))
        await shim.webhooks.close()
