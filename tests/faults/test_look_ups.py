"""Everything has to be looked up: it ends as if it had been told, in any order, twice, and after kill -9 anywhere."""

import signal
from typing import Any
from uuid import UUID

import orjson
import pytest

from tests.faults import look_up_places
from tests.faults.shop import Customer, audit, everything_told, open_shop, settled
from tests.faults.test_webhooks_order import in_one_batch, one_by_one
from tests.faults.test_webhooks_returns import deliver, orders
from tests.faults.webhook_delivery import (
    assert_paid_once,
    assert_story,
    inbox_states,
    told_again,
    written,
)
from tests.faults.webhook_flows import FLOWS, AtTheProvider, ThroughTheApi, play
from tests.faults.webhook_returns import RETURN_FLOWS, play_returns
from tests.support.processes import Deployment
from tests.support.telling_little import tell_little
from tests.support.world import World


async def standing(world: World, keys: list[UUID]) -> list[tuple[Any, ...]]:
    """Return how payments stand, and what went back of each; in their order."""
    sql = """
        select p.status, p.reason, p.provider_state, p.captured, p.refunded, p.returned_net, p.dispute,
            (select array_agg(r.status || r.amount order by r.amount) from refunds r where r.payment_id = p.id),
            (select array_agg(d.status || d.withdrawn) from disputes d where d.payment_id = p.id)
        from unnest($1::uuid[]) with ordinality as given (id, place) join payments p using (id) order by place
    """
    return [tuple(row) for row in await world.engine.database.reader.fetch(sql, keys)]


async def balances(world: World) -> dict[str, int]:
    rows = await world.engine.database.reader.fetch(
        "select kind, sum(posted) as posted from ledger.account group by kind"
    )
    return {row["kind"]: int(row["posted"]) for row in rows if row["posted"]}


@pytest.mark.parametrize("name", FLOWS)
async def test_payments_that_are_looked_up_end_as_they_would_if_told(idle: World, name: str) -> None:
    tell_little(idle.sandbox)
    flow = FLOWS[name]
    creator = await idle.creator("fable")
    every = flow.orders()[::2]
    everything = []

    for payer, delivered in (
        (AtTheProvider, one_by_one),
        (AtTheProvider, in_one_batch),
        (ThroughTheApi, one_by_one),
    ):
        played = await play(idle, flow, creator, len(every), payer)
        everything += played
        await delivered(idle, [one.in_order(order) for one, order in zip(played, every, strict=True)])

    assert await inbox_states(idle) == {("DONE", 0)}
    for one in everything:
        await assert_story(idle, one.key, flow.status, flow.reason)
    charges = [body for one in everything for body in one.bodies if orjson.loads(body)["type"] == "charge.updated"]
    await assert_paid_once(idle, [one.key for one in everything] if flow.paid else [], charges)
    before = await written(idle)
    again = [body for one in reversed(everything) for body in reversed(one.bodies)]
    await in_one_batch(idle, [again, [told_again(body) for body in again]])
    assert await written(idle) == before
    assert await inbox_states(idle) == {("DONE", 0)}


@pytest.mark.parametrize("name", RETURN_FLOWS)
async def test_money_going_back_that_is_looked_up_ends_as_it_would_if_told(idle: World, name: str) -> None:
    flow = RETURN_FLOWS[name]
    every = orders(len(flow.tells))[::4]

    told = await play_returns(idle, flow, len(every))
    await deliver(idle, [bodies for _, _, bodies in told], at_once=False)
    expected, kept = await standing(idle, [key for _, key, _ in told]), await balances(idle)

    tell_little(idle.sandbox)
    paid = await play_returns(idle, flow, len(every))
    ordered = [[bodies[place] for place in order] for order, (_, _, bodies) in zip(every, paid, strict=True)]
    await deliver(idle, ordered, at_once=False)
    both = await balances(idle)

    assert await inbox_states(idle) == {("DONE", 0)}
    assert await standing(idle, [key for _, key, _ in paid]) == expected
    assert both == {kind: 2 * amount for kind, amount in kept.items()}

    before = await written(idle)
    again = [[*reversed(bodies), *map(told_again, bodies)] for _, _, bodies in paid]
    await deliver(idle, again, at_once=True)
    assert await written(idle) == before
    assert await inbox_states(idle) == {("DONE", 0)}


async def dies(process: Any) -> None:
    assert await process.ended() == -signal.SIGKILL, process.said


@pytest.mark.parametrize("place", look_up_places.LOOK_UPS)
async def test_worker_killed_while_it_looks_up_settles_once(deployed: Deployment, place: str) -> None:
    await deployed.web()
    dying = deployed.worker(fault=place)
    creator, product = await open_shop(deployed, stock=5)

    customer = Customer(deployed)
    payments = [await customer.buy(product), await customer.tip(creator)]
    for payment in payments:
        await customer.pay(payment)
    await dies(dying)
    deployed.worker(fault=look_up_places.LITTLE)
    await deployed.hours_pass()

    await settled(deployed, *payments)
    await deployed.hours_pass()
    await everything_told(deployed)
    await audit(deployed, payments, stock=5)
    assert await deployed.scalar("select max(attempts) from inbox_events") == 0
