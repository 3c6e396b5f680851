"""Events as Stripe sends them: kept, signed, and sent until they are taken."""

import asyncio
import hashlib
import hmac
import json
import secrets
import time
from dataclasses import dataclass, field
from typing import Final

import httpx

from providers.payments.stripe import API_VERSION
from tests.localstripe.shapes import Body

SECRET: Final = "whsec_localstripe"


@dataclass
class Webhooks:
    """What was told so far, and to whom: ``endpoint``, once there is one."""

    endpoint: str | None = None
    events: list[Body] = field(default_factory=list)
    _sending: set[asyncio.Task[None]] = field(default_factory=set)

    def tell(self, kind: str, about: Body, reference: str | None = None, at: int | None = None) -> None:
        """Keep an event, and send it until it is taken."""
        event = {
            "id": reference or f"evt_{secrets.token_hex(12)}",
            "object": "event",
            "type": kind,
            "api_version": API_VERSION,
            "created": at or int(time.time()),
            "livemode": False,
            "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": None},
            "data": {"object": about},
        }
        self.events.append(event)
        self._start(event)

    def send_all(self) -> None:
        """Send everything once more."""
        for event in self.events:
            self._start(event)

    def _start(self, event: Body) -> None:
        if self.endpoint is not None:
            task = asyncio.create_task(self._send(self.endpoint, event))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _send(self, endpoint: str, event: Body) -> None:
        body = json.dumps(event).encode()
        async with httpx.AsyncClient(timeout=10) as http:
            while True:
                headers = {
                    "content-type": "application/json",
                    "stripe-signature": signature(body, int(time.time())),
                }
                try:
                    if (await http.post(endpoint, content=body, headers=headers)).is_success:
                        return
                except httpx.TransportError:
                    pass  # nobody listens yet, or no more
                await asyncio.sleep(0.2)

    async def close(self) -> None:
        """Send nothing any more."""
        for task in list(self._sending):
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)


def signature(body: bytes, at: int) -> str:
    """Return the header that signs a webhook as Stripe does."""
    digest = hmac.new(SECRET.encode(), b"%d.%s" % (at, body), hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"
