"""Paying out: the calls to the provider that a payout takes, one after another, whoever makes them.

A payout is transferred to the creator's account at the provider, paid out from there, and, if that fails, its
transfer is taken back. Each call is written down before it is made (``calling_until``, in a commit of its own)
and its answer is settled after; whoever comes later looks up how the call before ended, and never guesses.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import structlog

from core.clock import now
from core.payouts import PayoutStep
from models.database import DATABASE_ERRORS
from providers.payments.base import (
    Fact,
    Payout,
    ProviderAction,
    ProviderError,
    ProviderErrorCode,
    ReverseTransfer,
    Subject,
    Transfer,
)
from services.calls import RESEND_WITHIN, claimed_until, patience
from services.engine import Engine
from services.fold.payouts import DISPUTE_OPEN, PayoutKnown
from services.payout_books import end_here, search_later

_BATCH: Final = 20
_SHORTEST_DELAY: Final = timedelta(seconds=1)
_LONGEST_DELAY: Final = timedelta(hours=6)
_LOOK_UP_AFTER: Final = timedelta(minutes=1)
# What was transferred and is not there to be paid out by then was converted, or paid out past us: it comes back.
_BALANCE_COMES_WITHIN: Final = timedelta(days=3)
# Refusals that say nothing about this payout: the same call may well be taken another time.
_PASSING: Final = frozenset({ProviderAction.SAME_KEY, ProviderAction.LATER, ProviderAction.FIX_CONFIG})

_CLAIMED: Final = """
    update payouts p set calling_until = $2, attempts = p.attempts + 1
    from due where p.id = due.id
    returning p.*,
        (select at from payout_events e where e.payout_id = p.id and e.sequence = p.sequence) as status_at,
        exists (
            select from disputes d
            where d.creator_id = p.creator_id and d.status in ('NEEDS_RESPONSE', 'UNDER_REVIEW')
        ) or exists (
            select from disputes d join payment_shares s on s.payment_id = d.payment_id
            where d.creator_id is null and d.status in ('NEEDS_RESPONSE', 'UNDER_REVIEW')
                and s.creator_id = p.creator_id
        ) as is_disputed,
        exists (
            select from ledger.account a
            where a.code = 'creator:' || p.creator_id || ':owed:' || p.currency and a.posted < 0
        ) as is_indebted
"""
_CLAIM: Final = f"""
    with due as (
        select id from payouts where id = $4 and calling_until <= $1 and provider = $3
        for no key update skip locked
    )
    {_CLAIMED}
"""  # ruff: ignore[hardcoded-sql-expression] - made of constants
_CLAIM_NEXT: Final = f"""
    with due as (
        select id from payouts where calling_until <= $1 and provider = $3
        order by calling_until limit 1 for no key update skip locked
    )
    {_CLAIMED}
"""  # ruff: ignore[hardcoded-sql-expression] - made of constants
_END_CALL: Final = "update payouts set calling_until = $3 where id = $1 and calling_until = $2"
# A hold is no attempt; the calls before it still count, so that they are looked up before it goes on.
_HOLD: Final = """
    with held as (
        update payouts set status = 'ON_HOLD', reason = $4, sequence = sequence + 1, attempts = attempts - 1,
            calling_until = null, updated_at = $3
        where id = $1 and calling_until = $2 and status = 'REQUESTED'
        returning *
    )
    insert into payout_events (payout_id, sequence, status, reason, at)
    select id, sequence, status, reason, updated_at from held
"""
# A dispute that closes is seen here before the next one opens, or after; a hold too long or too short by one
# round is no harm.
_RELEASE: Final = """
    with free as (
        select id from payouts p
        where status = 'ON_HOLD' and not exists (
            select from disputes d
            where d.creator_id = p.creator_id and d.status in ('NEEDS_RESPONSE', 'UNDER_REVIEW')
        ) and not exists (
            select from disputes d join payment_shares s on s.payment_id = d.payment_id
            where d.creator_id is null and d.status in ('NEEDS_RESPONSE', 'UNDER_REVIEW')
                and s.creator_id = p.creator_id
        )
        order by id limit $2 for no key update skip locked
    ),
    payout as (
        update payouts p set status = 'REQUESTED', reason = null, sequence = p.sequence + 1, calling_until = $1,
            updated_at = $1
        from free where p.id = free.id
        returning p.*
    )
    insert into payout_events (payout_id, sequence, status, reason, at)
    select id, sequence, status, reason, updated_at from payout
    returning payout_id
"""

log = structlog.get_logger(__name__)


async def advance(engine: Engine, payout_id: UUID) -> None:
    """Take a payout as far as it goes now. Whoever else is at it, and whatever was done already, is respected."""
    while True:
        at = now()
        lease = claimed_until(engine, at, calls=2)
        row = await engine.database.writer.fetchrow(_CLAIM, at, lease, engine.provider.name, payout_id)
        if row is None:
            return
        await _step(engine, row)


async def sweep(engine: Engine) -> bool:
    """Go on with payouts whose next call is due or whose caller is gone; look up what the provider is silent on.

    Run by any number of workers. Return whether there may be more.
    """
    for _ in range(_BATCH):
        at = now()
        lease = claimed_until(engine, at, calls=2)
        row = await engine.database.writer.fetchrow(_CLAIM_NEXT, at, lease, engine.provider.name)
        if row is None:
            return False
        await _step(engine, row)
    return True


async def release_holds(engine: Engine) -> bool:
    """Let payouts go on whose creators have no open dispute any more. Return whether there may be more."""
    released = await engine.database.writer.fetch(_RELEASE, now(), _BATCH)
    return len(released) == _BATCH


async def _step(engine: Engine, row: Any) -> None:
    """Do what a claimed payout waits for; what goes wrong with it comes back later."""
    try:
        await _do(engine, row)
    except ProviderError as error:
        log.warning("provider could not be asked", payout=str(row["id"]), code=error.code.value)
        await _later(engine, row)
    except DATABASE_ERRORS:
        raise
    except Exception:
        # Whatever is wrong with one payout, the others wait behind it.
        log.exception("payout could not go on", payout=str(row["id"]), step=row["step"])
        await _later(engine, row)


async def _do(engine: Engine, row: Any) -> None:
    known = PayoutKnown.of(row)
    if known.step is PayoutStep.TRANSFER:
        await _transfer(engine, row)
    elif known.step is PayoutStep.PAYOUT:
        await _pay_out(engine, row, known)
    elif known.step is PayoutStep.REVERSE:
        await _take_back(engine, row)
    else:
        await _look_up(engine, row, known)


async def _transfer(engine: Engine, row: Any) -> None:
    if await _found(engine, row, Subject.TRANSFER):
        return
    if row["is_disputed"] and not row["reconciling"]:
        # Nothing of it has left: what holds a first call holds a later one.
        await engine.database.writer.execute(_HOLD, row["id"], row["calling_until"], now(), DISPUTE_OPEN)
        return
    if row["is_indebted"] and not row["reconciling"]:
        # What a lost dispute or a refund took was set aside for this payout already: the debt comes first.
        await end_here(engine, row["id"], PayoutStep.TRANSFER, "CREATOR_OWES")
        return
    call = Transfer(
        idempotency_key=f"transfer:{row['id']}",
        reference=row["id"],
        account=row["account_reference"],
        amount=int(row["amount"]),
        currency=row["currency"],
    )
    try:
        fact = await engine.provider.transfer(call)
    except ProviderError as error:
        await _refused(engine, row, PayoutStep.TRANSFER, error)
    else:
        await _settle(engine, [fact])


async def _pay_out(engine: Engine, row: Any, known: PayoutKnown) -> None:
    if await _found(engine, row, Subject.PAYOUT):
        return
    if known.reversal_transaction is not None:
        # Somebody took the transfer back at the provider: there is nothing on the account to pay out.
        await end_here(engine, row["id"], PayoutStep.PAYOUT, "TRANSFER_REVERSED")
        return
    call = Payout(
        idempotency_key=f"payout:{row['id']}",
        reference=row["id"],
        account=row["account_reference"],
        amount=int(row["amount"]),
        currency=row["currency"],
    )
    try:
        fact = await engine.provider.payout(call)
    except ProviderError as error:
        await _refused(engine, row, PayoutStep.PAYOUT, error)
    else:
        await _settle(engine, [fact])


async def _take_back(engine: Engine, row: Any) -> None:
    if row["attempts"] > 1:
        facts = await engine.provider.fetch(Subject.TRANSFER, row["transfer_reference"])
        await _settle(engine, facts)
        if any(getattr(fact, "reversal_transaction", None) for fact in facts):
            return
    call = ReverseTransfer(idempotency_key=f"reverse:{row['id']}", provider_reference=row["transfer_reference"])
    try:
        fact = await engine.provider.reverse_transfer(call)
    except ProviderError as error:
        # The creator has their money back; the platform's is asked for until it comes.
        await _refused(engine, row, PayoutStep.REVERSE, error)
    else:
        await _settle(engine, [fact])


async def _look_up(engine: Engine, row: Any, known: PayoutKnown) -> None:
    """Ask how a payout stands whose end is not known; the longer it stands still, the more rarely."""
    await _settle(engine, await engine.provider.fetch(Subject.PAYOUT, row["provider_reference"]))
    at = now()
    again_at = at + patience(at - row["provider_state_at"], _LOOK_UP_AFTER)
    await _end_call(engine.database.writer, row, again_at if known.waits or known.may_come_back(at) else None)


async def _found(engine: Engine, row: Any, subject: Subject) -> bool:
    """Look up a call that was made before and never ended well; return whether that decided it.

    Nothing is decided by a first call, or by one that left no trace while its key still holds good.
    """
    if row["attempts"] == 1:
        return False
    facts = await engine.provider.find(subject, row["id"])
    if facts:
        await _settle(engine, facts)
        return True
    if row["reconciling"] and now() - row["status_at"] > RESEND_WITHIN:
        await end_here(engine, row["id"], PayoutStep(row["step"]), "PROVIDER_SILENT")
        return True
    return False


async def _refused(engine: Engine, row: Any, step: PayoutStep, error: ProviderError) -> None:
    """Take a call's refusal: looked up, made again later, or the end of the payout."""
    if error.ambiguous:
        await search_later(engine, row["id"], row["calling_until"], now() + _delay(row))
        return
    if error.fact is not None:
        await _settle(engine, [error.fact])
    passing = error.action in _PASSING and error.code is not ProviderErrorCode.ACCOUNT_NOT_READY
    if step is PayoutStep.PAYOUT and error.code is ProviderErrorCode.BALANCE_INSUFFICIENT:
        passing = row["reconciling"] or now() - row["status_at"] < _BALANCE_COMES_WITHIN
    elif error.code is ProviderErrorCode.BALANCE_INSUFFICIENT:
        passing = True
    if passing or step is PayoutStep.REVERSE:
        log.warning("provider refused for now", payout=str(row["id"]), step=step.value, code=error.code.value)
        await _later(engine, row)
        return
    await end_here(engine, row["id"], step, error.code.value)


async def _settle(engine: Engine, facts: Sequence[Fact]) -> None:
    await engine.settle(engine, facts, look_up_at=None)


async def _later(engine: Engine, row: Any) -> None:
    await _end_call(engine.database.writer, row, now() + _delay(row))


async def _end_call(on: Any, row: Any, again_at: datetime | None) -> None:
    """End a call by when the next is due; what was settled meanwhile has said that itself."""
    await on.execute(_END_CALL, row["id"], row["calling_until"], again_at)


def _delay(row: Any) -> timedelta:
    doublings: int = min(row["attempts"] - 1, 20)
    return min(_SHORTEST_DELAY * (1 << doublings), _LONGEST_DELAY)
