"""Payments that are created, confirmed and cancelled."""

import asyncio
from dataclasses import replace

from core.ids import uuid7
from providers.payments.base import (
    CancelPayment,
    Capability,
    ConfirmPayment,
    PaymentFact,
    PaymentProvider,
    ProviderAction,
    ProviderError,
    ProviderErrorCode,
    ProviderState,
    Subject,
)

from .words import Methods, cancellation, check, confirmation, creation, fetched, first, refusal


@check()
async def created_payment_requires_a_method(provider: PaymentProvider, methods: Methods) -> None:
    command = creation()
    payment = await provider.create_payment(command)
    assert payment.state is ProviderState.REQUIRES_METHOD
    assert (payment.reference, payment.amount, payment.currency) == (command.reference, 1250, "USD")
    assert (payment.captured, payment.decline_code, payment.action_url) == (0, None, None)
    assert payment.at.tzinfo is not None


@check()
async def creating_again_with_the_same_key_returns_the_same_payment(
    provider: PaymentProvider, methods: Methods
) -> None:
    command = creation()
    answers = await asyncio.gather(*(provider.create_payment(command) for _ in range(8)))
    assert len(set(answers)) == 1


@check()
async def creating_with_the_same_key_and_another_amount_is_refused(
    provider: PaymentProvider, methods: Methods
) -> None:
    command = creation()
    payment = await provider.create_payment(command)
    error = await refusal(provider.create_payment(replace(command, amount=command.amount + 1)))
    assert (error.code, error.action) == (ProviderErrorCode.MISCONFIGURED, ProviderAction.NEVER)
    assert not error.ambiguous
    assert (await fetched(provider, payment)).amount == command.amount


@check()
async def undeclared_currency_and_amounts_are_refused_and_nothing_is_made(
    provider: PaymentProvider, methods: Methods
) -> None:
    smallest, largest = provider.capabilities.currencies["USD"]
    undeclared = replace(creation(), currency="XXX")
    for command in (undeclared, creation(smallest - 1), creation(largest + 1)):
        assert (await refusal(provider.create_payment(command))).code is ProviderErrorCode.UNSUPPORTED
        assert await provider.find(Subject.PAYMENT, command.reference) == ()
    for amount in (smallest, largest):
        assert (await provider.create_payment(creation(amount))).amount == amount


@check()
async def confirmed_payment_succeeds_in_full(provider: PaymentProvider, methods: Methods) -> None:
    payment = await provider.create_payment(creation())
    charged = await provider.confirm_payment(confirmation(payment, methods.succeeds))
    assert charged.state is ProviderState.SUCCEEDED
    assert charged.captured == charged.amount == 1250
    assert charged.at >= payment.at
    assert await fetched(provider, payment) == charged
    assert first(await provider.find(Subject.PAYMENT, payment.reference)) == charged


@check()
async def confirming_again_with_the_same_key_answers_the_same(provider: PaymentProvider, methods: Methods) -> None:
    payment = await provider.create_payment(creation())
    command = confirmation(payment, methods.succeeds)
    answers = await asyncio.gather(*(provider.confirm_payment(command) for _ in range(8)))
    assert len(set(answers)) == 1


@check()
async def each_decline_has_its_code_and_leaves_the_payment_open(
    provider: PaymentProvider, methods: Methods
) -> None:
    for method, code in methods.declines.items():
        payment = await provider.create_payment(creation())
        command = confirmation(payment, method)
        error = await refusal(provider.confirm_payment(command))
        assert (error.code, error.action, error.ambiguous) == (code, ProviderAction.OTHER_METHOD, False)
        assert error.decline_code == code.value
        assert error.fact is not None
        assert error.fact.state is ProviderState.REQUIRES_METHOD
        assert (error.fact.decline_code, error.fact.captured) == (code.value, 0)

        again = await refusal(provider.confirm_payment(command))
        assert (again.code, again.decline_code, again.fact) == (code, code.value, error.fact)

        charged = await provider.confirm_payment(confirmation(payment, methods.succeeds, attempt=2))
        assert charged.state is ProviderState.SUCCEEDED
        late = await refusal(provider.confirm_payment(command))
        assert (late.code, late.fact) == (code, error.fact)
        assert await fetched(provider, payment) == charged


@check()
async def unknown_method_is_invalid_and_changes_nothing(provider: PaymentProvider, methods: Methods) -> None:
    payment = await provider.create_payment(creation())
    error = await refusal(provider.confirm_payment(confirmation(payment, methods.unknown)))
    assert (error.code, error.action) == (ProviderErrorCode.METHOD_INVALID, ProviderAction.OTHER_METHOD)
    assert methods.unknown not in str(error)
    assert await fetched(provider, payment) == payment


@check()
async def confirming_a_finished_payment_with_a_new_key_conflicts(
    provider: PaymentProvider, methods: Methods
) -> None:
    payment = await provider.create_payment(creation())
    charged = await provider.confirm_payment(confirmation(payment, methods.succeeds))
    error = await refusal(provider.confirm_payment(confirmation(payment, methods.succeeds, attempt=2)))
    assert (error.code, error.fact) == (ProviderErrorCode.STATE_CONFLICT, charged)

    payment = await provider.create_payment(creation())
    canceled = await provider.cancel(cancellation(payment))
    error = await refusal(provider.confirm_payment(confirmation(payment, methods.succeeds)))
    assert (error.code, error.fact) == (ProviderErrorCode.STATE_CONFLICT, canceled)
    assert (await fetched(provider, payment)).captured == 0


@check()
async def two_confirmations_at_once_charge_once(provider: PaymentProvider, methods: Methods) -> None:
    payment = await provider.create_payment(creation())
    outcomes = await asyncio.gather(
        *(provider.confirm_payment(confirmation(payment, methods.succeeds, attempt=n)) for n in range(8)),
        return_exceptions=True,
    )
    facts = [outcome for outcome in outcomes if isinstance(outcome, PaymentFact)]
    errors = [outcome for outcome in outcomes if isinstance(outcome, ProviderError)]
    assert (len(facts), len(errors)) == (1, 7)
    assert {(error.code, error.fact) for error in errors} == {(ProviderErrorCode.STATE_CONFLICT, facts[0])}


@check()
async def confirming_and_canceling_at_once_has_one_winner(provider: PaymentProvider, methods: Methods) -> None:
    for _ in range(8):
        payment = await provider.create_payment(creation())
        outcomes = await asyncio.gather(
            provider.confirm_payment(confirmation(payment, methods.succeeds)),
            provider.cancel(cancellation(payment)),
            return_exceptions=True,
        )
        facts = [outcome for outcome in outcomes if isinstance(outcome, PaymentFact)]
        assert facts == [await fetched(provider, payment)]


@check()
async def canceled_payment_stays_canceled(provider: PaymentProvider, methods: Methods) -> None:
    payment = await provider.create_payment(creation())
    canceled = await provider.cancel(cancellation(payment))
    assert (canceled.state, canceled.captured) == (ProviderState.CANCELED, 0)
    assert await provider.cancel(cancellation(payment)) == canceled
    assert await provider.cancel(cancellation(payment, attempt=2)) == canceled


@check()
async def canceling_a_charged_payment_conflicts(provider: PaymentProvider, methods: Methods) -> None:
    payment = await provider.create_payment(creation())
    charged = await provider.confirm_payment(confirmation(payment, methods.succeeds))
    error = await refusal(provider.cancel(cancellation(payment)))
    assert (error.code, error.fact) == (ProviderErrorCode.STATE_CONFLICT, charged)
    assert await fetched(provider, payment) == charged


@check()
async def a_key_used_for_another_payment_is_refused(provider: PaymentProvider, methods: Methods) -> None:
    first, second = [await provider.create_payment(creation()) for _ in range(2)]
    command = confirmation(first, methods.succeeds)
    await provider.confirm_payment(command)
    other = replace(command, provider_reference=second.provider_reference)
    assert (await refusal(provider.confirm_payment(other))).code is ProviderErrorCode.MISCONFIGURED
    assert await fetched(provider, second) == second


@check(Capability.THREE_D_SECURE)
async def authentication_asks_the_payer_to_act(provider: PaymentProvider, methods: Methods) -> None:
    payment = await provider.create_payment(creation())
    waiting = await provider.confirm_payment(confirmation(payment, methods.authenticates))
    assert (waiting.state, waiting.captured) == (ProviderState.REQUIRES_ACTION, 0)
    assert waiting.action_url is not None
    assert waiting.action_url.startswith(("http://", "https://"))
    canceled = await provider.cancel(cancellation(payment))
    assert (canceled.state, canceled.action_url) == (ProviderState.CANCELED, None)


@check()
async def unknown_payments_are_not_found(provider: PaymentProvider, methods: Methods) -> None:
    missing = methods.unknown_objects[Subject.PAYMENT]
    calls = (
        provider.fetch(Subject.PAYMENT, missing),
        provider.confirm_payment(ConfirmPayment(f"key:{uuid7()}", missing, methods.succeeds)),
        provider.cancel(CancelPayment(f"key:{uuid7()}", missing)),
    )
    for call in calls:
        error = await refusal(call)
        assert (error.code, error.ambiguous) == (ProviderErrorCode.NOT_FOUND, False)
    assert await provider.find(Subject.PAYMENT, uuid7()) == ()
