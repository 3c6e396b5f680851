"""Shipping methods: ways of shipping within a zone, and what each costs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from core.clock import now
from core.errors import ErrorCode, Refused, not_found
from core.ids import uuid7
from core.money import Money
from core.viewer import Viewer
from models import ShippingMethod, ShippingRate
from models.database import Transaction
from services import shipping_zones
from services.engine import Engine
from services.requests import Request, once
from services.shipping_zones import tidy_name

MAXIMUM_DAYS: Final = 365
MAXIMUM_METHODS: Final = 50
MAXIMUM_RATES: Final = 100
MAXIMUM_WEIGHT_GRAMS: Final = 1_000_000_000

_NUMBER: Final = "select count(*) from shipping_methods where zone_id = $1 and state = 'active'"
_REMOVE_RATES: Final = "update shipping_rates set removed_at = $2 where method_id = $1 and removed_at is null"


@dataclass(frozen=True, slots=True)
class RateGiven:
    """What a method costs from a weight and a subtotal on, both in and up to what they say."""

    price: Money
    weight_grams_from: int = 0
    weight_grams_maximum: int | None = None
    subtotal_from: int = 0

    def as_body(self) -> list[Any]:
        """Return it as it is hashed with a request."""
        return [
            self.price.minor,
            self.price.currency.code,
            self.weight_grams_from,
            self.weight_grams_maximum,
            self.subtotal_from,
        ]


@dataclass(frozen=True, slots=True)
class CreateMethod:
    """Offer a way of shipping within a zone."""

    zone_id: UUID
    name: str
    days_minimum: int | None
    days_maximum: int | None
    rates: Sequence[RateGiven]
    key: str


@dataclass(frozen=True, slots=True)
class UpdateMethod:
    """Change what is given; ``None`` leaves as it is. ``rates`` take the place of all that there were.

    ``unknown_days`` takes the days away.
    """

    method_id: UUID
    name: str | None
    days_minimum: int | None
    days_maximum: int | None
    rates: Sequence[RateGiven] | None
    key: str
    unknown_days: bool = False


@dataclass(frozen=True, slots=True)
class ArchiveMethod:
    """Offer it no longer. What was shipped by it stays as it was."""

    method_id: UUID
    key: str


async def create_method(engine: Engine, viewer: Viewer, command: CreateMethod) -> tuple[UUID, bool]:
    """Add a way of shipping to a zone of the viewer's; return its id and whether this is a repeat.

    Errors: NOT_FOUND (zone), LIMIT_EXCEEDED, INPUT_INVALID (name, days, rates), IDEMPOTENCY_KEY_REUSED.
    """
    body = {
        "zone": command.zone_id,
        "name": command.name,
        "days": [command.days_minimum, command.days_maximum],
        "rates": [rate.as_body() for rate in command.rates],
    }
    request = Request.of(viewer, "shippingMethodCreate", command.key, body)
    name = tidy_name(command.name)
    _check_days(command.days_minimum, command.days_maximum)
    _check_rates(command.rates)
    method_id = uuid7()

    async def act(transaction: Transaction) -> dict[str, UUID]:
        zone = await shipping_zones.lock_own(transaction, viewer, command.zone_id)
        if await transaction.connection.fetchval(_NUMBER, zone.id) >= MAXIMUM_METHODS:
            # Every cart that is shipped there is shown all of them.
            raise Refused(
                ErrorCode.LIMIT_EXCEEDED,
                f"A zone has at most {MAXIMUM_METHODS} methods. Archive one that is not used.",
                path=("zoneId",),
            )
        at = now()
        await ShippingMethod.create(
            using_db=transaction.orm,
            id=method_id,
            zone_id=zone.id,
            name=name,
            days_minimum=command.days_minimum,
            days_maximum=command.days_maximum,
            state="active",
            created_at=at,
            updated_at=at,
        )
        await _add_rates(transaction, method_id, command.rates)
        return {"method": method_id}

    outcome = await once(engine, request, act)
    return outcome.ids["method"], outcome.replayed


async def update_method(engine: Engine, viewer: Viewer, command: UpdateMethod) -> tuple[UUID, bool]:
    """Change a way of shipping of the viewer's; return its id and whether this is a repeat.

    Errors: NOT_FOUND (also for an archived one), INPUT_INVALID (name, days, rates), IDEMPOTENCY_KEY_REUSED.
    """
    body = {
        "method": command.method_id,
        "name": command.name,
        "days": [command.days_minimum, command.days_maximum, command.unknown_days],
        "rates": [rate.as_body() for rate in command.rates] if command.rates is not None else None,
    }
    request = Request.of(viewer, "shippingMethodUpdate", command.key, body)
    name = tidy_name(command.name) if command.name is not None else None
    if command.unknown_days and (command.days_minimum is not None or command.days_maximum is not None):
        raise _invalid("Send either days or unknownDays.", "unknownDays")
    if command.rates is not None:
        _check_rates(command.rates)

    async def act(transaction: Transaction) -> dict[str, UUID]:
        method = await _lock_own(transaction, viewer, command.method_id)
        if name is not None:
            method.name = name
        if command.unknown_days:
            method.days_minimum = method.days_maximum = None
        if command.days_minimum is not None:
            method.days_minimum = command.days_minimum
        if command.days_maximum is not None:
            method.days_maximum = command.days_maximum
        _check_days(method.days_minimum, method.days_maximum)
        method.updated_at = now()
        await method.save(using_db=transaction.orm)
        if command.rates is not None:
            await transaction.connection.execute(_REMOVE_RATES, method.id, method.updated_at)
            await _add_rates(transaction, method.id, command.rates)
        return {"method": method.id}

    outcome = await once(engine, request, act)
    return outcome.ids["method"], outcome.replayed


async def archive_method(engine: Engine, viewer: Viewer, command: ArchiveMethod) -> tuple[UUID, bool]:
    """Offer a way of shipping no longer; return its id and whether this is a repeat.

    Errors: NOT_FOUND, IDEMPOTENCY_KEY_REUSED.
    """
    request = Request.of(viewer, "shippingMethodArchive", command.key, {"method": command.method_id})

    async def act(transaction: Transaction) -> dict[str, UUID]:
        method = await _lock_own(transaction, viewer, command.method_id, archived=True)
        method.state = "archived"
        method.updated_at = now()
        await method.save(using_db=transaction.orm)
        return {"method": method.id}

    outcome = await once(engine, request, act)
    return outcome.ids["method"], outcome.replayed


async def _lock_own(
    transaction: Transaction, viewer: Viewer, method_id: UUID, *, archived: bool = False
) -> ShippingMethod:
    method = await ShippingMethod.filter(id=method_id).using_db(transaction.orm).first()
    if method is not None:
        try:
            await shipping_zones.lock_own(transaction, viewer, method.zone_id, archived=True)
        except Refused:
            method = None
    if method is not None:
        method = await ShippingMethod.filter(id=method_id).using_db(transaction.orm).first()
    if method is None or (method.state != "active" and not archived):
        raise not_found("shipping method", "methodId")
    return method


async def _add_rates(transaction: Transaction, method_id: UUID, rates: Sequence[RateGiven]) -> None:
    await ShippingRate.bulk_create(
        [
            ShippingRate(
                id=uuid7(),
                method_id=method_id,
                currency=rate.price.currency.code,
                amount=rate.price.minor,
                weight_grams_from=rate.weight_grams_from,
                weight_grams_maximum=rate.weight_grams_maximum,
                subtotal_from=rate.subtotal_from,
            )
            for rate in rates
        ],
        using_db=transaction.orm,
    )


def _check_days(minimum: int | None, maximum: int | None) -> None:
    for days, field in ((minimum, "daysMinimum"), (maximum, "daysMaximum")):
        if days is not None and not 0 <= days <= MAXIMUM_DAYS:
            raise _invalid(f"Days are a number from 0 to {MAXIMUM_DAYS}.", field)
    if minimum is not None and maximum is not None and maximum < minimum:
        raise _invalid("The most days are no less than the fewest.", "daysMaximum")


def _check_rates(rates: Sequence[RateGiven]) -> None:
    if not 1 <= len(rates) <= MAXIMUM_RATES:
        raise _invalid(f"A method has 1 to {MAXIMUM_RATES} rates.", "rates")
    for number, rate in enumerate(rates):
        if not 0 <= rate.weight_grams_from <= MAXIMUM_WEIGHT_GRAMS:
            raise _invalid(
                f"A weight is a number of grams from 0 to {MAXIMUM_WEIGHT_GRAMS}.",
                *("rates", str(number), "weightGramsFrom"),
            )
        most = rate.weight_grams_maximum
        if most is not None and not rate.weight_grams_from <= most <= MAXIMUM_WEIGHT_GRAMS:
            raise _invalid(
                "The largest weight is no less than the smallest.", "rates", str(number), "weightGramsMaximum"
            )
    bounds = [(rate.price.currency.code, rate.weight_grams_from, rate.subtotal_from) for rate in rates]
    if len(set(bounds)) < len(bounds):
        raise _invalid("Two rates of a currency begin at the same weight and subtotal.", "rates")


def _invalid(message: str, *path: str) -> Refused:
    return Refused(ErrorCode.INPUT_INVALID, message, path=path)
