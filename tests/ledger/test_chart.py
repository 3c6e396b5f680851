from uuid import uuid4

import asyncpg
import pytest

import ledger
from ledger import AccountKind, Accounts, AccountSpec, Draft, Posted, chart

USD = "USD"
CREATOR = uuid4()
PAYMENT = uuid4()


async def balances_after(pool: asyncpg.Pool, connection: asyncpg.Connection, *drafts: Draft) -> dict[str, int]:
    accounts = Accounts(pool)
    outcomes = await ledger.post(await accounts.groups(drafts), on=connection)
    assert all(isinstance(outcome, Posted) for outcome in outcomes)
    ids = await accounts.ids(spec for draft in drafts for spec in draft.specs())
    found = await ledger.balances(ids.values(), on=connection)
    return {name(spec): found[account].posted for spec, account in ids.items()}


def name(spec: AccountSpec) -> str:
    return f"{spec.provider}:{spec.kind}" if spec.provider else str(spec.kind)


def captured(net: int = 850, fee: int = 100, tax: int = 50) -> Draft:
    return chart.capture(
        payment=PAYMENT, creator_id=CREATOR, provider="sandbox", asset=USD, net=net, fee=fee, tax=tax
    )


def charged(gross: int = 1000, provider_fee: int = 59) -> Draft:
    return chart.charge(
        provider="sandbox", balance_transaction="txn_1", asset=USD, gross=gross, provider_fee=provider_fee
    )


def matured(net: int = 850, reserve: int = 85) -> Draft:
    return chart.earning(payment=PAYMENT, creator_id=CREATOR, asset=USD, net=net, reserve=reserve)


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


@pytest.mark.parametrize(
    ("draft", "key"),
    [
        (captured(), f"capture:{PAYMENT}"),
        (charged(), "charge:sandbox:txn_1"),
        (matured(), f"earning:{PAYMENT}"),
    ],
)
def test_key_makes_the_event_unique(draft: Draft, key: str) -> None:
    assert draft.key == key


@pytest.mark.parametrize(
    ("draft", "kinds"),
    [
        (captured(fee=0, tax=0), ["capture.net"]),
        (captured(tax=0), ["capture.net", "capture.fee"]),
        (charged(provider_fee=0), ["charge.gross"]),
        (matured(reserve=0), ["earning.available"]),
        (matured(reserve=850), ["earning.reserve"]),
    ],
)
def test_legs_of_nothing_are_left_out(draft: Draft, kinds: list[str]) -> None:
    assert [line.kind for line in draft.lines] == kinds


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
