"""Products: what creators sell."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from core.clock import now
from core.errors import ErrorCode, Refused, not_found
from core.ids import uuid7
from core.money import Money
from core.viewer import Viewer
from models.database import Connection, Transaction
from services import creators, product_limits, variant_rows
from services.engine import Engine
from services.product_limits import invalid
from services.requests import Request, once
from services.variant_rows import VariantDraft

# Whose product it is stands in the statement: somebody else's is not even locked.
_LOCK: Final = """
    select p.id, p.creator_id, p.title, p.description, p.state, p.manual_capture, p.pays_what_they_want,
        p.per_buyer_limit, p.releases_at, p.tax_category, p.options, p.tags
    from products p
    where p.id = $1 and p.creator_id in (select id from creators where user_id = $2)
    for no key update of p
"""
_INSERT: Final = """
    insert into products (id, creator_id, title, description, price, currency, state, manual_capture,
        pays_what_they_want, per_buyer_limit, releases_at, tax_category, options, tags, created_at, updated_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $15)
"""
_UPDATE: Final = """
    update products set title = $2, description = $3, state = $4, manual_capture = $5, pays_what_they_want = $6,
        per_buyer_limit = $7, releases_at = $8, tax_category = $9, options = $10, tags = $11, updated_at = $12
    where id = $1
"""
_ACTIVE_VARIANTS: Final = """
    select id, licence_policy from product_variants where product_id = $1 and state = 'active'
    order by position, id limit 2
"""
_TRACK: Final = "update product_variants set stock_tracked = $2, updated_at = $3 where id = $1"
_HAS_FREE: Final = """
    select exists (
        select from product_variants v join variant_prices r on r.variant_id = v.id
        where v.product_id = $1 and v.state = 'active' and r.removed_at is null and r.amount = 0
    )
"""


@dataclass(frozen=True, slots=True)
class CreateProduct:
    """Offer something: in ``variants``, or with one ``price`` and one ``stock`` (None is without limit) as one.

    ``manual_capture``: paying for it reserves its price, and the creator captures that later.
    """

    creator_id: UUID
    title: str
    description: str | None
    price: Money | None
    stock: int | None
    key: str
    manual_capture: bool = False
    variants: tuple[VariantDraft, ...] = ()
    options: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    state: str = "active"
    releases_at: datetime | None = None
    per_buyer_limit: int | None = None
    pays_what_they_want: bool = False
    tax_category: str = "standard"

    def body(self) -> dict[str, Any]:
        """Return what is asked for; what is not given is left out, so that older keys know their requests."""
        given = {
            "variants": [variant.body() for variant in self.variants],
            "options": self.options,
            "tags": self.tags,
            "releases_at": self.releases_at,
            "per_buyer_limit": self.per_buyer_limit,
            "pays_what_they_want": self.pays_what_they_want,
            "state": self.state if self.state != "active" else None,
            "tax_category": self.tax_category if self.tax_category != "standard" else None,
            "manual_capture": self.manual_capture,
        }
        return {
            "creator": self.creator_id,
            "title": self.title,
            "description": self.description,
            "price": self.price.minor if self.price else None,
            "currency": self.price.currency.code if self.price else None,
            "stock": self.stock,
            **{name: value for name, value in given.items() if value},
        }


@dataclass(frozen=True, slots=True)
class UpdateProduct:
    """Change what is given; ``None`` leaves as it is. ``unlimited_stock`` takes the limit away.

    ``price`` and ``stock`` are of the only variant. ``per_buyer_limit`` 0 takes that limit away, ``release_now``
    the moment of release.
    """

    product_id: UUID
    title: str | None
    description: str | None
    price: Money | None
    stock: int | None
    unlimited_stock: bool
    key: str
    manual_capture: bool | None = None
    options: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None
    state: str | None = None
    releases_at: datetime | None = None
    release_now: bool = False
    per_buyer_limit: int | None = None
    pays_what_they_want: bool | None = None
    tax_category: str | None = None

    def body(self) -> dict[str, Any]:
        """Return what is asked for, as ``CreateProduct.body`` does."""
        given = {
            "options": self.options,
            "tags": self.tags,
            "state": self.state,
            "releases_at": self.releases_at,
            "release_now": self.release_now or None,
            "per_buyer_limit": self.per_buyer_limit,
            "pays_what_they_want": self.pays_what_they_want,
            "tax_category": self.tax_category,
            "manual_capture": self.manual_capture,
        }
        return {
            "product": self.product_id,
            "title": self.title,
            "description": self.description,
            "price": self.price.minor if self.price else None,
            "currency": self.price.currency.code if self.price else None,
            "stock": self.stock,
            "unlimited": self.unlimited_stock,
            **{name: value for name, value in given.items() if value is not None},
        }


@dataclass(frozen=True, slots=True)
class ArchiveProduct:
    """Take a product off sale for good. What was sold stays sold."""

    product_id: UUID
    key: str


async def create(engine: Engine, viewer: Viewer, command: CreateProduct) -> tuple[UUID, bool]:
    """Offer a product; return its id and whether this is a repeat.

    Errors: NOT_FOUND (creator), INPUT_INVALID, NAME_TAKEN (two variants alike), CURRENCY_NOT_SUPPORTED,
    AMOUNT_INVALID, AMOUNT_TOO_SMALL, AMOUNT_TOO_LARGE, PROVIDER_UNSUPPORTED (manual capture),
    IDEMPOTENCY_KEY_REUSED.
    """
    request = Request.of(viewer, "productCreate", command.key, command.body())
    product_limits.check_texts(command.title, command.description)
    product_limits.check_limit(command.per_buyer_limit, "A limit per buyer", "perBuyerLimit")
    options = product_limits.clean_options(command.options)
    tags = product_limits.clean_tags(command.tags)
    if command.state == "archived":
        raise invalid("A product begins as a draft, or on sale.", "state")
    drafts = _drafts(engine, command, len(options))
    product_limits.ensure_capturable(engine, command.manual_capture)
    product_id = uuid7()
    first = drafts[0].prices[0].currency
    lowest = min(price.minor for draft in drafts for price in draft.prices if price.currency == first)

    async def act(transaction: Transaction) -> dict[str, UUID]:
        await creators.lock_own(transaction, viewer, command.creator_id)
        at = now()
        await transaction.connection.execute(
            _INSERT,
            product_id,
            command.creator_id,
            command.title,
            command.description,
            Decimal(lowest),
            first.code,
            command.state,
            command.manual_capture,
            command.pays_what_they_want,
            command.per_buyer_limit or None,
            command.releases_at,
            command.tax_category,
            options,
            tags,
            at,
        )
        await variant_rows.insert(
            drafts,
            product_id=product_id,
            creator_id=command.creator_id,
            position=0,
            on=transaction.connection,
            at=at,
        )
        return {"product": product_id}

    outcome = await once(engine, request, act)
    return outcome.ids["product"], outcome.replayed


async def update(engine: Engine, viewer: Viewer, command: UpdateProduct) -> tuple[UUID, bool]:
    """Change a product of the viewer's; return its id and whether this is a repeat.

    A payment that was already created keeps the price it was created with.
    Errors: NOT_FOUND, PRODUCT_NOT_ACTIVE (archived), INPUT_INVALID, CURRENCY_NOT_SUPPORTED, AMOUNT_INVALID,
    AMOUNT_TOO_SMALL, AMOUNT_TOO_LARGE, PROVIDER_UNSUPPORTED (manual capture), IDEMPOTENCY_KEY_REUSED.
    """
    request = Request.of(viewer, "productUpdate", command.key, command.body())
    product_limits.check_texts(command.title, command.description)
    product_limits.check_stock(command.stock, "stock")
    product_limits.check_limit(command.per_buyer_limit, "A limit per buyer", "perBuyerLimit")
    options = None if command.options is None else product_limits.clean_options(command.options)
    tags = None if command.tags is None else product_limits.clean_tags(command.tags)
    if command.unlimited_stock and command.stock is not None:
        raise invalid("Send either a stock or unlimitedStock.", "stock")
    if command.release_now and command.releases_at is not None:
        raise invalid("Send either releasesAt or releaseNow.", "releasesAt")
    if command.price is not None:
        # Whether it may be nothing is known once the product is.
        product_limits.check_prices(engine, [command.price], "price", pays_what_they_want=True, single=True)
    product_limits.ensure_capturable(engine, command.manual_capture)

    async def act(transaction: Transaction) -> dict[str, UUID]:
        connection, at = transaction.connection, now()
        product = await lock_own(connection, viewer, command.product_id)
        if product["state"] == "archived":
            raise product_not_active()
        if options is not None and len(options) != len(product["options"]):
            raise invalid("A product keeps the number of its options; give them other names.", "options")
        changed = _changed(product, command, options, tags)
        if command.price is not None:
            product_limits.check_prices(
                engine, [command.price], "price", pays_what_they_want=changed["pays_what_they_want"], single=True
            )
        # A price of 0 is sound only where buyers pay what they want: that is told before it, and taken back after.
        if changed["pays_what_they_want"]:
            await connection.execute(_UPDATE, command.product_id, *changed.values(), at)
            await _update_variant(connection, product, command, at)
        else:
            await _update_variant(connection, product, command, at)
            await ensure_priced(connection, command.product_id)
            await connection.execute(_UPDATE, command.product_id, *changed.values(), at)
        return {"product": command.product_id}

    outcome = await once(engine, request, act)
    return outcome.ids["product"], outcome.replayed


async def archive(engine: Engine, viewer: Viewer, command: ArchiveProduct) -> tuple[UUID, bool]:
    """Take a product of the viewer's off sale; return its id and whether this is a repeat.

    Errors: NOT_FOUND, IDEMPOTENCY_KEY_REUSED.
    """
    request = Request.of(viewer, "productArchive", command.key, {"product": command.product_id})

    async def act(transaction: Transaction) -> dict[str, UUID]:
        await lock_own(transaction.connection, viewer, command.product_id)
        await transaction.connection.execute(
            "update products set state = 'archived', updated_at = $2 where id = $1", command.product_id, now()
        )
        return {"product": command.product_id}

    outcome = await once(engine, request, act)
    return outcome.ids["product"], outcome.replayed


async def lock_own(connection: Connection, viewer: Viewer, product_id: UUID) -> Any:
    """Lock a product of the viewer's. Errors: NOT_FOUND, also for somebody else's."""
    product = await connection.fetchrow(_LOCK, product_id, viewer.user_id)
    if product is None:
        raise not_found("product", "productId")
    return product


async def ensure_priced(connection: Connection, product_id: UUID) -> None:
    """Refuse a product of which anything costs nothing: INPUT_INVALID."""
    if await connection.fetchval(_HAS_FREE, product_id):
        raise invalid("It costs nothing as yet. Give it prices first.", "paysWhatTheyWant")


def product_not_active() -> Refused:
    """Return the refusal of a product that is no longer sold."""
    return Refused(ErrorCode.PRODUCT_NOT_ACTIVE, "This product is no longer sold.", path=("productId",))


def _drafts(engine: Engine, command: CreateProduct, options: int) -> list[VariantDraft]:
    free = command.pays_what_they_want
    if not command.variants:
        if command.price is None:
            raise invalid("Send a price, or variants with theirs.", "price")
        only = VariantDraft(prices=(command.price,), stock=command.stock)
        return [product_limits.clean_draft(engine, only, options, pays_what_they_want=free, single=True)]
    if command.price is not None or command.stock is not None:
        raise invalid("Prices and stock are given with each of the variants.", "variants")
    drafts = [
        product_limits.clean_draft(engine, draft, options, "variants", str(number), pays_what_they_want=free)
        for number, draft in enumerate(command.variants)
    ]
    product_limits.check_together(drafts)
    return drafts


def _changed(
    product: Any, command: UpdateProduct, options: Sequence[str] | None, tags: Sequence[str] | None
) -> dict[str, Any]:
    """Return the columns of ``_UPDATE`` in their order, as they will be."""
    given = {
        "title": command.title,
        "description": command.description,
        "state": command.state,
        "manual_capture": command.manual_capture,
        "pays_what_they_want": command.pays_what_they_want,
        "per_buyer_limit": command.per_buyer_limit,
        "releases_at": command.releases_at,
        "tax_category": command.tax_category,
        "options": options,
        "tags": tags,
    }
    changed = {name: product[name] if value is None else value for name, value in given.items()}
    changed["per_buyer_limit"] = changed["per_buyer_limit"] or None
    if command.release_now:
        changed["releases_at"] = None
    return changed


async def _update_variant(connection: Connection, product: Any, command: UpdateProduct, at: datetime) -> None:
    if command.price is None and command.stock is None and not command.unlimited_stock:
        return
    found = await connection.fetch(_ACTIVE_VARIANTS, command.product_id)
    if len(found) != 1:
        raise invalid(
            "This product has several variants. Change each with variantUpdate.",
            "price" if command.price is not None else "stock",
        )
    variant_id = found[0]["id"]
    if command.price is not None:
        await variant_rows.set_prices(variant_id, [command.price], on=connection, at=at)
        await variant_rows.keep_price(command.product_id, on=connection, at=at)
    if command.stock is None and not command.unlimited_stock:
        return
    if found[0]["licence_policy"] == "POOL":
        raise invalid("It has as many to sell as there are keys. Upload keys instead.", "stock")
    await connection.execute(_TRACK, variant_id, command.stock is not None, at)
    if command.stock is not None:
        await variant_rows.set_stock(variant_id, product["creator_id"], command.stock, on=connection, at=at)
