"""What payments are for: each has one tip or one purchase, and keeps stock no longer than it may."""

from collections.abc import AsyncIterator
from typing import Final

from services.reconciliation.codes import DifferenceCode
from services.reconciliation.differences import About, AboutKind, Difference
from services.reconciliation.frame import Snapshot

_ITEMS: Final = """
    select p.id, p.kind, t.id is not null as tipped, b.id is not null as bought
    from payments p
    left join tips t on t.payment_id = p.id
    left join purchases b on b.payment_id = p.id
    left join products s on s.id = b.product_id
    where p.updated_at >= $1 and (
        (t.id is not null) <> (p.kind = 'tip') or (b.id is not null) <> (p.kind = 'purchase')
        or p.creator_id <> coalesce(t.creator_id, b.creator_id) or p.creator_id <> s.creator_id)
    order by p.id
"""
_STOCK: Final = """
    select p.id, p.status, b.stock_released_at is null as kept
    from purchases b join payments p on p.id = b.payment_id
    where p.updated_at >= $1 and b.stock_reserved
        and (b.stock_released_at is not null) <> (p.provider_state is not distinct from 'CANCELED')
    order by p.id
"""


async def find_items(snapshot: Snapshot) -> AsyncIterator[Difference]:
    """Compare payments with the tips and purchases they are for."""
    async for row in snapshot.rows(_ITEMS, snapshot.since):
        about = About.ours(AboutKind.PAYMENT, row["id"])
        if not row["tipped"] and not row["bought"]:
            sentence = f"It is for a {row['kind']}, and there is none."
            yield Difference(DifferenceCode.ITEM_MISSING, about, sentence)
        elif row["tipped"] != (row["kind"] == "tip") or row["bought"] != (row["kind"] == "purchase"):
            there_is = " and ".join(
                name for name in ("tip", "purchase") if row[{"tip": "tipped"}.get(name, "bought")]
            )
            sentence = f"It is for a {row['kind']}, and there is a {there_is}."
            yield Difference(DifferenceCode.ITEM_OF_OTHER_KIND, about, sentence)
        else:
            sentence = f"The {row['kind']} it is for is another creator's than the payment."
            yield Difference(DifferenceCode.ITEM_CREATOR_DIFFERS, about, sentence)
    async for row in snapshot.rows(_STOCK, snapshot.since):
        about = About.ours(AboutKind.PAYMENT, row["id"])
        if row["kept"]:
            sentence = "It was cancelled, and the stock that was kept for it still is."
            yield Difference(DifferenceCode.STOCK_NOT_RELEASED, about, sentence)
        else:
            sentence = f"It is {row['status']}, and the stock that was kept for it was released."
            yield Difference(DifferenceCode.STOCK_RELEASED_WRONGLY, about, sentence)
