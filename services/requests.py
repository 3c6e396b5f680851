"""Idempotency: each operation happens once per principal and key, however often it is sent.

What is kept is the hash of what was asked and the outcome: the ids it made, or its business error.
"""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import orjson

from core.clock import now
from core.errors import ErrorCode, Refused
from core.viewer import Viewer
from models.database import Connection, Transaction
from services.engine import Engine

_MAXIMUM_KEY_LENGTH: Final = 200
# RFC 9562: the versions that are random, all of it or all but the time.
_RANDOM_VERSIONS: Final = (4, 7)

INSERT_REQUEST: Final = """
    insert into requests (principal, operation, key, body_hash, outcome, created_at)
    values ($1, $2, $3, $4, '{}', $5)
    on conflict (principal, operation, key) do nothing
    returning id
"""
READ_REQUEST: Final = """
    select body_hash, outcome from requests where principal = $1 and operation = $2 and key = $3
"""
_INSERT_OUTCOME: Final = """
    insert into requests (principal, operation, key, body_hash, outcome, created_at)
    values ($1, $2, $3, $4, $6::jsonb, $5)
    on conflict (principal, operation, key) do nothing
    returning id
"""
_STORE_OUTCOME: Final = "update requests set outcome = $2::jsonb where id = $1"


@dataclass(frozen=True, slots=True)
class Request:
    """One asking: who, for what, under which key, and the hash of what was sent with it."""

    principal: str
    operation: str
    key: str
    body_hash: bytes

    @classmethod
    def of(cls, viewer: Viewer, operation: str, key: str, body: Mapping[str, Any]) -> "Request":
        """Build a request. Errors: IDEMPOTENCY_KEY_INVALID.

        A guest has nothing but the key to tell them from other guests, so theirs has to be a random UUID.
        """
        if not 1 <= len(key) <= _MAXIMUM_KEY_LENGTH or not key.isprintable():
            raise Refused(
                ErrorCode.IDEMPOTENCY_KEY_INVALID,
                f"Send an idempotency key of 1 to {_MAXIMUM_KEY_LENGTH} printable characters.",
                path=("idempotencyKey",),
            )
        if not viewer.is_signed_in and not _is_random_uuid(key):
            raise Refused(
                ErrorCode.IDEMPOTENCY_KEY_INVALID,
                "Without signing in, the idempotency key has to be a random UUID.",
                path=("idempotencyKey",),
            )
        canonical = orjson.dumps(body, option=orjson.OPT_SORT_KEYS, default=str)
        return cls(viewer.principal, operation, key, hashlib.sha256(canonical).digest())

    async def earlier(self, engine: Engine) -> "Outcome | None":
        """Return the outcome of the same request if it came before, None if it did not. Errors: as ``stored``.

        For what has to be looked at before the key is taken, and may be refused for what has changed since.
        """
        async with engine.database.writer.acquire() as connection:
            known = await connection.fetchval(READ_REQUEST, self.principal, self.operation, self.key)
            return None if known is None else await self.stored(connection)

    async def stored(self, connection: Connection) -> "Outcome":
        """Return the outcome of the request that came first under this key.

        Errors: IDEMPOTENCY_KEY_REUSED, and the business error that was stored.
        """
        row = await connection.fetchrow(READ_REQUEST, self.principal, self.operation, self.key)
        if row is None:
            raise LookupError("a request that was just in the way is gone")
        if row["body_hash"] != self.body_hash:
            raise Refused(
                ErrorCode.IDEMPOTENCY_KEY_REUSED,
                "This idempotency key was used with other input. Send a new key for a new request.",
                path=("idempotencyKey",),
            )
        outcome = orjson.loads(row["outcome"])
        if "refused" in outcome:
            raise thawed(outcome["refused"])
        return Outcome({name: UUID(value) for name, value in outcome["ids"].items()}, replayed=True)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended: the ids it made, and whether an earlier one under the same key made them."""

    ids: Mapping[str, UUID]
    replayed: bool


async def once(
    engine: Engine, request: Request, act: Callable[[Transaction], Awaitable[Mapping[str, UUID]]]
) -> Outcome:
    """Run a use case's transaction once per key; its ids, or its refusal, are stored in the same commit.

    ``act`` runs in a savepoint, so that what it wrote is undone when it refuses while the refusal stays. A
    transient refusal undoes everything: the same key may be sent again.
    Errors: those of ``act``, IDEMPOTENCY_KEY_REUSED.
    """
    refusal: Refused | None = None
    async with engine.database.transaction() as transaction:
        connection = transaction.connection
        request_id = await connection.fetchval(
            INSERT_REQUEST, request.principal, request.operation, request.key, request.body_hash, now()
        )
        if request_id is None:
            return await request.stored(connection)
        try:
            async with connection.transaction():
                ids = await act(transaction)
        except Refused as refused:
            if refused.transient:
                raise
            refusal = refused
            await connection.execute(_STORE_OUTCOME, request_id, outcome_of_refusal(refused))
        else:
            await connection.execute(_STORE_OUTCOME, request_id, outcome_of_ids(ids))
    if refusal is not None:
        raise refusal
    return Outcome(ids, replayed=False)


async def once_named(
    engine: Engine,
    request: Request,
    ids: Mapping[str, UUID],
    act: Callable[[Transaction], Awaitable[Mapping[str, UUID]]],
) -> Outcome:
    """As :func:`once`, for what knows beforehand which ids it will make: three statements less.

    ``act`` returns those ids, or others that were there already. A refusal undoes everything, and is stored
    afterwards; if somebody else came in between under the same key, their outcome is the answer.
    Errors: those of ``act``, IDEMPOTENCY_KEY_REUSED.
    """
    try:
        return await _once_named(engine, request, ids, act)
    except _UndoneError as undone:
        refusal = undone.refusal
    async with engine.database.writer.acquire() as connection:
        stored = await _insert(request, connection, outcome_of_refusal(refusal))
        if stored is None:
            return await request.stored(connection)
    raise refusal


async def _once_named(
    engine: Engine,
    request: Request,
    ids: Mapping[str, UUID],
    act: Callable[[Transaction], Awaitable[Mapping[str, UUID]]],
) -> Outcome:
    async with engine.database.transaction() as transaction:
        connection = transaction.connection
        request_id = await _insert(request, connection, outcome_of_ids(ids))
        if request_id is None:
            return await request.stored(connection)
        try:
            found = await act(transaction)
        except Refused as refused:
            raise refused if refused.transient else _UndoneError(refused) from None
        if found != ids:
            await connection.execute(_STORE_OUTCOME, request_id, outcome_of_ids(found))
    return Outcome(found, replayed=False)


async def _insert(request: Request, connection: Connection, outcome: str) -> Any:
    """Take a request's key with its outcome; None if somebody has it."""
    return await connection.fetchval(
        _INSERT_OUTCOME,
        request.principal,
        request.operation,
        request.key,
        request.body_hash,
        now(),
        outcome,
    )


class _UndoneError(Exception):
    """Takes a refusal out of the transaction that it undoes."""

    def __init__(self, refusal: Refused) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def outcome_of_ids(ids: Mapping[str, UUID]) -> str:
    """Return the stored form of a success."""
    return orjson.dumps({"ids": {name: str(value) for name, value in ids.items()}}).decode()


def outcome_of_refusal(refused: Refused) -> str:
    """Return the stored form of a business error."""
    return orjson.dumps(frozen(refused)).decode()


def frozen(refused: Refused) -> dict[str, Any]:
    """Return a business error as data, as it is stored."""
    return {
        "refused": {
            "code": refused.code.value,
            "message": refused.message,
            "path": list(refused.path),
            "data": refused.data,
        }
    }


def thawed(stored: Mapping[str, Any]) -> Refused:
    """Return a stored business error as it was."""
    return Refused(
        ErrorCode(stored["code"]),
        stored["message"],
        path=tuple(stored["path"]),
        data=stored["data"],
    )


def _is_random_uuid(text: str) -> bool:
    try:
        return UUID(text).version in _RANDOM_VERSIONS
    except ValueError:
        return False
