"""Shares: how a payment divides over the creators it is for.

A payment of one creator is one part, whose id is its own; its row says all there is to say. A payment for several
has shares, which are read only where such a payment is at hand, and which its lock guards.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from ledger.chart import Split
from models.database import Connection
from services.fold import Part, captured_splits

# Creators see their shares in one order everywhere: that of their ids.
_READ: Final = """
    select s.*, f.reserve_basis_points, f.reserve_delay_seconds
    from payment_shares s join fee_rules f on f.id = s.fee_rule_id
    where s.payment_id = any($1::uuid[]) order by s.payment_id, s.id
"""
_WRITE: Final = """
    update payment_shares s set returned_net = t.net, returned_fee = t.fee, returned_tax = t.tax,
        reserve = t.reserve
    from unnest($1::uuid[], $2::numeric[], $3::numeric[], $4::numeric[], $5::numeric[])
        as t (id, net, fee, tax, reserve)
    where s.id = t.id
"""

NONE: Final[Mapping[UUID, Sequence[Any]]] = {}


async def load(rows: Iterable[Any], *, on: Connection) -> Mapping[UUID, Sequence[Any]]:
    """Read the shares of those of some locked payments that have any, each with its rule's terms for reserves."""
    shared: dict[UUID, list[Any]] = {row["id"]: [] for row in rows if row["creator_id"] is None}
    if not shared:
        return NONE
    for share in await on.fetch(_READ, list(shared)):
        shared[share["payment_id"]].append(share)
    return shared


def parts_of(row: Any, captured: int, shares: Sequence[Any] = ()) -> tuple[Part, ...]:
    """Return a payment's parts as its row, or its shares', have them, with so many minor units captured."""
    # Where there is one creator, the payment is its only share.
    rows = [row] if row["creator_id"] is not None else shares
    splits = captured_splits([_split(each) for each in rows], captured) if captured else [None] * len(rows)
    return tuple(
        Part(
            id=each["id"],
            creator_id=each["creator_id"],
            captured=split,
            returned=Split(int(each["returned_net"]), int(each["returned_fee"]), int(each["returned_tax"])),
            reserve=int(each["reserve"]),
        )
        for each, split in zip(rows, splits, strict=True)
    )


async def write(parts: Sequence[Part], *, on: Connection) -> None:
    """Write what went back of shares, and what is kept in reserve of each, in one statement."""
    columns = zip(*((p.id, p.returned.net, p.returned.fee, p.returned.tax, p.reserve) for p in parts), strict=True)
    if parts:
        await on.execute(_WRITE, *map(list, columns))


def _split(row: Any) -> Split:
    return Split(int(row["net"]), int(row["fee"]), int(row["tax"]))
