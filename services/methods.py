"""Payment methods that the provider keeps for a user. We keep what their bearer knows them by, never a number.

What saving takes, the provider's token, is not kept either: only a repeat of the request, which brings the token
again, can go on with it after whoever asked is gone. A removal needs no more than what is known.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import structlog

from core.clock import now
from core.errors import ErrorCode, Refused, not_found
from core.ids import uuid7
from core.viewer import Viewer
from models.database import DATABASE_ERRORS, Transaction, fetch_one
from providers.payments import base
from services.calls import RESEND_WITHIN, claimed_until
from services.engine import Engine
from services.paging import Page, PageQuery, fetch_page
from services.requests import Request, once

_BEGIN: Final = """
    insert into payment_methods (id, user_id, provider, calling_until, created_at) values ($1, $2, $3, $4, $5)
"""
_TAKE_OVER: Final = """
    update payment_methods set calling_until = $3
    where id = $1 and calling_until <= $2 and detached_at is null
    returning *
"""
# Providers may know a card by one name however often it is saved: the newest row has it, and the only one.
_REPLACE: Final = """
    update payment_methods set provider_reference = null, detached_at = $4, calling_until = null
    where provider = $1 and provider_reference = $2 and user_id = $3 and id <> $5
"""
_SAVED: Final = """
    update payment_methods set provider_reference = $2, customer_reference = $3, kind = $4, brand = $5,
        last_four = $6, expires_month = $7, expires_year = $8, calling_until = null
    where id = $1 and detached_at is null
"""
_OF_ANOTHER: Final = """
    select exists (
        select from payment_methods where provider = $1 and provider_reference = $2 and user_id <> $3
    )
"""
_GONE: Final = "update payment_methods set detached_at = $2, calling_until = null where id = $1"
_POSTPONE: Final = "update payment_methods set calling_until = $2 where id = $1 and calling_until is not null"
_DETACH: Final = """
    update payment_methods set detaching = true, calling_until = $3
    where id = $1 and user_id = $2 and provider_reference is not null and detached_at is null and not detaching
    returning id
"""
_CLAIM: Final = """
    update payment_methods set calling_until = $2 where id in (
        select id from payment_methods
        where calling_until <= $1 and (detaching or created_at < $4) and provider = $5
        order by calling_until limit $3 for no key update skip locked
    )
    returning *
"""
_READ: Final = "select * from payment_methods where id = any($1::uuid[])"
_USABLE: Final = "provider_reference is not null and detached_at is null and not detaching"
_LIST: Final = f"select * from payment_methods where user_id = $1 and {_USABLE}"  # ruff: ignore[hardcoded-sql-expression] - made of constants
_READ_OWN: Final = f"select * from payment_methods where id = $1 and user_id = $2 and {_USABLE}"  # ruff: ignore[hardcoded-sql-expression] - made of constants

_CUSTOMER: Final = """
    select customer_reference from payment_methods
    where user_id = $1 and provider = $2 and customer_reference is not null order by id limit 1
"""

_RETRY_AFTER: Final = timedelta(seconds=10)
_BATCH: Final = 100
_AGAIN: Final = frozenset(
    {base.ProviderAction.SAME_KEY, base.ProviderAction.LATER, base.ProviderAction.FIX_CONFIG}
)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SaveMethod:
    """Keep a tokenised method to pay with later."""

    method: str = field(repr=False)
    key: str


@dataclass(frozen=True, slots=True)
class RemoveMethod:
    """Have the provider forget a saved method."""

    method_id: UUID
    key: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A method's row as it is now."""

    row: Any
    replayed: bool


async def save(engine: Engine, viewer: Viewer, command: SaveMethod) -> Answer:
    """Have the provider keep a method for the signed-in user.

    Exactly once per ``command.key``.
    Errors: UNAUTHENTICATED, METHOD_NOT_SAVED, PROVIDER_UNSUPPORTED, PROVIDER_UNAVAILABLE (send it again, with
    the same key), IDEMPOTENCY_KEY_REUSED.
    """
    user_id = _signed_in(viewer)
    request = Request.of(viewer, "paymentMethodSave", command.key, {"method": command.method})
    method_id = uuid7()

    async def act(transaction: Transaction) -> dict[str, UUID]:
        if base.Capability.SAVED_METHODS not in engine.provider.capabilities.features:
            raise Refused(
                ErrorCode.PROVIDER_UNSUPPORTED,
                "The payment provider keeps no methods for later.",
                path=("method",),
            )
        at = now()
        await transaction.connection.execute(
            _BEGIN, method_id, user_id, engine.provider.name, claimed_until(engine, at), at
        )
        return {"method": method_id}

    outcome = await once(engine, request, act)
    method_id = outcome.ids["method"]
    if not outcome.replayed or await _taken_over(engine, method_id):
        await _save_at_provider(engine, user_id, method_id, command.method)
    row = await read(engine, method_id)
    if row["provider_reference"] is None:
        raise _unavailable() if row["detached_at"] is None else _not_saved()
    return Answer(row, outcome.replayed)


async def remove(engine: Engine, viewer: Viewer, command: RemoveMethod) -> Answer:
    """Have the provider forget a method of the signed-in user. From then on it cannot be paid with.

    Exactly once per ``command.key``. Errors: UNAUTHENTICATED, NOT_FOUND, IDEMPOTENCY_KEY_REUSED.
    """
    user_id = _signed_in(viewer)
    request = Request.of(viewer, "paymentMethodRemove", command.key, {"method": command.method_id})

    async def act(transaction: Transaction) -> dict[str, UUID]:
        found = await transaction.connection.fetchval(
            _DETACH, command.method_id, user_id, claimed_until(engine, now())
        )
        if found is None:
            raise not_found("payment method", "paymentMethodId")
        return {"method": command.method_id}

    outcome = await once(engine, request, act)
    if not outcome.replayed or await _taken_over(engine, command.method_id):
        await _detach_quietly(engine, await read(engine, command.method_id))
    return Answer(await read(engine, command.method_id), outcome.replayed)


async def own(engine: Engine, viewer: Viewer, method_id: UUID) -> str:
    """Return the provider's name for a saved method of the viewer's. Errors: NOT_FOUND."""
    row = await engine.database.reader.fetchrow(_READ_OWN, method_id, viewer.user_id)
    if row is None or row["provider"] != engine.provider.name:
        raise not_found("payment method", "paymentMethodId")
    reference: str = row["provider_reference"]
    return reference


async def of_user(engine: Engine, user_id: UUID, query: PageQuery) -> Page:
    """Page through the methods a user can pay with."""
    return await fetch_page(engine.database.reader, "payment methods of a user", _LIST, (user_id,), query)


async def by_id(engine: Engine, ids: Sequence[UUID]) -> list[Any]:
    """Read saved methods, whatever became of them. Says nothing about who may see them."""
    return await engine.database.reader.fetch(_READ, ids)


async def read(engine: Engine, method_id: UUID) -> Any:
    """Return a method's row as it is now. Says nothing about who may see it."""
    return await fetch_one(engine.database.reader, _READ, [method_id])


def is_usable(row: Any) -> bool:
    """Return whether a method can be paid with: it was saved, and nobody asked to have it removed."""
    return row["provider_reference"] is not None and row["detached_at"] is None and not row["detaching"]


async def sweep(engine: Engine) -> bool:
    """Go on with removals whose caller is gone, and give up what was never saved.

    Return whether there may be more. Run by any number of workers.
    """
    at = now()
    lease, forgotten = claimed_until(engine, at), at - RESEND_WITHIN
    rows = await engine.database.writer.fetch(_CLAIM, at, lease, _BATCH, forgotten, engine.provider.name)
    for row in rows:
        if now() >= row["calling_until"]:
            break  # the claim has lapsed: the rest is anybody's again
        if row["detaching"]:
            await _detach_quietly(engine, row)
        else:
            await engine.database.writer.execute(_GONE, row["id"], now())
    return len(rows) == _BATCH


# At the provider ----------------------------------------------------------------------------------------------


async def _taken_over(engine: Engine, method_id: UUID) -> bool:
    at = now()
    claimed = await engine.database.writer.fetchrow(_TAKE_OVER, method_id, at, claimed_until(engine, at))
    return claimed is not None


async def _save_at_provider(engine: Engine, user_id: UUID, method_id: UUID, token: str) -> None:
    writer = engine.database.writer
    command = base.SaveMethod(
        idempotency_key=f"method:{method_id}",
        customer=user_id,
        method=token,
        customer_reference=await writer.fetchval(_CUSTOMER, user_id, engine.provider.name),
    )
    try:
        saved = await engine.provider.save_method(command)
    except base.ProviderError as error:
        if error.ambiguous or error.action in _AGAIN:
            await writer.execute(_POSTPONE, method_id, now())
        else:
            await writer.execute(_GONE, method_id, now())
        return
    async with engine.database.transaction() as transaction:
        connection = transaction.connection
        name, reference = engine.provider.name, saved.provider_reference
        if await connection.fetchval(_OF_ANOTHER, name, reference, user_id):
            await connection.execute(_GONE, method_id, now())
            return
        await connection.execute(_REPLACE, name, reference, user_id, now(), method_id)
        await connection.execute(
            _SAVED,
            method_id,
            reference,
            saved.customer_reference,
            saved.kind,
            saved.brand,
            saved.last_four,
            saved.expires_month,
            saved.expires_year,
        )


async def _detach_quietly(engine: Engine, row: Any) -> None:
    """Have the provider forget a claimed method; what goes wrong is logged, and the sweeper comes back to it."""
    writer = engine.database.writer
    command = base.DetachMethod(
        idempotency_key=f"detach:{row['id']}", provider_reference=row["provider_reference"]
    )
    try:
        await engine.provider.detach_method(command)
    except base.ProviderError as error:
        if error.code is base.ProviderErrorCode.NOT_FOUND:
            await writer.execute(_GONE, row["id"], now())
            return
        log.warning("provider did not forget a method", method=str(row["id"]), code=error.code.value)
        await writer.execute(_POSTPONE, row["id"], now() + _RETRY_AFTER)
    except DATABASE_ERRORS:
        raise
    except Exception:
        log.exception("method could not be removed", method=str(row["id"]))
    else:
        await writer.execute(_GONE, row["id"], now())


def _signed_in(viewer: Viewer) -> UUID:
    if viewer.user_id is None:
        raise Refused(ErrorCode.UNAUTHENTICATED, "Sign in: send an access token with the request.")
    return viewer.user_id


def _not_saved() -> Refused:
    return Refused(
        ErrorCode.METHOD_NOT_SAVED,
        "The payment provider does not keep this method. Send a token of another one.",
        path=("method",),
    )


def _unavailable() -> Refused:
    return Refused(
        ErrorCode.PROVIDER_UNAVAILABLE,
        "The payment provider did not answer. Send the same request again, with the same key.",
        transient=True,
    )
