"""Refunds and disputes told in any order, and a refund that fails after it had succeeded: everybody has what is theirs."""

import itertools
import random
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import orjson
import pytest

from tests.faults.shop import Customer, everything_told, open_shop, settled
from tests.faults.webhook_delivery import inbox_states, process_all, sending, told_again, written
from tests.faults.webhook_returns import GROSS, RETURN_FLOWS, ReturnFlow, play_returns
from tests.support.processes import Deployment
from tests.support.world import World, eventually

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

    for at_once, chosen in ((False, every), (True, every[::3])):
        paid = await play_returns(idle, flow, len(chosen))
        everything += paid
        ordered = [[bodies[place] for place in order] for order, (_, _, bodies) in zip(chosen, paid, strict=True)]
        await deliver(idle, ordered, at_once=at_once)

    # What could not be true yet waits for what was missing, and comes again.
    await idle.engine.database.writer.execute("update inbox_events set due_at = now() where state = 'PENDING'")
    await process_all(idle)
    states = await inbox_states(idle)
    assert {state for state, _ in states} == {"DONE"}
    assert flow.waits or states == {("DONE", 0)}
    await assert_returned(idle, flow, everything)

    # All of it again, as it was and under other ids, the other way round: nothing changes any more.
    before = await written(idle)
    again = [[*reversed(bodies), *map(told_again, bodies)] for _, _, bodies in everything]
    await deliver(idle, again, at_once=True)
    assert await written(idle) == before
    assert await inbox_states(idle) == states
    await assert_returned(idle, flow, everything)


_REFUND: Final = """
mutation ($payment: ID!) {
  refundCreate(input: {idempotencyKey: "back", paymentId: $payment, reason: REQUESTED_BY_CUSTOMER}) {
    refund { id status } errors { code message }
  }
}
"""


async def test_refund_that_fails_later_gives_everybody_back_what_they_had(deployed: Deployment) -> None:
    await deployed.web()
    deployed.worker()
    creator, _ = await open_shop(deployed)
    customer = Customer(deployed)
    payment = await customer.tip(creator)
    await customer.pay(payment, "tok_refund_fails_later")
    await settled(deployed, payment)
    await everything_told(deployed)
    before = await _balances(deployed)
    assert before["available"] == 475

    data = await deployed.client("fable").run(_REFUND, payment=payment)

    assert data["refundCreate"]["errors"] == []

    async def failed() -> bool:
        return bool(await deployed.scalar("select status = 'FAILED' from refunds"))

    await eventually(failed, 30, lambda: "the refund never failed")
    await settled(deployed, payment)
    await everything_told(deployed)
    assert await _balances(deployed) == before
    sql = "select array_agg(status order by sequence) from payment_events"
    assert (await deployed.scalar(sql))[-3:] == ["SUCCEEDED", "REFUNDED", "SUCCEEDED"]
    keys = "select count(*) from ledger.request where outcome = 'posted' and key like 'refund%'"
    # The refund and what the provider paid for it, and both of them undone.
    assert await deployed.scalar(keys) == 4
    assert await deployed.scalar("select count(*) from refunds") == 1


async def _balances(deployed: Deployment) -> dict[str, int]:
    """Return what is on all accounts, by kind."""
    rows = await deployed.pool.fetch("select kind, sum(posted) as posted from ledger.account group by kind")
    return {row["kind"]: int(row["posted"]) for row in rows if row["posted"]}
