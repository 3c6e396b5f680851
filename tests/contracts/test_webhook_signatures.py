"""Webhook signatures: what is believed, and that nothing else than a refusal comes of anything else."""

import base64
import hmac
import json
import math
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.ids import uuid7
from providers.payments.base import ChargeFact, Event, PaymentFact, ProviderState, WebhookRejected
from providers.payments.sandbox import SandboxProvider
from providers.payments.sandbox.translation import translate
from providers.payments.sandbox.webhooks import sign, signing_keys, verify

from .sandboxes import OTHER_SECRET, SECRET

NOW = datetime(2026, 5, 4, 12, 0, 0, 250_000, tzinfo=UTC)
KEYS = signing_keys([SECRET])
REFERENCE = UUID("01890000-0000-7000-8000-000000000000")
PAYMENT: dict[str, object] = {
    "id": "sbx_1",
    "reference": str(REFERENCE),
    "state": "SUCCEEDED",
    "at": "2026-05-04T11:59:59.000001Z",
    "amount": 1250,
    "currency": "USD",
    "captured": 1250,
    "decline_code": None,
    "action_url": None,
}
CHARGE: dict[str, object] = {
    "payment": "sbx_1",
    "reference": str(REFERENCE),
    "balance_transaction": "txn_1",
    "at": "2026-05-04T11:59:59.000002Z",
    "gross": 1250,
    "fee": 66,
    "currency": "USD",
    "available_on": "2026-05-04T11:59:59.000001Z",
}


def event_body(**changes: object) -> bytes:
    body = {"id": "evt_1", "type": "payment.succeeded", "livemode": False, "data": {"object": PAYMENT}}
    return orjson.dumps(body | changes)


def signed(
    body: bytes, *, at: datetime = NOW, secret: str = SECRET, event_id: str = "evt_1", timestamp: str | None = None
) -> dict[str, str]:
    """Sign as the specification says, with nothing of ours: the other implementation of the two."""
    timestamp = timestamp if timestamp is not None else str(math.floor(at.timestamp()))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signature = hmac.new(key, f"{event_id}.{timestamp}.".encode() + body, sha256).digest()
    return {
        "webhook-id": event_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": "v1," + base64.b64encode(signature).decode(),
    }


def rejection(headers: Mapping[str, str], body: bytes, now: datetime = NOW) -> str:
    with pytest.raises(WebhookRejected) as caught:
        verify(KEYS, headers, body, now)
    return str(caught.value)


# Signatures -----------------------------------------------------------------------------------------------


def test_signed_event_is_believed() -> None:
    event = verify(KEYS, signed(event_body()), event_body(), NOW)
    assert (event.id, event.type) == ("evt_1", "payment.succeeded")
    (fact,) = translate(event)
    assert fact == PaymentFact(
        reference=REFERENCE,
        provider_reference="sbx_1",
        state=ProviderState.SUCCEEDED,
        at=datetime(2026, 5, 4, 11, 59, 59, 1, tzinfo=UTC),
        amount=1250,
        currency="USD",
        captured=1250,
    )


def test_we_sign_as_the_specification_says() -> None:
    assert sign(KEYS[0], "evt_1", event_body().decode(), NOW) == signed(event_body())


def test_header_names_have_no_case() -> None:
    headers = {name.title(): value for name, value in signed(event_body()).items()}
    assert verify(KEYS, headers, event_body(), NOW).id == "evt_1"


def test_secrets_rotate_without_a_gap() -> None:
    rotating = signing_keys([OTHER_SECRET, SECRET])
    old, new = signed(event_body()), signed(event_body(), secret=OTHER_SECRET)
    assert verify(rotating, old, event_body(), NOW).id == verify(rotating, new, event_body(), NOW).id
    assert sign(rotating[0], "evt_1", event_body().decode(), NOW) == new
    both = old | {"webhook-signature": f"{new['webhook-signature']} {old['webhook-signature']}"}
    assert verify(KEYS, both, event_body(), NOW).id == "evt_1"
    assert rejection(new, event_body()) == "No signature is one of ours."


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_missing_or_empty_header_is_refused(missing: str) -> None:
    headers = signed(event_body())
    assert "missing" in rejection(headers | {missing: ""}, event_body())
    del headers[missing]
    assert "missing" in rejection(headers, event_body())


@pytest.mark.parametrize(
    "signature",
    [
        "v1,\xff\xfe",
        "v1,é",
        "v1,not base64!",
        "v1,",
        ",",
        "v1",
        " ",
        "v2," + signed(event_body())["webhook-signature"][3:],
        signed(event_body())["webhook-signature"][3:],
        signed(event_body())["webhook-signature"][:-1],
        signed(event_body())["webhook-signature"].swapcase(),
        signed(event_body(), secret=OTHER_SECRET)["webhook-signature"],
    ],
)
def test_signature_that_is_none_is_refused(signature: str) -> None:
    rejection(signed(event_body()) | {"webhook-signature": signature}, event_body())


def test_ten_thousand_signatures_cost_no_more_than_sixteen() -> None:
    headers = signed(event_body())
    valid = headers["webhook-signature"]
    wrong = "v1," + "A" * 43 + "="
    flood = " ".join([wrong] * 10_000)
    rejection(headers | {"webhook-signature": f"{flood} {valid}"}, event_body())
    rejection(headers | {"webhook-signature": " ".join([wrong] * 16 + [valid])}, event_body())
    last = headers | {"webhook-signature": " ".join([wrong] * 15 + [valid])}
    assert verify(KEYS, last, event_body(), NOW).id == "evt_1"
    started = time.perf_counter()
    rejection(headers | {"webhook-signature": flood}, event_body())
    assert time.perf_counter() - started < 0.05


def test_forged_body_is_refused() -> None:
    assert "No signature" in rejection(signed(event_body()), event_body().replace(b"1250", b"9250"))


def test_signature_of_another_event_is_refused() -> None:
    other = signed(event_body(), event_id="evt_2")
    assert "No signature" in rejection(other | {"webhook-id": "evt_1"}, event_body())
    assert "names" in rejection(other, event_body())


def test_valid_megabyte_is_believed() -> None:
    body = event_body(padding="x" * 1_000_000)
    assert verify(KEYS, signed(body), body, NOW).type == "payment.succeeded"


# Time -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("age_seconds", [-60, 0, 300])
def test_recent_timestamp_is_believed(age_seconds: int) -> None:
    at = NOW - timedelta(seconds=age_seconds)
    assert verify(KEYS, signed(event_body(), at=at), event_body(), NOW).id == "evt_1"


@pytest.mark.parametrize(
    ("age_seconds", "why"), [(301, "old"), (-61, "future"), (86_400, "old"), (-86_400, "future")]
)
def test_old_and_future_timestamps_are_refused(age_seconds: int, why: str) -> None:
    at = NOW - timedelta(seconds=age_seconds)
    assert why in rejection(signed(event_body(), at=at), event_body())


@pytest.mark.parametrize(
    "timestamp",
    [
        "nan", "inf", "-inf", "1e9", "-1777896000", "+1777896000", "0", "00", "1777896000.0", " 1777896000",
        "1777896000\n", "01777896000", "9" * 12, "9" * 400, "0x69f8", "1_777_896_000", "١٧٧٧٨٩٦٠٠٠", "now",
    ],
)  # fmt: skip
def test_timestamp_that_is_none_is_refused(timestamp: str) -> None:
    rejection(signed(event_body(), timestamp=timestamp), event_body())


# Bodies ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"null", b"1", b'"evt_1"', b"true", b"{}", b"{", b"NaN", b"\xff\xfe", b"\xef\xbb\xbf{}",
        b"\x00", b"[" * 100_000, b'{"a":' * 100_000, event_body() + b"\xc3", event_body()[:-1],
        event_body(id="evt_2"), event_body(id=None), event_body(id=1), event_body(type=None),
        event_body(type=["x"]), event_body(livemode=True), event_body(livemode=0), event_body(livemode=None),
    ],
)  # fmt: skip
def test_signed_body_that_is_no_event_of_ours_is_refused(body: bytes) -> None:
    rejection(signed(body), body)


def test_event_id_that_is_absurd_is_refused() -> None:
    for event_id in ("e" * 256, "évt", "\ud800"):
        headers = signed(event_body()) | {"webhook-id": event_id}
        rejection(headers, event_body())


# Translation ----------------------------------------------------------------------------------------------


def told(event_type: str, source: object) -> tuple[object, ...]:
    return translate(Event("evt_1", event_type, {"data": {"object": source}}))


def test_charge_is_translated() -> None:
    (fact,) = told("charge.updated", CHARGE)
    assert fact == ChargeFact(
        reference=REFERENCE,
        balance_transaction="txn_1",
        at=datetime(2026, 5, 4, 11, 59, 59, 2, tzinfo=UTC),
        gross=1250,
        fee=66,
        currency="USD",
        available_on=datetime(2026, 5, 4, 11, 59, 59, 1, tzinfo=UTC),
    )


@pytest.mark.parametrize("event_type", ["weather.changed", "", "payment", "payment.", "payment.succeeded "])
def test_unknown_type_states_nothing(event_type: str) -> None:
    assert told(event_type, None) == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("reference", "not a uuid"), ("reference", None), ("id", ""), ("id", 1), ("state", "PAID"),
        ("state", None), ("at", "yesterday"), ("at", "2026-05-04T11:59:59"), ("at", 1),
        ("at", "0001-01-01T00:00:00+23:00"), ("amount", -1), ("amount", 12.5), ("amount", True),
        ("amount", "1250"), ("amount", 2**63), ("amount", 1249), ("captured", 1251), ("captured", None),
        ("currency", ""), ("decline_code", "STOLEN"), ("decline_code", 1), ("action_url", 1),
    ],
)  # fmt: skip
def test_malformed_payment_is_refused(name: str, value: object) -> None:
    with pytest.raises(WebhookRejected):
        told("payment.succeeded", PAYMENT | {name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [("fee", 1251), ("fee", -1), ("gross", 0.5), ("available_on", None), ("balance_transaction", "")],
)
def test_malformed_charge_is_refused(name: str, value: object) -> None:
    with pytest.raises(WebhookRejected):
        told("charge.updated", CHARGE | {name: value})


@pytest.mark.parametrize("source", [PAYMENT, CHARGE])
def test_every_member_is_needed(source: dict[str, object]) -> None:
    event_type = "charge.updated" if source is CHARGE else "payment.failed"
    for name in source.keys() - {"payment"}:
        with pytest.raises(WebhookRejected):
            told(event_type, {key: value for key, value in source.items() if key != name})


# Whatever comes -------------------------------------------------------------------------------------------

ANY_TEXT = st.text(st.characters(exclude_categories=())) | st.sampled_from(list(signed(event_body()).values()))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(list(PAYMENT.values())),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(list(PAYMENT)), inner),
    max_leaves=6,
)


@settings(deadline=None, max_examples=200)
@given(
    headers=st.dictionaries(st.sampled_from(list(signed(b""))) | ANY_TEXT, ANY_TEXT),
    body=st.binary() | st.just(event_body()),
    now=st.datetimes(timezones=st.just(UTC)),
)
def test_verify_raises_nothing_but_its_refusal(headers: dict[str, str], body: bytes, now: datetime) -> None:
    with pytest.raises(WebhookRejected):
        verify(KEYS, headers, body, now)


@settings(deadline=None, max_examples=200)
@given(body=st.binary() | JSON.map(json.dumps).map(str.encode))
def test_verify_of_signed_bodies_raises_nothing_but_its_refusal(body: bytes) -> None:
    with pytest.raises(WebhookRejected):
        verify(KEYS, signed(body), body, NOW)


@settings(deadline=None, max_examples=200)
@given(
    event_type=st.sampled_from(["payment.succeeded", "payment.failed", "charge.updated", "other"]),
    body=st.dictionaries(st.text(), JSON)
    | JSON.map(lambda value: {"data": value})
    | JSON.map(lambda value: {"data": {"object": value}})
    | st.dictionaries(st.sampled_from(list(PAYMENT | CHARGE)), JSON).map(
        lambda changes: {"data": {"object": PAYMENT | CHARGE | changes}}
    ),
)
def test_translate_raises_nothing_but_its_refusal(event_type: str, body: dict[str, object]) -> None:
    try:
        facts = translate(Event("evt_1", event_type, body))
    except WebhookRejected:
        return
    assert len(facts) <= 1
    assert all(isinstance(fact, PaymentFact | ChargeFact) for fact in facts)


@settings(deadline=None)
@given(
    amount=st.integers(1, 99_999_999),
    state=st.sampled_from([state.value for state in ProviderState]),
    at=st.datetimes(timezones=st.just(UTC)),
)
def test_what_is_signed_comes_back_as_it_was(amount: int, state: str, at: datetime) -> None:
    source = PAYMENT | {
        "amount": amount,
        "captured": 0,
        "state": state,
        "at": at.isoformat(),
        "reference": str(uuid7()),
    }
    body = event_body(data={"object": source})
    (fact,) = translate(verify(KEYS, signed(body), body, NOW))
    assert isinstance(fact, PaymentFact)
    assert (fact.amount, fact.state, fact.at, str(fact.reference)) == (amount, state, at, source["reference"])


def test_provider_verifies_with_all_its_secrets() -> None:
    provider = SandboxProvider(
        None, webhook_secrets=[OTHER_SECRET, SECRET], public_url="https://pay.example", currencies=["USD"]
    )
    assert provider.verify(signed(event_body()), event_body(), NOW).id == "evt_1"
