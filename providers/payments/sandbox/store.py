"""The sandbox's own books: one statement, so one round trip, for each command; errors are the contract's."""

from typing import Final

import asyncpg

from providers.payments.base import (
    PaymentFact,
    ProviderAction,
    ProviderError,
    ProviderErrorCode,
    ProviderState,
)

# What a database raises that is away, busy or restarting. The last is asyncpg's word when the server ends a
# connection at an unlucky moment, and a subclass of nothing else here.
DATABASE_ERRORS: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    OSError,
    TimeoutError,
    asyncpg.InternalClientError,
)

CREATE: Final = """
select answer.*
  from unnest($1::text[], $2::text[], $3::uuid[], $4::bigint[], $5::text[], $6::text[]) with ordinality
       as asked (key, id, reference, amount, currency, description, place),
       sandbox.create_payment(key, id, reference, amount, currency, description) as answer
 order by place
"""
CONFIRM: Final = """
select * from sandbox.confirm_payment(
    $1::text, $2::text, $3::text, $4::text, $5::text, $6::text, $7::text, $8::interval)
"""
CANCEL: Final = "select * from sandbox.cancel_payment($1::text, $2::text)"
AUTHENTICATE: Final = "select * from sandbox.authenticate_payment($1::text, $2::boolean)"
FETCH: Final = """
select answer.* from sandbox.payment, sandbox.answer_of(payment, null) as answer where payment.id = $1::text
"""
FIND: Final = """
select answer.* from sandbox.payment, sandbox.answer_of(payment, null) as answer
 where payment.reference = $1::uuid
"""

_PROBLEMS: Final = {
    "NOT_FOUND": (ProviderErrorCode.NOT_FOUND, "payment_not_found"),
    "STATE_CONFLICT": (ProviderErrorCode.STATE_CONFLICT, "payment_state_conflict"),
    # The contract's nearest word for a caller's mistake that no retry mends.
    "KEY_REUSED": (ProviderErrorCode.MISCONFIGURED, "idempotency_key_reused"),
    "REFERENCE_REUSED": (ProviderErrorCode.MISCONFIGURED, "reference_reused"),
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


def agreed(row: asyncpg.Record) -> asyncpg.Record:
    """Return a row that states no refusal but for a decline. Raises the ProviderError that it states."""
    if row["problem"] in _PROBLEMS:
        code, provider_code = _PROBLEMS[row["problem"]]
        fact = fact_of(row) if code is ProviderErrorCode.STATE_CONFLICT else None
        raise ProviderError(code, ProviderAction.NEVER, provider_code=provider_code, fact=fact)
    return row


def fact_of(row: asyncpg.Record) -> PaymentFact:
    """Return the payment a row tells of."""
    return PaymentFact(
        reference=row["reference"],
        provider_reference=row["provider_reference"],
        state=ProviderState(row["state"]),
        at=row["at"],
        amount=row["amount"],
        currency=row["currency"],
        captured=row["captured"],
        decline_code=row["decline_code"],
        action_url=row["action_url"],
    )


def not_found() -> ProviderError:
    """Return the refusal for a payment the sandbox does not have."""
    code, provider_code = _PROBLEMS["NOT_FOUND"]
    return ProviderError(code, ProviderAction.NEVER, provider_code=provider_code)


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
