"""Access: what whoever bought a line may download and use, given when it is paid and taken when it is given back.

Everything here runs in the caller's transaction, which holds the orders' locks, and takes a fixed number of
statements for any number of lines.
"""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from core.catalogue import LicencePolicy
from core.ids import uuid7
from core.scopes import Scope
from core.viewer import Viewer
from models.database import Connection
from services.order_locks import is_buyer

# What is digital of these lines. A file counts that was there when the order was made.
_DIGITAL: Final = """
    select l.id, l.variant_id, l.quantity, v.licence_policy, v.licence_activations, v.download_limit
    from order_lines l join orders o on o.id = l.order_id join product_variants v on v.id = l.variant_id
    where l.id = any($1::uuid[]) and (v.licence_policy is not null or exists (
        select 1 from variant_files f
        where f.variant_id = v.id and (f.removed_at is null or f.removed_at > o.created_at)))
    order by l.id
"""
# A line that has its grant already is passed over with all its keys. Keys of a pool that another transaction is
# about to assign are passed over too: stock was reserved of each, so there are enough.
_GRANT: Final = """
    with granted as (
        insert into access_grants (id, line_id, state, download_limit, created_at, updated_at)
        select w.id, w.line_id, 'ACTIVE', w.download_limit, $1, $1
        from unnest($2::uuid[], $3::uuid[], $4::int[]) w (id, line_id, download_limit)
        on conflict (line_id) do nothing
        returning line_id
    ),
    generated as (
        insert into licence_keys
            (id, variant_id, key, digest, state, line_id, activation_limit, created_at, updated_at)
        select w.id, w.variant_id, w.key, w.digest, 'ASSIGNED', w.line_id, w.activation_limit, $1, $1
        from unnest($5::uuid[], $6::uuid[], $7::text[], $8::bytea[], $9::uuid[], $10::int[])
            w (id, variant_id, key, digest, line_id, activation_limit)
        join granted using (line_id)
    ),
    wanted as (
        select w.line_id, w.variant_id, w.activation_limit,
            row_number() over (partition by w.variant_id order by w.line_id, n) as place
        from unnest($11::uuid[], $12::uuid[], $13::int[], $14::int[])
            w (line_id, variant_id, quantity, activation_limit)
        join granted using (line_id)
        cross join lateral generate_series(1, w.quantity) n
    ),
    free as (
        select k.id, d.variant_id
        from (select variant_id, count(*) as number from wanted group by variant_id) d
        cross join lateral (
            select id from licence_keys
            where variant_id = d.variant_id and state = 'AVAILABLE'
            order by id limit d.number for no key update skip locked
        ) k
    ),
    placed as (
        select id, variant_id, row_number() over (partition by variant_id order by id) as place from free
    ),
    assigned as (
        update licence_keys k
        set state = 'ASSIGNED', line_id = w.line_id, activation_limit = w.activation_limit, updated_at = $1
        from placed p join wanted w on w.variant_id = p.variant_id and w.place = p.place
        where k.id = p.id
        returning k.line_id
    )
    select g.line_id, (select count(*)::int from assigned a where a.line_id = g.line_id) as assigned from granted g
"""
# Whoever settles an order at this moment may not have seen the files, nor may we see yet that it is paid.
_WAIT_FOR_SETTLING: Final = """
    select from orders o where o.status = 'PENDING'
        and o.id in (select l.order_id from order_lines l where l.variant_id = $1)
    order by o.id for share
"""
_GRANT_EARLIER: Final = """
    insert into access_grants (id, line_id, state, download_limit, created_at, updated_at)
    select gen_random_uuid(), l.id, 'ACTIVE', v.download_limit, $2, $2
    from order_lines l join orders o on o.id = l.order_id join product_variants v on v.id = l.variant_id
    where l.variant_id = $1 and l.canceled < l.quantity and l.refunded < l.quantity
        and o.paid_at is not null and o.status not in ('REFUNDED', 'CHARGED_BACK')
        and not exists (select 1 from access_grants g where g.line_id = l.id)
    on conflict (line_id) do nothing
"""
_REVOKE: Final = """
    with revoked as (
        update access_grants set state = 'REVOKED', reason = $2, updated_at = $3
        where line_id = any($1::uuid[]) and state = 'ACTIVE'
        returning line_id
    )
    update licence_keys k set state = 'REVOKED', updated_at = $3
    from revoked where k.line_id = revoked.line_id and k.state = 'ASSIGNED'
"""
# A key that was rotated stays revoked: its successor comes back.
_RESTORE: Final = """
    with restored as (
        update access_grants set state = 'ACTIVE', reason = null, updated_at = $2
        where line_id = any($1::uuid[]) and state = 'REVOKED'
        returning line_id
    )
    update licence_keys k set state = 'ASSIGNED', updated_at = $2
    from restored where k.line_id = restored.line_id and k.state = 'REVOKED' and k.replaced_by is null
"""
# Crockford's base32: no letter is taken for a digit when a key is read from paper.
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_GROUPS: Final = 4
_GROUP_LENGTH: Final = 5


async def grant(line_ids: Sequence[UUID], *, on: Connection, at: datetime) -> Mapping[UUID, int]:
    """Give paid lines their files and licence keys, once each; lines without any are left alone.

    Return how many keys each line lacks, where a pool had too few. A line that was granted before lacks nothing.
    """
    digital = await on.fetch(_DIGITAL, line_ids)
    if not digital:
        return {}
    generated = [
        (line, key)
        for line in digital
        if line["licence_policy"] == LicencePolicy.GENERATED
        for key in (generate_key() for _ in range(line["quantity"]))
    ]
    pooled = [line for line in digital if line["licence_policy"] == LicencePolicy.POOL]
    rows = await on.fetch(
        _GRANT,
        at,
        [uuid7() for _ in digital],
        _column(digital, "id"),
        _column(digital, "download_limit"),
        [uuid7() for _ in generated],
        [line["variant_id"] for line, _ in generated],
        [key for _, key in generated],
        [digest_of(key) for _, key in generated],
        [line["id"] for line, _ in generated],
        [line["licence_activations"] for line, _ in generated],
        _column(pooled, "id"),
        _column(pooled, "variant_id"),
        _column(pooled, "quantity"),
        _column(pooled, "licence_activations"),
    )
    assigned = {row["line_id"]: row["assigned"] for row in rows}
    lacking = {line["id"]: line["quantity"] - assigned[line["id"]] for line in pooled if line["id"] in assigned}
    return {line_id: number for line_id, number in lacking.items() if number}


async def grant_earlier(variant_id: UUID, *, on: Connection, at: datetime) -> None:
    """Let files reach those who bought a variant before it had any, once the files are committed.

    Takes two statements, in a transaction of its own: it waits for orders that are being settled.
    """
    await on.execute(_WAIT_FOR_SETTLING, variant_id)
    await on.execute(_GRANT_EARLIER, variant_id, at)


async def revoke(line_ids: Sequence[UUID], reason: str, *, on: Connection, at: datetime) -> None:
    """Take the files and keys of lines back; ``reason`` is a word for why, such as REFUNDED. Idempotent."""
    await on.execute(_REVOKE, line_ids, reason, at)


async def restore(line_ids: Sequence[UUID], *, on: Connection, at: datetime) -> None:
    """Give back what was revoked: the refund failed, the chargeback was undone. Idempotent."""
    await on.execute(_RESTORE, line_ids, at)


def may_open(viewer: Viewer, row: Any, scope: Scope = Scope.ACCOUNT_READ) -> bool:
    """Return whether a viewer bought what an order's ``row`` is about; who signed in needs the scope."""
    return is_buyer(viewer, row) and (not viewer.is_signed_in or viewer.may(scope))


def bought(viewer: Viewer, rows: Sequence[Any], column: str) -> dict[UUID, list[Any]]:
    """Return the rows of each line that the viewer bought; ``column`` is NULL in the row of a line without any."""
    found: dict[UUID, list[Any]] = {}
    for row in rows:
        if may_open(viewer, row):
            of_line = found.setdefault(row["line_id"], [])
            if row[column] is not None:
                of_line.append(row)
    return found


def generate_key() -> str:
    """Return a new licence key: 100 random bits as ``XXXXX-XXXXX-XXXXX-XXXXX``."""
    groups = ("".join(secrets.choice(_ALPHABET) for _ in range(_GROUP_LENGTH)) for _ in range(_GROUPS))
    return "-".join(groups)


def digest_of(key: str) -> bytes:
    """Return what a licence key is found by: its SHA-256."""
    return hashlib.sha256(key.encode()).digest()


def _column(rows: Sequence[Any], name: str) -> list[Any]:
    return [row[name] for row in rows]
