"""Webhooks: localstripe's own signature, other versions, forgeries, and what was never delivered."""

import json
import time
from typing import Any

import httpx

from tests.localstripe.till import Till
from tests.localstripe.webhooks import SECRET, signature
from tests.support.processes import PLAIN
from tests.support.world import eventually

_KEPT = "select count(*) from inbox_events where state = $1"


async def post(till: Till, body: bytes, signed: str) -> int:
    async with httpx.AsyncClient(verify=PLAIN) as http:
        headers = {"content-type": "application/json", "stripe-signature": signed}
        answer = await http.post(f"{till.world.url}/webhooks/stripe", content=body, headers=headers)
        return answer.status_code


def told(till: Till, kind: str) -> dict[str, Any]:
    (event,) = [event for event in till.shim.webhooks.events if event["type"] == kind]
    return event


async def test_event_as_localstripe_signs_it_is_believed_and_as_of_another_version_set_aside(till: Till) -> None:
    till.shim.webhooks.endpoint = None  # localstripe sends to us itself
    hook = {"url": f"{till.world.url}/webhooks/stripe", "secret": SECRET, "events": ["payment_intent.succeeded"]}
    await till.shim.objects.localstripe.post("/_config/webhooks/straight", json=hook)
    payment = await till.tip()
    await till.confirm(payment)

    async def set_aside() -> bool:
        return bool(await till.world.scalar(_KEPT, "QUARANTINED"))

    await eventually(set_aside, 30)
    assert await till.world.count("inbox_events") == 1
    assert await till.world.scalar(_KEPT, "QUARANTINED") == 1


async def test_event_that_was_changed_or_signed_with_another_secret_is_refused(till: Till) -> None:
    await till.paid()
    await till.settled()
    before = await till.world.counts()
    body = json.dumps({**told(till, "payment_intent.succeeded"), "id": "evt_forged"}).encode()
    signed = signature(body, int(time.time()))
    assert await post(till, body.replace(b"500", b"900"), signed) == 400
    assert await post(till, body, signed[:-4] + "0000") == 400
    assert await post(till, body, "") == 400
    assert await till.world.counts() == before
    await till.prove()


async def test_event_told_a_hundred_times_is_settled_once(till: Till) -> None:
    payment = await till.paid()
    await till.settled()
    before = await till.world.counts()
    body = json.dumps(told(till, "payment_intent.succeeded")).encode()
    for _ in range(100):
        assert await post(till, body, signature(body, int(time.time()))) == 200
    assert await till.world.counts() == before
    assert await till.world.status(payment) == "SUCCEEDED"
    await till.prove()


async def test_events_that_were_never_delivered_are_found_and_mended(till: Till) -> None:
    till.shim.webhooks.endpoint = None
    payment = await till.tip()
    await till.confirm(payment)
    await till.reached(payment, "SUCCEEDED")
    await till.told()

    status, said = await till.comptoir("doctor", "--grace", "0s")
    assert status == 1, said
    assert "EVENT_MISSED" in said
    status, said = await till.comptoir("doctor", "--grace", "0s", "--fix")
    assert status == 0, said
    await till.prove()
    assert await till.posted("charge.gross") == 500
