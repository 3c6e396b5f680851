"""What payments are for: each has one tip or one order, of the creators it pays."""

from collections.abc import AsyncIterator
from typing import Final

from services.reconciliation.codes import DifferenceCode
from services.reconciliation.differences import About, AboutKind, Difference
from services.reconciliation.frame import Snapshot

_ITEMS: Final = """
    with share as (
        select payment_id, count(*) as number from payment_shares group by payment_id
    ), part as (
        select o.payment_id,
            bool_or(a.creator_id is distinct from coalesce(p.creator_id, s.creator_id)) as differs,
            count(*) as number
        from orders o
        join payments p on p.id = o.payment_id
        join order_parts a on a.order_id = o.id and a.total > 0
        left join payment_shares s on s.id = a.id and s.payment_id = p.id
        group by o.payment_id
    ), line as (
        select o.payment_id, bool_or(s.creator_id <> a.creator_id) as differs
        from orders o
        join order_lines n on n.order_id = o.id
        join order_parts a on a.id = n.part_id
        join products s on s.id = n.product_id
        where o.payment_id is not null
        group by o.payment_id
    )
    select p.id, p.kind, t.id is not null as tipped, o.id is not null as bought
    from payments p
    left join tips t on t.payment_id = p.id
    left join orders o on o.payment_id = p.id
    left join part on part.payment_id = p.id
    left join line on line.payment_id = p.id
    left join share on share.payment_id = p.id
    where p.updated_at >= $1 and (
        (t.id is not null) <> (p.kind = 'tip') or (o.id is not null) <> (p.kind = 'purchase')
        or p.creator_id <> t.creator_id or part.differs or line.differs
        or o.id is not null and coalesce(part.number, 0) <> coalesce(share.number, 1))
    order by p.id
"""


async def find_items(snapshot: Snapshot) -> AsyncIterator[Difference]:
    """Compare payments with the tips and orders they are for."""
    async for row in snapshot.rows(_ITEMS, snapshot.since):
        about = About.ours(AboutKind.PAYMENT, row["id"])
        if not row["tipped"] and not row["bought"]:
            sentence = f"It is for a {row['kind']}, and there is none."
            yield Difference(DifferenceCode.ITEM_MISSING, about, sentence)
        elif row["tipped"] != (row["kind"] == "tip") or row["bought"] != (row["kind"] == "purchase"):
            there_is = " and ".join(
                name for name, column in (("a tip", "tipped"), ("an order", "bought")) if row[column]
            )
            sentence = f"It is for a {row['kind']}, and there is {there_is}."
            yield Difference(DifferenceCode.ITEM_OF_OTHER_KIND, about, sentence)
        else:
            sentence = f"The {row['kind']} it is for is of other creators than the payment."
            yield Difference(DifferenceCode.ITEM_CREATOR_DIFFERS, about, sentence)
