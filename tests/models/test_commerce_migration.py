"""What was sold before there were orders: each purchase becomes one, with what was given back of it."""

import os
import warnings
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import asyncpg
import pytest
from tortoise import Tortoise
from tortoise.migrations.api.migrate import migrate as run_migrations

from app.migrate import migrate
from app.postgres import Lease
from core.clock import now
from core.ids import uuid7
from models.config import migration_config
from tests.support.orders import insert

BEFORE: Final = "models.0005_quarantine"
ITEMS: Final = """
    select i.refund_id, i.line_id, i.quantity, i.amount::int as amount, i.tax::int as tax, i.undone_at, l.refunded,
        l.refunded_amount::int as refunded_amount, l.refunded_tax::int as refunded_tax
    from order_refund_items i join order_lines l on l.id = i.line_id where l.order_id = $1 order by i.refund_id
"""


@pytest.fixture
async def old(lease: Lease) -> AsyncIterator[asyncpg.Connection]:
    """A database as the release before commerce left it."""
    admin = await asyncpg.connect(lease.dsn("postgres"))
    name = f"before_commerce_{os.getpid()}"
    await admin.execute(f"create database {name}")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Module .* has no models", category=RuntimeWarning)
        await run_migrations(config=migration_config(lease.dsn(name)), target=BEFORE)
    await Tortoise.close_connections()
    connection = await asyncpg.connect(lease.dsn(name))
    yield connection
    await connection.close()
    await admin.execute(f"drop database {name} with (force)")
    await admin.close()


async def _seller(old: asyncpg.Connection) -> dict[str, Any]:
    """Return what every sale needs: a creator, a buyer, a fee and a product."""
    at = now()
    times = {"created_at": at, "updated_at": at}
    people = [
        await insert(old, "users", issuer="house", subject=name, created_at=at) for name in ("fable", "buyer")
    ]
    creator = await insert(
        old,
        "creators",
        user_id=people[0],
        handle="fable",
        display_name="Fable",
        plan="standard",
        state="active",
        **times,
    )
    rule = await insert(
        old,
        "fee_rules",
        kind="purchase",
        plan="standard",
        percent_basis_points=800,
        fixed=Decimal(0),
        maturity_delay_seconds=0,
        valid_from=at,
        created_at=at,
    )
    product = await insert(
        old,
        "products",
        creator_id=creator,
        title="A thing",
        price=Decimal(1_000),
        currency="USD",
        state="active",
        **times,
    )
    return {"creator": creator, "buyer": people[1], "rule": rule, "product": product, "times": times}


async def _sold(
    old: asyncpg.Connection, scene: dict[str, Any], status: str, **refunds: int
) -> tuple[UUID, list[UUID]]:
    """Sell one thing for 10.00, tax of 2.00 in it, and give back amounts with status; return purchase and refunds."""
    at, payment = now(), uuid7()
    back = sum(amount for name, amount in refunds.items() if name.startswith("succeeded"))
    tax, fee = back * 200 // 1_000, back * 100 // 1_000
    await insert(
        old,
        "payments",
        id=payment,
        kind="purchase",
        creator_id=scene["creator"],
        fee_rule_id=scene["rule"],
        payer_id=scene["buyer"],
        currency="USD",
        gross=Decimal(1_000),
        fixed_fee=Decimal(0),
        fee=Decimal(100),
        tax=Decimal(200),
        net=Decimal(700),
        maturity_delay_seconds=0,
        provider="sandbox",
        provider_reference=str(payment),
        status=status,
        sequence=1,
        authorized=Decimal(0),
        captured=Decimal(1_000),
        refunded=Decimal(back),
        returned_tax=Decimal(tax),
        returned_fee=Decimal(fee),
        returned_net=Decimal(back - tax - fee),
        reconciling=False,
        succeeded_at=at,
        available_on=at,
        matures_at=at,
        **scene["times"],
    )
    purchase = await insert(
        old,
        "purchases",
        title="A thing",
        stock_reserved=False,
        created_at=at,
        buyer_id=scene["buyer"],
        creator_id=scene["creator"],
        payment_id=payment,
        product_id=scene["product"],
    )
    made = []
    for name, amount in refunds.items():
        succeeded = name.startswith("succeeded")
        tax, fee = amount * 200 // 1_000, amount * 100 // 1_000
        split = {"net": Decimal(amount - tax - fee), "fee": Decimal(fee), "tax": Decimal(tax)}
        made.append(
            await insert(
                old,
                "refunds",
                payment_id=payment,
                creator_id=scene["creator"],
                currency="USD",
                amount=Decimal(amount),
                reason="OTHER",
                provider="sandbox",
                provider_reference=str(uuid7()),
                status="SUCCEEDED" if succeeded else "FAILED",
                taken_from="pending" if succeeded else None,
                accepted_at=at if succeeded else None,
                **(split if succeeded else {}),
                **scene["times"],
            )
        )
    return purchase, made


async def test_what_was_given_back_is_given_back_of_the_line_and_can_be_undone(
    old: asyncpg.Connection, lease: Lease
) -> None:
    scene = await _seller(old)
    whole, [first, second] = await _sold(old, scene, "REFUNDED", succeeded=300, succeeded_too=700)
    part, [third, _] = await _sold(old, scene, "PARTIALLY_REFUNDED", succeeded=400, failed=100)
    none, _ = await _sold(old, scene, "SUCCEEDED", failed=1_000)
    dsn = lease.dsn(await old.fetchval("select current_database()"))

    await migrate(dsn)

    items = {order: await old.fetch(ITEMS, order) for order in (whole, part, none)}
    found = {
        order: [(row["refund_id"], row["quantity"], row["amount"], row["tax"], row["undone_at"]) for row in rows]
        for order, rows in items.items()
    }
    assert found == {
        whole: [(first, 0, 300, 60, None), (second, 1, 700, 140, None)],
        part: [(third, 0, 400, 80, None)],
        none: [],
    }
    for rows in items.values():
        for row in rows:
            assert sum(each["quantity"] for each in rows) == row["refunded"]
            assert sum(each["amount"] for each in rows) == row["refunded_amount"]
            assert sum(each["tax"] for each in rows) == row["refunded_tax"]
    statuses = {row["id"]: row["status"] for row in await old.fetch("select id, status from orders")}
    assert statuses == {whole: "REFUNDED", part: "FULFILLED", none: "FULFILLED"}
