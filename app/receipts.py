"""The page of a receipt: plain HTML without anything from elsewhere, for whoever holds its link."""

import base64
import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Final

import orjson
import structlog
from babel.core import Locale, UnknownLocaleError
from babel.dates import format_date
from babel.numbers import format_currency, format_decimal, format_percent
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from app.http import trace_id
from core.errors import ErrorCode, Refused
from core.money import money
from core.orders import OrderStatus, order_message
from core.payments import PaymentStatus, status_message
from core.refunds import RefundStatus, refund_message
from models.database import DATABASE_ERRORS
from services import receipts
from services.receipts import Receipt

_TEMPLATES: Final = Path(__file__).resolve().parent / "templates"
_STYLE: Final = (_TEMPLATES / "receipt.css").read_text(encoding="utf-8")
_DIGEST: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS: Final = {
    "content-security-policy": f"default-src 'none'; style-src 'sha256-{_DIGEST}'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "cache-control": "private, no-store",
    "vary": "accept-language",
    "x-robots-tag": "noindex",
}
# RFC 9110, section 12.5.4; as much of RFC 5646 as a locale is named by.
_PREFERENCE: Final = re.compile(
    r"\s*([A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,3})\s*(?:;\s*q\s*=\s*([01](?:\.\d{0,3})?))?\s*"
)
_MAXIMUM_LANGUAGES: Final = 20
_DEFAULT: Final = Locale("en")

log = structlog.get_logger(__name__)
_environment: Final = Environment(
    loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)


async def receipt(request: Request) -> Response:
    """Answer GET /receipts/{token}: 200 with the page, or 404 or 503 with ``code`` and ``message``."""
    with structlog.contextvars.bound_contextvars(trace_id=trace_id(request)):
        try:
            found = await receipts.open_link(request.app.state.engine, request.path_params["token"])
        except Refused as refused:
            return _problem(404, refused.code, refused.message)
        except DATABASE_ERRORS as error:
            log.error("receipt could not be shown", error=type(error).__name__)
            response = _problem(503, ErrorCode.INTERNAL, "The receipt cannot be shown at the moment. Try again.")
            response.headers["retry-after"] = "5"
            return response
    return HTMLResponse(page(found, locale_of(request.headers.get("accept-language"))), headers=_HEADERS)


def _problem(status: int, code: ErrorCode, message: str) -> JSONResponse:
    body = {"code": code.value, "message": message}
    return JSONResponse(body, status_code=status, headers={"cache-control": "no-store"})


def page(found: Receipt, locale: Locale) -> str:
    """Return a receipt as HTML, with amounts and days as ``locale`` writes them."""
    order = found.order
    code = order["currency"]
    status = OrderStatus(order["status"])
    refunds = [
        {**refund, "said": refund_message(RefundStatus(refund["status"]))} for refund in map(dict, found.refunds)
    ]
    return _environment.get_template("receipt.html").render(
        money=partial(_money, code=code, locale=locale),
        day=partial(_day, locale=locale),
        number=partial(_number, locale=locale),
        rate=partial(_rate, locale=locale),
        style=Markup(_STYLE),  # ruff: ignore[unsafe-markup-use] - a file of ours
        order=dict(order),
        address=_address(order["address"]),
        parts=[dict(part) for part in found.parts],
        lines=[dict(line) for line in found.lines],
        discounts=[dict(discount) for discount in found.discounts],
        taxes=found.taxes,
        tax_note=_tax_note(found),
        refunds=refunds,
        state=_state(order, status),
    )


def locale_of(accepted: str | None) -> Locale:
    """Return the locale a client likes best of those that are known here; English if it names none."""
    wanted: list[tuple[Decimal, int, str]] = []
    for place, part in enumerate((accepted or "").split(",")[:_MAXIMUM_LANGUAGES]):
        match = _PREFERENCE.fullmatch(part)
        if match is not None:
            weight = Decimal(match[2] or 1)
            if 0 < weight <= 1:
                wanted.append((-weight, place, match[1]))
    for _, _, tag in sorted(wanted):
        try:
            return Locale.parse(tag, sep="-")
        except (UnknownLocaleError, ValueError):
            continue
    return _DEFAULT


def _state(order: Any, status: OrderStatus) -> str:
    words = order_message(status, order["reason"])
    if order["payment_status"] is None:
        return f"{words} It cost nothing."
    return f"{words} {status_message(PaymentStatus(order['payment_status']), order['payment_reason'])}"


def _tax_note(found: Receipt) -> str:
    inside = any(line["tax"] and line["tax_inclusive"] for line in found.lines)
    on_top = any(line["tax"] and not line["tax_inclusive"] for line in found.lines)
    if inside and on_top:
        return "Some taxes are contained in the prices, others come on top of them."
    return "Taxes come on top of the prices." if on_top else "Taxes are contained in the prices."


def _address(stored: Any) -> list[str]:
    fields: Mapping[str, str] = (orjson.loads(stored) if isinstance(stored, str) else stored) or {}
    city = " ".join(filter(None, (fields.get("postal_code"), fields.get("city"), fields.get("sorting_code"))))
    rows = (
        fields.get("name"),
        fields.get("company"),
        fields.get("line1"),
        fields.get("line2"),
        fields.get("district"),
        city,
        fields.get("region"),
        fields.get("country"),
    )
    return [row for row in rows if row]


def _money(minor: Any, *, code: str, locale: Locale) -> str:
    return format_currency(money(int(minor), code).amount, code, locale=locale, decimal_quantization=False)


def _day(moment: datetime, *, locale: Locale) -> str:
    return format_date(moment, format="long", locale=locale)


def _number(number: int, *, locale: Locale) -> str:
    return format_decimal(number, locale=locale)


def _rate(basis_points: int, *, locale: Locale) -> str:
    # Decimals of a rate are written as far as it has any: 19 %, 5.5 %.
    return format_percent(Decimal(basis_points) / 10_000, format="#,##0.##%", locale=locale)
