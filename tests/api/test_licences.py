"""Licence keys: pools, sales, use at places, replacing one."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from app.client import Client
from core.clock import now
from core.ids import Noun, encode, uuid7
from core.scopes import PERSONAL_SCOPES, Scope
from core.viewer import ANONYMOUS, Viewer
from services import access, licences
from services.paging import PageQuery
from tests.support.digital import Stall, open_stall, run, variant_id
from tests.support.orders import Made, make_cart, make_order
from tests.support.world import World, running_world

STATUS = "licence { valid state activations activationLimit instanceActive }"
KEY = "licence { id key lastFour state activations activationLimit }"
ASK = """
query ($key: String!, $instance: String) {
  licenceKey(key: $key, instance: $instance) { valid state activations activationLimit instanceActive }
}
"""
NODE = "query ($id: ID!) { node(id: $id) { id ... on LicenceKey { key lastFour state } } }"


@pytest.fixture
async def idle(dsn: str) -> AsyncIterator[World]:
    """A server alone."""
    async with running_world(dsn, worker=False, deliveries=False) as running:
        yield running


@pytest.fixture
async def stall(idle: World, owner: asyncpg.Connection) -> Stall:
    return await open_stall(idle, owner)


async def pool(stall: Stall, *keys: str, activations: int | None = None) -> UUID:
    """Offer a variant with a pool of keys."""
    variant = await stall.variant(stock=0, licence_policy="POOL", licence_activations=activations)
    if keys:
        assert (await upload(stall, variant, *keys))["errors"] == []
    return variant


async def generated(stall: Stall, activations: int | None = None) -> UUID:
    """Offer a variant whose keys are made when it is sold."""
    return await stall.variant(licence_policy="GENERATED", licence_activations=activations)


async def upload(stall: Stall, variant: UUID, *keys: str, key: str | None = None) -> dict[str, Any]:
    return await run(
        stall.seller, "licenceKeysUpload", "added skipped", key, variantId=variant_id(variant), keys=list(keys)
    )


async def sell(stall: Stall, variant: UUID, quantity: int = 1, **order: Any) -> Made:
    """Sell to the buyer, with the stock that goes with it."""
    made = await make_order(stall.owner, stall.creator, variant, quantity, buyer=stall.buyer, **order)
    await stall.owner.execute(
        "update stock_levels set on_hand = on_hand - $2 where variant_id = $1", variant, quantity
    )
    return made


async def sold_key(stall: Stall, activations: int | None = None) -> str:
    """Return a key that was sold."""
    made = await sell(stall, await generated(stall, activations))
    [licence] = await stall.licences(made.line)
    assert licence.key is not None
    return licence.key


async def use(client: Client, mutation: str, key: str, instance: str, idempotency_key: str | None = None) -> Any:
    return await run(client, mutation, STATUS, idempotency_key, key=key, instance=instance)


async def key_states(stall: Stall) -> list[Any]:
    """Return each key with what became of it."""
    rows = await stall.owner.fetch("select key, state, line_id from licence_keys order by key")
    return [tuple(row) for row in rows]


async def rotate(client: Client, licence: str, key: str | None = None) -> dict[str, Any]:
    return await run(client, "licenceKeyRotate", KEY, key, licenceId=licence)


async def ask(stall: Stall, key: str, instance: str | None = None) -> Any:
    """Ask as an application does: without signing in."""
    return (await stall.world.client().run(ASK, key=key, instance=instance))["licenceKey"]


async def on_hand(stall: Stall) -> int:
    return int(await stall.world.scalar("select coalesce(sum(on_hand), 0) from stock_levels"))


def codes(payload: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(error["code"], error["path"]) for error in payload["errors"]]


# Pools --------------------------------------------------------------------------------------------------------


async def test_keys_that_are_uploaded_are_stock(stall: Stall) -> None:
    variant = await pool(stall)

    uploaded = await upload(stall, variant, "AAAA-1", "AAAA-2", " AAAA-2 ")
    more = await upload(stall, variant, "AAAA-2", "AAAA-3")

    assert (uploaded["added"], uploaded["skipped"]) == (2, 1)
    assert (more["added"], more["skipped"]) == (1, 1)
    assert await stall.world.scalar("select count(*) from licence_keys where state = 'AVAILABLE'") == 3
    assert await on_hand(stall) == 3
    kinds = await stall.owner.fetch("select kind, on_hand from stock_movements order by id")
    assert [tuple(row) for row in kinds] == [("RECEIVED", 2), ("RECEIVED", 1)]


async def test_one_key_uploads_once_and_tells_the_same(stall: Stall) -> None:
    variant = await pool(stall, "AAAA-0")

    answers = [await upload(stall, variant, "AAAA-0", "AAAA-1", key="the-same") for _ in range(2)]
    other = await upload(stall, variant, "AAAA-2", key="the-same")

    assert [(answer["added"], answer["skipped"]) for answer in answers] == [(1, 1)] * 2
    assert codes(other) == [("IDEMPOTENCY_KEY_REUSED", ["input", "idempotencyKey"])]
    assert await on_hand(stall) == 2


async def test_what_cannot_be_uploaded_is_refused_and_nothing_is_added(stall: Stall) -> None:
    await pool(stall, "OTHER-1")
    variant, without = await pool(stall), await generated(stall)
    before = await stall.world.count("licence_keys"), await on_hand(stall)

    for into, keys, refusal in [
        (without, ["AAAA"], ("INPUT_INVALID", ["input", "variantId"])),
        (variant, [], ("INPUT_INVALID", ["input", "keys"])),
        (variant, [f"KEY-{place}" for place in range(1_001)], ("INPUT_INVALID", ["input", "keys"])),
        (variant, ["AAAA", " "], ("INPUT_INVALID", ["input", "keys", "1"])),
        (variant, ["A" * 501], ("INPUT_INVALID", ["input", "keys", "0"])),
        (variant, ["A\tB"], ("INPUT_INVALID", ["input", "keys", "0"])),
        (variant, ["NEW", "OTHER-1"], ("INPUT_INVALID", ["input", "keys", "1"])),
        (uuid7(), ["AAAA"], ("NOT_FOUND", ["input", "variantId"])),
    ]:
        refused = await upload(stall, into, *keys)
        assert codes(refused) == [refusal], keys[:2]
        assert (refused["added"], refused["skipped"]) == (None, None)
    await stall.world.creator("gable")
    foreign = await run(
        stall.world.client("gable"), "licenceKeysUpload", "added", variantId=variant_id(variant), keys=["AAAA"]
    )

    assert codes(foreign) == [("NOT_FOUND", ["input", "variantId"])]
    assert (await stall.world.count("licence_keys"), await on_hand(stall)) == before


async def test_keys_of_a_pool_go_to_lines_one_each(stall: Stall) -> None:
    variant = await pool(stall, "AAAA-1", "AAAA-2", "AAAA-3", activations=2)

    two = await stall.licences((await sell(stall, variant, 2)).line)
    one = await stall.licences((await sell(stall, variant)).line)

    assert {licence.key for licence in [*one, *two]} == {"AAAA-1", "AAAA-2", "AAAA-3"}
    assert (len(two), len(one)) == (2, 1)
    assert {(licence.state, licence.activations, licence.activation_limit) for licence in two} == {
        ("ASSIGNED", 0, 2)
    }


async def test_what_a_pool_lacks_is_told(stall: Stall) -> None:
    variant = await pool(stall, "AAAA-1")
    digital = await make_order(stall.owner, stall.creator, variant, 3, granted=False)
    plain = await make_order(stall.owner, stall.creator, await stall.variant(), granted=False)
    lines = [digital.line, plain.line]

    lacking = await access.grant(lines, on=stall.owner, at=now())
    again = await access.grant(lines, on=stall.owner, at=now())

    assert lacking == {digital.line: 2}
    assert again == {}
    assert await stall.world.count("access_grants") == 1
    assert await stall.world.scalar("select count(*) from licence_keys where state = 'ASSIGNED'") == 1


async def test_lines_without_anything_digital_cost_one_statement(stall: Stall) -> None:
    plain = await make_order(stall.owner, stall.creator, await stall.variant(), granted=False)
    # The first statements of a connection ask for the types it does not know.
    assert await access.grant([], on=stall.owner, at=now()) == {}
    asked: list[Any] = []

    with stall.owner.query_logger(asked.append):
        assert await access.grant([plain.line], on=stall.owner, at=now()) == {}
        # Statements are told of a turn later.
        await asyncio.sleep(0)

    assert len(asked) == 1
    assert await stall.world.count("access_grants") == 0


async def test_many_lines_cost_as_many_statements_as_one(stall: Stall) -> None:
    pooled = await pool(stall, *(f"AAAA-{place}" for place in range(10)))
    variants = [pooled, await generated(stall), await stall.variant(await stall.media(b"abc"))]
    lines = [
        (await make_order(stall.owner, stall.creator, variant, 2, granted=False)).line
        for variant in variants
        for _ in range(5)
    ]
    # The first statements of a connection ask for the types it does not know.
    before = await make_order(stall.owner, stall.creator, await generated(stall))
    asked: list[Any] = []

    with stall.owner.query_logger(asked.append):
        assert await access.grant(lines, on=stall.owner, at=now()) == {}
        # Statements are told of a turn later.
        await asyncio.sleep(0)

    assert len(asked) == 2
    lines_granted = await stall.owner.fetch("select line_id from access_grants where line_id <> $1", before.line)
    assert {row["line_id"] for row in lines_granted} == set(lines)
    assert await stall.world.scalar("select count(*) from licence_keys where state = 'ASSIGNED'") == 21


# Generated ----------------------------------------------------------------------------------------------------


async def test_keys_are_made_when_they_are_sold(stall: Stall) -> None:
    made = await sell(stall, await generated(stall), 3)

    sold = [licence.key or "" for licence in await stall.licences(made.line)]

    assert len(set(sold)) == 3
    assert all(re.fullmatch(r"([0-9A-HJKMNP-TV-Z]{5}-){3}[0-9A-HJKMNP-TV-Z]{5}", key) for key in sold)
    assert all(licence.last_four == (licence.key or "")[-4:] for licence in await stall.licences(made.line))


async def test_what_is_not_paid_has_no_keys(stall: Stall) -> None:
    made = await make_order(stall.owner, stall.creator, await generated(stall), buyer=stall.buyer, paid=False)

    assert await stall.licences(made.line) == []
    assert await stall.world.count("licence_keys") == 0


# Use at places ------------------------------------------------------------------------------------------------


async def test_an_application_uses_a_key_without_signing_in(stall: Stall) -> None:
    key = await sold_key(stall, 2)
    app = stall.world.client()

    taken = await use(app, "licenceKeyActivate", key, "desk")

    assert taken["errors"] == []
    good = {"valid": True, "state": "ASSIGNED", "activationLimit": 2}
    assert taken["licence"] == {**good, "activations": 1, "instanceActive": True}
    assert await ask(stall, key, "desk") == taken["licence"]
    assert await ask(stall, f" {key} ") == {**taken["licence"], "instanceActive": False}
    left = await use(app, "licenceKeyDeactivate", key, "desk")
    assert left["licence"] == {**good, "activations": 0, "instanceActive": False}


async def test_a_place_counts_once_however_often_it_is_taken_and_left(stall: Stall) -> None:
    key = await sold_key(stall, 2)
    app = stall.world.client()

    for _ in range(3):
        assert (await use(app, "licenceKeyActivate", key, "desk"))["licence"]["activations"] == 1
    for _ in range(3):
        assert (await use(app, "licenceKeyDeactivate", key, "desk"))["licence"]["activations"] == 0

    assert (await use(app, "licenceKeyActivate", key, "desk"))["licence"]["activations"] == 1
    assert await stall.world.count("licence_activations") == 2


async def test_beyond_the_limit_another_place_has_to_be_left_first(stall: Stall) -> None:
    key = await sold_key(stall, 1)
    app = stall.world.client()
    await use(app, "licenceKeyActivate", key, "desk")

    refused = await use(app, "licenceKeyActivate", key, "laptop")

    assert codes(refused) == [("LICENCE_ACTIVATIONS_EXHAUSTED", ["input", "key"])]
    assert refused["licence"] is None
    assert await stall.world.count("licence_activations") == 1
    assert (await ask(stall, key, "laptop"))["instanceActive"] is False
    await use(app, "licenceKeyDeactivate", key, "desk")
    assert (await use(app, "licenceKeyActivate", key, "laptop"))["errors"] == []


async def test_one_idempotency_key_takes_one_place(stall: Stall) -> None:
    key, same = await sold_key(stall), str(uuid7())
    app = stall.world.client()

    assert (await use(app, "licenceKeyActivate", key, "desk", same))["errors"] == []
    assert (await use(app, "licenceKeyActivate", key, "desk", same))["errors"] == []
    other = await use(app, "licenceKeyActivate", key, "laptop", same)

    assert codes(other) == [("IDEMPOTENCY_KEY_REUSED", ["input", "idempotencyKey"])]
    assert (await ask(stall, key))["activations"] == 1


async def test_the_key_itself_is_not_kept_with_the_request(stall: Stall) -> None:
    key = await sold_key(stall)
    await use(stall.world.client(), "licenceKeyActivate", key, "desk")

    kept = await stall.world.scalar("select string_agg(r::text, ' ') from requests r")

    assert "licenceKeyActivate" in kept
    assert key not in kept


async def test_keys_that_do_not_count_are_refused(stall: Stall) -> None:
    await pool(stall, "AAAA-UNSOLD")
    key = await sold_key(stall)
    await stall.owner.execute("update licence_keys set state = 'REVOKED' where key = $1", key)
    app = stall.world.client()

    for bad in ("NEVER-SEEN", "AAAA-UNSOLD", key):
        for mutation in ("licenceKeyActivate", "licenceKeyDeactivate"):
            refused = await use(app, mutation, bad, "desk")
            assert codes(refused) == [("LICENCE_INVALID", ["input", "key"])]
            assert refused["licence"] is None
    assert await ask(stall, "NEVER-SEEN") is None
    assert await ask(stall, "AAAA-UNSOLD") is None
    assert (await ask(stall, key))["state"] == "REVOKED"
    assert (await ask(stall, key))["valid"] is False
    assert await stall.world.count("licence_activations") == 0


@pytest.mark.parametrize("instance", ["", "a" * 201, "a\nb"])
async def test_a_place_has_a_short_name(stall: Stall, instance: str) -> None:
    refused = await use(stall.world.client(), "licenceKeyActivate", await sold_key(stall), instance)

    assert codes(refused) == [("INPUT_INVALID", ["input", "instance"])]
    assert await stall.world.count("licence_activations") == 0


async def test_a_guest_needs_a_random_idempotency_key(stall: Stall) -> None:
    key = await sold_key(stall)

    refused = await use(stall.world.client(), "licenceKeyActivate", key, "desk", "guessable")

    assert codes(refused) == [("IDEMPOTENCY_KEY_INVALID", ["input", "idempotencyKey"])]
    assert await stall.world.count("licence_activations") == 0


# Given back ---------------------------------------------------------------------------------------------------


async def test_what_is_given_back_counts_no_more_until_it_is_restored(stall: Stall) -> None:
    made = await sell(stall, await generated(stall))
    [licence] = await stall.licences(made.line)
    key = licence.key or ""
    app = stall.world.client()
    await use(app, "licenceKeyActivate", key, "desk")

    for _ in range(2):
        await access.revoke([made.line], "REFUNDED", on=stall.owner, at=now())
        assert (await ask(stall, key, "desk"))["valid"] is False
        assert codes(await use(app, "licenceKeyActivate", key, "laptop")) == [
            ("LICENCE_INVALID", ["input", "key"])
        ]
        reason = await stall.world.scalar("select reason from access_grants")
        assert reason == "REFUNDED"
    for _ in range(2):
        await access.restore([made.line], on=stall.owner, at=now())
        status = await ask(stall, key, "desk")
        assert (status["valid"], status["instanceActive"], status["activations"]) == (True, True, 1)


async def test_restoring_brings_back_the_key_that_counted_and_not_the_one_before(stall: Stall) -> None:
    made = await sell(stall, await generated(stall))
    [old] = await stall.licences(made.line)
    await rotate(stall.world.client("buyer"), old.id)
    [new] = await stall.licences(made.line)

    await access.revoke([made.line], "CHARGED_BACK", on=stall.owner, at=now())
    await access.restore([made.line], on=stall.owner, at=now())

    assert (await ask(stall, old.key or ""))["valid"] is False
    assert (await ask(stall, new.key or ""))["valid"] is True


# Replacing ----------------------------------------------------------------------------------------------------


async def test_a_buyer_replaces_a_key(stall: Stall) -> None:
    made = await sell(stall, await generated(stall, 2))
    [old] = await stall.licences(made.line)
    await use(stall.world.client(), "licenceKeyActivate", old.key or "", "desk")

    rotated = await rotate(stall.world.client("buyer"), old.id)

    assert rotated["errors"] == []
    new = rotated["licence"]
    assert new["id"] != old.id
    assert new["key"] != old.key
    assert (new["state"], new["activations"], new["activationLimit"]) == ("ASSIGNED", 0, 2)
    assert [licence.id for licence in await stall.licences(made.line)] == [new["id"]]
    was = await ask(stall, old.key or "", "desk")
    assert (was["state"], was["activations"], was["instanceActive"]) == ("REVOKED", 0, False)
    again = await rotate(stall.world.client("buyer"), old.id)
    assert codes(again) == [("LICENCE_INVALID", ["input", "licenceId"])]
    assert await stall.world.count("licence_keys") == 2


async def test_a_buyer_replaces_a_key_with_nothing_but_the_scope(stall: Stall) -> None:
    made = await sell(stall, await generated(stall))
    [old] = await stall.licences(made.line)

    rotated = await rotate(stall.world.client("buyer", frozenset({Scope.PURCHASES_WRITE})), old.id)

    assert rotated["errors"] == []
    assert [licence.key for licence in await stall.licences(made.line)] == [rotated["licence"]["key"]]


async def test_a_creator_replaces_a_key_and_does_not_see_it(stall: Stall) -> None:
    made = await sell(stall, await generated(stall))
    [old] = await stall.licences(made.line)

    rotated = await rotate(stall.seller, old.id)

    [new] = await stall.licences(made.line)
    assert rotated["errors"] == []
    assert rotated["licence"]["key"] is None
    assert rotated["licence"]["lastFour"] == (new.key or "")[-4:]


async def test_a_key_of_a_pool_is_replaced_by_the_next_with_its_stock(stall: Stall) -> None:
    variant = await pool(stall, "AAAA-0001", "AAAA-0002")
    made = await sell(stall, variant)
    [old] = await stall.licences(made.line)

    greedy = await rotate(stall.world.client("buyer"), old.id)
    rotated = await rotate(stall.seller, old.id)

    assert (greedy["licence"], codes(greedy)) == (None, [("INPUT_INVALID", ["input", "licenceId"])])
    assert rotated["licence"]["lastFour"] == "0002"
    assert await on_hand(stall) == 0
    movement = await stall.owner.fetchrow("select kind, on_hand, line_id from stock_movements order by id desc")
    assert movement is not None
    assert tuple(movement) == ("ADJUSTED", -1, made.line)
    empty = await rotate(stall.seller, rotated["licence"]["id"])
    assert codes(empty) == [("OUT_OF_STOCK", ["input", "licenceId"])]
    assert [licence.key for licence in await stall.licences(made.line)] == ["AAAA-0002"]
    assert (await ask(stall, "AAAA-0002"))["valid"] is True


async def test_a_buyer_of_one_key_of_a_pool_does_not_get_at_the_others(stall: Stall) -> None:
    variant = await pool(stall, "AAAA-0001", "AAAA-0002", "AAAA-0003")
    made = await sell(stall, variant)
    [own] = await stall.licences(made.line)
    states = await key_states(stall)

    for _ in range(2):
        payload = await rotate(stall.world.client("buyer"), own.id)
        assert (payload["licence"], codes(payload)) == (None, [("INPUT_INVALID", ["input", "licenceId"])])

    assert [licence.key for licence in await stall.licences(made.line)] == ["AAAA-0001"]
    assert (await key_states(stall), await on_hand(stall)) == (states, 2)
    assert (await ask(stall, "AAAA-0001"))["valid"] is True


async def test_a_key_that_is_kept_for_an_order_replaces_none(stall: Stall) -> None:
    variant = await pool(stall, "AAAA-0001", "AAAA-0002")
    made = await sell(stall, variant)
    [old] = await stall.licences(made.line)
    await stall.owner.execute("update stock_levels set reserved = 1")

    refused = await rotate(stall.seller, old.id)

    assert codes(refused) == [("OUT_OF_STOCK", ["input", "licenceId"])]
    assert [licence.key for licence in await stall.licences(made.line)] == ["AAAA-0001"]
    assert await on_hand(stall) == 1


async def test_nobody_else_replaces_a_key(stall: Stall) -> None:
    made = await sell(stall, await generated(stall))
    [old] = await stall.licences(made.line)
    await stall.world.creator("gable")
    world = stall.world

    for client, code in [
        (world.client(), "NOT_FOUND"),
        (world.client("stranger"), "NOT_FOUND"),
        (world.client("gable"), "NOT_FOUND"),
        (world.client("fable", PERSONAL_SCOPES - {Scope.PRODUCTS_WRITE}), "NOT_FOUND"),
        (world.client("buyer", PERSONAL_SCOPES - {Scope.PURCHASES_WRITE}), "FORBIDDEN"),
        (world.client_with(world.engine.guests.issue_for_cart(uuid7())), "NOT_FOUND"),
    ]:
        refused = await rotate(client, old.id)
        assert [error["code"] for error in refused["errors"]] == [code]
    assert [licence.key for licence in await stall.licences(made.line)] == [old.key]
    assert await world.count("licence_keys") == 1


async def test_a_guest_replaces_a_key_with_the_carts_token(stall: Stall) -> None:
    cart = await make_cart(stall.owner)
    made = await make_order(stall.owner, stall.creator, await generated(stall), cart=cart)
    guest = Viewer(cart_id=cart)
    [old] = await stall.licences(made.line, guest)
    client = stall.world.client_with(stall.world.engine.guests.issue_for_cart(cart))

    rotated = await rotate(client, old.id)

    assert rotated["errors"] == []
    assert [licence.key for licence in await stall.licences(made.line, guest)] == [rotated["licence"]["key"]]


# Reading ------------------------------------------------------------------------------------------------------


async def test_keys_are_shown_to_their_buyer_and_their_end_to_their_creator(stall: Stall) -> None:
    made = await sell(stall, await generated(stall))
    [licence] = await stall.licences(made.line)
    world = stall.world

    async def node(client: Client) -> Any:
        return (await client.run(NODE, id=licence.id))["node"]

    seen = {"id": licence.id, "lastFour": licence.last_four, "state": "ASSIGNED"}
    assert await node(world.client("buyer")) == {**seen, "key": licence.key}
    assert await node(stall.seller) == {**seen, "key": None}
    for other in (
        world.client(),
        world.client("stranger"),
        world.client("buyer", PERSONAL_SCOPES - {Scope.ACCOUNT_READ}),
        world.client("fable", PERSONAL_SCOPES - {Scope.PRODUCTS_WRITE}),
    ):
        assert await node(other) is None
    creator_user = await world.scalar("select user_id from creators")
    for viewer in (ANONYMOUS, Viewer(user_id=creator_user, scopes=PERSONAL_SCOPES), Viewer(cart_id=uuid7())):
        assert await stall.seen("licences_of_line", made.line, viewer) is None


async def test_of_a_short_key_not_even_the_end_is_shown(stall: Stall) -> None:
    made = await sell(stall, await pool(stall, "ABCD1234"))

    [licence] = await stall.licences(made.line)

    assert (licence.key, licence.last_four) == ("ABCD1234", "")


async def test_a_creator_pages_through_the_keys_of_a_variant(stall: Stall) -> None:
    variant = await pool(stall, "AAAA-0001", "AAAA-0002", "AAAA-0003")
    await sell(stall, variant)
    creator_user = await stall.world.scalar("select user_id from creators")
    own = Viewer(user_id=creator_user, scopes=PERSONAL_SCOPES)

    found = await licences.of_variant(stall.engine, own, variant, PageQuery(first=2))

    assert found is not None
    assert ([row["state"] for row in found.rows], found.has_next) == (["AVAILABLE", "AVAILABLE"], True)
    assert await found.count() == 3
    for viewer in (ANONYMOUS, stall.viewer, Viewer(user_id=creator_user)):
        assert await licences.of_variant(stall.engine, viewer, variant, PageQuery(first=2)) is None


async def test_an_id_leads_nowhere_for_a_key_that_is_not_there(stall: Stall) -> None:
    missing = encode(Noun.LICENCE, uuid7())

    assert (await stall.seller.run(NODE, id=missing))["node"] is None
    assert codes(await rotate(stall.seller, missing)) == [("NOT_FOUND", ["input", "licenceId"])]
