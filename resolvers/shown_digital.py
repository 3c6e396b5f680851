"""From rows of the services to the types of the contract: downloads and licence keys."""

from typing import Any

import strawberry

from core import ids
from core.ids import Noun
from core.licences import LicenceState
from schema.downloads import Download, VariantFile
from schema.licences import LicenceKey, LicenceStatus
from schema.scalars import BigInt
from services import downloads
from services.engine import Engine

_SHOWN_CHARACTERS = 4


def download(engine: Engine, row: Any) -> Download:
    """Return a file of a line with a fresh link, to who bought it."""
    link = downloads.link(engine, row)
    return Download(
        id=strawberry.ID(ids.encode(Noun.DOWNLOAD, downloads.download_id(row["grant_id"], row["file_id"]))),
        file_name=row["file_name"],
        size=BigInt(row["size"]),
        remaining=downloads.remaining(row),
        url=link[0] if link else None,
        expires_at=link[1] if link else None,
    )


def variant_file(row: Any) -> VariantFile:
    return VariantFile(
        media_id=strawberry.ID(ids.encode(Noun.MEDIA, row["id"])),
        file_name=row["file_name"],
        content_type=row["content_type"],
        size=BigInt(row["size"]),
    )


def licence_key(row: Any, *, buyer: bool) -> LicenceKey:
    """Return a key: all of it to its buyer, who has it anyway, its end to anybody else."""
    return LicenceKey(
        id=strawberry.ID(ids.encode(Noun.LICENCE, row["id"])),
        key=row["key"] if buyer else None,
        # Of a short key that would be all of it.
        last_four=row["key"][-_SHOWN_CHARACTERS:] if len(row["key"]) > 2 * _SHOWN_CHARACTERS else "",
        state=LicenceState(row["state"]),
        activations=row["activations"],
        activation_limit=row["activation_limit"],
        created_at=row["created_at"],
    )


def licence_status(row: Any) -> LicenceStatus:
    state = LicenceState(row["state"])
    return LicenceStatus(
        valid=state is LicenceState.ASSIGNED,
        state=state,
        activations=row["activations"],
        activation_limit=row["activation_limit"],
        instance_active=row["instance_active"],
    )
