"""Downloads: the files that variants are sold with, and where buyers fetch them."""

from datetime import datetime

import strawberry

from schema.base import Node
from schema.errors import Payload
from schema.scalars import BigInt


@strawberry.type(description="A file that was bought. Seen by who bought it.")
class Download(Node):
    file_name: str = strawberry.field(description="Its name.")
    size: BigInt = strawberry.field(description="How many bytes it has.")
    remaining: int | None = strawberry.field(
        description="How many more times it may be downloaded; null is without limit."
    )
    url: str | None = strawberry.field(
        description="Where to fetch it, for an hour, without signing in: whoever has the address has the file. "
        "Null when it may not be downloaded any more."
    )
    expires_at: datetime | None = strawberry.field(description="Until when the address is good.")


@strawberry.type(description="A file that a variant is sold with. Seen by its creator.")
class VariantFile:
    media_id: strawberry.ID = strawberry.field(description="The uploaded file.")
    file_name: str = strawberry.field(description="Its name.")
    content_type: str = strawberry.field(description="Its media type.")
    size: BigInt = strawberry.field(description="How many bytes it has.")


@strawberry.input(description="Choose the files that a variant of yours is sold with.")
class VariantFilesSetInput:
    idempotency_key: str = strawberry.field(description="Sent again with the same key it happens once.")
    variant_id: strawberry.ID = strawberry.field(description="Which variant.")
    media_ids: list[strawberry.ID] = strawberry.field(
        description="All its files, at most 100, in order: DIGITAL media of yours. Whoever ordered before a file "
        "is left out keeps it."
    )


@strawberry.type(description="The files that the variant is sold with from now on.")
class VariantFilesSetPayload(Payload):
    files: list[VariantFile] | None = strawberry.field(default=None, description="The files, in order.")
