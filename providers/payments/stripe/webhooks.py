"""Stripe's webhooks, verified and decoded. Pure functions.

The header ``Stripe-Signature`` holds ``t=`` with whole seconds and ``v1=`` with an HMAC-SHA256 in hexadecimal, one
for each secret of the endpoint; the signature itself is computed by the SDK. What the SDK does with the rest of a
header and with the clock is not relied on: it believes times in the future, and raises what it likes.
"""

import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, TypeGuard

import orjson
from stripe import WebhookSignature

from providers.payments.base import Event, Foreign, WebhookRejected
from providers.payments.stripe.client import API_VERSION

OLDEST: Final = timedelta(minutes=5)
NEWEST: Final = timedelta(seconds=60)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_HEADER: Final = "stripe-signature"
_PREFIX: Final = "whsec_"
_SECRET: Final = re.compile(rf"{_PREFIX}[!-~]{{8,500}}", re.ASCII)
_MOST_SIGNATURES: Final = 16
_MOST_PARTS: Final = 64
_LONGEST_ID: Final = 255
_TIMESTAMP: Final = re.compile(r"[1-9][0-9]{0,11}", re.ASCII)
_ACCOUNT: Final = re.compile(r"acct_[A-Za-z0-9_]{1,250}", re.ASCII)

_MARK: Final = "comptoir"
_ASKED_FOR: Final = "asked_for"

SNAPSHOT: Final = "event"
THIN: Final = "v2.core.event"


def signing_secrets(secrets: Sequence[str]) -> tuple[str, ...]:
    """Return the secrets of webhook endpoints, in their order.

    Raises ValueError, which never repeats a secret, when there is none or one does not begin with ``whsec_``.
    """
    if isinstance(secrets, str) or not secrets:
        raise ValueError("Stripe needs a list of at least one webhook secret.")
    if not all(_SECRET.fullmatch(secret) for secret in secrets):
        raise ValueError("A webhook secret of Stripe's is whsec_ and what follows it in the dashboard.")
    return tuple(secrets)


def verify(secrets: Sequence[str], headers: Mapping[str, str], body: bytes, now: datetime, *, live: bool) -> Event:
    """Return the event of a webhook that any of the secrets signed, not long ago.

    A timestamp may be 5 minutes old and 60 seconds ahead of ``now``; of all signatures in the header the first 16
    are looked at. Raises only WebhookRejected.
    """
    timestamp, signatures = _parts(headers, now)
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise WebhookRejected("The body is not UTF-8.") from None
    expected = [_signature(text, secret, timestamp) for secret in secrets]
    # Every pair is compared, in constant time: how long it takes tells nothing.
    matches = [hmac.compare_digest(a, b) for a in expected for b in signatures]
    if not any(matches):
        raise WebhookRejected("No signature is one of ours.")
    event = decode(body, live=live)
    if _MARK in event.body:
        # What we write into events ourselves is nobody's to send.
        raise WebhookRejected("The event holds a mark of ours.")
    return event


def _parts(headers: Mapping[str, str], now: datetime) -> tuple[int, list[bytes]]:
    header = next((value for name, value in headers.items() if name.lower() == _HEADER), "")
    if not header:
        raise WebhookRejected("The header Stripe-Signature is missing.")
    if not header.isascii():
        raise WebhookRejected("The header Stripe-Signature is not ASCII.")
    parts = [part.partition("=") for part in header.split(",", _MOST_PARTS)[:_MOST_PARTS]]
    times = [value for name, _, value in parts if name == "t"]
    if len(times) != 1:
        raise WebhookRejected("The header Stripe-Signature has not one time.")
    signatures = [value.encode("ascii") for name, _, value in parts if name == "v1" and value]
    return _timestamp(times[0], now), signatures[:_MOST_SIGNATURES]


def _timestamp(text: str, now: datetime) -> int:
    # Whole numbers only, compared before they become anything else: no NaN, no infinity, no 400 digits.
    if not _TIMESTAMP.fullmatch(text):
        raise WebhookRejected("The time of the signature is not one in whole seconds.")
    age = (now - _EPOCH) // timedelta(seconds=1) - int(text)
    if age > OLDEST // timedelta(seconds=1):
        raise WebhookRejected("The webhook is too old.")
    if -age > NEWEST // timedelta(seconds=1):
        raise WebhookRejected("The webhook comes from the future.")
    return int(text)


def _signature(text: str, secret: str, timestamp: int) -> bytes:
    header: str = WebhookSignature.generate_signature_header(text, secret, timestamp)
    return header.partition(",v1=")[2].encode("ascii")


def decode(raw: bytes, *, live: bool) -> Event:
    """Return the event that bytes tell of: a snapshot of version 1 of the API, or a thin one of version 2.

    ``live`` is the mode of our key. Raises only WebhookRejected.
    """
    try:
        body = orjson.loads(raw)  # refuses bad UTF-8, NaN and nesting beyond 1,024 levels by itself
    except orjson.JSONDecodeError:
        raise WebhookRejected("The body is not JSON.") from None
    if not isinstance(body, dict) or str(body.get("object")) not in {SNAPSHOT, THIN}:
        raise WebhookRejected("The body is not an event of Stripe's.")
    event_id, event_type, livemode = body.get("id"), body.get("type"), body.get("livemode")
    if not _is_name(event_id) or not _is_name(event_type) or not isinstance(livemode, bool):
        raise WebhookRejected("The event has no id, no type or no mode.")
    return Event(
        event_id,
        event_type,
        body,
        raw,
        _created(body.get("created")),
        _account(body),
        _foreign(body, ours=livemode is live),
    )


def asked_for(event: Mapping[str, object]) -> bytes:
    """Return the bytes to keep of an event that was asked for, not sent to us.

    Endpoints are sent events in the version they were made with, ours; whoever asks is told all of them in the
    default version of the account, whatever that is. One of another version is marked: its ids mean the same.
    """
    marked = event.get("object") == SNAPSHOT and event.get("api_version") != API_VERSION
    return orjson.dumps({**event, _MARK: _ASKED_FOR} if marked else event)


def tells_ids_alone(event: Mapping[str, object]) -> bool:
    """Return whether an event was asked for and is of another version: only ids are to be read of it."""
    return event.get(_MARK) == _ASKED_FOR


def _is_name(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and 0 < len(value) <= _LONGEST_ID and value.isascii() and value.isprintable()


def _account(body: Mapping[str, object]) -> str | None:
    """Return the connected account: a snapshot names it, a thin event says in which context it has to be asked."""
    if body["object"] == THIN:
        # A context is a path from an organisation down, which ends with an account or not.
        last = str(body.get("context")).rpartition("/")[2]
        return last if _ACCOUNT.fullmatch(last) else None
    account = body.get("account")
    if account is not None and not (isinstance(account, str) and _ACCOUNT.fullmatch(account)):
        raise WebhookRejected("The event names an account that cannot be one.")
    return account


def _foreign(body: Mapping[str, object], *, ours: bool) -> Foreign | None:
    if not ours:
        return Foreign.MODE
    if body["object"] == SNAPSHOT and body.get("api_version") != API_VERSION and not tells_ids_alone(body):
        return Foreign.VERSION
    return None


def _created(value: object) -> datetime | None:
    """Return the moment an event says it is of: seconds of a snapshot, a text of a thin one."""
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
            return None if moment.tzinfo is None else moment.astimezone(UTC)
        return _EPOCH + timedelta(seconds=value) if type(value) is int and value >= 0 else None
    except (ValueError, OverflowError):
        return None
