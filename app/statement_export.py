"""A statement on its way out, read and written piece by piece."""

from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import ledger
from app.statement_formats import WRITERS, Format, Row
from core.money import Currency, Money
from ledger.connections import Connection

_CHUNK: Final = 200
_REMEMBERED_LIMIT: Final = 10_000
_ACCOUNT: Final = """
    select account.id, account.code, asset.code as asset, asset.scale
    from ledger.account join ledger.asset on asset.id = account.asset_id
    where account.code = $1 and account.stripe = 0
"""
_CODES: Final = "select id, code from ledger.account where id = any ($1::bigint[])"


@dataclass(frozen=True, slots=True)
class Account:
    """Whose statement it is, and what its amounts are amounts of."""

    id: int
    code: str
    currency: Currency


async def find_account(code: str, *, on: Connection) -> Account | None:
    """Return the account with a code, or None."""
    row = await on.fetchrow(_ACCOUNT, code)
    return None if row is None else Account(row["id"], row["code"], Currency(row["asset"], row["scale"]))


async def export(
    account: Account,
    form: Format,
    *,
    on: Connection,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int | None = None,
) -> AsyncIterator[str]:
    """Yield a statement as text, in pieces, the first before the last line is read.

    ``since`` (included) and ``until`` (not included) are moments of posting. There are ``limit`` lines at most,
    the oldest. Keeps no more than a page of lines, however long the statement is.
    """
    writer = WRITERS[form]()
    counterparties = _Codes()
    yield writer.begin()
    left = limit
    async for chunk in _chunks(ledger.stream(account.id, on=on, since=since, until=until)):
        taken = chunk if left is None else chunk[:left]
        codes = await counterparties.of({line.counterparty for line in taken}, on)
        yield "".join(writer.line(_row(line, account, codes)) for line in taken)
        if left is not None:
            left -= len(taken)
            if left == 0:
                break
    yield writer.end()


async def _chunks(lines: AsyncIterator[ledger.StatementLine]) -> AsyncIterator[list[ledger.StatementLine]]:
    chunk: list[ledger.StatementLine] = []
    async for line in lines:
        chunk.append(line)
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


class _Codes:
    """The codes of accounts, of which only so many are remembered."""

    def __init__(self) -> None:
        self._known: OrderedDict[int, str] = OrderedDict()

    async def of(self, ids: Iterable[int], on: Connection) -> Mapping[int, str]:
        asked = set(ids)
        missing = asked - self._known.keys()
        if missing:
            rows = await on.fetch(_CODES, list(missing))
            self._known.update((row["id"], row["code"]) for row in rows)
        found = {account: self._known[account] for account in asked}
        while len(self._known) > _REMEMBERED_LIMIT:
            self._known.popitem(last=False)
        return found


def _row(line: ledger.StatementLine, account: Account, codes: Mapping[int, str]) -> Row:
    return {
        "version": line.version,
        "posted_at": _utc(line.posted_at),
        "effective_at": _utc(line.effective_at),
        "kind": line.kind,
        "amount_minor": line.amount,
        "amount": _decimal_text(line.amount, account.currency),
        "balance_minor": line.balance,
        "balance": _decimal_text(line.balance, account.currency),
        "asset": account.currency.code,
        "counterparty": codes[line.counterparty],
        "reference": None if line.reference is None else str(line.reference),
        "group_id": str(line.group_id),
        "movement_id": str(line.movement_id),
    }


def _decimal_text(minor: int, currency: Currency) -> str:
    return format(Money(minor, currency).amount, "f")


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
