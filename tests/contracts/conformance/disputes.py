"""Payments that are disputed."""

from dataclasses import replace
from datetime import timedelta

from core.ids import uuid7
from providers.payments.base import (
    AnswerDispute,
    Capability,
    DisputeFact,
    DisputeState,
    PaymentProvider,
    ProviderErrorCode,
    Subject,
)

from .words import Methods, at_once, charged, check, only, refusal

DISPUTES = Capability.DISPUTES


async def disputed(provider: PaymentProvider, methods: Methods) -> DisputeFact:
    reference = await methods.levers.open_dispute(await charged(provider, methods))
    fact = await only(provider, Subject.DISPUTE, reference)
    assert isinstance(fact, DisputeFact)
    return fact


def answer(
    dispute: DisputeFact, *, submit: bool = True, text: str = "It was sent.", attempt: int = 1
) -> AnswerDispute:
    return AnswerDispute(
        f"answer:{dispute.provider_reference}:{attempt}",
        dispute.provider_reference,
        {"uncategorized_text": text},
        submit=submit,
    )


@check(DISPUTES)
async def dispute_takes_its_money_and_waits_for_an_answer(provider: PaymentProvider, methods: Methods) -> None:
    payment = await charged(provider, methods)
    reference = await methods.levers.open_dispute(payment)
    fact = await only(provider, Subject.DISPUTE, reference)
    assert isinstance(fact, DisputeFact)
    assert (fact.payment, fact.state) == (payment.reference, DisputeState.NEEDS_RESPONSE)
    assert (fact.amount, fact.currency) == (1250, "USD")
    assert fact.withdrawal is not None
    assert (fact.withdrawal.amount, fact.reinstatement) == (1250, None)
    assert fact.withdrawal.fee >= 0
    assert fact.respond_by is not None
    assert fact.respond_by > fact.at
    facts = await provider.fetch(Subject.PAYMENT, payment.provider_reference)
    assert fact in facts
    assert facts[0] == payment


@check(DISPUTES)
async def evidence_is_taken_until_it_is_submitted(provider: PaymentProvider, methods: Methods) -> None:
    dispute = await disputed(provider, methods)
    noted = await provider.answer_dispute(answer(dispute, submit=False))
    assert noted.state is DisputeState.NEEDS_RESPONSE
    submitted = await provider.answer_dispute(answer(dispute, attempt=2))
    assert submitted.state is DisputeState.UNDER_REVIEW
    error = await refusal(provider.answer_dispute(answer(dispute, attempt=3)))
    assert (error.code, error.fact) == (ProviderErrorCode.STATE_CONFLICT, submitted)
    assert await only(provider, Subject.DISPUTE, dispute.provider_reference) == submitted


@check(DISPUTES)
async def answer_with_one_key_is_given_once(provider: PaymentProvider, methods: Methods) -> None:
    dispute = await disputed(provider, methods)
    answers, errors = await at_once([provider.answer_dispute(answer(dispute)) for _ in range(8)])
    assert errors == []
    assert len(set(answers)) == 1
    other = replace(answer(dispute), evidence={"uncategorized_text": "something else"})
    assert (await refusal(provider.answer_dispute(other))).code is ProviderErrorCode.MISCONFIGURED
    assert await only(provider, Subject.DISPUTE, dispute.provider_reference) == answers[0]


@check(DISPUTES)
async def dispute_that_is_not_answered_in_time_is_lost(provider: PaymentProvider, methods: Methods) -> None:
    dispute = await disputed(provider, methods)
    await methods.levers.pass_time(timedelta(days=31))
    lost = await only(provider, Subject.DISPUTE, dispute.provider_reference)
    assert isinstance(lost, DisputeFact)
    assert (lost.state, lost.reinstatement) == (DisputeState.LOST, None)
    error = await refusal(provider.answer_dispute(answer(dispute)))
    assert (error.code, error.fact) == (ProviderErrorCode.EXPIRED, lost)


@check(DISPUTES)
async def unknown_dispute_is_not_found(provider: PaymentProvider, methods: Methods) -> None:
    command = AnswerDispute(f"key:{uuid7()}", methods.unknown_objects[Subject.DISPUTE], {})
    assert (await refusal(provider.answer_dispute(command))).code is ProviderErrorCode.NOT_FOUND
