"""Payments for several creators: the shares of each, against their sums, what went back of them, and the books."""

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Final

from services.fold import Part
from services.payment_shares import parts_of
from services.reconciliation.amounts import shown
from services.reconciliation.codes import DifferenceCode
from services.reconciliation.differences import About, AboutKind, Difference
from services.reconciliation.frame import Snapshot

# What is taken out of pending and stands never matures; all else of what was captured has once its time has come.
_SHARES: Final = """
    with taken as (
        select id, taken_from, returned_at is null as stands from refunds where creator_id is null
        union all
        select id, taken_from, returned_at is null from disputes where creator_id is null
    ), gone as (
        select r.share_id, sum(r.net) as net, sum(r.fee) as fee, sum(r.tax) as tax,
            sum(r.from_reserve) as from_reserve,
            sum(r.net - r.from_reserve) filter (where t.taken_from = 'pending') as from_pending
        from return_shares r join taken t on t.id = r.return_id
        where t.stands group by r.share_id
    ), posted as (
        select s.id,
            sum(m.amount) filter (where m.kind = 'capture.net') as net,
            sum(m.amount) filter (where m.kind = 'capture.fee') as fee,
            sum(m.amount) filter (where m.kind = 'capture.tax') as tax,
            sum(m.amount) filter (where m.kind in ('earning.available', 'earning.reserve')) as earned,
            sum(m.amount) filter (where m.kind = 'earning.reserve') as kept,
            sum(m.amount) filter (where m.kind = 'reserve.due') as released
        from payment_shares s join ledger.movement m on m.reference = s.id
        where m.kind in (
            'capture.net', 'capture.fee', 'capture.tax', 'earning.available', 'earning.reserve', 'reserve.due')
        group by s.id
    )
    select p.id as payment_id, p.creator_id as only_creator_id, p.currency, p.captured,
        p.provider_state = 'SUCCEEDED' and p.captured > 0 as is_captured, p.matured_at is not null as is_matured,
        p.gross as payment_gross, p.fixed_fee as payment_fixed_fee, p.fee as payment_fee, p.tax as payment_tax,
        p.net as payment_net, p.returned_net as payment_returned_net, p.returned_fee as payment_returned_fee,
        p.returned_tax as payment_returned_tax, p.reserve as payment_reserve,
        s.id, s.creator_id, s.gross, s.fixed_fee, s.fee, s.tax, s.net, s.returned_net, s.returned_fee,
        s.returned_tax, s.reserve,
        coalesce(gone.net, 0) as gone_net, coalesce(gone.fee, 0) as gone_fee, coalesce(gone.tax, 0) as gone_tax,
        coalesce(gone.from_reserve, 0) as gone_from_reserve, coalesce(gone.from_pending, 0) as gone_from_pending,
        coalesce(posted.net, 0) as posted_net, coalesce(posted.fee, 0) as posted_fee,
        coalesce(posted.tax, 0) as posted_tax, coalesce(posted.earned, 0) as earned,
        coalesce(posted.kept, 0) as kept, coalesce(posted.released, 0) as released
    from payments p
    left join payment_shares s on s.payment_id = p.id
    left join gone on gone.share_id = s.id
    left join posted on posted.id = s.id
    where p.updated_at >= $1 and (p.creator_id is null or s.id is not null)
    order by p.id, s.id
"""
_SUMS: Final = (
    "gross",
    "fixed_fee",
    "fee",
    "tax",
    "net",
    "returned_net",
    "returned_fee",
    "returned_tax",
    "reserve",
)
# What refunds and disputes took, by creator: as it is divided, and as it was posted.
_TAKEN: Final = """
    with taken as (
        select id, 'refund' as noun, payment_id, creator_id, currency, net, fee, tax, from_reserve,
            accepted_at is not null as is_posted
        from refunds where updated_at >= $1 and creator_id is null and net is not null
        union all
        select id, 'dispute', payment_id, creator_id, currency, net, fee, tax, from_reserve, true
        from disputes where updated_at >= $1 and creator_id is null and net is not null
    ), divided as (
        select t.id, sum(r.net) as net, sum(r.fee) as fee, sum(r.tax) as tax, sum(r.from_reserve) as from_reserve,
            bool_and(s.payment_id = t.payment_id) as of_its_payment
        from taken t
        join return_shares r on r.return_id = t.id
        join payment_shares s on s.id = r.share_id
        group by t.id
    ), due as (
        select t.id, s.creator_id, sum(r.net) as net
        from taken t
        join return_shares r on r.return_id = t.id
        join payment_shares s on s.id = r.share_id
        where t.is_posted group by t.id, s.creator_id
    ), posted as (
        select t.id, a.owner as creator_id, sum(m.amount) as net
        from taken t
        join ledger.movement m on m.reference = t.id and m.kind = t.noun || '.net'
        join ledger.account a on a.id = m.debit
        group by t.id, a.owner
    ), wrong as (
        select coalesce(due.id, posted.id) as id, sum(abs(coalesce(due.net, 0) - coalesce(posted.net, 0))) as net
        from due full join posted on (posted.id, posted.creator_id) = (due.id, due.creator_id)
        group by 1
    )
    select t.id, t.noun, t.currency, t.net, coalesce(divided.net, 0) as divided_net,
        (coalesce(divided.net, 0), coalesce(divided.fee, 0), coalesce(divided.tax, 0),
            coalesce(divided.from_reserve, 0)) <> (t.net, t.fee, t.tax, t.from_reserve)
            or not coalesce(divided.of_its_payment, true) as is_divided_wrongly,
        coalesce(wrong.net, 0) as posted_wrongly
    from taken t
    left join divided on divided.id = t.id
    left join wrong on wrong.id = t.id
    where (coalesce(divided.net, 0), coalesce(divided.fee, 0), coalesce(divided.tax, 0),
            coalesce(divided.from_reserve, 0)) <> (t.net, t.fee, t.tax, t.from_reserve)
        or not coalesce(divided.of_its_payment, true) or coalesce(wrong.net, 0) <> 0
    order by t.id
"""
_NOUNS: Final = {"refund": AboutKind.REFUND, "dispute": AboutKind.DISPUTE}


async def find_shares(snapshot: Snapshot) -> AsyncIterator[Difference]:
    """Compare the shares of payments for several creators with all that is said of them elsewhere."""
    rows: list[Any] = []
    async for row in snapshot.rows(_SHARES, snapshot.since):
        if rows and rows[0]["payment_id"] != row["payment_id"]:
            for difference in _of_payment(rows):
                yield difference
            rows = []
        rows.append(row)
    if rows:
        for difference in _of_payment(rows):
            yield difference
    async for row in snapshot.rows(_TAKEN, snapshot.since):
        about, code = About.ours(_NOUNS[row["noun"]], row["id"]), row["currency"]
        if row["is_divided_wrongly"]:
            net, divided = int(row["net"]), int(row["divided_net"])
            sentence = (
                f"It took {shown(net, code)} net of its payment, with fee and tax; of the shares of that it took "
                f"{shown(divided, code)} net, or another fee, tax or reserve."
            )
            yield Difference(DifferenceCode.SHARES_DIFFER, about, sentence, code, net, divided)
        else:
            minor = int(row["posted_wrongly"])
            sentence = (
                f"By creator, what it took of their earnings is not what is posted: {shown(minor, code)} differ."
            )
            yield Difference(DifferenceCode.SHARE_POSTING_DIFFERS, about, sentence, code, 0, minor)


def _of_payment(rows: Sequence[Any]) -> Iterator[Difference]:
    """Yield what is wrong with a payment's shares, in their order; without any there is one row without an id."""
    shares = [row for row in rows if row["id"] is not None]
    first = rows[0]
    about, code = About.ours(AboutKind.PAYMENT, first["payment_id"]), first["currency"]
    if first["only_creator_id"] is not None or not shares:
        there_are = f"{len(shares)} shares" if shares else "no shares"
        whose = "several creators" if first["only_creator_id"] is None else "one creator"
        yield Difference(
            DifferenceCode.SHARES_DIFFER, about, f"It is for {whose}, and there are {there_are} of it."
        )
        return
    wrong = [
        (name, int(first[f"payment_{name}"]), total)
        for name in _SUMS
        if (total := sum(int(row[name]) for row in shares)) != int(first[f"payment_{name}"])
    ]
    if wrong:
        name, due, total = wrong[0]
        sentence = f"Its {name} is {shown(due, code)}, and that of its shares comes to {shown(total, code)}."
        yield Difference(DifferenceCode.SHARES_DIFFER, about, sentence, code, due, total)
        return
    for row in shares:
        for name in ("net", "fee", "tax"):
            due, found = int(row[f"gone_{name}"]), int(row[f"returned_{name}"])
            if due != found:
                sentence = (
                    f"Of the {name} of a share {shown(found, code)} are returned, and by its refunds and disputes "
                    f"{shown(due, code)}."
                )
                yield Difference(DifferenceCode.SHARES_DIFFER, about, sentence, code, due, found)
                return
    parts = parts_of({"creator_id": None}, int(first["captured"]) if first["is_captured"] else 0, shares)
    for row, part in zip(shares, parts, strict=True):
        for what, due, found in _posted(row, part):
            if due != found:
                sentence = (
                    f"Of a share {shown(found, code)} are posted as {what}, and it should be {shown(due, code)}."
                )
                yield Difference(DifferenceCode.SHARE_POSTING_DIFFERS, about, sentence, code, due, found)
                return


def _posted(row: Any, part: Part) -> Iterator[tuple[str, int, int]]:
    """Yield what should be posted of a share, and what is."""
    captured = part.captured
    for name in ("net", "fee", "tax"):
        yield f"captured {name}", 0 if captured is None else getattr(captured, name), int(row[f"posted_{name}"])
    posted = int(row["posted_net"])
    due = posted - int(row["gone_from_pending"]) if row["is_matured"] else 0
    yield "matured", due, int(row["earned"])
    yield "still in reserve", part.reserve, int(row["kept"] - row["gone_from_reserve"] - row["released"])
