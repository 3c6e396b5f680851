"""What a provider does not declare it refuses, and nothing happens."""

from dataclasses import replace

from core.ids import uuid7
from providers.payments.base import (
    AnswerDispute,
    Capability,
    CapturePayment,
    DetachMethod,
    Onboard,
    PaymentProvider,
    Payout,
    ProviderErrorCode,
    Refund,
    RefundReason,
    ReverseTransfer,
    SaveMethod,
    Subject,
    Transfer,
)

from .words import Methods, charged, check, confirmation, creation, fetched, refusal


@check(lacks=[Capability.MANUAL_CAPTURE])
async def undeclared_manual_capture_is_refused(provider: PaymentProvider, methods: Methods) -> None:
    command = creation(manual=True)
    assert (await refusal(provider.create_payment(command))).code is ProviderErrorCode.UNSUPPORTED
    assert await provider.find(Subject.PAYMENT, command.reference) == ()
    payment = await charged(provider, methods)
    capture = CapturePayment(f"key:{uuid7()}", payment.provider_reference, 1)
    assert (await refusal(provider.capture(capture))).code is ProviderErrorCode.UNSUPPORTED


@check(lacks=[Capability.REFUND])
async def undeclared_refund_is_refused(provider: PaymentProvider, methods: Methods) -> None:
    payment = await charged(provider, methods)
    before = await provider.fetch(Subject.PAYMENT, payment.provider_reference)
    command = Refund(f"key:{uuid7()}", uuid7(), payment.provider_reference, 1, RefundReason.OTHER)
    for amount in (1, payment.amount):
        error = await refusal(provider.refund(replace(command, amount=amount)))
        assert error.code is ProviderErrorCode.UNSUPPORTED
    assert await provider.fetch(Subject.PAYMENT, payment.provider_reference) == before


@check(Capability.REFUND, lacks=[Capability.PARTIAL_REFUND])
async def undeclared_partial_refund_is_refused(provider: PaymentProvider, methods: Methods) -> None:
    payment = await charged(provider, methods)
    command = Refund(f"key:{uuid7()}", uuid7(), payment.provider_reference, 1, RefundReason.OTHER)
    assert (await refusal(provider.refund(command))).code is ProviderErrorCode.UNSUPPORTED


@check(lacks=[Capability.SAVED_METHODS])
async def undeclared_saved_methods_are_refused(provider: PaymentProvider, methods: Methods) -> None:
    save = SaveMethod(f"key:{uuid7()}", uuid7(), methods.succeeds)
    detach = DetachMethod(f"key:{uuid7()}", methods.unknown_method)
    assert (await refusal(provider.save_method(save))).code is ProviderErrorCode.UNSUPPORTED
    assert (await refusal(provider.detach_method(detach))).code is ProviderErrorCode.UNSUPPORTED


@check(lacks=[Capability.PAYOUTS])
async def undeclared_payouts_are_refused(provider: PaymentProvider, methods: Methods) -> None:
    onboard = Onboard(f"key:{uuid7()}", uuid7(), "DE", "https://creators.example/back")
    account, transfer = methods.unknown_objects[Subject.ACCOUNT], methods.unknown_objects[Subject.TRANSFER]
    transferring = Transfer(f"key:{uuid7()}", uuid7(), account, 1, "USD")
    paying_out = Payout(f"key:{uuid7()}", uuid7(), account, 1, "USD")
    assert (await refusal(provider.onboard(onboard))).code is ProviderErrorCode.UNSUPPORTED
    assert (await refusal(provider.transfer(transferring))).code is ProviderErrorCode.UNSUPPORTED
    reversing = ReverseTransfer(f"key:{uuid7()}", transfer)
    assert (await refusal(provider.reverse_transfer(reversing))).code is ProviderErrorCode.UNSUPPORTED
    assert (await refusal(provider.payout(paying_out))).code is ProviderErrorCode.UNSUPPORTED


@check(lacks=[Capability.OFF_SESSION])
async def undeclared_off_session_payment_is_refused(provider: PaymentProvider, methods: Methods) -> None:
    payment = await provider.create_payment(creation())
    command = replace(confirmation(payment, methods.succeeds), off_session=True)
    assert (await refusal(provider.confirm_payment(command))).code is ProviderErrorCode.UNSUPPORTED
    assert await fetched(provider, payment) == payment


@check(Capability.MANUAL_CAPTURE, lacks=[Capability.PARTIAL_CAPTURE])
async def undeclared_partial_capture_is_refused(provider: PaymentProvider, methods: Methods) -> None:
    payment = await provider.create_payment(creation(manual=True))
    reserved = await provider.confirm_payment(confirmation(payment, methods.succeeds))
    command = CapturePayment(f"key:{uuid7()}", payment.provider_reference, 1)
    assert (await refusal(provider.capture(command))).code is ProviderErrorCode.UNSUPPORTED
    assert await fetched(provider, payment) == reserved


@check(lacks=[Capability.DISPUTES])
async def undeclared_disputes_are_refused(provider: PaymentProvider, methods: Methods) -> None:
    command = AnswerDispute(f"key:{uuid7()}", methods.unknown_objects[Subject.DISPUTE], {})
    assert (await refusal(provider.answer_dispute(command))).code is ProviderErrorCode.UNSUPPORTED


@check(lacks=[Capability.EVENT_REPLAY])
async def undeclared_replay_is_refused(provider: PaymentProvider, methods: Methods) -> None:
    payment = await provider.create_payment(creation())

    async def replay() -> None:
        async for _ in provider.events(payment.at):
            pass

    assert (await refusal(replay())).code is ProviderErrorCode.UNSUPPORTED


@check(lacks=[Capability.BALANCE_FEED])
async def undeclared_balance_feed_is_refused(provider: PaymentProvider, methods: Methods) -> None:
    payment = await provider.create_payment(creation())

    async def read() -> None:
        async for _ in provider.balance_entries(payment.at):
            pass

    assert (await refusal(read())).code is ProviderErrorCode.UNSUPPORTED
    assert (await refusal(provider.balances())).code is ProviderErrorCode.UNSUPPORTED
