"""Collections: creators' choices of their products, in an order of their own."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import asyncpg

from core.clock import now
from core.errors import ErrorCode, Refused, not_found
from core.ids import uuid7
from core.viewer import Viewer
from models.database import Connection, Transaction
from services import creators, product_limits
from services.engine import Engine
from services.paging import Page, PageQuery, fetch_page
from services.product_limits import invalid
from services.requests import Request, once

_SLUG: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,58}[a-z0-9])?")
_MAXIMUM_PRODUCTS: Final = 500
_READ: Final = """
    select l.*, c.user_id as creator_user_id, c.state as creator_state
    from collections l join creators c on c.id = l.creator_id where l.id = any($1::uuid[])
"""
_LIST: Final = """
    select l.* from collections l join creators c on c.id = l.creator_id
    where l.state = 'active' and c.state = 'active'
"""
_OF_PRODUCTS: Final = """
    select m.product_id, l.*
    from collection_products m join collections l on l.id = m.collection_id
    where m.product_id = any($1::uuid[]) and m.removed_at is null and l.state = 'active'
    order by l.id
"""
_INSERT: Final = """
    insert into collections (id, creator_id, title, slug, description, state, created_at, updated_at)
    values ($1, $2, $3, $4, $5, 'active', $6, $6)
"""
_LOCK: Final = """
    select * from collections
    where id = $1 and creator_id in (select id from creators where user_id = $2) for no key update
"""
_UPDATE: Final = """
    update collections set title = coalesce($2, title), slug = coalesce($3, slug),
        description = coalesce($4, description), updated_at = $5
    where id = $1
"""
_ARCHIVE: Final = "update collections set state = 'archived', updated_at = $2 where id = $1"
_OWN_PRODUCTS: Final = "select id from products where id = any($1::uuid[]) and creator_id = $2"
_SET_PRODUCTS: Final = """
    with removed as (
        update collection_products set removed_at = $4
        where collection_id = $1 and removed_at is null and product_id <> all($3::uuid[])
    )
    insert into collection_products (id, collection_id, product_id, position)
    select g.id, $1, g.product_id, g.place - 1
    from unnest($2::uuid[], $3::uuid[]) with ordinality g (id, product_id, place)
    on conflict on constraint product_once_per_collection
        do update set position = excluded.position, removed_at = null
"""


@dataclass(frozen=True, slots=True)
class CreateCollection:
    """Make a collection under a slug of its creator's."""

    creator_id: UUID
    title: str
    slug: str
    description: str | None
    key: str


@dataclass(frozen=True, slots=True)
class UpdateCollection:
    """Change what is given; ``None`` leaves as it is."""

    collection_id: UUID
    title: str | None
    slug: str | None
    description: str | None
    key: str


@dataclass(frozen=True, slots=True)
class ArchiveCollection:
    """Hide a collection for good."""

    collection_id: UUID
    key: str


@dataclass(frozen=True, slots=True)
class SetProducts:
    """Make these the products of a collection, in this order."""

    collection_id: UUID
    product_ids: tuple[UUID, ...]
    key: str


async def create(engine: Engine, viewer: Viewer, command: CreateCollection) -> tuple[UUID, bool]:
    """Make a collection; return its id and whether this is a repeat.

    Errors: NOT_FOUND (creator), INPUT_INVALID, NAME_TAKEN (slug), IDEMPOTENCY_KEY_REUSED.
    """
    body = {
        "creator": command.creator_id,
        "title": command.title,
        "slug": command.slug,
        "description": command.description,
    }
    request = Request.of(viewer, "collectionCreate", command.key, body)
    product_limits.check_texts(command.title, command.description)
    _check_slug(command.slug)
    collection_id = uuid7()

    async def act(transaction: Transaction) -> dict[str, UUID]:
        await creators.lock_own(transaction, viewer, command.creator_id)
        try:
            await transaction.connection.execute(
                _INSERT,
                collection_id,
                command.creator_id,
                command.title,
                command.slug,
                command.description,
                now(),
            )
        except asyncpg.UniqueViolationError as error:
            raise _taken() from error
        return {"collection": collection_id}

    outcome = await once(engine, request, act)
    return outcome.ids["collection"], outcome.replayed


async def update(engine: Engine, viewer: Viewer, command: UpdateCollection) -> tuple[UUID, bool]:
    """Change a collection of the viewer's; return its id and whether this is a repeat.

    Errors: NOT_FOUND (also archived), INPUT_INVALID, NAME_TAKEN (slug), IDEMPOTENCY_KEY_REUSED.
    """
    body = {
        "collection": command.collection_id,
        "title": command.title,
        "slug": command.slug,
        "description": command.description,
    }
    request = Request.of(viewer, "collectionUpdate", command.key, body)
    product_limits.check_texts(command.title, command.description)
    if command.slug is not None:
        _check_slug(command.slug)

    async def act(transaction: Transaction) -> dict[str, UUID]:
        await _lock_own(transaction.connection, viewer, command.collection_id)
        try:
            await transaction.connection.execute(
                _UPDATE, command.collection_id, command.title, command.slug, command.description, now()
            )
        except asyncpg.UniqueViolationError as error:
            raise _taken() from error
        return {"collection": command.collection_id}

    outcome = await once(engine, request, act)
    return outcome.ids["collection"], outcome.replayed


async def archive(engine: Engine, viewer: Viewer, command: ArchiveCollection) -> tuple[UUID, bool]:
    """Hide a collection of the viewer's; return its id and whether this is a repeat.

    Errors: NOT_FOUND, IDEMPOTENCY_KEY_REUSED.
    """
    request = Request.of(viewer, "collectionArchive", command.key, {"collection": command.collection_id})

    async def act(transaction: Transaction) -> dict[str, UUID]:
        await _lock_own(transaction.connection, viewer, command.collection_id, archived=True)
        await transaction.connection.execute(_ARCHIVE, command.collection_id, now())
        return {"collection": command.collection_id}

    outcome = await once(engine, request, act)
    return outcome.ids["collection"], outcome.replayed


async def set_products(engine: Engine, viewer: Viewer, command: SetProducts) -> tuple[UUID, bool]:
    """Choose the products of a collection of the viewer's; return its id and whether this is a repeat.

    Errors: NOT_FOUND (collection, a product; also somebody else's), INPUT_INVALID, IDEMPOTENCY_KEY_REUSED.
    """
    body = {"collection": command.collection_id, "products": command.product_ids}
    request = Request.of(viewer, "collectionProductsSet", command.key, body)
    if len(command.product_ids) > _MAXIMUM_PRODUCTS or len(set(command.product_ids)) < len(command.product_ids):
        raise invalid(f"A collection has at most {_MAXIMUM_PRODUCTS} products, each once.", "productIds")

    async def act(transaction: Transaction) -> dict[str, UUID]:
        connection = transaction.connection
        collection = await _lock_own(connection, viewer, command.collection_id)
        own = {
            row["id"]
            for row in await connection.fetch(_OWN_PRODUCTS, command.product_ids, collection["creator_id"])
        }
        for number, product_id in enumerate(command.product_ids):
            if product_id not in own:
                raise not_found("product", "productIds", str(number))
        await connection.execute(
            _SET_PRODUCTS,
            command.collection_id,
            [uuid7() for _ in command.product_ids],
            command.product_ids,
            now(),
        )
        return {"collection": command.collection_id}

    outcome = await once(engine, request, act)
    return outcome.ids["collection"], outcome.replayed


async def by_id(engine: Engine, ids: Sequence[UUID]) -> list[Any]:
    """Read collections with their creator's user and state, archived ones included."""
    return await engine.database.reader.fetch(_READ, ids)


async def of_products(engine: Engine, product_ids: Sequence[UUID]) -> list[Any]:
    """Read the collections that products are shown in, with ``product_id``."""
    return await engine.database.reader.fetch(_OF_PRODUCTS, product_ids)


async def listed(engine: Engine, query: PageQuery) -> Page:
    """Page through the collections that are shown."""
    return await fetch_page(engine.database.reader, "collections", _LIST, (), query)


async def _lock_own(connection: Connection, viewer: Viewer, collection_id: UUID, *, archived: bool = False) -> Any:
    """Lock a collection of the viewer's. Errors: NOT_FOUND, also for an archived one unless it may be."""
    found = await connection.fetchrow(_LOCK, collection_id, viewer.user_id)
    if found is None or (found["state"] != "active" and not archived):
        raise not_found("collection", "collectionId")
    return found


def _check_slug(slug: str) -> None:
    if not _SLUG.fullmatch(slug):
        raise invalid("A slug has 1 to 60 small letters, digits and hyphens, no hyphen at either end.", "slug")


def _taken() -> Refused:
    return Refused(
        ErrorCode.NAME_TAKEN, "Another collection of yours has this slug. Choose another.", path=("slug",)
    )
