"""Discounts as their creators set them up."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from tortoise.exceptions import IntegrityError

from core.clock import now
from core.discounts import DiscountKind, DiscountPeriod
from core.errors import ErrorCode, Refused, not_found
from core.ids import uuid7
from core.money import Money
from core.viewer import Viewer
from models import Discount
from models.database import Transaction
from services import creators
from services.discounts import tidy_code
from services.engine import Engine
from services.requests import Request, once

MAXIMUM_TITLE_LENGTH: Final = 120
MAXIMUM_LIMIT: Final = 1_000_000_000
MAXIMUM_PRODUCTS: Final = 200
MAXIMUM_WITHOUT_CODE: Final = 50
_WHOLE: Final = 10_000
_WITHOUT_CODE: Final = """
    select count(*) from discounts where creator_id = $1 and state = 'active' and code is null
"""
_OWN_PRODUCTS: Final = "select count(*) from products where id = any($1::uuid[]) and creator_id = $2"


@dataclass(frozen=True, slots=True)
class Terms:
    """When a discount is given, and how often. ``None``: without that limit."""

    product_ids: Sequence[UUID] = ()
    minimum_subtotal: Money | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    usage_limit: int | None = None
    per_buyer_limit: int | None = None
    period: DiscountPeriod | None = None
    per_period_limit: int | None = None


@dataclass(frozen=True, slots=True)
class CreateDiscount:
    """Give a discount: PERCENT has ``basis_points``, FIXED an ``amount``. ``code`` None: to everybody."""

    creator_id: UUID
    code: str | None
    title: str
    kind: DiscountKind
    basis_points: int | None
    amount: Money | None
    terms: Terms
    key: str


@dataclass(frozen=True, slots=True)
class UpdateDiscount:
    """Change what is given; ``None`` leaves as it is. ``terms`` take the place of all that there were.

    What a discount takes off, and its code, stay: archive it and give another.
    """

    discount_id: UUID
    title: str | None
    terms: Terms | None
    key: str


@dataclass(frozen=True, slots=True)
class ArchiveDiscount:
    """Give a discount no longer. Orders that were given it keep it."""

    discount_id: UUID
    key: str


async def create(engine: Engine, viewer: Viewer, command: CreateDiscount) -> tuple[UUID, bool]:
    """Give a discount; return its id and whether this is a repeat.

    Errors: NOT_FOUND (creator, products), INPUT_INVALID, NAME_TAKEN (the creator has a discount of this code),
    LIMIT_EXCEEDED (without a code), IDEMPOTENCY_KEY_REUSED.
    """
    body = {
        "creator": command.creator_id,
        "code": command.code,
        "title": command.title,
        "kind": command.kind.value,
        "basis_points": command.basis_points,
        "amount": _body(command.amount),
        "terms": _terms_body(command.terms),
    }
    request = Request.of(viewer, "discountCreate", command.key, body)
    title = _title(command.title)
    code = _code(command.code)
    _check_value(command)
    _check_terms(command.terms)
    currency = _currency(command.amount, command.terms)
    discount_id = uuid7()

    async def act(transaction: Transaction) -> dict[str, UUID]:
        await creators.lock_own(transaction, viewer, command.creator_id)
        await _ensure_own_products(transaction, command.creator_id, command.terms.product_ids)
        if code is None:
            await _ensure_room(transaction, command.creator_id)
        at = now()
        discount = Discount(
            id=discount_id,
            creator_id=command.creator_id,
            code=code,
            title=title,
            kind=command.kind.value,
            basis_points=command.basis_points,
            amount=Decimal(command.amount.minor) if command.amount is not None else None,
            currency=currency,
            state="active",
            created_at=at,
            updated_at=at,
        )
        _write_terms(discount, command.terms)
        try:
            await discount.save(using_db=transaction.orm, force_create=True)
        except IntegrityError as error:
            raise Refused(
                ErrorCode.NAME_TAKEN,
                "You have a discount with this code, or had one. Choose another.",
                path=("code",),
            ) from error
        return {"discount": discount_id}

    outcome = await once(engine, request, act)
    return outcome.ids["discount"], outcome.replayed


async def update(engine: Engine, viewer: Viewer, command: UpdateDiscount) -> tuple[UUID, bool]:
    """Change a discount of the viewer's; return its id and whether this is a repeat.

    Orders that were made keep what they were given; carts are judged anew.
    Errors: NOT_FOUND (also for an archived one; products), INPUT_INVALID, IDEMPOTENCY_KEY_REUSED.
    """
    terms = command.terms
    body = {
        "discount": command.discount_id,
        "title": command.title,
        "terms": _terms_body(terms) if terms is not None else None,
    }
    request = Request.of(viewer, "discountUpdate", command.key, body)
    title = _title(command.title) if command.title is not None else None
    if terms is not None:
        _check_terms(terms)

    async def act(transaction: Transaction) -> dict[str, UUID]:
        discount = await _lock_own(transaction, viewer, command.discount_id)
        if title is not None:
            discount.title = title
        if terms is not None:
            await _ensure_own_products(transaction, discount.creator_id, terms.product_ids)
            if discount.kind != DiscountKind.FIXED:
                discount.update_from_dict({"currency": _currency(None, terms)})
            elif terms.minimum_subtotal is not None:
                _ensure_same(terms.minimum_subtotal.currency.code, discount.currency)
            _write_terms(discount, terms)
        discount.updated_at = now()
        await discount.save(using_db=transaction.orm)
        return {"discount": discount.id}

    outcome = await once(engine, request, act)
    return outcome.ids["discount"], outcome.replayed


async def archive(engine: Engine, viewer: Viewer, command: ArchiveDiscount) -> tuple[UUID, bool]:
    """Give a discount of the viewer's no longer; return its id and whether this is a repeat.

    Errors: NOT_FOUND, IDEMPOTENCY_KEY_REUSED.
    """
    request = Request.of(viewer, "discountArchive", command.key, {"discount": command.discount_id})

    async def act(transaction: Transaction) -> dict[str, UUID]:
        discount = await _lock_own(transaction, viewer, command.discount_id, archived=True)
        discount.state = "archived"
        discount.updated_at = now()
        await discount.save(using_db=transaction.orm)
        return {"discount": discount.id}

    outcome = await once(engine, request, act)
    return outcome.ids["discount"], outcome.replayed


async def _lock_own(
    transaction: Transaction, viewer: Viewer, discount_id: UUID, *, archived: bool = False
) -> Discount:
    """Lock a discount of the viewer's, by its creator's lock. Errors: NOT_FOUND."""
    discount = await Discount.filter(id=discount_id).using_db(transaction.orm).first()
    if discount is not None:
        try:
            await creators.lock_own(transaction, viewer, discount.creator_id)
        except Refused:
            discount = None
    if discount is not None:
        # Read again, as it is now that nobody else changes it.
        discount = await Discount.filter(id=discount_id).using_db(transaction.orm).first()
    if discount is None or (discount.state != "active" and not archived):
        raise not_found("discount", "discountId")
    return discount


async def _ensure_own_products(transaction: Transaction, creator_id: UUID, product_ids: Sequence[UUID]) -> None:
    if not product_ids:
        return
    wanted = list(set(product_ids))
    if await transaction.connection.fetchval(_OWN_PRODUCTS, wanted, creator_id) != len(wanted):
        raise not_found("product", "terms", "productIds")


async def _ensure_room(transaction: Transaction, creator_id: UUID) -> None:
    """Refuse more discounts without a code than every cart can be judged by: LIMIT_EXCEEDED."""
    if await transaction.connection.fetchval(_WITHOUT_CODE, creator_id) >= MAXIMUM_WITHOUT_CODE:
        raise Refused(
            ErrorCode.LIMIT_EXCEEDED,
            f"A creator has at most {MAXIMUM_WITHOUT_CODE} discounts without a code. Archive one.",
            path=("creatorId",),
        )


def _write_terms(discount: Discount, terms: Terms) -> None:
    minimum = terms.minimum_subtotal
    discount.update_from_dict(
        {
            "product_ids": sorted(set(terms.product_ids)),
            "minimum_subtotal": Decimal(minimum.minor) if minimum is not None else None,
            "starts_at": terms.starts_at,
            "ends_at": terms.ends_at,
            "usage_limit": terms.usage_limit,
            "per_buyer_limit": terms.per_buyer_limit,
            "period": terms.period.value if terms.period is not None else None,
            "per_period_limit": terms.per_period_limit,
        }
    )


def _title(title: str) -> str:
    tidy = title.strip()
    if not 1 <= len(tidy) <= MAXIMUM_TITLE_LENGTH:
        raise _invalid(f"A title has 1 to {MAXIMUM_TITLE_LENGTH} characters.", "title")
    return tidy


def _code(code: str | None) -> str | None:
    if code is None:
        return None
    tidy = tidy_code(code)
    if tidy is None:
        raise _invalid(
            "A code has 1 to 40 letters from A to Z, digits, - and _, and begins with a letter or digit.", "code"
        )
    return tidy


def _check_value(command: CreateDiscount) -> None:
    """Refuse a discount that does not have exactly what its kind needs: INPUT_INVALID."""
    percent = command.kind is DiscountKind.PERCENT
    if percent and (command.basis_points is None or not 1 <= command.basis_points <= _WHOLE):
        raise _invalid("A percentage is from 1 to 10,000 basis points.", "basisPoints")
    if not percent and command.basis_points is not None:
        raise _invalid("Only a discount of kind PERCENT has basisPoints.", "basisPoints")
    fixed = command.kind is DiscountKind.FIXED
    if fixed and command.amount is None:
        raise _invalid("Send the amount that is taken off.", "amount")
    if not fixed and command.amount is not None:
        raise _invalid("Only a discount of kind FIXED has an amount.", "amount")


def _check_terms(terms: Terms) -> None:
    limits = (
        (terms.usage_limit, "usageLimit"),
        (terms.per_buyer_limit, "perBuyerLimit"),
        (terms.per_period_limit, "perPeriodLimit"),
    )
    for limit, field in limits:
        if limit is not None and not 1 <= limit <= MAXIMUM_LIMIT:
            raise _invalid(f"A limit is a number from 1 to {MAXIMUM_LIMIT}.", "terms", field)
    if (terms.period is None) != (terms.per_period_limit is None):
        raise _invalid("Send period and perPeriodLimit together.", "terms", "perPeriodLimit")
    if terms.starts_at is not None and terms.ends_at is not None and terms.ends_at <= terms.starts_at:
        raise _invalid("A discount ends after it starts.", "terms", "endsAt")
    if len(terms.product_ids) > MAXIMUM_PRODUCTS:
        raise _invalid(f"Name at most {MAXIMUM_PRODUCTS} products.", "terms", "productIds")


def _currency(amount: Money | None, terms: Terms) -> str | None:
    """Return the currency a discount is given in; None for any."""
    minimum = terms.minimum_subtotal
    if amount is not None and minimum is not None:
        _ensure_same(minimum.currency.code, amount.currency.code)
    named = amount if amount is not None else minimum
    return named.currency.code if named is not None else None


def _ensure_same(currency: str, as_amount: str | None) -> None:
    if currency != as_amount:
        raise _invalid("Send the smallest subtotal in the currency of the amount.", "terms", "minimumSubtotal")


def _body(amount: Money | None) -> list[Any] | None:
    return None if amount is None else [amount.minor, amount.currency.code]


def _terms_body(terms: Terms) -> list[Any]:
    return [
        sorted(str(product_id) for product_id in terms.product_ids),
        _body(terms.minimum_subtotal),
        terms.starts_at,
        terms.ends_at,
        terms.usage_limit,
        terms.per_buyer_limit,
        terms.period.value if terms.period is not None else None,
        terms.per_period_limit,
    ]


def _invalid(message: str, *path: str) -> Refused:
    return Refused(ErrorCode.INPUT_INVALID, message, path=path)
