"""Users: made the first time they sign in."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from core.clock import now
from core.ids import uuid7
from core.texts import is_storable
from services.engine import Engine

_FIND: Final = "select id from users where issuer = $1 and subject = $2"
_MAKE: Final = """
    insert into users (id, issuer, subject, name, created_at) values ($1, $2, $3, $4, $5)
    on conflict (issuer, subject) do nothing
"""
_READ: Final = "select * from users where id = any($1::uuid[])"


async def sign_in(engine: Engine, issuer: str, subject: str, name: str | None) -> UUID:
    """Return the id of the user behind a verified credential, making the user if this is the first time.

    A name that cannot be stored is left out: it is the issuer's to mend, and no reason to turn its user away.
    """
    database = engine.database
    user_id: UUID | None = await database.reader.fetchval(_FIND, issuer, subject)
    if user_id is None:
        kept = name if name is not None and is_storable(name) else None
        await database.writer.execute(_MAKE, uuid7(), issuer, subject, kept, now())
        user_id = await database.writer.fetchval(_FIND, issuer, subject)
    if user_id is None:
        raise LookupError("a user that was just made is gone")
    return user_id


async def by_id(engine: Engine, ids: Sequence[UUID]) -> list[Any]:
    """Read users."""
    return await engine.database.reader.fetch(_READ, ids)
