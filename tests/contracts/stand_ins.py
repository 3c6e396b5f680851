"""Stripe's own SDK on the stand-in: what its tests ask with it."""

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import stripe
from stripe import HTTPXClient, StripeClient

from tests.support.stripe import API_VERSION, StandIn

BACK = "https://shop.example/thanks"
RECIPIENT: Any = {"recipient": {"capabilities": {"stripe_balance": {"stripe_transfers": {"requested": True}}}}}


@asynccontextmanager
async def asking(
    stand_in: StandIn, key: str | None = None, version: str = API_VERSION
) -> AsyncIterator[StripeClient]:
    """Open the SDK on a stand-in, with its key unless another is given."""
    http = HTTPXClient()
    try:
        yield StripeClient(
            key or stand_in.settings.api_key,
            base_addresses={"api": stand_in.url},
            stripe_version=version,
            http_client=http,
            max_network_retries=0,
        )
    finally:
        await http.close_async()  # type: ignore[no-untyped-call] # the SDK gives it no types


async def refused(call: Awaitable[object]) -> stripe.StripeError:
    with pytest.raises(stripe.StripeError) as caught:
        await call
    return caught.value


def code_of(error: stripe.StripeError) -> str | None:
    """Return the code of a refusal, which the SDK leaves out of some of its errors."""
    body: Any = error.json_body
    return body["error"].get("code")  # type: ignore[no-any-return]


async def created(client: StripeClient, amount: int = 1000, **more: Any) -> Any:
    params = {"amount": amount, "currency": "usd", "automatic_payment_methods": {"enabled": True}, **more}
    return await client.v1.payment_intents.create_async(params)  # type: ignore[arg-type]


async def confirm(client: StripeClient, intent: Any, card: str = "pm_card_visa", **options: Any) -> Any:
    params = {"payment_method": card, "return_url": BACK}
    return await client.v1.payment_intents.confirm_async(intent.id, params, options)  # type: ignore[arg-type]


async def charged(client: StripeClient, amount: int = 1000, card: str = "pm_card_visa", **more: Any) -> Any:
    return await confirm(client, await created(client, amount, **more), card)


async def lines(client: StripeClient, account: str | None = None) -> list[tuple[str, int, int]]:
    """Return the books, the oldest line first: what it is, what it moved, what it cost."""
    found = await client.v1.balance_transactions.list_async({"limit": 100}, {"stripe_account": account})
    return [(line.type, line.amount, line.fee) for line in reversed(found.data)]


async def available(client: StripeClient, account: str | None = None) -> int:
    balance = await client.v1.balance.retrieve_async(options={"stripe_account": account})
    return balance.available[0].amount


async def ready_account(client: StripeClient, stand_in: StandIn, *, manual: bool = True) -> str:
    account = await client.v2.core.accounts.create_async(
        {"configuration": RECIPIENT, "identity": {"country": "de"}, "dashboard": "express"}
    )
    stand_in.make_ready(account.id)
    if manual:
        schedule = {"payments": {"payouts": {"schedule": {"interval": "manual"}}}}
        await client.v1.balance_settings.update_async(schedule, {"stripe_account": account.id})  # type: ignore[arg-type]
    return account.id


def types(stand_in: StandIn, since: int = 0) -> list[str]:
    return [event["type"] for event in stand_in.events[since:]]
