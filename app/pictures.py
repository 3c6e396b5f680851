"""Looking at pictures that somebody sent: what they are, judged by their bytes alone."""

import warnings
from dataclasses import dataclass
from io import BytesIO
from typing import Final

from PIL import Image, UnidentifiedImageError

_TYPES: Final = {
    "PNG": "image/png",
    "JPEG": "image/jpeg",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "AVIF": "image/avif",
}
# A picture of this many pixels takes 200 MB to decode, which is as much as one upload may cost.
_MAXIMUM_PIXELS: Final = 50_000_000
_MAXIMUM_SIDE: Final = 20_000
# What Pillow only warns of is refused as well.
Image.MAX_IMAGE_PIXELS = _MAXIMUM_PIXELS
warnings.simplefilter("error", Image.DecompressionBombWarning)


@dataclass(frozen=True, slots=True)
class Looked:
    """What a picture is: its media type, and its sides in pixels."""

    content_type: str
    width: int
    height: int


class NotAPictureError(Exception):
    """What was sent is no picture that is taken; the message says why."""


def look(data: bytes) -> Looked:
    """Decode a picture and say what it is. Takes a while: not for the event loop. Raises ``NotAPictureError``."""
    try:
        with Image.open(BytesIO(data), formats=tuple(_TYPES)) as picture:
            _ensure_bounded(*picture.size)
            picture.load()
            return Looked(_TYPES[picture.format or ""], *picture.size)
    except UnidentifiedImageError:
        raise NotAPictureError("Send a PNG, JPEG, WebP, GIF or AVIF picture.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_many_pixels() from None
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError, LookupError, RuntimeError) as error:
        # RuntimeError is what the AVIF decoder says of anything it cannot read.
        raise NotAPictureError("This picture is damaged.") from error


def _ensure_bounded(width: int, height: int) -> None:
    if max(width, height) > _MAXIMUM_SIDE:
        raise NotAPictureError(f"A picture has at most {_MAXIMUM_SIDE} pixels a side.")
    if width * height > _MAXIMUM_PIXELS:
        raise _too_many_pixels()


def _too_many_pixels() -> NotAPictureError:
    return NotAPictureError(f"A picture has at most {_MAXIMUM_PIXELS} pixels.")
