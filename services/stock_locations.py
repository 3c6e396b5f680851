"""Stock locations: the places a creator keeps stock at, in the order things are taken from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from tortoise.exceptions import IntegrityError

from core.clock import now
from core.errors import ErrorCode, Refused, not_found
from core.ids import uuid7
from core.viewer import Viewer
from models import StockLocation
from models.database import Connection, Transaction
from services import creators
from services.engine import Engine
from services.paging import Page, PageQuery, fetch_page
from services.requests import Request, once

MAXIMUM_LOCATIONS: Final = 100
_MAXIMUM_NAME_LENGTH: Final = 80
_MAXIMUM_POSITION: Final = 10_000

_READ: Final = """
    select l.*, c.user_id as creator_user_id
    from stock_locations l join creators c on c.id = l.creator_id where l.id = any($1::uuid[])
"""
_OF_CREATOR: Final = """
    select l.*, c.user_id as creator_user_id
    from stock_locations l join creators c on c.id = l.creator_id
    where l.creator_id = $1
"""
_NUMBER_AND_LAST: Final = """
    select count(*) filter (where state = 'active') as number, coalesce(max(position), -1) as last
    from stock_locations where creator_id = $1
"""
_FIRST: Final = """
    select id from stock_locations where creator_id = $1 and state = 'active' order by position, id limit 1
"""
# The name may be one that an archived location has: then it is numbered.
_MAKE_FIRST: Final = """
    insert into stock_locations (id, creator_id, name, position, state, created_at, updated_at)
    select $2, $1, free.name, (select coalesce(max(position), -1) + 1 from stock_locations where creator_id = $1),
        'active', $3, $3
    from (
        select n, case n when 1 then 'Main' else 'Main ' || n end as name
        from generate_series(1, (select count(*)::int + 1 from stock_locations where creator_id = $1)) n
    ) free
    where not exists (select from stock_locations l where l.creator_id = $1 and l.name = free.name)
    order by free.n limit 1
    on conflict (creator_id, name) do nothing
"""
_ATTEMPTS: Final = 3


@dataclass(frozen=True, slots=True)
class CreateLocation:
    """A new place to keep stock at. Without a position it comes last."""

    creator_id: UUID
    name: str
    position: int | None
    key: str


@dataclass(frozen=True, slots=True)
class UpdateLocation:
    """Change what is given; ``None`` leaves as it is."""

    location_id: UUID
    name: str | None
    position: int | None
    key: str


@dataclass(frozen=True, slots=True)
class ArchiveLocation:
    """Sell nothing from a location any more. What is reserved there stays reserved, and can be sent."""

    location_id: UUID
    key: str


async def create(engine: Engine, viewer: Viewer, command: CreateLocation) -> tuple[UUID, bool]:
    """Make a location; return its id and whether this is a repeat.

    Errors: NOT_FOUND (creator), INPUT_INVALID, NAME_TAKEN, LIMIT_EXCEEDED, IDEMPOTENCY_KEY_REUSED.
    """
    body = {"creator": command.creator_id, "name": command.name, "position": command.position}
    request = Request.of(viewer, "stockLocationCreate", command.key, body)
    _check(command.name, command.position)
    location_id = uuid7()

    async def act(transaction: Transaction) -> dict[str, UUID]:
        await creators.lock_own(transaction, viewer, command.creator_id)
        row = await transaction.connection.fetchrow(_NUMBER_AND_LAST, command.creator_id)
        if row is None or row["number"] >= MAXIMUM_LOCATIONS:
            raise Refused(
                ErrorCode.LIMIT_EXCEEDED,
                f"A creator has at most {MAXIMUM_LOCATIONS} stock locations. Archive one that is not used.",
            )
        at = now()
        position = min(row["last"] + 1, _MAXIMUM_POSITION) if command.position is None else command.position
        try:
            await StockLocation.create(
                using_db=transaction.orm,
                id=location_id,
                creator_id=command.creator_id,
                name=command.name.strip(),
                position=position,
                state="active",
                created_at=at,
                updated_at=at,
            )
        except IntegrityError as error:
            raise _taken() from error
        return {"location": location_id}

    outcome = await once(engine, request, act)
    return outcome.ids["location"], outcome.replayed


async def update(engine: Engine, viewer: Viewer, command: UpdateLocation) -> tuple[UUID, bool]:
    """Rename a location of the viewer's, or put it elsewhere in the order; return its id, and if it is a repeat.

    Errors: NOT_FOUND, INPUT_INVALID, NAME_TAKEN, IDEMPOTENCY_KEY_REUSED.
    """
    body = {"location": command.location_id, "name": command.name, "position": command.position}
    request = Request.of(viewer, "stockLocationUpdate", command.key, body)
    _check(command.name, command.position)

    async def act(transaction: Transaction) -> dict[str, UUID]:
        location = await _lock_own(transaction, viewer, command.location_id)
        if command.name is not None:
            location.name = command.name.strip()
        if command.position is not None:
            location.position = command.position
        location.updated_at = now()
        try:
            await location.save(using_db=transaction.orm)
        except IntegrityError as error:
            raise _taken() from error
        return {"location": command.location_id}

    outcome = await once(engine, request, act)
    return outcome.ids["location"], outcome.replayed


async def archive(engine: Engine, viewer: Viewer, command: ArchiveLocation) -> tuple[UUID, bool]:
    """Archive a location of the viewer's; return its id and whether this is a repeat.

    Errors: NOT_FOUND, IDEMPOTENCY_KEY_REUSED.
    """
    request = Request.of(viewer, "stockLocationArchive", command.key, {"location": command.location_id})

    async def act(transaction: Transaction) -> dict[str, UUID]:
        location = await _lock_own(transaction, viewer, command.location_id)
        location.state = "archived"
        location.updated_at = now()
        await location.save(using_db=transaction.orm)
        return {"location": command.location_id}

    outcome = await once(engine, request, act)
    return outcome.ids["location"], outcome.replayed


async def main_location(creator_id: UUID, *, on: Connection, at: datetime) -> UUID:
    """Return a creator's first location; one is made where there is none."""
    for _ in range(_ATTEMPTS):
        found: UUID | None = await on.fetchval(_FIRST, creator_id)
        if found is not None:
            return found
        await on.execute(_MAKE_FIRST, creator_id, uuid7(), at)
    raise RuntimeError("A stock location was made again and again, and is not there.")


async def by_id(engine: Engine, ids: Sequence[UUID]) -> list[Any]:
    """Read locations with their creator's user. Says nothing about who may see them."""
    return await engine.database.reader.fetch(_READ, ids)


async def of_creator(engine: Engine, creator_id: UUID, query: PageQuery) -> Page:
    """Page through a creator's locations, archived ones included."""
    return await fetch_page(engine.database.reader, "stock locations", _OF_CREATOR, (creator_id,), query)


async def _lock_own(transaction: Transaction, viewer: Viewer, location_id: UUID) -> StockLocation:
    location = (
        await StockLocation.filter(id=location_id, creator__user_id=viewer.user_id)
        .using_db(transaction.orm)
        .select_for_update(no_key=True, of=("stock_locations",))
        .first()
    )
    if location is None:
        raise not_found("stock location", "locationId")
    return location


def _check(name: str | None, position: int | None) -> None:
    if name is not None and not 1 <= len(name.strip()) <= _MAXIMUM_NAME_LENGTH:
        raise Refused(
            ErrorCode.INPUT_INVALID, f"A name has 1 to {_MAXIMUM_NAME_LENGTH} characters.", path=("name",)
        )
    if position is not None and not 0 <= position <= _MAXIMUM_POSITION:
        raise Refused(
            ErrorCode.INPUT_INVALID, f"A position is a number from 0 to {_MAXIMUM_POSITION}.", path=("position",)
        )


def _taken() -> Refused:
    return Refused(
        ErrorCode.NAME_TAKEN,
        "Another location has this name, perhaps an archived one. Choose another.",
        path=("name",),
    )
