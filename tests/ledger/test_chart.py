"""What each business event moves, under which key."""

from collections import defaultdict
from itertools import starmap

import asyncpg
import pytest

import ledger
from ledger import AccountKind, Accounts, Draft, Posted, chart
from ledger.chart import Line
from tests.ledger.chart_events import (
    CREATOR,
    EVENTS,
    REVERSALS,
    USD,
    back,
    captured,
    charged,
    due,
    matured,
    moves,
    name,
    refunded,
    withdrawn,
    won,
)


@pytest.mark.parametrize(("draft", "key", "movements"), EVENTS)
def test_event_moves_what_the_chart_says(draft: Draft, key: str, movements: list[str]) -> None:
    assert (draft.key, moves(draft), draft.undoes) == (key, movements, None)


@pytest.mark.parametrize(("draft", "key", "undone"), REVERSALS)
def test_what_did_not_last_is_sent_back_whole(draft: Draft, key: str, undone: str) -> None:
    assert (draft.key, draft.undoes, draft.lines) == (key, undone, ())
    undoable = {original.key for original, _, _ in EVENTS}
    assert undone in undoable


def test_only_variants_of_one_event_share_a_key() -> None:
    variants: defaultdict[str, list[set[str]]] = defaultdict(list)
    for draft, key, _ in [*EVENTS, *REVERSALS]:
        variants[key].append({line.kind for line in draft.lines} or {f"undoes {draft.undoes}"})
    assert all(starmap(set.intersection, variants.values()))


@pytest.mark.parametrize(
    ("draft", "kinds"),
    [
        (captured(fee=0, tax=0), ["capture.net"]),
        (captured(tax=0), ["capture.net", "capture.fee"]),
        (charged(provider_fee=0), ["charge.gross"]),
        (matured(reserve=0), ["earning.available"]),
        (matured(reserve=850), ["earning.reserve"]),
        (withdrawn(dispute_fee=0), ["dispute.net", "dispute.fee", "dispute.tax", "dispute.withdrawn"]),
    ],
)
def test_legs_of_nothing_are_left_out(draft: Draft, kinds: list[str]) -> None:
    assert [line.kind for line in draft.lines] == kinds


@pytest.mark.parametrize(
    ("draft", "movement"),
    [
        (withdrawn(510), "chargebacks → sandbox:clearing 10"),
        (withdrawn(490), "sandbox:clearing → chargebacks 10"),
        (won(difference=10), "chargebacks → sandbox:balance 10"),
        (won(difference=-10), "sandbox:balance → chargebacks 10"),
        (won(fee_kept=1500), "dispute_fees → sandbox:balance 1500"),
    ],
)
def test_platform_bears_what_a_dispute_costs_beyond_its_amount(draft: Draft, movement: str) -> None:
    assert movement in moves(draft)


def test_nothing_is_expected_of_the_provider_after_a_dispute() -> None:
    for amount in (490, 500, 510):
        clearing = [
            line.amount if line.credit.kind is AccountKind.CLEARING else -line.amount
            for line in withdrawn(amount).lines
            if isinstance(line, Line) and AccountKind.CLEARING in {line.credit.kind, line.debit.kind}
        ]
        assert sum(clearing) == 0


@pytest.mark.parametrize("place", set(AccountKind) - {AccountKind.PENDING, AccountKind.AVAILABLE})
def test_earning_that_sits_nowhere_cannot_go_back(place: AccountKind) -> None:
    with pytest.raises(ValueError, match=f"not {place}"):
        back(place)


@pytest.mark.parametrize("from_reserve", [-1, 426])
def test_reserve_gives_no_more_than_the_net(from_reserve: int) -> None:
    with pytest.raises(ValueError, match="reserve"):
        back(AccountKind.AVAILABLE, from_reserve)


def test_every_account_of_a_draft_is_named() -> None:
    draft = refunded(back(AccountKind.AVAILABLE, from_reserve=85))
    assert {name(spec) for spec in draft.specs()} == {
        "reserve", "available", "owed", "fees", "tax_payable", "sandbox:clearing",
    }  # fmt: skip
    assert {name(spec) for spec in due(recover=True).specs()} == {"reserve", "available", "owed"}


async def balances_after(pool: asyncpg.Pool, connection: asyncpg.Connection, *drafts: Draft) -> dict[str, int]:
    accounts = Accounts(pool)
    outcomes = await ledger.post(await accounts.groups(drafts), on=connection)
    assert all(isinstance(outcome, Posted) for outcome in outcomes)
    ids = await accounts.ids(spec for draft in drafts for spec in draft.specs())
    found = await ledger.balances(ids.values(), on=connection)
    return {name(spec): found[account].posted for spec, account in ids.items()}


async def test_life_of_a_payment(pool: asyncpg.Pool, connection: asyncpg.Connection) -> None:
    assert await balances_after(pool, connection, captured(), charged(), matured()) == {
        "sandbox:clearing": 0,
        "pending": 0,
        "fees": 100,
        "tax_payable": 50,
        "sandbox:balance": -941,
        "provider_fees": -59,
        "available": 765,
        "reserve": 85,
    }


async def test_more_reserve_than_earning_is_refused(pool: asyncpg.Pool, connection: asyncpg.Connection) -> None:
    groups = await Accounts(pool).groups([matured(net=10, reserve=11)])
    assert await ledger.post(groups, on=connection) == [ledger.Refused(ledger.Refusal.AMOUNT_NOT_POSITIVE)]


async def test_earning_matures_only_once_it_is_captured(
    pool: asyncpg.Pool, connection: asyncpg.Connection
) -> None:
    accounts = Accounts(pool)
    groups = await accounts.groups([matured()])
    pending = (await accounts.ids([chart.creator(AccountKind.PENDING, USD, CREATOR)])).popitem()[1]
    assert await ledger.post(groups, on=connection) == [
        ledger.Refused(ledger.Refusal.INSUFFICIENT_FUNDS, account=pending, missing=765)
    ]
