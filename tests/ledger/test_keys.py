"""One outcome per key, for ever."""

from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID, uuid4

import asyncpg
import pytest

import ledger
from ledger import (
    AccountAfter,
    Capture,
    Group,
    Hold,
    Increment,
    Movement,
    Operation,
    Posted,
    Recovery,
    Refusal,
    Refused,
    Release,
    Reversal,
)
from ledger.wire import body_hash
from tests.ledger.ledger_helpers import (
    group,
    is_new,
    new_clearing,
    new_till,
    opened,
    pending,
    post_one,
    posted_balances,
    written,
)


@pytest.fixture
def dsn(shared_dsn: str) -> str:
    return shared_dsn


async def test_repeat_returns_the_first_outcome(connection: asyncpg.Connection) -> None:
    clearing, creator, fees = await opened(connection, new_clearing(), pending(), new_till())
    good, bad = group((clearing, creator, 5)), group((creator, fees, 7))
    first = await ledger.post([good, bad], on=connection)
    await post_one(connection, (clearing, creator, 1000))  # the money that was missing
    assert isinstance(first[0], Posted)
    assert isinstance(first[1], Refused)
    assert first[1].missing == 2
    again = await ledger.post([bad, good], on=connection)
    assert again == [replace(first[1], replayed=True), replace(first[0], replayed=True)]
    # As it was then, whatever has happened since.
    assert isinstance(again[1], Posted)
    assert again[1].movements == first[0].movements
    assert again[1].after[creator] == AccountAfter(5, 1)
    assert await posted_balances(connection, creator) == [1005]


async def test_key_with_another_body_is_refused(connection: asyncpg.Connection) -> None:
    before = await written(connection)
    clearing, creator, fees = await opened(connection, new_clearing(), pending(), new_till())
    first = group((clearing, creator, 5))
    await ledger.post([first], on=connection)
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    (leg,) = first.operations
    others = [
        replace(first, operations=(replace(leg, amount=6),)),
        replace(first, operations=(replace(leg, credit=fees),)),
        replace(first, operations=(replace(leg, kind="else"),)),
        replace(first, operations=(replace(leg, reference=uuid4()),)),
        replace(first, operations=(leg, leg)),
        replace(first, effective_at=moment),
    ]
    outcomes = await ledger.post([*others, first], on=connection)
    assert outcomes[:-1] == [Refused(Refusal.KEY_REUSED)] * len(others)
    assert isinstance(outcomes[-1], Posted)
    assert outcomes[-1].replayed
    assert outcomes[-1].after[creator] == AccountAfter(5, 1)
    assert await written(connection, before) == (1, 1)


async def test_key_twice_in_one_batch(connection: asyncpg.Connection) -> None:
    before = await written(connection)
    clearing, creator, fees = await opened(connection, new_clearing(), pending(), new_till())
    first = group((clearing, creator, 5))
    malformed = group((clearing, clearing, 5), key=first.key)
    other = group((clearing, creator, 6), key=first.key)
    short = group((creator, fees, 50))
    outcomes = await ledger.post([malformed, first, other, short, first, malformed, short], on=connection)
    posted = outcomes[1]
    assert isinstance(posted, Posted)
    assert is_new(posted)
    assert posted.after[creator] == AccountAfter(5, 1)
    refused = Refused(Refusal.INSUFFICIENT_FUNDS, account=creator, missing=45)
    assert outcomes == [
        Refused(Refusal.SAME_ACCOUNT, account=clearing),
        posted,
        Refused(Refusal.KEY_REUSED),
        refused,
        replace(posted, replayed=True),
        Refused(Refusal.KEY_REUSED),
        replace(refused, replayed=True),
    ]
    assert await written(connection, before) == (1, 2)


async def test_keys_of_tenants_are_apart(connection: asyncpg.Connection) -> None:
    clearing, creator = await opened(connection, new_clearing(), pending())
    key = str(uuid4())
    for tenant, amount in (("one", 5), ("two", 6)):
        (outcome,) = await ledger.post([group((clearing, creator, amount), key=key)], on=connection, tenant=tenant)
        assert is_new(outcome)


NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
ONE, TWO = UUID(int=1), UUID(int=2)
BODY = Group("k", (Movement(1, 2, 10**37, "tip"),), NOON)
WHOLE = Group(
    "k",
    (
        Movement(1, 2, 10**37, "tip", ONE, shortfall=3),
        Recovery(1, 2, "recovery", ONE),
        Hold(ONE, 1, 2, 5, "hold", TWO, NOON),
        Capture(ONE, 5, "capture", TWO),
        Capture(ONE, None, "capture", final=True),
        Increment(ONE, 5),
        Release(ONE),
        Release(ONE, 5),
        Reversal(ONE, 5, "back", TWO),
        Reversal(ONE, None, "back"),
    ),
    NOON,
)


@pytest.mark.parametrize(
    ("body", "stored"),
    [
        (BODY, "c0726d8932cb84bd70e8f5f31db25f4c32effe7431caac410a1467f7cebfe020"),
        (WHOLE, "e2e88acef0fbb5dffe72d351aba3856b9c8ca2318ce0cfed5c41a0d6ef614454"),
    ],
    ids=["movements", "operations"],
)
def test_body_hash_is_of_the_meaning(body: Group, stored: str) -> None:
    """It is stored for ever, so these values can never change."""
    elsewhere = timezone(timedelta(hours=2))
    same = replace(
        body,
        key="other",
        effective_at=NOON.astimezone(elsewhere),
        operations=tuple(
            replace(operation, expires_at=NOON.astimezone(elsewhere)) if isinstance(operation, Hold) else operation
            for operation in body.operations
        ),
    )
    assert body_hash(body) == body_hash(same)
    assert body_hash(body).hex() == stored


def variants(operation: Operation) -> Iterator[Operation]:
    """The same operation with one field another."""
    others = {
        int: (7, 8),
        str: ("else",),
        UUID: (UUID(int=9),),
        datetime: (NOON - timedelta(days=1),),
        bool: (True,),
    }
    for field in fields(operation):
        value = getattr(operation, field.name)
        if value is None:
            yield replace(
                operation, **{field.name: {"reference": ONE, "amount": 7, "expires_at": NOON}.get(field.name, 8)}
            )
            continue
        for other in others[type(value)]:
            yield replace(operation, **{field.name: other})
        if field.name in {"reference", "expires_at", "shortfall"}:
            yield replace(operation, **{field.name: None})


def test_whatever_is_asked_for_otherwise_has_another_hash() -> None:
    plain = [Movement(1, 2, 3, "tip"), Movement(1, 2, 3, "tip", ONE)]
    operations: set[Operation] = {*plain, *WHOLE.operations}
    operations |= {other for operation in operations for other in variants(operation)}
    assert len(operations) > 50
    bodies = [Group("k", (operation,)) for operation in operations]
    bodies += [
        Group("k", tuple(plain)),
        Group("k", tuple(plain[::-1])),
        Group("k", tuple(plain), NOON),
        BODY,
        WHOLE,
    ]
    bodies += [replace(WHOLE, effective_at=None), replace(WHOLE, operations=WHOLE.operations[::-1])]
    assert len({body_hash(body) for body in bodies}) == len(bodies)


async def test_refused_key_of_malformed_group_is_free(connection: asyncpg.Connection) -> None:
    clearing, creator = await opened(connection, new_clearing(), pending())
    key = str(uuid4())
    await post_one(connection, (clearing, creator, 0), key=key)
    assert is_new(await post_one(connection, (clearing, creator, 1), key=key))


async def test_money_and_answer_roll_back_together(connection: asyncpg.Connection) -> None:
    before = await written(connection)
    clearing, creator = await opened(connection, new_clearing(), pending())
    key = str(uuid4())
    transaction = connection.transaction()
    await transaction.start()
    assert is_new(await post_one(connection, (clearing, creator, 5), key=key))
    await transaction.rollback()
    assert await written(connection, before) == (0, 0)
    assert is_new(await post_one(connection, (clearing, creator, 5), key=key))
