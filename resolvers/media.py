"""Media: announcing files, and choosing the pictures of products."""

from uuid import UUID

import strawberry

from core.ids import Noun
from core.scopes import Scope
from resolvers import shown_catalogue
from resolvers.context import Info
from resolvers.fields import id_of, mutation
from schema.media import (
    Media,
    MediaUploadInput,
    MediaUploadPayload,
    ProductPicturesSetInput,
    ProductPicturesSetPayload,
)
from services import catalogue, media


@strawberry.type
class MediaMutation:
    @mutation(
        description="Announce a file of a creator of yours, and learn where to send its bytes. With the same key "
        "again, of a file that has not arrived, a fresh address.",
        scope=Scope.PRODUCTS_WRITE,
        payload=MediaUploadPayload,
    )
    async def media_upload(self, info: Info, input: MediaUploadInput) -> MediaUploadPayload:  # ruff: ignore[builtin-argument-shadowing]
        engine = info.context.engine
        command = media.AnnounceUpload(
            creator_id=id_of(Noun.CREATOR, input.creator_id, "creatorId"),
            kind=input.kind,
            file_name=input.file_name,
            content_type=input.content_type,
            size=input.size,
            key=input.idempotency_key,
        )
        media_id, info.context.replayed = await media.announce(engine, info.context.viewer, command)
        rows = await media.by_id(engine, [media_id])
        url, _ = media.upload_url(engine, media_id)
        return MediaUploadPayload(media=shown_catalogue.media(rows[0], engine.links.base_url), upload_url=url)

    @mutation(
        description="Choose the pictures of a product of yours, in their order.",
        scope=Scope.PRODUCTS_WRITE,
        payload=ProductPicturesSetPayload,
    )
    async def product_pictures_set(
        self,
        info: Info,
        input: ProductPicturesSetInput,  # ruff: ignore[builtin-argument-shadowing]
    ) -> ProductPicturesSetPayload:
        command = media.SetPictures(
            product_id=id_of(Noun.PRODUCT, input.product_id, "productId"),
            pictures=tuple(
                (id_of(Noun.MEDIA, picture.media_id, "pictures", str(n), "mediaId"), picture.alternative_text)
                for n, picture in enumerate(input.pictures)
            ),
            key=input.idempotency_key,
        )
        product_id, info.context.replayed = await media.set_pictures(
            info.context.engine, info.context.viewer, command
        )
        rows = await catalogue.products_by_id(info.context.engine, [product_id])
        return ProductPicturesSetPayload(product=shown_catalogue.product(rows[0]))


async def find_media(info: Info, media_id: UUID) -> Media | None:
    """Return a file of the viewer's own."""
    rows = await media.by_id(info.context.engine, [media_id])
    viewer = info.context.viewer
    if not rows or rows[0]["creator_user_id"] != viewer.user_id or not viewer.may(Scope.PRODUCTS_WRITE):
        return None
    return shown_catalogue.media(rows[0], info.context.engine.links.base_url)
