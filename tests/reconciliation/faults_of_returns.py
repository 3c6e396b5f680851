"""Faults of refunds, disputes and payouts."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from core import clock
from core.clock import now
from core.ids import Noun, encode
from providers.payments.base import DisputeFact, Subject
from services.reconciliation import DifferenceCode as Code
from services.reconciliation import Limits
from tests.reconciliation.faults import fault, paid
from tests.reconciliation.scene import Scene


async def refunded(scene: Scene, method: str = "tok_success") -> UUID:
    refund = await scene.refund(await paid(scene, method=method), 400)
    await scene.told()
    return refund


async def disputed(scene: Scene, method: str = "tok_dispute") -> Any:
    """Let a payment be disputed and told; return the dispute's row."""
    await paid(scene, method=method)
    await scene.later(seconds=10)
    return await scene.owner.fetchrow("select * from disputes")


async def paid_out(scene: Scene, amount: int = 500) -> UUID:
    """Ask for a payout, and let be told how far it came at once."""
    await paid(scene, 10_000)
    await scene.later(days=30)
    await scene.matured()
    payout = await scene.payout(amount)
    await scene.told()
    return payout


async def unheard(scene: Scene, **ahead: float) -> None:
    """Let time pass at the provider without a word of what happens."""
    clock.set_ahead(await scene.sandbox.advance_clock(timedelta(**ahead)))
    await scene.sandbox.run_due()


# Refunds ----------------------------------------------------------------------------------------------------


@fault(Code.REFUND_POSTING_DIFFERS, Code.EARNINGS_DIFFER)
async def posted_refund_was_not_accepted(scene: Scene) -> str:
    refund = await refunded(scene)
    await scene.run("update refunds set accepted_at = null where id = $1", refund)
    return encode(Noun.REFUND, refund)


@fault(Code.REFUND_RETURN_POSTING_DIFFERS, Code.EARNINGS_DIFFER, Code.PAYMENT_RETURNS_DIFFER)
async def refund_was_given_back_without_a_posting(scene: Scene) -> str:
    refund = await refunded(scene)
    await scene.run("update refunds set returned_at = now() where id = $1", refund)
    return encode(Noun.REFUND, refund)


@fault(Code.REFUND_TRANSACTION_NOT_POSTED)
async def refund_came_back_without_a_posting(scene: Scene) -> str:
    refund = await refunded(scene)
    await scene.run("update refunds set return_transaction = 'txn_back' where id = $1", refund)
    return encode(Noun.REFUND, refund)


@fault(Code.REFUND_OUTDATED, Code.EVENT_MISSED, safe=True)
async def refund_ended_unheard(scene: Scene) -> str:
    refund = await refunded(scene, "tok_refund_pending")
    await unheard(scene, days=1)
    return encode(Noun.REFUND, refund)


@fault(Code.REFUND_STUCK, limits=Limits(refund=timedelta(0)))
async def refund_is_on_its_way_for_ever(scene: Scene) -> str:
    return encode(Noun.REFUND, await refunded(scene, "tok_refund_pending"))


@fault(Code.REFUND_UNKNOWN)
async def provider_forgot_a_refund(scene: Scene) -> str:
    refund = await refunded(scene, "tok_refund_pending")
    reference = (await scene.row("refunds", refund))["provider_reference"]
    scene.provider.answers[Subject.REFUND, reference] = None
    return encode(Noun.REFUND, refund)


# Disputes ---------------------------------------------------------------------------------------------------


@fault(Code.DISPUTE_POSTING_DIFFERS)
async def less_was_withdrawn_than_is_posted(scene: Scene) -> str:
    dispute = await disputed(scene)
    await scene.run("update disputes set withdrawn = withdrawn - 1")
    # As the provider tells it, so that nothing but the posting differs.
    await says(scene, dispute, withdrawal=_one_less)
    return encode(Noun.DISPUTE, dispute["id"])


@fault(Code.DISPUTE_RETURN_POSTING_DIFFERS)
async def write_off_is_not_posted(scene: Scene) -> str:
    dispute = await disputed(scene)
    await scene.run("update disputes set written_off = 1, written_off_at = now()")
    return encode(Noun.DISPUTE, dispute["id"])


@fault(Code.DISPUTE_OUTDATED, Code.EVENT_MISSED, safe=True)
async def dispute_ended_unheard(scene: Scene) -> str:
    dispute = await disputed(scene)
    await unheard(scene, days=60)
    return encode(Noun.DISPUTE, dispute["id"])


@fault(Code.DISPUTE_STUCK)
async def dispute_is_late_and_undecided(scene: Scene) -> str:
    dispute = await disputed(scene)
    late = now() - timedelta(days=1)
    await scene.run("update disputes set respond_by = $1", late)
    await says(scene, dispute, respond_by=lambda _: late)
    return encode(Noun.DISPUTE, dispute["id"])


@fault(Code.DISPUTE_UNKNOWN)
async def provider_forgot_a_dispute(scene: Scene) -> str:
    dispute = await disputed(scene)
    scene.provider.answers[Subject.DISPUTE, dispute["provider_reference"]] = None
    return encode(Noun.DISPUTE, dispute["id"])


async def says(scene: Scene, dispute: Any, **changed: Any) -> None:
    """Let the provider say something else of a dispute."""
    reference = dispute["provider_reference"]
    facts = await scene.sandbox.fetch(Subject.DISPUTE, reference)
    scene.provider.answers[Subject.DISPUTE, reference] = [
        replace(fact, **{name: change(getattr(fact, name)) for name, change in changed.items()})
        for fact in facts
        if isinstance(fact, DisputeFact)
    ]


def _one_less(move: Any) -> Any:
    return replace(move, amount=move.amount - 1)


# Payouts ----------------------------------------------------------------------------------------------------


@fault(Code.PAYOUT_POSTING_DIFFERS)
async def posted_payout_was_not_paid(scene: Scene) -> str:
    payout = await paid_out(scene)
    await scene.later(days=5)
    await scene.run("update payouts set paid_at = null where id = $1", payout)
    return encode(Noun.PAYOUT, payout)


@fault(Code.PAYOUT_TRANSACTION_NOT_POSTED)
async def transfer_came_back_without_a_posting(scene: Scene) -> str:
    payout = await paid_out(scene)
    await scene.later(days=5)
    await scene.run("update payouts set reversal_transaction = 'txn_back' where id = $1", payout)
    return encode(Noun.PAYOUT, payout)


@fault(Code.PAYOUT_OUTDATED, Code.EVENT_MISSED, safe=True)
async def payout_ended_unheard(scene: Scene) -> str:
    payout = await paid_out(scene)
    await unheard(scene, days=5)
    return encode(Noun.PAYOUT, payout)


@fault(Code.PAYOUT_STUCK, limits=Limits(payout=timedelta(0)))
async def payout_is_in_transit_for_ever(scene: Scene) -> str:
    payout = await paid_out(scene, 4_006)
    await scene.later(days=5)
    return encode(Noun.PAYOUT, payout)


@fault(Code.PAYOUT_UNKNOWN)
async def provider_forgot_a_transfer(scene: Scene) -> str:
    payout = await paid_out(scene, 4_006)
    await scene.later(days=5)
    reference = (await scene.row("payouts", payout))["transfer_reference"]
    scene.provider.answers[Subject.TRANSFER, reference] = None
    return encode(Noun.PAYOUT, payout)
