"""Licence keys: uploading a pool of them, replacing one that got around, and reading them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from core.catalogue import LicencePolicy, StockMovementKind
from core.clock import now
from core.errors import ErrorCode, Refused, not_found
from core.ids import uuid7
from core.licences import LicenceState
from core.scopes import Scope
from core.viewer import Viewer
from models.database import Connection, Transaction
from services import stock
from services.access import bought, digest_of, generate_key, may_open
from services.engine import Engine
from services.paging import Page, PageQuery, fetch_page
from services.requests import Request, once
from services.stock_plan import Shelves
from services.stock_writes import Change, Movement, write
from services.variant_rows import LOCK_OWN_VARIANT

_MAXIMUM_KEYS: Final = 1_000
_MAXIMUM_KEY_LENGTH: Final = 500
_REPLACED: Final = "A key that was sold was replaced by another."

# In the order of their digests, so that two uploads with keys in common wait for each other one way only.
_UPLOAD: Final = """
    insert into licence_keys (id, variant_id, key, digest, state, created_at, updated_at)
    select w.id, $1, w.key, w.digest, 'AVAILABLE', $2, $2
    from unnest($3::uuid[], $4::text[], $5::bytea[]) w (id, key, digest) order by w.digest
    on conflict (digest) do nothing
    returning digest
"""
_FOREIGN: Final = "select digest from licence_keys where digest = any($1::bytea[]) and variant_id <> $2 limit 1"
_LOCK_LICENCE: Final = "select 1 from licence_keys where id = $1 for no key update"
_COLUMNS: Final = """
    select k.id, k.variant_id, k.line_id, k.key, k.state, k.activations, k.activation_limit, k.created_at,
        o.id as order_id, o.buyer_id, o.cart_id, o.payment_id, c.user_id as creator_user_id
    from licence_keys k
    join product_variants v on v.id = k.variant_id
    join products p on p.id = v.product_id
    join creators c on c.id = p.creator_id
    left join order_lines l on l.id = k.line_id
    left join orders o on o.id = l.order_id
"""
_BY_ID: Final = f"{_COLUMNS} where k.id = any($1::uuid[])"
# Keys that were replaced are of no more use to anybody.
_OF_LINES: Final = """
    select k.id, l.id as line_id, k.key, k.state, k.activations, k.activation_limit, k.created_at,
        o.buyer_id, o.cart_id, o.payment_id
    from order_lines l
    join orders o on o.id = l.order_id
    left join licence_keys k on k.line_id = l.id and k.replaced_by is null
    where l.id = any($1::uuid[]) order by l.id, k.id
"""
_OF_VARIANT: Final = f"{_COLUMNS} where k.variant_id = $1"
_OWNER: Final = """
    select c.user_id from product_variants v
    join products p on p.id = v.product_id join creators c on c.id = p.creator_id
    where v.id = $1
"""
_LOCK_ORDER: Final = """
    select o.buyer_id, o.cart_id, o.payment_id, c.user_id as creator_user_id, k.variant_id, k.line_id,
        v.licence_policy
    from licence_keys k
    join order_lines l on l.id = k.line_id
    join orders o on o.id = l.order_id
    join product_variants v on v.id = k.variant_id
    join products p on p.id = v.product_id
    join creators c on c.id = p.creator_id
    where k.id = $1
    for no key update of o
"""
_LOCK_LEVELS: Final = """
    select s.id, s.variant_id, s.location_id, s.on_hand, s.reserved, l.position,
        l.state = 'active' as location_active
    from stock_levels s join stock_locations l on l.id = s.location_id
    where s.variant_id = $1
    order by s.variant_id, s.location_id for no key update of s
"""
_NEXT_OF_POOL: Final = """
    select id from licence_keys where variant_id = $1 and state = 'AVAILABLE'
    order by id limit 1 for no key update skip locked
"""
_GENERATE: Final = """
    insert into licence_keys (id, variant_id, key, digest, state, created_at, updated_at)
    values ($1, $2, $3, $4, 'AVAILABLE', $5, $5)
"""
_REPLACE: Final = """
    with ended as (
        update licence_activations set ended_at = $3 where licence_id = $1 and ended_at is null
    ),
    replaced as (
        update licence_keys set state = 'REVOKED', replaced_by = $2, activations = 0, updated_at = $3
        where id = $1 returning line_id, activation_limit
    )
    update licence_keys k
    set state = 'ASSIGNED', line_id = replaced.line_id, activation_limit = replaced.activation_limit,
        updated_at = $3
    from replaced where k.id = $2
"""


@dataclass(frozen=True, slots=True)
class UploadKeys:
    """Put keys into a variant's pool."""

    variant_id: UUID
    keys: Sequence[str]
    key: str


@dataclass(frozen=True, slots=True)
class Uploaded:
    """How many keys were new to the pool, and how many it had already."""

    added: int
    skipped: int
    replayed: bool


@dataclass(frozen=True, slots=True)
class RotateKey:
    """Replace a licence key by a new one."""

    licence_id: UUID
    key: str


async def upload(engine: Engine, viewer: Viewer, command: UploadKeys) -> Uploaded:
    """Put keys into the pool of a variant of the viewer's; as many more of it can be sold.

    Errors: NOT_FOUND, INPUT_INVALID (no pool; a key that is empty, too long, or of another variant),
    IDEMPOTENCY_KEY_REUSED.
    """
    keys = [key.strip() for key in command.keys]
    digests = {digest_of(key): key for key in keys}
    body = {"variant": command.variant_id, "keys": [digest.hex() for digest in digests]}
    request = Request.of(viewer, "licenceKeysUpload", command.key, body)
    _check_keys(keys)

    async def act(transaction: Transaction) -> dict[str, UUID]:
        connection, at = transaction.connection, now()
        variant = await connection.fetchrow(LOCK_OWN_VARIANT, command.variant_id, viewer.user_id)
        if variant is None:
            raise not_found("variant", "variantId")
        if variant["licence_policy"] != LicencePolicy.POOL:
            raise _invalid("This variant has no pool of keys. Set its licencePolicy to POOL first.", "variantId")
        location = await stock.main_location(variant["creator_id"], on=connection, at=at)
        ids = [uuid7() for _ in digests]
        added = await connection.fetch(_UPLOAD, command.variant_id, at, ids, list(digests.values()), list(digests))
        foreign = await connection.fetchval(_FOREIGN, list(digests), command.variant_id)
        if foreign is not None:
            place = keys.index(digests[foreign])
            raise _invalid("This key is one of another variant's.", "keys", str(place))
        if added:
            await stock.receive(command.variant_id, location, len(added), on=connection, at=at)
        # An outcome keeps ids: the number is kept as one.
        return {"added": UUID(int=len(added))}

    outcome = await once(engine, request, act)
    added = outcome.ids["added"].int
    return Uploaded(added, len(keys) - added, outcome.replayed)


async def rotate(engine: Engine, viewer: Viewer, command: RotateKey) -> tuple[UUID, bool]:
    """Replace a key of the viewer's, or of their customer's; return the new one's id and whether this is a repeat.

    The old one counts no more, wherever it is in use. One of a pool is replaced by the next of the pool,
    and by its creator alone.
    Errors: NOT_FOUND, INPUT_INVALID (one of a pool, by its buyer), LICENCE_INVALID (replaced or revoked already),
    OUT_OF_STOCK, IDEMPOTENCY_KEY_REUSED.
    """
    request = Request.of(viewer, "licenceKeyRotate", command.key, {"licence": command.licence_id})
    new_id = uuid7()

    async def act(transaction: Transaction) -> dict[str, UUID]:
        connection, at = transaction.connection, now()
        found = await connection.fetchrow(_LOCK_ORDER, command.licence_id)
        if found is None or not (is_own(viewer, found) or is_creator(viewer, found)):
            raise not_found("licence", "licenceId")
        pooled = found["licence_policy"] == LicencePolicy.POOL
        if pooled and not is_creator(viewer, found):
            # Keys of a pool count elsewhere, too: whoever bought one would have them all, one after the other.
            raise _invalid("Its creator uploaded this key, and alone can replace it. Ask them.", "licenceId")
        # Read anew: what was read with the lock may be older than the lock.
        state = await connection.fetchval("select state from licence_keys where id = $1", command.licence_id)
        if state != LicenceState.ASSIGNED:
            raise Refused(
                ErrorCode.LICENCE_INVALID, "This key was replaced or revoked already.", path=("licenceId",)
            )
        variant_id = found["variant_id"]
        if pooled:
            licence_id = await _next_of_pool(connection, variant_id, found["line_id"], at)
        else:
            licence_id, key = new_id, generate_key()
            await connection.execute(_GENERATE, new_id, variant_id, key, digest_of(key), at)
        # Whoever takes the old key into use holds its lock: what they wrote is there to be ended once it is ours.
        await connection.execute(_LOCK_LICENCE, command.licence_id)
        await connection.execute(_REPLACE, command.licence_id, licence_id, at)
        return {"licence": licence_id}

    outcome = await once(engine, request, act)
    return outcome.ids["licence"], outcome.replayed


async def by_id(engine: Engine, ids: Sequence[UUID]) -> list[Any]:
    """Read licence keys with whose they are. Says nothing about who may see them."""
    return await engine.database.reader.fetch(_BY_ID, ids)


async def of_lines(engine: Engine, viewer: Viewer, line_ids: Sequence[UUID]) -> dict[UUID, list[Any]]:
    """Read the keys of lines that the viewer bought; other lines are not in it."""
    return bought(viewer, await engine.database.reader.fetch(_OF_LINES, line_ids), "id")


async def of_variant(engine: Engine, viewer: Viewer, variant_id: UUID, query: PageQuery) -> Page | None:
    """Page through the keys of a variant, sold or not; None unless it is the viewer's."""
    owner = await engine.database.reader.fetchval(_OWNER, variant_id)
    if not is_creator(viewer, {"creator_user_id": owner}):
        return None
    return await fetch_page(engine.database.reader, "keys of a variant", _OF_VARIANT, (variant_id,), query)


def is_own(viewer: Viewer, row: Any) -> bool:
    """Return whether a key is one the viewer bought and may replace."""
    return may_open(viewer, row, Scope.PURCHASES_WRITE)


def is_creator(viewer: Viewer, row: Any) -> bool:
    """Return whether a key is one the viewer sells."""
    own = viewer.user_id is not None and viewer.user_id == row["creator_user_id"]
    return own and viewer.may(Scope.PRODUCTS_WRITE)


async def _next_of_pool(connection: Connection, variant_id: UUID, line_id: UUID, at: datetime) -> UUID:
    """Take a key of a pool, with the stock that it is. Errors: OUT_OF_STOCK."""
    levels = Shelves.of([dict(row) for row in await connection.fetch(_LOCK_LEVELS, variant_id)])
    shares = levels.take(variant_id, 1)
    if shares is None:
        raise Refused(
            ErrorCode.OUT_OF_STOCK,
            "There is no other key in the pool. Ask the creator to upload more.",
            path=("licenceId",),
            data={"available": 0, "variant": str(variant_id)},
        )
    sent = [
        Movement(share.level_id, StockMovementKind.ADJUSTED, on_hand=-1, line_id=line_id, note=_REPLACED)
        for share in shares
    ]
    await write(Change(sent), on=connection, at=at)
    # Stock is counted down first, and counts no more than there are keys: there is one.
    found: UUID = await connection.fetchval(_NEXT_OF_POOL, variant_id)
    return found


def _check_keys(keys: Sequence[str]) -> None:
    if not 1 <= len(keys) <= _MAXIMUM_KEYS:
        raise _invalid(f"Send 1 to {_MAXIMUM_KEYS} keys at a time.", "keys")
    for place, key in enumerate(keys):
        if not 1 <= len(key) <= _MAXIMUM_KEY_LENGTH or not key.isprintable():
            raise _invalid(f"A key has 1 to {_MAXIMUM_KEY_LENGTH} printable characters.", "keys", str(place))


def _invalid(message: str, *path: str) -> Refused:
    return Refused(ErrorCode.INPUT_INVALID, message, path=path)
