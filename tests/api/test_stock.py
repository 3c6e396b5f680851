"""Stock: places, how many of what are there, and the creator's changes of that."""

from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from core.clock import now
from core.ids import Noun, encode, uuid7
from services import stock
from services.gauges import read as read_gauges
from tests.api.shop import Shop, ask, do, nothing_of, refused, unchanged, usd

pytestmark = pytest.mark.asyncio(loop_scope="module")

LEVELS = """
query ($first: Int, $after: String, $where: StockLevelWhere, $sort: StockLevelSort! = NEWEST) {
  me { creator {
    stockLevels(first: $first, after: $after, where: $where, sort: $sort) {
      totalCount pageInfo { hasNextPage endCursor }
      nodes { onHand reserved available lowAt lowSince variant { id } location { id name } }
    }
  } }
}
"""
LOCATIONS = "{ me { creator { stockLocations(first: 100) { totalCount nodes { id name position active } } } } }"
OF_VARIANT = """
query ($id: ID!, $first: Int, $after: String) {
  node(id: $id) { ... on Variant { available stockLevels {
    onHand reserved location { name }
    movements(first: $first, after: $after) {
      totalCount pageInfo { hasNextPage endCursor } nodes { kind onHand reserved note orderLineId }
    }
  } } }
}
"""
SHORT = """
mutation ($input: StockMoveInput!) {
  stockMove(input: $input) { source { onHand } errors { code ... on InsufficientStock { available variantId } } }
}
"""
NO_VARIANT = "There is no such variant. Check the id that was sent."
NO_LOCATION = "There is no such stock location. Check the id that was sent."


@dataclass
class Store:
    """A creator with one variant, and two places to keep it at."""

    shop: Shop
    variant: str
    here: str
    there: str

    @property
    def at(self) -> dict[str, str]:
        return {"variantId": self.variant, "locationId": self.here}


async def offered(shop: Shop, **given: Any) -> str:
    """Offer a product; return its only variant's id."""
    made = await do(
        shop.owner, "productCreate", creatorId=shop.creator, title="A thing", price=usd("5.00"), **given
    )
    key = shop.world.key(Noun.PRODUCT, made["product"]["id"])
    return encode(
        Noun.VARIANT, await shop.world.scalar("select id from product_variants where product_id = $1", key)
    )


async def place(shop: Shop, **given: Any) -> str:
    """Make a location of a name of its own; return its id."""
    made = await do(
        shop.owner, "stockLocationCreate", **{"creatorId": shop.creator, "name": str(uuid7()), **given}
    )
    return str(made["location"]["id"])


@pytest_asyncio.fixture(loop_scope="module")
async def store(shop: Shop) -> Store:
    return Store(shop, await offered(shop), await place(shop), await place(shop))


async def reserve(store: Store, number: int) -> None:
    """Reserve some of what is here, as an order would."""
    variant, here = (
        store.shop.world.key(Noun.VARIANT, store.variant),
        store.shop.world.key(Noun.STOCK_LOCATION, store.here),
    )
    await store.shop.world.engine.database.writer.execute(
        "with changed as (update stock_levels set reserved = reserved + $3 "
        "where variant_id = $1 and location_id = $2 returning id) "
        "insert into stock_movements (level_id, kind, on_hand, reserved, at) select id, 'RESERVED', 0, $3, $4 from changed",
        variant,
        here,
        number,
        now(),
    )


async def of_variant(store: Store, **given: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await store.shop.owner.run(OF_VARIANT, id=store.variant, **{"first": 100, **given}))[
        "node"
    ]
    return found


# Places -----------------------------------------------------------------------------------------------------


async def test_location_is_made_renamed_moved_in_the_order_and_archived(shop: Shop) -> None:
    made = await do(shop.owner, "stockLocationCreate", creatorId=shop.creator, name="  The barn ", position=5)
    key = made["location"]["id"]
    assert made["location"] == {"id": key, "name": "The barn", "position": 5, "active": True}

    renamed = await do(shop.owner, "stockLocationUpdate", locationId=key, name="The loft")
    assert renamed["location"] == {"id": key, "name": "The loft", "position": 5, "active": True}
    first = await do(shop.owner, "stockLocationUpdate", locationId=key, position=0)
    assert (first["location"]["name"], first["location"]["position"]) == ("The loft", 0)
    for _ in range(2):
        archived = await do(shop.owner, "stockLocationArchive", locationId=key)
        assert archived["location"]["active"] is False

    listed = (await shop.owner.run(LOCATIONS))["me"]["creator"]["stockLocations"]
    assert archived["location"] in listed["nodes"]
    assert listed["totalCount"] == len(listed["nodes"])
    assert [each["position"] for each in listed["nodes"]] == sorted(each["position"] for each in listed["nodes"])
    assert await shop.owner.run("query ($id: ID!) { node(id: $id) { id } }", id=key) == {"node": {"id": key}}


async def test_location_without_a_position_comes_last(shop: Shop) -> None:
    before = await shop.world.scalar("select max(position) from stock_locations")
    made = await do(shop.owner, "stockLocationCreate", creatorId=shop.creator, name="The end")
    assert made["location"]["position"] == before + 1


@pytest.mark.parametrize("mutation", ["stockLocationCreate", "stockLocationUpdate"])
@pytest.mark.parametrize(
    ("given", "path", "says"),
    [
        ({"name": " "}, "name", "A name has 1 to 80 characters."),
        ({"name": "x" * 81}, "name", "A name has 1 to 80 characters."),
        ({"position": -1}, "position", "A position is a number from 0 to 10000."),
        ({"position": 10_001}, "position", "A position is a number from 0 to 10000."),
    ],
)
async def test_location_that_is_not_sound_is_refused(
    shop: Shop, mutation: str, given: dict[str, Any], path: str, says: str
) -> None:
    own = (
        {"creatorId": shop.creator, "name": "Sound"}
        if mutation.endswith("Create")
        else {"locationId": shop.location}
    )
    async with unchanged(shop.world):
        payload = await ask(shop.owner, mutation, **{**own, **given})
    refused(payload, "INPUT_INVALID", path, says=says)


async def test_name_of_another_location_is_refused_even_of_an_archived_one(shop: Shop) -> None:
    one, two = await place(shop, name="Taken"), await place(shop)
    await do(shop.owner, "stockLocationArchive", locationId=one)
    says = "Another location has this name, perhaps an archived one. Choose another."
    async with unchanged(shop.world, requests=2):
        again = await ask(shop.owner, "stockLocationCreate", creatorId=shop.creator, name="Taken")
        renamed = await ask(shop.owner, "stockLocationUpdate", locationId=two, name="Taken")
    refused(again, "NAME_TAKEN", "name", says=says)
    refused(renamed, "NAME_TAKEN", "name", says=says)


async def test_no_more_than_a_hundred_locations_are_made(shop: Shop) -> None:
    creator = await shop.world.creator("hoarder")
    await shop.world.engine.database.writer.execute(
        "insert into stock_locations (id, creator_id, name, position, state, created_at, updated_at) "
        "select gen_random_uuid(), $1, 'Place ' || n, n, 'active', $2, $2 from generate_series(1, 100) n",
        shop.world.key(Noun.CREATOR, creator),
        now(),
    )
    hoarder = shop.world.client("hoarder")
    async with unchanged(shop.world, requests=1):
        payload = await ask(hoarder, "stockLocationCreate", creatorId=creator, name="One more")
    says = "A creator has at most 100 stock locations. Archive one that is not used."
    refused(payload, "LIMIT_EXCEEDED", says=says)


async def test_first_location_is_made_where_it_is_needed_whatever_names_are_taken(shop: Shop) -> None:
    creator = await shop.world.creator("newcomer")
    newcomer, key = shop.world.client("newcomer"), shop.world.key(Noun.CREATOR, creator)
    names = []
    for _ in range(3):
        async with shop.world.engine.database.transaction() as transaction:
            made = await stock.main_location(key, on=transaction.connection, at=now())
            assert await stock.main_location(key, on=transaction.connection, at=now()) == made
        names.append(await shop.world.scalar("select name from stock_locations where id = $1", made))
        await do(newcomer, "stockLocationArchive", locationId=encode(Noun.STOCK_LOCATION, made))
    assert names == ["Main", "Main 2", "Main 3"]


# Levels -----------------------------------------------------------------------------------------------------


async def test_stock_is_counted_from_when_it_is_first_set(store: Store) -> None:
    assert (await of_variant(store))["available"] is None

    level = (await do(store.shop.owner, "stockSet", **store.at, onHand=7))["level"]

    assert level["variant"] == {"id": store.variant}
    assert level["location"] == {"id": store.here}
    assert (level["onHand"], level["reserved"], level["available"], level["lowAt"]) == (7, 0, 7, None)
    assert (await of_variant(store))["available"] == 7


async def test_stock_is_adjusted_and_why_is_kept(store: Store) -> None:
    await do(store.shop.owner, "stockAdjust", **store.at, by=10, note="A delivery")
    adjusted = await do(store.shop.owner, "stockAdjust", **store.at, by=-3, note="Broken")
    await do(store.shop.owner, "stockSet", **store.at, onHand=7)
    await do(store.shop.owner, "stockSet", **store.at, onHand=9)

    assert adjusted["level"]["onHand"] == 7
    (level,) = (await of_variant(store))["stockLevels"]
    shown = [
        (each["kind"], each["onHand"], each["reserved"], each["note"]) for each in level["movements"]["nodes"]
    ]
    # What changes nothing is no movement.
    assert shown == [("ADJUSTED", 2, 0, None), ("ADJUSTED", -3, 0, "Broken"), ("ADJUSTED", 10, 0, "A delivery")]


async def test_movements_are_paged_through(store: Store) -> None:
    for number in range(1, 6):
        await do(store.shop.owner, "stockAdjust", **store.at, by=number)
    seen, cursor = [], None
    for _ in range(3):
        (level,) = (await of_variant(store, first=2, after=cursor))["stockLevels"]
        assert level["movements"]["totalCount"] == 5
        seen += [each["onHand"] for each in level["movements"]["nodes"]]
        cursor = level["movements"]["pageInfo"]["endCursor"]
    assert seen == [5, 4, 3, 2, 1]
    assert level["movements"]["pageInfo"]["hasNextPage"] is False


async def test_stock_is_moved(store: Store) -> None:
    await do(store.shop.owner, "stockSet", **store.at, onHand=5)
    given = {"variantId": store.variant, "fromLocationId": store.here, "toLocationId": store.there, "quantity": 2}

    moved = await do(store.shop.owner, "stockMove", **given, note="Closer")

    assert (moved["source"]["onHand"], moved["destination"]["onHand"]) == (3, 2)
    assert moved["destination"]["location"] == {"id": store.there}
    levels = (await of_variant(store))["stockLevels"]
    assert [[(each["kind"], each["onHand"]) for each in level["movements"]["nodes"][:1]] for level in levels] == [
        [("MOVED", -2)],
        [("MOVED", 2)],
    ]
    # From an archived place it can still be fetched; to one, nothing goes.
    await do(store.shop.owner, "stockLocationArchive", locationId=store.here)
    await do(store.shop.owner, "stockMove", **given)
    back = {**given, "fromLocationId": store.there, "toLocationId": store.here}
    async with unchanged(store.shop.world, requests=1):
        payload = await ask(store.shop.owner, "stockMove", **back)
    refused(payload, "INPUT_INVALID", "toLocationId", says="This location is archived. Choose another.")


async def test_what_is_reserved_is_neither_set_nor_adjusted_nor_moved_away(store: Store) -> None:
    owner = store.shop.owner
    await do(owner, "stockSet", **store.at, onHand=5)
    await reserve(store, 3)
    given = {"variantId": store.variant, "fromLocationId": store.here, "toLocationId": store.there, "quantity": 3}
    says = "There are 5 here, of which 3 are reserved for orders: no more than 2 can be taken away."

    async with unchanged(store.shop.world, requests=4):
        refused(await ask(owner, "stockSet", **store.at, onHand=2), "OUT_OF_STOCK", "onHand", says=says)
        refused(await ask(owner, "stockAdjust", **store.at, by=-3), "OUT_OF_STOCK", "by", says=says)
        refused(await ask(owner, "stockMove", **given), "OUT_OF_STOCK", "quantity", says=says)
        short = (await owner.run(SHORT, input={"idempotencyKey": str(uuid7()), **given}))["stockMove"]
    assert short["errors"] == [{"code": "OUT_OF_STOCK", "available": 2, "variantId": store.variant}]
    level = (await do(owner, "stockAdjust", **store.at, by=-2))["level"]
    assert (level["onHand"], level["reserved"], level["available"]) == (3, 3, 0)


@pytest.mark.parametrize(
    ("mutation", "given", "path", "says"),
    [
        ("stockSet", {"onHand": -1}, "onHand", "Send a number from 0 to 1000000000."),
        ("stockSet", {"onHand": 1_000_000_001}, "onHand", "Send a number from 0 to 1000000000."),
        ("stockSet", {"lowAt": -1}, "lowAt", "Send a number from 0 to 1000000000."),
        ("stockSet", {"lowAt": 1, "neverLow": True}, "lowAt", "Send either lowAt or neverLow."),
        ("stockAdjust", {"by": 0}, "by", "Send a number from 1 to 1000000000, or its negative."),
        ("stockAdjust", {"by": 1, "note": "x" * 501}, "note", "A note has at most 500 characters."),
    ],
)
async def test_change_that_is_not_sound_is_refused(
    store: Store, mutation: str, given: dict[str, Any], path: str, says: str
) -> None:
    async with unchanged(store.shop.world):
        payload = await ask(store.shop.owner, mutation, **store.at, **given)
    refused(payload, "INPUT_INVALID", path, says=says)


async def test_more_than_a_location_has_room_for_is_refused(store: Store) -> None:
    await do(store.shop.owner, "stockSet", **store.at, onHand=999_999_999)
    async with unchanged(store.shop.world, requests=1):
        payload = await ask(store.shop.owner, "stockAdjust", **store.at, by=2)
    refused(payload, "INPUT_INVALID", "by", says="A location has at most 1000000000 of a variant.")


@pytest.mark.parametrize(
    ("given", "path", "says"),
    [
        ({"quantity": 0}, "quantity", "A quantity is a number from 1 to 1000000000."),
        ({"toLocationId": None}, "toLocationId", "Choose another location than the one it comes from."),
    ],
)
async def test_move_that_moves_nothing_is_refused(
    store: Store, given: dict[str, Any], path: str, says: str
) -> None:
    sent = {"quantity": 1, "toLocationId": store.there, **given}
    sent["toLocationId"] = sent["toLocationId"] or store.here
    async with unchanged(store.shop.world):
        payload = await ask(
            store.shop.owner, "stockMove", variantId=store.variant, fromLocationId=store.here, **sent
        )
    refused(payload, "INPUT_INVALID", path, says=says)


async def test_what_is_somebody_elses_or_not_there_at_all_is_not_found(store: Store) -> None:
    shop = store.shop
    other = await shop.world.creator(f"other_{uuid7().hex[-8:]}")
    key = await shop.world.scalar(
        "select u.subject from users u join creators c on c.user_id = u.id where c.id = $1",
        shop.world.key(Noun.CREATOR, other),
    )
    client = shop.world.client(key)
    made = await do(client, "stockLocationCreate", creatorId=other, name="Theirs")
    theirs = made["location"]["id"]
    async with unchanged(shop.world):
        for location in (theirs, nothing_of(Noun.STOCK_LOCATION)):
            payload = await ask(shop.owner, "stockSet", variantId=store.variant, locationId=location, onHand=1)
            refused(payload, "NOT_FOUND", "locationId", says=NO_LOCATION)
        for variant in (store.variant, nothing_of(Noun.VARIANT)):
            payload = await ask(client, "stockSet", variantId=variant, locationId=theirs, onHand=1)
            refused(payload, "NOT_FOUND", "variantId", says=NO_VARIANT)


async def test_stock_of_keys_is_as_many_as_there_are_keys(store: Store) -> None:
    variant = store.shop.world.key(Noun.VARIANT, store.variant)
    await store.shop.world.engine.database.writer.execute(
        "update product_variants set licence_policy = 'POOL', stock_tracked = true where id = $1", variant
    )
    says = "There are as many of it as it has licence keys: upload keys instead."
    async with unchanged(store.shop.world, requests=2):
        refused(
            await ask(store.shop.owner, "stockSet", **store.at, onHand=3), "INPUT_INVALID", "variantId", says=says
        )
        refused(
            await ask(store.shop.owner, "stockAdjust", **store.at, by=3), "INPUT_INVALID", "variantId", says=says
        )
    level = (await do(store.shop.owner, "stockSet", **store.at, lowAt=3))["level"]
    assert (level["lowAt"], level["onHand"]) == (3, 0)


@pytest.mark.parametrize("mutation", ["stockSet", "stockAdjust"])
async def test_the_same_key_changes_once(store: Store, mutation: str) -> None:
    given = {"onHand": 4} if mutation == "stockSet" else {"by": 4}
    once = await do(store.shop.owner, mutation, **store.at, **given, idempotencyKey="once")
    again = await do(store.shop.owner, mutation, **store.at, **given, idempotencyKey="once")
    assert once == again
    async with unchanged(store.shop.world):
        other = await ask(
            store.shop.owner, mutation, **{**store.at, "locationId": store.there}, **given, idempotencyKey="once"
        )
    assert [error["code"] for error in other["errors"]] == ["IDEMPOTENCY_KEY_REUSED"]
    assert len((await of_variant(store))["stockLevels"][0]["movements"]["nodes"]) == 1


# Low --------------------------------------------------------------------------------------------------------


async def test_what_is_low_is_shown_told_and_counted_until_it_rises(store: Store) -> None:
    owner, engine = store.shop.owner, store.shop.world.engine
    before = (await read_gauges(engine.database.reader))["stock_levels_low", None]
    level = (await do(owner, "stockSet", **store.at, onHand=5, lowAt=2))["level"]
    assert (level["lowAt"], level["lowSince"]) == (2, None)

    since = (await do(owner, "stockAdjust", **store.at, by=-3))["level"]["lowSince"]
    assert since is not None
    assert (await do(owner, "stockAdjust", **store.at, by=-1))["level"]["lowSince"] == since
    assert (await read_gauges(engine.database.reader))["stock_levels_low", None] == before + 1
    where = {"variantId": store.variant, "low": True}
    (found,) = (await owner.run(LEVELS, first=9, where=where))["me"]["creator"]["stockLevels"]["nodes"]
    assert found["lowSince"] == since
    assert not await stock.tell_low(engine)

    assert (await do(owner, "stockAdjust", **store.at, by=2))["level"]["lowSince"] is None
    assert (await owner.run(LEVELS, first=9, where=where))["me"]["creator"]["stockLevels"]["nodes"] == []
    assert (await do(owner, "stockSet", **store.at, lowAt=3))["level"]["lowSince"] is not None
    never = (await do(owner, "stockSet", **store.at, neverLow=True))["level"]
    assert (never["lowAt"], never["lowSince"], never["onHand"]) == (None, None, 3)


# Reading ----------------------------------------------------------------------------------------------------


async def test_levels_are_filtered_sorted_and_paged_through(store: Store) -> None:
    owner, other = store.shop.owner, await offered(store.shop)
    for variant, location, number in (
        (store.variant, store.here, 3), (store.variant, store.there, 1), (other, store.here, 2),
    ):  # fmt: skip
        await do(owner, "stockSet", variantId=variant, locationId=location, onHand=number, lowAt=1)

    async def found(**where: Any) -> list[int]:
        answer = await owner.run(LEVELS, first=100, where=where, sort="AVAILABLE_LOWEST")
        return [each["onHand"] for each in answer["me"]["creator"]["stockLevels"]["nodes"]]

    assert await found(variantId=store.variant) == [1, 3]
    assert await found(locationId=store.here) == [2, 3]
    assert await found(variantId=store.variant, low=True) == [1]
    assert await found(variantId=store.variant, low=False) == [3]
    assert await found(OR=[{"variantId": other}, {"variantId": store.variant, "locationId": store.there}]) == [
        1,
        2,
    ]
    where = {"OR": [{"variantId": other}, {"variantId": store.variant}]}
    seen, cursor = [], None
    for _ in range(3):
        answer = await owner.run(LEVELS, first=1, after=cursor, where=where, sort="OLDEST")
        page = answer["me"]["creator"]["stockLevels"]
        assert page["totalCount"] == 3
        seen += [each["onHand"] for each in page["nodes"]]
        cursor = page["pageInfo"]["endCursor"]
    assert seen == [3, 1, 2]


async def test_variant_without_levels_has_none_and_nobody_else_is_told_so(store: Store) -> None:
    assert (await of_variant(store))["stockLevels"] == []
    shown = await store.shop.stranger.run(OF_VARIANT, id=store.variant, first=1)
    assert shown["node"]["stockLevels"] is None
