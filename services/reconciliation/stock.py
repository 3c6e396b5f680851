"""Stock: each level is what its movements and reservations make it, and keeps for orders what they are owed."""

from collections.abc import AsyncIterator
from typing import Final

from core import ids
from core.ids import Noun
from services.reconciliation.codes import DifferenceCode
from services.reconciliation.differences import About, AboutKind, Difference
from services.reconciliation.frame import Snapshot

_LEVELS: Final = """
    select s.variant_id, s.location_id, s.on_hand, s.reserved, coalesce(h.quantity, 0) as held,
        coalesce(m.on_hand, 0) as moved_on_hand, coalesce(m.reserved, 0) as moved_reserved
    from stock_levels s
    left join (
        select level_id, sum(quantity) as quantity from stock_reservations where state = 'HELD' group by level_id
    ) h on h.level_id = s.id
    left join (
        select level_id, sum(on_hand) as on_hand, sum(reserved) as reserved from stock_movements group by level_id
    ) m on m.level_id = s.id
    where s.updated_at >= $1 and (
        s.reserved <> coalesce(h.quantity, 0) or s.on_hand <> coalesce(m.on_hand, 0)
        or s.reserved <> coalesce(m.reserved, 0))
    order by s.variant_id, s.location_id
"""
# What was lost to a payment that came late is told by an event of the order, and paid back.
_ORDERS: Final = """
    with lines as (
        select n.order_id,
            bool_or(r.state = 'HELD') as held, bool_or(r.state = 'TAKEN') as taken,
            bool_and(r.state = 'RELEASED') as released, bool_or(v.stock_tracked) as tracked
        from stock_reservations r
        join order_lines n on n.id = r.line_id
        join product_variants v on v.id = n.variant_id
        group by n.order_id, n.id
    )
    select o.id, o.status, o.paid_at is not null as paid, bool_or(n.held) as held, bool_or(n.taken) as taken
    from lines n join orders o on o.id = n.order_id
    where o.updated_at >= $1 and (
        n.held and (o.paid_at is not null or o.status = 'CANCELED')
        or n.taken and o.paid_at is null
        or n.released and n.tracked and o.paid_at is not null and not exists (
            select from order_events e where e.order_id = o.id and e.kind = 'STOCK_LOST'))
    group by o.id
    order by o.id
"""


async def find_stock(snapshot: Snapshot) -> AsyncIterator[Difference]:
    """Compare stock levels with what they come from, and reservations with the orders they are for."""
    async for row in snapshot.rows(_LEVELS, snapshot.since):
        about = About.ours(AboutKind.VARIANT, row["variant_id"])
        place = ids.encode(Noun.STOCK_LOCATION, row["location_id"])
        if row["reserved"] != row["held"]:
            sentence = f"At {place} {row['reserved']} are reserved, and {row['held']} are held for orders."
        else:
            sentence = (
                f"At {place} there are {row['on_hand']}, {row['reserved']} of them reserved, and its movements "
                f"make {row['moved_on_hand']} and {row['moved_reserved']}."
            )
        yield Difference(DifferenceCode.STOCK_LEVEL_DIFFERS, about, sentence)
    async for row in snapshot.rows(_ORDERS, snapshot.since):
        about = About.ours(AboutKind.ORDER, row["id"])
        if row["held"]:
            sentence = f"It is {row['status']}, and stock is still held for it."
            yield Difference(DifferenceCode.STOCK_NOT_RELEASED, about, sentence)
        elif not row["paid"]:
            sentence = f"It is {row['status']} and not paid, and its stock counts as sold."
            yield Difference(DifferenceCode.STOCK_SOLD_WRONGLY, about, sentence)
        else:
            sentence = f"It is {row['status']}, and the stock that was held for it was released."
            yield Difference(DifferenceCode.STOCK_RELEASED_WRONGLY, about, sentence)
