"""The one door to Stripe: every request goes through here, with our key, under one time limit.

A client belongs to the event loop that it first asked in: its connections live there.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final

import httpx
import stripe

from core import clock
from providers.payments.base import PaymentFact, ProviderAction, ProviderError, ProviderErrorCode
from providers.payments.stripe.errors import KEY_IN_USE, provider_error, told_by, unknown_outcome
from providers.payments.stripe.objects import fields
from providers.payments.stripe.objects.fields import MALFORMED, Source
from providers.payments.stripe.objects.payments import payment_fact

API_VERSION: Final = "2026-10-28.endive"
"""The version of Stripe's API that is spoken here, and that its webhooks have to be sent in."""

_LONGEST_CONNECT: Final = timedelta(seconds=5)
_FIRST_PAUSE_SECONDS: Final = 0.1
_MOST_KEYS: Final = 20
# Refusals that time may have cured: kept with their key by Stripe, and answered again for a day.
CURED_BY_TIME: Final = frozenset((ProviderErrorCode.BALANCE_INSUFFICIENT, ProviderErrorCode.ACCOUNT_NOT_READY))

_Call = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What Stripe answered: the object as plain JSON, and when it was so.

    ``replayed``: it is an earlier answer again, so that ``at`` is the latest moment the object itself tells of.
    """

    body: dict[str, Any]
    at: datetime
    replayed: bool


@dataclass(frozen=True, slots=True)
class _Refusal:
    error: ProviderError
    replayed: bool


class Client:
    """Stripe, for one key. ``timeout`` is for each thing asked, whatever it takes; ``api_url`` for a stand-in."""

    def __init__(self, api_key: str, *, timeout: timedelta, api_url: str | None = None) -> None:
        # The SDK's telemetry makes a file in the home folder; what it logs holds parameters and whole answers.
        stripe.enable_telemetry = False
        logging.getLogger("stripe").setLevel(logging.WARNING)
        seconds = timeout.total_seconds()
        connect_seconds = min(_LONGEST_CONNECT, timeout / 2).total_seconds()
        self._seconds = seconds
        self._http = stripe.HTTPXClient(timeout=httpx.Timeout(seconds, connect=connect_seconds))
        base = None if api_url is None else api_url.rstrip("/")
        self.stripe = stripe.StripeClient(
            api_key,
            stripe_version=API_VERSION,
            base_addresses={}
            if base is None
            else {"api": base, "connect": base, "files": base, "meter_events": base},
            max_network_retries=0,
            http_client=self._http,
        )
        self._loop: asyncio.AbstractEventLoop | None = None

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close_async()  # type: ignore[no-untyped-call] # the SDK gives it no types

    async def ask(
        self,
        call: _Call,
        *ids: str,
        params: Mapping[str, Any] | None = None,
        key: str | None = None,
        account: str | None = None,
        cured: frozenset[ProviderErrorCode] = CURED_BY_TIME,
    ) -> Answer:
        """Ask Stripe by one of the SDK's async methods; ``ids`` stand in the address.

        ``key`` is the idempotency key of what changes something; without one it is a read, and never ambiguous.
        ``account`` is the connected account to ask on behalf of. While another request with the same key runs, it
        is asked again: the key makes them one. A refusal that Stripe kept from an earlier time, and that time may
        have cured, is asked again under the next key of a series (``…:2``, ``…:3``): it made nothing then, and
        whoever asks for the same thing again comes to the same next key.

        Raises ProviderError, and nothing else; a refusal over a payment tells its fact.
        """
        self._belong()
        outcome: Answer | _Refusal | None = None
        try:
            async with asyncio.timeout(self._seconds):
                outcome = await self._asked(call, ids, params, key, account, cured)
        except TimeoutError:
            pass
        if outcome is None:
            raise unknown_outcome("timeout", writes=key is not None)
        # Raised where no exception of the SDK's is being handled: those hold sentences and parameters.
        if isinstance(outcome, _Refusal):
            raise outcome.error
        return outcome

    def _belong(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        if self._loop is not loop:
            raise ProviderError(
                ProviderErrorCode.MISCONFIGURED, ProviderAction.FIX_CONFIG, provider_code="another_event_loop"
            )

    async def _asked(
        self,
        call: _Call,
        ids: tuple[str, ...],
        params: Mapping[str, Any] | None,
        key: str | None,
        account: str | None,
        cured: frozenset[ProviderErrorCode],
    ) -> Answer | _Refusal:
        turn, pause = 1, _FIRST_PAUSE_SECONDS
        while True:
            turn_key = key if key is None or turn == 1 else f"{key}:{turn}"
            outcome = await self._once(call, ids, params, turn_key, account)
            if isinstance(outcome, Answer):
                return outcome
            if outcome.error.provider_code == KEY_IN_USE:
                await asyncio.sleep(pause)
                pause *= 2
            elif key is not None and outcome.replayed and outcome.error.code in cured and turn < _MOST_KEYS:
                turn += 1
            else:
                return outcome

    async def _once(
        self,
        call: _Call,
        ids: tuple[str, ...],
        params: Mapping[str, Any] | None,
        key: str | None,
        account: str | None,
    ) -> Answer | _Refusal:
        options = {"idempotency_key": key, "stripe_account": account}
        writes = key is not None
        try:
            result = await call(*ids, params=dict(params or {}), options=options)
            return _answer(result.last_response)
        except stripe.StripeError as error:
            return _refusal(error, writes=writes, account=account)
        except Exception as error:  # ruff: ignore[blind-except] - sent or not, whatever the SDK met: nobody knows
            return _Refusal(unknown_outcome(type(error).__name__, writes=writes), replayed=False)


def _answer(response: Any) -> Answer:
    body = response.data
    if not isinstance(body, dict):
        raise TypeError("body")
    replayed = _is_replayed(response.headers)
    return Answer(body, _latest(body, response.headers) if replayed else _date(response.headers), replayed)


def _refusal(error: stripe.StripeError, *, writes: bool, account: str | None) -> _Refusal:
    headers: Mapping[str, str] = error.headers or {}
    replayed = _is_replayed(headers)
    refusal = provider_error(error, writes=writes, account=account)
    refusal.fact = _fact_in(told_by(error), headers, replayed=replayed)
    return _Refusal(refusal, replayed)


def _fact_in(told: Source, headers: Mapping[str, str], *, replayed: bool) -> PaymentFact | None:
    intent = fields.inner_or_none(told, "payment_intent")
    if intent is None:
        return None
    try:
        return payment_fact(intent, _latest(intent, headers) if replayed else _date(headers))
    except MALFORMED:
        return None


def _is_replayed(headers: Mapping[str, str]) -> bool:
    return str(headers.get("idempotent-replayed", "")).lower() == "true"


def _date(headers: Mapping[str, str]) -> datetime:
    try:
        moment = parsedate_to_datetime(headers["date"])
    except MALFORMED:
        return clock.wall()
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _latest(source: Source, headers: Mapping[str, str]) -> datetime:
    """Return the latest moment an object tells of itself; without any, that of the answer."""
    charge = fields.inner_or_none(source, "latest_charge") or {}
    moments = []
    for holder, name in ((source, "created"), (source, "canceled_at"), (charge, "created")):
        try:
            moment = fields.time_or_none(holder, name)
        except MALFORMED:
            continue
        if moment is not None:
            moments.append(moment)
    return max(moments, default=None) or _date(headers)
