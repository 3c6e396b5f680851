"""Whatever cannot be done is refused with a typed outcome, alone and in every company, and nothing is written."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

import ledger
from core.clock import now
from ledger import Group, Operation, Outcome, Posted, Recovery, Refusal, Refused
from tests.ledger.bad_input_scene import NOBODYS, Scene, set_scene
from tests.ledger.ledger_helpers import group, opened, operating, owed, snapshot, wallet

Path = Callable[[asyncpg.Connection, Group, list[int]], Awaitable[Outcome]]


@pytest.fixture
def dsn(shared_dsn: str) -> str:
    return shared_dsn


@pytest.fixture
async def scene(connection: asyncpg.Connection, owner: asyncpg.Connection) -> Scene:
    return await set_scene(connection, owner)


NOT_POSITIVE, NOT_WHOLE, TOO_LARGE = (
    Refusal.AMOUNT_NOT_POSITIVE, Refusal.AMOUNT_NOT_WHOLE, Refusal.AMOUNT_TOO_LARGE,
)  # fmt: skip
NOT_AMOUNTS: list[tuple[Any, Refusal]] = [
    (0, NOT_POSITIVE),
    (-1, NOT_POSITIVE),
    (1.5, NOT_WHOLE),
    (2.0, NOT_WHOLE),
    (Decimal("1.5"), NOT_WHOLE),
    (True, NOT_WHOLE),
    (10**38, TOO_LARGE),
]
SHORT, CLOSED, SAME = Refusal.INSUFFICIENT_FUNDS, Refusal.ACCOUNT_CLOSED, Refusal.SAME_ACCOUNT
UNKNOWN, MISMATCH, FULL = Refusal.UNKNOWN_ACCOUNT, Refusal.ASSET_MISMATCH, Refusal.BALANCE_TOO_LARGE
EXPIRED, ENDED, EXCEEDED = Refusal.HOLD_EXPIRED, Refusal.HOLD_ENDED, Refusal.HOLD_EXCEEDED

# What is asked for, the refusal, the account it names, what was missing.
Case = tuple[Callable[[Scene], Operation | tuple[Operation, ...]], Refusal, str | int | None, int | None]
MOVEMENTS: list[Case] = [
    *((lambda s, a=amount: s.move("purse", "other", a), code, None, None) for amount, code in NOT_AMOUNTS),
    (lambda s: s.move(NOBODYS, "other"), UNKNOWN, NOBODYS, None),
    (lambda s: s.move("purse", NOBODYS), UNKNOWN, NOBODYS, None),
    (lambda s: s.move(NOBODYS, NOBODYS + 1), UNKNOWN, NOBODYS, None),
    (lambda s: s.move(0, "other"), UNKNOWN, None, None),
    (lambda s: s.move("purse", 2**63), UNKNOWN, None, None),
    (lambda s: s.move("stripe", "other"), UNKNOWN, "stripe", None),
    (lambda s: s.move("purse", "stripe"), UNKNOWN, "stripe", None),
    (lambda s: s.move("striped", "stripe"), UNKNOWN, "stripe", None),
    (lambda s: (s.move("more", "striped"), s.move("stripe", "striped")), UNKNOWN, "stripe", None),
    (lambda s: s.move("purse", "purse"), SAME, "purse", None),
    (lambda s: s.move("striped", "striped"), SAME, "striped", None),
    (lambda s: s.move("purse", "euros"), MISMATCH, None, None),
    (lambda s: s.move("euros", "purse"), MISMATCH, None, None),
    (lambda s: replace(s.move("purse", "other"), kind=""), Refusal.MALFORMED, None, None),
    (lambda s: replace(s.move("purse", "other"), kind="a\0b"), Refusal.MALFORMED, None, None),
    # What is malformed anywhere in a group is found before anything else is judged.
    (lambda s: (s.move("more", "other"), s.move("purse", "purse")), SAME, "purse", None),
    (lambda s: (s.move("purse", "other", 51), s.move("source", NOBODYS)), UNKNOWN, NOBODYS, None),
    (lambda s: (s.move("closed", "other"), s.move("source", "euros")), MISMATCH, None, None),
    (lambda s: s.move("purse", "other", 51), SHORT, "purse", 1),
    (lambda s: s.move("lender", "other", 51), SHORT, "lender", 1),
    (lambda s: (s.move("purse", "other", 60), s.move("more", "purse", 100)), SHORT, "purse", 10),
    (lambda s: (s.move("more", "other", 1), s.move("other", "purse", 1), s.move("purse", "another", 60)),
        SHORT, "purse", 9),
    (lambda s: s.move("closed", "other"), CLOSED, "closed", None),
    (lambda s: s.move("source", "closed"), CLOSED, "closed", None),
    (lambda s: s.move("purse", "closed", 51), CLOSED, "closed", None),
    (lambda s: (s.move("more", "other", 5), s.move("other", "closed", 5)), CLOSED, "closed", None),
    (lambda s: s.move("more", "full"), FULL, "full", None),
    (lambda s: s.move("source", "other"), FULL, "source", None),
    (lambda s: s.move("source", "full"), FULL, "source", None),
    (lambda s: s.move("purse", "full", 51), SHORT, "purse", 1),
]  # fmt: skip
OPERATIONS: list[Case] = [
    *((lambda s, a=amount: s.hold("purse", "other", a), code, None, None) for amount, code in NOT_AMOUNTS),
    *((lambda s, a=amount: s.capture("open", a), code, None, None) for amount, code in NOT_AMOUNTS),
    *((lambda s, a=amount: s.increment("open", a), code, None, None) for amount, code in NOT_AMOUNTS),
    *((lambda s, a=amount: s.release("open", a), code, None, None) for amount, code in NOT_AMOUNTS),
    *((lambda s, a=amount: s.reverse("partly", a), code, None, None) for amount, code in NOT_AMOUNTS),
    (lambda s: s.hold(NOBODYS, "other"), UNKNOWN, NOBODYS, None),
    (lambda s: s.hold("purse", NOBODYS), UNKNOWN, NOBODYS, None),
    (lambda s: s.hold("stripe", "purse"), UNKNOWN, "stripe", None),
    (lambda s: s.hold("purse", "stripe"), UNKNOWN, "stripe", None),
    (lambda s: s.hold("purse", "purse"), SAME, "purse", None),
    (lambda s: s.hold("purse", "euros"), MISMATCH, None, None),
    (lambda s: s.hold("purse", "other", expires_at=datetime(2099, 1, 1)), Refusal.MALFORMED, None, None),  # ruff: ignore[call-datetime-without-tzinfo]
    (lambda s: s.hold("purse", "other", id=s.holds["open"]), Refusal.HOLD_EXISTS, None, None),
    (lambda s: s.hold("other", "purse", id=s.holds["ended"]), Refusal.HOLD_EXISTS, None, None),
    (lambda s: s.hold("purse", "other", 51), SHORT, "purse", 1),
    (lambda s: s.hold("lender", "other", 51), SHORT, "lender", 1),
    (lambda s: s.hold("closed", "other"), CLOSED, "closed", None),
    (lambda s: s.hold("purse", "closed"), CLOSED, "closed", None),
    (lambda s: s.hold("purse", "other", expires_at=datetime(2020, 1, 1, tzinfo=UTC)), EXPIRED, "purse", None),
    (lambda s: s.capture("unknown", 1), Refusal.UNKNOWN_HOLD, None, None),
    (lambda s: s.increment("unknown", 1), Refusal.UNKNOWN_HOLD, None, None),
    (lambda s: s.release("unknown"), Refusal.UNKNOWN_HOLD, None, None),
    (lambda s: s.capture("open", 41), EXCEEDED, "purse", 1),
    (lambda s: s.capture("open", 10**37, final=True), EXCEEDED, "purse", 10**37 - 40),
    (lambda s: (s.capture("open", 30), s.capture("open", 11)), EXCEEDED, "purse", 1),
    (lambda s: (s.capture("open"), s.capture("open", 1)), ENDED, "purse", None),
    (lambda s: s.release("open", 42), EXCEEDED, "purse", 2),
    (lambda s: s.increment("open", 51), SHORT, "purse", 1),
    (lambda s: s.capture("late", 1), EXPIRED, "purse", None),
    (lambda s: s.capture("late"), EXPIRED, "purse", None),
    (lambda s: s.increment("late", 1), EXPIRED, "purse", None),
    (lambda s: s.release("late", 11), EXCEEDED, "purse", 1),
    (lambda s: s.capture("ended"), ENDED, "purse", None),
    (lambda s: s.increment("ended", 1), ENDED, "purse", None),
    (lambda s: s.release("ended", 1), ENDED, "purse", None),
    (lambda s: s.reverse("unknown"), Refusal.UNKNOWN_MOVEMENT, None, None),
    (lambda s: s.reverse("partly", 6), Refusal.REVERSAL_EXCEEDED, "partly", 1),
    (lambda s: (s.reverse("partly", 3), s.reverse("partly", 3)), Refusal.REVERSAL_EXCEEDED, "partly", 1),
    (lambda s: s.reverse("spent"), SHORT, "spent", 10),
    (lambda s: s.reverse("to closed"), CLOSED, "closed", None),
    (lambda s: s.recover(NOBODYS, "debt"), UNKNOWN, NOBODYS, None),
    (lambda s: s.recover("purse", NOBODYS), UNKNOWN, NOBODYS, None),
    (lambda s: s.recover("purse", "purse"), SAME, "purse", None),
    (lambda s: s.recover("euros", "debt"), MISMATCH, None, None),
    (lambda s: s.move("purse", "other", 51, shortfall=NOBODYS), UNKNOWN, NOBODYS, None),
    (lambda s: s.move("purse", "other", 51, shortfall="stripe"), UNKNOWN, "stripe", None),
    (lambda s: s.move("purse", "other", 51, shortfall=2**63), UNKNOWN, None, None),
    (lambda s: s.move("purse", "other", 51, shortfall="purse"), SAME, "purse", None),
    (lambda s: s.move("purse", "other", 51, shortfall="other"), SAME, "other", None),
    (lambda s: s.move("purse", "other", 51, shortfall="euros"), MISMATCH, None, None),
    (lambda s: s.move("purse", "other", 51, shortfall="closed"), CLOSED, "closed", None),
    (lambda s: s.move("purse", "other", 51, shortfall="source"), FULL, "source", None),
    # The other account pays what it has, as everybody does: it is guarded, and has nothing.
    (lambda s: s.move("purse", "other", 53, shortfall="another"), SHORT, "another", 3),
    # Whatever else is in the group is not done either.
    (lambda s: (s.move("more", "other"), s.capture("open", 41)), EXCEEDED, "purse", 1),
    (lambda s: (s.capture("open", 40), s.release("late"), s.reverse("partly", 6)),
        Refusal.REVERSAL_EXCEEDED, "partly", 1),
    (lambda s: (s.increment("open", 5), s.reverse("partly"), s.move("purse", "other", 46)), SHORT, "purse", 1),
    (lambda s: (s.hold("purse", "other", 5), s.move("purse", "other", 46)), SHORT, "purse", 1),
]  # fmt: skip


async def alone(connection: asyncpg.Connection, group: Group, aside: list[int]) -> Outcome:
    (outcome,) = await ledger.post([group], on=connection)
    return outcome


async def among_movements(connection: asyncpg.Connection, asked: Group, aside: list[int]) -> Outcome:
    before, after = (group((aside[0], aside[1], 5), key=f"beside:{uuid4()}") for _ in range(2))
    first, outcome, last = await ledger.post([before, asked, after], on=connection)
    assert all(isinstance(neighbour, Posted) and len(neighbour.movements) == 1 for neighbour in (first, last))
    return outcome


async def beside_others(connection: asyncpg.Connection, asked: Group, aside: list[int]) -> Outcome:
    """With a recovery of nothing on either side, so that the batch has operations of several kinds."""
    before, after = (operating(Recovery(*aside, "test"), key=f"beside:{uuid4()}") for _ in range(2))
    first, outcome, last = await ledger.post([before, asked, after], on=connection)
    assert all(isinstance(neighbour, Posted) and neighbour.movements == () for neighbour in (first, last))
    return outcome


every_path = pytest.mark.parametrize("path", [alone, among_movements, beside_others])


@pytest.mark.parametrize(
    ("cases", "path"),
    [
        (MOVEMENTS, alone),
        (MOVEMENTS, among_movements),
        (MOVEMENTS, beside_others),
        (OPERATIONS, alone),
        (OPERATIONS, among_movements),
    ],
    ids=lambda value: "" if isinstance(value, list) else None,
)
async def test_refused_group_says_why_and_leaves_nothing_but_its_answer(
    connection: asyncpg.Connection, scene: Scene, path: Path, cases: list[Case], subtests: pytest.Subtests
) -> None:
    aside = await opened(connection, owed(), wallet())
    before = await snapshot(connection, leaving_out=aside)
    for number, (ask, code, account, missing) in enumerate(cases):
        with subtests.test(code, number=number):
            asked = ask(scene)
            refused = operating(*(asked if isinstance(asked, tuple) else (asked,)))
            outcome = await path(connection, refused, aside)
            assert outcome == Refused(code, None if account is None else scene.id(account), missing)
            # The answer stays where it is one; otherwise the key is still free, for the same refusal.
            assert await path(connection, refused, aside) == replace(outcome, replayed=code.stored)
            after = await snapshot(connection, leaving_out=aside)
            answers = set(after["request"]) - set(before["request"])
            assert after | {"request": []} == before | {"request": []}
            assert len(answers) == code.stored
            before = after


@every_path
async def test_group_without_a_key_or_operations_is_refused(
    connection: asyncpg.Connection, scene: Scene, path: Path, subtests: pytest.Subtests
) -> None:
    aside = await opened(connection, owed(), wallet())
    good = (scene.move("more", "other"),)
    before = await snapshot(connection, leaving_out=aside)
    for refused, code in (
        (Group("k", ()), Refusal.NO_MOVEMENTS),
        (Group("", good), Refusal.MALFORMED),
        (Group("k" * 256, good), Refusal.MALFORMED),
        (Group("a\0b", good), Refusal.MALFORMED),
        (Group("a\nb", good), Refusal.MALFORMED),
        (Group("\ud800", good), Refusal.MALFORMED),
        (Group("k", good, datetime(2026, 1, 1)), Refusal.MALFORMED),  # ruff: ignore[call-datetime-without-tzinfo]
    ):
        with subtests.test(repr(refused.key)):
            assert await path(connection, refused, aside) == Refused(code)
    assert await snapshot(connection, leaving_out=aside) == before


@every_path
async def test_key_with_another_body_is_refused(
    connection: asyncpg.Connection, scene: Scene, path: Path, subtests: pytest.Subtests
) -> None:
    aside = await opened(connection, owed(), wallet())
    name, expires = uuid4(), now() + timedelta(days=1)
    taken = [
        operating(scene.move("more", "other")),
        operating(scene.hold("purse", "other", id=name, expires_at=expires)),
        operating(scene.capture("open", 1)),
        operating(scene.release("open", 2)),
        operating(scene.move("purse", "other", 10**6)),
    ]
    outcomes = await ledger.post(taken, on=connection)
    assert [isinstance(outcome, Posted) for outcome in outcomes] == [True] * 4 + [False]
    before = await snapshot(connection, leaving_out=aside)
    others: list[tuple[Operation, ...]] = [
        (scene.move("more", "other", 2),),
        (scene.move("more", "other", shortfall="debt"),),
        (scene.hold("purse", "other", id=name),),
        (scene.hold("purse", "other", id=name, expires_at=expires + timedelta(microseconds=1)),),
        (scene.hold("purse", "other", 2, id=name, expires_at=expires),),
        (scene.capture("open", 1, final=True),),
        (scene.capture("open"),),
        (scene.capture("late", 1),),
        (scene.release("open"),),
        (scene.increment("open", 2),),
        (scene.reverse("partly", 1),),
        (scene.recover("purse", "debt"),),
    ]
    for first in taken:
        for other in others:
            with subtests.test(first=first.operations, other=other):
                assert await path(connection, Group(first.key, other), aside) == Refused(Refusal.KEY_REUSED)
    # Neither does the moment, and a malformed group is malformed under any key.
    late = replace(taken[0], effective_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert await path(connection, late, aside) == Refused(Refusal.KEY_REUSED)
    assert await snapshot(connection, leaving_out=aside) == before
