"""Money that goes back."""

from dataclasses import replace

from core.ids import uuid7
from providers.payments.base import (
    Capability,
    PaymentFact,
    PaymentProvider,
    ProviderErrorCode,
    Refund,
    RefundFact,
    RefundReason,
    RefundState,
    Subject,
)

from .words import Methods, at_once, charged, check, creation, fetched, only, refusal

REFUND = Capability.REFUND


def refund(payment: PaymentFact, amount: int) -> Refund:
    reference = uuid7()
    return Refund(
        f"refund:{reference}", reference, payment.provider_reference, amount, RefundReason.REQUESTED_BY_CUSTOMER
    )


async def refunds_of(provider: PaymentProvider, payment: PaymentFact) -> list[RefundFact]:
    facts = await provider.fetch(Subject.PAYMENT, payment.provider_reference)
    return [fact for fact in facts if isinstance(fact, RefundFact)]


@check(REFUND)
async def refund_of_all_is_stated_and_found(provider: PaymentProvider, methods: Methods) -> None:
    payment = await charged(provider, methods)
    command = refund(payment, 1250)
    fact = await provider.refund(command)
    assert (fact.payment, fact.reference) == (payment.reference, command.reference)
    assert (fact.amount, fact.currency, fact.failure_code) == (1250, "USD", None)
    assert fact.state in {RefundState.PENDING, RefundState.SUCCEEDED}
    assert fact.balance_transaction is not None
    assert fact.return_transaction is None
    assert await only(provider, Subject.REFUND, fact.provider_reference) == fact
    assert await provider.find(Subject.REFUND, command.reference) == (fact,)
    assert await refunds_of(provider, payment) == [fact]
    assert await fetched(provider, payment) == payment


@check(REFUND, Capability.PARTIAL_REFUND)
async def refunds_in_parts_never_exceed_what_was_captured(provider: PaymentProvider, methods: Methods) -> None:
    payment = await charged(provider, methods)
    facts = [await provider.refund(refund(payment, amount)) for amount in (1, 249, 1000)]
    assert await refunds_of(provider, payment) == facts
    for amount in (1, 1250):
        error = await refusal(provider.refund(refund(payment, amount)))
        assert error.code is ProviderErrorCode.AMOUNT_INVALID
    assert await refunds_of(provider, payment) == facts


@check(REFUND)
async def refund_of_more_or_of_nothing_is_refused(provider: PaymentProvider, methods: Methods) -> None:
    payment = await charged(provider, methods)
    for amount in (1251, 0, -1, 2**64):
        command = refund(payment, amount)
        assert (await refusal(provider.refund(command))).code is ProviderErrorCode.AMOUNT_INVALID
        assert await provider.find(Subject.REFUND, command.reference) == ()
    assert await refunds_of(provider, payment) == []


@check(REFUND)
async def refunding_what_was_not_captured_conflicts(provider: PaymentProvider, methods: Methods) -> None:
    payment = await provider.create_payment(creation())
    command = refund(payment, 1)
    error = await refusal(provider.refund(command))
    assert (error.code, error.fact) == (ProviderErrorCode.STATE_CONFLICT, payment)
    assert await provider.find(Subject.REFUND, command.reference) == ()


@check(REFUND)
async def refund_with_one_key_happens_once(provider: PaymentProvider, methods: Methods) -> None:
    payment = await charged(provider, methods)
    command = refund(payment, 500)
    answers, errors = await at_once([provider.refund(command) for _ in range(8)])
    assert errors == []
    assert len(set(answers)) == 1
    assert await refunds_of(provider, payment) == answers[:1]
    assert (await refusal(provider.refund(replace(command, amount=501)))).code is ProviderErrorCode.MISCONFIGURED
    assert await refunds_of(provider, payment) == answers[:1]


@check(REFUND)
async def refund_for_one_reference_happens_once_whatever_the_key(
    provider: PaymentProvider, methods: Methods
) -> None:
    payment = await charged(provider, methods)
    command = refund(payment, 500)
    await at_once(
        [provider.refund(replace(command, idempotency_key=f"{command.idempotency_key}:{n}")) for n in range(8)]
    )
    assert len(await refunds_of(provider, payment)) == 1


@check(REFUND)
async def refunds_at_once_give_back_no_more_than_was_captured(provider: PaymentProvider, methods: Methods) -> None:
    payment = await charged(provider, methods)
    answers, errors = await at_once([provider.refund(refund(payment, 1250)) for _ in range(8)])
    assert (len(answers), len(errors)) == (1, 7)
    assert {error.code for error in errors} == {ProviderErrorCode.AMOUNT_INVALID}
    assert await refunds_of(provider, payment) == answers


@check(REFUND)
async def refund_of_an_unknown_payment_is_not_found(provider: PaymentProvider, methods: Methods) -> None:
    command = Refund(
        f"key:{uuid7()}", uuid7(), methods.unknown_objects[Subject.PAYMENT], 1, RefundReason.DUPLICATE
    )
    assert (await refusal(provider.refund(command))).code is ProviderErrorCode.NOT_FOUND
