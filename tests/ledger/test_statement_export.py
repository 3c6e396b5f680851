"""A statement as CSV, JSON and a table: every byte of it, and no more in memory than a page."""

import csv
import io
import json
from uuid import uuid4

import asyncpg
import pytest

import ledger
from app.statement_export import Account, export, find_account
from app.statement_formats import FIELDS, Format
from ledger import Group, Movement, StatementLine, chart
from tests.ledger.ledger_helpers import CLEARING, FEES, group, opened, pending

_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"


async def exported(account: Account, form: Format, connection: asyncpg.Connection, **options: object) -> str:
    return "".join([text async for text in export(account, form, on=connection, **options)])


async def account_of(connection: asyncpg.Connection, code: str) -> Account:
    found = await find_account(code, on=connection)
    assert found is not None
    return found


@pytest.fixture
async def creator(connection: asyncpg.Connection) -> Account:
    """An account with three lines, the second of which refers to something."""
    spec = pending()
    clearing, creator, fees = await opened(connection, CLEARING, spec, FEES)
    fee = Movement(creator, fees, 1230, "fee, 12 %", uuid4())
    for one in (group((clearing, creator, 10**19)), Group("k", (fee, Movement(clearing, creator, 5, "bonus")))):
        await ledger.post([one], on=connection)
    return await account_of(connection, spec.code)


async def lines_of(account: Account, connection: asyncpg.Connection) -> list[StatementLine]:
    return await ledger.statement(account.id, on=connection)


async def test_csv_is_as_rfc_4180_has_it(creator: Account, connection: asyncpg.Connection) -> None:
    first, second, third = await lines_of(creator, connection)

    def row(line: StatementLine, kind: str, amounts: str, counterparty: str) -> str:
        reference = line.reference or ""
        return (
            f"{line.version},{line.posted_at.strftime(_TIME)},{line.effective_at.strftime(_TIME)},{kind},{amounts},USD,"
            f"{counterparty},{reference},{line.group_id},{line.movement_id}\r\n"
        )

    assert await exported(creator, Format.CSV, connection) == (
        "version,posted_at,effective_at,kind,amount_minor,amount,balance_minor,balance,asset,counterparty,reference,"
        "group_id,movement_id\r\n"
        + row(
            first,
            "test",
            "10000000000000000000,100000000000000000.00,10000000000000000000,100000000000000000.00",
            "sandbox:clearing:USD",
        )
        + row(second, '"fee, 12 %"', "-1230,-12.30,9999999999999998770,99999999999999987.70", "platform:fees:USD")
        + row(third, "bonus", "5,0.05,9999999999999998775,99999999999999987.75", "sandbox:clearing:USD")
    )


async def test_json_is_one_array_with_a_line_for_each_object(
    creator: Account, connection: asyncpg.Connection
) -> None:
    lines = await lines_of(creator, connection)
    text = await exported(creator, Format.JSON, connection)

    assert text.startswith("[\n{")
    assert text.endswith("}\n]\n")
    assert [*map(str.strip, text.splitlines())] == text.splitlines()
    rows = json.loads(text, parse_float=lambda number: pytest.fail(f"{number} is a float"))
    assert [json.loads(line.rstrip(",")) for line in text.splitlines()[1:-1]] == rows
    assert rows[1] == {
        "version": 2,
        "posted_at": lines[1].posted_at.strftime(_TIME),
        "effective_at": lines[1].effective_at.strftime(_TIME),
        "kind": "fee, 12 %",
        "amount_minor": -1230,
        "amount": "-12.30",
        "balance_minor": 9_999_999_999_999_998_770,
        "balance": "99999999999999987.70",
        "asset": "USD",
        "counterparty": "platform:fees:USD",
        "reference": str(lines[1].reference),
        "group_id": str(lines[1].group_id),
        "movement_id": str(lines[1].movement_id),
    }
    assert rows[0]["reference"] is None
    assert all(tuple(row) == FIELDS for row in rows)


async def test_table_has_a_column_for_each_thing_that_people_read(
    creator: Account, connection: asyncpg.Connection
) -> None:
    lines = (await exported(creator, Format.TABLE, connection)).splitlines()
    assert lines[0].split() == ["version", "posted", "kind", "amount", "balance", "counterparty"]
    assert [line.split()[-3:] for line in lines[2:]] == [
        ["-12.30", "99999999999999987.70", "platform:fees:USD"],
        ["0.05", "99999999999999987.75", "sandbox:clearing:USD"],
    ]
    assert len({line.rindex("  ") for line in lines}) == 1


@pytest.mark.parametrize(
    ("asset", "scale", "amount", "text"),
    [
        ("JPY", 0, 7, "7"),
        ("KWD", 3, 1, "0.001"),
        ("USD", 2, 100, "1.00"),
        ("ETH", 18, 10**36 + 1, f"{10**18}.{1:018}"),
    ],
)
async def test_decimal_text_has_the_decimals_of_its_asset(
    connection: asyncpg.Connection, asset: str, scale: int, amount: int, text: str
) -> None:
    if asset == "ETH":
        await ledger.declare_asset(asset, scale, "token", on=connection)
    spec = chart.wallet(asset, uuid4())
    clearing = chart.with_provider(ledger.AccountKind.CLEARING, asset, "sandbox")
    debit, credit = await opened(connection, clearing, spec)
    await ledger.post([group((debit, credit, amount))], on=connection)

    for code, sign in ((spec.code, ""), (clearing.code, "-")):
        (row,) = json.loads(await exported(await account_of(connection, code), Format.JSON, connection))
        assert (row["amount"], row["amount_minor"]) == (f"{sign}{text}", int(f"{sign}{amount}"))


async def test_account_without_lines_has_an_empty_statement(connection: asyncpg.Connection) -> None:
    spec = pending()
    await opened(connection, spec)
    account = await account_of(connection, spec.code)
    assert await exported(account, Format.JSON, connection) == "[\n]\n"
    assert await exported(account, Format.CSV, connection) == ",".join(FIELDS) + "\r\n"


async def test_export_ends_after_so_many_lines_and_within_its_times(
    creator: Account, connection: asyncpg.Connection
) -> None:
    first, second, third = await lines_of(creator, connection)

    async def versions(**options: object) -> list[str]:
        text = await exported(creator, Format.CSV, connection, **options)
        return [row["version"] for row in csv.DictReader(io.StringIO(text))]

    assert await versions(limit=1) == ["1"]
    assert await versions(limit=3) == await versions(limit=99) == ["1", "2", "3"]
    assert await versions(since=second.posted_at) == ["2", "3"]
    assert second.posted_at == third.posted_at
    assert await versions(until=third.posted_at) == ["1"]
    assert await versions(since=second.posted_at, until=second.posted_at) == []
    assert await versions(since=first.posted_at, limit=2) == ["1", "2"]


async def test_account_is_found_by_its_code_alone(creator: Account, connection: asyncpg.Connection) -> None:
    assert await find_account("platform:fees:EUR", on=connection) is None
    assert await find_account(creator.code.upper(), on=connection) is None
    # A stripe is a part of an account and has no statement of its own.
    assert await find_account(f"{CLEARING.code}#3", on=connection) is None


async def test_first_lines_are_written_before_the_last_are_read(
    connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.statements._STREAM_PAGE", 50)
    monkeypatch.setattr("app.statement_export._CHUNK", 20)
    monkeypatch.setattr("app.statement_export._REMEMBERED_LIMIT", 30)
    pages = 0
    read = ledger.statements.statement

    async def counted(*arguments: object, **options: object) -> list[StatementLine]:
        nonlocal pages
        pages += 1
        page = await read(*arguments, **options)
        assert len(page) <= 50
        return page

    monkeypatch.setattr("ledger.statements.statement", counted)
    specs = [pending() for _ in range(200)]
    clearing, *creators = await opened(connection, CLEARING, *specs)
    await ledger.post([group((clearing, creator, 1)) for creator in creators], on=connection)
    written = [
        (pages, text)
        async for text in export(await account_of(connection, CLEARING.code), Format.CSV, on=connection)
    ]

    # The header before anything is read, and the lines of a page before the next page is read.
    assert [read_so_far for read_so_far, _ in written[:5]] == [0, 1, 1, 2, 2]
    assert pages == 5
    assert max(text.count("\r\n") for _, text in written) == 20
    rows = list(csv.DictReader(io.StringIO("".join(text for _, text in written))))
    assert [row["version"] for row in rows] == [str(n) for n in range(1, 201)]
    assert {row["counterparty"] for row in rows} == {spec.code for spec in specs}
