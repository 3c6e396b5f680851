"""What the sandbox's pages share: plain HTML without scripts or anything fetched from elsewhere.

So the strictest content security policy holds.
"""

from html import escape
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qs, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

_LONGEST_FORM: Final = 1024
_HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{title} · Sandbox</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 1rem/1.5 system-ui, sans-serif; margin: 0; }}
main {{ max-width: 28rem; margin: 10vh auto; padding: 0 1.25rem; }}
h1 {{ font-size: 1.5rem; line-height: 1.25; }}
form {{ display: flex; flex-wrap: wrap; gap: .75rem; margin: 2rem 0; }}
button {{ font: inherit; font-weight: 600; min-height: 2.75rem; padding: 0 1.25rem; border-radius: .5rem;
  border: 2px solid #1d4ed8; background: Canvas; color: CanvasText; cursor: pointer; }}
button[value=complete] {{ background: #1d4ed8; color: #fff; }}
:focus-visible {{ outline: 3px solid #f59e0b; outline-offset: 2px; }}
small {{ display: block; opacity: .75; }}
</style>
</head>
<body>
<main>
<h1>{title}</h1>
{content}
<small>Sandbox: no bank was asked and no money moves.</small>
</main>
</body>
</html>
"""


def page(title: str, content: str, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """Return a page. ``title`` is text, ``content`` HTML."""
    return HTMLResponse(_PAGE.format(title=escape(title), content=content), status, _HEADERS)


async def decision(request: Request, choices: frozenset[str]) -> str | Response:
    """Return what the form of a page was answered with, or the page to show when that is nothing it offers."""
    form = bytearray()
    async for chunk in request.stream():
        form += chunk
        if len(form) > _LONGEST_FORM:
            return page(
                "That form is too long",
                "<p>Go back and choose again.</p>",
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            )
    decisions = parse_qs(form.decode("ascii", errors="replace")).get("decision", [])
    if len(decisions) != 1 or decisions[0] not in choices:
        return page("Nothing was chosen", "<p>Go back and choose again.</p>", HTTPStatus.BAD_REQUEST)
    return decisions[0]


def way_back(url: str | None) -> str:
    """Return a link to where the visitor came from: web addresses only, or ``javascript:`` would be one."""
    if url is None or not _is_web_address(url):
        return ""
    return f'<p><a href="{escape(url)}" rel="noreferrer">Go back</a></p>'


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.netloc)
