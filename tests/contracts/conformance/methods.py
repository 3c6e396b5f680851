"""Payment methods that are kept."""

from dataclasses import replace

from core.ids import uuid7
from providers.payments.base import (
    Capability,
    DetachMethod,
    PaymentProvider,
    ProviderAction,
    ProviderErrorCode,
    ProviderState,
    SaveMethod,
)

from .words import Methods, at_once, check, confirmation, creation, fetched, refusal

SAVED = Capability.SAVED_METHODS


def saving(method: str) -> SaveMethod:
    return SaveMethod(f"save:{uuid7()}", uuid7(), method)


@check(SAVED)
async def saved_method_charges_as_its_token_does(provider: PaymentProvider, methods: Methods) -> None:
    saved = await provider.save_method(saving(methods.succeeds))
    for _ in range(2):
        payment = await provider.create_payment(creation())
        charged = await provider.confirm_payment(confirmation(payment, saved.provider_reference, saved=True))
        assert (charged.state, charged.captured) == (ProviderState.SUCCEEDED, 1250)
    for method, code in methods.declines.items():
        saved = await provider.save_method(saving(method))
        payment = await provider.create_payment(creation())
        error = await refusal(
            provider.confirm_payment(confirmation(payment, saved.provider_reference, saved=True))
        )
        assert (error.code, error.action) == (code, ProviderAction.OTHER_METHOD)


@check(SAVED)
async def customer_is_the_same_for_the_same_id_of_ours(provider: PaymentProvider, methods: Methods) -> None:
    command = saving(methods.succeeds)
    first = await provider.save_method(command)
    second = await provider.save_method(replace(command, idempotency_key=f"save:{uuid7()}"))
    other = await provider.save_method(saving(methods.succeeds))
    assert first.customer_reference == second.customer_reference != other.customer_reference
    assert len({first.provider_reference, second.provider_reference, other.provider_reference}) == 3
    assert len(first.last_four) == 4
    assert 1 <= first.expires_month <= 12


@check(SAVED)
async def method_is_saved_once_for_a_key(provider: PaymentProvider, methods: Methods) -> None:
    command = saving(methods.succeeds)
    answers, errors = await at_once([provider.save_method(command) for _ in range(8)])
    assert errors == []
    assert len(set(answers)) == 1
    error = await refusal(provider.save_method(replace(command, customer=uuid7())))
    assert error.code is ProviderErrorCode.MISCONFIGURED


@check(SAVED)
async def method_that_is_detached_charges_nothing(provider: PaymentProvider, methods: Methods) -> None:
    saved = await provider.save_method(saving(methods.succeeds))
    command = DetachMethod(f"detach:{uuid7()}", saved.provider_reference)
    for again in (command, command, replace(command, idempotency_key=f"detach:{uuid7()}")):
        await provider.detach_method(again)
    payment = await provider.create_payment(creation())
    error = await refusal(provider.confirm_payment(confirmation(payment, saved.provider_reference, saved=True)))
    assert (error.code, error.action) == (ProviderErrorCode.METHOD_INVALID, ProviderAction.OTHER_METHOD)
    assert await fetched(provider, payment) == payment


@check(SAVED)
async def what_is_unknown_is_neither_saved_nor_detached(provider: PaymentProvider, methods: Methods) -> None:
    error = await refusal(provider.save_method(saving(methods.unknown)))
    assert error.code is ProviderErrorCode.METHOD_INVALID
    assert methods.unknown not in str(error)
    error = await refusal(provider.detach_method(DetachMethod(f"key:{uuid7()}", methods.unknown_method)))
    assert error.code is ProviderErrorCode.NOT_FOUND


@check(SAVED, Capability.OFF_SESSION)
async def card_that_asks_for_its_owner_is_not_charged_without_them(
    provider: PaymentProvider, methods: Methods
) -> None:
    saved = await provider.save_method(saving(methods.authenticates))
    payment = await provider.create_payment(creation())
    command = replace(confirmation(payment, saved.provider_reference, saved=True), off_session=True)
    error = await refusal(provider.confirm_payment(command))
    assert (error.code, error.action) == (
        ProviderErrorCode.AUTHENTICATION_REQUIRED,
        ProviderAction.AUTHENTICATE,
    )
    left = await fetched(provider, payment)
    assert error.fact == left
    assert (left.state, left.decline_code) == (ProviderState.REQUIRES_METHOD, "AUTHENTICATION_REQUIRED")
    again = await refusal(provider.confirm_payment(command))
    assert (again.code, again.action, again.fact) == (error.code, error.action, error.fact)
    waiting = await provider.confirm_payment(
        confirmation(payment, saved.provider_reference, attempt=2, saved=True)
    )
    assert waiting.state is ProviderState.REQUIRES_ACTION


@check(SAVED, Capability.OFF_SESSION)
async def ordinary_card_is_charged_without_its_owner(provider: PaymentProvider, methods: Methods) -> None:
    saved = await provider.save_method(saving(methods.succeeds))
    payment = await provider.create_payment(creation())
    command = replace(confirmation(payment, saved.provider_reference, saved=True), off_session=True)
    assert (await provider.confirm_payment(command)).state is ProviderState.SUCCEEDED


@check(SAVED)
async def saved_method_charges_nothing_for_whoever_names_it_as_a_token(
    provider: PaymentProvider, methods: Methods
) -> None:
    saved = await provider.save_method(saving(methods.succeeds))
    payment = await provider.create_payment(creation())
    error = await refusal(provider.confirm_payment(confirmation(payment, saved.provider_reference)))
    assert (error.code, error.action) == (ProviderErrorCode.METHOD_INVALID, ProviderAction.OTHER_METHOD)
    assert await fetched(provider, payment) == payment


@check(SAVED)
async def customer_that_is_known_is_kept(provider: PaymentProvider, methods: Methods) -> None:
    command = saving(methods.succeeds)
    first = await provider.save_method(command)
    key, customer = f"save:{uuid7()}", first.customer_reference
    again = await provider.save_method(replace(command, idempotency_key=key, customer_reference=customer))
    assert again.customer_reference == customer
