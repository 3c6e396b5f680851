"""Events as the sandbox signs and sends them, and forged ones under its own secret."""

import secrets
from typing import Any

import httpx
import orjson

from core.clock import now
from providers.payments.sandbox.webhooks import sign, signing_keys
from tests.support.processes import PLAIN
from tests.support.world import World


def succeeded(payment: Any, **changes: Any) -> dict[str, Any]:
    """Return the event of a payment that succeeded, its object changed as told."""
    at = now().isoformat()
    told = {
        "id": payment["provider_reference"],
        "reference": str(payment["id"]),
        "state": "SUCCEEDED",
        "at": at,
        "amount": int(payment["gross"]),
        "currency": payment["currency"],
        "captured": int(payment["gross"]),
        "decline_code": None,
        "action_url": None,
        **changes,
    }
    return {
        "id": f"evt_{secrets.token_hex(8)}",
        "type": "payment.succeeded",
        "created": at,
        "livemode": False,
        "data": {"object": told},
    }


async def send(world: World, event: dict[str, Any] | str) -> httpx.Response:
    """Sign an event and send it to the webhook endpoint; return the answer."""
    body = event if isinstance(event, str) else orjson.dumps(event).decode()
    headers = sign(signing_keys(world.settings.webhook_secrets)[0], orjson.loads(body)["id"], body, now())
    async with httpx.AsyncClient(timeout=30, verify=PLAIN) as http:
        return await http.post(f"{world.url}/webhooks/sandbox", content=body.encode(), headers=headers)


async def sent_by_sandbox(world: World) -> list[str]:
    """Return the bodies of all events the sandbox has made, the oldest first."""
    sql = "select body::text as body from sandbox.event order by created_at, id"
    rows = await world.engine.database.reader.fetch(sql)
    return [row["body"] for row in rows]
