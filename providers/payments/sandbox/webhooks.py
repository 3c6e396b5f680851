"""The sandbox's webhooks: signed, verified and translated. Pure functions.

Signatures follow Standard Webhooks 1.0 (symmetric, HMAC-SHA256): the headers ``webhook-id``,
``webhook-timestamp`` (whole seconds) and ``webhook-signature``, and secrets that begin with ``whsec_``.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import orjson
from standardwebhooks import Webhook

from providers.payments.base import (
    ChargeFact,
    Event,
    Fact,
    PaymentFact,
    ProviderErrorCode,
    ProviderState,
    WebhookRejected,
)

OLDEST: Final = timedelta(minutes=5)
NEWEST: Final = timedelta(seconds=60)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PREFIX: Final = "whsec_"
_SECRET_BYTES: Final = range(24, 65)  # as Standard Webhooks asks
_MOST_SIGNATURES: Final = 16
_LONGEST_EVENT_ID: Final = 255
_TIMESTAMP: Final = re.compile(r"[1-9][0-9]{0,11}", re.ASCII)
_LARGEST_AMOUNT: Final = 2**63 - 1


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
    return _decode(event_id, text)


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


def _decode(event_id: str, text: str) -> Event:
    try:
        body = orjson.loads(text)  # refuses NaN and nesting beyond 1,024 levels by itself
    except orjson.JSONDecodeError:
        raise WebhookRejected("The body is not JSON.") from None
    if not isinstance(body, dict) or not isinstance(body.get("type"), str):
        raise WebhookRejected("The body is not an event.")
    if body.get("id") != event_id:
        raise WebhookRejected("The body is not the event that the webhook-id names.")
    if body.get("livemode") is not False:
        raise WebhookRejected("The sandbox has no live events.")
    return Event(event_id, body["type"], body)


# Translation ----------------------------------------------------------------------------------------------


def translate(event: Event) -> tuple[Fact, ...]:
    """Return the facts an event states; an event of a type nobody knows here states none.

    Raises WebhookRejected, and nothing else, for an event of a known type whose object is malformed: it was
    signed, so it is worth keeping aside and looking at, and no retry makes it readable.
    """
    read = _READERS.get(event.type)
    if read is None:
        return ()
    try:
        data = event.body["data"]
        return (read(data["object"]),)  # type: ignore[index] # what isn't a mapping is a TypeError, caught below
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise WebhookRejected(f"Malformed object in an event of type {event.type}.") from error


def _payment_fact(source: Mapping[str, object]) -> PaymentFact:
    amount, captured = _amount(source, "amount"), _amount(source, "captured")
    state = ProviderState(_text(source, "state"))
    if captured > amount:
        raise ValueError("captured")
    return PaymentFact(
        reference=UUID(_text(source, "reference")),
        provider_reference=_text(source, "id"),
        state=state,
        at=_time(source, "at"),
        amount=amount,
        currency=_text(source, "currency"),
        captured=captured,
        decline_code=_decline_code(source),
        action_url=_text(source, "action_url") if source["action_url"] is not None else None,
    )


def _charge_fact(source: Mapping[str, object]) -> ChargeFact:
    gross, fee = _amount(source, "gross"), _amount(source, "fee")
    if fee > gross:
        raise ValueError("fee")
    return ChargeFact(
        reference=UUID(_text(source, "reference")),
        balance_transaction=_text(source, "balance_transaction"),
        at=_time(source, "at"),
        gross=gross,
        fee=fee,
        currency=_text(source, "currency"),
        available_on=_time(source, "available_on"),
    )


def _text(source: Mapping[str, object], name: str) -> str:
    value = source[name]
    if not isinstance(value, str) or not value:
        raise TypeError(name)
    return value


def _amount(source: Mapping[str, object], name: str) -> int:
    value = source[name]
    if type(value) is not int or not 0 <= value <= _LARGEST_AMOUNT:
        raise TypeError(name)
    return value


def _time(source: Mapping[str, object], name: str) -> datetime:
    value = datetime.fromisoformat(_text(source, name))
    if value.tzinfo is None:
        raise ValueError(name)
    return value.astimezone(UTC)


def _decline_code(source: Mapping[str, object]) -> str | None:
    value = source["decline_code"]
    return None if value is None else ProviderErrorCode(_text(source, "decline_code")).value


_READERS: Final[Mapping[str, Callable[[Mapping[str, object]], Fact]]] = {
    "payment.processing": _payment_fact,
    "payment.requires_action": _payment_fact,
    "payment.failed": _payment_fact,
    "payment.succeeded": _payment_fact,
    "payment.canceled": _payment_fact,
    "charge.updated": _charge_fact,
}
