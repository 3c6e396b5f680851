"""The sandbox's own books: one statement, so one round trip, for each command; errors are the contract's."""

from typing import Any, Final

import asyncpg
import orjson

from providers.payments.base import (
    Fact,
    PaymentFact,
    ProviderAction,
    ProviderError,
    ProviderErrorCode,
    ProviderState,
)
from providers.payments.sandbox.translation import READERS, Source

# What a database raises that is away, busy or restarting. The last is asyncpg's word when the server ends a
# connection at an unlucky moment, and a subclass of nothing else here.
DATABASE_ERRORS: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    OSError,
    TimeoutError,
    asyncpg.InternalClientError,
)

# What the sandbox's functions refuse with: the code, what may be done, and the provider's own word unless the
# function gives a closer one.
_PROBLEMS: Final = {
    "NOT_FOUND": (ProviderErrorCode.NOT_FOUND, ProviderAction.NEVER, "payment_not_found"),
    "STATE_CONFLICT": (ProviderErrorCode.STATE_CONFLICT, ProviderAction.NEVER, "payment_state_conflict"),
    "AMOUNT_INVALID": (ProviderErrorCode.AMOUNT_INVALID, ProviderAction.NEVER, "capture_exceeds_authorized"),
    "EXPIRED": (ProviderErrorCode.EXPIRED, ProviderAction.NEVER, "authorization_expired"),
    "METHOD_INVALID": (ProviderErrorCode.METHOD_INVALID, ProviderAction.OTHER_METHOD, "no_such_method"),
    "ACCOUNT_NOT_READY": (ProviderErrorCode.ACCOUNT_NOT_READY, ProviderAction.LATER, "account_not_ready"),
    "BALANCE_INSUFFICIENT": (
        ProviderErrorCode.BALANCE_INSUFFICIENT,
        ProviderAction.LATER,
        "balance_insufficient",
    ),
    # The contract's nearest word for a caller's mistake that no retry mends.
    "KEY_REUSED": (ProviderErrorCode.MISCONFIGURED, ProviderAction.NEVER, "idempotency_key_reused"),
    "REFERENCE_REUSED": (ProviderErrorCode.MISCONFIGURED, ProviderAction.NEVER, "reference_reused"),
    # Armed by hand: refused before anything happened, so that nothing is left in doubt.
    "UNAVAILABLE": (ProviderErrorCode.UNAVAILABLE, ProviderAction.LATER, "unavailable"),
}


async def ask(
    pool: "asyncpg.Pool[asyncpg.Record]", statement: str, *arguments: object, changes: bool
) -> asyncpg.Record | None:
    """Run one statement and return its row.

    Raises ProviderError: UNAVAILABLE when the database is in trouble, ambiguous when the statement
    ``changes`` something; MISCONFIGURED when it refuses the values or isn't migrated; and the refusals the
    row itself states, but for a decline.
    """
    rows = await ask_all(pool, statement, *arguments, changes=changes)
    return agreed(rows[0]) if rows else None


async def ask_all(
    pool: "asyncpg.Pool[asyncpg.Record]", statement: str, *arguments: object, changes: bool
) -> list[asyncpg.Record]:
    """Run one statement and return its rows, which may state refusals. Raises ProviderError as ``ask`` does."""
    try:
        return await pool.fetch(statement, *arguments)
    except DATABASE_ERRORS as error:
        raise _database_error(error, changes=changes) from error


async def ask_object(pool: "asyncpg.Pool[asyncpg.Record]", statement: str, *arguments: object) -> Any:
    """Run a command that answers with a ``sandbox.reply``; return the object it tells of, decoded.

    Raises ProviderError as ``ask`` does.
    """
    (row,) = await ask_all(pool, statement, *arguments, changes=True)
    if row["problem"] is not None:
        fact = None if row["object"] is None else READERS[row["kind"]](decoded(row["object"]))
        raise _refusal(row["problem"], row["detail"], fact)
    if row["lost"]:
        raise answer_lost()
    return decoded(row["object"])


def decoded(text: str) -> Source:
    """Return the object that a function wrote as JSON."""
    source: Source = orjson.loads(text)
    return source


def agreed(row: asyncpg.Record) -> asyncpg.Record:
    """Return a payment's row that states no refusal but for a decline. Raises the ProviderError it states."""
    problem = row["problem"]
    if problem is None or problem == "DECLINED":
        return row
    told = problem in {"STATE_CONFLICT", "EXPIRED", "AMOUNT_INVALID"}
    raise _refusal(problem, None, fact_of(row) if told else None)


def fact_of(row: asyncpg.Record) -> PaymentFact:
    """Return the payment a row tells of. Answers that were kept before there were authorisations have none."""
    return PaymentFact(
        reference=row["reference"],
        provider_reference=row["provider_reference"],
        state=ProviderState(row["state"]),
        at=row["at"],
        amount=row["amount"],
        currency=row["currency"],
        authorized=row["authorized"] or 0,
        captured=row["captured"],
        decline_code=row["decline_code"],
        action_url=row["action_url"],
        capture_before=row["capture_before"],
    )


def not_found(what: str = "payment_not_found") -> ProviderError:
    """Return the refusal for an object the sandbox does not have."""
    return _refusal("NOT_FOUND", what, None)


def answer_lost() -> ProviderError:
    """Return what a caller meets whose answer never arrives."""
    return ProviderError(
        ProviderErrorCode.UNAVAILABLE, ProviderAction.SAME_KEY, ambiguous=True, provider_code="timeout"
    )


def _refusal(problem: str, detail: str | None, fact: Fact | None) -> ProviderError:
    if problem == "REQUEST_LOST":
        return answer_lost()  # to the caller there is no difference
    code, action, provider_code = _PROBLEMS[problem]
    return ProviderError(code, action, provider_code=detail or provider_code, fact=fact)


def _database_error(error: BaseException, *, changes: bool) -> ProviderError:
    """Translate by SQLSTATE class.

    22 and 23 refuse a value; 28, 3D, 3F and 42 want a password, a database, a migration or a grant.
    """
    state = getattr(error, "sqlstate", None) or ""
    if state[:2] in {"22", "23"} or isinstance(error, ValueError):
        code = getattr(error, "constraint_name", None) or state or "value_refused"
        return ProviderError(ProviderErrorCode.MISCONFIGURED, ProviderAction.NEVER, provider_code=code)
    if state[:2] in {"28", "3D", "3F", "42"}:
        return ProviderError(ProviderErrorCode.MISCONFIGURED, ProviderAction.FIX_CONFIG, provider_code=state)
    return ProviderError(
        ProviderErrorCode.UNAVAILABLE,
        ProviderAction.SAME_KEY if changes else ProviderAction.LATER,
        ambiguous=changes,
        provider_code=state or type(error).__name__,
    )
