"""The rules that models declare are the rules that the database holds, and each of them refuses."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import asyncpg
import pytest
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
VARIANT: Final = UUID(int=7)
LOCATION: Final = UUID(int=8)
LEVEL: Final = UUID(int=9)
ORDER: Final = UUID(int=10)
PART: Final = UUID(int=11)
LINE: Final = UUID(int=12)
GRANT: Final = UUID(int=21)
ZONE: Final = UUID(int=13)
METHOD: Final = UUID(int=14)
LICENCE: Final = UUID(int=22)
MEDIA: Final = UUID(int=23)
GRANT_LINE: Final = UUID(int=24)
CART: Final = UUID(int=25)
SALE: Final = UUID(int=26)
DISCOUNT: Final = UUID(int=27)
FULFILMENT: Final = UUID(int=31)
ORDER_RETURN: Final = UUID(int=32)
REFUND: Final = UUID(int=33)
COLLECTION: Final = UUID(int=28)
SHARE: Final = UUID(int=25)


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
            "state": "active", **times,
        },
        "product_variants": {
            "id": fresh, "product_id": PRODUCT, "position": 0, "choices": [str(fresh)], "state": "active", **times,
        },
        "variant_prices": {"id": fresh, "variant_id": VARIANT, "currency": "USD", "amount": Decimal(500)},
        "collections": {
            "id": fresh, "creator_id": CREATOR, "title": "A choice", "slug": f"s-{fresh}", "state": "active", **times,
        },
        "collection_products": {"id": fresh, "collection_id": COLLECTION, "product_id": PRODUCT, "position": 0},
        "product_media": {"id": fresh, "product_id": PRODUCT, "media_id": MEDIA, "position": 0},
        "stock_locations": {
            "id": fresh, "creator_id": CREATOR, "name": str(fresh), "position": 0, "state": "active", **times,
        },
        "stock_levels": {
            "id": fresh, "variant_id": VARIANT, "location_id": LOCATION, "on_hand": 2, "reserved": 1,
            "updated_at": AT,
        },
        "stock_reservations": {
            "id": fresh, "line_id": LINE, "level_id": LEVEL, "quantity": 1, "state": "HELD", **times,
        },
        "stock_movements": {
            "level_id": LEVEL, "kind": "RECEIVED", "on_hand": 1, "reserved": 0, "at": AT,
        },
        "orders": {
            "id": fresh, "payment_id": PAYMENT, "origin": "CART", "number": fresh.int % 2**62, "status": "PAID",
            "sequence": 1, "currency": "USD", "subtotal": Decimal(500), "discount": Decimal(0),
            "shipping": Decimal(0), "tax": Decimal(0), "total": Decimal(500), "paid_at": AT, **times,
        },
        "order_parts": {
            "id": fresh, "order_id": ORDER, "creator_id": CREATOR, "subtotal": Decimal(500),
            "discount": Decimal(0), "tax": Decimal(0), "total": Decimal(500), "created_at": AT,
        },
        "order_lines": {
            "id": fresh, "order_id": ORDER, "part_id": PART, "position": 0, "product_id": PRODUCT,
            "variant_id": VARIANT, "title": "A thing", "requires_shipping": False, "quantity": 1,
            "unit_price": Decimal(500), "subtotal": Decimal(500), "discount": Decimal(0), "tax_basis_points": 0,
            "tax_inclusive": True, "tax": Decimal(0), "total": Decimal(500),
        },
        "payments": {
            "id": fresh, "kind": "tip", "creator_id": CREATOR, "currency": "USD", "gross": Decimal(500),
            "fixed_fee": Decimal(0), "fee": Decimal(25), "tax": Decimal(0), "net": Decimal(475), "fee_rule_id": RULE,
            "maturity_delay_seconds": 0, "provider": "sandbox", "provider_reference": str(fresh),
            "status": "CREATED", "sequence": 1, "authorized": Decimal(0), "captured": Decimal(0),
            "reconciling": False, **times,
        },
        "media_files": {
            "id": fresh, "creator_id": CREATOR, "kind": "DIGITAL", "state": "STORED", "file_name": "book.epub",
            "content_type": "application/epub+zip", "size": 1, "digest": b"0" * 32, **times,
        },
        "variant_files": {"id": fresh, "variant_id": VARIANT, "media_id": MEDIA, "position": 0},
        "licence_keys": {
            "id": fresh, "variant_id": VARIANT, "key": str(fresh), "digest": fresh.bytes, "state": "ASSIGNED",
            "line_id": LINE, "activation_limit": 1, **times,
        },
        "licence_activations": {"id": fresh, "licence_id": LICENCE, "instance": "desk", "created_at": AT},
        "access_grants": {"id": fresh, "line_id": LINE, "state": "ACTIVE", "download_limit": 1, **times},
        "downloads": {"id": fresh, "grant_id": GRANT, "file_id": fresh, "used": 1},
        "shipping_zones": {
            "id": fresh, "creator_id": CREATOR, "name": "Near", "countries": ["DE"], "state": "active", **times,
        },
        "shipping_methods": {
            "id": fresh, "zone_id": ZONE, "name": "Parcel", "days_minimum": 1, "days_maximum": 2,
            "state": "active", **times,
        },
        "shipping_rates": {
            "id": fresh, "method_id": METHOD, "currency": "USD", "amount": Decimal(0),
            "weight_grams_from": fresh.int % 1_000_000, "subtotal_from": Decimal(0),
        },
        "tax_rates": {
            "id": fresh, "country": "DE", "region": str(fresh), "category": "standard", "name": "VAT",
            "basis_points": 1_900, "inclusive": True, "valid_from": AT, "created_at": AT,
        },
        "discounts": {
            "id": fresh, "creator_id": CREATOR, "code": fresh.hex.upper(), "title": "Less", "kind": "PERCENT",
            "basis_points": 10_000, "state": "active", **times,
        },
        "usage_counters": {"subject": fresh, "scope": "all", "used": 0},
        "return_shares": {
            "id": fresh, "return_id": fresh, "share_id": SHARE, "net": Decimal(47), "fee": Decimal(2),
            "tax": Decimal(1), "from_reserve": Decimal(47),
        },
        "payment_events": {"payment_id": PAYMENT, "sequence": 1, "status": "CREATED", "at": AT},
        "tips": {"id": fresh, "payment_id": PAYMENT, "creator_id": CREATOR, "created_at": AT},
        "carts": {"id": fresh, "currency": "USD", **times},
        "cart_lines": {
            "id": fresh, "cart_id": CART, "variant_id": VARIANT, "quantity": 1, "chosen_price": Decimal(500),
            "created_at": AT,
        },
        "order_events": {
            "order_id": ORDER, "sequence": 1, "kind": "CREATED", "status": "PENDING", "at": AT,
        },
        "order_counter": {"id": 1, "last_number": 0},
        "fulfilments": {"id": fresh, "part_id": PART, "tracking_url": "https://parcels.example/1", **times},
        "fulfilment_lines": {"id": fresh, "fulfilment_id": FULFILMENT, "line_id": LINE, "quantity": 1},
        "order_returns": {"id": fresh, "part_id": PART, "status": "REQUESTED", **times},
        "order_return_lines": {"id": fresh, "order_return_id": ORDER_RETURN, "line_id": LINE, "quantity": 1},
        "order_refund_items": {
            "id": fresh, "refund_id": REFUND, "order_id": ORDER, "line_id": LINE, "quantity": 1,
            "amount": Decimal(5), "tax": Decimal(5),
        },
        "order_discounts": {
            "id": fresh, "order_id": ORDER, "discount_id": DISCOUNT, "title": "Less", "amount": Decimal(0),
        },
        "payment_shares": {
            "id": fresh, "payment_id": PAYMENT, "creator_id": CREATOR, "gross": Decimal(500),
            "fixed_fee": Decimal(0), "fee": Decimal(25), "tax": Decimal(10), "net": Decimal(465), "fee_rule_id": RULE,
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
    ("products", "price_is_sound"): {"price": Decimal(0)},
    ("products", "per_buyer_limit_is_positive"): {"per_buyer_limit": 0},
    ("products", "tax_category_is_known"): {"tax_category": "luxury"},
    ("products", "few_options"): {"options": list("ABCD")},
    ("products", "few_tags"): {"tags": [str(number) for number in range(21)]},
    ("products", "product_state_is_known"): {"state": "asleep"},
    ("products", "product_title_not_empty"): {"title": ""},
    ("products", "product_currency_is_declared"): {"currency": "XXX"},
    ("product_variants", "variant_state_is_known"): {"state": "asleep"},
    ("product_variants", "sku_not_empty"): {"sku": ""},
    ("product_variants", "weight_is_sound"): {"weight_grams": -1},
    ("product_variants", "licence_policy_is_known"): {"licence_policy": "STOLEN"},
    ("product_variants", "licence_limits_are_positive"): {"licence_activations": 0},
    ("product_variants", "pooled_keys_are_stock"): {"licence_policy": "POOL"},
    ("variant_prices", "one_price_per_variant_and_currency"): Same("variant_id", "currency"),
    ("variant_prices", "variant_price_is_sound"): {"amount": Decimal("NaN")},
    ("variant_prices", "variant_price_currency_is_declared"): {"currency": "XXX"},
    ("collections", "one_collection_per_slug"): Same("creator_id", "slug"),
    ("collections", "collection_slug_is_well_formed"): {"slug": "a-"},
    ("collections", "collection_title_not_empty"): {"title": ""},
    ("collections", "collection_state_is_known"): {"state": "asleep"},
    ("collection_products", "product_once_per_collection"): Same("collection_id", "product_id"),
    ("media_files", "media_kind_is_known"): {"kind": "SOUND"},
    ("media_files", "media_state_is_known"): {"state": "LOST"},
    ("media_files", "media_size_is_positive"): {"size": 0},
    ("media_files", "stored_media_has_a_digest"): {"digest": None},
    ("product_media", "picture_once_per_product"): Same("product_id", "media_id"),
    ("stock_locations", "one_location_per_name"): Same("creator_id", "name"),
    ("stock_locations", "location_name_not_empty"): {"name": ""},
    ("stock_locations", "location_state_is_known"): {"state": "asleep"},
    ("stock_levels", "one_level_per_variant_and_location"): Same("variant_id", "location_id"),
    ("stock_levels", "reserved_within_on_hand"): {"reserved": 3},
    ("stock_levels", "low_at_not_negative"): {"low_at": -1},
    ("stock_reservations", "reservation_quantity_is_positive"): {"quantity": 0},
    ("stock_reservations", "reservation_state_is_known"): {"state": "LOST"},
    ("stock_reservations", "returned_within_reservation"): {"returned": 1},
    ("stock_movements", "movement_kind_is_known"): {"kind": "LOST"},
    ("stock_movements", "movement_moves_something"): {"on_hand": 0},
    ("variant_files", "file_once_per_variant"): Same("variant_id", "media_id"),
    ("licence_keys", "licence_key_is_unique"): Same("digest"),
    ("licence_keys", "licence_state_is_known"): {"state": "LOST"},
    ("licence_keys", "assigned_licence_has_a_line"): {"line_id": None},
    ("licence_keys", "activations_within_limit"): {"activations": 2},
    ("licence_activations", "activation_instance_is_short"): {"instance": "x" * 201},
    ("access_grants", "one_grant_per_line"): Same("line_id"),
    ("access_grants", "grant_state_is_known"): {"state": "LOST"},
    ("access_grants", "grant_limit_is_positive"): {"download_limit": 0},
    ("downloads", "one_count_per_grant_and_file"): Same("grant_id", "file_id"),
    ("downloads", "downloads_within_limit"): {"used": -1},
    ("shipping_zones", "zone_name_not_empty"): {"name": ""},
    ("shipping_zones", "zone_state_is_known"): {"state": "asleep"},
    ("shipping_methods", "method_name_not_empty"): {"name": ""},
    ("shipping_methods", "method_state_is_known"): {"state": "asleep"},
    ("shipping_methods", "shipping_days_are_sound"): {"days_minimum": 3},
    ("shipping_rates", "shipping_rate_is_sound"): {"amount": Decimal(-1)},
    ("shipping_rates", "shipping_currency_is_declared"): {"currency": "XXX"},
    ("tax_rates", "one_tax_rate_per_moment"): Same("country", "region", "category", "valid_from"),
    ("tax_rates", "tax_rate_is_sound"): {"basis_points": 10_001},
    ("tax_rates", "tax_country_is_a_code"): {"country": "Germany"},
    ("tax_rates", "tax_rate_category_is_known"): {"category": "luxury"},
    ("discounts", "discount_code_is_unique"): Same("creator_id", "code"),
    ("discounts", "discount_code_is_well_formed"): {"code": "spring"},
    ("discounts", "discount_title_not_empty"): {"title": ""},
    ("discounts", "discount_kind_has_its_value"): {"kind": "FIXED"},
    ("discounts", "discount_limits_are_positive"): {"usage_limit": 0},
    ("discounts", "discount_period_is_known"): {"period": "DAY"},
    ("discounts", "discount_state_is_known"): {"state": "asleep"},
    ("discounts", "discount_currency_is_declared"): {"currency": "XXX"},
    ("usage_counters", "one_counter_per_scope"): Same("subject", "scope"),
    ("usage_counters", "used_not_negative"): {"used": -1},
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
    ("return_shares", "share_once_per_return"): Same("return_id", "share_id"),
    ("return_shares", "return_share_is_sound"): {"from_reserve": Decimal(48)},
    ("payment_events", "event_number_is_unique"): Same("payment_id", "sequence"),
    ("payment_events", "event_number_is_positive"): {"sequence": 0},
    ("payment_events", "event_status_is_known"): {"status": "LOST"},
    ("tips", "one_tip_per_payment"): Same("payment_id"),
    ("tips", "tip_message_is_short"): {"message": "x" * 501},
    ("payments", "one_creator_or_shares"): {"creator_id": None},
    ("carts", "cart_currency_is_declared"): {"currency": "XXX"},
    ("carts", "few_discount_codes"): {"discount_codes": list("ABCDEF")},
    ("cart_lines", "one_line_per_variant"): Same("cart_id", "variant_id"),
    ("cart_lines", "cart_quantity_is_bounded"): {"quantity": 1_001},
    ("cart_lines", "chosen_price_is_sound"): {"chosen_price": Decimal("NaN")},
    ("orders", "one_order_per_payment"): Same("payment_id"),
    ("orders", "order_number_is_unique"): Same("number"),
    ("orders", "paid_orders_have_numbers"): {"paid_at": None},
    ("orders", "order_status_is_known"): {"status": "LOST"},
    ("orders", "order_origin_is_known"): {"origin": "STOLEN"},
    ("orders", "order_amounts_are_sound"): {"total": Decimal(0)},
    ("orders", "order_currency_is_declared"): {"currency": "XXX"},
    ("order_parts", "one_part_per_creator"): Same("order_id", "creator_id"),
    ("order_parts", "part_amounts_are_sound"): {"discount": Decimal(501)},
    ("order_parts", "shipping_amounts_add_up"): {"shipping_total": Decimal(1)},
    ("order_parts", "shipping_refunds_within_total"): {"shipping_refunded_amount": Decimal(1)},
    ("order_lines", "line_quantities_are_sound"): {"fulfilled": 2},
    ("order_lines", "line_amounts_add_up"): {"total": Decimal(499)},
    ("order_lines", "line_refunds_within_total"): {"refunded_amount": Decimal(501)},
    ("order_events", "order_event_number_is_unique"): Same("order_id", "sequence"),
    ("order_events", "order_event_number_is_positive"): {"sequence": 0},
    ("order_events", "order_event_status_is_known"): {"status": "LOST"},
    ("order_counter", "one_order_counter"): {"id": 2},
    ("fulfilments", "tracking_url_is_https"): {"tracking_url": "http://parcels.example/1"},
    ("fulfilment_lines", "line_once_per_fulfilment"): Same("fulfilment_id", "line_id"),
    ("fulfilment_lines", "fulfilled_quantity_is_positive"): {"quantity": 0},
    ("order_returns", "return_status_is_known"): {"status": "LOST"},
    ("order_return_lines", "line_once_per_return"): Same("order_return_id", "line_id"),
    ("order_return_lines", "return_quantity_is_positive"): {"quantity": 0},
    ("order_refund_items", "refund_item_is_of_one_thing"): {"part_id": PART},
    ("order_refund_items", "refund_item_is_sound"): {"tax": Decimal(6)},
    ("order_discounts", "discount_once_per_order"): Same("order_id", "discount_id"),
    ("order_discounts", "order_discount_not_negative"): {"amount": Decimal(-1)},
    ("payment_shares", "one_share_per_payment_and_creator"): Same("payment_id", "creator_id"),
    ("payment_shares", "share_gross_is_net_and_fee_and_tax"): {"gross": Decimal(501)},
    ("payment_shares", "share_amounts_are_sound"): {"fixed_fee": Decimal(26)},
    ("payment_shares", "share_returned_within_parts"): {"returned_fee": Decimal(26)},
    ("payment_shares", "share_reserve_within_net"): {"reserve": Decimal(466)},
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
    ("outbox_events", "outbox_is_of_one_thing"): {"order_id": ORDER},
    ("outbox_events", "activity_is_somebodys"): {"creator_id": None},
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

PARTIAL: Final[dict[tuple[str, str], tuple[Same, dict[str, Any]]]] = {
    ("product_variants", "one_variant_per_choice"): (Same("product_id", "choices"), {}),
    ("licence_activations", "one_activation_per_instance"): (Same("licence_id", "instance"), {}),
    ("shipping_rates", "one_rate_per_bounds"): (
        Same("method_id", "currency", "weight_grams_from", "subtotal_from"),
        {},
    ),
    ("orders", "one_live_order_per_cart"): (Same("cart_id", "status"), {"cart_id": CART, "status": "PENDING"}),
}
"""What is unique among some rows of a table only, which no constraint can say: an index does, and refuses as one."""


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
    await insert(connection, "product_variants", {**good("product_variants"), "id": VARIANT})
    await insert(connection, "collections", {**good("collections"), "id": COLLECTION})
    await insert(connection, "stock_locations", {**good("stock_locations"), "id": LOCATION})
    # The level that others refer to is at another location, so that LOCATION may still have one.
    elsewhere = uuid7()
    await insert(connection, "stock_locations", {**good("stock_locations"), "id": elsewhere})
    await insert(connection, "stock_levels", {**good("stock_levels"), "id": LEVEL, "location_id": elsewhere})
    # The order that others refer to has no payment, so that PAYMENT may still have one.
    free = {"payment_id": None, "total": Decimal(0)}
    await insert(connection, "orders", {**good("orders"), "id": ORDER, **free})
    # The part that others refer to is another creator's, so that CREATOR may still have one of ORDER.
    seller = uuid7()
    await insert(connection, "users", {**good("users"), "id": SALE})
    await insert(connection, "creators", {**good("creators"), "id": seller, "user_id": SALE})
    await insert(connection, "order_parts", {**good("order_parts"), "id": PART, "creator_id": seller})
    await insert(connection, "carts", {**good("carts"), "id": CART})
    await insert(connection, "discounts", {**good("discounts"), "id": DISCOUNT})
    await insert(connection, "order_lines", {**good("order_lines"), "id": LINE})
    await insert(connection, "media_files", {**good("media_files"), "id": MEDIA})
    # The grant that others refer to is another line's, so that LINE may still have one.
    await insert(connection, "order_lines", {**good("order_lines"), "id": GRANT_LINE})
    await insert(connection, "access_grants", {**good("access_grants"), "id": GRANT, "line_id": GRANT_LINE})
    await insert(connection, "licence_keys", {**good("licence_keys"), "id": LICENCE})
    await insert(connection, "shipping_zones", {**good("shipping_zones"), "id": ZONE})
    await insert(connection, "shipping_methods", {**good("shipping_methods"), "id": METHOD})
    await insert(connection, "payments", {**good("payments"), "id": PAYMENT})
    # The share that others refer to is of another payment, so that PAYMENT may still have one of the creator.
    shared = good("payments")
    await insert(connection, "payments", {**shared, "creator_id": None, "fee_rule_id": None})
    await insert(connection, "payment_shares", {**good("payment_shares"), "id": SHARE, "payment_id": shared["id"]})
    await insert(connection, "payouts", {**good("payouts"), "id": PAYOUT})
    await insert(connection, "fulfilments", {**good("fulfilments"), "id": FULFILMENT})
    await insert(connection, "order_returns", {**good("order_returns"), "id": ORDER_RETURN})
    await insert(connection, "refunds", {**good("refunds"), "id": REFUND})
    await connection.execute("truncate relay_position, order_counter")


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
    assert {row["name"] for row in loose} == {name for _, name in PARTIAL}


async def test_each_partial_index_refuses_a_second_row(owner: asyncpg.Connection) -> None:
    await furnish(owner)
    for (table, name), (same, given) in PARTIAL.items():
        row = {**good(table), **given}
        await insert(owner, table, row)
        with pytest.raises(asyncpg.UniqueViolationError) as refusal:
            await insert(owner, table, await _unlike(owner, table, row, same))
        assert refusal.value.constraint_name == name


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
    if table == "orders" and "payment_id" not in same.columns:
        second.update({"payment_id": None, "total": Decimal(0)})
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
