"""Each invariant is broken by hand, in each way it can be, and seen to be found."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from string import Template
from uuid import uuid4

import asyncpg
import pytest

import ledger
from ledger import AccountKind, Accounts, Status, chart, verify
from tests.ledger.ledger_helpers import CLEARING, FEES, group, opened

IMPLEMENTED = {1, 2, 3, 4, 5, 6, 10, 11, 13, 15, 16}
ABSENT = {7, 8, 9, 12, 14}


def tampering() -> Iterator[tuple[int, str, str]]:
    """The number of the invariant, a title, and the script."""
    text = Path(__file__).with_name("tampering.sql").read_text()
    for block in text.split("\n\n")[1:]:
        title, script = block.split("\n", 1)
        number, name = title.removeprefix("-- ").split(": ")
        yield int(number), name, script


CASES = list(tampering())
_KINDS = ("fees", "pending")


@pytest.fixture
async def books(owner: asyncpg.Connection, pool: asyncpg.Pool) -> asyncpg.Connection:
    """A superuser in sound books, with the triggers and foreign keys asleep."""
    accounts = Accounts(pool)
    creator = uuid4()
    drafts = []
    for number in range(3):
        names = {"payment": uuid4(), "creator_id": creator, "asset": "USD"}
        transaction = f"txn_{number}"
        drafts += [
            chart.capture(**names, provider="sandbox", net=85, fee=10, tax=5),
            chart.charge(
                provider="sandbox", balance_transaction=transaction, asset="USD", gross=100, provider_fee=3
            ),
            chart.earning(**names, net=85, reserve=5),
        ]
    groups = await accounts.groups(drafts)
    available = chart.creator(AccountKind.AVAILABLE, "USD", creator)
    ids = await accounts.ids([available, CLEARING])
    await ledger.post([*groups, group((ids[available], ids[CLEARING], 10_000), key="refused")], on=owner)
    await owner.execute("set session_replication_role = replica")
    return owner


async def broken(connection: asyncpg.Connection) -> dict[int, str]:
    return {
        finding.number: finding.detail for finding in await verify(connection) if finding.status is Status.BROKEN
    }


async def test_sound_books_have_sixteen_findings_and_none_is_broken(books: asyncpg.Connection) -> None:
    findings = await verify(books)
    assert [finding.number for finding in findings] == list(range(1, 17))
    assert {finding.number for finding in findings if finding.status is Status.OK} == IMPLEMENTED
    assert {finding.number for finding in findings if finding.status is Status.ABSENT} == ABSENT
    assert all(finding.detail for finding in findings if finding.status is Status.ABSENT)
    assert all(not finding.detail for finding in findings if finding.status is Status.OK)


async def test_application_may_verify(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection:
        assert len(await verify(connection)) == 16


async def test_tampering_is_found(books: asyncpg.Connection, subtests: pytest.Subtests) -> None:
    assert await broken(books) == {}
    kinds = {kind: await books.fetchval("select id from ledger.account where kind = $1", kind) for kind in _KINDS}
    for number, name, script in CASES:
        with subtests.test(name):
            transaction = books.transaction(isolation="repeatable_read")
            await transaction.start()
            await books.execute(Template(script).substitute(kinds))
            found = await broken(books)
            await transaction.rollback()
            assert found.get(number)
    assert await broken(books) == {}


def test_every_invariant_is_tampered_with() -> None:
    assert {case[0] for case in CASES} | {13} == IMPLEMENTED


async def test_money_in_clearing_is_named_and_overdue_only_if_asked(books: asyncpg.Connection) -> None:
    clearing, fees = await opened(books, CLEARING, FEES)
    await ledger.post([group((clearing, fees, 5))], on=books)
    finding = (await verify(books))[12]
    assert finding.status is Status.OK
    assert "sandbox:clearing:USD: -5" in finding.detail
    assert (await verify(books, clearing_overdue=timedelta(hours=1)))[12].status is Status.OK
    assert (await verify(books, clearing_overdue=timedelta(0)))[12].status is Status.BROKEN
