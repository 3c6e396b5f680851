"""What may be offered: the limits of products and variants, before anything is written."""

from collections.abc import Sequence
from typing import Final

from core.errors import ErrorCode, Refused
from core.money import Money
from providers.payments.base import Capability
from services.engine import Engine
from services.fees import ensure_chargeable
from services.variant_rows import VariantDraft, choices_taken

MAXIMUM_VARIANTS: Final = 100
_MAXIMUM_TITLE_LENGTH: Final = 120
_MAXIMUM_DESCRIPTION_LENGTH: Final = 10_000
_MAXIMUM_STOCK: Final = 1_000_000_000
_MAXIMUM_OPTIONS: Final = 3
_MAXIMUM_TAGS: Final = 20
_MAXIMUM_TAG_LENGTH: Final = 40
_MAXIMUM_NAME_LENGTH: Final = 60
_MAXIMUM_SKU_LENGTH: Final = 100
_MAXIMUM_GRAMS: Final = 10_000_000
_MAXIMUM_TIMES: Final = 1_000_000


def check_texts(title: str | None, description: str | None) -> None:
    """Refuse a title or description that is out of bounds: INPUT_INVALID."""
    if title is not None and not 1 <= len(title.strip()) <= _MAXIMUM_TITLE_LENGTH:
        raise invalid(f"A title has 1 to {_MAXIMUM_TITLE_LENGTH} characters.", "title")
    if description is not None and len(description) > _MAXIMUM_DESCRIPTION_LENGTH:
        raise invalid(f"A description has at most {_MAXIMUM_DESCRIPTION_LENGTH} characters.", "description")


def check_stock(stock: int | None, *path: str) -> None:
    """Refuse a number that is no stock: INPUT_INVALID."""
    if stock is not None and not 0 <= stock <= _MAXIMUM_STOCK:
        raise invalid(f"A stock is a number from 0 to {_MAXIMUM_STOCK}.", *path)


def check_limit(limit: int | None, what: str, *path: str) -> None:
    """Refuse a limit that is none; 0 stands for no limit: INPUT_INVALID."""
    if limit is not None and not 0 <= limit <= _MAXIMUM_TIMES:
        raise invalid(f"{what} is a number up to {_MAXIMUM_TIMES}, or 0 for no limit.", *path)


def check_shipping(sku: str | None, weight_grams: int | None, *path: str) -> None:
    """Refuse a stock-keeping unit or a weight out of bounds: INPUT_INVALID."""
    if sku is not None and len(sku.strip()) > _MAXIMUM_SKU_LENGTH:
        raise invalid(f"A stock-keeping unit has at most {_MAXIMUM_SKU_LENGTH} characters.", *path, "sku")
    if weight_grams is not None and not 0 <= weight_grams <= _MAXIMUM_GRAMS:
        raise invalid(f"A weight is from 0 to {_MAXIMUM_GRAMS} grams.", *path, "weightGrams")


def clean_tags(tags: Sequence[str]) -> list[str]:
    """Return tags in small letters, each once, in the order given. Errors: INPUT_INVALID."""
    found = list(dict.fromkeys(" ".join(tag.lower().split()) for tag in tags))
    if not all(1 <= len(tag) <= _MAXIMUM_TAG_LENGTH for tag in found):
        raise invalid(f"A tag has 1 to {_MAXIMUM_TAG_LENGTH} characters.", "tags")
    if len(found) > _MAXIMUM_TAGS:
        raise invalid(f"A product has at most {_MAXIMUM_TAGS} tags.", "tags")
    return found


def clean_options(options: Sequence[str]) -> list[str]:
    """Return the names of options. Errors: INPUT_INVALID."""
    found = [option.strip() for option in options]
    if len(found) > _MAXIMUM_OPTIONS or len(set(found)) < len(found):
        raise invalid(f"A product has at most {_MAXIMUM_OPTIONS} options, each with its own name.", "options")
    if not all(1 <= len(name) <= _MAXIMUM_NAME_LENGTH for name in found):
        raise invalid(f"The name of an option has 1 to {_MAXIMUM_NAME_LENGTH} characters.", "options")
    return found


def clean_choices(choices: Sequence[str], options: int, *path: str) -> tuple[str, ...]:
    """Return a variant's choices: one for each of so many options. Errors: INPUT_INVALID."""
    found = tuple(choice.strip() for choice in choices)
    if len(found) != options:
        raise invalid(f"Send a choice for each of the product's options: {options} in all.", *path)
    if not all(1 <= len(choice) <= _MAXIMUM_NAME_LENGTH for choice in found):
        raise invalid(f"A choice has 1 to {_MAXIMUM_NAME_LENGTH} characters.", *path)
    return found


def check_prices(
    engine: Engine, prices: Sequence[Money], *path: str, pays_what_they_want: bool, single: bool = False
) -> None:
    """Refuse prices that could not be paid, none at all, or two in one currency.

    A price of 0 is one where buyers pay what they want. ``single``: there is one, and ``path`` is its own.
    Errors: INPUT_INVALID, AMOUNT_INVALID, AMOUNT_TOO_SMALL, AMOUNT_TOO_LARGE, CURRENCY_NOT_SUPPORTED.
    """
    if not prices or len({price.currency for price in prices}) < len(prices):
        raise invalid("Send one price for each currency it is sold in.", *path)
    for number, price in enumerate(prices):
        at = path if single else (*path, str(number))
        if price.currency.code not in engine.provider.capabilities.currencies or price.minor > 0:
            ensure_price(engine, price, *at)
        elif not pays_what_they_want:
            raise Refused(ErrorCode.AMOUNT_INVALID, "Send an amount greater than zero.", path=(*at, "amount"))


def ensure_price(engine: Engine, price: Money, *path: str) -> None:
    """Refuse a price that could not be paid, naming its field."""
    try:
        ensure_chargeable(engine, price)
    except Refused as refused:
        raise refused.at(*path, *refused.path[1:]) from None


def ensure_capturable(engine: Engine, manual_capture: bool | None) -> None:
    """Refuse capturing by hand where the provider cannot: PROVIDER_UNSUPPORTED."""
    if manual_capture and Capability.MANUAL_CAPTURE not in engine.provider.capabilities.features:
        raise Refused(
            ErrorCode.PROVIDER_UNSUPPORTED,
            "The payment provider charges at once. Leave out manualCapture.",
            path=("manualCapture",),
        )


def clean_draft(
    engine: Engine, draft: VariantDraft, options: int, *path: str, pays_what_they_want: bool, single: bool = False
) -> VariantDraft:
    """Return a draft as it is kept. ``single``: it is a product's only one, with its one price in ``price``.

    Errors: as ``check_prices``, INPUT_INVALID.
    """
    prices = ("price",) if single else (*path, "prices")
    check_prices(engine, draft.prices, *prices, pays_what_they_want=pays_what_they_want, single=single)
    check_stock(draft.stock, *path, "stock")
    check_shipping(draft.sku, draft.weight_grams, *path)
    check_limit(draft.download_limit, "A limit of downloads", *path, "downloadLimit")
    check_limit(draft.licence_activations, "A limit of activations", *path, "licenceActivations")
    if draft.licence_policy == "POOL" and draft.stock is not None:
        raise invalid("A variant with uploaded keys has as many to sell as there are keys.", *path, "stock")
    return VariantDraft(
        prices=draft.prices,
        choices=clean_choices(draft.choices, options, *path, "choices"),
        stock=draft.stock,
        sku=(draft.sku or "").strip() or None,
        requires_shipping=draft.requires_shipping,
        weight_grams=draft.weight_grams,
        licence_policy=draft.licence_policy,
        licence_activations=draft.licence_activations or None,
        download_limit=draft.download_limit or None,
    )


def check_together(drafts: Sequence[VariantDraft]) -> None:
    """Refuse what variants of one product may not be together: INPUT_INVALID, NAME_TAKEN."""
    if not 1 <= len(drafts) <= MAXIMUM_VARIANTS:
        raise too_many_variants("variants")
    seen: set[tuple[str, ...]] = set()
    for number, draft in enumerate(drafts):
        if draft.choices in seen:
            raise choices_taken("variants", str(number), "choices")
        seen.add(draft.choices)


def too_many_variants(*path: str) -> Refused:
    """Return the refusal of more variants than a product has."""
    return invalid(f"A product has 1 to {MAXIMUM_VARIANTS} variants.", *path)


def invalid(message: str, *path: str) -> Refused:
    """Return the refusal of an input."""
    return Refused(ErrorCode.INPUT_INVALID, message, path=path)
