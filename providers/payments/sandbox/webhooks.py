"""The sandbox's webhooks: signed and verified. Pure functions.

Signatures follow Standard Webhooks 1.0 (symmetric, HMAC-SHA256): the headers ``webhook-id``,
``webhook-timestamp`` (whole seconds) and ``webhook-signature``, and secrets that begin with ``whsec_``.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import orjson
from standardwebhooks import Webhook

from providers.payments.base import Event, WebhookRejected

OLDEST: Final = timedelta(minutes=5)
NEWEST: Final = timedelta(seconds=60)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PREFIX: Final = "whsec_"
_SECRET_BYTES: Final = range(24, 65)  # as Standard Webhooks asks
_MOST_SIGNATURES: Final = 16
_LONGEST_EVENT_ID: Final = 255
_TIMESTAMP: Final = re.compile(r"[1-9][0-9]{0,11}", re.ASCII)


def signing_keys(secrets: Sequence[str]) -> tuple[Webhook, ...]:
    """Return the keys of ``whsec_…`` secrets, in their order.

    Raises ValueError, which never repeats a secret, when there is none or one isn't 24 to 64 bytes in base64.
    """
    if isinstance(secrets, str) or not secrets:
        raise ValueError("The sandbox needs a list of at least one webhook secret.")
    return tuple(Webhook(_secret_bytes(secret)) for secret in secrets)


def _secret_bytes(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(_PREFIX) or len(key) not in _SECRET_BYTES:
        raise ValueError("A webhook secret is whsec_ and 24 to 64 bytes in base64.")
    return key


def sign(key: Webhook, event_id: str, body: str, now: datetime) -> dict[str, str]:
    """Return the headers that prove a body, sent now as UTF-8, to be ours."""
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(_seconds(now)),
        "webhook-signature": key.sign(event_id, _moment(_seconds(now)), body),
    }


def verify(keys: Sequence[Webhook], headers: Mapping[str, str], body: bytes, now: datetime) -> Event:
    """Return the event of a webhook that any of the keys signed, not long ago.

    A timestamp may be 5 minutes old and 60 seconds ahead of ``now``; of all signatures in the header the
    first 16 are looked at; the body is a JSON object whose ``id`` is the header's. Raises only
    WebhookRejected.
    """
    given = {name.lower(): value for name, value in headers.items()}
    event_id = _header(given, "webhook-id")
    signatures = _header(given, "webhook-signature").encode("ascii").split(b" ", _MOST_SIGNATURES)
    moment = _timestamp(_header(given, "webhook-timestamp"), now)
    if len(event_id) > _LONGEST_EVENT_ID:
        raise WebhookRejected("The webhook-id is too long.")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise WebhookRejected("The body is not UTF-8.") from None
    expected = [key.sign(event_id, moment, text).encode("ascii") for key in keys]
    # Every pair is compared, in constant time: how long it takes tells nothing.
    matches = [hmac.compare_digest(a, b) for a in expected for b in signatures[:_MOST_SIGNATURES]]
    if not any(matches):
        raise WebhookRejected("No signature is one of ours.")
    event = decode(body)
    if event.id != event_id:
        raise WebhookRejected("The body is not the event that the webhook-id names.")
    return event


def _header(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name, "")
    if not value:
        raise WebhookRejected(f"The header {name} is missing.")
    if not value.isascii():
        raise WebhookRejected(f"The header {name} is not ASCII.")
    return value


def _timestamp(text: str, now: datetime) -> datetime:
    # Whole numbers only, compared before they become a date: no NaN, no infinity, no year 30,000.
    if not _TIMESTAMP.fullmatch(text):
        raise WebhookRejected("The webhook-timestamp is not a time in whole seconds.")
    age = _seconds(now) - int(text)
    if age > OLDEST // timedelta(seconds=1):
        raise WebhookRejected("The webhook is too old.")
    if -age > NEWEST // timedelta(seconds=1):
        raise WebhookRejected("The webhook comes from the future.")
    return _moment(int(text))


def _seconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(seconds=1)


def _moment(seconds: int) -> datetime:
    return _EPOCH + timedelta(seconds=seconds)


def decode(raw: bytes) -> Event:
    """Return the event that stored bytes tell of. Raises only WebhookRejected."""
    try:
        body = orjson.loads(raw)  # refuses what is not UTF-8, NaN and nesting beyond 1,024 levels by itself
    except orjson.JSONDecodeError:
        raise WebhookRejected("The body is not JSON.") from None
    if not isinstance(body, dict) or not isinstance(body.get("type"), str):
        raise WebhookRejected("The body is not an event.")
    event_id = body.get("id")
    if not isinstance(event_id, str) or not event_id:
        raise WebhookRejected("The body is not an event.")
    if body.get("livemode") is not False:
        raise WebhookRejected("The sandbox has no live events.")
    return Event(event_id, body["type"], body, raw, _created(body.get("created")))


def _created(text: object) -> datetime | None:
    """Return the moment an event says it is of; the facts in it have their own, so that it may say none."""
    try:
        moment = datetime.fromisoformat(text)  # type: ignore[arg-type] # what is no text is a TypeError
        return None if moment.tzinfo is None else moment.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None
