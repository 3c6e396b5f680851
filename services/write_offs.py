"""Writing off: the platform bears what a creator owes for a dispute that was lost and will not pay."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

import asyncpg

from core.clock import now
from core.disputes import DisputeStatus
from core.errors import ErrorCode, Refused, not_found
from core.scopes import Scope
from core.viewer import Viewer
from ledger import AccountKind, chart
from models.database import Transaction
from services import disputes
from services.engine import Engine
from services.posting import post
from services.requests import Request, once

_ATTEMPTS: Final = 5
_WRITE_OFF: Final = """
    update disputes set written_off = $2, written_off_at = $3, updated_at = $3 where id = $1
"""
_OWED: Final = "select coalesce(sum(posted), 0) from ledger.account where code = $1"


@dataclass(frozen=True, slots=True)
class WriteOff:
    """Have the platform bear what a creator owes for a lost dispute."""

    dispute_id: UUID
    key: str


class _OverpaidError(Exception):
    """The creator paid while it was written off: what is left is less than it seemed."""


async def write_off(engine: Engine, viewer: Viewer, command: WriteOff) -> disputes.Answer:
    """Bear what a creator owes for a lost dispute: what of its net they owe at this moment, once per dispute.

    For operators. Errors: NOT_FOUND, NOTHING_TO_WRITE_OFF, IDEMPOTENCY_KEY_REUSED.
    """
    request = Request.of(viewer, "disputeWriteOff", command.key, {"dispute": command.dispute_id})

    async def act(transaction: Transaction) -> dict[str, UUID]:
        if not viewer.may(Scope.FINANCE_WRITE):
            raise not_found("dispute", "disputeId")
        connection = transaction.connection
        dispute = await disputes.lock_own(transaction, viewer, command.dispute_id)
        account = chart.creator(AccountKind.OWED, dispute["currency"], dispute["creator_id"])
        owed = -int(await connection.fetchval(_OWED, account.code))
        amount = min(owed, int(dispute["net"] or 0))
        if dispute["status"] != DisputeStatus.LOST or dispute["written_off"] or amount <= 0:
            raise Refused(
                ErrorCode.NOTHING_TO_WRITE_OFF,
                "The creator owes nothing for this dispute, or it was written off before.",
                path=("disputeId",),
            )
        at = now()
        await connection.execute(_WRITE_OFF, command.dispute_id, amount, at)
        draft = chart.dispute_written_off(
            dispute=command.dispute_id,
            creator_id=dispute["creator_id"],
            asset=dispute["currency"],
            amount=amount,
            effective_at=at,
        )
        await post(engine, connection, [draft])
        # The ledger has locked the account only now: nobody may have paid, or borne, the same debt meanwhile.
        if await connection.fetchval(_OWED, account.code) > 0:
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
