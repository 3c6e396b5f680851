"""The rules that models declare are the rules that the database holds, and each of them refuses."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import asyncpg
from tortoise.fields.relational import ForeignKeyFieldInstance
from tortoise.models import Model

import models
from core.ids import uuid7

AT: Final = datetime(2026, 1, 1, tzinfo=UTC)
MODELS: Final[dict[str, type[Model]]] = {
    model.Meta.table: model for name in models.__all__ if isinstance(model := getattr(models, name), type)
}
MODELS_BY_NAME: Final = {f"models.{model.__name__}": model for model in MODELS.values()}
RULES: Final = {(table, rule) for table, model in MODELS.items() for rule in model.rules}
_CONSTRAINTS: Final = """
    select conrelid::regclass::text as table, conname as name, contype::text as kind, confdeltype::text as on_delete,
        confrelid::regclass::text as target,
        (select array_agg(attname::text order by place) from unnest(conkey) with ordinality k (number, place)
            join pg_attribute on attrelid = conrelid and attnum = number) as columns
    from pg_constraint
    where connamespace = 'public'::regnamespace and contype in ('c', 'u', 'f', 'p', 'x')
        and conrelid <> 'public.tortoise_migrations'::regclass
"""

USER: Final = UUID(int=1)
CREATOR: Final = UUID(int=2)
RULE: Final = UUID(int=3)
PRODUCT: Final = UUID(int=4)
PAYMENT: Final = UUID(int=5)
PAYOUT: Final = UUID(int=6)


def good(table: str) -> dict[str, Any]:
    """Return a row of a table that nothing speaks against, unlike any other."""
    fresh = uuid7()
    times = {"created_at": AT, "updated_at": AT}
    rows: dict[str, dict[str, Any]] = {
        "users": {"id": fresh, "issuer": "house", "subject": str(fresh), "created_at": AT},
        "creators": {
            "id": fresh, "user_id": USER, "handle": f"h{fresh.hex[-12:]}", "display_name": "A name",
            "plan": "standard", "state": "active", **times,
        },
        "fee_rules": {
            "id": fresh, "kind": "tip", "currency": "USD", "plan": str(fresh), "percent_basis_points": 500,
            "fixed": Decimal(0), "maturity_delay_seconds": 0, "valid_from": AT, "created_at": AT,
        },
        "products": {
            "id": fresh, "creator_id": CREATOR, "title": "A thing", "price": Decimal(500), "currency": "USD",
            "stock": 1, "state": "active", **times,
        },
        "payments": {
            "id": fresh, "kind": "tip", "creator_id": CREATOR, "currency": "USD", "gross": Decimal(500),
            "fixed_fee": Decimal(0), "fee": Decimal(25), "tax": Decimal(0), "net": Decimal(475), "fee_rule_id": RULE,
            "maturity_delay_seconds": 0, "provider": "sandbox", "provider_reference": str(fresh),
            "status": "CREATED", "sequence": 1, "authorized": Decimal(0), "captured": Decimal(0),
            "reconciling": False, **times,
        },
        "payment_events": {"payment_id": PAYMENT, "sequence": 1, "status": "CREATED", "at": AT},
        "tips": {"id": fresh, "payment_id": PAYMENT, "creator_id": CREATOR, "created_at": AT},
        "purchases": {
            "id": fresh, "payment_id": PAYMENT, "product_id": PRODUCT, "creator_id": CREATOR, "title": "A thing",
            "stock_reserved": False, "created_at": AT,
        },
        "earning_days": {
            "creator_id": CREATOR, "currency": "USD", "day": date(2026, 1, 1), "source": "tip",
            "net": Decimal(1), "payments": 1,
        },
        "requests": {
            "principal": "user:1", "operation": "tipCreate", "key": str(fresh), "body_hash": b"0" * 32,
            "outcome": "{}", "created_at": AT,
        },
        "inbox_events": {
            "provider": "sandbox", "event_id": str(fresh), "type": "payment.succeeded", "body": b"{}",
            "state": "PENDING", "attempts": 0, "due_at": AT, "received_at": AT,
        },
        "outbox_events": {
            "payment_id": PAYMENT, "sequence": 1, "status": "CREATED", "at": AT, "creator_id": CREATOR,
            "in_activity": True, "position": 1, "creator_offset": 1,
        },
        "creator_feeds": {"creator_id": fresh, "last_offset": 1},
        "relay_position": {"id": 1, "assigned": 0, "published": 0},
        "refunds": {
            "id": fresh, "payment_id": PAYMENT, "creator_id": CREATOR, "currency": "USD", "amount": Decimal(100),
            "reason": "OTHER", "provider": "sandbox", "provider_reference": str(fresh), "status": "CREATED",
            "net": Decimal(95), "fee": Decimal(5), "tax": Decimal(0), "taken_from": "pending", **times,
        },
        "disputes": {
            "id": fresh, "payment_id": PAYMENT, "creator_id": CREATOR, "currency": "USD", "amount": Decimal(100),
            "reason": "fraudulent", "provider": "sandbox", "provider_reference": str(fresh),
            "status": "NEEDS_RESPONSE", "provider_state_at": AT, "withdrawn": Decimal(100), "net": Decimal(95),
            "fee": Decimal(5), "tax": Decimal(0), "taken_from": "pending", "taken_at": AT, **times,
        },
        "payment_methods": {
            "id": fresh, "user_id": USER, "provider": "sandbox", "provider_reference": str(fresh),
            "last_four": "4242", "expires_month": 12, "expires_year": 2031, "created_at": AT,
        },
        "payout_accounts": {
            "creator_id": CREATOR, "provider": "sandbox", "provider_reference": str(fresh), "country": "DE",
            "ready": True, "missing": "[]", **times,
        },
        "payout_schedules": {
            "id": fresh, "creator_id": CREATOR, "currency": "USD", "interval": "WEEKLY", "day": 1,
            "minimum": Decimal(0), **times,
        },
        "payouts": {
            "id": fresh, "creator_id": CREATOR, "currency": "USD", "amount": Decimal(100), "origin": "REQUESTED",
            "provider": "sandbox", "account_reference": "acct", "status": "REQUESTED", "step": "TRANSFER",
            "sequence": 1, "provider_reference": f"po_{fresh}", "transfer_reference": f"tr_{fresh}", **times,
        },
        "payout_events": {"payout_id": PAYOUT, "sequence": 1, "status": "REQUESTED", "at": AT},
        "reconciliations": {
            "provider": "sandbox", "since": AT, "started_at": AT, "finished_at": AT, "entries": 1, "differences": 1,
            "mended": 1, "findings": "[]",
        },
    }  # fmt: skip
    return rows[table]


class Same:
    """Where a second row repeats the first in what has to be unique; everything else is told anew."""

    def __init__(self, *columns: str) -> None:
        self.columns = columns


BAD: Final[dict[tuple[str, str], dict[str, Any] | Same]] = {
    ("users", "user_subject_is_unique"): Same("issuer", "subject"),
    ("users", "user_subject_not_empty"): {"subject": ""},
    ("creators", "one_creator_per_user"): Same("user_id"),
    ("creators", "handle_is_unique"): Same("handle"),
    ("creators", "handle_is_well_formed"): {"handle": "_a_"},
    ("creators", "creator_state_is_known"): {"state": "asleep"},
    ("creators", "display_name_not_empty"): {"display_name": ""},
    ("products", "price_is_positive"): {"price": Decimal(0)},
    ("products", "stock_never_negative"): {"stock": -1},
    ("products", "product_state_is_known"): {"state": "asleep"},
    ("products", "product_title_not_empty"): {"title": ""},
    ("products", "product_currency_is_declared"): {"currency": "XXX"},
    ("fee_rules", "one_fee_rule_per_moment"): Same("kind", "currency", "plan", "valid_from"),
    ("fee_rules", "fee_percent_is_sound"): {"percent_basis_points": 10_001},
    ("fee_rules", "fee_fixed_is_whole"): {"fixed": Decimal(-1)},
    ("fee_rules", "fee_kind_is_known"): {"kind": "gift"},
    ("fee_rules", "maturity_delay_not_negative"): {"maturity_delay_seconds": -1},
    ("fee_rules", "reserve_is_sound"): {"reserve_basis_points": 10_001},
    ("fee_rules", "fixed_fee_has_a_currency"): {"fixed": Decimal(1), "currency": None},
    ("fee_rules", "fee_currency_is_declared"): {"currency": "XXX"},
    ("payments", "gross_is_net_and_fee_and_tax"): {"gross": Decimal(501)},
    ("payments", "payment_amounts_are_sound"): {"net": Decimal(501), "fee": Decimal(-1)},
    ("payments", "captured_within_gross"): {"captured": Decimal(501)},
    ("payments", "payment_kind_is_known"): {"kind": "gift"},
    ("payments", "payment_status_is_known"): {"status": "LOST"},
    ("payments", "payment_currency_is_declared"): {"currency": "XXX"},
    ("payments", "provider_reference_is_unique"): Same("provider", "provider_reference"),
    ("payments", "matures_only_when_captured"): {"matures_at": AT},
    ("payments", "refunds_within_captured"): {
        "captured": Decimal(500),
        "refunded": Decimal(499),
        "refund_pending": Decimal(2),
    },
    ("payments", "returned_within_parts"): {"returned_fee": Decimal(26)},
    ("payments", "dispute_standing_is_known"): {"dispute": "WON"},
    ("payments", "capture_within_gross"): {"capturing": Decimal(501)},
    ("payments", "reserve_within_net"): {"reserve": Decimal(476)},
    ("payment_events", "event_number_is_unique"): Same("payment_id", "sequence"),
    ("payment_events", "event_number_is_positive"): {"sequence": 0},
    ("payment_events", "event_status_is_known"): {"status": "LOST"},
    ("tips", "one_tip_per_payment"): Same("payment_id"),
    ("tips", "tip_message_is_short"): {"message": "x" * 501},
    ("purchases", "one_purchase_per_payment"): Same("payment_id"),
    ("purchases", "only_reserved_stock_is_released"): {"stock_released_at": AT},
    ("earning_days", "one_row_per_creator_day_and_source"): Same("creator_id", "currency", "day", "source"),
    ("earning_days", "earning_source_is_known"): {"source": "gift"},
    ("earning_days", "earning_net_not_negative"): {"net": Decimal("NaN")},
    ("earning_days", "earning_returned_not_negative"): {"returned": Decimal(-1)},
    ("requests", "request_key_is_unique"): Same("principal", "operation", "key"),
    ("requests", "request_key_is_bounded"): {"key": "x" * 201},
    ("inbox_events", "event_is_received_once"): Same("provider", "event_id"),
    ("inbox_events", "inbox_state_is_known"): {"state": "LOST"},
    ("outbox_events", "outbox_position_is_unique"): Same("position"),
    ("outbox_events", "creator_offset_is_unique"): Same("creator_id", "creator_offset"),
    ("outbox_events", "only_activity_has_an_offset"): {"in_activity": False},
    ("creator_feeds", "feed_offset_is_positive"): {"last_offset": 0},
    ("relay_position", "one_relay_position"): {"id": 2},
    ("relay_position", "published_within_assigned"): {"published": 1},
    ("refunds", "refund_amount_is_positive"): {"amount": Decimal("NaN")},
    ("refunds", "refund_status_is_known"): {"status": "LOST"},
    ("refunds", "refund_reason_is_known"): {"reason": "WHIM"},
    ("refunds", "refund_divides_once_accepted"): {"net": Decimal(96)},
    ("refunds", "refund_reference_is_unique"): Same("provider", "provider_reference"),
    ("refunds", "refund_currency_is_declared"): {"currency": "XXX"},
    ("disputes", "dispute_amount_is_positive"): {"amount": Decimal(0)},
    ("disputes", "dispute_status_is_known"): {"status": "LOST AGAIN"},
    ("disputes", "dispute_divides_once_taken"): {"taken_at": None},
    ("disputes", "dispute_reference_is_unique"): Same("provider", "provider_reference"),
    ("disputes", "dispute_currency_is_declared"): {"currency": "XXX"},
    ("payment_methods", "method_reference_is_unique"): Same("provider", "provider_reference"),
    ("payment_methods", "method_last_four_is_four"): {"last_four": "12345"},
    ("payment_methods", "method_expiry_is_a_month"): {"expires_month": 13},
    ("payout_accounts", "payout_account_is_a_creators"): {"creator_id": UUID(int=99)},
    ("payout_accounts", "payout_account_reference_is_unique"): Same("provider", "provider_reference"),
    ("payout_accounts", "payout_country_is_a_code"): {"country": "Germany"},
    ("payout_accounts", "ready_only_when_opened"): {"provider_reference": None},
    ("payout_schedules", "one_schedule_per_creator_and_currency"): Same("creator_id", "currency"),
    ("payout_schedules", "payout_interval_is_known"): {"interval": "HOURLY", "day": None},
    ("payout_schedules", "payout_day_fits_the_interval"): {"interval": "MONTHLY", "day": 29},
    ("payout_schedules", "payout_minimum_not_negative"): {"minimum": Decimal(-1)},
    ("payout_schedules", "schedule_currency_is_declared"): {"currency": "XXX"},
    ("payouts", "payout_amount_is_positive"): {"amount": Decimal(0)},
    ("payouts", "payout_status_is_known"): {"status": "LOST"},
    ("payouts", "payout_step_is_known"): {"step": "WAIT"},
    ("payouts", "payout_origin_is_known"): {"origin": "STOLEN"},
    ("payouts", "payout_reference_is_unique"): Same("provider", "provider_reference"),
    ("payouts", "transfer_reference_is_unique"): Same("provider", "transfer_reference"),
    ("payouts", "payout_currency_is_declared"): {"currency": "XXX"},
    ("payout_events", "payout_event_number_is_unique"): Same("payout_id", "sequence"),
    ("payout_events", "payout_event_number_is_positive"): {"sequence": 0},
    ("reconciliations", "reconciliation_counts_are_sound"): {"mended": 2},
}
"""What each rule refuses: a good row but for these columns."""


async def insert(connection: asyncpg.Connection, table: str, row: dict[str, Any]) -> None:
    places = ", ".join(f"${number}" for number in range(1, len(row) + 1))
    await connection.execute(f"insert into {table} ({', '.join(row)}) values ({places})", *row.values())


async def furnish(connection: asyncpg.Connection) -> None:
    """Insert what other rows refer to."""
    await insert(connection, "users", {**good("users"), "id": USER})
    # The creator that others refer to is another user's, so that USER may still become one.
    other = uuid7()
    await insert(connection, "users", {**good("users"), "id": other})
    await insert(connection, "creators", {**good("creators"), "id": CREATOR, "user_id": other})
    await insert(connection, "fee_rules", {**good("fee_rules"), "id": RULE})
    await insert(connection, "products", {**good("products"), "id": PRODUCT})
    await insert(connection, "payments", {**good("payments"), "id": PAYMENT})
    await insert(connection, "payouts", {**good("payouts"), "id": PAYOUT})
    await connection.execute("truncate relay_position")


async def test_database_holds_the_declared_rules_and_no_others(owner: asyncpg.Connection) -> None:
    rows = await owner.fetch(_CONSTRAINTS)
    made_by_orm = {row["name"] for row in rows if row["kind"] == "p" or row["name"].endswith("_fkey")}

    found = {(row["table"], row["name"]) for row in rows if row["name"] not in made_by_orm}

    assert found - RULES == set(), "in the database and not declared by a model"
    assert RULES - found == set(), "declared by a model and not in the database"


async def test_unique_indexes_are_those_of_rules_and_primary_keys(owner: asyncpg.Connection) -> None:
    loose = await owner.fetch(
        "select indexrelid::regclass::text as name from pg_index join pg_class c on c.oid = indrelid "
        "where relnamespace = 'public'::regnamespace and indisunique and relname <> 'tortoise_migrations' "
        "and not exists (select from pg_constraint where conindid = indexrelid)"
    )
    assert [row["name"] for row in loose] == []


async def test_primary_and_foreign_keys_are_those_of_the_models(owner: asyncpg.Connection) -> None:
    rows = await owner.fetch(_CONSTRAINTS)
    declared = {
        (table, field.source_field, MODELS_BY_NAME[field.model_name].Meta.table)
        for table, model in MODELS.items()
        for field in model._meta.fields_map.values()
        if isinstance(field, ForeignKeyFieldInstance)
    }
    foreign = [row for row in rows if row["kind"] == "f" and row["name"].endswith("_fkey")]

    assert {(row["table"], *row["columns"], row["target"]) for row in foreign} == declared
    assert len(foreign) == len(declared)
    assert {row["on_delete"] for row in foreign} == {"r"}, "RESTRICT"
    primary = {(row["table"], *row["columns"]) for row in rows if row["kind"] == "p"}
    assert primary == {(table, model._meta.db_pk_column) for table, model in MODELS.items()}


async def test_tables_are_those_of_the_models(owner: asyncpg.Connection) -> None:
    rows = await owner.fetch("select tablename from pg_tables where schemaname = 'public'")
    assert {row["tablename"] for row in rows} == {*MODELS, "tortoise_migrations"}


def test_every_rule_has_a_row_that_breaks_it() -> None:
    assert set(BAD) == RULES


async def test_good_rows_are_taken(owner: asyncpg.Connection) -> None:
    await furnish(owner)
    for table in MODELS:
        await insert(owner, table, good(table))


async def test_each_rule_refuses_what_breaks_it(owner: asyncpg.Connection) -> None:
    await furnish(owner)
    refused_by: dict[tuple[str, str], str | None] = {}
    for (table, rule), change in BAD.items():
        attempt = owner.transaction()
        await attempt.start()
        try:
            row = good(table)
            if isinstance(change, Same):
                await insert(owner, table, row)
                second = await _unlike(owner, table, row, change)
                await insert(owner, table, second)
            else:
                await insert(owner, table, {**row, **change})
        except asyncpg.IntegrityConstraintViolationError as error:
            refused_by[table, rule] = error.constraint_name
        else:
            refused_by[table, rule] = None
        finally:
            await attempt.rollback()

    assert refused_by == {(table, rule): rule for table, rule in BAD}


async def _unlike(owner: asyncpg.Connection, table: str, row: dict[str, Any], same: Same) -> dict[str, Any]:
    """Return a good row that is like another in nothing but some columns."""
    second = {**good(table), **{column: row[column] for column in same.columns}}
    if table == "creators" and "user_id" not in same.columns:
        second["user_id"] = uuid7()
        await insert(owner, "users", {**good("users"), "id": second["user_id"]})
    if table == "payout_accounts":
        # The account's key is its creator: another account is another creator's.
        creator = good("creators")
        creator["user_id"] = uuid7()
        await insert(owner, "users", {**good("users"), "id": creator["user_id"]})
        await insert(owner, "creators", creator)
        second["creator_id"] = creator["id"]
    if table == "outbox_events":
        second.update({"position": 2} if "position" not in same.columns else {"creator_offset": 2})
    return second
