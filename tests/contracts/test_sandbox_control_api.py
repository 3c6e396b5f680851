"""The sandbox's control over HTTP."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import httpx
import orjson
import pytest
from starlette.applications import Starlette

from core.ids import uuid7
from providers.payments.base import ProviderState, Subject
from providers.payments.sandbox import SandboxControl, SandboxProvider
from providers.payments.sandbox.actions import ACTIONS
from providers.payments.sandbox.control_api import control_routes

from .conformance import fetched
from .sandboxes import account_with, charged, confirmed, created, paid_out, sandbox


@pytest.fixture
async def client(provider: SandboxProvider) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(Starlette(routes=control_routes(provider)))
    async with httpx.AsyncClient(transport=transport, base_url="https://pay.example") as client:
        yield client


async def do(client: httpx.AsyncClient, action: str, **fields: object) -> Any:
    answer = await client.post(f"/sandbox/control/{action}", json=fields)
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


async def test_overview_tells_status_and_every_action(
    client: httpx.AsyncClient, provider: SandboxProvider
) -> None:
    await charged(provider)
    answer = await client.get("/sandbox/control")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    told = answer.json()
    assert (told["status"]["payments"], told["status"]["ahead_seconds"]) == (1, 0.0)
    assert set(told["actions"]) == set(ACTIONS)
    assert told["actions"]["advance"]["fields"]["by"] == {
        "summary": "How far.",
        "kind": "duration",
        "required": True,
    }


async def test_every_action_can_be_asked(
    client: httpx.AsyncClient, provider: SandboxProvider, control: SandboxControl
) -> None:
    payment = await charged(provider)
    account = await account_with(provider, 5000)
    payout = await paid_out(provider, account, 1000)
    failing = await paid_out(provider, account, 1000)
    reference = payment.provider_reference
    done = {
        "arm": {"target": "EVENT", "effect": "DELAY", "delay": "1h", "times": 2, "event_type": "refund.failed"},
        "rule": {"subject": "CHARGE", "behaviour": "tok_declined", "amount": 777},
        "dispute": {"payment": reference, "amount": 500, "reason": "fraudulent", "outcome": "WON"},
        "close_dispute": {"dispute": "latest", "outcome": "LOST"},
        "refund": {"payment": str(payment.reference), "amount": 300},
        "fail_refund": {"refund": "latest"},
        "pay_payout": {"payout": payout.provider_reference},
        "fail_payout": {"payout": str(failing.reference)},
        "revoke_account": {"account": account.provider_reference},
        "account_ready": {"account": "latest"},
        "advance": {"by": 3600},
        "reset": {},
    }
    results = {action: await do(client, action, **fields) for action, fields in done.items()}
    assert results["advance"] == {"ahead_seconds": 3600.0}
    assert (results["arm"], results["rule"]) == ({}, {})
    assert (results["close_dispute"]["state"], results["close_dispute"]["amount"]) == ("LOST", 500)
    assert (results["refund"]["state"], results["fail_refund"]["state"]) == ("SUCCEEDED", "FAILED")
    assert (results["pay_payout"]["state"], results["fail_payout"]["state"]) == ("PAID", "FAILED")
    assert (results["revoke_account"]["ready"], results["account_ready"]["ready"]) == (False, True)
    assert results["reset"] == {"faults": 1, "rules": 1, "events": 0}
    assert set(done) | {"expire"} == set(ACTIONS)
    assert await provider.clock_ahead() == timedelta(hours=1)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("weather", b"{}", 404),
        ("advance", b"{", 400),
        ("advance", b"[]", 400),
        ("advance", b"null", 400),
        ("advance", b"", 400),
        ("advance", b'{"by": "soon"}', 400),
        ("advance", b'{"by": "9999d"}', 400),
        ("advance", b'{"by": 1, "slowly": true}', 400),
        ("advance", b'{"by": 1, "\\u0000": true}', 400),
        ("refund", b'{"payment": "latest", "amount": 0}', 400),
        ("refund", b'{"payment": "latest", "amount": 9999999}', 400),
        ("refund", b'{"payment": "latest", "amount": 99999999999999999999}', 400),
        ("refund", b'{"payment": ["latest"], "amount": 1}', 400),
        ("refund", b'{"payment": "a\\u0000b", "amount": 1}', 400),
        ("refund", b'{"payment": "nobody", "amount": 1}', 404),
        ("expire", b'{"payment": "latest"}', 409),
        ("close_dispute", b'{"dispute": "latest", "outcome": "WON"}', 404),
        ("close_dispute", b'{"dispute": "latest", "outcome": "NEEDS_RESPONSE"}', 400),
        ("arm", b'{"target": "EVENT", "effect": "UNAVAILABLE"}', 400),
        ("arm", b'{"target": "EVENT", "effect": "LOSE", "times": 9007199254740993}', 400),
        ("advance", b'{"by": "' + b"1" * 20_000 + b'"}', 413),
    ],
)
async def test_what_makes_no_sense_is_refused_and_changes_nothing(
    path: str,
    body: bytes,
    status: int,
    client: httpx.AsyncClient,
    provider: SandboxProvider,
    control: SandboxControl,
) -> None:
    payment = await charged(provider)
    before = (await control.status()).as_json() | {"now": None}
    answer = await client.post(
        f"/sandbox/control/{path}", content=body, headers={"content-type": "application/json; charset=utf-8"}
    )
    assert answer.status_code == status, answer.text
    told = orjson.loads(answer.content)
    assert set(told) == {"code", "message"}
    assert told["message"].endswith(".")
    assert (await control.status()).as_json() | {"now": None} == before
    assert await provider.fetch(Subject.PAYMENT, payment.provider_reference)


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_form_of_another_site_is_not_obeyed(
    content_type: str, client: httpx.AsyncClient, provider: SandboxProvider
) -> None:
    answer = await client.post(
        "/sandbox/control/advance", content=b'{"by": 60}', headers={"content-type": content_type}
    )
    assert answer.status_code == 415
    assert await provider.clock_ahead() == timedelta(0)


async def test_refusal_names_the_code_of_the_contract(
    client: httpx.AsyncClient, provider: SandboxProvider
) -> None:
    payment = await created(provider)
    answer = await client.post("/sandbox/control/dispute", json={"payment": payment.provider_reference})
    assert (answer.status_code, answer.json()) == (
        409,
        {"code": "STATE_CONFLICT", "message": "The sandbox refuses: nothing_to_dispute."},
    )
    assert await fetched(provider, payment) == payment


async def test_rule_decides_what_is_charged_next(client: httpx.AsyncClient, provider: SandboxProvider) -> None:
    await do(client, "rule", subject="CHARGE", behaviour="tok_3ds", amount=1250)
    payment = await confirmed(provider, await created(provider), "tok_success")
    assert payment.state is ProviderState.REQUIRES_ACTION
    assert payment.reference != uuid7()


async def test_control_asks_for_patience_while_the_database_is_away(dsn: str) -> None:
    async with asyncpg.create_pool(dsn.replace("host=", "host=/nowhere"), min_size=0, max_size=1) as pool:
        transport = httpx.ASGITransport(Starlette(routes=control_routes(sandbox(pool))))
        async with httpx.AsyncClient(transport=transport, base_url="https://pay.example") as client:
            for answer in (
                await client.get("/sandbox/control"),
                await client.post("/sandbox/control/advance", json={"by": 1}),
            ):
                assert (answer.status_code, answer.json()["code"]) == (503, "UNAVAILABLE")
