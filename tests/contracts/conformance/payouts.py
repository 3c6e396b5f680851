"""Creators' accounts, what is transferred to them, and what they are paid out."""

from dataclasses import replace
from datetime import timedelta

from core.ids import uuid7
from providers.payments.base import (
    AccountFact,
    AccountSnapshot,
    Capability,
    Onboard,
    PaymentProvider,
    Payout,
    PayoutFact,
    PayoutState,
    ProviderAction,
    ProviderErrorCode,
    ReverseTransfer,
    Subject,
    Transfer,
    TransferFact,
)

from .words import Methods, at_once, charged, check, only, refusal

PAYOUTS = Capability.PAYOUTS


def onboarding() -> Onboard:
    creator = uuid7()
    return Onboard(f"onboard:{creator}", creator, "DE", "https://creators.example/back")


def transferring(account: AccountFact, amount: int) -> Transfer:
    reference = uuid7()
    return Transfer(f"transfer:{reference}", reference, account.provider_reference, amount, "USD")


def paying_out(account: AccountFact, amount: int) -> Payout:
    reference = uuid7()
    return Payout(f"payout:{reference}", reference, account.provider_reference, amount, "USD")


async def ready_account(provider: PaymentProvider, methods: Methods) -> AccountFact:
    opened = await provider.onboard(onboarding())
    await methods.levers.make_ready(opened.fact.provider_reference)
    fact = await only(provider, Subject.ACCOUNT, opened.fact.provider_reference)
    assert isinstance(fact, AccountFact)
    return fact


async def funded_account(
    provider: PaymentProvider, methods: Methods, amount: int
) -> tuple[AccountFact, TransferFact]:
    await charged(provider, methods, amount * 2)
    account = await ready_account(provider, methods)
    return account, await provider.transfer(transferring(account, amount))


@check(PAYOUTS)
async def account_is_ready_once_nothing_is_missing(provider: PaymentProvider, methods: Methods) -> None:
    command = onboarding()
    answers, errors = await at_once([provider.onboard(command) for _ in range(8)])
    assert errors == []
    assert {answer.fact for answer in answers} == {answers[0].fact}
    opened = answers[0]
    assert isinstance(opened, AccountSnapshot)
    assert (opened.fact.reference, opened.fact.ready) == (command.creator, False)
    assert opened.fact.missing
    assert opened.onboarding_url is not None
    assert opened.onboarding_url.startswith(("http://", "https://"))
    assert await provider.find(Subject.ACCOUNT, command.creator) == (opened.fact,)
    await methods.levers.make_ready(opened.fact.provider_reference)
    again = await provider.onboard(replace(command, idempotency_key=f"onboard:{uuid7()}"))
    assert again.fact.provider_reference == opened.fact.provider_reference
    assert (again.fact.ready, again.fact.missing, again.onboarding_url) == (True, (), None)
    assert await only(provider, Subject.ACCOUNT, opened.fact.provider_reference) == again.fact


@check(PAYOUTS)
async def account_is_opened_once_for_a_creator(provider: PaymentProvider, methods: Methods) -> None:
    command = onboarding()
    answers, errors = await at_once(
        [provider.onboard(replace(command, idempotency_key=f"onboard:{uuid7()}")) for _ in range(8)]
    )
    assert errors == []
    assert len({answer.fact.provider_reference for answer in answers}) == 1
    error = await refusal(provider.onboard(replace(command, idempotency_key=f"onboard:{uuid7()}", country="FR")))
    assert error.code is ProviderErrorCode.MISCONFIGURED


@check(PAYOUTS)
async def account_that_is_not_ready_gets_nothing(provider: PaymentProvider, methods: Methods) -> None:
    await charged(provider, methods)
    account = (await provider.onboard(onboarding())).fact
    before = await provider.balances()
    transfer, payout = transferring(account, 1), paying_out(account, 1)
    error = await refusal(provider.transfer(transfer))
    assert (error.code, error.action) == (ProviderErrorCode.ACCOUNT_NOT_READY, ProviderAction.LATER)
    assert (await refusal(provider.payout(payout))).code is ProviderErrorCode.ACCOUNT_NOT_READY
    assert await provider.find(Subject.TRANSFER, transfer.reference) == ()
    assert await provider.find(Subject.PAYOUT, payout.reference) == ()
    assert await provider.balances() == before


@check(PAYOUTS)
async def transfer_moves_money_once_for_a_key_and_a_reference(provider: PaymentProvider, methods: Methods) -> None:
    await charged(provider, methods, 10_000)
    account = await ready_account(provider, methods)
    before = (await provider.balances())["USD"]
    command = transferring(account, 3_000)
    answers, errors = await at_once([provider.transfer(command) for _ in range(8)])
    assert errors == []
    assert len(set(answers)) == 1
    fact = answers[0]
    assert (fact.reference, fact.account) == (command.reference, account.provider_reference)
    assert (fact.amount, fact.currency, fact.reversal_transaction) == (3_000, "USD", None)
    other_key = replace(command, idempotency_key=f"transfer:{uuid7()}")
    assert await provider.transfer(other_key) == fact
    for other in (replace(command, amount=3_001), replace(other_key, amount=3_001)):
        assert (await refusal(provider.transfer(other))).code is ProviderErrorCode.MISCONFIGURED
    assert (await provider.balances())["USD"] == before - 3_000
    assert await provider.find(Subject.TRANSFER, command.reference) == (fact,)
    assert await only(provider, Subject.TRANSFER, fact.provider_reference) == fact


@check(PAYOUTS)
async def transfers_never_take_more_than_there_is(provider: PaymentProvider, methods: Methods) -> None:
    await charged(provider, methods, 10_000)
    accounts = [await ready_account(provider, methods) for _ in range(4)]
    there_is = (await provider.balances())["USD"]
    command = transferring(accounts[0], there_is + 1)
    error = await refusal(provider.transfer(command))
    assert (error.code, error.action, error.ambiguous) == (
        ProviderErrorCode.BALANCE_INSUFFICIENT,
        ProviderAction.LATER,
        False,
    )
    assert await provider.find(Subject.TRANSFER, command.reference) == ()
    assert (await provider.balances())["USD"] == there_is
    answers, errors = await at_once([provider.transfer(transferring(a, there_is // 2 + 1)) for a in accounts])
    assert (len(answers), len(errors)) == (1, 3)
    assert {error.code for error in errors} == {ProviderErrorCode.BALANCE_INSUFFICIENT}
    # What was refused for want of money goes through later, under its own key.
    await charged(provider, methods, there_is * 2)
    assert (await provider.transfer(command)).amount == there_is + 1


@check(PAYOUTS)
async def amounts_that_are_none_are_not_moved(provider: PaymentProvider, methods: Methods) -> None:
    account, _ = await funded_account(provider, methods, 1_000)
    for amount in (0, -1):
        assert (
            await refusal(provider.transfer(transferring(account, amount)))
        ).code is ProviderErrorCode.AMOUNT_INVALID
        assert (
            await refusal(provider.payout(paying_out(account, amount)))
        ).code is ProviderErrorCode.AMOUNT_INVALID


@check(PAYOUTS)
async def transfer_is_reversed_once_and_whole(provider: PaymentProvider, methods: Methods) -> None:
    _, transfer = await funded_account(provider, methods, 3_000)
    before = (await provider.balances())["USD"]
    command = ReverseTransfer(f"reverse:{transfer.reference}", transfer.provider_reference)
    answers, errors = await at_once([provider.reverse_transfer(command) for _ in range(8)])
    assert errors == []
    assert len(set(answers)) == 1
    assert answers[0].reversal_transaction is not None
    assert replace(answers[0], at=transfer.at, reversal_transaction=None) == transfer
    error = await refusal(provider.reverse_transfer(replace(command, idempotency_key=f"reverse:{uuid7()}")))
    assert (error.code, error.fact) == (ProviderErrorCode.STATE_CONFLICT, answers[0])
    assert (await provider.balances())["USD"] == before + 3_000
    assert await only(provider, Subject.TRANSFER, transfer.provider_reference) == answers[0]


@check(PAYOUTS)
async def transfer_that_was_paid_out_is_not_reversed(provider: PaymentProvider, methods: Methods) -> None:
    account, transfer = await funded_account(provider, methods, 3_000)
    await provider.payout(paying_out(account, 1))
    before = await provider.balances()
    command = ReverseTransfer(f"reverse:{transfer.reference}", transfer.provider_reference)
    error = await refusal(provider.reverse_transfer(command))
    assert (error.code, error.fact) == (ProviderErrorCode.BALANCE_INSUFFICIENT, transfer)
    assert await provider.balances() == before
    assert await only(provider, Subject.TRANSFER, transfer.provider_reference) == transfer


@check(PAYOUTS)
async def payout_is_paid_in_time_once_for_a_key_and_a_reference(
    provider: PaymentProvider, methods: Methods
) -> None:
    account, transfer = await funded_account(provider, methods, 3_000)
    before = await provider.balances()
    command = replace(paying_out(account, 2_000), reference=transfer.reference)
    answers, errors = await at_once([provider.payout(command) for _ in range(8)])
    assert errors == []
    assert len(set(answers)) == 1
    payout = answers[0]
    assert (payout.reference, payout.account) == (command.reference, account.provider_reference)
    assert (payout.amount, payout.currency, payout.failure_code) == (2_000, "USD", None)
    assert payout.state in {PayoutState.PENDING, PayoutState.IN_TRANSIT}
    assert (await refusal(provider.payout(replace(command, amount=1_999)))).code is ProviderErrorCode.MISCONFIGURED
    await methods.levers.pass_time(timedelta(days=31))
    paid = await only(provider, Subject.PAYOUT, payout.provider_reference)
    assert isinstance(paid, PayoutFact)
    assert paid.state is PayoutState.PAID
    assert await provider.find(Subject.PAYOUT, command.reference) == (paid,)
    # From the account to its bank: none of it was ours.
    assert await provider.balances() == before


@check(PAYOUTS)
async def account_pays_out_no_more_than_it_holds(provider: PaymentProvider, methods: Methods) -> None:
    account, _ = await funded_account(provider, methods, 3_000)
    answers, errors = await at_once([provider.payout(paying_out(account, 2_000)) for _ in range(4)])
    assert (len(answers), len(errors)) == (1, 3)
    assert {(error.code, error.action) for error in errors} == {
        (ProviderErrorCode.BALANCE_INSUFFICIENT, ProviderAction.LATER)
    }


@check(PAYOUTS, lacks=[Capability.INSTANT_PAYOUTS])
async def instant_payout_is_refused(provider: PaymentProvider, methods: Methods) -> None:
    account, _ = await funded_account(provider, methods, 3_000)
    command = replace(paying_out(account, 2_000), instant=True)
    assert (await refusal(provider.payout(command))).code is ProviderErrorCode.UNSUPPORTED
    assert await provider.find(Subject.PAYOUT, command.reference) == ()


@check(PAYOUTS)
async def unknown_accounts_and_transfers_are_not_found(provider: PaymentProvider, methods: Methods) -> None:
    unknown = methods.unknown_objects
    for call in (
        provider.transfer(Transfer(f"key:{uuid7()}", uuid7(), unknown[Subject.ACCOUNT], 1, "USD")),
        provider.payout(Payout(f"key:{uuid7()}", uuid7(), unknown[Subject.ACCOUNT], 1, "USD")),
        provider.reverse_transfer(ReverseTransfer(f"key:{uuid7()}", unknown[Subject.TRANSFER])),
    ):
        assert (await refusal(call)).code is ProviderErrorCode.NOT_FOUND
