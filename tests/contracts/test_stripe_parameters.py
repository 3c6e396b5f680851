"""What the adapter asks Stripe, checked against the types of the very methods of the SDK that it calls."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Literal, NotRequired, Required

import pytest
import stripe
from stripe import Charge, Event, PaymentIntentService
from stripe.v2.core import AccountService
from typing_extensions import TypedDict

import providers.payments.stripe as adapter
from core.ids import uuid7
from core.money import declare
from providers.payments.base import (
    AnswerDispute,
    CancelPayment,
    CapturePayment,
    ConfirmPayment,
    CreatePayment,
    DetachMethod,
    Onboard,
    PaymentFact,
    Payout,
    ProviderError,
    Refund,
    RefundReason,
    ReverseTransfer,
    SaveMethod,
    Subject,
    Transfer,
)
from providers.payments.stripe import StripeProvider
from providers.payments.stripe.checks import survey
from providers.payments.stripe.findings import NoticingClient
from providers.payments.stripe.setting_up import set_up
from tests.support.stripe import API_VERSION, StandIn, running_stand_in
from tests.support.stripe.recording import Recording, recorded
from tests.support.stripe.sdk import operation
from tests.support.stripe.source import methods_in
from tests.support.stripe.typed import violations

declare("USD", 2)

BACK = "https://shop.example/thanks"

# The checker ------------------------------------------------------------------------------------------------

CREATE = operation(PaymentIntentService.create_async)
ACCOUNT = operation(AccountService.create_async)
GOOD = {
    "amount": 1250,
    "currency": "usd",
    "automatic_payment_methods": {"enabled": True},
    "metadata": {"ours": "1"},
    "payment_method_options": {"card": {"request_three_d_secure": "any"}},
    "expand": ["latest_charge"],
}


def wrong(changes: Mapping[str, object], *, closed: bool = False) -> list[tuple[str, str]]:
    params = {name: value for name, value in {**GOOD, **changes}.items() if value is not None}
    found = violations(params, CREATE.params, owner=CREATE.owner, closed=closed)
    return [(each.path, each.problem) for each in found]


def test_parameters_as_the_sdk_has_them_are_right() -> None:
    assert wrong({}, closed=True) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"amuont": 1}, ("amuont", "unknown")),
        ({"automatic_payment_methods": {"enabled": True, "x": 1}}, ("automatic_payment_methods[x]", "unknown")),
        (
            {"payment_method_options": {"card": {"installments": {"plan": {"typ": "x"}}}}},
            ("payment_method_options[card][installments][plan][typ]", "unknown"),
        ),
        ({"amount": None}, ("amount", "missing")),
        ({"automatic_payment_methods": {}}, ("automatic_payment_methods[enabled]", "missing")),
        ({"amount": "1250"}, ("amount", "type")),
        ({"amount": True}, ("amount", "type")),
        ({"amount": 12.5}, ("amount", "type")),
        ({"automatic_payment_methods": {"enabled": 1}}, ("automatic_payment_methods[enabled]", "type")),
        ({"automatic_payment_methods": []}, ("automatic_payment_methods", "type")),
        ({"expand": "latest_charge"}, ("expand", "type")),
        ({"expand": ["a", 1]}, ("expand[1]", "type")),
        ({"metadata": {"ours": 1}}, ("metadata[ours]", "type")),
    ],
)
def test_every_kind_of_violation_is_caught(changes: dict[str, object], expected: tuple[str, str]) -> None:
    assert expected in wrong(changes)


def test_options_of_a_request_are_no_parameters() -> None:
    assert wrong({"idempotency_key": "x", "stripe_account": "acct_1"}) == [
        ("idempotency_key", "unknown"),
        ("stripe_account", "unknown"),
    ]


def test_open_enumerations_take_any_string_unless_they_are_closed() -> None:
    unheard = {"capture_method": "unheard_of"}
    assert wrong(unheard) == []
    assert wrong(unheard, closed=True) == [("capture_method", "enum")]
    assert wrong({"capture_method": 1}) == [("capture_method", "type")]
    assert wrong({"capture_method": "manual"}, closed=True) == []


def test_closed_enumerations_of_v2_take_what_they_name() -> None:
    def of(params: dict[str, object]) -> list[tuple[str, str]]:
        return [(each.path, each.problem) for each in violations(params, ACCOUNT.params, owner=ACCOUNT.owner)]

    assert of({"dashboard": "express", "include": ["requirements"]}) == []
    assert of({"dashboard": "expres"}) == [("dashboard", "enum")]
    assert of({"include": ["requirements", "everything"]}) == [("include[1]", "enum")]
    transfers = {"stripe_balance": {"stripe_transfers": {"requested": "yes"}}}
    assert of({"configuration": {"recipient": {"capabilities": transfers}}}) == [
        ("configuration[recipient][capabilities][stripe_balance][stripe_transfers][requested]", "type")
    ]


def test_what_may_be_emptied_may_be_empty() -> None:
    assert wrong({"payment_method_options": {"card": ""}}, closed=True) == []
    assert wrong({"payment_method_options": {"card": "x"}}, closed=True) != []


class Loose(TypedDict, total=False):
    always: Required[int]
    never: int
    quoted: "NotRequired[Tight]"


class Tight(TypedDict):
    word: Literal["a"] | None
    quoted: "NotRequired[int]"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"always": 1}, []),
        ({}, [("always", "missing")]),
        ({"always": 1, "quoted": {"word": None}}, []),
        ({"always": 1, "quoted": {}}, [("quoted[word]", "missing")]),
        ({"always": 1, "quoted": {"word": "b"}}, [("quoted[word]", "enum")]),
        ({"always": 1, "never": None}, [("never", "type")]),
    ],
)
def test_requiredness_is_read_wherever_it_is_said(value: object, expected: list[tuple[str, str]]) -> None:
    assert [(each.path, each.problem) for each in violations(value, Loose, owner=Loose)] == expected


def test_answers_are_checked_against_resources_and_what_they_hold() -> None:
    def of(value: dict[str, object], kind: type) -> set[tuple[str, str]]:
        return {(each.path, each.problem) for each in violations(value, kind, closed=True)}

    refund = {"object": "refund", "id": "re_1", "amount": 1, "created": 1, "currency": "usd"}
    refunds = {"object": "list", "data": [refund], "has_more": False, "url": "/v1/refunds"}
    found = of({"object": "charge", "status": "odd", "balance_transaction": 1, "refunds": refunds, "x": 1}, Charge)
    assert {("status", "enum"), ("balance_transaction", "type"), ("x", "unknown"), ("amount", "missing")} <= found
    assert not {path for path, _ in found if path.startswith("refunds")}
    refunds["data"] = [refund | {"amount": None, "balance_transaction": {"object": "balance_transaction"}}]
    found = of({"refunds": refunds}, Charge)
    assert ("refunds[data][0][amount]", "type") in found
    assert ("refunds[data][0][balance_transaction][net]", "missing") in found
    assert ("type", "enum") in of({"type": "charge.exploded"}, Event)


def test_what_is_not_known_how_to_check_is_not_taken_for_right() -> None:
    with pytest.raises(TypeError):
        violations(1, complex)


# The adapter ------------------------------------------------------------------------------------------------


@pytest.fixture
async def stand_in() -> AsyncIterator[StandIn]:
    async with running_stand_in() as running:
        yield running


@pytest.fixture
async def provider(stand_in: StandIn) -> AsyncIterator[StripeProvider]:
    made = StripeProvider(
        stand_in.settings.api_key,
        webhook_secrets=["whsec_for_the_contract_of_parameters"],
        return_url=BACK,
        currencies={"USD": 2},
        timeout=timedelta(seconds=20),
        api_url=stand_in.url,
    )
    yield made
    await made.close()


def key() -> str:
    return f"key:{uuid7()}"


async def created(provider: StripeProvider, *, amount: int = 1250, manual: bool = False) -> PaymentFact:
    return await provider.create_payment(CreatePayment(key(), uuid7(), amount, "USD", "A tip", manual))


async def confirmed(
    provider: StripeProvider, payment: PaymentFact, method: str, *, saved: bool = False
) -> PaymentFact:
    """Charge a payment; with a saved method while its owner is away."""
    command = ConfirmPayment(key(), payment.provider_reference, method, BACK, off_session=saved, saved=saved)
    return await provider.confirm_payment(command)


async def payments(provider: StripeProvider, stand_in: StandIn) -> None:
    saved = await provider.save_method(SaveMethod(key(), uuid7(), "pm_card_visa"))
    await confirmed(provider, await created(provider), saved.provider_reference, saved=True)
    known = saved.customer_reference
    await provider.save_method(SaveMethod(key(), uuid7(), "pm_card_mastercard", customer_reference=known))
    await confirmed(provider, await created(provider), stand_in.confirmation_token())
    for _ in range(2):
        await provider.detach_method(DetachMethod(key(), saved.provider_reference))
    held = await confirmed(provider, await created(provider, manual=True), "pm_card_visa")
    await provider.capture(CapturePayment(key(), held.provider_reference, 500))
    await provider.cancel(CancelPayment(key(), (await created(provider)).provider_reference))
    with pytest.raises(ProviderError):
        await confirmed(provider, await created(provider), "pm_card_visa_chargeDeclined")


async def returns(provider: StripeProvider, stand_in: StandIn) -> None:
    payment = await confirmed(provider, await created(provider, amount=10_000), "pm_card_visa")
    for reason in RefundReason:
        command = Refund(key(), uuid7(), payment.provider_reference, 10, reason)
        refund = await provider.refund(command)
    await provider.fetch(Subject.REFUND, refund.provider_reference)
    await provider.find(Subject.REFUND, command.reference)
    with pytest.raises(ProviderError):
        await provider.refund(Refund(key(), uuid7(), payment.provider_reference, 10_001, RefundReason.OTHER))
    # More of them than a charge tells of at once.
    for _ in range(10):
        await provider.refund(Refund(key(), uuid7(), payment.provider_reference, 1, RefundReason.OTHER))
    dispute = stand_in.open_dispute(payment.provider_reference)
    await provider.fetch(Subject.PAYMENT, payment.provider_reference)
    await provider.find(Subject.PAYMENT, payment.reference)
    await provider.fetch(Subject.DISPUTE, dispute)
    await provider.answer_dispute(AnswerDispute(key(), dispute, {"uncategorized_text": "Sent."}, submit=False))
    await provider.answer_dispute(AnswerDispute(key(), dispute, {"product_description": "A tip."}))
    with pytest.raises(ProviderError):
        await provider.answer_dispute(AnswerDispute(key(), dispute, {"uncategorized_text": "More."}))


async def passed_on(provider: StripeProvider, stand_in: StandIn) -> None:
    await confirmed(provider, await created(provider, amount=10_000), "pm_card_visa")
    creator = uuid7()
    account = (await provider.onboard(Onboard(key(), creator, "DE", BACK))).fact.provider_reference
    with pytest.raises(ProviderError):
        await provider.transfer(Transfer(key(), uuid7(), account, 100, "USD"))
    stand_in.make_ready(account)
    await provider.fetch(Subject.ACCOUNT, account)
    await provider.find(Subject.ACCOUNT, creator)
    reference = uuid7()
    transfer = await provider.transfer(Transfer(key(), reference, account, 2_000, "USD"))
    await provider.fetch(Subject.TRANSFER, transfer.provider_reference)
    await provider.find(Subject.TRANSFER, reference)
    payout = await provider.payout(Payout(key(), reference, account, 500, "USD"))
    await provider.payout(Payout(key(), uuid7(), account, 500, "USD", instant=True))
    await provider.fetch(Subject.PAYOUT, payout.provider_reference)
    await provider.find(Subject.PAYOUT, reference)
    with pytest.raises(ProviderError):
        await provider.reverse_transfer(ReverseTransfer(key(), transfer.provider_reference))
    other = await provider.transfer(Transfer(key(), uuid7(), account, 300, "USD"))
    await provider.reverse_transfer(ReverseTransfer(key(), other.provider_reference))
    stand_in.platform_payout(100)


async def read(provider: StripeProvider, since: PaymentFact) -> None:
    await provider.balances()
    entries = [entry async for entry in provider.balance_entries(since.at)]
    await provider.fetch(Subject.BALANCE_ENTRY, entries[0].id)
    assert [event async for event in provider.events(since.at)]


async def operated(stand_in: StandIn) -> Recording:
    """Set the endpoints up, anew, and after somebody changed them; then check everything."""
    client = NoticingClient(stand_in.settings.api_key, timeout=timedelta(seconds=20), api_url=stand_in.url)
    recording = recorded(client)
    for _ in range(2):
        made = [one async for one in set_up(client, "https://pay.example/webhooks/stripe")]
    for one in made:
        endpoint = stand_in.store.rows[one.id].body
        endpoint |= {"status": "disabled", "enabled_events": endpoint["enabled_events"][:1]}
    assert [one async for one in set_up(client, "https://pay.example/webhooks/stripe")]
    found = survey(client, url="https://pay.example/webhooks/stripe", secrets=3, live=False, currencies={"USD"})
    assert [finding async for finding in found]
    await client.close()
    return recording


async def test_every_call_asks_what_its_method_of_the_sdk_takes_and_no_call_is_left_out(
    provider: StripeProvider, stand_in: StandIn
) -> None:
    recording = recorded(provider.client)
    start = await created(provider)
    await payments(provider, stand_in)
    await returns(provider, stand_in)
    await passed_on(provider, stand_in)
    await read(provider, start)
    of_setup = await operated(stand_in)
    assert recording.wrong + of_setup.wrong == []
    named = methods_in(Path(adapter.__file__).parent, provider.client.stripe)
    assert recording.operations | of_setup.operations == named


async def test_further_pages_of_v2_are_asked_for_by_their_address_alone(
    provider: StripeProvider, stand_in: StandIn
) -> None:
    recording = recorded(provider.client)
    creators = [uuid7() for _ in range(2)]
    for creator in creators:
        await provider.onboard(Onboard(key(), creator, "DE", BACK))
    stand_in.settings.longest_page = 1
    assert await provider.find(Subject.ACCOUNT, creators[0])
    assert recording.further_pages == 1
    assert recording.wrong == []


@pytest.mark.parametrize(
    "params", [{"amount": 1250}, {"amount": "1250", "currency": "usd"}, {"amount": 1, "currency": "usd", "x": 1}]
)
async def test_call_with_other_parameters_is_noted(provider: StripeProvider, params: dict[str, object]) -> None:
    recording = recorded(provider.client)
    call = provider.client.stripe.v1.payment_intents.create_async
    with contextlib.suppress(ProviderError):
        await provider.client.ask(call, params=params, key=key())
    assert len(recording.wrong) == 1


def test_methods_are_found_in_source_by_whatever_name_they_go(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text(
        "async def one(self, client):\n"
        "    await self.client.ask(self.client.stripe.v1.refunds.create_async)\n"
        "    v1, v2 = client.stripe.v1, client.stripe.v2\n"
        "    reads = (v1.charges.list_async, v2.core.accounts.list_async)\n"
        "    service = client.stripe.v2.core.event_destinations\n"
        "    await client.ask(service.update_async)\n"
        "    await every(client, client.stripe.v2.core.events)\n"
        "    await self.http.close_async()\n"
    )
    (tmp_path / "two.py").write_text("async def every(client, given):\n    await client.ask(given.list_async)\n")
    client = stripe.StripeClient("sk_test_none", http_client=stripe.HTTPXClient())
    assert methods_in(tmp_path, client) == {
        "_refund_service.create_async",
        "_charge_service.list_async",
        "v2.core._account_service.list_async",
        "v2.core._event_destination_service.update_async",
        "v2.core._event_service.list_async",
    }


def test_pin_of_the_version_is_the_one_that_the_sdk_types_are_of() -> None:
    assert adapter.API_VERSION == API_VERSION == stripe.api_version
