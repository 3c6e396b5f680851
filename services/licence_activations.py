"""Licence keys in use: what applications do with a key that was typed into them. The key is all it takes."""

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from core.clock import now
from core.errors import ErrorCode, Refused
from core.ids import uuid7
from core.licences import LicenceState
from core.viewer import Viewer
from models.database import Connection, Transaction
from services.access import digest_of
from services.engine import Engine
from services.requests import Request, once

_MAXIMUM_INSTANCE_LENGTH: Final = 200

_LOCK_KEY: Final = """
    select id, state, activation_limit from licence_keys where digest = $1 for no key update
"""
_ACTIVATE: Final = """
    insert into licence_activations (id, licence_id, instance, created_at) values ($1, $2, $3, $4)
    on conflict (licence_id, instance) where ended_at is null do nothing
    returning id
"""
# The condition stands in the update itself: where as many are active as may be, no row is found.
_COUNT_UP: Final = """
    update licence_keys set activations = activations + 1, updated_at = $2
    where id = $1 and (activation_limit is null or activations < activation_limit)
    returning id
"""
_DEACTIVATE: Final = """
    with ended as (
        update licence_activations set ended_at = $3
        where licence_id = $1 and instance = $2 and ended_at is null
        returning licence_id
    )
    update licence_keys k set activations = k.activations - 1, updated_at = $3
    from ended where k.id = ended.licence_id
"""
_STATUS: Final = """
    select k.id, k.state, k.activations, k.activation_limit, exists (
        select 1 from licence_activations a where a.licence_id = k.id and a.instance = $2 and a.ended_at is null
    ) as instance_active
    from licence_keys k where k.digest = $1 and k.state <> 'AVAILABLE'
"""


@dataclass(frozen=True, slots=True)
class UseKey:
    """Take a licence key into use at a place, or out of it; ``instance`` is the place's name."""

    licence_key: str
    instance: str
    key: str


async def activate(engine: Engine, viewer: Viewer, command: UseKey) -> tuple[UUID, bool]:
    """Take a key into use at a place, once per place; return its id and whether this is a repeat.

    Errors: LICENCE_INVALID, LICENCE_ACTIVATIONS_EXHAUSTED, INPUT_INVALID, IDEMPOTENCY_KEY_REUSED.
    """

    async def act(transaction: Transaction) -> dict[str, UUID]:
        connection, at = transaction.connection, now()
        licence = await _lock_valid(connection, command.licence_key)
        if await connection.fetchval(_ACTIVATE, uuid7(), licence["id"], command.instance, at) is not None:
            counted = await connection.fetchval(_COUNT_UP, licence["id"], at)
            if counted is None:
                raise Refused(
                    ErrorCode.LICENCE_ACTIVATIONS_EXHAUSTED,
                    f"This key is in use at {licence['activation_limit']} places, as many as may be. "
                    "Deactivate one of them first.",
                    path=("key",),
                )
        return {"licence": licence["id"]}

    outcome = await once(engine, _use_of(viewer, "licenceKeyActivate", command), act)
    return outcome.ids["licence"], outcome.replayed


async def deactivate(engine: Engine, viewer: Viewer, command: UseKey) -> tuple[UUID, bool]:
    """Take a key out of use at a place, where it may be out of use already; return its id and whether a repeat.

    Errors: LICENCE_INVALID, INPUT_INVALID, IDEMPOTENCY_KEY_REUSED.
    """

    async def act(transaction: Transaction) -> dict[str, UUID]:
        connection = transaction.connection
        licence = await _lock_valid(connection, command.licence_key)
        await connection.execute(_DEACTIVATE, licence["id"], command.instance, now())
        return {"licence": licence["id"]}

    outcome = await once(engine, _use_of(viewer, "licenceKeyDeactivate", command), act)
    return outcome.ids["licence"], outcome.replayed


async def status(engine: Engine, licence_key: str, instance: str | None) -> Any:
    """Read where a key stands and whether it is in use at a place; None for one that was never sold."""
    return await engine.database.reader.fetchrow(_STATUS, digest_of(licence_key.strip()), instance)


async def _lock_valid(connection: Connection, licence_key: str) -> Any:
    licence = await connection.fetchrow(_LOCK_KEY, digest_of(licence_key.strip()))
    if licence is None or licence["state"] != LicenceState.ASSIGNED:
        raise Refused(
            ErrorCode.LICENCE_INVALID,
            "There is no such licence key, or it no longer counts. Check it for typing errors.",
            path=("key",),
        )
    return licence


def _use_of(viewer: Viewer, operation: str, command: UseKey) -> Request:
    # The key is a secret: of what was asked no more than a hash is kept, and this is a hash of a hash.
    body = {"key": digest_of(command.licence_key.strip()).hex(), "instance": command.instance}
    request = Request.of(viewer, operation, command.key, body)
    if not 1 <= len(command.instance) <= _MAXIMUM_INSTANCE_LENGTH or not command.instance.isprintable():
        raise Refused(
            ErrorCode.INPUT_INVALID,
            f"An instance has a name of 1 to {_MAXIMUM_INSTANCE_LENGTH} printable characters.",
            path=("instance",),
        )
    return request
