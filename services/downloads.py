"""Downloads: the files of a variant, and fetching them by signed links, as often as was agreed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid5

from core.clock import now
from core.errors import ErrorCode, Refused, not_found
from core.ids import uuid7
from core.scopes import Scope
from core.viewer import Viewer
from models.database import Connection, Transaction
from services.access import bought, grant_earlier
from services.engine import Engine
from services.links import invalid_link
from services.requests import Request, once
from services.variant_rows import LOCK_OWN_VARIANT

LINK_LIFETIME: Final = timedelta(hours=1)
_PURPOSE: Final = "download"
_MAXIMUM_FILES: Final = 100

_MEDIA: Final = """
    select m.id, m.kind = 'DIGITAL' and m.state = 'STORED' as fit
    from media_files m where m.id = any($1::uuid[]) and m.creator_id = $2
"""
_SET_FILES: Final = """
    with removed as (
        update variant_files set removed_at = $4
        where variant_id = $1 and removed_at is null and media_id <> all($3::uuid[])
    )
    insert into variant_files (id, variant_id, media_id, position)
    select w.id, $1, w.media_id, w.place - 1
    from unnest($2::uuid[], $3::uuid[]) with ordinality w (id, media_id, place)
    on conflict (variant_id, media_id) do update set position = excluded.position, removed_at = null
"""
_OF_VARIANTS: Final = """
    select v.id as variant_id, m.id, m.file_name, m.content_type, m.size
    from product_variants v
    join products p on p.id = v.product_id
    join creators c on c.id = p.creator_id
    left join (variant_files f join media_files m on m.id = f.media_id)
        on f.variant_id = v.id and f.removed_at is null
    where v.id = any($1::uuid[]) and c.user_id = $2
    order by v.id, f.position, m.id
"""
# A line has the files that were there when it was ordered, and those that came later.
_GRANTED: Final = """
    from order_lines l
    join orders o on o.id = l.order_id
    left join access_grants g on g.line_id = l.id
    left join (variant_files f join media_files m on m.id = f.media_id)
        on g.id is not null and f.variant_id = l.variant_id
        and (f.removed_at is null or f.removed_at > o.created_at)
    left join downloads d on d.grant_id = g.id and d.file_id = m.id
"""
_COLUMNS: Final = """
    g.id as grant_id, l.id as line_id, g.download_limit, g.state = 'ACTIVE' and o.status <> 'CHARGED_BACK' as open,
    o.buyer_id, o.cart_id, o.payment_id, m.id as file_id, m.file_name, m.content_type, m.size, m.digest,
    coalesce(d.used, 0) as used, d.last_at
"""
_OF_LINES: Final = f"""
    select {_COLUMNS} {_GRANTED} where l.id = any($1::uuid[]) order by l.id, f.position, m.id
"""
_OF_LINK: Final = f"select {_COLUMNS} {_GRANTED} where g.id = $1 and m.id = $2"
# Of downloads that start at once, one counts after the other: those beyond the limit find no row.
# What goes on with a download that was counted since its link was issued counts nothing.
_COUNT: Final = """
    insert into downloads (id, grant_id, file_id, used, "limit", last_at)
    select $1, g.id, $3, 1, g.download_limit, $4 from access_grants g where g.id = $2 and g.state = 'ACTIVE'
    on conflict (grant_id, file_id) do update
    set used = downloads.used + case when $5 and downloads.last_at >= $6 then 0 else 1 end,
        last_at = case when $5 and downloads.last_at >= $6 then downloads.last_at else $4 end
    where downloads."limit" is null or downloads.used < downloads."limit" or ($5 and downloads.last_at >= $6)
    returning used
"""


@dataclass(frozen=True, slots=True)
class SetFiles:
    """Sell these files with a variant, in this order, and no others."""

    variant_id: UUID
    media_ids: Sequence[UUID]
    key: str


@dataclass(frozen=True, slots=True)
class Link:
    """A link that was read: a file, and under which grant it is fetched since when."""

    grant_id: UUID
    file_id: UUID
    issued_at: datetime
    file_name: str
    content_type: str
    size: int
    digest: bytes
    used: int
    limit: int | None
    counted_at: datetime | None

    def goes_on(self, *, resumed: bool) -> bool:
        """Return whether a request is a part of a download that was counted since the link was issued."""
        return resumed and self.counted_at is not None and self.counted_at >= self.issued_at


async def set_files(engine: Engine, viewer: Viewer, command: SetFiles) -> bool:
    """Set which files a variant of the viewer's is sold with; return whether this is a repeat.

    Whoever ordered before a file was taken off keeps it; a file that is added is theirs as well.
    Errors: NOT_FOUND (variant, media), MEDIA_INVALID (a picture, or not uploaded yet), INPUT_INVALID,
    IDEMPOTENCY_KEY_REUSED.
    """
    body = {"variant": command.variant_id, "media": list(command.media_ids)}
    request = Request.of(viewer, "variantFilesSet", command.key, body)
    if len(command.media_ids) > _MAXIMUM_FILES or len(set(command.media_ids)) != len(command.media_ids):
        raise Refused(
            ErrorCode.INPUT_INVALID,
            f"A variant has at most {_MAXIMUM_FILES} files, each once.",
            path=("mediaIds",),
        )

    async def act(transaction: Transaction) -> dict[str, UUID]:
        connection = transaction.connection
        variant = await connection.fetchrow(LOCK_OWN_VARIANT, command.variant_id, viewer.user_id)
        if variant is None:
            raise not_found("variant", "variantId")
        await _ensure_sellable(connection, variant["creator_id"], command.media_ids)
        ids = [uuid7() for _ in command.media_ids]
        at = now()
        await connection.execute(_SET_FILES, command.variant_id, ids, command.media_ids, at)
        return {"variant": command.variant_id}

    outcome = await once(engine, request, act)
    if command.media_ids:
        # After the commit, so that of an order that is settled meanwhile one of both sees the other.
        async with engine.database.transaction() as transaction:
            await grant_earlier(command.variant_id, on=transaction.connection, at=now())
    return outcome.replayed


async def _ensure_sellable(connection: Connection, creator_id: UUID, media_ids: Sequence[UUID]) -> None:
    fit = {row["id"]: row["fit"] for row in await connection.fetch(_MEDIA, media_ids, creator_id)}
    for place, media_id in enumerate(media_ids):
        if media_id not in fit:
            raise not_found("media", "mediaIds", str(place))
        if not fit[media_id]:
            raise Refused(
                ErrorCode.MEDIA_INVALID,
                "This is no file to sell, or it has not been uploaded yet. Upload it as DIGITAL first.",
                path=("mediaIds", str(place)),
            )


async def of_variants(engine: Engine, viewer: Viewer, variant_ids: Sequence[UUID]) -> dict[UUID, list[Any]]:
    """Read the files that variants of the viewer's are sold with, in order; others are not in it."""
    found: dict[UUID, list[Any]] = {}
    if viewer.user_id is None or not viewer.may(Scope.PRODUCTS_WRITE):
        return found
    for row in await engine.database.reader.fetch(_OF_VARIANTS, variant_ids, viewer.user_id):
        files = found.setdefault(row["variant_id"], [])
        if row["id"] is not None:
            files.append(row)
    return found


async def of_lines(engine: Engine, viewer: Viewer, line_ids: Sequence[UUID]) -> dict[UUID, list[Any]]:
    """Read the files of lines that the viewer bought, in order; other lines are not in it."""
    return bought(viewer, await engine.database.reader.fetch(_OF_LINES, line_ids), "file_id")


def remaining(row: Any) -> int | None:
    """Return how often a file of a line may still be downloaded; None is without limit."""
    return None if row["download_limit"] is None else max(row["download_limit"] - row["used"], 0)


def link(engine: Engine, row: Any) -> tuple[str, datetime] | None:
    """Return the address of a file of a line and when it ends; None where it may not be downloaded any more."""
    if not row["open"] or remaining(row) == 0:
        return None
    token, expires_at = engine.links.issue(
        _PURPOSE,
        row["grant_id"],
        LINK_LIFETIME,
        file=str(row["file_id"]),
        issued=now().isoformat(),
        nonce=str(uuid7()),
    )
    return f"{engine.links.base_url}/downloads/{token}", expires_at


def download_id(grant_id: UUID, file_id: UUID) -> UUID:
    """Return the id of what is counted of a file under a grant, which is known before anything was."""
    return uuid5(grant_id, str(file_id))


async def read_link(engine: Engine, token: str) -> Link:
    """Return what a link leads to. Errors: LINK_INVALID, ACCESS_REVOKED."""
    grant_id, claims = engine.links.read(_PURPOSE, token)
    file_id = UUID(claims["file"])
    row = await engine.database.reader.fetchrow(_OF_LINK, grant_id, file_id)
    if row is None:
        # The very words of a link that was never one, which say no more than that.
        raise invalid_link()
    if not row["open"]:
        raise _revoked()
    return Link(
        grant_id=grant_id,
        file_id=file_id,
        issued_at=datetime.fromisoformat(claims["issued"]),
        file_name=row["file_name"],
        content_type=row["content_type"],
        size=row["size"],
        digest=row["digest"],
        used=row["used"],
        limit=row["download_limit"],
        counted_at=row["last_at"],
    )


def ensure_left(found: Link, *, resumed: bool) -> None:
    """Refuse what the limit leaves no room for, without writing. Errors: DOWNLOAD_LIMIT_REACHED."""
    if found.limit is not None and found.used >= found.limit and not found.goes_on(resumed=resumed):
        raise _exhausted()


async def count(engine: Engine, found: Link, *, resumed: bool) -> None:
    """Count a download that starts. ``resumed``: it does not begin at the first byte.

    Errors: DOWNLOAD_LIMIT_REACHED, ACCESS_REVOKED.
    """
    if found.goes_on(resumed=resumed):
        return
    used = await engine.database.writer.fetchval(
        _COUNT,
        download_id(found.grant_id, found.file_id),
        found.grant_id,
        found.file_id,
        now(),
        resumed,
        found.issued_at,
    )
    if used is None:
        state = await engine.database.reader.fetchval(
            "select state from access_grants where id = $1", found.grant_id
        )
        raise _exhausted() if state == "ACTIVE" else _revoked()


def _exhausted() -> Refused:
    return Refused(
        ErrorCode.DOWNLOAD_LIMIT_REACHED,
        "This file was downloaded as often as it may be. Ask its creator for it.",
    )


def _revoked() -> Refused:
    return Refused(ErrorCode.ACCESS_REVOKED, "The purchase was given back, so its files are no longer yours.")
