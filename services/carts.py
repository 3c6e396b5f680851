"""Carts: what somebody means to buy, changed as often as they like until an order is made of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson

from core.addresses import Address
from core.clock import now
from core.errors import ErrorCode, Refused, not_found
from core.ids import uuid7
from core.money import Money, currency
from core.viewer import Viewer
from models.database import Transaction, fetch_one, jsonb
from services import addresses, catalogue
from services.baskets import MOST_OF_ONE, Basket, BasketLine
from services.catalogue import Sellable
from services.engine import Engine
from services.requests import Outcome, Request, once_named, outcome_of_ids

_MOST_LINES: Final = 100
_MOST_CODES: Final = 5
_LONGEST_CODE: Final = 40

_LINES: Final = """
    jsonb_to_recordset($1::jsonb) as l (id uuid, variant_id uuid, quantity int, chosen_price numeric)
"""
_CREATE: Final = f"""
    with request as (
        insert into requests (principal, operation, key, body_hash, outcome, created_at)
        values ($3, 'cartCreate', $4, $5, $6::jsonb, $2)
        on conflict (principal, operation, key) do nothing
        returning id
    ),
    cart as (
        insert into carts (id, buyer_id, currency, email, address, shipping_methods, discount_codes, created_at,
            updated_at)
        select $7::uuid, $8::uuid, $9, $10, $11::jsonb, $12::uuid[], $13::text[], $2::timestamptz, $2 from request
        returning id
    ),
    line as (
        insert into cart_lines (id, cart_id, variant_id, quantity, chosen_price, created_at)
        select l.id, cart.id, l.variant_id, l.quantity, l.chosen_price, $2 from cart, {_LINES}
    )
    select id from cart
"""  # ruff: ignore[hardcoded-sql-expression] - made of constants
_LOCK: Final = "select * from carts where id = $1 for no key update"
# After the lock, so that it sees what whoever held it before has done.
_STANDING: Final = """
    select (
            select id from orders where cart_id = $1 and status <> 'CANCELED' order by id desc limit 1
        ) as order_id,
        (select count(*) from cart_lines where cart_id = $1 and quantity > 0 and not variant_id = any($2::uuid[]))
            as other_lines
"""
_UPDATE: Final = f"""
    with cart as (
        update carts set currency = $4, email = $5, address = $6::jsonb, shipping_methods = $7::uuid[],
            discount_codes = $8::text[], version = version + 1, updated_at = $2
        where id = $3
        returning id
    ),
    unpriced as (
        update cart_lines set chosen_price = null
        where $9 and cart_id = $3 and not variant_id = any($10::uuid[]) and chosen_price is not null
    )
    insert into cart_lines (id, cart_id, variant_id, quantity, chosen_price, created_at)
    select l.id, cart.id, l.variant_id, l.quantity, l.chosen_price, $2 from cart, {_LINES}
    where l.quantity > 0 or exists (
        select from cart_lines e where e.cart_id = cart.id and e.variant_id = l.variant_id
    )
    on conflict on constraint one_line_per_variant
        do update set quantity = excluded.quantity, chosen_price = excluded.chosen_price
"""  # ruff: ignore[hardcoded-sql-expression] - made of constants
_READ: Final = """
    select c.*, o.id as order_id, o.payment_id, (
            select coalesce(jsonb_agg(jsonb_build_object('id', l.id, 'variant', l.variant_id,
                'quantity', l.quantity, 'chosen', l.chosen_price::text) order by l.created_at, l.id), '[]'::jsonb)
            from cart_lines l where l.cart_id = c.id and l.quantity > 0
        ) as lines
    from carts c
    left join lateral (
        select id, payment_id from orders where cart_id = c.id and status <> 'CANCELED' order by id desc limit 1
    ) o on true
    where c.id = $1
"""


@dataclass(frozen=True, slots=True)
class Wish:
    """So many of a variant, at ``chosen_price`` each where the buyer may say; none takes it out of the cart."""

    variant_id: UUID
    quantity: int
    chosen_price: Money | None = None


@dataclass(frozen=True, slots=True)
class CreateCart:
    """Begin a cart, with anything in it. A guest's is opened by its token alone."""

    currency: str
    key: str
    lines: Sequence[Wish] = ()
    email: str | None = None
    address: Address | None = None
    shipping_methods: Sequence[UUID] = ()
    discount_codes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class UpdateCart:
    """Change what is given; None leaves as it is. ``lines`` sets the quantities of those it names."""

    cart_id: UUID
    key: str
    currency: str | None = None
    lines: Sequence[Wish] = ()
    email: str | None = None
    address: Address | None = None
    shipping_methods: Sequence[UUID] | None = None
    discount_codes: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class Cart:
    """A cart as it stands. ``order_id`` is the order that was made of it and is alive, with its payment."""

    id: UUID
    version: int
    basket: Basket
    order_id: UUID | None
    payment_id: UUID | None
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Created:
    """A new cart with its variants as they were found; a repeat has not looked at them."""

    cart: Cart
    variants: Mapping[UUID, Sellable] | None
    replayed: bool


async def create(engine: Engine, viewer: Viewer, command: CreateCart) -> Created:
    """Begin a cart. One statement writes it.

    Errors: CURRENCY_NOT_SUPPORTED, CURRENCY_MIXED (a chosen price), NOT_FOUND (a variant), INPUT_INVALID,
    ADDRESS_INVALID, IDEMPOTENCY_KEY_REUSED.
    """
    request = Request.of(viewer, "cartCreate", command.key, _body(command))
    currency(command.currency)
    _check_lines(command.lines, least=1)
    email, address = _contact(command.email, command.address)
    codes = _codes(command.discount_codes)
    try:
        variants = await _find(engine, viewer, command.lines, command.currency)
    except Refused:
        earlier = await request.earlier(engine)
        if earlier is None:
            raise
        return await _created_before(engine, earlier)
    cart_id, at = uuid7(), now()
    lines = _rows(command.lines, command.currency)
    fresh = await engine.database.writer.fetchval(
        _CREATE,
        jsonb(lines),
        at,
        request.principal,
        request.key,
        request.body_hash,
        outcome_of_ids({"cart": cart_id}),
        cart_id,
        viewer.user_id,
        command.currency,
        email,
        _address(address),
        list(command.shipping_methods),
        codes,
    )
    if fresh is None:
        async with engine.database.writer.acquire() as connection:
            stored = await request.stored(connection)
        return await _created_before(engine, stored)
    basket = Basket(
        currency=command.currency,
        lines=tuple(BasketLine(**line) for line in lines),
        buyer_id=viewer.user_id,
        email=email,
        address=address,
        shipping_methods=tuple(command.shipping_methods),
        discount_codes=tuple(codes),
    )
    return Created(Cart(cart_id, 1, basket, None, None, at), variants, replayed=False)


async def _created_before(engine: Engine, outcome: Outcome) -> Created:
    row = await fetch_one(engine.database.reader, _READ, outcome.ids["cart"])
    return Created(_cart(row), None, replayed=True)


async def update(engine: Engine, viewer: Viewer, command: UpdateCart) -> bool:
    """Change a cart of the viewer's; return whether this is a repeat.

    Errors: NOT_FOUND, CART_CHECKED_OUT, CURRENCY_NOT_SUPPORTED, CURRENCY_MIXED (a chosen price), INPUT_INVALID,
    ADDRESS_INVALID, IDEMPOTENCY_KEY_REUSED.
    """
    request = Request.of(viewer, "cartUpdate", command.key, _body(command))
    if command.currency is not None:
        currency(command.currency)
    _check_lines(command.lines, least=0)
    email, address = _contact(command.email, command.address)
    codes = None if command.discount_codes is None else _codes(command.discount_codes)
    try:
        await _find(engine, viewer, command.lines, command.currency or "")
    except Refused:
        if await request.earlier(engine) is None:
            raise
        return True
    named = [wish.variant_id for wish in command.lines]

    async def act(transaction: Transaction) -> Mapping[str, UUID]:
        connection = transaction.connection
        row = await connection.fetchrow(_LOCK, command.cart_id)
        if row is None or not is_own(viewer, row["id"], row["buyer_id"]):
            raise not_found("cart", "cartId")
        standing = await fetch_one(connection, _STANDING, command.cart_id, named)
        if standing["order_id"] is not None:
            raise checked_out(standing["order_id"])
        if standing["other_lines"] + sum(wish.quantity > 0 for wish in command.lines) > _MOST_LINES:
            raise _too_many_lines()
        code = command.currency or row["currency"]
        await connection.execute(
            _UPDATE,
            jsonb(_rows(command.lines, code)),
            now(),
            command.cart_id,
            code,
            email or row["email"],
            _address(address) or row["address"],
            row["shipping_methods"] if command.shipping_methods is None else list(command.shipping_methods),
            row["discount_codes"] if codes is None else codes,
            code != row["currency"],
            named,
        )
        return {"cart": command.cart_id}

    outcome = await once_named(engine, request, {"cart": command.cart_id}, act)
    return outcome.replayed


async def read(engine: Engine, viewer: Viewer, cart_id: UUID) -> Cart | None:
    """Return a cart of the viewer's as it stands, in one statement; None for anybody else's."""
    row = await engine.database.reader.fetchrow(_READ, cart_id)
    if row is None or not is_own(viewer, row["id"], row["buyer_id"]):
        return None
    return _cart(row)


def _cart(row: Any) -> Cart:
    return Cart(
        id=row["id"],
        version=row["version"],
        basket=Basket(
            currency=row["currency"],
            lines=tuple(map(_line, orjson.loads(row["lines"]))),
            buyer_id=row["buyer_id"],
            email=row["email"],
            address=None if row["address"] is None else Address.of(orjson.loads(row["address"])),
            shipping_methods=tuple(row["shipping_methods"]),
            discount_codes=tuple(row["discount_codes"]),
        ),
        order_id=row["order_id"],
        payment_id=row["payment_id"],
        updated_at=row["updated_at"],
    )


def is_own(viewer: Viewer, cart_id: UUID, buyer_id: UUID | None) -> bool:
    """Return whether a cart is the viewer's: they began it signed in, or hold its token."""
    if viewer.cart_id is not None:
        return viewer.cart_id == cart_id
    return viewer.user_id is not None and viewer.user_id == buyer_id


def checked_out(order_id: UUID) -> Refused:
    """Return the refusal to change a cart of which an order was made that is alive."""
    return Refused(
        ErrorCode.CART_CHECKED_OUT,
        "An order was made of this cart. Pay it, or cancel it to change the cart.",
        path=("cartId",),
        data={"order": str(order_id)},
    )


def _line(stored: Mapping[str, Any]) -> BasketLine:
    return BasketLine(
        id=UUID(stored["id"]),
        variant_id=UUID(stored["variant"]),
        quantity=stored["quantity"],
        chosen_price=None if stored["chosen"] is None else int(stored["chosen"]),
    )


def _body(command: CreateCart | UpdateCart) -> dict[str, Any]:
    """Return what was sent, as it is told from what else is sent under the same key."""
    return {
        "cart": command.cart_id if isinstance(command, UpdateCart) else None,
        "currency": command.currency,
        "lines": [
            [
                wish.variant_id,
                wish.quantity,
                None if wish.chosen_price is None else [wish.chosen_price.minor, wish.chosen_price.currency.code],
            ]
            for wish in command.lines
        ],
        "email": command.email,
        "address": None if command.address is None else command.address.as_json(),
        "shipping": command.shipping_methods,
        "codes": command.discount_codes,
    }


def _check_lines(lines: Sequence[Wish], *, least: int) -> None:
    if len(lines) > _MOST_LINES:
        raise _too_many_lines()
    seen: set[UUID] = set()
    for index, wish in enumerate(lines):
        place = ("lines", str(index))
        if not least <= wish.quantity <= MOST_OF_ONE:
            raise _invalid(f"A quantity is a number from {least} to {MOST_OF_ONE}.", *place, "quantity")
        if wish.variant_id in seen:
            raise _invalid("Name each variant once.", *place, "variantId")
        seen.add(wish.variant_id)


def _contact(email: str | None, address: Address | None) -> tuple[str | None, Address | None]:
    return (
        None if email is None else addresses.checked_email(email, "email"),
        None if address is None else addresses.checked(address, "address"),
    )


def _codes(given: Sequence[str]) -> list[str]:
    """Return discount codes as they are kept: in capitals, each once."""
    codes = list(dict.fromkeys(code.strip().upper() for code in given))
    if len(codes) > _MOST_CODES:
        raise _invalid(f"At most {_MOST_CODES} discount codes can be used at once.", "discountCodes")
    if any(not 1 <= len(code) <= _LONGEST_CODE or not code.isprintable() for code in codes):
        raise _invalid(f"A discount code has 1 to {_LONGEST_CODE} characters.", "discountCodes")
    return codes


async def _find(engine: Engine, viewer: Viewer, lines: Sequence[Wish], code: str) -> Mapping[UUID, Sellable]:
    """Return variants; refuse those that are not there, or that are nobody's to see but their creator's.

    What is taken out is not looked for: it may be gone, or a draft again, since it was put in.
    """
    ids = [wish.variant_id for wish in lines if wish.quantity]
    if not ids:
        return {}
    found = await catalogue.sellable(engine.database.reader, ids, code, now())
    for index, wish in enumerate(lines):
        if not wish.quantity:
            continue
        variant = found.get(wish.variant_id)
        hidden = variant is not None and variant.product_state == "draft"
        if variant is None or (hidden and variant.creator_user_id != viewer.user_id):
            raise not_found("variant", "lines", str(index), "variantId")
        if wish.chosen_price is not None and not variant.pays_what_they_want:
            says = "Only where buyers may say what they pay is a price chosen."
            raise _invalid(says, "lines", str(index), "chosenPrice")
    return found


def _rows(lines: Sequence[Wish], code: str) -> list[dict[str, Any]]:
    """Return lines as the statements take them. Errors: CURRENCY_MIXED."""
    for index, wish in enumerate(lines):
        if wish.chosen_price is not None and wish.chosen_price.currency.code != code:
            raise Refused(
                ErrorCode.CURRENCY_MIXED,
                f"This cart is in {code}. Choose a price in that currency.",
                path=("lines", str(index), "chosenPrice"),
            )
    return [
        {
            "id": uuid7(),
            "variant_id": wish.variant_id,
            "quantity": wish.quantity,
            "chosen_price": None if wish.chosen_price is None else wish.chosen_price.minor,
        }
        for wish in lines
    ]


def _address(address: Address | None) -> str | None:
    return None if address is None else jsonb(address.as_json())


def _too_many_lines() -> Refused:
    return _invalid(f"A cart has at most {_MOST_LINES} lines.", "lines")


def _invalid(message: str, *path: str) -> Refused:
    return Refused(ErrorCode.INPUT_INVALID, message, path=path)
