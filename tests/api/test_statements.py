"""Statements: page by page, either way, while others post."""

import asyncio
import base64
import struct
from typing import Any

import pytest

import ledger
from core.ids import uuid7
from ledger import AccountKind, Group, Movement, chart
from tests.api.books import Holder, any_account, finance, lines_of, moments_of
from tests.api.shop import Shop

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_statement_is_read_forwards_while_lines_are_added(holder: Holder) -> None:
    await holder.receives(100, 200, 300)

    first = await holder.statement(first=2)
    await holder.receives(400, 500)
    second = await holder.statement(first=2, after=first["pageInfo"]["endCursor"])
    third = await holder.statement(first=2, after=second["pageInfo"]["endCursor"])
    nothing = await holder.statement(first=2, after=third["pageInfo"]["endCursor"])
    await holder.receives(600)
    news = await holder.statement(first=2, after=third["pageInfo"]["endCursor"])

    assert lines_of(first) == [("1", "1.00", "1.00"), ("2", "2.00", "3.00")]
    assert lines_of(second) == [("3", "3.00", "6.00"), ("4", "4.00", "10.00")]
    assert lines_of(third) == [("5", "5.00", "15.00")]
    assert lines_of(nothing) == []
    assert lines_of(news) == [("6", "6.00", "21.00")]
    assert [page["pageInfo"]["hasNextPage"] for page in (first, second, third, nothing)] == [
        True,
        True,
        False,
        False,
    ]
    assert [page["pageInfo"]["hasPreviousPage"] for page in (first, second)] == [False, True]
    assert [page["totalCount"] for page in (first, second, news)] == [3, 5, 6]


async def test_statement_is_read_backwards_from_its_end(holder: Holder) -> None:
    await holder.receives(100, 200, 300, 400, 500)

    latest = await holder.statement(first=None, last=2)
    await holder.receives(600)
    earlier = await holder.statement(first=None, last=2, before=latest["pageInfo"]["startCursor"])
    earliest = await holder.statement(first=None, last=2, before=earlier["pageInfo"]["startCursor"])
    nothing = await holder.statement(first=None, last=2, before=earliest["pageInfo"]["startCursor"])

    assert lines_of(latest) == [("4", "4.00", "10.00"), ("5", "5.00", "15.00")]
    assert lines_of(earlier) == [("2", "2.00", "3.00"), ("3", "3.00", "6.00")]
    assert lines_of(earliest) == [("1", "1.00", "1.00")]
    assert lines_of(nothing) == []
    assert [page["pageInfo"]["hasPreviousPage"] for page in (latest, earlier, earliest)] == [True, True, False]
    assert [page["pageInfo"]["hasNextPage"] for page in (latest, earlier)] == [False, True]


async def test_lines_have_the_same_cursors_whichever_way_they_are_read(holder: Holder) -> None:
    await holder.receives(100, 200, 300)

    forwards = await holder.statement(first=3)
    backwards = await holder.statement(first=None, last=3)

    assert forwards["edges"] == backwards["edges"]
    cursors = [edge["cursor"] for edge in forwards["edges"]]
    assert len(set(cursors)) == 3
    assert [forwards["pageInfo"][name] for name in ("startCursor", "endCursor")] == [cursors[0], cursors[-1]]


async def test_period_takes_its_beginning_and_leaves_its_end(holder: Holder) -> None:
    await holder.receives(100, 200, 300, 400)
    second, third, fourth = moments_of(await holder.statement())[1:]
    both = [("2", "2.00", "3.00"), ("3", "3.00", "6.00")]

    assert lines_of(await holder.statement(**{"from": second, "to": fourth})) == both
    assert lines_of(await holder.statement(first=None, last=10, **{"from": second, "to": fourth})) == both
    assert lines_of(await holder.statement(**{"from": third})) == [both[1], ("4", "4.00", "10.00")]
    assert lines_of(await holder.statement(to=second)) == [("1", "1.00", "1.00")]
    assert lines_of(await holder.statement(first=None, last=1, to=fourth)) == [both[1]]
    assert lines_of(await holder.statement(**{"from": second, "to": second})) == []
    assert (await holder.statement(first=1, **{"from": second, "to": fourth}))["totalCount"] == 2
    assert (await holder.statement(first=1, to=fourth))["totalCount"] == 3


async def test_period_is_read_page_by_page(holder: Holder) -> None:
    await holder.receives(100, 200, 300, 400)
    _, second, _, fourth = moments_of(await holder.statement())
    period = {"from": second, "to": fourth}

    first = await holder.statement(first=1, **period)
    rest = await holder.statement(first=1, after=first["pageInfo"]["endCursor"], **period)
    last = await holder.statement(first=None, last=1, **period)
    before = await holder.statement(first=None, last=1, before=last["pageInfo"]["startCursor"], **period)

    assert lines_of(first) == lines_of(before) == [("2", "2.00", "3.00")]
    assert lines_of(rest) == lines_of(last) == [("3", "3.00", "6.00")]
    assert (first["pageInfo"]["hasNextPage"], rest["pageInfo"]["hasNextPage"]) == (True, False)
    assert (last["pageInfo"]["hasPreviousPage"], before["pageInfo"]["hasPreviousPage"]) == (True, False)


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"])
async def test_period_may_be_as_long_as_the_calendar(holder: Holder, moment: str) -> None:
    await holder.receives(100)

    assert len((await holder.statement(**{"from": moment}))["edges"]) == (1 if moment < "1" else 0)
    assert len((await holder.statement(to=moment))["edges"]) == (0 if moment < "1" else 1)


async def test_page_of_a_hundred_lines_is_the_longest(holder: Holder) -> None:
    await holder.receives(*[1] * 101)

    for size in ({"first": 100}, {"first": None, "last": 100}):
        page = await holder.statement(**size)
        assert len(page["edges"]) == 100
        assert page["totalCount"] == 101


REFUSALS: dict[str, dict[str, Any]] = {
    "no size": {"first": None},
    "none": {"first": 0},
    "fewer than none": {"first": -1},
    "more than a hundred": {"first": 101},
    "more than a hundred backwards": {"first": None, "last": 101},
    "both ways": {"first": 1, "last": 1},
    "after with last": {"first": None, "last": 1, "after": "x"},
    "no cursor": {"after": "nonsense"},
    "cursor of other letters": {"after": "é" * 40},
    "cursor of nothing": {"after": "A" * 40},
    "empty cursor": {"after": ""},
    "no cursor backwards": {"first": None, "last": 1, "before": "nonsense"},
    "end before beginning": {"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"},
    "beginning without offset": {"from": "2026-01-01T00:00:00"},
    "end without offset": {"to": "2026-01-01T00:00:00"},
    "outside the calendar": {"from": "0001-01-01T00:00:00+14:00"},
}


@pytest.mark.parametrize("given", REFUSALS.values(), ids=list(REFUSALS))
@pytest.mark.parametrize("opened", [True, False])
async def test_page_that_cannot_be_is_refused_and_the_figures_stay(
    holder: Holder, given: dict[str, Any], *, opened: bool
) -> None:
    if opened:
        await holder.receives(100)

    answer = await holder.own(**given)

    assert [(error["extensions"]["code"], error["path"]) for error in answer["errors"]] == [
        ("INPUT_INVALID", ["creator", "account", "statement"])
    ]
    account = answer["data"]["creator"]["account"]
    assert account["statement"] is None
    assert account["version"] == ("1" if opened else "0")


async def test_cursor_of_another_account_is_refused(holder: Holder) -> None:
    await holder.receives(100)
    await holder.receives(100, asset="EUR")
    cursor = (await holder.statement())["edges"][0]["cursor"]

    answer = await holder.own(after=cursor, currency="EUR")

    [error] = answer["errors"]
    assert error["message"] == "This cursor is not one of this list. Start again without it."
    assert (await holder.statement(after=cursor))["edges"] == []


async def test_cursor_that_was_tampered_with_is_refused(holder: Holder) -> None:
    await holder.receives(100, 200)
    cursor = (await holder.statement())["edges"][0]["cursor"]
    mark, moment, stripe, version = CURSOR.unpack(base64.urlsafe_b64decode(cursor))
    assert _cursor(mark, moment, stripe, version) == cursor

    for tampered in (
        _cursor(mark, moment, stripe, 0),
        _cursor(mark, moment, stripe, -(2**63)),
        _cursor(mark, moment, 2**63 - 1, version),
        _cursor(mark, moment, -(2**63), version),
        _cursor(mark, 2**63 - 1, stripe, version),
        _cursor(mark, -(2**63), stripe, version),
        cursor[:-4],
        cursor + "AAAA",
        cursor + "\n",
        cursor[:8] + "!" + cursor[8:],
    ):
        for given in ({"after": tampered}, {"first": None, "last": 1, "before": tampered}):
            answer = await holder.own(**given)
            assert [error["extensions"]["code"] for error in answer["errors"]] == ["INPUT_INVALID"], given


CURSOR = struct.Struct(">6sqqq")


def _cursor(*parts: object) -> str:
    return base64.urlsafe_b64encode(CURSOR.pack(*parts)).decode()


# Striped accounts -------------------------------------------------------------------------------------------


async def test_striped_account_reads_as_one(shop: Shop, holder: Holder) -> None:
    await holder.receives_through(*range(1, 9), asset="SEK")
    stripes = await shop.world.scalar(
        "select count(*) from ledger.account where code like 'sandbox:clearing:SEK%' and version > 0"
    )
    assert stripes > 1
    clearing = {"kind": "CLEARING", "provider": "sandbox", "currency": "SEK"}

    account = await any_account(finance(shop), **clearing)
    last = await any_account(finance(shop), **clearing, first=None, last=3)

    assert (account["posted"]["minorUnits"], account["version"]) == ("-36", "8")
    assert (account["provider"], account["owner"]) == ("sandbox", None)
    nodes = account["statement"]["nodes"]
    assert [node["version"] for node in nodes] == [str(number) for number in range(1, 9)]
    assert sorted(node["amount"]["amount"] for node in nodes) == [f"-0.0{n}" for n in range(1, 9)]
    balance = 0
    for node in nodes:
        balance += int(node["amount"]["amount"].replace(".", ""))
        assert int(node["balance"]["amount"].replace(".", "")) == balance
    assert [node["postedAt"] for node in nodes] == sorted(node["postedAt"] for node in nodes)
    assert last["statement"]["nodes"] == nodes[5:]
    assert account["statement"]["totalCount"] == last["statement"]["totalCount"] == 8


STRIPED = """
query ($first: Int, $after: String, $last: Int, $before: String, $from: DateTime, $to: DateTime) {
  account(kind: CLEARING, provider: "sandbox", currency: NOK) {
    statement(first: $first, after: $after, last: $last, before: $before, from: $from, to: $to) {
      totalCount edges { cursor node { version postedAt amount { amount } balance { amount } } }
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
  }
}
"""


async def test_striped_statement_is_read_page_by_page_either_way(shop: Shop, holder: Holder) -> None:
    for _ in range(2):
        await holder.receives_through(*[1] * 8, asset="NOK")
    client = finance(shop)

    async def page(**given: Any) -> dict[str, Any]:
        found: dict[str, Any] = (await client.run(STRIPED, **given))["account"]["statement"]
        return found

    whole = (await page(first=100))["edges"]
    assert len(whole) == 16

    forwards: list[Any] = []
    after = None
    while True:
        found = await page(first=3, after=after)
        forwards += found["edges"]
        after = found["pageInfo"]["endCursor"]
        if not found["pageInfo"]["hasNextPage"]:
            break
    backwards: list[Any] = []
    before = None
    while True:
        found = await page(last=3, before=before)
        backwards = found["edges"] + backwards
        before = found["pageInfo"]["startCursor"]
        if not found["pageInfo"]["hasPreviousPage"]:
            break

    assert forwards == backwards == whole
    moments = [edge["node"]["postedAt"] for edge in whole]
    period = {"from": moments[4], "to": moments[9]}
    assert (await page(first=100, **period))["edges"] == whole[4:9]
    assert (await page(last=2, **period))["edges"] == whole[7:9]
    assert (await page(last=100, before=whole[6]["cursor"], **period))["edges"] == whole[4:6]
    assert (await page(first=1, **period))["totalCount"] == 5


async def test_striped_statement_waits_for_lines_that_come_before_its_end(shop: Shop, holder: Holder) -> None:
    await holder.receives(1, asset="DKK")
    clearing = chart.with_provider(AccountKind.CLEARING, "DKK", "sandbox")
    account_ids = await shop.world.engine.accounts.ids([clearing, holder.spec(asset="DKK")])
    movement = Movement(account_ids[clearing], account_ids[holder.spec(asset="DKK")], 2, "test.move")
    asked = {"kind": "CLEARING", "provider": "sandbox", "currency": "DKK"}

    async with shop.world.engine.database.transaction() as transaction:
        await ledger.post([Group(str(uuid7()), (movement,))], on=transaction.connection)
        reading = asyncio.create_task(any_account(finance(shop), **asked))
        await asyncio.sleep(0.2)
        assert not reading.done()

    assert lines_of((await reading)["statement"]) == [("1", "-0.01", "-0.01"), ("2", "-0.02", "-0.03")]
