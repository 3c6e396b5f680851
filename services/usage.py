"""Limits on how often something is used: counted and held in one statement, for discounts and products alike.

What was counted is noted with the order, and released when the order does not stand.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from models.database import Connection, PoolOrConnection

UNLIMITED: Final = 2_147_483_647
"""The limit of what is counted only to be shown: as far as a counter counts."""

# Rows are taken in the order of subject and scope, as models/locks.py has it. A counter that would go past its
# limit is left as it is and not returned; one that is not there yet begins at what is used now.
_USE: Final = """
    with wanted as (
        select * from unnest($1::uuid[], $2::text[], $3::int[], $4::int[]) w (subject, scope, quantity, most)
    )
    insert into usage_counters (subject, scope, used)
        select w.subject, w.scope, w.quantity from wanted w where w.quantity <= w.most order by w.subject, w.scope
    on conflict on constraint one_counter_per_scope do update set used = usage_counters.used + excluded.used
        where usage_counters.used::bigint + excluded.used <= (
            select w.most from wanted w where w.subject = excluded.subject and w.scope = excluded.scope)
    returning subject, scope
"""
_RELEASE: Final = """
    with freed as (
        select * from unnest($1::uuid[], $2::text[], $3::int[]) f (subject, scope, quantity)
    ), locked as (
        select c.id, f.quantity from usage_counters c join freed f on f.subject = c.subject and f.scope = c.scope
        order by c.subject, c.scope for no key update of c
    )
    update usage_counters c set used = c.used - l.quantity from locked l where c.id = l.id
"""
_USED: Final = """
    select c.subject, c.scope, c.used from unnest($1::uuid[], $2::text[]) a (subject, scope)
    join usage_counters c on c.subject = a.subject and c.scope = a.scope
"""


@dataclass(frozen=True, slots=True)
class Use:
    """A use of a discount or a product, at most ``limit`` times within a scope.

    ``scope`` is ``all``, ``buyer:`` with the key of a buyer, or ``period:`` with a day, a week or a month:
    ``period:2026-11-22``, ``period:2026-W47``, ``period:2026-11``.
    """

    subject: UUID
    scope: str
    quantity: int
    limit: int

    def as_json(self) -> dict[str, Any]:
        """Return it as an order keeps it, for ``release``."""
        return {"subject": str(self.subject), "scope": self.scope, "quantity": self.quantity}


async def use(uses: Sequence[Use], *, on: Connection) -> list[Use]:
    """Count uses, in one statement, and return those that would go past their limit, by subject and scope.

    The others are counted: the caller refuses, which undoes them with its savepoint. Several uses of the same
    subject and scope are one of their sum, under the smallest of their limits.
    """
    wanted: dict[tuple[UUID, str], Use] = {}
    for each in uses:
        known = wanted.get((each.subject, each.scope))
        if known is not None:
            each = Use(each.subject, each.scope, known.quantity + each.quantity, min(known.limit, each.limit))  # ruff: ignore[redefined-loop-name] - the sum takes the place of both
        wanted[each.subject, each.scope] = each
    if not wanted:
        return []
    merged = [wanted[key] for key in sorted(wanted)]
    rows = await on.fetch(
        _USE,
        [each.subject for each in merged],
        [each.scope for each in merged],
        [min(each.quantity, UNLIMITED) for each in merged],
        [min(each.limit, UNLIMITED) for each in merged],
    )
    counted = {(row["subject"], row["scope"]) for row in rows}
    return [each for each in merged if (each.subject, each.scope) not in counted]


async def release(uses: Sequence[Mapping[str, Any]], *, on: Connection) -> None:
    """Give back what orders used, as they noted it; in one statement.

    It does not know what was given back before: call it once, with the change of state of the order that makes it
    stand no longer.
    """
    freed: dict[tuple[UUID, str], int] = {}
    for each in uses:
        key = (UUID(str(each["subject"])), str(each["scope"]))
        freed[key] = freed.get(key, 0) + int(each["quantity"])
    if freed:
        keys = sorted(freed)
        await on.execute(
            _RELEASE, [key[0] for key in keys], [key[1] for key in keys], [freed[key] for key in keys]
        )


async def used(subject_scopes: Iterable[tuple[UUID, str]], *, db: PoolOrConnection) -> dict[tuple[UUID, str], int]:
    """Return how often each was used; what never was is left out."""
    keys = sorted(set(subject_scopes))
    if not keys:
        return {}
    rows = await db.fetch(_USED, [key[0] for key in keys], [key[1] for key in keys])
    return {(row["subject"], row["scope"]): row["used"] for row in rows}
