"""Products: what creators sell."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from core.clock import now
from core.errors import ErrorCode, Refused, not_found
from core.ids import uuid7
from core.money import Money
from core.viewer import Viewer
from models import Creator, Product
from models.database import Transaction
from providers.payments.base import Capability
from services import creators
from services.engine import Engine
from services.fees import ensure_chargeable
from services.paging import Page, PageQuery, fetch_page
from services.requests import Request, once

_READ: Final = "select * from products where id = any($1::uuid[])"
_LIST: Final = """
    select p.* from products p join creators c on c.id = p.creator_id
    where p.state = 'active' and c.state = 'active'
"""
_LIST_OF_CREATOR: Final = "select * from products where creator_id = $1 and (state = 'active' or $2)"
_MAXIMUM_TITLE_LENGTH: Final = 120
_MAXIMUM_DESCRIPTION_LENGTH: Final = 10_000
_MAXIMUM_STOCK: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class CreateProduct:
    """Offer something at one price. ``stock`` is how many there are; None is without limit.

    ``manual_capture``: paying for it reserves its price, and the creator captures that later.
    """

    creator_id: UUID
    title: str
    description: str | None
    price: Money
    stock: int | None
    key: str
    manual_capture: bool = False


@dataclass(frozen=True, slots=True)
class UpdateProduct:
    """Change what is given; ``None`` leaves as it is. ``unlimited_stock`` takes the limit away."""

    product_id: UUID
    title: str | None
    description: str | None
    price: Money | None
    stock: int | None
    unlimited_stock: bool
    key: str
    manual_capture: bool | None = None


@dataclass(frozen=True, slots=True)
class ArchiveProduct:
    """Take a product off sale for good. What was sold stays sold."""

    product_id: UUID
    key: str


async def create(engine: Engine, viewer: Viewer, command: CreateProduct) -> tuple[UUID, bool]:
    """Offer a product; return its id and whether this is a repeat.

    Errors: NOT_FOUND (creator), INPUT_INVALID, CURRENCY_NOT_SUPPORTED, AMOUNT_TOO_LARGE, PROVIDER_UNSUPPORTED
    (manual capture), IDEMPOTENCY_KEY_REUSED.
    """
    body = {
        "creator": command.creator_id,
        "title": command.title,
        "description": command.description,
        "price": command.price.minor,
        "currency": command.price.currency.code,
        "stock": command.stock,
    }
    if command.manual_capture:
        body["manual_capture"] = True
    request = Request.of(viewer, "productCreate", command.key, body)
    _check(command.title, command.description, command.stock)
    _ensure_chargeable(engine, command.price)
    _ensure_capturable(engine, command.manual_capture)
    product_id = uuid7()

    async def act(transaction: Transaction) -> dict[str, UUID]:
        await creators.lock_own(transaction, viewer, command.creator_id)
        at = now()
        await Product.create(
            using_db=transaction.orm,
            id=product_id,
            creator_id=command.creator_id,
            title=command.title,
            description=command.description,
            price=command.price.minor,
            currency=command.price.currency.code,
            stock=command.stock,
            manual_capture=command.manual_capture,
            state="active",
            created_at=at,
            updated_at=at,
        )
        return {"product": product_id}

    outcome = await once(engine, request, act)
    return outcome.ids["product"], outcome.replayed


async def update(engine: Engine, viewer: Viewer, command: UpdateProduct) -> tuple[UUID, bool]:
    """Change a product of the viewer's; return its id and whether this is a repeat.

    A payment that was already created keeps the price it was created with.
    Errors: NOT_FOUND, PRODUCT_NOT_ACTIVE, INPUT_INVALID, CURRENCY_NOT_SUPPORTED, AMOUNT_TOO_LARGE,
    PROVIDER_UNSUPPORTED (manual capture), IDEMPOTENCY_KEY_REUSED.
    """
    body = {
        "product": command.product_id,
        "title": command.title,
        "description": command.description,
        "price": command.price.minor if command.price else None,
        "currency": command.price.currency.code if command.price else None,
        "stock": command.stock,
        "unlimited": command.unlimited_stock,
    }
    if command.manual_capture is not None:
        body["manual_capture"] = command.manual_capture
    request = Request.of(viewer, "productUpdate", command.key, body)
    _check(command.title, command.description, command.stock)
    if command.unlimited_stock and command.stock is not None:
        raise _invalid("Send either a stock or unlimitedStock.", "stock")
    if command.price is not None:
        _ensure_chargeable(engine, command.price)
    _ensure_capturable(engine, command.manual_capture)

    async def act(transaction: Transaction) -> dict[str, UUID]:
        product = await _lock_own(transaction, viewer, command.product_id)
        if product.state != "active":
            raise product_not_active()
        if command.title is not None:
            product.title = command.title
        if command.description is not None:
            product.description = command.description
        if command.price is not None:
            product.price = Decimal(command.price.minor)
            product.currency = command.price.currency.code
        if command.stock is not None or command.unlimited_stock:
            product.stock = command.stock
        if command.manual_capture is not None:
            product.manual_capture = command.manual_capture
        product.updated_at = now()
        await product.save(using_db=transaction.orm)
        return {"product": command.product_id}

    outcome = await once(engine, request, act)
    return outcome.ids["product"], outcome.replayed


async def archive(engine: Engine, viewer: Viewer, command: ArchiveProduct) -> tuple[UUID, bool]:
    """Take a product of the viewer's off sale; return its id and whether this is a repeat.

    Errors: NOT_FOUND, IDEMPOTENCY_KEY_REUSED.
    """
    request = Request.of(viewer, "productArchive", command.key, {"product": command.product_id})

    async def act(transaction: Transaction) -> dict[str, UUID]:
        product = await _lock_own(transaction, viewer, command.product_id)
        product.state = "archived"
        product.updated_at = now()
        await product.save(using_db=transaction.orm)
        return {"product": command.product_id}

    outcome = await once(engine, request, act)
    return outcome.ids["product"], outcome.replayed


async def by_id(engine: Engine, ids: Sequence[UUID]) -> list[Any]:
    """Read products, archived ones included."""
    return await engine.database.reader.fetch(_READ, ids)


async def listed(engine: Engine, query: PageQuery) -> Page:
    """Page through everything on sale."""
    return await fetch_page(engine.database.reader, "products", _LIST, (), query)


async def of_creator(engine: Engine, creator_id: UUID, query: PageQuery, *, archived: bool) -> Page:
    """Page through a creator's products; with ``archived``, those off sale too."""
    return await fetch_page(
        engine.database.reader, "products of a creator", _LIST_OF_CREATOR, (creator_id, archived), query
    )


def product_not_active() -> Refused:
    """Return the refusal of a product that is no longer sold."""
    return Refused(ErrorCode.PRODUCT_NOT_ACTIVE, "This product is no longer sold.", path=("productId",))


async def _lock_own(transaction: Transaction, viewer: Viewer, product_id: UUID) -> Product:
    product = await Product.filter(id=product_id).using_db(transaction.orm).select_for_update(no_key=True).first()
    owned = (
        product is not None
        and await Creator.filter(
            id=product.creator_id,
            user_id=viewer.user_id,
        )
        .using_db(transaction.orm)
        .exists()
    )
    if product is None or not owned:
        raise not_found("product", "productId")
    return product


def _ensure_chargeable(engine: Engine, price: Money) -> None:
    try:
        ensure_chargeable(engine, price)
    except Refused as refused:
        raise refused.at("price", *refused.path[1:]) from None


def _ensure_capturable(engine: Engine, manual_capture: bool | None) -> None:
    if manual_capture and Capability.MANUAL_CAPTURE not in engine.provider.capabilities.features:
        raise Refused(
            ErrorCode.PROVIDER_UNSUPPORTED,
            "The payment provider charges at once. Leave out manualCapture.",
            path=("manualCapture",),
        )


def _check(title: str | None, description: str | None, stock: int | None) -> None:
    if title is not None and not 1 <= len(title.strip()) <= _MAXIMUM_TITLE_LENGTH:
        raise _invalid(f"A title has 1 to {_MAXIMUM_TITLE_LENGTH} characters.", "title")
    if description is not None and len(description) > _MAXIMUM_DESCRIPTION_LENGTH:
        raise _invalid(f"A description has at most {_MAXIMUM_DESCRIPTION_LENGTH} characters.", "description")
    if stock is not None and not 0 <= stock <= _MAXIMUM_STOCK:
        raise _invalid(f"A stock is a number from 0 to {_MAXIMUM_STOCK}.", "stock")


def _invalid(message: str, *path: str) -> Refused:
    return Refused(ErrorCode.INPUT_INVALID, message, path=path)
