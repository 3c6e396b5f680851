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
            and split_part(r.key, ':', 1)
                in ('refund', 'refund_transaction', 'refund_returned', 'foreign_settlement')
        group by r.key
    )
    select f.id, f.currency, f.amount, f.status, f.accepted_at is not null as accepted, given.amount as given,
        f.returned_at is not null and f.accepted_at is not null as returned, back.key is not null as given_back,
        f.balance_transaction, paid.amount as paid, f.return_transaction, taken.amount as taken,
        paid_converted.key is not null as paid_converted, taken_converted.key is not null as taken_converted
    from refunds f
    left join posted given on given.key = 'refund:' || f.id
    left join posted back on back.key = 'refund:' || f.id || ':failed'
    left join posted paid on paid.key = 'refund_transaction:' || f.provider || ':' || f.balance_transaction
    left join posted taken on taken.key = 'refund_returned:' || f.provider || ':' || f.return_transaction
    left join posted paid_converted
        on paid_converted.key = 'foreign_settlement:' || f.provider || ':' || f.balance_transaction
    left join posted taken_converted
        on taken_converted.key = 'foreign_settlement:' || f.provider || ':' || f.return_transaction
    where f.updated_at >= $1 and (
        (f.accepted_at is not null) <> (given.key is not null) or given.amount <> f.amount
        or (f.returned_at is not null and f.accepted_at is not null) <> (back.key is not null)
        or f.accepted_at is not null and (
            (f.balance_transaction is not null) <> (coalesce(paid.key, paid_converted.key) is not null)
            or paid.amount <> f.amount
            or (f.return_transaction is not null) <> (coalesce(taken.key, taken_converted.key) is not null)
            or taken.amount <> f.amount))
    order by f.id
"""
_DISPUTES: Final = """
    with posted as (
        select r.key,
            sum(m.amount) filter (where m.kind in ('dispute.withdrawn', 'foreign_settlement.gross')) as withdrawn,
            min(s.code) as asset
        from ledger.request r join ledger.movement m using (group_id) join ledger.asset s on s.id = m.asset_id
        where r.tenant = 'platform' and r.outcome = 'posted'
            and split_part(r.key, ':', 1) in ('dispute', 'dispute_withdrawn', 'dispute_won', 'foreign_settlement')
        group by r.key
    ), standing as (
        select d.*, coalesce(out.key, case when own.key is not null then line.key end) is not null as posted,
            coalesce(out.withdrawn, line.withdrawn) as posted_withdrawn,
            case when out.key is null then line.asset end as settled_in,
            coalesce(back.key, case when own_back.key is not null then line_back.key end) is not null
                as given_back,
            off.key is not null and undone.key is null as borne
        from disputes d
        left join posted out on out.key = 'dispute_withdrawn:' || d.provider || ':' || d.withdrawal_transaction
        left join posted line on line.key = 'foreign_settlement:' || d.provider || ':' || d.withdrawal_transaction
        left join posted own on own.key = 'dispute:' || d.id || ':taken'
        left join posted back on back.key = 'dispute_won:' || d.provider || ':' || d.reinstatement_transaction
        left join posted line_back
            on line_back.key = 'foreign_settlement:' || d.provider || ':' || d.reinstatement_transaction
        left join posted own_back on own_back.key = 'dispute:' || d.id || ':taken:undone'
        left join posted off on off.key = 'dispute:' || d.id || ':written_off'
        left join posted undone on undone.key = 'dispute:' || d.id || ':written_off:undone'
        where d.updated_at >= $1
    )
    select id, currency, status, withdrawn, taken_at is not null as taken, posted, posted_withdrawn, settled_in,
        returned_at is not null as returned, given_back, written_off, borne
    from standing
    where (taken_at is not null) <> posted or posted_withdrawn <> withdrawn
        or (returned_at is not null) <> given_back or (written_off > 0) <> borne
    order by id
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
        for transaction, posted, converted in (
            (row["balance_transaction"], row["paid"], row["paid_converted"]),
            (row["return_transaction"], row["taken"], row["taken_converted"]),
        ):
            # What was converted is in another currency: what it came to cannot be compared with the refund.
            expected = 0 if transaction is None or converted else amount
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
        settled_in = row["settled_in"] or code
        withdrawn = int(row["withdrawn"] or 0) if row["taken"] else 0
        posted = int(row["posted_withdrawn"] or 0)
        if row["taken"] != row["posted"] or withdrawn != posted:
            sentence = (
                f"It is {row['status']}; {shown(withdrawn, settled_in)} were withdrawn for it, and "
                f"{shown(posted, settled_in)} are posted as withdrawn."
            )
            yield Difference(
                DifferenceCode.DISPUTE_POSTING_DIFFERS, about, sentence, settled_in, withdrawn, posted
            )
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
