from decimal import Decimal
from uuid import uuid4

import asyncpg
import pytest

import ledger
from ledger import Posted, Refusal, Refused
from ledger.whole import whole
from tests.ledger.ledger_helpers import (
    call_post,
    group,
    new_clearing,
    new_till,
    opened,
    pending,
    post_one,
    posted_balances,
    written,
)

LARGEST = 10**38 - 1


@pytest.fixture
def dsn(shared_dsn: str) -> str:
    return shared_dsn


EXACT = (1, 2**53 - 1, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**63 + 1, 10**18 - 1, 10**18 + 1, 10**36)
NOT_AMOUNTS = (
    (0, Refusal.AMOUNT_NOT_POSITIVE),
    (-1, Refusal.AMOUNT_NOT_POSITIVE),
    (-(10**40), Refusal.AMOUNT_NOT_POSITIVE),
    (10**38, Refusal.AMOUNT_TOO_LARGE),
    (10**200_000, Refusal.AMOUNT_TOO_LARGE),
    (1.5, Refusal.AMOUNT_NOT_WHOLE),
    (3.0, Refusal.AMOUNT_NOT_WHOLE),
    (Decimal("1.5"), Refusal.AMOUNT_NOT_WHOLE),
    (True, Refusal.AMOUNT_NOT_WHOLE),
)


async def test_amounts_are_exact(connection: asyncpg.Connection) -> None:
    provider = new_clearing()
    for amount in (*EXACT, LARGEST - sum(EXACT)):
        clearing, creator = await opened(connection, provider, pending())
        assert isinstance(await post_one(connection, (clearing, creator, amount)), Posted)
        assert await posted_balances(connection, creator) == [amount]
        (line,) = await ledger.statement(creator, on=connection)
        assert (line.amount, line.balance) == (amount, amount)
        assert all(type(value) is int for value in (line.amount, line.balance))
    assert await posted_balances(connection, clearing) == [-LARGEST]


async def test_what_is_no_amount_is_refused_unstored(connection: asyncpg.Connection) -> None:
    before = await written(connection)
    clearing, creator = await opened(connection, new_clearing(), pending())
    for amount, code in NOT_AMOUNTS:
        assert await post_one(connection, (clearing, creator, 5), (clearing, creator, amount)) == Refused(code)
    assert await written(connection, before) == (0, 0)


TRANSFER = "select outcome from ledger.transfer($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"


async def call(
    path: str, connection: asyncpg.Connection, debit: int | None, credit: int | None, amounts: list
) -> list[str]:
    """Call the SQL functions without Python's checks: the one of single groups, or the one of batches."""
    if path == "batch":
        return await call_post(connection, debit, credit, amounts)
    if path == "operations":
        return await call_post(connection, debit, credit, amounts, operations=[0] * len(amounts))
    return [
        await connection.fetchval(
            TRANSFER, "test", str(uuid4()), bytes(32), uuid4(), None, uuid4(), debit, credit, amount, "test", None
        )
        for amount in amounts
    ]


every_path = pytest.mark.parametrize("path", ["transfer", "batch", "operations"])


@every_path
async def test_function_itself_refuses_what_is_not_an_amount(connection: asyncpg.Connection, path: str) -> None:
    before = await written(connection)
    clearing, creator = await opened(connection, new_clearing(), pending())
    amounts = [
        "1.5",
        "0.1",
        "1.0",
        "NaN",
        "Infinity",
        "-Infinity",
        "0",
        "-1.5",
        "1e38",
        f"{LARGEST}.5",
    ]
    assert await call(path, connection, clearing, creator, [*map(Decimal, amounts), None]) == [
        "amount_not_whole",
        "amount_not_whole",
        "posted",
        "amount_too_large",
        "amount_too_large",
        "amount_not_positive",
        "amount_not_positive",
        "amount_not_positive",
        "amount_too_large",
        "amount_not_whole",
        "malformed",
    ]
    assert await posted_balances(connection, clearing, creator) == [-1, 1]
    assert await written(connection, before) == (1, 1)


async def test_function_itself_refuses_each_alone(connection: asyncpg.Connection) -> None:
    """What several bad amounts are refused for, each of them is refused for."""
    before = await written(connection)
    clearing, creator = await opened(connection, new_clearing(), pending())
    for amount in (Decimal("1.5"), Decimal("NaN"), Decimal("Infinity"), Decimal(0), Decimal("1e38"), None):
        (outcome,) = await call("transfer", connection, clearing, creator, [amount])
        assert await call("batch", connection, clearing, creator, [amount]) == [outcome]
        assert await call("batch", connection, clearing, creator, [amount, Decimal(1)]) == [outcome, "posted"]
    assert await written(connection, before) == (6, 6)


@every_path
async def test_function_itself_refuses_a_missing_account(connection: asyncpg.Connection, path: str) -> None:
    before = await written(connection)
    clearing, creator = await opened(connection, new_clearing(), pending())
    assert await call(path, connection, None, creator, [Decimal(1)]) == ["malformed"]
    assert await call(path, connection, clearing, None, [Decimal(1)]) == ["malformed"]
    assert await call(path, connection, clearing, clearing + 1000, [Decimal(1)]) == ["unknown_account"]
    assert await written(connection, before) == (0, 0)


@pytest.mark.parametrize("sizes", [[2, 0], [0, 2], [3, 0], [0], [1, 0, 2]])
async def test_function_itself_refuses_an_empty_group_among_others(
    connection: asyncpg.Connection, sizes: list[int]
) -> None:
    clearing, creator = await opened(connection, new_clearing(), pending())
    operations, tag = sum(sizes), str(uuid4())
    keys = [f"{tag}:{number}" for number in range(len(sizes))]
    outcomes = await call_post(connection, clearing, creator, [Decimal(1)] * operations, sizes=sizes, keys=keys)
    assert outcomes == ["posted" if size else "no_movements" for size in sizes]
    assert await posted_balances(connection, creator) == [operations]
    stored = await connection.fetch(
        "select key, movements from ledger.request where key like $1 || ':%' order by key", tag
    )
    assert [tuple(row) for row in stored] == [(key, size) for key, size in zip(keys, sizes, strict=True) if size]


async def test_table_itself_refuses_what_is_not_an_amount(owner: asyncpg.Connection) -> None:
    clearing, fees = await opened(owner, new_clearing(), new_till())
    insert = """
        insert into ledger.movement values (gen_random_uuid(), gen_random_uuid(), 840, 'test', $1, $2, $3, null,
            0, 0, 1, 1, now(), now())
    """
    for amount in (Decimal(0), Decimal(-1), Decimal("NaN")):
        with pytest.raises(asyncpg.CheckViolationError, match="amount_is_"):
            await owner.execute(insert, clearing, fees, amount)


async def test_balance_of_39_digits_is_refused(connection: asyncpg.Connection) -> None:
    clearing, creator, other = await opened(connection, new_clearing(), pending(), pending())
    outcomes = await ledger.post(
        [
            group((clearing, creator, LARGEST)),
            group((clearing, other, 1)),  # clearing would fall to -10^38
            group((creator, clearing, 1)),
            group((clearing, other, 1)),
        ],
        on=connection,
    )
    assert outcomes[1] == Refused(Refusal.BALANCE_TOO_LARGE, account=clearing)
    assert all(isinstance(outcomes[n], Posted) for n in (0, 2, 3))


@pytest.mark.parametrize("value", ["1.5", "NaN", "Infinity", "0.0000000000000000000000000000000000000001"])
def test_fraction_from_the_database_is_refused(value: str) -> None:
    with pytest.raises((ValueError, OverflowError)):
        whole(Decimal(value))


def test_whole_number_from_the_database_is_exact() -> None:
    assert [whole(Decimal(text)) for text in ("3.0", "1E+36", "-0", str(LARGEST))] == [3, 10**36, 0, LARGEST]
