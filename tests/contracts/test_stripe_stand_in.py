"""The stand-in for Stripe, where being wrong it would make other tests lie: requests, keys, faults, events."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import orjson
import pytest
import stripe
from stripe import StripeClient

from tests.support.stripe import API_VERSION, Fault, Settings, StandIn, running_stand_in

from .receiver import Receiver, receiving
from .stand_ins import (
    RECIPIENT,
    asking,
    available,
    charged,
    code_of,
    confirm,
    created,
    lines,
    ready_account,
    refused,
    types,
)

DAY = timedelta(days=1)


@pytest.fixture
async def stand_in() -> AsyncIterator[StandIn]:
    async with running_stand_in() as running:
        yield running


@pytest.fixture
async def client(stand_in: StandIn) -> AsyncIterator[StripeClient]:
    async with asking(stand_in) as opened:
        yield opened


# Strict about what it is asked, and by whom ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        ({"amount": 100, "currency": "usd", "surprise": 1}, "parameter_unknown", "surprise"),
        (
            {"amount": 100, "currency": "usd", "automatic_payment_methods": {"enabled": True, "surprise": 1}},
            "parameter_unknown",
            "automatic_payment_methods[surprise]",
        ),
        ({"currency": "usd"}, "parameter_missing", "amount"),
        ({"amount": "much", "currency": "usd"}, "parameter_invalid_integer", "amount"),
        ({"amount": 100, "currency": "usd", "capture_method": "later"}, None, "capture_method"),
        ({"amount": 100, "currency": "USD"}, None, "currency"),
        ({"amount": 49, "currency": "usd"}, "amount_too_small", "amount"),
        ({"amount": 100_000_000, "currency": "usd"}, "amount_too_large", "amount"),
    ],
)
async def test_what_stripe_does_not_take_is_refused_and_nothing_is_made(
    client: StripeClient, stand_in: StandIn, params: dict[str, Any], code: str | None, param: str
) -> None:
    error = await refused(client.v1.payment_intents.create_async(params))  # type: ignore[arg-type]
    assert isinstance(error, stripe.InvalidRequestError)
    assert (error.http_status, error.code, error.param) == (400, code, param)
    assert stand_in.events == []
    assert (await client.v1.payment_intents.list_async()).data == []


async def mistaken(ask: Callable[[StripeClient, StandIn], Awaitable[object]], version: str = API_VERSION) -> None:
    """Ask a stand-in of its own, which says at its end what was wrong."""
    async with running_stand_in() as stand_in, asking(stand_in, version=version) as client:
        await ask(client, stand_in)


async def test_parameter_that_the_stand_in_leaves_aside_is_refused_aloud() -> None:
    async def ask(client: StripeClient, _: StandIn) -> None:
        await refused(created(client, setup_future_usage="off_session"))

    with pytest.raises(AssertionError, match="setup_future_usage"):
        await mistaken(ask)


async def test_answer_that_the_sdk_does_not_know_is_a_mistake_of_the_stand_in() -> None:
    async def ask(client: StripeClient, stand_in: StandIn) -> None:
        intent = await created(client)
        stand_in.store.rows[intent.id].body |= {"weather": "fine", "amount": "1000"}
        await client.v1.payment_intents.retrieve_async(intent.id)

    with pytest.raises(AssertionError, match=r"(?s)weather: unknown.*amount: type integer"):
        await mistaken(ask)


async def test_another_key_is_not_let_in(stand_in: StandIn) -> None:
    async with asking(stand_in, "sk_test_another") as client:
        assert isinstance(await refused(created(client)), stripe.AuthenticationError)
    assert stand_in.events == []


async def test_another_version_is_not_spoken() -> None:
    async def ask(client: StripeClient, _: StandIn) -> None:
        await refused(created(client))

    with pytest.raises(AssertionError, match="2020-08-27"):
        await mistaken(ask, version="2020-08-27")


async def test_unknown_and_revoked_accounts_are_not_asked_for(client: StripeClient, stand_in: StandIn) -> None:
    account = await ready_account(client, stand_in)
    assert await available(client, account) == 0
    stand_in.revoke(account)
    for name in (account, "acct_1None"):
        error = await refused(client.v1.balance.retrieve_async(options={"stripe_account": name}))
        assert (error.http_status, code_of(error)) == (403, "account_invalid")


@pytest.mark.parametrize("path", ["latest_charge.weather", "amount", "metadata", "charges", "customer.weather"])
async def test_what_cannot_be_expanded_is_refused(client: StripeClient, path: str) -> None:
    customer = await client.v1.customers.create_async()
    intent = await confirm(client, await created(client, customer=customer.id))
    error = await refused(client.v1.payment_intents.retrieve_async(intent.id, {"expand": [path]}))
    assert error.http_status == 400


async def test_lists_are_read_page_by_page_newest_first(client: StripeClient, stand_in: StandIn) -> None:
    made = [await created(client) for _ in range(5)]
    first = await client.v1.payment_intents.list_async({"limit": 3})
    assert ([each.id for each in first.data], first.has_more) == ([made[4].id, made[3].id, made[2].id], True)
    rest = await client.v1.payment_intents.list_async({"limit": 3, "starting_after": made[2].id})
    assert ([each.id for each in rest.data], rest.has_more) == ([made[1].id, made[0].id], False)
    some = await client.v1.payment_intents.list_async({"created": {"gte": made[3].created}})
    assert [each.id for each in some.data] == [made[4].id, made[3].id]
    assert len({each.created for each in made}) == 5


# Keys -------------------------------------------------------------------------------------------------------


async def test_answer_is_told_again_to_the_same_key(client: StripeClient, stand_in: StandIn) -> None:
    intent = await created(client)
    first = await confirm(client, intent, idempotency_key="one")
    events = len(stand_in.events)
    again = await confirm(client, intent, idempotency_key="one")
    assert again.last_response.data == first.last_response.data
    assert again.last_response.headers["idempotent-replayed"] == "true"
    assert again.last_response.headers["original-request"] == first.last_response.headers["request-id"]
    assert "idempotent-replayed" not in first.last_response.headers
    assert len(stand_in.events) == events
    assert [seen.replayed for seen in stand_in.seen if seen.key == "one"] == [False, True]


async def test_key_is_good_for_one_request_alone(client: StripeClient, stand_in: StandIn) -> None:
    intents = [await created(client) for _ in range(2)]
    await confirm(client, intents[0], idempotency_key="one")
    for call in (
        confirm(client, intents[0], "pm_card_mastercard", idempotency_key="one"),
        confirm(client, intents[1], idempotency_key="one"),
        client.v1.customers.create_async(options={"idempotency_key": "one"}),
    ):
        error = await refused(call)
        assert isinstance(error, stripe.IdempotencyError)
        assert error.http_status == 400
    assert stand_in.object(intents[1].id)["status"] == "requires_payment_method"


async def test_keys_of_accounts_are_their_own(client: StripeClient, stand_in: StandIn) -> None:
    await charged(client, 10_000)
    accounts = [await ready_account(client, stand_in) for _ in range(2)]
    payouts = []
    for account in accounts:
        await client.v1.transfers.create_async({"amount": 900, "currency": "usd", "destination": account})
        payout = await client.v1.payouts.create_async(
            {"amount": 300, "currency": "usd"}, {"stripe_account": account, "idempotency_key": "one"}
        )
        payouts.append(payout.id)
    assert len(set(payouts)) == 2


async def test_refusals_of_v1_are_kept_even_when_they_were_cured_since(
    client: StripeClient, stand_in: StandIn
) -> None:
    account = await ready_account(client, stand_in)

    def transfer(key: str) -> Any:
        params = {"amount": 500, "currency": "usd", "destination": account}
        return client.v1.transfers.create_async(params, {"idempotency_key": key})  # type: ignore[arg-type]

    error = await refused(transfer("one"))
    assert (error.http_status, error.code) == (400, "balance_insufficient")
    await charged(client, 10_000)
    error = await refused(transfer("one"))
    assert error.code == "balance_insufficient"
    assert (error.headers or {})["idempotent-replayed"] == "true"
    assert (await transfer("two")).amount == 500
    assert len((await client.v1.transfers.list_async()).data) == 1


async def test_declines_of_v1_are_kept(client: StripeClient, stand_in: StandIn) -> None:
    intent = await created(client)
    for _ in range(2):
        error = await refused(confirm(client, intent, "pm_card_visa_chargeDeclined", idempotency_key="one"))
        assert isinstance(error, stripe.CardError)
    assert types(stand_in).count("charge.failed") == 1


async def test_what_was_no_request_keeps_no_key(client: StripeClient) -> None:
    options: Any = {"idempotency_key": "one"}
    params: Any = {"surprise": 1}
    await refused(client.v1.customers.create_async(params, options))
    assert (await client.v1.customers.create_async({"name": "Ada"}, options)).name == "Ada"


async def test_keys_of_v1_are_forgotten_after_a_day(client: StripeClient, stand_in: StandIn) -> None:
    first, again, later = "", "", ""
    for _ in range(2):
        first, again = again, (await client.v1.customers.create_async(options={"idempotency_key": "one"})).id
    stand_in.pass_time(DAY + timedelta(minutes=1))
    later = (await client.v1.customers.create_async(options={"idempotency_key": "one"})).id
    assert first == again != later


async def test_v2_keeps_what_succeeded_and_tries_again_what_did_not(
    client: StripeClient, stand_in: StandIn
) -> None:
    def account(country: str, key: str) -> Any:
        params: Any = {"configuration": RECIPIENT, "identity": {"country": country}}
        return client.v2.core.accounts.create_async(params, {"idempotency_key": key})

    made = await account("de", "one")
    assert (await account("de", "one")).id == made.id
    assert isinstance(await refused(account("fr", "one")), stripe.IdempotencyError)
    await refused(account("zz", "two"))
    error = await refused(account("zz", "two"))
    assert "idempotent-replayed" not in (error.headers or {})
    stand_in.pass_time(2 * DAY)
    assert (await account("de", "one")).id == made.id
    assert len((await client.v2.core.accounts.list_async()).data) == 1


async def test_key_is_in_use_while_its_request_is_carried_out(client: StripeClient, stand_in: StandIn) -> None:
    plan = stand_in.faults.plan(Fault.HELD, "POST /v1/customers")
    first = asyncio.ensure_future(client.v1.customers.create_async(options={"idempotency_key": "one"}))
    await plan.wait_until_met()
    error = await refused(client.v1.customers.create_async(options={"idempotency_key": "one"}))
    assert (error.http_status, code_of(error)) == (409, "idempotency_key_in_use")
    plan.release()
    made = await first
    again = await client.v1.customers.create_async(options={"idempotency_key": "one"})
    assert again.id == made.id


# Faults -----------------------------------------------------------------------------------------------------


async def test_call_without_an_answer_took_effect(client: StripeClient, stand_in: StandIn) -> None:
    intent = await created(client)
    plan = stand_in.faults.plan(Fault.NO_ANSWER, "POST /v1/payment_intents/pi_.*/confirm")
    call = asyncio.ensure_future(confirm(client, intent, idempotency_key="one"))
    await plan.wait_until_met()
    async with asyncio.timeout(20):
        while stand_in.object(intent.id)["status"] != "succeeded":
            await asyncio.sleep(0.001)
    assert not call.done()
    call.cancel()
    again = await confirm(client, intent, idempotency_key="one")
    assert again.last_response.headers["idempotent-replayed"] == "true"
    assert len(await lines(client)) == 1


async def test_errors_after_the_effect_are_kept_and_those_before_are_not(
    client: StripeClient, stand_in: StandIn
) -> None:
    def customer(key: str) -> Any:
        return client.v1.customers.create_async(options={"idempotency_key": key})

    stand_in.faults.plan(Fault.ERROR_AFTER, "POST /v1/customers")
    for _ in range(2):
        error = await refused(customer("one"))
        assert (type(error), error.http_status) == (stripe.APIError, 500)
    assert len((await client.v1.customers.list_async()).data) == 1
    stand_in.faults.plan(Fault.ERROR_BEFORE, "POST /v1/customers")
    stand_in.faults.plan(Fault.RATE_LIMITED, "POST /v1/customers")
    assert (await refused(customer("two"))).http_status == 500
    assert isinstance(await refused(customer("two")), stripe.RateLimitError)
    assert len((await client.v1.customers.list_async()).data) == 1
    await customer("two")


async def test_nobody_is_there_while_it_is_stopped_and_nothing_is_forgotten(
    client: StripeClient, stand_in: StandIn
) -> None:
    intent = await created(client)
    await stand_in.stop()
    error = await refused(client.v1.payment_intents.retrieve_async(intent.id))
    assert isinstance(error, stripe.APIConnectionError)
    assert isinstance(error.__cause__, httpx.ConnectError)
    await stand_in.start()
    assert (await client.v1.payment_intents.retrieve_async(intent.id)).id == intent.id


# Events -----------------------------------------------------------------------------------------------------


async def test_events_are_signed_as_the_sdk_verifies_them(client: StripeClient, stand_in: StandIn) -> None:
    await charged(client)
    headers, body = stand_in.signed(stand_in.events[-1], "whsec_right")
    event = client.construct_event(body, headers["stripe-signature"], "whsec_right")
    assert (event.type, event.api_version) == ("charge.updated", API_VERSION)
    with pytest.raises(stripe.SignatureVerificationError):
        client.construct_event(body, headers["stripe-signature"], "whsec_wrong")
    old, body = stand_in.signed(stand_in.events[-1], "whsec_right", datetime(2020, 1, 1, tzinfo=UTC))
    with pytest.raises(stripe.SignatureVerificationError):
        client.construct_event(body, old["stripe-signature"], "whsec_right")


async def test_events_are_sent_in_order_and_signed(client: StripeClient, stand_in: StandIn) -> None:
    await charged(client)
    async with receiving(Receiver()) as receiver:
        assert await stand_in.deliver(receiver.url, "whsec_right", since=1) == [200] * (len(stand_in.events) - 1)
        sent = [
            client.construct_event(each.body, each.headers["stripe-signature"], "whsec_right")
            for each in receiver.received
        ]
    assert [event.type for event in sent] == types(stand_in, 1)


async def test_accounts_of_v2_are_told_of_in_thin_events(client: StripeClient, stand_in: StandIn) -> None:
    account = await ready_account(client, stand_in)
    thin = [event for event in stand_in.events if event["object"] == "v2.core.event"]
    headers, body = stand_in.signed(thin[-1], "whsec_thin")
    event = client.parse_event_notification(body, headers["stripe-signature"], "whsec_thin")
    assert event.type == "v2.core.account[configuration.recipient].capability_status_updated"
    assert "data" not in orjson.loads(body)
    assert orjson.loads(body)["related_object"]["id"] == account
    found = await client.v2.core.events.list_async({"object_id": account})
    assert [each.id for each in found.data] == [each["id"] for each in reversed(thin)]


async def test_events_are_kept_for_as_long_as_is_said(client: StripeClient, stand_in: StandIn) -> None:
    await charged(client)
    stand_in.settings.events_kept = 30 * 24 * 3600
    assert (await client.v1.events.list_async({"types": ["charge.succeeded"]})).data
    stand_in.pass_time(31 * DAY)
    assert (await client.v1.events.list_async({"types": ["charge.succeeded"]})).data == []


async def test_events_are_listed_in_the_accounts_version_and_sent_in_ours(
    client: StripeClient, stand_in: StandIn
) -> None:
    stand_in.settings.default_version = "2019-12-03"
    intent = await charged(client)
    listed = (await client.v1.events.list_async({"types": ["payment_intent.succeeded"]})).data
    assert [(event.api_version, event.data.object.to_dict()) for event in listed] == [
        ("2019-12-03", {"id": intent.id, "object": "payment_intent"})
    ]
    assert (await client.v1.events.retrieve_async(listed[0].id)).api_version == "2019-12-03"
    (sent,) = [event for event in stand_in.events if event["id"] == listed[0].id]
    assert (sent["api_version"], sent["data"]["object"]["amount"]) == (API_VERSION, 1000)


def test_settings_are_each_stand_in_s_own() -> None:
    first = StandIn(Settings(dispute_fee=1))
    assert (first.settings.dispute_fee, StandIn().settings.dispute_fee) == (1, 1500)
