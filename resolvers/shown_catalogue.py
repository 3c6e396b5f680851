"""From rows of the catalogue to the types of the contract: lists are made of these, so a row costs little."""

from functools import lru_cache
from typing import Any, Final

import strawberry

from core import ids
from core.catalogue import MediaKind, MediaState
from core.clock import now
from core.ids import Noun
from core.money import money
from schema.collections import Collection
from schema.enums import LicencePolicy, ProductState, TaxCategory
from schema.media import Media
from schema.money import Money
from schema.products import Picture, Product
from schema.scalars import BigInt
from schema.variants import Variant
from services.catalogue import variant_title

_STATES: Final = {state.value: state for state in ProductState}
_TAX_CATEGORIES: Final = {category.value: category for category in TaxCategory}
_POLICIES: Final = {policy.value: policy for policy in LicencePolicy}


@lru_cache(maxsize=8192)
def _price(minor: int, currency: str) -> Money:
    """Return a price, the same object for the same price: there are far fewer prices than products."""
    return Money.of(money(minor, currency))


def product(row: Any) -> Product:
    state = _STATES[row["state"]]
    currency = row["currency"]
    return Product(
        id=strawberry.ID(ids.encode(Noun.PRODUCT, row["id"])),
        key=row["id"],
        creator_key=row["creator_id"],
        title=row["title"],
        description=row["description"],
        state=state,
        active=state is ProductState.ACTIVE,
        releases_at=row["releases_at"],
        price=_price(int(row["price"]), currency),
        currency=currency,
        pays_what_they_want=row["pays_what_they_want"],
        per_buyer_limit=row["per_buyer_limit"],
        stock=row["stock"],
        options=row["options"],
        tags=row["tags"],
        tax_category=_TAX_CATEGORIES[row["tax_category"]],
        manual_capture=row["manual_capture"],
        created_at=row["created_at"],
    )


def variant(row: Any) -> Variant:
    releases_at = row["releases_at"]
    policy = row["licence_policy"]
    return Variant(
        id=strawberry.ID(ids.encode(Noun.VARIANT, row["id"])),
        key=row["id"],
        product_key=row["product_id"],
        creator_key=row["creator_id"],
        title=variant_title(row["choices"]),
        choices=row["choices"],
        sku=row["sku"],
        prices=list(map(_price, row["amounts"] or (), row["currencies"] or ())),
        requires_shipping=row["requires_shipping"],
        weight_grams=row["weight_grams"],
        available=row["available"] if releases_at is None or releases_at <= now() else 0,
        licence_policy=None if policy is None else _POLICIES[policy],
        licence_activations=row["licence_activations"],
        download_limit=row["download_limit"],
        active=row["state"] == "active",
        created_at=row["created_at"],
    )


def picture(row: Any, base_url: str) -> Picture:
    return Picture(
        url=media_url(row["media_id"], base_url),
        alternative_text=row["alternative_text"],
        width=row["width"],
        height=row["height"],
    )


def collection(row: Any) -> Collection:
    return Collection(
        id=strawberry.ID(ids.encode(Noun.COLLECTION, row["id"])),
        key=row["id"],
        creator_key=row["creator_id"],
        title=row["title"],
        slug=row["slug"],
        description=row["description"],
        active=row["state"] == "active",
        created_at=row["created_at"],
    )


def media(row: Any, base_url: str) -> Media:
    state = MediaState(row["state"])
    seen = row["kind"] == MediaKind.PICTURE and state is MediaState.STORED
    return Media(
        id=strawberry.ID(ids.encode(Noun.MEDIA, row["id"])),
        key=row["id"],
        creator_key=row["creator_id"],
        kind=MediaKind(row["kind"]),
        state=state,
        file_name=row["file_name"],
        content_type=row["content_type"],
        size=BigInt(row["size"]),
        width=row["width"],
        height=row["height"],
        url=media_url(row["id"], base_url) if seen else None,
        created_at=row["created_at"],
    )


def media_url(media_id: Any, base_url: str) -> str:
    """Return where a picture is to be seen."""
    return f"{base_url}/media/{ids.encode(Noun.MEDIA, media_id)}"
