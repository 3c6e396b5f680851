"""Cursors of streams: opaque text that names a place in one object's sequence of events."""

import base64
import binascii
from typing import Final
from uuid import UUID

_LARGEST: Final = 2**63 - 1


def encode_cursor(stream: UUID, place: int) -> str:
    """Return the cursor of a place in a stream."""
    return base64.urlsafe_b64encode(stream.bytes[-6:] + place.to_bytes(8)).decode().rstrip("=")


def decode_cursor(stream: UUID, cursor: str) -> int | None:
    """Return the place a cursor names, or None when it is not a cursor of this stream."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    place = int.from_bytes(raw[6:])
    if len(raw) != 14 or raw[:6] != stream.bytes[-6:] or place > _LARGEST:
        return None
    return place
