"""Payments that are reserved first and captured later."""

from dataclasses import replace
from datetime import timedelta

from providers.payments.base import (
    Capability,
    CapturePayment,
    ChargeFact,
    PaymentFact,
    PaymentProvider,
    ProviderErrorCode,
    ProviderState,
    Subject,
)

from .words import Methods, at_once, cancellation, charged, check, confirmation, creation, fetched, refusal

MANUAL = Capability.MANUAL_CAPTURE


async def reserved(provider: PaymentProvider, methods: Methods) -> PaymentFact:
    payment = await provider.create_payment(creation(manual=True))
    return await provider.confirm_payment(confirmation(payment, methods.succeeds))


def capture(payment: PaymentFact, amount: int, *, attempt: int = 1) -> CapturePayment:
    return CapturePayment(f"capture:{payment.reference}:{attempt}", payment.provider_reference, amount)


async def charge_of(provider: PaymentProvider, payment: PaymentFact) -> ChargeFact:
    facts = await provider.fetch(Subject.PAYMENT, payment.provider_reference)
    (charge,) = [fact for fact in facts if isinstance(fact, ChargeFact)]
    return charge


@check(MANUAL)
async def confirming_a_manual_payment_reserves_it_and_charges_nothing(
    provider: PaymentProvider, methods: Methods
) -> None:
    payment = await reserved(provider, methods)
    assert payment.state is ProviderState.AUTHORIZED
    assert (payment.authorized, payment.captured) == (1250, 0)
    assert payment.capture_before is not None
    assert payment.capture_before > payment.at
    assert await provider.fetch(Subject.PAYMENT, payment.provider_reference) == (payment,)


@check(MANUAL)
async def captured_in_full_it_is_charged_once_however_often_it_is_asked(
    provider: PaymentProvider, methods: Methods
) -> None:
    payment = await reserved(provider, methods)
    answers, errors = await at_once([provider.capture(capture(payment, 1250)) for _ in range(8)])
    assert errors == []
    assert len(set(answers)) == 1
    assert answers[0].state is ProviderState.SUCCEEDED
    assert (answers[0].authorized, answers[0].captured, answers[0].capture_before) == (1250, 1250, None)
    assert await fetched(provider, payment) == answers[0]
    assert (await charge_of(provider, payment)).gross == 1250
    error = await refusal(provider.capture(capture(payment, 1249)))
    assert error.code is ProviderErrorCode.MISCONFIGURED
    assert await fetched(provider, payment) == answers[0]


@check(MANUAL, Capability.PARTIAL_CAPTURE)
async def captured_in_part_the_rest_is_let_go(provider: PaymentProvider, methods: Methods) -> None:
    payment = await reserved(provider, methods)
    captured = await provider.capture(capture(payment, 500))
    assert (captured.state, captured.captured) == (ProviderState.SUCCEEDED, 500)
    assert (await charge_of(provider, payment)).gross == 500
    error = await refusal(provider.capture(capture(payment, 750, attempt=2)))
    assert (error.code, error.fact) == (ProviderErrorCode.STATE_CONFLICT, captured)


@check(MANUAL)
async def two_captures_at_once_charge_once(provider: PaymentProvider, methods: Methods) -> None:
    payment = await reserved(provider, methods)
    answers, errors = await at_once([provider.capture(capture(payment, 1250, attempt=n)) for n in range(8)])
    assert (len(answers), len(errors)) == (1, 7)
    assert {(error.code, error.fact) for error in errors} == {(ProviderErrorCode.STATE_CONFLICT, answers[0])}


@check(MANUAL)
async def no_more_than_was_reserved_is_captured_and_no_less_than_something(
    provider: PaymentProvider, methods: Methods
) -> None:
    payment = await reserved(provider, methods)
    for attempt, amount in enumerate((1251, 0, -1, 2**64)):
        error = await refusal(provider.capture(capture(payment, amount, attempt=attempt)))
        assert error.code is ProviderErrorCode.AMOUNT_INVALID
    assert await fetched(provider, payment) == payment


@check(MANUAL)
async def capturing_what_is_not_reserved_conflicts(provider: PaymentProvider, methods: Methods) -> None:
    unconfirmed = await provider.create_payment(creation(manual=True))
    automatic = await charged(provider, methods)
    for payment in (unconfirmed, automatic):
        error = await refusal(provider.capture(capture(payment, 1250)))
        assert (error.code, error.fact) == (ProviderErrorCode.STATE_CONFLICT, payment)
        assert await fetched(provider, payment) == payment


@check(MANUAL)
async def canceling_lets_go_of_what_was_reserved(provider: PaymentProvider, methods: Methods) -> None:
    payment = await reserved(provider, methods)
    canceled = await provider.cancel(cancellation(payment))
    assert (canceled.state, canceled.captured) == (ProviderState.CANCELED, 0)
    error = await refusal(provider.capture(capture(payment, 1250)))
    assert (error.code, error.fact) == (ProviderErrorCode.STATE_CONFLICT, canceled)


@check(MANUAL)
async def what_is_not_captured_in_time_lapses(provider: PaymentProvider, methods: Methods) -> None:
    payment = await reserved(provider, methods)
    await methods.levers.pass_time(timedelta(days=31))
    lapsed = await fetched(provider, payment)
    assert (lapsed.state, lapsed.captured) == (ProviderState.CANCELED, 0)
    error = await refusal(provider.capture(capture(payment, 1250)))
    assert (error.code, error.fact) == (ProviderErrorCode.EXPIRED, lapsed)
    assert await fetched(provider, payment) == lapsed


@check(MANUAL)
async def manual_and_automatic_payments_do_not_share_a_key(provider: PaymentProvider, methods: Methods) -> None:
    command = creation(manual=True)
    await provider.create_payment(command)
    error = await refusal(provider.create_payment(replace(command, manual_capture=False)))
    assert error.code is ProviderErrorCode.MISCONFIGURED


@check(MANUAL, lacks=[Capability.MULTIPLE_CAPTURES])
async def capture_that_is_not_the_last_is_refused(provider: PaymentProvider, methods: Methods) -> None:
    payment = await reserved(provider, methods)
    error = await refusal(provider.capture(replace(capture(payment, 500), final=False)))
    assert error.code is ProviderErrorCode.UNSUPPORTED
    assert await fetched(provider, payment) == payment
