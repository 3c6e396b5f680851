"""Accounts of the books: what they hold now, and their statements page by page."""

import struct
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

import ledger
from core.errors import ErrorCode, Refused
from core.money import Money, currency
from ledger import AccountKind, AccountSpec, Position, StatementLine
from ledger.chart import CREATOR_KINDS, PERSONAL_KINDS, PROVIDER_KINDS
from models.database import Connection
from services.engine import Engine
from services.paging import Page, PageQuery, foreign_cursor, page_size

# One statement and so one moment for all that is asked for. A striped account is its stripes taken together.
_READ: Final = """
    select account.id, creators.id is not null or users.id is not null as has_owner,
        coalesce(balance.posted, 0) as posted, coalesce(balance.held, 0) as held,
        coalesce(balance.available, 0) as available, coalesce(balance.version, 0) as version
    from unnest($1::text[], $2::uuid[], $3::uuid[]) with ordinality as asked (code, creator, person, number)
    left join creators on creators.id = asked.creator
    left join users on users.id = asked.person
    left join ledger.account on account.code = asked.code and account.stripe = 0
    left join lateral (
        select sum(posted) as posted, sum(held_out) as held, sum(posted - held_out) as available,
            sum(version)::bigint as version
        from ledger.account as stripe
        where stripe.id = account.id or stripe.stripe_of = account.id
    ) as balance on true
    order by asked.number
"""
# The first and the last version of each stripe that lies between two moments and before a position.
_BOUNDED: Final = """
    with stripe as (
        select account.id,
            case when $2::timestamptz is null then 0 else ledger.version_at(account.id, $2, false) end as before,
            least(
                account.version,
                case when $3::timestamptz is null then account.version
                else ledger.version_at(account.id, $3, false) end,
                case when $4::timestamptz is null then account.version
                when account.id = $5::bigint then $6::bigint - 1
                else ledger.version_at(account.id, $4, account.id < $5) end
            ) as last
        from ledger.account
        where account.id = $1 or account.stripe_of = $1
    )
"""
_COUNT: Final = f"{_BOUNDED} select coalesce(sum(greatest(last - before, 0)), 0)::bigint from stripe"  # ruff: ignore[hardcoded-sql-expression] - made of constants
_LAST: Final = f"""
    {_BOUNDED}
    select line.posted_at, line.account as row, line.version as row_version
    from stripe
    cross join lateral (
        select entry.posted_at, entry.account, entry.version
        from ledger.entry
        where entry.account = stripe.id and entry.version > stripe.before and entry.version <= stripe.last
        order by entry.version desc
        limit $7
    ) as line
    order by line.posted_at desc, line.account desc, line.version desc
    limit $7
"""  # ruff: ignore[hardcoded-sql-expression] - made of constants
_ABOUT: Final = """
    select other.kind, other.owner, other.provider, coalesce(payments.creator_id, share.creator_id) as creator_id,
        tips.id as tip_id, orders.id as order_id, orders.origin = 'PURCHASE' as is_purchase,
        coalesce(share.id, part.id) as sale_id
    from unnest($1::bigint[], $2::uuid[]) with ordinality as line (counterparty, reference, number)
    join ledger.account as other on other.id = line.counterparty
    left join payments on payments.id = line.reference
    left join payment_shares as share on share.id = line.reference
    left join tips on tips.payment_id = payments.id
    left join orders on orders.payment_id = coalesce(payments.id, share.payment_id)
    left join order_parts as part on part.order_id = orders.id and part.creator_id = payments.creator_id
    order by line.number
"""
# Of which account it is, microseconds since the epoch, the stripe as its distance from the account, the version.
_CURSOR: Final = struct.Struct(">6sqqq")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_LARGEST: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Account:
    """An account as it was at one moment. Without an ``id`` it was never opened, and so has no lines.

    ``available`` is ``posted`` without what is ``held``; ``version`` is the number of its statement's lines.
    """

    spec: AccountSpec
    id: int | None
    posted: Money
    held: Money
    available: Money
    version: int


@dataclass(frozen=True, slots=True)
class Line:
    """A line of an account's statement with the account on the other side.

    ``creator_id`` is whom the payment it is about, or that share of it, was for; that payment was for one of tip
    and order. ``sale_id`` is that creator's part of the order; ``is_purchase`` says that it was bought by itself.
    """

    entry: StatementLine
    kind: AccountKind
    owner: UUID | None
    provider: str | None
    creator_id: UUID | None
    tip_id: UUID | None
    order_id: UUID | None
    is_purchase: bool | None
    sale_id: UUID | None


def named(name: str, code: str, owner: UUID | None, provider: str | None) -> AccountSpec:
    """Return the name of an account of a currency; ``name`` is its kind's.

    Errors: CURRENCY_NOT_SUPPORTED, INPUT_INVALID (an owner or a provider too many or too few).
    """
    kind = AccountKind(name)
    asset = currency(code).code
    for what, given, needed in (
        ("owner", owner, kind in PERSONAL_KINDS),
        ("provider", provider, kind in PROVIDER_KINDS),
    ):
        if (given is not None) != needed:
            raise Refused(
                ErrorCode.INPUT_INVALID,
                f"Say which {what}: a {kind.name} account has one."
                if needed
                else f"Leave out the {what}: a {kind.name} account has none.",
                path=(what,),
            )
    return AccountSpec(kind, asset, owner, provider)


async def read(engine: Engine, specs: Sequence[AccountSpec]) -> list[Account | None]:
    """Read accounts at one moment, in the order they are asked for; None where there is nobody to have one.

    An account that was never opened is empty.
    """
    rows = await engine.database.reader.fetch(
        _READ,
        [spec.code for spec in specs],
        [spec.owner if spec.kind in CREATOR_KINDS else None for spec in specs],
        [spec.owner if spec.kind is AccountKind.WALLET else None for spec in specs],
    )
    return [_account(engine, spec, row) for spec, row in zip(specs, rows, strict=True)]


def _account(engine: Engine, spec: AccountSpec, row: Any) -> Account | None:
    is_platforms = spec.owner is None and spec.provider in {None, engine.provider.name}
    if row["id"] is None and not (row["has_owner"] or is_platforms):
        return None
    asset = currency(spec.asset)
    return Account(
        spec=spec,
        id=row["id"],
        posted=Money(int(row["posted"]), asset),
        held=Money(int(row["held"]), asset),
        available=Money(int(row["available"]), asset),
        version=row["version"],
    )


async def statement(
    engine: Engine, account: Account, query: PageQuery, since: datetime | None, until: datetime | None
) -> Page:
    """Read a page of an account's statement, oldest first: rows are :class:`Line`.

    ``since`` (included) and ``until`` (not included) are moments of posting. Of a striped account only what is
    settled is shown, so that a page never changes and no line appears before a cursor.
    Errors: INPUT_INVALID (page size, both directions at once, a cursor of another account, a period that ends
    before it begins).
    """
    size, backwards = page_size(query)
    cursor = query.before if backwards else query.after
    position = None if cursor is None else _decode(account, cursor)
    if since is not None and until is not None and since > until:
        raise Refused(
            ErrorCode.INPUT_INVALID, "The period ends before it begins: swap from and to.", path=("from",)
        )
    if account.id is None:
        return Page([], [], has_next=False, has_previous=False, count=_nothing)
    account_id = account.id
    if account.spec.striped:
        # It waits for whoever is posting, by locks, which only a connection that may write can take.
        async with engine.database.writer.acquire() as connection:
            settled = await ledger.settled_until(account_id, on=connection)
        until = min((moment for moment in (until, settled) if moment is not None), default=None)
    async with engine.database.reader.acquire() as connection:
        if backwards:
            entries, more = await _last(connection, account_id, position, since, until, size)
        else:
            entries = await ledger.statement(
                account_id, on=connection, after=position, since=since, until=until, limit=size + 1
            )
            entries, more = entries[:size], len(entries) > size
        lines = await _about(connection, entries)

    async def count() -> int:
        total: int = await engine.database.reader.fetchval(_COUNT, account_id, since, until, None, None, None)
        return total

    return Page(
        rows=lines,
        cursors=[_encode(account, entry.position) for entry in entries],
        has_next=cursor is not None if backwards else more,
        has_previous=more if backwards else cursor is not None,
        count=count,
    )


async def _nothing() -> int:
    return 0


async def _last(
    connection: Connection,
    account_id: int,
    position: Position | None,
    since: datetime | None,
    until: datetime | None,
    size: int,
) -> tuple[list[StatementLine], bool]:
    """Return the last lines before a position, and whether there are more before them."""
    before = (None, None, None) if position is None else (position.posted_at, position.row, position.row_version)
    found = await connection.fetch(_LAST, account_id, since, until, *before, size + 1)
    more = len(found) > size
    if not found:
        return [], False
    # What stands before a line does not change any more, so this many lines after that place are the same ones.
    entries = await ledger.statement(
        account_id,
        on=connection,
        after=Position(**found[-1]) if more else None,
        since=since,
        limit=min(len(found), size),
    )
    return entries, more


async def _about(connection: Connection, entries: Sequence[StatementLine]) -> list[Line]:
    if not entries:
        return []
    rows = await connection.fetch(
        _ABOUT, [entry.counterparty for entry in entries], [entry.reference for entry in entries]
    )
    return [
        Line(entry, **{**row, "kind": AccountKind(row["kind"])}) for entry, row in zip(entries, rows, strict=True)
    ]


def _mark(account: Account) -> bytes:
    return sha256(account.spec.code.encode()).digest()[:6]


def _encode(account: Account, position: Position) -> str:
    moment = (position.posted_at - _EPOCH) // _MICROSECOND
    stripe = position.row - (account.id or 0)
    return urlsafe_b64encode(_CURSOR.pack(_mark(account), moment, stripe, position.row_version)).decode()


def _decode(account: Account, cursor: str) -> Position:
    try:
        mark, moment, stripe, version = _CURSOR.unpack(b64decode(cursor, altchars=b"-_", validate=True))
        position = Position(_EPOCH + moment * _MICROSECOND, (account.id or 0) + stripe, version)
    except (ValueError, OverflowError, struct.error):
        raise foreign_cursor() from None
    if mark != _mark(account) or version < 1 or not 0 <= position.row <= _LARGEST:
        raise foreign_cursor()
    return position
