"""Refunds and disputes: what became of each, against what was posted for it."""

from collections.abc import AsyncIterator
from typing import Final

from services.reconciliation.amounts import shown
from services.reconciliation.codes import DifferenceCode
from services.reconciliation.differences import About, AboutKind, Difference
from services.reconciliation.frame import Snapshot

_REFUNDS: Final = """
    with posted as (
        select r.key, sum(m.amount) as amount
        from ledger.request r join ledger.movement m using (group_id)
        where r.tenant = 'platform' and r.outcome = 'posted'
            and split_part(r.key, ':', 1) in ('refund', 'refund_transaction', 'refund_returned')
        group by r.key
    )
    select f.id, f.currency, f.amount, f.status, f.accepted_at is not null as accepted, given.amount as given,
        f.returned_at is not null and f.accepted_at is not null as returned, back.key is not null as given_back,
        f.balance_transaction, paid.amount as paid, f.return_transaction, taken.amount as taken
    from refunds f
    left join posted given on given.key = 'refund:' || f.id
    left join posted back on back.key = 'refund:' || f.id || ':failed'
    left join posted paid on paid.key = 'refund_transaction:' || f.provider || ':' || f.balance_transaction
    left join posted taken on taken.key = 'refund_returned:' || f.provider || ':' || f.return_transaction
    where f.updated_at >= $1 and (
        (f.accepted_at is not null) <> (given.key is not null) or given.amount <> f.amount
        or (f.returned_at is not null and f.accepted_at is not null) <> (back.key is not null)
        or f.accepted_at is not null and (
            (f.balance_transaction is not null) <> (paid.key is not null) or paid.amount <> f.amount
            or (f.return_transaction is not null) <> (taken.key is not null) or taken.amount <> f.amount))
    order by f.id
"""
_DISPUTES: Final = """
    with posted as (
        select r.key, sum(m.amount) filter (where m.kind = 'dispute.withdrawn') as withdrawn
        from ledger.request r join ledger.movement m using (group_id)
        where r.tenant = 'platform' and r.outcome = 'posted'
            and split_part(r.key, ':', 1) in ('dispute', 'dispute_withdrawn', 'dispute_won')
        group by r.key
    )
    select d.id, d.currency, d.status, d.withdrawn, d.taken_at is not null as taken, out.key is not null as posted,
        out.withdrawn as posted_withdrawn, d.returned_at is not null as returned,
        back.key is not null as given_back, d.written_off, off.key is not null and undone.key is null as borne
    from disputes d
    left join posted out on out.key = 'dispute_withdrawn:' || d.provider || ':' || d.withdrawal_transaction
    left join posted back on back.key = 'dispute_won:' || d.provider || ':' || d.reinstatement_transaction
    left join posted off on off.key = 'dispute:' || d.id || ':written_off'
    left join posted undone on undone.key = 'dispute:' || d.id || ':written_off:undone'
    where d.updated_at >= $1 and (
        (d.taken_at is not null) <> (out.key is not null) or out.withdrawn <> d.withdrawn
        or (d.returned_at is not null) <> (back.key is not null)
        or (d.written_off > 0) <> (off.key is not null and undone.key is null))
    order by d.id
"""


async def find_refunds(snapshot: Snapshot) -> AsyncIterator[Difference]:
    """Compare refunds with the groups of their acceptance, their failure and the provider's lines for them."""
    async for row in snapshot.rows(_REFUNDS, snapshot.since):
        about, code, amount = About.ours(AboutKind.REFUND, row["id"]), row["currency"], int(row["amount"])
        given = None if row["given"] is None else int(row["given"])
        if (given is not None) != row["accepted"] or given not in {None, amount}:
            sentence = (
                f"It is {row['status']}, {'accepted' if row['accepted'] else 'not accepted'}, over "
                f"{shown(amount, code)}; {shown(given or 0, code)} are posted for it."
            )
            expected = amount if row["accepted"] else 0
            yield Difference(DifferenceCode.REFUND_POSTING_DIFFERS, about, sentence, code, expected, given or 0)
        if row["returned"] != row["given_back"]:
            sentence = (
                "It failed, and what it took is not posted back."
                if row["returned"]
                else f"It is {row['status']}, and what it took is posted back as if it had failed."
            )
            yield Difference(DifferenceCode.REFUND_RETURN_POSTING_DIFFERS, about, sentence)
        for transaction, posted in (
            (row["balance_transaction"], row["paid"]),
            (row["return_transaction"], row["taken"]),
        ):
            expected = 0 if transaction is None else amount
            if row["accepted"] and int(posted or 0) != expected:
                sentence = (
                    f"The provider moved its money with the balance transaction {transaction}; "
                    f"{shown(int(posted or 0), code)} of {shown(expected, code)} are posted for that."
                )
                yield Difference(
                    DifferenceCode.REFUND_TRANSACTION_NOT_POSTED, about, sentence, code, expected, int(posted or 0)
                )


async def find_disputes(snapshot: Snapshot) -> AsyncIterator[Difference]:
    """Compare disputes with the groups of their withdrawal, their reinstatement and their write-off."""
    async for row in snapshot.rows(_DISPUTES, snapshot.since):
        about, code = About.ours(AboutKind.DISPUTE, row["id"]), row["currency"]
        withdrawn = int(row["withdrawn"] or 0) if row["taken"] else 0
        posted = int(row["posted_withdrawn"] or 0)
        if row["taken"] != row["posted"] or withdrawn != posted:
            sentence = (
                f"It is {row['status']}; {shown(withdrawn, code)} were withdrawn for it, and "
                f"{shown(posted, code)} are posted as withdrawn."
            )
            yield Difference(DifferenceCode.DISPUTE_POSTING_DIFFERS, about, sentence, code, withdrawn, posted)
        if row["returned"] != row["given_back"]:
            sentence = (
                "What was withdrawn came back, and that is not posted."
                if row["returned"]
                else f"It is {row['status']}, and what was withdrawn is posted as if it had come back."
            )
            yield Difference(DifferenceCode.DISPUTE_RETURN_POSTING_DIFFERS, about, sentence)
        elif (row["written_off"] > 0) != row["borne"]:
            sentence = (
                f"{shown(int(row['written_off']), code)} of it were written off, and the ledger "
                f"{'says so' if row['borne'] else 'does not say so'}."
            )
            yield Difference(DifferenceCode.DISPUTE_RETURN_POSTING_DIFFERS, about, sentence)
