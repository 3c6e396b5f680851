"""Payouts: where each stands, against where the ledger has its money."""

from collections.abc import AsyncIterator
from typing import Final

from services.reconciliation.amounts import shown
from services.reconciliation.codes import DifferenceCode
from services.reconciliation.differences import About, AboutKind, Difference
from services.reconciliation.frame import Snapshot

_PAYOUTS: Final = """
    with posted as (
        -- What a creator owes is recovered in the group that sets a payout's money aside: no part of the payout.
        select r.key, sum(m.amount) filter (where m.kind <> 'payout.recovery') as amount
        from ledger.request r join ledger.movement m using (group_id)
        where r.tenant = 'platform' and r.outcome = 'posted'
            and split_part(r.key, ':', 1) in ('payout', 'transfer', 'transfer_reversed')
        group by r.key
    )
    select o.id, o.currency, o.amount, o.status, asked.amount as asked,
        o.paid_at is not null as paid, paid.key is not null as posted_paid,
        o.returned_at is not null as returned, back.key is not null as posted_returned,
        o.transfer_transaction, there.amount as transferred, o.reversal_transaction, again.amount as taken_back
    from payouts o
    left join posted asked on asked.key = 'payout:' || o.id
    left join posted paid on paid.key = 'payout:' || o.id || ':paid'
    left join posted back on back.key = 'payout:' || o.id || ':failed'
    left join posted there on there.key = 'transfer:' || o.provider || ':' || o.transfer_transaction
    left join posted again on again.key = 'transfer_reversed:' || o.provider || ':' || o.reversal_transaction
    where o.updated_at >= $1 and (
        asked.amount is distinct from o.amount
        or (o.paid_at is not null) <> (paid.key is not null)
        or (o.returned_at is not null) <> (back.key is not null)
        or coalesce(there.amount, 0) <> case when o.transfer_transaction is null then 0 else o.amount end
        or coalesce(again.amount, 0) <> case when o.reversal_transaction is null then 0 else o.amount end)
    order by o.id
"""


async def find_payouts(snapshot: Snapshot) -> AsyncIterator[Difference]:
    """Compare payouts with the groups of each of their steps."""
    async for row in snapshot.rows(_PAYOUTS, snapshot.since):
        about, code, amount = About.ours(AboutKind.PAYOUT, row["id"]), row["currency"], int(row["amount"])
        asked = int(row["asked"] or 0)
        wrong = []
        if asked != amount:
            wrong.append(f"{shown(asked, code)} of {shown(amount, code)} were set aside for it")
        if row["paid"] != row["posted_paid"]:
            wrong.append("it was paid, which is not posted" if row["paid"] else "it is posted as paid")
        if row["returned"] != row["posted_returned"]:
            wrong.append(
                "its money is the creator's again, which is not posted"
                if row["returned"]
                else "its money is posted as the creator's again"
            )
        if wrong:
            sentence = f"It is {row['status']}, and {', and '.join(wrong)}."
            yield Difference(DifferenceCode.PAYOUT_POSTING_DIFFERS, about, sentence, code, amount, asked)
        for transaction, posted in (
            (row["transfer_transaction"], int(row["transferred"] or 0)),
            (row["reversal_transaction"], int(row["taken_back"] or 0)),
        ):
            expected = 0 if transaction is None else amount
            if posted != expected:
                sentence = (
                    f"The provider moved its money with the balance transaction {transaction}; "
                    f"{shown(posted, code)} of {shown(expected, code)} are posted for that."
                )
                yield Difference(
                    DifferenceCode.PAYOUT_TRANSACTION_NOT_POSTED, about, sentence, code, expected, posted
                )
