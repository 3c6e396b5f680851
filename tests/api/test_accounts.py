"""Accounts of the books: what they hold, and who may look."""

import asyncio
import base64
import re
import struct
from datetime import datetime, timedelta
from pathlib import Path

import orjson
import pytest

import ledger
from core.clock import now
from core.ids import Noun, uuid7
from core.scopes import PERSONAL_SCOPES, Scope
from ledger import AccountKind, Posted, chart
from schema.accounts import AccountKind as ShownKind
from tests.api.books import (
    ANY,
    FIGURES,
    LINE,
    Holder,
    any_account,
    finance,
    lines_of,
    move,
    open_holder,
    statements_sent,
)
from tests.api.shop import Shop, do, nothing_of, pay, usd

pytestmark = pytest.mark.asyncio(loop_scope="module")


# What they hold ---------------------------------------------------------------------------------------------


async def test_account_that_was_never_opened_is_empty(holder: Holder) -> None:
    for kind in ("PENDING", "AVAILABLE", "RESERVE", "PAYOUT", "OWED"):
        assert await holder.account(kind=kind) == {
            "kind": kind,
            "currency": "USD",
            "owner": holder.id,
            "provider": None,
            "posted": {"amount": "0.00", "minorUnits": "0", "exponent": 2, "currency": "USD"},
            "held": {"amount": "0.00"},
            "available": {"amount": "0.00"},
            "version": "0",
            "statement": {
                "totalCount": 0,
                "edges": [],
                "pageInfo": {
                    "hasNextPage": False,
                    "hasPreviousPage": False,
                    "startCursor": None,
                    "endCursor": None,
                },
            },
        }
    opened = "select count(*) from ledger.account where owner = $1"
    assert await holder.world.scalar(opened, holder.key) == 0


async def test_tip_and_purchase_stand_on_their_creators_statement(shop: Shop, holder: Holder) -> None:
    world = shop.world
    product = await world.product(holder.handle, holder.id, "10.00")
    tip = await do(shop.supporter, "tipCreate", creatorId=holder.id, amount=usd("5.00"))
    await pay(shop.supporter, tip["payment"]["id"], world)
    bought = await do(shop.supporter, "purchaseCreate", productId=product)
    await pay(shop.supporter, bought["payment"]["id"], world)

    account = await holder.account(kind="PENDING")

    assert (account["posted"]["amount"], account["available"]["amount"], account["version"]) == (
        "13.65",
        "13.65",
        "2",
    )
    nodes = [edge["node"] for edge in account["statement"]["edges"]]
    assert lines_of(account["statement"]) == [("1", "4.75", "4.75"), ("2", "8.90", "13.65")]
    assert [(node["kind"], node["reference"]) for node in nodes] == [
        ("capture.net", tip["tip"]["id"]),
        ("capture.net", bought["purchase"]["id"]),
    ]
    assert {orjson.dumps(node["counterparty"]) for node in nodes} == {
        b'{"kind":"CLEARING","owner":null,"provider":null}'
    }
    for node in nodes:
        posted, effective = (datetime.fromisoformat(node[name]) for name in ("postedAt", "effectiveAt"))
        assert effective <= posted
        assert now() - posted < timedelta(minutes=5)


async def test_money_that_is_held_is_posted_and_not_available(holder: Holder) -> None:
    await holder.receives(1000)
    specs = [holder.spec(), holder.spec(AccountKind.PAYOUT)]
    account_ids = await holder.world.engine.accounts.ids(specs)
    set_aside = ledger.Hold(uuid7(), account_ids[specs[0]], account_ids[specs[1]], 400, "test.hold")
    async with holder.world.engine.database.transaction() as transaction:
        assert isinstance(await ledger.hold(str(uuid7()), set_aside, on=transaction.connection), Posted)

    account = await holder.account()

    assert [account[name]["amount"] for name in ("posted", "held", "available")] == ["10.00", "4.00", "6.00"]
    assert account["version"] == "1"
    assert lines_of(account["statement"]) == [("1", "10.00", "10.00")]


@pytest.mark.parametrize(("currency", "exponent", "shown"), [("JPY", 0, "1234"), ("KWD", 3, "1.234")])
async def test_amounts_have_the_decimals_of_their_currency(
    holder: Holder, currency: str, exponent: int, shown: str
) -> None:
    await holder.receives(1234, asset=currency)

    account = await holder.account(currency=currency)

    assert account["posted"] == {
        "amount": shown,
        "minorUnits": "1234",
        "exponent": exponent,
        "currency": currency,
    }
    assert lines_of(account["statement"]) == [("1", shown, shown)]
    assert (await holder.account())["version"] == "0"


async def test_amounts_of_any_size_are_exact(holder: Holder) -> None:
    await holder.receives(10**36 + 1, 2**63 + 1)

    account = await holder.account()

    assert account["posted"]["minorUnits"] == str(10**36 + 2**63 + 2)
    assert account["available"]["amount"] == f"{account['posted']['minorUnits'][:-2]}.10"


async def test_a_debt_is_below_zero(holder: Holder) -> None:
    await move(holder.world, holder.spec(AccountKind.OWED), chart.platform(AccountKind.FEES, "USD"), 250)

    account = await holder.account(kind="OWED")

    assert account["posted"]["amount"] == "-2.50"
    assert lines_of(account["statement"]) == [("1", "-2.50", "-2.50")]


async def test_figures_are_of_one_moment_while_others_post(shop: Shop, holder: Holder) -> None:
    # Every line is of one unit, so what is posted is the version: at any one moment, and only then.
    clearing = {"kind": "CLEARING", "provider": "sandbox", "currency": "PLN"}
    done = asyncio.Event()

    async def keep_posting() -> None:
        while not done.is_set():
            await holder.receives(1, asset="PLN")

    seen = set()
    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(keep_posting())
        for _ in range(20):
            own, striped = await asyncio.gather(
                holder.account(currency="PLN"), any_account(finance(shop), **clearing)
            )
            assert own["posted"]["minorUnits"] == own["version"]
            assert int(striped["posted"]["minorUnits"]) == -int(striped["version"])
            seen.add(striped["version"])
        done.set()

    assert len(seen) > 5


async def test_currency_nobody_declared_is_refused(shop: Shop, holder: Holder) -> None:
    answer = await holder.own(currency="XXX")
    asked = await finance(shop).full(ANY, kind="FEES", currency="XXX", first=1)

    assert [(error["extensions"]["code"], error["path"]) for error in answer["errors"]] == [
        ("CURRENCY_NOT_SUPPORTED", ["creator", "account"])
    ]
    assert answer["data"] == {"creator": {"account": None}}
    assert [error["extensions"]["code"] for error in asked["errors"]] == ["CURRENCY_NOT_SUPPORTED"]


# For finance ------------------------------------------------------------------------------------------------


async def test_finance_reads_every_account(shop: Shop, holder: Holder) -> None:
    client = finance(shop)
    await holder.receives(700)
    user = str((await shop.stranger.run("{ me { id } }"))["me"]["id"])
    wallet = chart.wallet("USD", shop.world.key(Noun.USER, user))
    await move(shop.world, chart.platform(AccountKind.CHARGEBACKS, "USD"), wallet, 300)

    theirs = await any_account(client, kind="AVAILABLE", owner=holder.id)
    persons = await any_account(client, kind="WALLET", owner=user)
    platforms = await any_account(client, kind="CHARGEBACKS")
    never_opened = await any_account(client, kind="SUSPENSE", currency="CHF")

    assert theirs["posted"]["amount"] == "7.00"
    assert theirs["owner"] == holder.id
    [line] = theirs["statement"]["nodes"]
    assert line["counterparty"] == {"kind": "CLEARING", "owner": None, "provider": "sandbox"}
    assert (persons["posted"]["amount"], persons["owner"]) == ("3.00", user)
    [line] = platforms["statement"]["nodes"]
    assert line["counterparty"] == {"kind": "WALLET", "owner": user, "provider": None}
    assert (never_opened["version"], never_opened["statement"]["nodes"]) == ("0", [])


async def test_finance_sees_what_a_payment_was_for(shop: Shop, holder: Holder) -> None:
    tip = await do(shop.supporter, "tipCreate", creatorId=holder.id, amount=usd("5.00"))
    await pay(shop.supporter, tip["payment"]["id"], shop.world)

    fees = await any_account(finance(shop), kind="FEES", first=None, last=1)

    [line] = fees["statement"]["nodes"]
    assert (line["kind"], line["amount"]["amount"], line["reference"]) == ("capture.fee", "0.25", tip["tip"]["id"])


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"kind": "PENDING"}, "Say which owner: a PENDING account has one."),
        ({"kind": "WALLET"}, "Say which owner: a WALLET account has one."),
        ({"kind": "CLEARING"}, "Say which provider: a CLEARING account has one."),
        ({"kind": "FEES", "provider": "sandbox"}, "Leave out the provider: a FEES account has none."),
        ({"kind": "FEES", "owner": nothing_of(Noun.CREATOR)}, "Leave out the owner: a FEES account has none."),
        (
            {"kind": "CLEARING", "provider": "sandbox", "owner": nothing_of(Noun.CREATOR)},
            "Leave out the owner: a CLEARING account has none.",
        ),
    ],
)
async def test_account_that_is_named_wrongly_is_refused(shop: Shop, given: dict[str, str], says: str) -> None:
    answer = await finance(shop).full(ANY, currency="USD", first=1, **given)

    assert answer["data"] == {"account": None}
    [error] = answer["errors"]
    assert (error["extensions"]["code"], error["message"]) == ("INPUT_INVALID", says)


async def test_account_of_nobody_is_null(shop: Shop, holder: Holder) -> None:
    client = finance(shop)
    user = (await holder.client.run("{ me { id } }"))["me"]["id"]
    before = await shop.world.count("ledger.account")

    for given in (
        {"kind": "PENDING", "owner": nothing_of(Noun.CREATOR)},
        {"kind": "PENDING", "owner": user},
        {"kind": "PENDING", "owner": "nonsense"},
        {"kind": "PENDING", "owner": shop.payment},
        {"kind": "PENDING", "owner": ""},
        {"kind": "WALLET", "owner": nothing_of(Noun.USER)},
        {"kind": "WALLET", "owner": holder.id},
        {"kind": "GIFT_CARD", "owner": user},
        {"kind": "CLEARING", "provider": "nobody"},
        {"kind": "CLEARING", "provider": ""},
    ):
        assert await any_account(client, **given) is None, given
    assert await shop.world.count("ledger.account") == before


# Who may look -----------------------------------------------------------------------------------------------


async def test_account_is_shown_to_its_creator_and_finance_alone(shop: Shop, holder: Holder) -> None:
    await holder.receives(700)
    without = PERSONAL_SCOPES - {Scope.EARNINGS_READ}
    others = {
        "nobody": shop.nobody,
        "guest": shop.guest,
        "stranger": shop.stranger,
        "another creator": shop.owner,
        "owner without the scope": shop.world.client(holder.handle, without),
        "owner without scopes": shop.world.client(holder.handle, frozenset()),
        "stranger without scopes": shop.world.client("stranger", frozenset()),
    }
    missing = {"kind": "AVAILABLE", "owner": nothing_of(Noun.CREATOR)}

    for who, client in others.items():
        assert await holder.own(client) == {"data": {"creator": {"account": None}}}, who
        assert await any_account(client, kind="AVAILABLE", owner=holder.id) is None, who
        assert await any_account(client, **missing) is None, who
        assert await any_account(client, kind="FEES") is None, who
        # Nor does anybody learn from a refusal what finance would be told.
        assert await any_account(client, kind="FEES", currency="XXX") is None, who
    # The creator's own field is for the creator, and finance has a field of its own.
    assert await any_account(holder.client, kind="AVAILABLE", owner=holder.id) is None
    assert await holder.own(finance(shop)) == {"data": {"creator": {"account": None}}}
    assert (await any_account(finance(shop), kind="AVAILABLE", owner=holder.id))["version"] == "1"


async def test_scope_is_all_it_takes(shop: Shop, holder: Holder) -> None:
    client = shop.world.client(holder.handle, frozenset([Scope.EARNINGS_READ]))

    assert (await holder.own(client))["data"]["creator"]["account"]["version"] == "0"


async def test_statement_names_nobody_but_its_owner(shop: Shop, holder: Holder) -> None:
    world = shop.world
    other = await open_holder(world)
    person = str((await shop.supporter.run("{ me { id } }"))["me"]["id"])
    tip = await do(shop.supporter, "tipCreate", creatorId=other.id, amount=usd("5.00"))
    payment = world.key(Noun.PAYMENT, tip["payment"]["id"])
    card = uuid7()
    await move(world, chart.platform(AccountKind.FX, "USD"), chart.gift_card("USD", card), 100)
    await move(
        world,
        chart.platform(AccountKind.FX, "USD"),
        wallet := chart.wallet("USD", world.key(Noun.USER, person)),
        100,
    )
    await other.receives(100)
    await move(world, wallet, holder.spec(), 100, payment)
    await move(world, other.spec(), holder.spec(), 100)
    await move(world, chart.gift_card("USD", card), holder.spec(), 100)
    await move(world, holder.spec(), holder.spec(AccountKind.PAYOUT), 100)

    own = [edge["node"] for edge in (await holder.statement())["edges"]]
    theirs = (await any_account(finance(shop), kind="AVAILABLE", owner=holder.id))["statement"]["nodes"]

    assert [node["counterparty"] for node in own] == [
        {"kind": "WALLET", "owner": None, "provider": None},
        {"kind": "AVAILABLE", "owner": None, "provider": None},
        {"kind": "GIFT_CARD", "owner": None, "provider": None},
        {"kind": "PAYOUT", "owner": holder.id, "provider": None},
    ]
    assert {node["reference"] for node in own} == {None}
    assert [node["counterparty"]["owner"] for node in theirs] == [person, other.id, None, holder.id]
    assert [node["reference"] for node in theirs] == [tip["tip"]["id"], None, None, None]


async def test_no_key_of_the_database_is_in_an_answer(holder: Holder) -> None:
    reference = uuid7()
    await holder.receives(100, 200, reference=reference)

    answer = await holder.own()

    text = orjson.dumps(answer).decode()
    assert str(holder.key) not in text
    assert str(reference) not in text
    edges = answer["data"]["creator"]["account"]["statement"]["edges"]
    places = [struct.unpack(">6sqqq", base64.urlsafe_b64decode(edge["cursor"])) for edge in edges]
    assert [(row, version) for _, _, row, version in places] == [(0, 1), (0, 2)]
    assert len({mark for mark, *_ in places}) == 1


async def test_example_of_the_documentation_is_answered(holder: Holder) -> None:
    await holder.receives(100, 200)
    page = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
    [example] = re.findall(r"```graphql\n(.*?)```", page, re.DOTALL)

    account = (await holder.client.run(example))["me"]["creator"]["account"]

    assert account["posted"] == {"amount": "3.00"}
    assert lines_of(account["statement"]) == [("1", "1.00", "1.00"), ("2", "2.00", "3.00")]


# What it costs ----------------------------------------------------------------------------------------------


async def test_account_with_a_page_of_its_statement_takes_three_statements(shop: Shop, holder: Holder) -> None:
    await holder.receives(100, 200, 300, reference=uuid7())
    client = finance(shop)
    query = f"""
    query ($owner: ID!) {{
      account(kind: AVAILABLE, currency: USD, owner: $owner) {{
        {FIGURES} statement(first: 2) {{ nodes {{ {LINE} }} pageInfo {{ hasNextPage endCursor }} }}
      }}
    }}
    """
    await client.run(query, owner=holder.id)

    with statements_sent(shop.world) as sent:
        found = await client.run(query, owner=holder.id)

    assert len(found["account"]["statement"]["nodes"]) == 2
    assert len(sent) == 3, sent


async def test_accounts_asked_for_together_are_read_by_one_statement(shop: Shop, holder: Holder) -> None:
    kinds = ("PENDING", "AVAILABLE", "RESERVE", "PAYOUT", "OWED")
    fields = " ".join(f"{kind.lower()}: account(kind: {kind}, currency: USD) {{ {FIGURES} }}" for kind in kinds)
    query = f"query ($handle: String!) {{ creator(handle: $handle) {{ {fields} }} }}"
    await holder.receives(100)
    await holder.client.run(query, handle=holder.handle)

    with statements_sent(shop.world) as sent:
        found = (await holder.client.run(query, handle=holder.handle))["creator"]

    assert [found[kind.lower()]["version"] for kind in kinds] == ["0", "1", "0", "0", "0"]
    assert len(sent) == 2, sent


async def test_somebody_elses_account_is_not_even_read(shop: Shop, holder: Holder) -> None:
    await holder.own(shop.stranger)

    with statements_sent(shop.world) as sent:
        await holder.own(shop.stranger)
        await any_account(shop.stranger, kind="AVAILABLE", owner=holder.id)

    assert [statement for statement in sent if "ledger" in statement] == []


async def test_contract_knows_every_kind_of_account() -> None:
    assert {(kind.name, kind.value) for kind in ShownKind} == {(kind.name, kind.value) for kind in AccountKind}
