"""The last line of defence of the logs: what must not be in them is taken out, should somebody have put it there.

Nobody logs personal data or secrets on purpose. What is caught here is a mistake that would otherwise stay on a
disk for years.
"""

import re
import traceback
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from types import TracebackType
from typing import Any, Final
from uuid import UUID

import asyncpg

from core.cards import text_holds_card_number

HIDDEN: Final = "(hidden)"

# A key is taken apart into its words: payment_token, paymentToken and payment-token are alike.
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+")
_SENSITIVE: Final = frozenset(
    """
    address authorization body card cookie credential credentials cvc cvv email evidence iban key message method
    name password phone secret subject token variables
    """.split()  # ruff: ignore[split-static-string] - words read best as words
)
_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

_MASKED: Final = (
    # Stripe shows pieces of keys between stars.
    (re.compile(r"\b(whsec_|tok_|ctoken_|[sr]k_(?:live|test|org)_|ek_(?:live|test)_)[\w+/=*-]+"), r"\1" + HIDDEN),
    # What lets whoever has it act on one object, such as pi_…_secret_….
    (re.compile(r"(\w_secret_)\w+"), r"\1" + HIDDEN),
    (re.compile(r"\b(Bearer|Basic)\s+[\w+/=.~-]+", re.IGNORECASE), r"\1 " + HIDDEN),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), HIDDEN),  # a JWT (RFC 7519), whose header is an object
    (re.compile(r"//[^/@\s]*@"), f"//{HIDDEN}@"),
    (re.compile(r"[^\s@<>()\"'=:,;/]+@[^\s@<>()\"'=:,;/]+\.\w+"), HIDDEN),
    # How asyncio and others show a task that failed: with all that its error says.
    (re.compile(r"exception=(\w+)\(.*\)(?=>)", re.DOTALL), r"exception=\1(" + HIDDEN + ")"),
)
_DIGIT: Final = re.compile(r"\d")
_FEWEST_DIGITS: Final = 10**12
_DEEPEST: Final = 6

_OUR_PACKAGES: Final = frozenset(
    {"app", "core", "ledger", "models", "providers", "resolvers", "schema", "services"}
)
_LONGEST_CHAIN: Final = 5


def redact(_: Any, __: str, event: Mapping[str, Any]) -> dict[str, Any]:
    """Hide what must not be logged, as a processor of structlog: by its key, or by what it looks like."""
    return {
        # What is yet to be rendered is rendered without the texts of errors.
        key: value if key in {"exc_info", "_record"} else _clean(key, value, 0)
        for key, value in event.items()
    }


def _clean(key: str, value: Any, depth: int) -> Any:
    if value is None or isinstance(value, (bool, float, date, timedelta, UUID)):
        return value
    if isinstance(value, Mapping):
        if depth == _DEEPEST or _is_sensitive(key):
            return HIDDEN
        return {masked(str(name)): _clean(str(name), inner, depth + 1) for name, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return HIDDEN if depth == _DEEPEST else [_clean(key, inner, depth + 1) for inner in value]
    if isinstance(value, int):
        return (
            HIDDEN
            if _is_sensitive(key) or (value >= _FEWEST_DIGITS and text_holds_card_number(str(value)))
            else value
        )
    text = shown(value) if isinstance(value, BaseException) else str(value)
    if _is_sensitive(key) and not _ID.fullmatch(text):
        return HIDDEN
    return masked(text)


def _is_sensitive(key: str) -> bool:
    return any(word.lower() in _SENSITIVE for word in _WORD.findall(key))


def masked(text: str) -> str:
    """Return a text without what looks like a card number, a secret, a credential or an e-mail address."""
    for pattern, instead in _MASKED:
        text = pattern.sub(instead, text)
    return _DIGIT.sub("#", text) if text_holds_card_number(text) else text


def shown(error: BaseException) -> str:
    """Return what may be told of an error: its kind, and its text if that is one of our own sentences.

    The texts of all others may quote what somebody sent: a value, a row, a document.
    """
    kind = type(error).__name__
    if isinstance(error, asyncpg.PostgresError):
        # The state and the rule tell what happened; the detail quotes the row.
        rule = getattr(error, "constraint_name", None)
        return f"{kind}: SQLSTATE {error.sqlstate}" + (f", rule {rule}" if rule else "")
    if type(error).__module__.partition(".")[0] in _OUR_PACKAGES:
        return f"{kind}: {masked(str(error))}"
    return f"{kind}: {HIDDEN}" if str(error) else kind


def frames_of(error: BaseException) -> str:
    """Return an error with its causes, the last one first: where each happened, and what may be told of it."""
    return "\n".join(_chain(error, 0))


def _chain(error: BaseException, depth: int) -> Iterator[str]:
    yield shown(error)
    yield from _places(error.__traceback__)
    if depth == _LONGEST_CHAIN:
        return
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions[:_LONGEST_CHAIN]:
            yield "one of:"
            yield from _chain(inner, depth + 1)
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        yield "caused by:" if error.__cause__ else "while handling:"
        yield from _chain(cause, depth + 1)


def _places(trace: TracebackType | None) -> Iterator[str]:
    for frame in traceback.StackSummary.extract(traceback.walk_tb(trace), lookup_lines=False):
        yield f"  {frame.filename}:{frame.lineno} {frame.name}"
