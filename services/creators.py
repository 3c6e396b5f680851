"""Creators: who can be paid."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from tortoise.exceptions import IntegrityError

from core.clock import now
from core.errors import ErrorCode, Refused, not_found
from core.ids import uuid7
from core.viewer import Viewer
from models import Creator
from models.database import Transaction
from services.engine import Engine
from services.paging import Page, PageQuery, fetch_page
from services.requests import Request, once

_READ: Final = "select * from creators where id = any($1::uuid[])"
_READ_BY_HANDLE: Final = "select * from creators where handle = $1"
_READ_BY_USER: Final = "select * from creators where user_id = any($1::uuid[])"
_LIST: Final = "select * from creators where state = 'active'"
_HANDLE: Final = re.compile(r"[a-z0-9][a-z0-9_]{1,28}[a-z0-9]")
_MAXIMUM_NAME_LENGTH: Final = 80
_MAXIMUM_BIO_LENGTH: Final = 2_000


@dataclass(frozen=True, slots=True)
class CreateCreator:
    """Become a creator under a handle."""

    handle: str
    display_name: str
    bio: str | None
    key: str


@dataclass(frozen=True, slots=True)
class UpdateCreator:
    """Change what is given; ``None`` leaves as it is. An inactive creator takes no new payments."""

    creator_id: UUID
    display_name: str | None
    bio: str | None
    active: bool | None
    key: str


async def create(engine: Engine, viewer: Viewer, command: CreateCreator) -> tuple[UUID, bool]:
    """Make the signed-in user a creator; return the creator's id and whether this is a repeat.

    Errors: INPUT_INVALID (handle, display name, bio), CREATOR_EXISTS, HANDLE_TAKEN, IDEMPOTENCY_KEY_REUSED.
    """
    body = {"handle": command.handle, "name": command.display_name, "bio": command.bio}
    request = Request.of(viewer, "creatorCreate", command.key, body)
    if not _HANDLE.fullmatch(command.handle):
        raise Refused(
            ErrorCode.INPUT_INVALID,
            "A handle has 3 to 30 small letters, digits and underscores, and neither begins nor ends with one.",
            path=("handle",),
        )
    _check_texts(command.display_name, command.bio)
    creator_id = uuid7()

    async def act(transaction: Transaction) -> dict[str, UUID]:
        at = now()
        try:
            await Creator.create(
                using_db=transaction.orm,
                id=creator_id,
                user_id=viewer.user_id,
                handle=command.handle,
                display_name=command.display_name,
                bio=command.bio,
                plan="standard",
                state="active",
                created_at=at,
                updated_at=at,
            )
        except IntegrityError as error:
            raise _taken(error) from error
        return {"creator": creator_id}

    outcome = await once(engine, request, act)
    return outcome.ids["creator"], outcome.replayed


async def update(engine: Engine, viewer: Viewer, command: UpdateCreator) -> tuple[UUID, bool]:
    """Change a creator of the viewer's; return its id and whether this is a repeat.

    Errors: NOT_FOUND, INPUT_INVALID, IDEMPOTENCY_KEY_REUSED.
    """
    body = {
        "creator": command.creator_id,
        "name": command.display_name,
        "bio": command.bio,
        "active": command.active,
    }
    request = Request.of(viewer, "creatorUpdate", command.key, body)
    _check_texts(command.display_name, command.bio)

    async def act(transaction: Transaction) -> dict[str, UUID]:
        creator = await lock_own(transaction, viewer, command.creator_id)
        if command.display_name is not None:
            creator.display_name = command.display_name
        if command.bio is not None:
            creator.bio = command.bio
        if command.active is not None:
            creator.state = "active" if command.active else "inactive"
        creator.updated_at = now()
        await creator.save(using_db=transaction.orm)
        return {"creator": command.creator_id}

    outcome = await once(engine, request, act)
    return outcome.ids["creator"], outcome.replayed


async def lock_own(transaction: Transaction, viewer: Viewer, creator_id: UUID) -> Creator:
    """Lock a creator of the viewer's. Errors: NOT_FOUND, also for somebody else's."""
    creator = (
        await Creator.filter(id=creator_id, user_id=viewer.user_id)
        .using_db(transaction.orm)
        .select_for_update(no_key=True)
        .first()
    )
    if creator is None:
        raise not_found("creator", "creatorId")
    return creator


async def by_id(engine: Engine, ids: Sequence[UUID]) -> list[Any]:
    """Read creators."""
    return await engine.database.reader.fetch(_READ, ids)


async def by_user(engine: Engine, user_ids: Sequence[UUID]) -> list[Any]:
    """Read the creators that users are."""
    return await engine.database.reader.fetch(_READ_BY_USER, user_ids)


async def by_handle(engine: Engine, handle: str) -> Any:
    """Read the creator with a handle, or None."""
    return await engine.database.reader.fetchrow(_READ_BY_HANDLE, handle.lower())


async def listed(engine: Engine, query: PageQuery) -> Page:
    """Page through the active creators."""
    return await fetch_page(engine.database.reader, "creators", _LIST, (), query)


def creator_not_active() -> Refused:
    """Return the refusal of a payment to a creator who takes none."""
    return Refused(ErrorCode.CREATOR_NOT_ACTIVE, "This creator takes no payments at present.", path=("creatorId",))


def _check_texts(display_name: str | None, bio: str | None) -> None:
    if display_name is not None and not 1 <= len(display_name.strip()) <= _MAXIMUM_NAME_LENGTH:
        raise Refused(
            ErrorCode.INPUT_INVALID,
            f"A display name has 1 to {_MAXIMUM_NAME_LENGTH} characters.",
            path=("displayName",),
        )
    if bio is not None and len(bio) > _MAXIMUM_BIO_LENGTH:
        raise Refused(
            ErrorCode.INPUT_INVALID, f"A bio has at most {_MAXIMUM_BIO_LENGTH} characters.", path=("bio",)
        )


def _taken(error: IntegrityError) -> Refused:
    if "one_creator_per_user" in str(error):
        return Refused(ErrorCode.CREATOR_EXISTS, "You are a creator already. Update that one.")
    return Refused(ErrorCode.HANDLE_TAKEN, "This handle is taken. Choose another.", path=("handle",))
