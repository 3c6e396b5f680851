"""The files that variants are sold with."""

import strawberry

from core.ids import Noun
from core.scopes import Scope
from resolvers import shown_digital as shown
from resolvers.context import Info
from resolvers.fields import id_of, mutation
from schema.downloads import VariantFilesSetInput, VariantFilesSetPayload
from services import downloads


@strawberry.type
class DownloadMutation:
    @mutation(
        description="Choose the files that a variant of yours is sold with.",
        scope=Scope.PRODUCTS_WRITE,
        payload=VariantFilesSetPayload,
    )
    async def variant_files_set(self, info: Info, input: VariantFilesSetInput) -> VariantFilesSetPayload:  # ruff: ignore[builtin-argument-shadowing]
        engine, viewer = info.context.engine, info.context.viewer
        variant_id = id_of(Noun.VARIANT, input.variant_id, "variantId")
        media_ids = [
            id_of(Noun.MEDIA, media_id, "mediaIds", str(place)) for place, media_id in enumerate(input.media_ids)
        ]
        command = downloads.SetFiles(variant_id=variant_id, media_ids=media_ids, key=input.idempotency_key)
        info.context.replayed = await downloads.set_files(engine, viewer, command)
        files = (await downloads.of_variants(engine, viewer, [variant_id]))[variant_id]
        return VariantFilesSetPayload(files=[shown.variant_file(row) for row in files])
