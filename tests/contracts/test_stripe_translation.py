"""What Stripe's events state and ask for: every object read whole or refused, and nothing else."""

from datetime import UTC, datetime, timedelta
from typing import Any, get_args
from uuid import UUID

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.payments.base import (
    ChargeFact,
    Event,
    Fact,
    LookUp,
    PaymentFact,
    PayoutFact,
    PayoutState,
    ProviderState,
    Subject,
    TransferFact,
    WebhookRejected,
)
from providers.payments.stripe import API_VERSION
from providers.payments.stripe.endpoints import EVENTS, Role
from providers.payments.stripe.objects.payments import charge_fact, payment_fact
from providers.payments.stripe.translation import EVENT_TYPES, translate
from providers.payments.stripe.webhooks import asked_for, decode

OURS = UUID("01890000-0000-7000-8000-000000000001")
AT = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
MADE = int((AT - timedelta(hours=1)).timestamp())
INTENT: dict[str, Any] = {
    "id": "pi_1", "object": "payment_intent", "status": "succeeded", "amount": 1250, "amount_received": 1250,
    "amount_capturable": 0, "currency": "usd", "created": MADE, "canceled_at": None, "cancellation_reason": None,
    "capture_method": "automatic_async", "latest_charge": "ch_1", "last_payment_error": None, "next_action": None,
    "metadata": {"comptoir_payment": str(OURS)},
}  # fmt: skip
LINE: dict[str, Any] = {
    "id": "txn_1", "object": "balance_transaction", "amount": 1250, "fee": 66, "net": 1184, "currency": "usd",
    "created": MADE, "available_on": MADE + 172_800,
}  # fmt: skip
CHARGE: dict[str, Any] = {
    "id": "ch_1", "object": "charge", "created": MADE, "payment_intent": "pi_1", "balance_transaction": "txn_1",
    "metadata": {"comptoir_payment": str(OURS)},
}  # fmt: skip
REFUND: dict[str, Any] = {"id": "re_1", "object": "refund", "payment_intent": "pi_1", "charge": "ch_1"}
DISPUTE: dict[str, Any] = {"id": "du_1", "object": "dispute", "payment_intent": "pi_1", "charge": "ch_1"}
TRANSFER: dict[str, Any] = {
    "id": "tr_1", "object": "transfer", "amount": 500, "currency": "usd", "created": MADE, "destination": "acct_1",
    "balance_transaction": "txn_2", "reversed": False, "amount_reversed": 0,
    "reversals": {"object": "list", "data": [], "has_more": False}, "metadata": {"comptoir_transfer": str(OURS)},
}  # fmt: skip
PAYOUT: dict[str, Any] = {
    "id": "po_1", "object": "payout", "amount": 500, "currency": "usd", "created": MADE, "arrival_date": MADE,
    "status": "in_transit", "automatic": False, "balance_transaction": "txn_3", "failure_balance_transaction": None,
    "failure_code": None, "metadata": {"comptoir_payout": str(OURS)},
}  # fmt: skip
ACCOUNT_EVENTS = EVENTS[Role.ACCOUNTS]
OBJECTS = {
    "payment_intent": INTENT, "charge": CHARGE, "refund": REFUND, "charge.dispute": DISPUTE, "transfer": TRANSFER,
    "payout": PAYOUT,
}  # fmt: skip


def told(
    event_type: str, source: object, *, account: str | None = None, at: datetime | None = AT
) -> tuple[Fact | LookUp, ...]:
    return translate(Event("evt_1", event_type, {"data": {"object": source}}, b"", at, account))


def thin(event_type: str, related: object) -> tuple[Fact | LookUp, ...]:
    return translate(Event("evt_1", event_type, {"related_object": related}, b"", AT))


def payment(event_type: str = "payment_intent.succeeded", **changes: object) -> PaymentFact:
    fact, *_ = told(event_type, INTENT | changes)
    assert isinstance(fact, PaymentFact)
    return fact


def refuse(event_type: str, source: object, **event: Any) -> None:
    with pytest.raises(WebhookRejected):
        told(event_type, source, **event)


# Payments -------------------------------------------------------------------------------------------------


def test_payment_is_translated() -> None:
    assert told("payment_intent.succeeded", INTENT) == (
        PaymentFact(OURS, "pi_1", ProviderState.SUCCEEDED, AT, 1250, "USD", captured=1250),
    )


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("requires_payment_method", ProviderState.REQUIRES_METHOD),
        ("requires_confirmation", ProviderState.REQUIRES_METHOD),
        ("requires_action", ProviderState.REQUIRES_ACTION),
        ("processing", ProviderState.PROCESSING),
        ("requires_capture", ProviderState.AUTHORIZED),
        ("succeeded", ProviderState.SUCCEEDED),
        ("canceled", ProviderState.CANCELED),
    ],
)
def test_state_is_the_objects_whatever_the_event_is_called(status: str, state: ProviderState) -> None:
    for event_type in ("payment_intent.processing", "payment_intent.canceled"):
        assert payment(event_type, status=status).state is state


def test_what_is_reserved_and_what_of_it_is_captured() -> None:
    manual = {"capture_method": "manual"}
    reserved = payment(status="requires_capture", amount_received=0, amount_capturable=1250, **manual)
    assert (reserved.authorized, reserved.captured) == (1250, 0)
    captured = payment(amount_received=500, **manual)
    assert (captured.authorized, captured.captured) == (1250, 500)
    canceled = payment(status="canceled", amount_received=0, **manual)
    assert (canceled.authorized, canceled.captured) == (0, 0)


def test_reserved_payment_is_looked_up_for_until_when_it_can_be_captured() -> None:
    reserved = INTENT | {"status": "requires_capture", "amount_received": 0, "amount_capturable": 1250}
    fact, look_up = told("payment_intent.amount_capturable_updated", reserved)
    assert isinstance(fact, PaymentFact)
    assert fact.capture_before is None
    assert look_up == LookUp(Subject.PAYMENT, "pi_1")


def test_until_when_it_can_be_captured_stands_in_the_charge() -> None:
    charge = CHARGE | {"payment_method_details": {"card": {"capture_before": MADE + 604_800}}}
    reserved = INTENT | {"status": "requires_capture", "amount_received": 0, "latest_charge": charge}
    fact = payment_fact(reserved, AT)
    assert fact is not None
    assert fact.capture_before == datetime.fromtimestamp(MADE + 604_800, UTC)
    captured = payment_fact(reserved | {"status": "succeeded"}, AT)
    assert captured is not None
    assert captured.capture_before is None


def test_decline_is_told_of_a_payment_that_waits_for_another_method_only() -> None:
    error = {"code": "card_declined", "decline_code": "stolen_card", "type": "card_error"}
    waiting = payment("payment_intent.payment_failed", status="requires_payment_method", last_payment_error=error)
    assert waiting.decline_code == "DECLINED"
    assert payment(last_payment_error=error).decline_code is None
    assert payment(status="requires_action", last_payment_error=error).decline_code is None


@pytest.mark.parametrize(
    ("action", "url"),
    [
        (
            {"type": "redirect_to_url", "redirect_to_url": {"url": "https://hooks.example/3ds"}},
            "https://hooks.example/3ds",
        ),
        ({"type": "redirect_to_url", "redirect_to_url": {"url": None}}, None),
        ({"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect"}}, None),
        (None, None),
    ],
)
def test_payer_is_sent_where_stripe_says(action: object, url: str | None) -> None:
    assert payment(status="requires_action", next_action=action).action_url == url
    assert payment(next_action=action).action_url is None


def test_amounts_without_parts_are_ours() -> None:
    fact = payment(currency="isk", amount=125_000, amount_received=125_000)
    assert (fact.currency, fact.amount, fact.captured) == ("ISK", 1250, 1250)
    refuse("payment_intent.succeeded", INTENT | {"currency": "isk", "amount": 125_001})


@pytest.mark.parametrize("metadata", [{}, None, {"order": "1"}, {"comptoir_payment": "pay_1"}, []])
def test_payment_of_somebody_else_states_nothing(metadata: object) -> None:
    for event_type in EVENT_TYPES:
        if event_type.startswith("payment_intent."):
            assert told(event_type, INTENT | {"metadata": metadata}) == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("id", ""), ("id", 1), ("id", None), ("status", "paid"), ("status", None), ("status", ["succeeded"]),
        ("amount", -1), ("amount", 0), ("amount", 12.5), ("amount", True), ("amount", "1250"), ("amount", 2**63),
        ("amount", 1249), ("amount_received", 1251), ("amount_received", -1), ("amount_received", None),
        ("currency", ""), ("currency", "us"), ("currency", None), ("currency", "u$d"),
    ],
)  # fmt: skip
def test_malformed_payment_is_refused(name: str, value: object) -> None:
    refuse("payment_intent.succeeded", INTENT | {name: value})


@pytest.mark.parametrize("name", ["id", "status", "amount", "amount_received", "currency"])
def test_every_member_of_a_payment_is_needed(name: str) -> None:
    refuse("payment_intent.succeeded", {key: value for key, value in INTENT.items() if key != name})


# Charges --------------------------------------------------------------------------------------------------


def test_charge_tells_what_stripe_took_in_and_kept() -> None:
    assert charge_fact(CHARGE | {"balance_transaction": LINE}, OURS) == ChargeFact(
        OURS,
        "txn_1",
        datetime.fromtimestamp(MADE, UTC),
        1250,
        66,
        "USD",
        datetime.fromtimestamp(MADE + 172_800, UTC),
    )


def test_charge_that_was_converted_is_in_the_currency_of_the_books() -> None:
    fact = charge_fact(CHARGE | {"currency": "jpy", "amount": 2000, "balance_transaction": LINE}, OURS)
    assert fact is not None
    assert (fact.currency, fact.gross) == ("USD", 1250)


@pytest.mark.parametrize("line", [None, "txn_1"])
def test_charge_whose_line_is_not_told_states_nothing(line: object) -> None:
    assert charge_fact(CHARGE | {"balance_transaction": line}, OURS) is None


def test_charge_is_looked_up_once_it_is_in_the_books() -> None:
    assert told("charge.updated", CHARGE) == (LookUp(Subject.PAYMENT, "pi_1"),)
    assert told("charge.updated", CHARGE | {"balance_transaction": None}) == ()
    assert told("charge.updated", CHARGE | {"payment_intent": None}) == ()
    expanded = CHARGE | {"payment_intent": {"id": "pi_9"}, "balance_transaction": LINE}
    assert told("charge.updated", expanded) == (LookUp(Subject.PAYMENT, "pi_9"),)


# Refunds and disputes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("event_type", [name for name in EVENT_TYPES if name.startswith("refund.")])
def test_refund_is_looked_up_with_its_payment(event_type: str) -> None:
    assert told(event_type, REFUND) == (LookUp(Subject.PAYMENT, "pi_1"),)
    assert told(event_type, REFUND | {"payment_intent": None}) == ()
    for value in ("", 1, "ch_1", "pi_1/../../v1/balance", ["pi_1"], {}):
        refuse(event_type, REFUND | {"payment_intent": value})


@pytest.mark.parametrize("event_type", [name for name in EVENT_TYPES if name.startswith("charge.dispute.")])
def test_dispute_is_looked_up_itself(event_type: str) -> None:
    assert told(event_type, DISPUTE) == (LookUp(Subject.DISPUTE, "du_1"),)
    for value in (None, "", 1, "ch_1", "du_1/../../v1/balance", ["du_1"], {}):
        refuse(event_type, DISPUTE | {"id": value})


# Transfers and payouts ------------------------------------------------------------------------------------


def test_transfer_of_ours_is_translated() -> None:
    (fact,) = told("transfer.created", TRANSFER)
    assert isinstance(fact, TransferFact)
    assert (fact.reference, fact.provider_reference, fact.account) == (OURS, "tr_1", "acct_1")
    assert (fact.amount, fact.currency, fact.balance_transaction) == (500, "USD", "txn_2")
    assert told("transfer.created", TRANSFER | {"metadata": {}}) == ()
    refuse("transfer.created", TRANSFER | {"destination": None})


def test_payout_of_a_connected_account_is_translated_when_it_is_ours() -> None:
    (fact,) = told("payout.updated", PAYOUT, account="acct_1")
    assert isinstance(fact, PayoutFact)
    assert (fact.reference, fact.provider_reference, fact.account) == (OURS, "acct_1/po_1", "acct_1")
    assert (fact.state, fact.amount, fact.currency) == (PayoutState.IN_TRANSIT, 500, "USD")
    assert told("payout.updated", PAYOUT | {"metadata": {}}, account="acct_1") == ()
    assert told("payout.updated", PAYOUT | {"automatic": True}, account="acct_1") == ()
    refuse("payout.updated", PAYOUT | {"status": "lost"}, account="acct_1")


def test_payout_to_the_platforms_own_bank_is_looked_up_in_the_books() -> None:
    line, back = LookUp(Subject.BALANCE_ENTRY, "txn_3"), LookUp(Subject.BALANCE_ENTRY, "txn_4")
    own = PAYOUT | {"metadata": {}, "automatic": True}
    assert told("payout.created", own) == (line,)
    assert told("payout.failed", own | {"failure_balance_transaction": "txn_4"}) == (line, back)
    assert told("payout.failed", own | {"failure_balance_transaction": {"id": "txn_4"}}) == (line, back)
    assert told("payout.created", own | {"balance_transaction": None}) == ()
    refuse("payout.created", own | {"balance_transaction": "txn_3?expand[]=source"})


# Accounts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event_type", [*ACCOUNT_EVENTS, "v2.core.account[a.part.of.tomorrow].updated"])
def test_account_is_looked_up(event_type: str) -> None:
    related = {"id": "acct_1", "type": "v2.core.account", "url": "/v2/core/accounts/acct_1"}
    assert thin(event_type, related) == (LookUp(Subject.ACCOUNT, "acct_1"),)
    for malformed in (None, "acct_1", {}, {"id": None}, {"id": "acct_1/../x"}, {"id": "cus_1"}, []):
        with pytest.raises(WebhookRejected):
            thin(event_type, malformed)


@pytest.mark.parametrize(
    "event_type", ["v2.core.account_link.returned", "v2.core.account_person.updated", "v2.core.accounts"]
)
def test_what_is_no_account_is_not_looked_up(event_type: str) -> None:
    assert thin(event_type, {"id": "acct_1"}) == ()


# Of another version of the API --------------------------------------------------------------------------------

BY_IDS = {
    "payment_intent": LookUp(Subject.PAYMENT, "pi_1"),
    "charge": LookUp(Subject.PAYMENT, "pi_1"),
    "refund": LookUp(Subject.PAYMENT, "pi_1"),
    "charge.dispute": LookUp(Subject.DISPUTE, "du_1"),
    "transfer": LookUp(Subject.TRANSFER, "tr_1"),
    "payout": LookUp(Subject.BALANCE_ENTRY, "txn_3"),
}


def asked(event_type: str, source: object, **members: object) -> Event:
    """Return an event that was asked for and is told in another version, as it comes back from where it was kept."""
    event = {
        "id": "evt_1", "object": "event", "type": event_type, "livemode": False, "created": MADE,
        "api_version": "2019-12-03", "data": {"object": source}, **members,
    }  # fmt: skip
    return decode(asked_for(event), live=False)


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_event_of_another_version_that_was_asked_for_is_read_by_its_ids_alone(event_type: str) -> None:
    kind = event_type.rpartition(".")[0]
    source = {
        name: value
        for name, value in OBJECTS[kind].items()
        if name in {"id", "payment_intent", "balance_transaction"}
    }
    event = asked(event_type, source)
    assert event.foreign is None
    assert translate(event) == (BY_IDS[kind],)
    for malformed in (None, [], "pi_1", dict.fromkeys(source, "x/../y"), dict.fromkeys(source, 1)):
        with pytest.raises(WebhookRejected):
            translate(asked(event_type, malformed))


def test_payout_of_a_connected_account_is_looked_up_by_both_its_ids() -> None:
    event = asked("payout.paid", {"id": "po_1"}, account="acct_1")
    assert translate(event) == (LookUp(Subject.PAYOUT, "acct_1/po_1"),)


def test_event_of_our_version_that_was_asked_for_is_as_it_was_sent() -> None:
    event = asked("payment_intent.succeeded", INTENT, api_version=API_VERSION)
    assert event.raw == orjson.dumps(event.body)
    assert set(event.body) == {"id", "object", "type", "livemode", "created", "api_version", "data"}
    assert isinstance(translate(event)[0], PaymentFact)


# All of them ----------------------------------------------------------------------------------------------


def test_endpoints_are_sent_what_is_translated_and_nothing_else() -> None:
    assert {*EVENTS[Role.PLATFORM], *EVENTS[Role.CONNECTED]} == set(EVENT_TYPES)
    related = {"id": "acct_1", "type": "v2.core.account"}
    assert all(thin(event_type, related) for event_type in ACCOUNT_EVENTS)


@pytest.mark.parametrize(
    "event_type", ["customer.created", "", "payment_intent", "payment_intent.", "payment_intent.succeeded "]
)
def test_unknown_type_states_nothing(event_type: str) -> None:
    for source in (None, INTENT):
        assert told(event_type, source) == ()


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_event_that_holds_no_object_or_is_of_no_moment_is_refused(event_type: str) -> None:
    source = OBJECTS[event_type.rpartition(".")[0]]
    for account in (None, "acct_1"):
        told(event_type, source, account=account)
        refuse(event_type, source, account=account, at=None)
        for nothing in (None, [], "pi_1", 1):
            refuse(event_type, nothing, account=account)
    for body in ({}, {"data": None}, {"data": {}}, {"data": [INTENT]}):
        with pytest.raises(WebhookRejected):
            translate(Event("evt_1", event_type, body, b"", AT))


def test_refusal_names_the_type_alone() -> None:
    with pytest.raises(WebhookRejected) as caught:
        told("payment_intent.succeeded", INTENT | {"status": "payer@shop.example"})
    assert str(caught.value) == "Malformed object in an event of type payment_intent.succeeded."


NAMES = sorted({name for source in OBJECTS.values() for name in source})
SCALAR = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    | st.sampled_from([*INTENT.values(), "acct_1", "txn_1", "pi_1", "usd", "isk", MADE, 10**18, -1])
)  # fmt: skip
JSON = st.recursive(
    SCALAR,
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text() | st.sampled_from([*NAMES, "data", "url", "card"]), inner)
    ),
    max_leaves=6,
)


@settings(deadline=None, max_examples=400)
@given(
    event_type=st.sampled_from([*EVENT_TYPES, *ACCOUNT_EVENTS, "other"]),
    account=st.sampled_from([None, "acct_1"]),
    at=st.sampled_from([None, AT]),
    data=st.data(),
)
def test_translate_raises_nothing_but_its_refusal(
    event_type: str, account: str | None, at: datetime | None, data: st.DataObject
) -> None:
    whole = OBJECTS.get(event_type.rpartition(".")[0], {})
    changed = st.dictionaries(st.sampled_from(NAMES), JSON).map(lambda changes: whole | changes)
    body: Any = data.draw(
        st.dictionaries(st.sampled_from(["data", "related_object"]), JSON | st.dictionaries(st.just("id"), JSON))
        | changed.map(lambda source: {"data": {"object": source}})
    )
    try:
        facts = translate(Event("evt_1", event_type, body, b"", at, account))
    except WebhookRejected:
        return
    assert len(facts) <= 2
    assert all(isinstance(fact, (LookUp, *get_args(Fact))) for fact in facts)
