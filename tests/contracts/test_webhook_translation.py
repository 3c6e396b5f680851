"""What events state: every object of the sandbox, read whole or refused, and nothing else."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.payments.base import (
    AccountFact,
    BalanceMove,
    DisputeFact,
    DisputeState,
    Event,
    PaymentFact,
    PayoutFact,
    PayoutState,
    ProviderState,
    RefundFact,
    RefundState,
    TransferFact,
    WebhookRejected,
)
from providers.payments.sandbox.translation import EVENT_TYPES, READERS, translate
from providers.payments.sandbox.webhooks import verify

from .test_webhook_signatures import CHARGE, KEYS, NOW, PAYMENT, event_body, signed

OURS, PAID = "01890000-0000-7000-8000-000000000001", "01890000-0000-7000-8000-000000000002"
AT = "2026-05-04T11:59:59.000001Z"
MOMENT = datetime(2026, 5, 4, 11, 59, 59, 1, tzinfo=UTC)
RESERVED: dict[str, Any] = PAYMENT | {
    "state": "AUTHORIZED",
    "captured": 0,
    "authorized": 1250,
    "capture_before": AT,
}
REFUND: dict[str, Any] = {
    "id": "sbr_1", "payment": "sbx_1", "payment_reference": PAID, "reference": OURS, "state": "FAILED", "at": AT,
    "amount": 500, "currency": "USD", "failure_code": "account_closed", "balance_transaction": "txn_1",
    "return_transaction": "txn_2",
}  # fmt: skip
DISPUTE: dict[str, Any] = {
    "id": "sbd_1", "payment": "sbx_1", "payment_reference": PAID, "state": "WON", "at": AT, "amount": 500,
    "currency": "USD", "reason": "fraudulent", "respond_by": AT,
    "withdrawal": {"balance_transaction": "txn_1", "amount": 500, "fee": 1500},
    "reinstatement": {"balance_transaction": "txn_2", "amount": 500, "fee": 1500},
}  # fmt: skip
ACCOUNT: dict[str, Any] = {
    "id": "sba_1", "reference": OURS, "at": AT, "ready": False, "missing": ["identity_document"]
}  # fmt: skip
TRANSFER: dict[str, Any] = {
    "id": "sbt_1", "reference": OURS, "account": "sba_1", "at": AT, "amount": 500, "currency": "USD",
    "balance_transaction": "txn_1", "reversal_transaction": None,
}  # fmt: skip
PAYOUT: dict[str, Any] = {
    "id": "sbp_1", "reference": OURS, "account": "sba_1", "state": "PAID", "at": AT, "amount": 500,
    "currency": "USD", "arrives_at": AT, "failure_code": None,
}  # fmt: skip
OBJECTS: dict[str, dict[str, Any]] = {
    "payment": RESERVED, "charge": CHARGE, "refund": REFUND, "dispute": DISPUTE, "account": ACCOUNT,
    "transfer": TRANSFER, "payout": PAYOUT,
}  # fmt: skip
FACTS = {
    "payment": PaymentFact(
        UUID(str(PAYMENT["reference"])), "sbx_1", ProviderState.AUTHORIZED, MOMENT, 1250, "USD",
        authorized=1250, capture_before=MOMENT,
    ),
    "refund": RefundFact(
        UUID(PAID), UUID(OURS), "sbr_1", RefundState.FAILED, MOMENT, 500, "USD", "account_closed", "txn_1", "txn_2"
    ),
    "dispute": DisputeFact(
        UUID(PAID), "sbd_1", DisputeState.WON, MOMENT, 500, "USD", "fraudulent", MOMENT,
        BalanceMove("txn_1", 500, 1500), BalanceMove("txn_2", 500, 1500),
    ),
    "account": AccountFact(UUID(OURS), "sba_1", MOMENT, ready=False, missing=("identity_document",)),
    "transfer": TransferFact(UUID(OURS), "sbt_1", "sba_1", MOMENT, 500, "USD", "txn_1"),
    "payout": PayoutFact(UUID(OURS), "sbp_1", "sba_1", PayoutState.PAID, MOMENT, 500, "USD", MOMENT),
}  # fmt: skip


def told(event_type: str, source: object) -> tuple[object, ...]:
    return translate(Event("evt_1", event_type, {"data": {"object": source}}))


def test_every_kind_of_object_is_tested() -> None:
    assert set(OBJECTS) == set(READERS) == {event_type.partition(".")[0] for event_type in EVENT_TYPES}


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_event_states_its_object_whole(event_type: str) -> None:
    kind = event_type.partition(".")[0]
    (fact,) = told(event_type, OBJECTS[kind])
    assert type(fact).__name__.lower() == f"{kind}fact"
    if kind in FACTS:
        assert fact == FACTS[kind]


def test_refund_made_at_the_provider_has_no_reference_and_dispute_may_have_moved_nothing() -> None:
    (refund,) = told("refund.created", REFUND | {"reference": None, "return_transaction": None})
    (dispute,) = told("dispute.created", DISPUTE | {"withdrawal": None, "reinstatement": None})
    assert isinstance(refund, RefundFact)
    assert (refund.reference, refund.return_transaction) == (None, None)
    assert isinstance(dispute, DisputeFact)
    assert (dispute.withdrawal, dispute.reinstatement) == (None, None)


def test_payment_of_before_there_were_authorisations_has_none() -> None:
    (fact,) = told("payment.succeeded", PAYMENT)
    assert isinstance(fact, PaymentFact)
    assert (fact.authorized, fact.capture_before) == (0, None)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("payment", {"authorized": 1251}), ("payment", {"authorized": True}), ("payment", {"capture_before": 1}),
        ("payment", {"capture_before": ""}), ("refund", {"amount": 0}), ("refund", {"amount": -1}),
        ("refund", {"state": "WON"}), ("refund", {"reference": ""}), ("refund", {"payment_reference": None}),
        ("dispute", {"withdrawal": []}), ("dispute", {"withdrawal": {}}), ("dispute", {"respond_by": None}),
        ("dispute", {"withdrawal": {"balance_transaction": "txn_1", "amount": 0, "fee": 0}}),
        ("dispute", {"withdrawal": {"balance_transaction": "txn_1", "amount": 1, "fee": -1}}),
        ("dispute", {"state": "CLOSED"}), ("account", {"ready": 1}), ("account", {"missing": "identity"}),
        ("account", {"missing": [1]}), ("account", {"missing": None}), ("transfer", {"account": ""}),
        ("transfer", {"balance_transaction": None}), ("transfer", {"reversal_transaction": 1}),
        ("payout", {"state": "SENT"}), ("payout", {"failure_code": ""}), ("payout", {"arrives_at": "soon"}),
        ("payout", {"amount": 2**63}), ("payout", {"currency": None}),
    ],
)  # fmt: skip
def test_malformed_object_is_refused(kind: str, changes: dict[str, object]) -> None:
    event_type = next(name for name in EVENT_TYPES if name.startswith(f"{kind}."))
    with pytest.raises(WebhookRejected):
        told(event_type, OBJECTS[kind] | changes)


@pytest.mark.parametrize("kind", OBJECTS)
def test_every_member_that_states_something_is_needed(kind: str) -> None:
    event_type = next(name for name in EVENT_TYPES if name.startswith(f"{kind}."))
    for name in OBJECTS[kind].keys() - {"payment", "authorized", "capture_before"}:
        with pytest.raises(WebhookRejected):
            told(event_type, {key: value for key, value in OBJECTS[kind].items() if key != name})


# Raw bytes and moments ------------------------------------------------------------------------------------


def test_verified_event_keeps_its_bytes_and_its_moment() -> None:
    body = event_body(created="2026-05-04T13:59:59.000001+02:00")
    event = verify(KEYS, signed(body), body, NOW)
    assert (event.raw, event.at) == (body, MOMENT)


@pytest.mark.parametrize("created", [None, 1, "", "soon", "2026-05-04T11:59:59", [], "0001-01-01T00:00:00+23:00"])
def test_event_that_says_no_moment_has_none(created: object) -> None:
    body = event_body(created=created)
    assert verify(KEYS, signed(body), body, NOW).at is None


# Whatever comes -------------------------------------------------------------------------------------------

VALUES = [value for source in OBJECTS.values() for value in source.values()]
NAMES = sorted({name for source in OBJECTS.values() for name in source})
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(VALUES),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(NAMES), inner),
    max_leaves=6,
)


@settings(deadline=None, max_examples=400)
@given(
    event_type=st.sampled_from(EVENT_TYPES),
    changes=st.dictionaries(st.sampled_from(NAMES), JSON, max_size=3),
    otherwise=st.none() | JSON,
)
def test_translate_raises_nothing_but_its_refusal(
    event_type: str, changes: dict[str, object], otherwise: object
) -> None:
    source = OBJECTS[event_type.partition(".")[0]] | changes if otherwise is None else otherwise
    try:
        facts = told(event_type, source)
    except WebhookRejected:
        return
    assert len(facts) == 1
    assert timedelta(0) == facts[0].at.utcoffset()  # type: ignore[attr-defined]
