"""Texts: what can be stored."""

import re
from typing import Final

_UNSTORABLE: Final = re.compile(r"[\0\ud800-\udfff]")


def is_storable(text: str) -> bool:
    """Return whether PostgreSQL stores a text: it takes neither NUL nor half a surrogate pair."""
    return _UNSTORABLE.search(text) is None
