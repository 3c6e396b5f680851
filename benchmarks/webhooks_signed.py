"""Signed webhooks as they go over the wire, made before the clock runs."""

import base64
import hmac
import itertools
import secrets
import time
from collections.abc import Iterator
from typing import Final

import orjson

from benchmarks.load import post
from core.ids import uuid7

PATH: Final = "/webhooks/sandbox"
_AT: Final = "2026-05-04T11:59:59.123456Z"


class Signer:
    """Signs bodies with one of the sandbox's secrets (``whsec_…``), as Standard Webhooks says."""

    def __init__(self, secret: str) -> None:
        self._key = base64.b64decode(secret.removeprefix("whsec_"))

    def request(self, body: bytes, event_id: str, path: str = PATH) -> bytes:
        """Return the request of a webhook signed now."""
        timestamp = str(int(time.time()))
        digest = hmac.digest(self._key, f"{event_id}.{timestamp}.".encode() + body, "sha256")
        signature = f"v1,{base64.b64encode(digest).decode()}"
        headers = {"webhook-id": event_id, "webhook-timestamp": timestamp, "webhook-signature": signature}
        return post(path, body, headers)

    def strangers(self, count: int, path: str = PATH) -> list[bytes]:
        """Return requests of so many events of the usual size, each of a payment of its own that nobody knows."""
        return [self.request(body, event_id, path) for event_id, body in itertools.islice(_events(), count)]


def _events() -> Iterator[tuple[str, bytes]]:
    while True:
        event_id = f"evt_{secrets.token_hex(16)}_1"
        told = {
            "id": f"sbx_{secrets.token_hex(16)}",
            "reference": str(uuid7()),
            "state": "SUCCEEDED",
            "at": _AT,
            "amount": 500,
            "currency": "USD",
            "captured": 500,
            "decline_code": None,
            "action_url": None,
        }
        event = {
            "id": event_id,
            "type": "payment.succeeded",
            "created": _AT,
            "livemode": False,
            "data": {"object": told},
        }
        yield event_id, orjson.dumps(event)
