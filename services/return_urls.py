"""Where a payer or a creator comes back to from a page of the provider's."""

from typing import Final
from urllib.parse import urlsplit

from core.errors import ErrorCode, Refused

_LONGEST: Final = 2_000


def ensure_return_url(url: str) -> None:
    """Refuse what is no web address. Errors: INPUT_INVALID."""
    if not _is_web_address(url):
        raise Refused(
            ErrorCode.INPUT_INVALID,
            "Send a return address that begins with http:// or https://.",
            path=("returnUrl",),
        )


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return len(url) <= _LONGEST and parts.scheme in {"http", "https"} and bool(parts.hostname)
