"""Each invariant is broken by hand, in each way it can be, and seen to be found."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from string import Template

import asyncpg
import pytest

import ledger
from ledger import AccountKind, Status, chart, verify
from tests.ledger import sound_books
from tests.ledger.ledger_helpers import FEES, group, opened

IMPLEMENTED = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 16}
ABSENT = {12, 14}


def tampering() -> Iterator[tuple[int, str, str]]:
    """The number of the invariant, a title, and the script."""
    text = Path(__file__).with_name("tampering.sql").read_text()
    for block in text.split("\n\n")[1:]:
        title, script = block.split("\n", 1)
        number, name = title.removeprefix("-- ").split(": ")
        yield int(number), name, script


CASES = list(tampering())

# What stands for an account's id in the scripts: the row with the most movements of each kind.
_ROWS = "select distinct on (kind) kind, id::text from ledger.account order by kind, version desc"


@pytest.fixture
async def books(owner: asyncpg.Connection, pool: asyncpg.Pool) -> asyncpg.Connection:
    """A superuser in sound books, with whatever would keep them so asleep or out of the way."""
    await sound_books.keep(owner, pool)
    await owner.execute("drop index ledger.one_debit_per_version, ledger.one_credit_per_version")
    await owner.execute("set session_replication_role = replica")
    return owner


async def broken(connection: asyncpg.Connection, *only: int) -> dict[int, str]:
    """The numbers of the invariants that are broken, of those asked for or of all."""
    findings = await verify(connection, only=only) if only else await verify(connection)
    return {finding.number: finding.detail for finding in findings if finding.status is Status.BROKEN}


@asynccontextmanager
async def undone(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """A transaction that is taken back."""
    transaction = connection.transaction(isolation="repeatable_read")
    await transaction.start()
    try:
        yield
    finally:
        await transaction.rollback()


async def test_sound_books_have_sixteen_findings_and_none_is_broken(books: asyncpg.Connection) -> None:
    findings = await verify(books)
    assert [finding.number for finding in findings] == list(range(1, 17))
    assert {finding.number for finding in findings if finding.status is Status.OK} == IMPLEMENTED, findings
    assert {finding.number for finding in findings if finding.status is Status.ABSENT} == ABSENT
    assert all(finding.detail for finding in findings if finding.status is Status.ABSENT)


async def test_tampering_is_found(books: asyncpg.Connection, subtests: pytest.Subtests) -> None:
    assert await broken(books) == {}
    rows = dict(await books.fetch(_ROWS))
    for number, name, script in CASES:
        with subtests.test(name):
            async with undone(books):
                await books.execute(Template(script).substitute(rows))
                assert number in await broken(books, number)
    assert await broken(books) == {}


async def test_application_may_verify(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection:
        assert len(await verify(connection)) == 16


def test_every_invariant_is_tampered_with() -> None:
    assert {case[0] for case in CASES} | {13} == IMPLEMENTED


async def clearing(connection: asyncpg.Connection, overdue: timedelta | None = None) -> ledger.Finding:
    (finding,) = await verify(connection, clearing_overdue=overdue, only=[13])
    return finding


async def test_money_in_clearing_is_named_and_overdue_only_if_asked(books: asyncpg.Connection) -> None:
    source, fees = await opened(books, chart.with_provider(AccountKind.CLEARING, "USD", "slow"), FEES)
    await ledger.post([group((source, fees, 5))], on=books)
    finding = await clearing(books)
    assert finding.status is Status.OK
    assert "slow:clearing:USD: -5 since " in finding.detail
    assert (await clearing(books, timedelta(hours=1))).status is Status.OK
    assert (await clearing(books, timedelta(0))).status is Status.BROKEN


async def test_clearing_account_is_its_stripes_together(books: asyncpg.Connection) -> None:
    even, slow = (chart.with_provider(AccountKind.CLEARING, "USD", name) for name in ("even", "slow"))
    await opened(books, even, slow)
    stripe = "update ledger.account set posted = $2, posted_at = clock_timestamp() - $3::interval where code = $1"
    for number, spec, amount, hours in ((1, even, 5, 3), (2, even, -5, 3), (1, slow, 5, 3), (2, slow, 2, 1)):
        await books.execute(stripe, f"{spec.code}#{number}", amount, timedelta(hours=hours))
    finding = await clearing(books, timedelta(hours=2))
    assert finding.status is Status.OK
    assert "slow:clearing:USD: 7 since " in finding.detail
    assert "even" not in finding.detail
    assert "#" not in finding.detail
    finding = await clearing(books, timedelta(minutes=30))
    assert finding.status is Status.BROKEN
    assert finding.detail.startswith("slow:clearing:USD: 7 since ")


async def test_only_what_is_asked_for_is_checked(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection:
        findings = await verify(connection, only={12, 5})
    assert [(finding.number, finding.status) for finding in findings] == [(5, Status.OK), (12, Status.ABSENT)]


async def test_settings_are_left_as_they_were(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection:
        before = await connection.fetchval("show work_mem")
        await verify(connection)
        assert await connection.fetchval("show work_mem") == before
