"""Writing off: the platform bears what creators owe for a dispute that was lost and will not pay."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import asyncpg

from core.clock import now
from core.disputes import DisputeStatus
from core.errors import ErrorCode, Refused, not_found
from core.scopes import Scope
from core.viewer import Viewer
from ledger import AccountKind, AccountSpec, chart
from models.database import Connection, Transaction
from services import disputes
from services.engine import Engine
from services.posting import post
from services.requests import Request, once

_ATTEMPTS: Final = 5
_WRITE_OFF: Final = """
    update disputes set written_off = $2, written_off_at = $3, updated_at = $3 where id = $1
"""
# What it took of whose earnings: of the payment's one creator, or of each share's.
_TAKEN: Final = """
    select d.creator_id, d.net from disputes d where d.id = $1 and d.creator_id is not null and d.net > 0
    union all
    select s.creator_id, t.net from return_shares t join payment_shares s on s.id = t.share_id
    where t.return_id = $1 and t.net > 0
    order by creator_id
"""
_OWED: Final = """
    select code, sum(posted)::bigint as posted from ledger.account where code = any($1::text[]) group by code
"""


@dataclass(frozen=True, slots=True)
class WriteOff:
    """Have the platform bear what is owed for a lost dispute."""

    dispute_id: UUID
    key: str


class _OverpaidError(Exception):
    """A creator paid while it was written off: what is left is less than it seemed."""


async def write_off(engine: Engine, viewer: Viewer, command: WriteOff) -> disputes.Answer:
    """Bear what is owed for a lost dispute: what of their net in it creators owe at this moment, once per dispute.

    For operators. Errors: NOT_FOUND, NOTHING_TO_WRITE_OFF, IDEMPOTENCY_KEY_REUSED.
    """
    request = Request.of(viewer, "disputeWriteOff", command.key, {"dispute": command.dispute_id})

    async def act(transaction: Transaction) -> dict[str, UUID]:
        if not viewer.may(Scope.FINANCE_WRITE):
            raise not_found("dispute", "disputeId")
        connection = transaction.connection
        dispute = await disputes.lock_own(transaction, viewer, command.dispute_id)
        taken = {
            chart.creator(AccountKind.OWED, dispute["currency"], row["creator_id"]): int(row["net"])
            for row in await connection.fetch(_TAKEN, command.dispute_id)
        }
        posted = await _posted(taken, connection)
        debts = {
            spec.owner: min(-posted[spec.code], net)
            for spec, net in taken.items()
            if spec.owner is not None and posted[spec.code] < 0
        }
        amount = sum(debts.values())
        if dispute["status"] != DisputeStatus.LOST or dispute["written_off"] or not amount:
            raise Refused(
                ErrorCode.NOTHING_TO_WRITE_OFF,
                "The creator owes nothing for this dispute, or it was written off before.",
                path=("disputeId",),
            )
        at = now()
        await connection.execute(_WRITE_OFF, command.dispute_id, amount, at)
        draft = chart.dispute_written_off(
            dispute=command.dispute_id, asset=dispute["currency"], debts=debts, effective_at=at
        )
        await post(engine, connection, [draft])
        # The ledger has locked the accounts only now: nobody may have paid, or borne, the same debt meanwhile.
        if any(over > 0 for over in (await _posted(taken, connection)).values()):
            raise _OverpaidError
        return {"dispute": command.dispute_id}

    for attempts_left in reversed(range(_ATTEMPTS)):
        try:
            outcome = await once(engine, request, act)
        except (_OverpaidError, asyncpg.DeadlockDetectedError):
            if not attempts_left:
                raise
        else:
            break
    return disputes.Answer(await disputes.read(engine, command.dispute_id), outcome.replayed)


async def _posted(specs: Iterable[AccountSpec], connection: Connection) -> dict[str, int]:
    """Return what stands on accounts, by their codes; nothing on those that were never opened."""
    codes = [spec.code for spec in specs]
    rows = await connection.fetch(_OWED, codes)
    return {**dict.fromkeys(codes, 0), **{row["code"]: row["posted"] for row in rows}}
