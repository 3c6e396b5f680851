"""Variants: offering a product in more forms, changing and archiving them."""

from uuid import UUID

import strawberry

import core.money
from core.errors import Refused
from core.ids import Noun
from core.scopes import Scope
from resolvers import shown_catalogue
from resolvers.context import Info
from resolvers.fields import id_of, mutation
from schema.money import MoneyInput
from schema.variants import (
    Variant,
    VariantArchiveInput,
    VariantArchivePayload,
    VariantCreateInput,
    VariantCreatePayload,
    VariantInput,
    VariantUpdateInput,
    VariantUpdatePayload,
)
from services import catalogue, variants


@strawberry.type
class VariantMutation:
    @mutation(
        description="Offer a product of yours in one more variant.",
        scope=Scope.PRODUCTS_WRITE,
        payload=VariantCreatePayload,
    )
    async def variant_create(self, info: Info, input: VariantCreateInput) -> VariantCreatePayload:  # ruff: ignore[builtin-argument-shadowing]
        product_id = id_of(Noun.PRODUCT, input.product_id, "productId")
        command = variants.CreateVariant(product_id, draft_of(input.variant, "variant"), input.idempotency_key)
        variant_id, info.context.replayed = await variants.create(
            info.context.engine, info.context.viewer, command
        )
        return VariantCreatePayload(variant=await _variant(info, variant_id))

    @mutation(description="Change a variant of yours.", scope=Scope.PRODUCTS_WRITE, payload=VariantUpdatePayload)
    async def variant_update(self, info: Info, input: VariantUpdateInput) -> VariantUpdatePayload:  # ruff: ignore[builtin-argument-shadowing]
        prices = None
        if input.prices is not None:
            prices = tuple(price_of(price, "prices", str(n)) for n, price in enumerate(input.prices))
        command = variants.UpdateVariant(
            variant_id=id_of(Noun.VARIANT, input.variant_id, "variantId"),
            key=input.idempotency_key,
            choices=None if input.choices is None else tuple(input.choices),
            prices=prices,
            stock=input.stock,
            unlimited_stock=input.unlimited_stock,
            sku=input.sku,
            requires_shipping=input.requires_shipping,
            weight_grams=input.weight_grams,
            licence_policy=None if input.licence_policy is None else input.licence_policy.value,
            licence_activations=input.licence_activations,
            download_limit=input.download_limit,
        )
        variant_id, info.context.replayed = await variants.update(
            info.context.engine, info.context.viewer, command
        )
        return VariantUpdatePayload(variant=await _variant(info, variant_id))

    @mutation(
        description="Take a variant of yours off sale for good. What was sold stays sold.",
        scope=Scope.PRODUCTS_WRITE,
        payload=VariantArchivePayload,
    )
    async def variant_archive(self, info: Info, input: VariantArchiveInput) -> VariantArchivePayload:  # ruff: ignore[builtin-argument-shadowing]
        command = variants.ArchiveVariant(
            id_of(Noun.VARIANT, input.variant_id, "variantId"), input.idempotency_key
        )
        variant_id, info.context.replayed = await variants.archive(
            info.context.engine, info.context.viewer, command
        )
        return VariantArchivePayload(variant=await _variant(info, variant_id))


def draft_of(given: VariantInput, *path: str) -> variants.VariantDraft:
    """Return a variant to be, as services take it. Errors: those of its prices."""
    return variants.VariantDraft(
        prices=tuple(price_of(price, *path, "prices", str(n)) for n, price in enumerate(given.prices)),
        choices=tuple(given.choices),
        stock=given.stock,
        sku=given.sku,
        requires_shipping=given.requires_shipping,
        weight_grams=given.weight_grams,
        licence_policy=None if given.licence_policy is None else given.licence_policy.value,
        licence_activations=given.licence_activations,
        download_limit=given.download_limit,
    )


def price_of(price: MoneyInput, *path: str) -> core.money.Money:
    """Return a price, which may be 0. Errors: as ``core.money.parse``, naming its field."""
    try:
        if price.amount == 0:
            return core.money.Money(0, core.money.currency(price.currency))
        return price.parsed()
    except Refused as refused:
        raise refused.at(*path, *refused.path[1:]) from None


async def _variant(info: Info, variant_id: UUID) -> Variant:
    return shown_catalogue.variant((await catalogue.variants_by_id(info.context.engine, [variant_id]))[0])
