"""Licence keys: pools of them, what applications ask, and replacing one."""

from functools import partial
from typing import Annotated, Any
from uuid import UUID

import strawberry

from core.ids import Noun
from core.scopes import Scope
from resolvers import shown_digital as shown
from resolvers.context import Info
from resolvers.fields import id_of, mutation, query
from resolvers.pages import connection, page_query
from schema.connections import Connection, PageArguments
from schema.licences import (
    LicenceKey,
    LicenceKeyActivateInput,
    LicenceKeyActivatePayload,
    LicenceKeyDeactivateInput,
    LicenceKeyDeactivatePayload,
    LicenceKeyRotateInput,
    LicenceKeyRotatePayload,
    LicenceKeysUploadInput,
    LicenceKeysUploadPayload,
    LicenceStatus,
)
from services import licence_activations, licences
from services.access import may_open


@strawberry.type
class LicenceQuery:
    @query(
        description="Where a licence key stands, for the application it was typed into: the key is all it takes. "
        "Null for one that was never sold."
    )
    async def licence_key(
        self,
        info: Info,
        key: Annotated[str, strawberry.argument(description="The licence key.")],
        instance: Annotated[
            str | None, strawberry.argument(description="The place whose activation is asked for.")
        ] = None,
    ) -> LicenceStatus | None:
        row = await licence_activations.status(info.context.engine, key, instance)
        return None if row is None else shown.licence_status(row)


@strawberry.type
class LicenceMutation:
    @mutation(
        description="Put licence keys into the pool of a variant of yours: as many more of it can be sold.",
        scope=Scope.PRODUCTS_WRITE,
        payload=LicenceKeysUploadPayload,
    )
    async def licence_keys_upload(self, info: Info, input: LicenceKeysUploadInput) -> LicenceKeysUploadPayload:  # ruff: ignore[builtin-argument-shadowing]
        command = licences.UploadKeys(
            variant_id=id_of(Noun.VARIANT, input.variant_id, "variantId"),
            keys=input.keys,
            key=input.idempotency_key,
        )
        uploaded = await licences.upload(info.context.engine, info.context.viewer, command)
        info.context.replayed = uploaded.replayed
        return LicenceKeysUploadPayload(added=uploaded.added, skipped=uploaded.skipped)

    @mutation(
        description="Take a licence key into use at a place; once is enough for each place. The key is all it "
        "takes: applications do this without signing in, with a random UUID as idempotency key.",
        scope=Scope.PURCHASES_WRITE,
        payload=LicenceKeyActivatePayload,
        guests=True,
    )
    async def licence_key_activate(
        self,
        info: Info,
        input: LicenceKeyActivateInput,  # ruff: ignore[builtin-argument-shadowing]
    ) -> LicenceKeyActivatePayload:
        command = licence_activations.UseKey(input.key, input.instance, input.idempotency_key)
        _, info.context.replayed = await licence_activations.activate(
            info.context.engine, info.context.viewer, command
        )
        return LicenceKeyActivatePayload(licence=await _status(info, input.key, input.instance))

    @mutation(
        description="Take a licence key out of use at a place, to use it at another. The key is all it takes, as "
        "for its activation.",
        scope=Scope.PURCHASES_WRITE,
        payload=LicenceKeyDeactivatePayload,
        guests=True,
    )
    async def licence_key_deactivate(
        self,
        info: Info,
        input: LicenceKeyDeactivateInput,  # ruff: ignore[builtin-argument-shadowing]
    ) -> LicenceKeyDeactivatePayload:
        command = licence_activations.UseKey(input.key, input.instance, input.idempotency_key)
        _, info.context.replayed = await licence_activations.deactivate(
            info.context.engine, info.context.viewer, command
        )
        return LicenceKeyDeactivatePayload(licence=await _status(info, input.key, input.instance))

    @mutation(
        description="Replace a licence key that got around: the old one is good no more, wherever it is in use. "
        "By its buyer, with the cart's or payment's token too, or by its creator with PRODUCTS_WRITE beside; "
        "a key that was uploaded by its creator alone.",
        scope=Scope.PURCHASES_WRITE,
        payload=LicenceKeyRotatePayload,
        guests=True,
    )
    async def licence_key_rotate(self, info: Info, input: LicenceKeyRotateInput) -> LicenceKeyRotatePayload:  # ruff: ignore[builtin-argument-shadowing]
        command = licences.RotateKey(
            licence_id=id_of(Noun.LICENCE, input.licence_id, "licenceId"), key=input.idempotency_key
        )
        engine, viewer = info.context.engine, info.context.viewer
        licence_id, info.context.replayed = await licences.rotate(engine, viewer, command)
        rows = await licences.by_id(engine, [licence_id])
        return LicenceKeyRotatePayload(licence=shown.licence_key(rows[0], buyer=licences.is_own(viewer, rows[0])))


async def find_licence(info: Info, licence_id: UUID) -> LicenceKey | None:
    """Return a key that the viewer bought or sells."""
    viewer = info.context.viewer
    rows = await licences.by_id(info.context.engine, [licence_id])
    buyer = bool(rows) and may_open(viewer, rows[0])
    visible = buyer or (bool(rows) and licences.is_creator(viewer, rows[0]))
    return shown.licence_key(rows[0], buyer=buyer) if visible else None


async def variant_licence_keys(variant: Any, info: Info, page: PageArguments) -> Connection[LicenceKey] | None:
    """Return a page of a variant's keys, to its creator, who sees the end of each."""
    found = await licences.of_variant(info.context.engine, info.context.viewer, variant.key, page_query(page))
    return None if found is None else connection(found, partial(shown.licence_key, buyer=False))


async def _status(info: Info, key: str, instance: str) -> LicenceStatus:
    return shown.licence_status(await licence_activations.status(info.context.engine, key, instance))
