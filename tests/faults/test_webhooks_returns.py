"""Refunds and disputes told in any order, and a refund that fails after it had succeeded: everybody has what is theirs."""

import itertools
import random
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import orjson
import pytest

from tests.faults.webhook_delivery import inbox_states, process_all, sending, told_again, written
from tests.faults.webhook_returns import GROSS, RETURN_FLOWS, ReturnFlow, play_returns
from tests.support.world import World

_SAMPLED: Final = 12
_FEE_PERCENT: Final = 5


def orders(count: int) -> list[tuple[int, ...]]:
    """Return every order of so many events; of very many a sample, the first and the reverse always in it."""
    places = tuple(range(count))
    if count <= 4:
        return list(itertools.permutations(places))
    chance = random.Random(count)
    drawn = [tuple(chance.sample(places, count)) for _ in range(_SAMPLED - 2)]
    return [places, places[::-1], *drawn]


async def assert_returned(world: World, flow: ReturnFlow, paid: Sequence[tuple[UUID, UUID, list[str]]]) -> None:
    """Assert what every creator, the platform and the provider have after a flow was gone so many times."""
    fetch = world.engine.database.reader.fetch
    rows = await fetch("select * from payments")
    assert {row["status"] for row in rows} == {flow.status}
    assert len(rows) == len(paid)
    keeps = GROSS - flow.gone
    by_creator = {
        (row["owner"], row["kind"]): int(row["posted"])
        for row in await fetch("select owner, kind, posted from ledger.account where owner is not null")
        if row["posted"]
    }
    net = keeps * (100 - _FEE_PERCENT) // 100
    assert by_creator == ({(creator, "pending"): net for creator, _, _ in paid} if net else {})
    told = [orjson.loads(body) for _, _, bodies in paid for body in bodies]
    cost = sum(event["data"]["object"]["fee"] for event in told if event["type"] == "charge.updated")
    held = {
        row["kind"]: int(row["posted"])
        for row in await fetch(
            "select kind, sum(posted) as posted from ledger.account where owner is null group by kind"
        )
        if row["posted"]
    }
    disputed = flow.dispute_fee * len(paid)
    left = {
        "fees": (keeps - net) * len(paid),
        "provider_fees": -cost,
        "dispute_fees": -disputed,
        "balance": cost + disputed - keeps * len(paid),
    }
    assert held == {kind: amount for kind, amount in left.items() if amount}
    posted = await fetch("select key from ledger.request where outcome = 'posted'")
    assert len(posted) == flow.groups * len(paid), sorted(row["key"] for row in posted)
    for _, key, _ in paid:
        stories = await fetch("select sequence, status from payment_events where payment_id = $1 order by 1", key)
        assert [row["sequence"] for row in stories] == list(range(1, len(stories) + 1))
        assert stories[-1]["status"] == flow.status
        assert all(one["status"] != two["status"] for one, two in itertools.pairwise(stories))


async def deliver(world: World, told: list[list[str]], *, at_once: bool) -> None:
    """Deliver each payment's events in its order, and settle them together, or after each."""
    async with sending(world) as sender:
        for step in zip(*told, strict=True):
            await sender.send_all(step)
            if not at_once:
                await process_all(world)
    await process_all(world)


@pytest.mark.parametrize("name", RETURN_FLOWS)
async def test_every_permutation_of_money_going_back_ends_the_same(idle: World, name: str) -> None:
    flow = RETURN_FLOWS[name]
    every = orders(len(flow.tells))
    everything: list[Any] = []

    for at_once in (False, True):
        paid = await play_returns(idle, flow, len(every))
        everything += paid
        ordered = [[bodies[place] for place in order] for order, (_, _, bodies) in zip(every, paid, strict=True)]
        await deliver(idle, ordered, at_once=at_once)

    assert await inbox_states(idle) == {("DONE", 0)}
    await assert_returned(idle, flow, everything)

    # All of it again, as it was and under other ids, the other way round: nothing changes any more.
    before = await written(idle)
    again = [[*reversed(bodies), *map(told_again, bodies)] for _, _, bodies in everything]
    await deliver(idle, again, at_once=True)
    assert await written(idle) == before
    assert await inbox_states(idle) == {("DONE", 0)}
    await assert_returned(idle, flow, everything)
