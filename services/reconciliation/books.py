"""The provider's books: read once, line by line, and matched with the ledger's groups in both directions."""

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import orjson

from ledger.chart import BalanceTransaction
from models.database import Connection
from providers.payments.base import BalanceEntry, BalanceKind, Capability, ProviderError, Subject
from services.fold import moves_nothing
from services.reconciliation.amounts import shown
from services.reconciliation.codes import DifferenceCode
from services.reconciliation.differences import About, AboutKind, Difference, LookUp
from services.reconciliation.frame import PATIENCE_SECONDS, Frame, Snapshot

_BATCH: Final = 1_000
_BALANCE_ATTEMPTS: Final = 5
# What the provider dates and what we date may be a little apart, so more is read than is judged.
_MARGIN: Final = timedelta(days=1)
_LATE: Final = timedelta(minutes=5)

# A line's kind and the groups that may be posted for it. Of what is billed all is a fee. What was settled in
# another currency waits in suspense.
_PREFIXES: Final[Mapping[BalanceKind, BalanceTransaction]] = {
    BalanceKind.CHARGE: BalanceTransaction.CHARGE,
    BalanceKind.CAPTURE_REVERSED: BalanceTransaction.CAPTURE_REVERSED,
    BalanceKind.REFUND: BalanceTransaction.REFUND,
    BalanceKind.REFUND_RETURNED: BalanceTransaction.REFUND_RETURNED,
    BalanceKind.DISPUTE_WITHDRAWN: BalanceTransaction.DISPUTE_WITHDRAWN,
    BalanceKind.DISPUTE_WON: BalanceTransaction.DISPUTE_WON,
    BalanceKind.TRANSFER: BalanceTransaction.TRANSFER,
    BalanceKind.TRANSFER_REVERSED: BalanceTransaction.TRANSFER_REVERSED,
    BalanceKind.PLATFORM_PAYOUT: BalanceTransaction.PLATFORM_PAYOUT,
    BalanceKind.PLATFORM_PAYOUT_RETURNED: BalanceTransaction.PLATFORM_PAYOUT_RETURNED,
    BalanceKind.TOP_UP: BalanceTransaction.PLATFORM_TOP_UP,
    BalanceKind.PROVIDER_FEE: BalanceTransaction.PROVIDER_FEE,
}
_KINDS: Final = orjson.dumps({kind.value: prefix.value for kind, prefix in _PREFIXES.items()}).decode()

_OPEN: Final = """
    create temporary table reconciliation_line (
        id text primary key, kind text not null, subject text, provider_reference text, fee numeric not null,
        net numeric not null, currency text not null, at timestamptz not null
    )
"""
_CLOSE: Final = "drop table if exists pg_temp.reconciliation_line"
_KEEP: Final = """
    insert into pg_temp.reconciliation_line
    select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::numeric[], $6::numeric[], $7::text[],
        $8::timestamptz[])
    on conflict (id) do nothing
"""
# What a group did to the provider's balance: debited, the balance grows. A group that a reversal under a key of
# another form has taken back was a mistake, and matches no line.
_MATCH: Final = """
    with request as (
        select group_id, key, split_part(key, ':', 1) as prefix, decided_at,
            substr(key, length(split_part(key, ':', 1)) + length($1) + 3) as line
        from ledger.request
        where tenant = 'platform' and outcome = 'posted' and split_part(key, ':', 1) = any($2::text[])
            and split_part(key, ':', 2) = $1
    ), leg as (
        select m.id, r.group_id, m.effective_at, s.code as currency,
            case when d.kind = 'balance' then m.amount else -m.amount end as net,
            case
                when d.kind in ('provider_fees', 'dispute_fees') then m.amount
                when c.kind in ('provider_fees', 'dispute_fees') then -m.amount
                else 0
            end as fee
        from request r
        join ledger.movement m using (group_id)
        join ledger.account d on d.id = m.debit
        join ledger.account c on c.id = m.credit
        join ledger.asset s on s.id = m.asset_id
        where (d.kind = 'balance') <> (c.kind = 'balance')
    ), corrected as (
        select distinct leg.group_id
        from leg
        join ledger.reversal back on back.original_id = leg.id
        join ledger.movement m on m.id = back.movement_id
        where not exists (select from request r where r.group_id = m.group_id)
    ), booked as (
        select r.key, r.prefix, r.line, r.decided_at, min(leg.effective_at) as at, min(leg.currency) as currency,
            sum(leg.net) as net, sum(leg.fee) as fee
        from request r
        join leg using (group_id)
        where not exists (select from corrected where corrected.group_id = r.group_id)
        group by r.key, r.prefix, r.line, r.decided_at
        having min(leg.effective_at) >= $3
    )
    select l.id, l.kind, l.subject, l.provider_reference, l.net, l.fee, l.currency, l.at,
        b.key, b.prefix, b.line, b.net as booked_net, b.fee as booked_fee, b.currency as booked_currency,
        b.at as booked_at, b.decided_at
    from pg_temp.reconciliation_line l
    full join booked b on b.line = l.id
    where l.id is null or b.line is null or (l.net, l.currency) <> (b.net, b.currency)
        or case l.kind when 'PROVIDER_FEE' then -l.net else l.fee end <> b.fee
        or b.prefix <> all (array[coalesce($4::jsonb ->> l.kind, ''), 'foreign_settlement'])
    order by coalesce(l.at, b.at), coalesce(l.id, b.line)
"""
_HELD: Final = """
    select s.code, -sum(a.posted) as minor
    from ledger.account a join ledger.asset s on s.id = a.asset_id
    where a.kind = 'balance' and a.provider = $1 group by s.code
"""
_SUMS: Final = "select currency, sum(net) as minor from pg_temp.reconciliation_line group by currency"


@dataclass(slots=True)
class Books:
    """What was read of the provider's books: ``entries`` lines.

    ``failure`` is why they could not be read to the end. ``balances`` is what the provider said it holds,
    in minor units by currency, and ``unsure`` the currencies in which that never agreed with its own lines.
    ``in_flight`` is what in each currency only one side knows and is too young to be judged.
    """

    possible: bool = True
    entries: int = 0
    failure: ProviderError | None = None
    balances: dict[str, int] = field(default_factory=dict)
    unsure: frozenset[str] = frozenset()
    in_flight: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))


@asynccontextmanager
async def opened(frame: Frame, connection: Connection) -> AsyncIterator[Books]:
    """Read the provider's books into a temporary table of the connection, outside of any transaction."""
    books = Books(possible=Capability.BALANCE_FEED in frame.engine.provider.capabilities.features)
    await _write(connection, _CLOSE)
    await _write(connection, _OPEN)
    try:
        if books.possible:
            try:
                await _read(frame, connection, books)
            except ProviderError as error:
                books.failure = error
        yield books
    finally:
        if not connection.is_closed():
            await _write(connection, _CLOSE)


async def _write(connection: Connection, statement: str) -> None:
    """Make or drop the table on a connection that otherwise only reads."""
    async with connection.transaction():
        await connection.execute("set transaction read write")
        await connection.execute(statement)


async def _read(frame: Frame, connection: Connection, books: Books) -> None:
    since = frame.since if frame.whole else frame.since - _MARGIN
    last = await _read_lines(frame, connection, books, since)
    if not frame.whole:
        return
    # Money moves while the books are read. What the provider holds has to be what its lines sum to at some moment
    # between two readings; where that is never seen it is asked again.
    sums = await _sums(connection)
    for _ in range(_BALANCE_ATTEMPTS):
        books.balances = {code: minor for code, minor in (await frame.engine.provider.balances()).items() if minor}
        seen: defaultdict[str, set[int]] = defaultdict(set)
        for code, minor in sums.items():
            seen[code].add(minor)
        before = dict(sums)
        # A line is dated a little before it can be read.
        last = await _read_lines(frame, connection, books, last - _LATE, seen, before)
        sums = await _sums(connection)
        books.unsure = frozenset(
            code
            for code in {*books.balances, *sums, *before}
            if books.balances.get(code, 0) not in (seen[code] or {0})
        )
        if not books.unsure:
            return


async def _sums(connection: Connection) -> dict[str, int]:
    return {row["currency"]: int(row["minor"]) for row in await connection.fetch(_SUMS, timeout=PATIENCE_SECONDS)}


async def _read_lines(
    frame: Frame,
    connection: Connection,
    books: Books,
    since: Any,
    seen: defaultdict[str, set[int]] | None = None,
    sums: dict[str, int] | None = None,
) -> Any:
    """Keep the lines from a moment on; return the moment of the last. ``seen`` collects every sum on the way."""
    batch: list[BalanceEntry] = []
    last = since
    async for entry in frame.engine.provider.balance_entries(since):
        last = max(last, entry.at)
        batch.append(entry)
        if len(batch) == _BATCH:
            await _keep(connection, books, batch, seen, sums)
            batch = []
    if batch:
        await _keep(connection, books, batch, seen, sums)
    return last


async def _keep(
    connection: Connection,
    books: Books,
    batch: list[BalanceEntry],
    seen: defaultdict[str, set[int]] | None,
    sums: dict[str, int] | None,
) -> None:
    if seen is not None and sums is not None:
        known = await connection.fetch(
            "select id from pg_temp.reconciliation_line where id = any($1::text[])", [entry.id for entry in batch]
        )
        old = {row["id"] for row in known}
        for entry in batch:
            if entry.id not in old:
                sums[entry.currency] = sums.get(entry.currency, 0) + entry.net
                seen[entry.currency].update({sums[entry.currency], sums[entry.currency] - entry.net})
    status = await connection.execute(
        _KEEP,
        [entry.id for entry in batch],
        [entry.kind.value for entry in batch],
        [entry.subject.value if entry.subject else None for entry in batch],
        [entry.provider_reference for entry in batch],
        [entry.fee for entry in batch],
        [entry.net for entry in batch],
        [entry.currency for entry in batch],
        [entry.at for entry in batch],
    )
    books.entries += int(status.rpartition(" ")[2])


async def find_lines(snapshot: Snapshot, books: Books) -> AsyncIterator[Difference]:
    """Match lines and groups; yield where one is missing or they disagree."""
    since = snapshot.since if snapshot.whole else snapshot.since - _MARGIN
    async for row in snapshot.rows(
        _MATCH, snapshot.provider, [prefix.value for prefix in BalanceTransaction], since, _KINDS
    ):
        if row["id"] is None:
            difference = _without_line(snapshot, row)
        elif row["line"] is None:
            difference = _without_group(snapshot, row)
        else:
            difference = _disagreeing(row)
        if difference is not None:
            yield difference
        elif row["id"] is None:
            books.in_flight[row["booked_currency"]] -= int(row["booked_net"])
        elif row["at"] >= snapshot.since:
            books.in_flight[row["currency"]] += int(row["net"])


def _without_group(snapshot: Snapshot, row: Any) -> Difference | None:
    if not snapshot.since <= row["at"] <= snapshot.judged_until:
        return None
    net, code = int(row["net"]), row["currency"]
    if moves_nothing(row["kind"], net, int(row["fee"])):
        return None
    told = f"The provider's line {row['id']} ({row['kind']}, {shown(net, code)} net)"
    about = About(AboutKind.BALANCE_TRANSACTION, row["id"])
    if row["kind"] == BalanceKind.OTHER or row["subject"] is None or row["provider_reference"] is None:
        sentence = f"{told} is about none of our objects, and the ledger has nothing for it."
        return Difference(DifferenceCode.LINE_UNEXPLAINED, about, sentence, code, net, 0)
    return Difference(
        DifferenceCode.LINE_NOT_IN_LEDGER,
        about,
        f"{told} has no group in the ledger.",
        code,
        net,
        0,
        (LookUp(Subject(row["subject"]), row["provider_reference"]),),
    )


def _without_line(snapshot: Snapshot, row: Any) -> Difference | None:
    if row["booked_at"] < snapshot.since or row["decided_at"] > snapshot.posted_until:
        return None
    net, code = int(row["booked_net"]), row["booked_currency"]
    return Difference(
        DifferenceCode.GROUP_NOT_IN_BOOKS,
        About(AboutKind.BALANCE_TRANSACTION, row["line"]),
        f"The ledger's group {row['key']} moved {shown(net, code)}, and the provider's books have no such line.",
        code,
        0,
        net,
    )


def _disagreeing(row: Any) -> Difference:
    theirs = f"{row['kind']}, {shown(int(row['net']), row['currency'])} net, {row['fee']} of it in fees"
    ours = f"{shown(int(row['booked_net']), row['booked_currency'])} net, {row['booked_fee']} of it in fees"
    return Difference(
        DifferenceCode.LINE_DIFFERS,
        About(AboutKind.BALANCE_TRANSACTION, row["id"]),
        f"The provider's line {row['id']} is {theirs}; the ledger's group {row['key']} is {ours}.",
        row["currency"],
        int(row["net"]),
        int(row["booked_net"]),
    )


async def find_balances(snapshot: Snapshot, books: Books) -> AsyncIterator[Difference]:
    """Compare what the provider holds with its lines, and with the ledger. Only where all lines were read."""
    held = {row["code"]: int(row["minor"]) async for row in snapshot.rows(_HELD, snapshot.provider)}
    sums = await _sums(snapshot.connection)
    for code in sorted({*held, *sums, *books.balances}):
        theirs, lines = books.balances.get(code, 0), sums.get(code, 0)
        about = About(AboutKind.CURRENCY, code)
        if code in books.unsure:
            yield Difference(
                DifferenceCode.BOOKS_DO_NOT_SUM,
                about,
                f"The provider says it holds {shown(theirs, code)}, and its lines sum to {shown(lines, code)}.",
                code,
                lines,
                theirs,
            )
        ours = held.get(code, 0) + books.in_flight[code]
        if ours != lines:
            yield Difference(
                DifferenceCode.BALANCE_DIFFERS,
                about,
                f"By the provider's books it holds {shown(lines, code)}, by the ledger {shown(ours, code)}.",
                code,
                lines,
                ours,
            )
