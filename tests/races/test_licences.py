"""Licence keys and what shares them out, all at the same moment."""

import asyncio
from typing import Any, Final
from uuid import UUID

import asyncpg
import pytest

from core.clock import now
from services import access
from tests.support.digital import Stall, open_stall, run, variant_id
from tests.support.orders import make_order
from tests.support.world import World

STATUS: Final = "licence { activations }"


@pytest.fixture
async def stall(idle: World, owner: asyncpg.Connection) -> Stall:
    return await open_stall(idle, owner)


async def pool(stall: Stall, number: int) -> UUID:
    """Offer a variant with a pool of so many keys."""
    variant = await stall.variant(stock=0, licence_policy="POOL")
    await upload(stall, variant, number)
    return variant


async def upload(stall: Stall, variant: UUID, number: int, first: int = 0) -> dict[str, Any]:
    keys = [f"KEY-{first + place:08}" for place in range(number)]
    return await run(stall.seller, "licenceKeysUpload", "added", variantId=variant_id(variant), keys=keys)


async def grant(stall: Stall, line: UUID) -> int:
    """Grant a line in a transaction of its own; return how many keys it lacks."""
    async with stall.engine.database.transaction() as transaction:
        lacking = await access.grant([line], on=transaction.connection, at=now())
        # So that all of them hold what they took while the others look.
        await transaction.connection.execute("select pg_sleep(0.05)")
        return lacking.get(line, 0)


async def sold_key(stall: Stall, activations: int | None = None) -> tuple[str, str]:
    """Return the id and the key of a licence that was sold."""
    variant = await stall.variant(licence_policy="GENERATED", licence_activations=activations)
    made = await make_order(stall.owner, stall.creator, variant, buyer=stall.buyer)
    [licence] = await stall.licences(made.line)
    return licence.id, licence.key or ""


async def test_of_twenty_sales_of_five_keys_five_have_one(stall: Stall) -> None:
    variant = await pool(stall, 5)
    lines = [
        (await make_order(stall.owner, stall.creator, variant, buyer=stall.buyer, granted=False)).line
        for _ in range(20)
    ]

    lacking = await asyncio.gather(*(grant(stall, line) for line in lines))

    assert sorted(lacking) == [0] * 5 + [1] * 15
    assigned = await stall.owner.fetch("select line_id from licence_keys where state = 'ASSIGNED'")
    assert len({row["line_id"] for row in assigned}) == len(assigned) == 5
    assert await stall.world.count("access_grants") == 20


async def test_enough_keys_are_enough_for_everybody_at_once(stall: Stall) -> None:
    variant = await pool(stall, 40)
    lines = [
        (await make_order(stall.owner, stall.creator, variant, 2, buyer=stall.buyer, granted=False)).line
        for _ in range(20)
    ]

    assert await asyncio.gather(*(grant(stall, line) for line in lines)) == [0] * 20
    assert await stall.world.scalar("select count(*) from licence_keys where state = 'ASSIGNED'") == 40


async def test_one_line_that_is_granted_twenty_times_has_its_keys_once(stall: Stall) -> None:
    variant = await pool(stall, 5)
    made = await make_order(stall.owner, stall.creator, variant, 2, buyer=stall.buyer, granted=False)

    assert await asyncio.gather(*(grant(stall, made.line) for _ in range(20))) == [0] * 20

    assert await stall.world.scalar("select count(*) from licence_keys where state = 'ASSIGNED'") == 2
    assert await stall.world.count("access_grants") == 1


async def test_of_twenty_places_at_once_three_are_within_a_limit_of_three(stall: Stall) -> None:
    _, key = await sold_key(stall, 3)
    app = stall.world.client()

    answers = await asyncio.gather(
        *(run(app, "licenceKeyActivate", STATUS, key=key, instance=f"place {place}") for place in range(20))
    )

    refusals = [error["code"] for answer in answers for error in answer["errors"]]
    assert refusals == ["LICENCE_ACTIVATIONS_EXHAUSTED"] * 17
    assert await stall.world.scalar("select activations from licence_keys") == 3
    assert await stall.world.count("licence_activations") == 3


async def test_one_place_that_is_taken_twenty_times_at_once_counts_once(stall: Stall) -> None:
    _, key = await sold_key(stall, 3)
    app = stall.world.client()

    answers = await asyncio.gather(
        *(run(app, "licenceKeyActivate", STATUS, key=key, instance="desk") for _ in range(20))
    )

    assert all(answer["errors"] == [] for answer in answers)
    assert await stall.world.scalar("select activations from licence_keys") == 1
    assert await stall.world.count("licence_activations") == 1


async def test_places_that_are_taken_and_left_at_once_are_counted_as_they_are(stall: Stall) -> None:
    _, key = await sold_key(stall, 3)
    app = stall.world.client()

    await asyncio.gather(
        *(
            run(app, f"licenceKey{turn}ctivate", STATUS, key=key, instance=f"place {place % 5}")
            for place in range(15)
            for turn in ("A", "Dea")
        )
    )

    active = await stall.world.scalar("select count(*) from licence_activations where ended_at is null")
    assert await stall.world.scalar("select activations from licence_keys") == active <= 3


async def test_a_key_that_is_replaced_twenty_times_at_once_is_replaced_once(stall: Stall) -> None:
    licence, _ = await sold_key(stall)
    buyer = stall.world.client("buyer")

    same = await asyncio.gather(
        *(run(buyer, "licenceKeyRotate", "licence { id }", "the-same", licenceId=licence) for _ in range(10))
    )
    others = await asyncio.gather(
        *(run(buyer, "licenceKeyRotate", "licence { id }", licenceId=licence) for _ in range(10))
    )

    assert len({answer["licence"]["id"] for answer in same}) == 1
    assert {error["code"] for answer in others for error in answer["errors"]} == {"LICENCE_INVALID"}
    assert await stall.world.count("licence_keys") == 2


async def test_a_key_that_buyer_and_creator_replace_at_once_is_replaced_once(stall: Stall) -> None:
    variant = await pool(stall, 10)
    made = await make_order(stall.owner, stall.creator, variant, buyer=stall.buyer)
    await stall.owner.execute("update stock_levels set on_hand = on_hand - 1")
    [licence] = await stall.licences(made.line)
    clients = [stall.seller, stall.world.client("buyer")] * 5

    answers = await asyncio.gather(
        *(run(client, "licenceKeyRotate", "licence { id }", licenceId=licence.id) for client in clients)
    )

    assert sorted(len(answer["errors"]) for answer in answers) == [0] + [1] * 9
    assert await stall.world.scalar("select sum(on_hand) from stock_levels") == 8
    states = await stall.owner.fetch("select state, count(*) as number from licence_keys group by state")
    assert {row["state"]: row["number"] for row in states} == {"AVAILABLE": 8, "ASSIGNED": 1, "REVOKED": 1}


async def test_a_key_that_is_replaced_while_it_is_taken_into_use_is_in_use_nowhere(stall: Stall) -> None:
    licence, key = await sold_key(stall)
    app, buyer = stall.world.client(), stall.world.client("buyer")

    await asyncio.gather(
        *(run(app, "licenceKeyActivate", STATUS, key=key, instance=f"place {place}") for place in range(15)),
        run(buyer, "licenceKeyRotate", "licence { id }", licenceId=licence),
    )

    assert await stall.world.scalar("select count(*) from licence_activations where ended_at is null") == 0
    assert await stall.world.scalar("select sum(activations) from licence_keys") == 0


async def test_uploads_of_the_same_keys_at_once_add_each_once(stall: Stall) -> None:
    variant, other = await pool(stall, 0), await pool(stall, 0)

    answers = await asyncio.gather(
        *(
            upload(stall, chosen, 20, first)
            for chosen in (variant, other)
            for first in (0, 10, 20)
            for _ in range(2)
        )
    )

    keys = await stall.world.count("licence_keys")
    assert sum(answer["added"] or 0 for answer in answers) == keys
    assert await stall.world.scalar("select sum(on_hand) from stock_levels") == keys
    assert {error["code"] for answer in answers for error in answer["errors"]} <= {"INPUT_INVALID"}
    for chosen in (variant, other):
        stock = await stall.world.scalar(
            "select coalesce(sum(on_hand), 0) from stock_levels where variant_id = $1", chosen
        )
        assert stock == await stall.world.scalar("select count(*) from licence_keys where variant_id = $1", chosen)
