"""Stripe's webhook signatures: what is believed, and that nothing else than a refusal comes of anything else."""

import hmac
import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import orjson
import pytest
import stripe
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.payments.base import Event, Foreign, WebhookRejected
from providers.payments.stripe import API_VERSION, StripeProvider
from providers.payments.stripe.webhooks import asked_for, decode, signing_secrets, verify

NOW = datetime(2026, 5, 4, 12, 0, 0, 250_000, tzinfo=UTC)
SECRET = "whsec_a_secret_of_the_tests_of_webhooks"
OTHER_SECRET = "whsec_another_secret_for_its_rotation"
SECRETS = signing_secrets([SECRET])
CREATED = datetime(2026, 5, 4, 11, 59, 59, tzinfo=UTC)
SNAPSHOT: dict[str, Any] = {
    "id": "evt_1", "object": "event", "type": "payment_intent.succeeded", "livemode": False,
    "api_version": API_VERSION, "created": int(CREATED.timestamp()), "data": {"object": {"id": "pi_1"}},
}  # fmt: skip
THIN: dict[str, Any] = {
    "id": "evt_test_65", "object": "v2.core.event", "type": "v2.core.account.updated", "livemode": False,
    "created": "2026-05-04T11:59:59.000Z", "context": None, "data": None,
    "related_object": {"id": "acct_1", "type": "v2.core.account", "url": "/v2/core/accounts/acct_1"},
}  # fmt: skip


def snapshot(**changes: object) -> bytes:
    return orjson.dumps(SNAPSHOT | changes)


def thin(**changes: object) -> bytes:
    return orjson.dumps(THIN | changes)


def signature(body: bytes, timestamp: str, secret: str = SECRET) -> str:
    """Sign as Stripe's manual says, with nothing of ours or the SDK's: the other implementation of the two."""
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, sha256).hexdigest()


def signed(
    body: bytes, *, at: datetime = NOW, secret: str = SECRET, timestamp: str | None = None
) -> dict[str, str]:
    timestamp = timestamp if timestamp is not None else str(math.floor(at.timestamp()))
    return {"Stripe-Signature": f"t={timestamp},v1={signature(body, timestamp, secret)}"}


def believed(headers: Mapping[str, str], body: bytes, now: datetime = NOW) -> Event:
    return verify(SECRETS, headers, body, now, live=False)


def rejection(headers: Mapping[str, str], body: bytes, now: datetime = NOW) -> str:
    with pytest.raises(WebhookRejected) as caught:
        believed(headers, body, now)
    return str(caught.value)


# Signatures -----------------------------------------------------------------------------------------------


def test_signed_snapshot_is_believed() -> None:
    event = believed(signed(snapshot()), snapshot())
    assert event == Event("evt_1", "payment_intent.succeeded", SNAPSHOT, snapshot(), CREATED)


def test_signed_thin_event_is_believed() -> None:
    event = believed(signed(thin()), thin())
    assert event == Event("evt_test_65", "v2.core.account.updated", THIN, thin(), CREATED)


def test_sdk_signs_as_its_manual_says() -> None:
    timestamp = str(math.floor(NOW.timestamp()))
    body = snapshot(name="Zoë \N{PILE OF POO}")
    header = stripe.WebhookSignature.generate_signature_header(body.decode(), SECRET, int(timestamp))
    assert header == f"t={timestamp},v1={signature(body, timestamp)}"


@pytest.mark.parametrize("name", ["Stripe-Signature", "stripe-signature", "STRIPE-SIGNATURE"])
def test_header_name_has_no_case(name: str) -> None:
    (value,) = signed(snapshot()).values()
    assert believed({"host": "x", name: value}, snapshot()).id == "evt_1"


def test_secrets_rotate_without_a_gap() -> None:
    rotating = signing_secrets([OTHER_SECRET, SECRET])
    old, new = signed(snapshot()), signed(snapshot(), secret=OTHER_SECRET)
    for headers in (old, new):
        assert verify(rotating, headers, snapshot(), NOW, live=False).id == "evt_1"
    assert rejection(new, snapshot()) == "No signature is one of ours."
    # While an endpoint's secret is rotated, Stripe signs with both.
    both = {"Stripe-Signature": f"{new['Stripe-Signature']},{old['Stripe-Signature'].partition(',')[2]}"}
    assert believed(both, snapshot()).id == "evt_1"


@pytest.mark.parametrize("headers", [{}, {"Stripe-Signature": ""}, {"webhook-signature": "t=1,v1=a"}])
def test_missing_or_empty_header_is_refused(headers: dict[str, str]) -> None:
    assert "missing" in rejection(headers, snapshot())


VALID = signed(snapshot())["Stripe-Signature"]
TIME, _, HEX = VALID.partition(",v1=")


@pytest.mark.parametrize(
    "header",
    [
        f"{TIME},v1=\xff\xfe", f"{TIME},v1=é", f"{TIME},v1=", f"{TIME},v1", f"{TIME}", f"v1={HEX}", ",", "=", " ",
        f"{TIME},v0={HEX}", f"{TIME},v2={HEX}", f"{TIME},v1={HEX.upper()}", f"{TIME},v1={HEX[:-1]}",
        f"{TIME},v1={HEX}0", f"{TIME},v1 = {HEX}", f"{TIME},v1={HEX[:-1]}{'0' if HEX[-1] != '0' else '1'}",
        f"t=,v1={HEX}", f"{TIME},{TIME},v1={HEX}", f"t=1,{VALID}", f"{TIME};v1={HEX}", HEX, "\ud800",
        signed(snapshot(), secret=OTHER_SECRET)["Stripe-Signature"],
    ],
)  # fmt: skip
def test_signature_that_is_none_is_refused(header: str) -> None:
    rejection({"Stripe-Signature": header}, snapshot())


def test_ten_thousand_signatures_cost_no_more_than_sixteen(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong, compared = "0" * 64, []

    def compare(a: bytes, b: bytes) -> bool:
        compared.append(b)
        return a == b

    monkeypatch.setattr("providers.payments.stripe.webhooks.hmac.compare_digest", compare)

    def header(count: int) -> dict[str, str]:
        return {"Stripe-Signature": ",".join([TIME, *[f"v1={wrong}"] * count, f"v1={HEX}"])}

    for count in (10_000, 16):
        compared.clear()
        assert "No signature" in rejection(header(count), snapshot())
        assert len(compared) == 16
    assert believed(header(15), snapshot()).id == "evt_1"
    # Nor do parts of another name hide a flood.
    rejection({"Stripe-Signature": ",".join([TIME, *["v0=x"] * 10_000, f"v1={HEX}"])}, snapshot())


def test_every_signature_is_compared_with_every_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    def compare(a: bytes, b: bytes) -> bool:
        compared.append((a, b))
        return a == b

    monkeypatch.setattr("providers.payments.stripe.webhooks.hmac.compare_digest", compare)
    headers = {"Stripe-Signature": f"{VALID},v1={'0' * 64}"}
    assert verify(signing_secrets([SECRET, OTHER_SECRET]), headers, snapshot(), NOW, live=False).id == "evt_1"
    assert len(compared) == 4


def test_forged_body_is_refused() -> None:
    assert "No signature" in rejection(signed(snapshot()), snapshot().replace(b"pi_1", b"pi_2"))


def test_forged_time_is_refused() -> None:
    later = str(math.floor(NOW.timestamp()) + 1)
    assert "No signature" in rejection({"Stripe-Signature": f"t={later},v1={HEX}"}, snapshot())


def test_valid_megabyte_is_believed() -> None:
    body = snapshot(padding="x" * 1_000_000)
    assert believed(signed(body), body).id == "evt_1"


@pytest.mark.parametrize(
    "secrets", [[], "whsec_12345678", ["secret"], ["whsec_"], ["whsec_é2345678"], [SECRET, ""]]
)
def test_secret_that_is_none_is_refused_and_not_repeated(secrets: Any) -> None:
    with pytest.raises(ValueError, match="secret") as caught:
        signing_secrets(secrets)
    assert "12345678" not in str(caught.value)


# Time -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("age_seconds", [-60, 0, 300])
def test_recent_timestamp_is_believed(age_seconds: int) -> None:
    at = NOW - timedelta(seconds=age_seconds)
    assert believed(signed(snapshot(), at=at), snapshot()).id == "evt_1"


@pytest.mark.parametrize(
    ("age_seconds", "why"), [(301, "old"), (-61, "future"), (86_400, "old"), (-86_400, "future")]
)
def test_old_and_future_timestamps_are_refused(age_seconds: int, why: str) -> None:
    at = NOW - timedelta(seconds=age_seconds)
    assert why in rejection(signed(snapshot(), at=at), snapshot())


def test_time_is_the_one_that_is_given_and_not_the_clocks() -> None:
    for now in (datetime(2001, 1, 1, tzinfo=UTC), datetime(2099, 1, 1, tzinfo=UTC)):
        assert believed(signed(snapshot(), at=now), snapshot(), now).id == "evt_1"


@pytest.mark.parametrize(
    "timestamp",
    [
        "nan", "inf", "-inf", "1e9", "-1777896000", "+1777896000", "0", "00", "1777896000.0", " 1777896000",
        "1777896000 ", "01777896000", "9" * 12, "9" * 400, "9" * 10_000, "0x69f8", "1_777_896_000", "now", "",
    ],
)  # fmt: skip
def test_timestamp_that_is_none_is_refused(timestamp: str) -> None:
    rejection(signed(snapshot(), timestamp=timestamp), snapshot())


# Bodies ---------------------------------------------------------------------------------------------------

NO_EVENTS = [
    b"", b"[]", b"null", b"1", b'"evt_1"', b"true", b"{}", b"{", b"NaN", b"\xff\xfe", b"\xef\xbb\xbf{}", b"\x00",
    b"[" * 100_000, b'{"a":' * 100_000, snapshot() + b"\xc3", snapshot()[:-1], snapshot(object=None),
    snapshot(object="charge"), snapshot(object=["event"]), snapshot(object={}), snapshot(id=None), snapshot(id=1),
    snapshot(id=""), snapshot(id="e" * 256), snapshot(id="é"), snapshot(id="a\nb"), snapshot(type=None),
    snapshot(type=["x"]), snapshot(type=""), snapshot(livemode=None), snapshot(livemode=0), snapshot(account=1),
    snapshot(account=""), snapshot(account="acct_1/../x"), snapshot(account="cus_1"), thin(id=None), thin(type=1),
    thin(livemode="false"),
]  # fmt: skip


@pytest.mark.parametrize("body", NO_EVENTS)
def test_signed_body_that_is_no_event_is_refused(body: bytes) -> None:
    rejection(signed(body), body)
    with pytest.raises(WebhookRejected):
        decode(body, live=False)


def test_event_is_decoded_as_it_was_verified() -> None:
    for body in (snapshot(), thin(), snapshot(account="acct_1"), snapshot(livemode=True)):
        assert decode(body, live=False) == believed(signed(body), body)


@pytest.mark.parametrize(
    ("body", "account"),
    [
        (snapshot(account="acct_1"), "acct_1"),
        (snapshot(account=None), None),
        (snapshot(context="acct_9"), None),
        (thin(context="acct_1"), "acct_1"),
        (thin(context="org_1/acct_1"), "acct_1"),
        (thin(context="org_1"), None),
        (thin(context=1), None),
        (thin(context=["acct_1"]), None),
        (thin(account="acct_9"), None),
    ],
)
def test_event_tells_the_connected_account_it_is_of(body: bytes, account: str | None) -> None:
    assert decode(body, live=False).account == account


@pytest.mark.parametrize(
    ("body", "live", "foreign"),
    [
        (snapshot(), False, None),
        (snapshot(livemode=True), True, None),
        (snapshot(livemode=True), False, Foreign.MODE),
        (snapshot(), True, Foreign.MODE),
        (thin(livemode=True), False, Foreign.MODE),
        (snapshot(api_version="2024-06-20"), False, Foreign.VERSION),
        (snapshot(api_version=None), False, Foreign.VERSION),
        (snapshot(api_version=[API_VERSION]), False, Foreign.VERSION),
        (thin(), False, None),
        (thin(api_version="2024-06-20"), False, None),
        (snapshot(api_version="2024-06-20", livemode=True), False, Foreign.MODE),
    ],
)
def test_event_of_another_version_or_mode_is_foreign(body: bytes, live: bool, foreign: Foreign | None) -> None:
    assert decode(body, live=live).foreign is foreign
    # It is believed all the same: it is kept, and nothing is done about it.
    assert verify(SECRETS, signed(body), body, NOW, live=live).foreign is foreign


@pytest.mark.parametrize("mark", ["asked_for", None, "", {}])
@pytest.mark.parametrize("version", [API_VERSION, "2024-06-20"])
def test_mark_of_ours_is_refused_from_whoever_sends_it(mark: object, version: str) -> None:
    body = snapshot(comptoir=mark, api_version=version)
    with pytest.raises(WebhookRejected, match="mark of ours"):
        verify(SECRETS, signed(body), body, NOW, live=False)


def test_event_that_was_asked_for_is_of_our_mode_or_foreign_whatever_its_version() -> None:
    told = orjson.loads(snapshot(api_version="2024-06-20"))
    assert decode(asked_for(told), live=False).foreign is None
    assert decode(asked_for(told), live=True).foreign is Foreign.MODE
    assert decode(snapshot(api_version="2024-06-20", comptoir="sent"), live=False).foreign is Foreign.VERSION
    same = orjson.loads(thin(api_version="2024-06-20"))
    assert orjson.loads(asked_for(same)) == same


@pytest.mark.parametrize("created", [None, "", "soon", "2026-05-04T11:59:59", -1, 1.5, True, 10**18, [], {}])
def test_event_of_no_moment_has_none(created: object) -> None:
    assert decode(snapshot(created=created), live=False).at is None
    assert decode(thin(created=created), live=False).at is None


# The provider ---------------------------------------------------------------------------------------------


async def provider(key: str) -> StripeProvider:
    return StripeProvider(
        key,
        webhook_secrets=[OTHER_SECRET, SECRET],
        return_url="https://shop.example/thanks",
        currencies={"USD": 2},
        timeout=timedelta(seconds=20),
    )


@pytest.mark.parametrize(
    ("key", "live"), [("sk_test_1", False), ("rk_test_1", False), ("sk_live_1", True), ("rk_live_1", True)]
)
async def test_mode_is_the_keys(key: str, live: bool) -> None:
    made = await provider(key)
    for livemode in (True, False):
        body = snapshot(livemode=livemode)
        foreign = None if livemode is live else Foreign.MODE
        assert made.verify(signed(body), body, NOW).foreign is foreign
        assert made.decode(body).foreign is foreign
    await made.close()


@pytest.mark.parametrize(
    "key", ["", "pk_test_12345678", "sk_12345678", "sk_test_", "sk_test_1234 5678", "sk_test_1\n"]
)
async def test_key_that_is_none_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(ValueError, match="A key of Stripe's") as caught:
        await provider(key)
    assert "12345678" not in str(caught.value)


# Whatever comes -------------------------------------------------------------------------------------------

ANY_TEXT = st.text(st.characters(exclude_categories=())) | st.sampled_from([VALID, TIME, f"{TIME},v1="])
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["event", "v2.core.event"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(list(SNAPSHOT)), inner),
    max_leaves=6,
)


@settings(deadline=None, max_examples=200)
@given(
    headers=st.dictionaries(st.just("stripe-signature") | ANY_TEXT, ANY_TEXT),
    body=st.binary() | st.just(thin()),
    now=st.datetimes(timezones=st.just(UTC)),
)
def test_verify_raises_nothing_but_its_refusal(headers: dict[str, str], body: bytes, now: datetime) -> None:
    with pytest.raises(WebhookRejected):
        believed(headers, body, now)


@settings(deadline=None, max_examples=200)
@given(
    body=st.binary()
    | JSON.map(json.dumps).map(str.encode)
    | st.dictionaries(st.sampled_from(list(SNAPSHOT | THIN)), JSON).map(
        lambda changes: json.dumps(SNAPSHOT | changes).encode()
    )
    | st.dictionaries(st.sampled_from(list(SNAPSHOT | THIN)), JSON).map(
        lambda changes: json.dumps(THIN | changes).encode()
    )
)
def test_verify_of_signed_bodies_raises_nothing_but_its_refusal(body: bytes) -> None:
    try:
        event = believed(signed(body), body)
    except WebhookRejected:
        return
    assert event.id
    assert event.type
    assert event.raw == body
    assert event.at is None or event.at.tzinfo is UTC
