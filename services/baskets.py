"""Baskets: what is about to be bought, priced as of now, with everything that stands in the way of buying it.

A cart shows what is found here and a checkout refuses for the first of it: one judgement for both. A fixed number
of reads, whatever is in it, and none of them in a transaction.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import starmap
from typing import Any, Final
from uuid import UUID

from core.addresses import Address
from core.discounts import DiscountReason
from core.errors import ErrorCode, Refused
from core.money import Money, currency
from providers.tax.base import SHIPPING, Rate, TaxQuestion
from services import catalogue, discounts, pricing, shipping, usage
from services.catalogue import Sellable
from services.discounts import Rejected
from services.engine import Engine
from services.fees import ensure_chargeable
from services.shipping import Parcel, ShippingOption
from services.usage import Use

MOST_OF_ONE: Final = 1_000
"""How many of one variant may be bought at once."""
_ADDRESS_NEEDED: Final = "Send an address: something in the cart is shipped."


@dataclass(frozen=True, slots=True)
class BasketLine:
    """So many of a variant, at ``chosen_price`` minor units each where the buyer may say."""

    id: UUID
    variant_id: UUID
    quantity: int
    chosen_price: int | None = None


@dataclass(frozen=True, slots=True)
class Basket:
    """What somebody means to buy. ``buyer_id`` None: a guest. ``shipping_methods``: those they chose.

    ``anonymous``: a guest need not say who they are, unless there is a limit for each buyer.
    """

    currency: str
    lines: tuple[BasketLine, ...]
    buyer_id: UUID | None
    email: str | None = None
    address: Address | None = None
    shipping_methods: tuple[UUID, ...] = ()
    discount_codes: tuple[str, ...] = ()
    anonymous: bool = False

    @property
    def buyer_key(self) -> str | None:
        """The name limits know the buyer by; None for a guest who has not said who they are."""
        if self.buyer_id is not None:
            return f"user:{self.buyer_id}"
        return None if self.email is None else f"email:{self.email.casefold()}"


@dataclass(frozen=True, slots=True)
class BasketRow:
    """A line as it is sold now. ``variant`` None: it is gone; ``amounts`` None: so it costs nothing here."""

    line: BasketLine
    variant: Sellable | None
    unit_price: int | None
    amounts: pricing.PricedLine | None
    problem: Refused | None


@dataclass(frozen=True, slots=True)
class Applied:
    """A discount that is given, and how much it takes off."""

    id: UUID
    title: str
    code: str | None
    amount: int


@dataclass(frozen=True, slots=True)
class Priced:
    """A basket as it is sold at a moment. ``problems``: what stands in the way, the first of it first.

    ``uses`` are the uses of limits that buying it counts. ``tax_estimated``: nobody knows where it goes, so no tax
    was reckoned.
    """

    basket: Basket
    at: datetime
    rows: tuple[BasketRow, ...]
    totals: pricing.Totals
    options: Mapping[UUID, Sequence[ShippingOption]]
    discounts: tuple[Applied, ...]
    rejected: tuple[Rejected, ...]
    uses: tuple[Use, ...]
    problems: tuple[Refused, ...]
    tax_estimated: bool

    @property
    def sellers(self) -> dict[UUID, Sellable]:
        """Each creator of it, with a variant of theirs."""
        return {row.variant.creator_id: row.variant for row in self.rows if row.variant is not None}

    @property
    def manual_capture(self) -> bool:
        """Whether its payment only reserves the money."""
        return any(row.variant is not None and row.variant.manual_capture for row in self.rows)

    def chosen_method(self, creator_id: UUID) -> UUID | None:
        """Return how a creator's part is shipped."""
        for part in self.totals.parts:
            if part.creator_id == creator_id and part.shipping is not None:
                return part.shipping.method_id
        return None


async def price(
    engine: Engine, basket: Basket, at: datetime, variants: Mapping[UUID, Sellable] | None = None
) -> Priced:
    """Return a basket as it is sold now. At most four reads; five if the rates of taxes are not at hand.

    ``variants`` are those in it, by whoever has just read them.
    """
    found = await _variants(engine, basket, at) if variants is None else variants
    rows = [_row(engine, basket, line, found.get(line.variant_id)) for line in basket.lines]
    sold = [(row, row.variant) for row in rows if row.variant is not None and row.unit_price is not None]
    items = list(starmap(_item, sold))
    options = await _options(engine, basket, items)
    chosen, unshipped = _choose(basket, options)
    offered, offers, rejected = await _offered(engine, basket, items, at)
    totals = pricing.price(items, offers, chosen, await _rates(engine, basket, items, chosen, at))
    taking = {discount.offer_id for discount in totals.discounts if discount.amount}
    limits = _limits(basket, sold)
    left = await _left(engine, basket, limits)
    problems: list[Refused] = []
    try:
        uses = discounts.uses_of([row for row in offered if row["id"] in taking], basket.buyer_key, at)
    except Refused as refused:
        uses, problems = [], [refused]
    amounts = {line.key: line for line in totals.lines}
    rows = [
        replace(row, amounts=amounts.get(row.line.id), problem=row.problem or _beyond(row, limits, left))
        for row in rows
    ]
    priced = Priced(
        basket=basket,
        at=at,
        rows=tuple(rows),
        totals=totals,
        options=options,
        discounts=_applied(offers, totals),
        rejected=tuple(rejected),
        uses=(*uses, *limits.values()),
        problems=tuple(problems),
        tax_estimated=basket.address is None,
    )
    return replace(priced, problems=tuple(_problems(engine, priced, unshipped=unshipped)))


async def _variants(engine: Engine, basket: Basket, at: datetime) -> Mapping[UUID, Sellable]:
    if not basket.lines:
        return {}
    ids = [line.variant_id for line in basket.lines]
    return await catalogue.sellable(engine.database.reader, ids, basket.currency, at)


# What it is ---------------------------------------------------------------------------------------------------


def _row(engine: Engine, basket: Basket, line: BasketLine, variant: Sellable | None) -> BasketRow:
    problem = _problem_of(engine, basket, line, variant)
    gone = variant is None or not variant.on_sale or variant.price is None
    price_of_one = None
    if variant is not None and not gone:
        chosen = line.chosen_price if variant.pays_what_they_want else None
        price_of_one = variant.price if chosen is None else chosen
    return BasketRow(line, variant, price_of_one, None, problem)


def _problem_of(engine: Engine, basket: Basket, line: BasketLine, variant: Sellable | None) -> Refused | None:
    """Return what stands in the way of a line by itself."""
    if variant is None or variant.variant_state != "active":
        return _refused(ErrorCode.VARIANT_NOT_AVAILABLE, "This is no longer sold in that form.")
    if variant.product_state != "active":
        return _refused(ErrorCode.PRODUCT_NOT_ACTIVE, "This product is no longer sold.")
    if variant.price is None:
        says = f"This is not sold in {basket.currency}. Buy it in another currency."
        return _refused(ErrorCode.VARIANT_NOT_AVAILABLE, says)
    if basket.buyer_id is not None and variant.creator_user_id == basket.buyer_id:
        return _refused(ErrorCode.SELF_PURCHASE, "A creator cannot buy from themselves.")
    if not variant.creator_active:
        return _refused(ErrorCode.CREATOR_NOT_ACTIVE, "This creator takes no payments at present.")
    if not variant.released and variant.releases_at is not None:
        return _refused(
            ErrorCode.NOT_RELEASED, "This is not sold yet.", releasesAt=variant.releases_at.isoformat()
        )
    if variant.pays_what_they_want and line.chosen_price is not None and line.chosen_price < variant.price:
        return _too_little(engine, variant.price, basket.currency)
    if variant.available is not None and variant.available < line.quantity:
        return out_of_stock(max(variant.available, 0), variant.variant_id)
    return None


def _too_little(engine: Engine, least: int, code: str) -> Refused:
    known = currency(code)
    limits = engine.provider.capabilities.currencies.get(code)
    return _refused(
        ErrorCode.AMOUNT_TOO_SMALL,
        f"At least {Money(least, known).amount} {code} has to be paid for this.",
        minimum=least,
        maximum=limits[1] if limits else least,
        currency=code,
    )


def out_of_stock(available: int, variant_id: UUID) -> Refused:
    """Return the refusal of more than there is of a variant."""
    says = (
        f"Only {available} of these are left."
        if available
        else "This product is sold out. One comes back if another buyer's payment is cancelled."
    )
    return _refused(ErrorCode.OUT_OF_STOCK, says, available=available, variant=str(variant_id))


def beyond_limit(left: int, variant_id: UUID) -> Refused:
    """Return the refusal of more than one buyer may have of a product."""
    says = f"You may buy {left} more of these." if left else "You may not buy more of these."
    return _refused(ErrorCode.BUYER_LIMIT_EXCEEDED, says, left=left, variant=str(variant_id))


def _item(row: BasketRow, variant: Sellable) -> pricing.Item:
    return pricing.Item(
        key=row.line.id,
        part=variant.creator_id,
        product_id=variant.product_id,
        quantity=row.line.quantity,
        unit_price=row.unit_price or 0,
        tax_category=variant.tax_category,
        requires_shipping=variant.requires_shipping,
        weight_grams=variant.weight_grams or 0,
    )


# Shipping and tax ---------------------------------------------------------------------------------------------


async def _options(
    engine: Engine, basket: Basket, items: Sequence[pricing.Item]
) -> Mapping[UUID, Sequence[ShippingOption]]:
    """Return by which methods each creator ships their part, the cheapest first; empty without an address."""
    shipped: defaultdict[UUID, list[pricing.Item]] = defaultdict(list)
    for item in items:
        if item.requires_shipping:
            shipped[item.part].append(item)
    if basket.address is None or not shipped:
        return {}
    parcels = [
        Parcel(
            creator_id=creator_id,
            country=basket.address.country,
            weight_grams=sum(item.weight_grams * item.quantity for item in parcel),
            subtotal=sum(item.subtotal for item in parcel),
            currency=basket.currency,
        )
        for creator_id, parcel in shipped.items()
    ]
    found = await shipping.options(engine.database.reader, parcels)
    return {
        creator_id: sorted(found.get(creator_id, ()), key=lambda option: (option.price, option.name))
        for creator_id in shipped
    }


def _choose(
    basket: Basket, options: Mapping[UUID, Sequence[ShippingOption]]
) -> tuple[list[pricing.Shipping], bool]:
    """Return how each part is shipped, and whether one cannot be.

    By the method that was chosen, or by the cheapest where none was.
    """
    known = {option.method_id for each in options.values() for option in each}
    vanished = any(method not in known for method in basket.shipping_methods)
    chosen: list[pricing.Shipping] = []
    unshipped = False
    for creator_id, each in options.items():
        own = [option for option in each if option.method_id in basket.shipping_methods]
        if not each or (vanished and not own):
            unshipped = True
            continue
        option = own[0] if own else each[0]
        chosen.append(pricing.Shipping(creator_id, option.method_id, option.name, option.price))
    return chosen, unshipped


async def _rates(
    engine: Engine,
    basket: Basket,
    items: Sequence[pricing.Item],
    chosen: Sequence[pricing.Shipping],
    at: datetime,
) -> Mapping[tuple[UUID, str], Rate]:
    if basket.address is None or not items:
        return {}
    wanted = {(item.part, item.tax_category) for item in items}
    wanted |= {(each.creator_id, SHIPPING) for each in chosen}
    question = TaxQuestion(basket.address.country, basket.address.region, at, sorted(wanted))
    return await engine.tax.rates(question)


# Discounts and limits -----------------------------------------------------------------------------------------


async def _offered(
    engine: Engine, basket: Basket, items: Sequence[pricing.Item], at: datetime
) -> tuple[Sequence[Any], Sequence[pricing.Offer], Sequence[Rejected]]:
    """Return the discounts there are, those that are given, and the codes that are not."""
    if not items:
        return (), (), [Rejected(code, DiscountReason.NOT_APPLICABLE) for code in basket.discount_codes]
    creators = sorted({item.part for item in items})
    rows = await discounts.offers(
        engine.database.reader, creators, basket.discount_codes, at, buyer_key=basket.buyer_key
    )
    return rows, *discounts.judge(rows, basket.discount_codes, items, basket.currency, at)


def _limits(basket: Basket, sold: Sequence[tuple[BasketRow, Sellable]]) -> dict[UUID, Use]:
    """Return what buying it counts towards the limits of products for each buyer, by product."""
    limits: dict[UUID, Use] = {}
    scope = f"buyer:{basket.buyer_key or ''}"
    for row, variant in sold:
        if variant.per_buyer_limit is not None:
            known = limits.get(variant.product_id)
            quantity = row.line.quantity + (known.quantity if known else 0)
            limits[variant.product_id] = Use(variant.product_id, scope, quantity, variant.per_buyer_limit)
    return limits


async def _left(engine: Engine, basket: Basket, limits: Mapping[UUID, Use]) -> dict[UUID, int]:
    """Return how many more of each product with a limit the buyer may have."""
    asked = [(use.subject, use.scope) for use in limits.values()] if basket.buyer_key is not None else []
    used = await usage.used(asked, db=engine.database.reader) if asked else {}
    return {
        product_id: max(0, use.limit - used.get((use.subject, use.scope), 0)) for product_id, use in limits.items()
    }


def _beyond(row: BasketRow, limits: Mapping[UUID, Use], left: Mapping[UUID, int]) -> Refused | None:
    """Return the refusal of a line that goes past what one buyer may have, together with the others."""
    use = None if row.variant is None else limits.get(row.variant.product_id)
    if use is None or use.quantity <= left[use.subject]:
        return None
    return beyond_limit(left[use.subject], row.line.variant_id)


def reason_of(scope: str) -> DiscountReason:
    """Return why a discount is not given whose limit in a scope is reached."""
    if scope.startswith("buyer:"):
        return DiscountReason.BUYER_LIMIT
    return DiscountReason.PERIOD_LIMIT if scope.startswith("period:") else DiscountReason.USED_UP


def _applied(offers: Sequence[pricing.Offer], totals: pricing.Totals) -> tuple[Applied, ...]:
    by_id = {offer.id: offer for offer in offers}
    return tuple(
        Applied(each.offer_id, by_id[each.offer_id].title, by_id[each.offer_id].code, each.amount)
        for each in totals.discounts
        if each.amount
    )


# What stands in the way ---------------------------------------------------------------------------------------


def _problems(engine: Engine, priced: Priced, *, unshipped: bool) -> list[Refused]:
    """Return everything that stands in the way of buying a basket, what is in it first."""
    basket = priced.basket
    if not priced.rows:
        return [_refused(ErrorCode.CART_EMPTY, "There is nothing in the cart. Put something in first.")]
    problems = [row.problem for row in priced.rows if row.problem is not None]
    variants = [row.variant for row in priced.rows if row.variant is not None]
    if len(priced.sellers) > 1 and priced.manual_capture:
        says = "Something here is only reserved at first, so it is bought alone or with more of the same creator."
        problems.append(_refused(ErrorCode.CAPTURE_MIXED, says))
    problems.extend(rejected.refused() for rejected in priced.rejected)
    limited = any(variant.per_buyer_limit is not None for variant in variants)
    if basket.buyer_key is None and (limited or not basket.anonymous):
        says = "Send an email address: it is what guests are told by about their order."
        problems.append(_refused(ErrorCode.EMAIL_NEEDED, says))
    problems.extend(priced.problems)
    if basket.address is None and any(variant.requires_shipping for variant in variants):
        says = "Put it in a cart with an address: it is shipped." if basket.anonymous else _ADDRESS_NEEDED
        problems.append(_refused(ErrorCode.ADDRESS_NEEDED, says))
    if unshipped:
        says = "Not everything is shipped there, or not like this. Choose among the cart's shippingOptions."
        problems.append(_refused(ErrorCode.SHIPPING_UNAVAILABLE, says))
    if priced.totals.total:
        try:
            ensure_chargeable(engine, Money(priced.totals.total, currency(basket.currency)))
        except Refused as refused:
            problems.append(refused.at())
    return problems


def _refused(code: ErrorCode, says: str, **data: Any) -> Refused:
    return Refused(code, says, data=data)
