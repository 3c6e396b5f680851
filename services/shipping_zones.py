"""Shipping zones: where a creator ships to. No country is in two zones of a creator."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from core.clock import now
from core.errors import ErrorCode, Refused, not_found
from core.ids import uuid7
from core.viewer import Viewer
from models import ShippingZone
from models.database import Transaction
from services import creators
from services.addresses import COUNTRIES
from services.engine import Engine
from services.requests import Request, once

MAXIMUM_NAME_LENGTH: Final = 120

_TAKEN_COUNTRIES: Final = """
    select countries from shipping_zones where creator_id = $1 and state = 'active' and id <> $2
        and (countries && $3::text[] or countries = '{}' and $3::text[] = '{}')
"""


@dataclass(frozen=True, slots=True)
class CreateZone:
    """Ship to countries, or, with none, to everywhere no other zone names."""

    creator_id: UUID
    name: str
    countries: Sequence[str]
    key: str


@dataclass(frozen=True, slots=True)
class UpdateZone:
    """Change what is given; ``None`` leaves as it is."""

    zone_id: UUID
    name: str | None
    countries: Sequence[str] | None
    key: str


@dataclass(frozen=True, slots=True)
class ArchiveZone:
    """Ship there no longer. What was shipped stays as it was."""

    zone_id: UUID
    key: str


async def create_zone(engine: Engine, viewer: Viewer, command: CreateZone) -> tuple[UUID, bool]:
    """Add a zone of a creator of the viewer's; return its id and whether this is a repeat.

    Errors: NOT_FOUND (creator), INPUT_INVALID (name; a country that is none, or is in another zone),
    IDEMPOTENCY_KEY_REUSED.
    """
    body = {"creator": command.creator_id, "name": command.name, "countries": list(command.countries)}
    request = Request.of(viewer, "shippingZoneCreate", command.key, body)
    name, countries = tidy_name(command.name), _countries(command.countries)
    zone_id = uuid7()

    async def act(transaction: Transaction) -> dict[str, UUID]:
        # The creator's lock keeps two zones from taking the same country at once.
        await creators.lock_own(transaction, viewer, command.creator_id)
        await _ensure_free(transaction, command.creator_id, zone_id, countries)
        at = now()
        await ShippingZone.create(
            using_db=transaction.orm,
            id=zone_id,
            creator_id=command.creator_id,
            name=name,
            countries=countries,
            state="active",
            created_at=at,
            updated_at=at,
        )
        return {"zone": zone_id}

    outcome = await once(engine, request, act)
    return outcome.ids["zone"], outcome.replayed


async def update_zone(engine: Engine, viewer: Viewer, command: UpdateZone) -> tuple[UUID, bool]:
    """Change a zone of the viewer's; return its id and whether this is a repeat.

    Errors: NOT_FOUND (also for an archived one), INPUT_INVALID as ``create_zone``, IDEMPOTENCY_KEY_REUSED.
    """
    given = list(command.countries) if command.countries is not None else None
    body = {"zone": command.zone_id, "name": command.name, "countries": given}
    request = Request.of(viewer, "shippingZoneUpdate", command.key, body)
    name = tidy_name(command.name) if command.name is not None else None
    countries = _countries(command.countries) if command.countries is not None else None

    async def act(transaction: Transaction) -> dict[str, UUID]:
        zone = await lock_own(transaction, viewer, command.zone_id)
        if name is not None:
            zone.name = name
        if countries is not None:
            await _ensure_free(transaction, zone.creator_id, zone.id, countries)
            zone.countries = countries
        zone.updated_at = now()
        await zone.save(using_db=transaction.orm)
        return {"zone": zone.id}

    outcome = await once(engine, request, act)
    return outcome.ids["zone"], outcome.replayed


async def archive_zone(engine: Engine, viewer: Viewer, command: ArchiveZone) -> tuple[UUID, bool]:
    """Ship no longer to a zone of the viewer's; return its id and whether this is a repeat.

    Errors: NOT_FOUND, IDEMPOTENCY_KEY_REUSED.
    """
    request = Request.of(viewer, "shippingZoneArchive", command.key, {"zone": command.zone_id})

    async def act(transaction: Transaction) -> dict[str, UUID]:
        zone = await lock_own(transaction, viewer, command.zone_id, archived=True)
        zone.state = "archived"
        zone.updated_at = now()
        await zone.save(using_db=transaction.orm)
        return {"zone": zone.id}

    outcome = await once(engine, request, act)
    return outcome.ids["zone"], outcome.replayed


async def lock_own(
    transaction: Transaction, viewer: Viewer, zone_id: UUID, *, archived: bool = False
) -> ShippingZone:
    """Lock a zone of the viewer's, by its creator's lock. Errors: NOT_FOUND, also for one that is archived."""
    zone = await ShippingZone.filter(id=zone_id).using_db(transaction.orm).first()
    if zone is not None:
        try:
            await creators.lock_own(transaction, viewer, zone.creator_id)
        except Refused:
            zone = None
    if zone is not None:
        # Read again, as it is now that nobody else changes it.
        zone = await ShippingZone.filter(id=zone_id).using_db(transaction.orm).first()
    if zone is None or (zone.state != "active" and not archived):
        raise not_found("shipping zone", "zoneId")
    return zone


async def _ensure_free(
    transaction: Transaction, creator_id: UUID, zone_id: UUID, countries: Sequence[str]
) -> None:
    rows = await transaction.connection.fetch(_TAKEN_COUNTRIES, creator_id, zone_id, countries)
    if not rows:
        return
    if not countries:
        raise _invalid("There is a zone without countries already: the rest of the world.", "countries")
    taken = sorted({country for row in rows for country in row["countries"]} & set(countries))
    raise _invalid(f"In another zone already: {', '.join(taken)}. Take them out there first.", "countries")


def tidy_name(name: str) -> str:
    """Return the name of a zone or a method without spaces around it. Errors: INPUT_INVALID."""
    tidy = name.strip()
    if not 1 <= len(tidy) <= MAXIMUM_NAME_LENGTH:
        raise _invalid(f"A name has 1 to {MAXIMUM_NAME_LENGTH} characters.", "name")
    return tidy


def _countries(countries: Sequence[str]) -> list[str]:
    tidy = sorted({country.strip().upper() for country in countries})
    unknown = [country for country in tidy if country not in COUNTRIES]
    if unknown:
        raise _invalid("Send countries by their two letters (ISO 3166-1), such as DE.", "countries")
    return tidy


def _invalid(message: str, *path: str) -> Refused:
    return Refused(ErrorCode.INPUT_INVALID, message, path=path)
