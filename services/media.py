"""Media: files that creators upload, announced first and then sent to a signed address."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from core.catalogue import MediaKind, MediaState
from core.clock import now
from core.errors import ErrorCode, Refused, not_found
from core.ids import uuid7
from core.viewer import Viewer
from models.database import Transaction
from services import creators
from services.engine import Engine
from services.links import invalid_link
from services.product_limits import invalid
from services.products import lock_own
from services.requests import Request, once

UPLOAD_PURPOSE: Final = "upload"
MAXIMUM_PICTURE_BYTES: Final = 20 * 1024 * 1024
_UPLOAD_LIFETIME: Final = timedelta(hours=1)
_MAXIMUM_NAME_LENGTH: Final = 200
_MAXIMUM_TEXT_LENGTH: Final = 500
_MAXIMUM_PICTURES: Final = 20
# RFC 6838, section 4.2, as far as anything is registered; without parameters.
_MEDIA_TYPE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,63}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}")

_READ: Final = """
    select m.*, c.user_id as creator_user_id from media_files m join creators c on c.id = m.creator_id
    where m.id = any($1::uuid[])
"""
_INSERT: Final = """
    insert into media_files (id, creator_id, kind, state, file_name, content_type, size, created_at, updated_at)
    values ($1, $2, $3, 'WAITING', $4, $5, $6, $7, $7)
"""
# A file's digest is said once, before its bytes are put in place: they can only be those it is of.
_CLAIM: Final = """
    update media_files set digest = $2, updated_at = $3
    where id = $1 and (digest is null or digest = $2) returning state
"""
_STORE: Final = """
    update media_files set state = 'STORED', content_type = coalesce($2, content_type), width = $3, height = $4,
        updated_at = $5
    where id = $1 and state = 'WAITING'
"""
_OF_PRODUCTS: Final = """
    select p.product_id, p.media_id, p.alternative_text, m.width, m.height
    from product_media p join media_files m on m.id = p.media_id
    where p.product_id = any($1::uuid[]) and p.removed_at is null and m.state = 'STORED'
    order by p.position, p.id
"""
_OWN_PICTURES: Final = """
    select id, state, kind from media_files where id = any($1::uuid[]) and creator_id = $2
"""
_SET_PICTURES: Final = """
    with removed as (
        update product_media set removed_at = $5
        where product_id = $1 and removed_at is null and media_id <> all($3::uuid[])
    )
    insert into product_media (id, product_id, media_id, position, alternative_text)
    select g.id, $1, g.media_id, g.place - 1, g.alternative_text
    from unnest($2::uuid[], $3::uuid[], $4::text[]) with ordinality g (id, media_id, alternative_text, place)
    on conflict on constraint picture_once_per_product
        do update set position = excluded.position, alternative_text = excluded.alternative_text, removed_at = null
"""


@dataclass(frozen=True, slots=True)
class AnnounceUpload:
    """Announce a file of so many bytes."""

    creator_id: UUID
    kind: MediaKind
    file_name: str
    content_type: str
    size: int
    key: str


@dataclass(frozen=True, slots=True)
class SetPictures:
    """Make these the pictures of a product, in this order, each with what it shows."""

    product_id: UUID
    pictures: tuple[tuple[UUID, str | None], ...]
    key: str


@dataclass(frozen=True, slots=True)
class Arrived:
    """What is known of a file once all of it is there. The digest is its SHA-256; pictures say more."""

    digest: bytes
    content_type: str | None = None
    width: int | None = None
    height: int | None = None


async def announce(engine: Engine, viewer: Viewer, command: AnnounceUpload) -> tuple[UUID, bool]:
    """Announce a file; return its id and whether this is a repeat.

    Errors: NOT_FOUND (creator), INPUT_INVALID, MEDIA_INVALID, MEDIA_TOO_LARGE, IDEMPOTENCY_KEY_REUSED.
    """
    body = {
        "creator": command.creator_id,
        "kind": command.kind,
        "name": command.file_name,
        "type": command.content_type,
        "size": str(command.size),
    }
    request = Request.of(viewer, "mediaUpload", command.key, body)
    name = command.file_name.strip()
    if not 1 <= len(name) <= _MAXIMUM_NAME_LENGTH or not name.isprintable() or "/" in name or "\\" in name:
        raise invalid(f"A file name has 1 to {_MAXIMUM_NAME_LENGTH} characters and no path.", "fileName")
    if not _MEDIA_TYPE.fullmatch(command.content_type):
        raise Refused(ErrorCode.MEDIA_INVALID, "Send a media type such as application/pdf.", path=("contentType",))
    if command.size < 1:
        raise Refused(ErrorCode.MEDIA_INVALID, "An empty file is none.", path=("size",))
    largest = maximum_bytes(engine, command.kind)
    if command.size > largest:
        raise Refused(ErrorCode.MEDIA_TOO_LARGE, f"At most {largest} bytes are taken.", path=("size",))
    media_id = uuid7()

    async def act(transaction: Transaction) -> dict[str, UUID]:
        await creators.lock_own(transaction, viewer, command.creator_id)
        await transaction.connection.execute(
            _INSERT,
            media_id,
            command.creator_id,
            command.kind.value,
            name,
            command.content_type.lower(),
            command.size,
            now(),
        )
        return {"media": media_id}

    outcome = await once(engine, request, act)
    return outcome.ids["media"], outcome.replayed


def upload_url(engine: Engine, media_id: UUID) -> tuple[str, datetime]:
    """Return where a file's bytes are to be sent, and until when."""
    token, expires_at = engine.links.issue(UPLOAD_PURPOSE, media_id, _UPLOAD_LIFETIME)
    return f"{engine.links.base_url}/media/uploads/{token}", expires_at


async def announced(engine: Engine, token: str) -> Any:
    """Return the row of the file that a token lets be sent. Errors: LINK_INVALID."""
    media_id, _ = engine.links.read(UPLOAD_PURPOSE, token)
    rows = await by_id(engine, [media_id])
    if not rows:
        raise invalid_link()
    return rows[0]


async def store(engine: Engine, media_id: UUID, kept_as: str, arrived: Arrived) -> bool:
    """Put a file in place that was kept under another key; return whether it was not there before.

    Whatever happens on the way, the same can be sent again.
    Errors: MEDIA_INVALID (another file was sent before), StorageError.
    """
    state = await engine.database.writer.fetchval(_CLAIM, media_id, arrived.digest, now())
    if state is None:
        raise other_file()
    if state == MediaState.STORED:
        return False
    await engine.files.move(kept_as, str(media_id))
    await engine.database.writer.execute(
        _STORE, media_id, arrived.content_type, arrived.width, arrived.height, now()
    )
    return True


def other_file() -> Refused:
    """Return the refusal of bytes that are not those which were sent before."""
    return Refused(
        ErrorCode.MEDIA_INVALID, "Another file was sent to this address before. Announce this one as a new one."
    )


async def set_pictures(engine: Engine, viewer: Viewer, command: SetPictures) -> tuple[UUID, bool]:
    """Choose the pictures of a product of the viewer's; return its id and whether this is a repeat.

    Errors: NOT_FOUND (product, a picture; also somebody else's), INPUT_INVALID, MEDIA_INVALID (no picture, or not
    all of it has arrived), IDEMPOTENCY_KEY_REUSED.
    """
    body = {"product": command.product_id, "pictures": command.pictures}
    request = Request.of(viewer, "productPicturesSet", command.key, body)
    ids = [media_id for media_id, _ in command.pictures]
    if len(ids) > _MAXIMUM_PICTURES or len(set(ids)) < len(ids):
        raise invalid(f"A product has at most {_MAXIMUM_PICTURES} pictures, each once.", "pictures")
    for number, (_, text) in enumerate(command.pictures):
        if text is not None and len(text) > _MAXIMUM_TEXT_LENGTH:
            raise invalid(
                f"An alternative text has at most {_MAXIMUM_TEXT_LENGTH} characters.",
                "pictures",
                str(number),
                "alternativeText",
            )

    async def act(transaction: Transaction) -> dict[str, UUID]:
        connection = transaction.connection
        product = await lock_own(connection, viewer, command.product_id)
        found = {row["id"]: row for row in await connection.fetch(_OWN_PICTURES, ids, product["creator_id"])}
        for number, media_id in enumerate(ids):
            path = ("pictures", str(number), "mediaId")
            if media_id not in found:
                raise not_found("media", *path)
            picture = found[media_id]
            if picture["kind"] != MediaKind.PICTURE or picture["state"] != MediaState.STORED:
                # All of it may arrive in a moment.
                raise Refused(
                    ErrorCode.MEDIA_INVALID,
                    "This is no picture, or not all of it has arrived.",
                    path=path,
                    transient=True,
                )
        await connection.execute(
            _SET_PICTURES, command.product_id, [uuid7() for _ in ids], ids, [t for _, t in command.pictures], now()
        )
        return {"product": command.product_id}

    outcome = await once(engine, request, act)
    return outcome.ids["product"], outcome.replayed


async def by_id(engine: Engine, ids: Sequence[UUID]) -> list[Any]:
    """Read files with their creator's user. Says nothing about who may see them."""
    return await engine.database.reader.fetch(_READ, ids)


async def of_products(engine: Engine, product_ids: Sequence[UUID]) -> list[Any]:
    """Read the pictures of products, in order, with ``product_id``."""
    return await engine.database.reader.fetch(_OF_PRODUCTS, product_ids)


def maximum_bytes(engine: Engine, kind: str) -> int:
    """Return how large a file may be."""
    return MAXIMUM_PICTURE_BYTES if kind == MediaKind.PICTURE else engine.upload_limit
