"""Disputes: read, and answered with evidence.

That there is a dispute, and how it ends, the provider tells: see ``services.returns``. Evidence is written down
before it is handed in, and ``calling_until`` is as for a refund.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import orjson
import structlog

from core.clock import now
from core.disputes import DisputeStatus
from core.errors import ErrorCode, Refused, not_found
from core.ids import uuid7
from core.viewer import Viewer
from models.database import DATABASE_ERRORS, Transaction, fetch_one
from providers.payments import base
from services.calls import claimed_until
from services.engine import Engine
from services.paging import Page, PageQuery, fetch_page
from services.payments import LOCK_PAYMENT, is_payee
from services.requests import Request, once

EVIDENCE: Final = frozenset(
    {
        "access_activity_log",
        "cancellation_policy_disclosure",
        "cancellation_rebuttal",
        "customer_email_address",
        "customer_name",
        "customer_purchase_ip",
        "duplicate_charge_explanation",
        "product_description",
        "refund_policy_disclosure",
        "refund_refusal_explanation",
        "service_date",
        "shipping_address",
        "shipping_carrier",
        "shipping_date",
        "shipping_tracking_number",
        "uncategorized_text",
    }
)
"""What evidence may be about."""

_MAXIMUM_EVIDENCE_LENGTH: Final = 20_000
_RETRY_AFTER: Final = timedelta(seconds=10)
_BATCH: Final = 100

# A dispute belongs to its payment, whose lock guards it.
_PAYMENT_OF: Final = """
    select d.payment_id, c.user_id as creator_user_id
    from disputes d left join creators c on c.id = d.creator_id
    where d.id = $1
"""
_LOCK: Final = "select * from disputes where id = $1 for no key update"
# When it was asked to be submitted is written down at once: what goes on with it has to know.
_BEGIN: Final = """
    update disputes set attempt_id = $2, evidence = coalesce(evidence, '{}'::jsonb) || $3::jsonb,
        evidence_submitted_at = coalesce($4, evidence_submitted_at), calling_until = $5, updated_at = $6
    where id = $1
"""
_TAKE_OVER: Final = """
    update disputes set calling_until = $4 where id = $1 and attempt_id = $2 and calling_until <= $3 returning *
"""
_CLAIM: Final = """
    update disputes set calling_until = $2 where id in (
        select id from disputes where calling_until <= $1 and provider = $4 order by calling_until limit $3
        for no key update skip locked
    )
    returning *
"""
_POSTPONE: Final = """
    update disputes set calling_until = $3 where id = $1 and attempt_id = $2 and calling_until is not null
"""
_END: Final = "update disputes set calling_until = null where id = $1 and attempt_id = $2"
# What is under review was submitted, by a call before this one.
_END_REFUSED: Final = """
    update disputes set calling_until = null,
        evidence_submitted_at = case when status = 'UNDER_REVIEW' then evidence_submitted_at end
    where id = $1 and attempt_id = $2
"""
_READ: Final = (
    "select d.*, c.user_id as creator_user_id from disputes d left join creators c on c.id = d.creator_id"
)
_READ_BY_ID: Final = f"{_READ} where d.id = any($1::uuid[])"
_READ_BY_PAYMENT: Final = f"{_READ} where d.payment_id = any($1::uuid[]) order by d.id"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class AnswerDispute:
    """Give evidence, as texts by the names of ``EVIDENCE``. Once it is submitted, no more is taken."""

    dispute_id: UUID
    evidence: Mapping[str, str] = field(repr=False)
    submit: bool
    key: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A dispute's row as it is now, and the refusal to show beside it, if any."""

    row: Any
    replayed: bool
    refusal: Refused | None = None


async def answer(engine: Engine, viewer: Viewer, command: AnswerDispute) -> Answer:
    """Give evidence in a dispute over what the viewer was paid, or in any as an operator.

    It is added to what was given before. Exactly once per ``command.key``.
    Errors: NOT_FOUND, INPUT_INVALID (names, lengths, nothing at all), DISPUTE_CLOSED, DISPUTE_RESPONSE_LATE
    (with ``respondBy``), PAYMENT_IN_PROGRESS (an answer is on its way), PROVIDER_UNSUPPORTED,
    PROVIDER_UNAVAILABLE, IDEMPOTENCY_KEY_REUSED.
    """
    body = {"dispute": command.dispute_id, "evidence": dict(command.evidence), "submit": command.submit}
    request = Request.of(viewer, "disputeAnswer", command.key, body)
    _check(command.evidence, submit=command.submit)

    async def act(transaction: Transaction) -> dict[str, UUID]:
        dispute = await lock_own(transaction, viewer, command.dispute_id)
        _ensure_open(engine, dispute)
        at = now()
        attempt_id = uuid7()
        await transaction.connection.execute(
            _BEGIN,
            command.dispute_id,
            attempt_id,
            orjson.dumps(dict(command.evidence)).decode(),
            at if command.submit else None,
            claimed_until(engine, at, calls=2),
            at,
        )
        return {"dispute": command.dispute_id, "attempt": attempt_id}

    outcome = await once(engine, request, act)
    attempt_id = outcome.ids["attempt"]
    refusal: Refused | None = None
    if outcome.replayed:
        at = now()
        row = await engine.database.writer.fetchrow(
            _TAKE_OVER, command.dispute_id, attempt_id, at, claimed_until(engine, at, calls=2)
        )
    else:
        row = await read(engine, command.dispute_id)
    if row is not None:
        refusal = await _call(engine, row)
    return Answer(await read(engine, command.dispute_id), outcome.replayed, refusal)


async def sweep(engine: Engine) -> bool:
    """Go on with answers whose caller is gone. Return whether there may be more.

    Run by any number of workers.
    """
    at = now()
    lease = claimed_until(engine, at, calls=2)
    rows = await engine.database.writer.fetch(_CLAIM, at, lease, _BATCH, engine.provider.name)
    for row in rows:
        if now() >= row["calling_until"]:
            break  # the claim has lapsed: the rest is anybody's again
        try:
            await _advance(engine, row)
        except base.ProviderError as error:
            log.warning("provider could not be asked", dispute=str(row["id"]), code=error.code.value)
            await _postpone(engine, row, _RETRY_AFTER)
        except DATABASE_ERRORS:
            raise
        except Exception:
            log.exception("answer to a dispute could not be finished", dispute=str(row["id"]))
    return len(rows) == _BATCH


async def by_id(engine: Engine, ids: Sequence[UUID]) -> list[Any]:
    """Read disputes with their creator's user. Says nothing about who may see them."""
    return await engine.database.reader.fetch(_READ_BY_ID, ids)


async def by_payment(engine: Engine, payment_ids: Sequence[UUID]) -> list[Any]:
    """Read the disputes over payments, oldest first. Says nothing about who may see them."""
    return await engine.database.reader.fetch(_READ_BY_PAYMENT, payment_ids)


async def of_creator(engine: Engine, creator_id: UUID, query: PageQuery) -> Page:
    """Page through the disputes over what a creator was paid."""
    return await fetch_page(
        engine.database.reader,
        "disputes of a creator",
        f"{_READ} where d.creator_id = $1",
        (creator_id,),
        query,
    )


async def read(engine: Engine, dispute_id: UUID) -> Any:
    """Return a dispute's row as it is now. Says nothing about who may see it."""
    return await fetch_one(engine.database.reader, _READ_BY_ID, [dispute_id])


def is_being_answered(row: Any) -> bool:
    """Return whether evidence for a dispute is on its way to the provider."""
    return row["calling_until"] is not None


async def lock_own(transaction: Transaction, viewer: Viewer, dispute_id: UUID) -> Any:
    """Lock a dispute, with its payment, for whoever acts for its creator. Errors: NOT_FOUND."""
    connection = transaction.connection
    found = await connection.fetchrow(_PAYMENT_OF, dispute_id)
    if found is None or not is_payee(viewer, found):
        raise not_found("dispute", "disputeId")
    await connection.execute(LOCK_PAYMENT, found["payment_id"])
    return await fetch_one(connection, _LOCK, dispute_id)


def _ensure_open(engine: Engine, dispute: Any) -> None:
    if dispute["calling_until"] is not None and dispute["calling_until"] > now():
        raise Refused(
            ErrorCode.PAYMENT_IN_PROGRESS,
            "Evidence for this dispute is on its way to the provider. Try again in a moment.",
            path=("disputeId",),
            transient=True,
        )
    if dispute["status"] != DisputeStatus.NEEDS_RESPONSE:
        raise _closed(dispute["status"])
    if dispute["respond_by"] is not None and dispute["respond_by"] <= now():
        raise _late(dispute["respond_by"])
    if (
        base.Capability.DISPUTES not in engine.provider.capabilities.features
        or dispute["provider"] != engine.provider.name
    ):
        raise Refused(
            ErrorCode.PROVIDER_UNSUPPORTED,
            "The payment provider takes no evidence from here. Hand it in at the provider.",
            path=("disputeId",),
        )


def _check(evidence: Mapping[str, str], *, submit: bool) -> None:
    for name, text in evidence.items():
        if name not in EVIDENCE:
            raise Refused(ErrorCode.INPUT_INVALID, "There is no such kind of evidence.", path=("evidence",))
        if not 1 <= len(text.strip()) <= len(text) <= _MAXIMUM_EVIDENCE_LENGTH:
            raise Refused(
                ErrorCode.INPUT_INVALID,
                f"Evidence has 1 to {_MAXIMUM_EVIDENCE_LENGTH:,} characters.",
                path=("evidence", _in_camel_case(name)),
            )
    if not evidence and not submit:
        raise Refused(ErrorCode.INPUT_INVALID, "Send some evidence, or submit what was given.", path=("evidence",))


def _in_camel_case(name: str) -> str:
    """Return a name as the contract writes it."""
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def _closed(status: str) -> Refused:
    decided = status in {DisputeStatus.LOST, DisputeStatus.WON}
    return Refused(
        ErrorCode.DISPUTE_CLOSED,
        "This dispute is decided: no more evidence is taken."
        if decided
        else "The evidence was handed in already, and no more is taken.",
        path=("disputeId",),
    )


def _late(respond_by: datetime) -> Refused:
    return Refused(
        ErrorCode.DISPUTE_RESPONSE_LATE,
        "The time to give evidence in this dispute is over.",
        path=("disputeId",),
        data={"respondBy": respond_by.isoformat()},
    )


# At the provider ----------------------------------------------------------------------------------------------


async def _advance(engine: Engine, row: Any) -> None:
    """Look up what became of an answer, and hand it in again where it left no mark: that is the same answer."""
    facts = await engine.provider.fetch(base.Subject.DISPUTE, row["provider_reference"])
    await engine.settle(engine, facts, look_up_at=None)
    states = {fact.state for fact in facts if isinstance(fact, base.DisputeFact)}
    if states == {base.DisputeState.NEEDS_RESPONSE}:
        await _call(engine, row)
    else:
        await engine.database.writer.execute(_END, row["id"], row["attempt_id"])


async def _call(engine: Engine, row: Any) -> Refused | None:
    """Hand in a claimed dispute's evidence and settle what the provider answers; return its refusal, if any."""
    command = base.AnswerDispute(
        idempotency_key=f"dispute:{row['attempt_id']}",
        provider_reference=row["provider_reference"],
        evidence=orjson.loads(row["evidence"]),
        submit=row["evidence_submitted_at"] is not None,
    )
    try:
        fact = await engine.provider.answer_dispute(command)
    except base.ProviderError as error:
        return await _refused_by_provider(engine, row, error)
    await engine.settle(engine, [fact], look_up_at=None)
    await engine.database.writer.execute(_END, row["id"], row["attempt_id"])
    return None


async def _refused_by_provider(engine: Engine, row: Any, error: base.ProviderError) -> Refused | None:
    if error.fact is not None:
        await engine.settle(engine, [error.fact], look_up_at=None)
    if error.ambiguous:
        await _postpone(engine, row, timedelta(0))
        return None
    if error.action in {base.ProviderAction.SAME_KEY, base.ProviderAction.LATER, base.ProviderAction.FIX_CONFIG}:
        await _postpone(engine, row, _RETRY_AFTER)
        return Refused(
            ErrorCode.PROVIDER_UNAVAILABLE,
            "The payment provider did not take the evidence yet. It is handed in again by itself.",
        )
    await engine.database.writer.execute(_END_REFUSED, row["id"], row["attempt_id"])
    if error.code is base.ProviderErrorCode.EXPIRED and row["respond_by"] is not None:
        return _late(row["respond_by"])
    if error.code in {base.ProviderErrorCode.STATE_CONFLICT, base.ProviderErrorCode.EXPIRED}:
        current = await read(engine, row["id"])
        return _closed(current["status"])
    return Refused(
        ErrorCode.INPUT_INVALID, "The payment provider does not take this evidence.", path=("evidence",)
    )


async def _postpone(engine: Engine, row: Any, by: timedelta) -> None:
    await engine.database.writer.execute(_POSTPONE, row["id"], row["attempt_id"], now() + by)
