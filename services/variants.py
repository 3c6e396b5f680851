"""Variants: the forms of a product that are bought, each with its prices, its stock and what goes with it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import asyncpg

from core.clock import now
from core.errors import not_found
from core.money import Money
from core.viewer import Viewer
from models.database import Connection, Transaction
from services import product_limits, variant_rows
from services.engine import Engine
from services.product_limits import invalid
from services.products import lock_own, product_not_active
from services.requests import Request, once
from services.variant_rows import VariantDraft

_READ: Final = """
    select v.*, p.id as product_id, p.creator_id, p.state as product_state, p.options, p.pays_what_they_want
    from product_variants v join products p on p.id = v.product_id
    where v.id = $1 and p.creator_id in (select id from creators where user_id = $2)
"""
_NUMBERS: Final = """
    select coalesce(max(position), -1) + 1 as position, count(*) filter (where state = 'active') as active
    from product_variants where product_id = $1
"""
_UPDATE: Final = """
    update product_variants set choices = $2, sku = $3, requires_shipping = $4, weight_grams = $5,
        licence_policy = $6, licence_activations = $7, download_limit = $8, stock_tracked = $9, updated_at = $10
    where id = $1
"""
_ARCHIVE: Final = "update product_variants set state = 'archived', updated_at = $2 where id = $1"


@dataclass(frozen=True, slots=True)
class CreateVariant:
    """Offer a product in one more variant."""

    product_id: UUID
    draft: VariantDraft
    key: str


@dataclass(frozen=True, slots=True)
class UpdateVariant:
    """Change what is given; ``None`` leaves as it is.

    ``prices`` are all it has from now on. An empty ``sku`` and a limit of 0 take away what there was.
    """

    variant_id: UUID
    key: str
    choices: tuple[str, ...] | None = None
    prices: tuple[Money, ...] | None = None
    stock: int | None = None
    unlimited_stock: bool = False
    sku: str | None = None
    requires_shipping: bool | None = None
    weight_grams: int | None = None
    licence_policy: str | None = None
    licence_activations: int | None = None
    download_limit: int | None = None

    def body(self) -> dict[str, Any]:
        """Return what is asked for, as an idempotency key remembers it."""
        return {
            "variant": self.variant_id,
            "choices": self.choices,
            "prices": None if self.prices is None else [[p.currency.code, p.minor] for p in self.prices],
            "stock": [self.stock, self.unlimited_stock],
            "sku": self.sku,
            "shipping": [self.requires_shipping, self.weight_grams],
            "licence": [self.licence_policy, self.licence_activations],
            "downloads": self.download_limit,
        }


@dataclass(frozen=True, slots=True)
class ArchiveVariant:
    """Take a variant off sale for good. What was sold stays sold."""

    variant_id: UUID
    key: str


async def create(engine: Engine, viewer: Viewer, command: CreateVariant) -> tuple[UUID, bool]:
    """Offer a variant; return its id and whether this is a repeat.

    Errors: NOT_FOUND, PRODUCT_NOT_ACTIVE (archived), INPUT_INVALID, NAME_TAKEN, AMOUNT_INVALID, AMOUNT_TOO_SMALL,
    AMOUNT_TOO_LARGE, CURRENCY_NOT_SUPPORTED, IDEMPOTENCY_KEY_REUSED.
    """
    body = {"product": command.product_id, **command.draft.body()}
    request = Request.of(viewer, "variantCreate", command.key, body)

    async def act(transaction: Transaction) -> dict[str, UUID]:
        connection, at = transaction.connection, now()
        product = await lock_own(connection, viewer, command.product_id)
        if product["state"] == "archived":
            raise product_not_active()
        numbers = await connection.fetchrow(_NUMBERS, command.product_id)
        if numbers is not None and numbers["active"] >= product_limits.MAXIMUM_VARIANTS:
            raise product_limits.too_many_variants("productId")
        draft = product_limits.clean_draft(
            engine, command.draft, len(product["options"]), pays_what_they_want=product["pays_what_they_want"]
        )
        (variant_id,) = await variant_rows.insert(
            [draft],
            product_id=command.product_id,
            creator_id=product["creator_id"],
            position=numbers["position"] if numbers is not None else 0,
            on=connection,
            at=at,
        )
        await variant_rows.keep_price(command.product_id, on=connection, at=at)
        return {"variant": variant_id}

    outcome = await once(engine, request, act)
    return outcome.ids["variant"], outcome.replayed


async def update(engine: Engine, viewer: Viewer, command: UpdateVariant) -> tuple[UUID, bool]:
    """Change a variant of the viewer's; return its id and whether this is a repeat.

    What is in an order already keeps its price.
    Errors: NOT_FOUND (also archived), PRODUCT_NOT_ACTIVE, INPUT_INVALID, NAME_TAKEN, AMOUNT_INVALID,
    AMOUNT_TOO_SMALL, AMOUNT_TOO_LARGE, CURRENCY_NOT_SUPPORTED, IDEMPOTENCY_KEY_REUSED.
    """
    request = Request.of(viewer, "variantUpdate", command.key, command.body())
    product_limits.check_stock(command.stock, "stock")
    product_limits.check_shipping(command.sku, command.weight_grams)
    product_limits.check_limit(command.download_limit, "A limit of downloads", "downloadLimit")
    product_limits.check_limit(command.licence_activations, "A limit of activations", "licenceActivations")
    if command.unlimited_stock and command.stock is not None:
        raise invalid("Send either a stock or unlimitedStock.", "stock")

    async def act(transaction: Transaction) -> dict[str, UUID]:
        connection, at = transaction.connection, now()
        variant = await lock_variant(connection, viewer, command.variant_id)
        if command.prices is not None:
            product_limits.check_prices(
                engine, command.prices, "prices", pays_what_they_want=variant["pays_what_they_want"]
            )
        try:
            await connection.execute(_UPDATE, command.variant_id, *_changed(variant, command), at)
        except asyncpg.UniqueViolationError as error:
            raise variant_rows.choices_taken() from error
        if command.prices is not None:
            await variant_rows.set_prices(command.variant_id, command.prices, on=connection, at=at)
            await variant_rows.keep_price(variant["product_id"], on=connection, at=at)
        if command.stock is not None:
            await variant_rows.set_stock(
                command.variant_id, variant["creator_id"], command.stock, on=connection, at=at
            )
        return {"variant": command.variant_id}

    outcome = await once(engine, request, act)
    return outcome.ids["variant"], outcome.replayed


async def archive(engine: Engine, viewer: Viewer, command: ArchiveVariant) -> tuple[UUID, bool]:
    """Take a variant of the viewer's off sale; return its id and whether this is a repeat.

    Errors: NOT_FOUND, PRODUCT_NOT_ACTIVE, INPUT_INVALID (the last one), IDEMPOTENCY_KEY_REUSED.
    """
    request = Request.of(viewer, "variantArchive", command.key, {"variant": command.variant_id})

    async def act(transaction: Transaction) -> dict[str, UUID]:
        connection, at = transaction.connection, now()
        variant = await lock_variant(connection, viewer, command.variant_id)
        numbers = await connection.fetchrow(_NUMBERS, variant["product_id"])
        if numbers is not None and numbers["active"] < 2:
            raise invalid("A product has at least one variant. Archive the product instead.", "variantId")
        await connection.execute(_ARCHIVE, command.variant_id, at)
        await variant_rows.keep_price(variant["product_id"], on=connection, at=at)
        return {"variant": command.variant_id}

    outcome = await once(engine, request, act)
    return outcome.ids["variant"], outcome.replayed


async def lock_variant(connection: Connection, viewer: Viewer, variant_id: UUID) -> Any:
    """Lock the product of an active variant of the viewer's; return the variant's row, with its product's columns.

    Errors: NOT_FOUND, also for somebody else's and for an archived one; PRODUCT_NOT_ACTIVE.
    """
    found = await connection.fetchrow(_READ, variant_id, viewer.user_id)
    if found is not None:
        await lock_own(connection, viewer, found["product_id"])
        # What it was before the lock may not be what it is.
        found = await connection.fetchrow(_READ, variant_id, viewer.user_id)
    if found is None or found["state"] != "active":
        raise not_found("variant", "variantId")
    if found["product_state"] == "archived":
        raise product_not_active().at("variantId")
    return found


def _changed(variant: Any, command: UpdateVariant) -> Sequence[Any]:
    """Return the columns of ``_UPDATE`` in their order, as they will be."""
    policy = variant["licence_policy"]
    if command.licence_policy not in {None, policy} and "POOL" in {policy, command.licence_policy}:
        raise invalid("A variant with uploaded keys is made as such, and stays it.", "licencePolicy")
    if policy == "POOL" and (command.stock is not None or command.unlimited_stock):
        raise invalid("It has as many to sell as there are keys. Upload keys instead.", "stock")
    choices = list(variant["choices"])
    if command.choices is not None:
        choices = list(product_limits.clean_choices(command.choices, len(variant["options"]), "choices"))
    tracked = variant["stock_tracked"]
    if command.stock is not None or command.unlimited_stock:
        tracked = command.stock is not None

    def given(value: Any, column: str) -> Any:
        return variant[column] if value is None else value

    return (
        choices,
        given(command.sku, "sku").strip() or None if command.sku is not None else variant["sku"],
        given(command.requires_shipping, "requires_shipping"),
        given(command.weight_grams, "weight_grams"),
        given(command.licence_policy, "licence_policy"),
        given(command.licence_activations, "licence_activations") or None,
        given(command.download_limit, "download_limit") or None,
        tracked,
    )


__all__ = [
    "ArchiveVariant",
    "CreateVariant",
    "UpdateVariant",
    "VariantDraft",
    "archive",
    "create",
    "lock_variant",
    "update",
]
