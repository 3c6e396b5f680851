"""Media: the files creators upload, and the pictures of products."""

from datetime import datetime
from uuid import UUID

import strawberry

from schema.base import Node
from schema.enums import MediaKind, MediaState
from schema.errors import Payload
from schema.products import Product
from schema.scalars import BigInt


@strawberry.type(
    description="A file of a creator's. Seen by them alone; a picture of a product by everybody, as such."
)
class Media(Node):
    key: strawberry.Private[UUID]
    creator_key: strawberry.Private[UUID]
    kind: MediaKind = strawberry.field(description="What it is for.")
    state: MediaState = strawberry.field(description="Whether all of it has arrived.")
    file_name: str = strawberry.field(description="What the file is called.")
    content_type: str = strawberry.field(description="Its media type.")
    size: BigInt = strawberry.field(description="In bytes.")
    width: int | None = strawberry.field(description="Of a picture that has arrived, in pixels.")
    height: int | None = strawberry.field(description="Of a picture that has arrived, in pixels.")
    url: str | None = strawberry.field(description="Where a picture that has arrived is to be seen.")
    created_at: datetime = strawberry.field(description="When its upload was announced.")


@strawberry.input(description="Announce a file, to be sent with PUT to the address that is answered.")
class MediaUploadInput:
    idempotency_key: str = strawberry.field(description="Sent again with the same key it happens once.")
    creator_id: strawberry.ID = strawberry.field(description="Whose file: a creator of yours.")
    kind: MediaKind = strawberry.field(description="What it is for.")
    file_name: str = strawberry.field(description="What it is called, 1 to 200 characters, without a path.")
    content_type: str = strawberry.field(description="Its media type, such as `image/png`.")
    size: BigInt = strawberry.field(description="Exactly how many bytes will be sent.")


@strawberry.input(description="A picture with its place among those of a product.")
class ProductPictureInput:
    media_id: strawberry.ID = strawberry.field(description="A picture of yours that has arrived.")
    alternative_text: str | None = strawberry.field(
        default=None, description="What it shows, for those who do not see it. At most 500 characters."
    )


@strawberry.input(description="Choose the pictures of a product of yours, in their order.")
class ProductPicturesSetInput:
    idempotency_key: str = strawberry.field(description="Sent again with the same key it happens once.")
    product_id: strawberry.ID = strawberry.field(description="Which product.")
    pictures: list[ProductPictureInput] = strawberry.field(
        description="All its pictures from now on, the first one first, at most 20."
    )


@strawberry.type(description="The file, with where to send its bytes.")
class MediaUploadPayload(Payload):
    media: Media | None = strawberry.field(default=None, description="The file.")
    upload_url: str | None = strawberry.field(
        default=None, description="Send the bytes here with PUT within an hour; a repeat of the same does no harm."
    )


@strawberry.type(description="The product with its pictures as they are now.")
class ProductPicturesSetPayload(Payload):
    product: Product | None = strawberry.field(default=None, description="The product.")
