"""What becomes of the sandbox's charges, refunds, disputes and payouts: by card, by amount, by rule."""

import asyncio
from datetime import timedelta

import asyncpg
import pytest

from core.ids import uuid7
from providers.payments.base import (
    AnswerDispute,
    BalanceKind,
    CapturePayment,
    ConfirmPayment,
    CreatePayment,
    DisputeFact,
    DisputeState,
    Onboard,
    PaymentFact,
    PayoutFact,
    PayoutState,
    ProviderErrorCode,
    ProviderState,
    RefundFact,
    RefundState,
    SaveMethod,
    Subject,
    Transfer,
)
from providers.payments.sandbox import SandboxControl, SandboxProvider
from providers.payments.sandbox.cards import CHARGE_AMOUNTS, PAYOUT_AMOUNTS, REFUND_AMOUNTS, face

from .conformance import fetched, refusal
from .sandboxes import RETURN_URL, account_with, charged, confirmed, created, paid_out, refunded, sandbox, types_of

STEP = timedelta(seconds=60)  # the processing time that the tests' sandbox has


async def refund_now(provider: SandboxProvider, refund: RefundFact) -> RefundFact:
    (fact,) = await provider.fetch(Subject.REFUND, refund.provider_reference)
    assert isinstance(fact, RefundFact)
    return fact


async def payout_now(provider: SandboxProvider, payout: PayoutFact) -> PayoutFact:
    (fact,) = await provider.fetch(Subject.PAYOUT, payout.provider_reference)
    assert isinstance(fact, PayoutFact)
    return fact


async def disputes_of(provider: SandboxProvider, payment: PaymentFact) -> list[DisputeFact]:
    facts = await provider.fetch(Subject.PAYMENT, payment.provider_reference)
    return [fact for fact in facts if isinstance(fact, DisputeFact)]


async def entries(provider: SandboxProvider, payment: PaymentFact) -> list[tuple[BalanceKind, int, int]]:
    return [
        (entry.kind, entry.amount, entry.fee)
        async for entry in provider.balance_entries(payment.at - timedelta(days=1))
        if entry.provider_reference == payment.provider_reference
    ]


# Charges --------------------------------------------------------------------------------------------------


async def test_amounts_choose_with_their_token_only(provider: SandboxProvider, control: SandboxControl) -> None:
    for amount, token in CHARGE_AMOUNTS.items():
        chosen, ordinary, named = [await created(provider, amount) for _ in range(3)]
        assert (await confirmed(provider, ordinary, "tok_success")).state is ProviderState.SUCCEEDED
        outcomes = []
        for payment, method in ((chosen, "tok_amount"), (named, token)):
            try:
                fact = await confirmed(provider, payment, method)
                outcomes.append((fact.state, fact.decline_code, None))
            except Exception as error:  # ruff: ignore[blind-except] - compared below
                outcomes.append((type(error), str(error), (await fetched(provider, payment)).state))
        assert outcomes[0] == outcomes[1]
    assert (await charged(provider, 5002, "tok_amount")).state is ProviderState.SUCCEEDED
    await control.advance(STEP)
    assert (await control.status()).disputes == 3 * 2


async def test_processing_payment_succeeds_once_its_time_has_come(
    provider: SandboxProvider, control: SandboxControl, pool: asyncpg.Pool
) -> None:
    payment = await charged(provider, 1250, "tok_processing")
    await control.advance(STEP - timedelta(seconds=20))
    assert (await fetched(provider, payment)).state is ProviderState.PROCESSING
    await control.advance(timedelta(seconds=20))
    assert (await fetched(provider, payment)).state is ProviderState.SUCCEEDED
    assert await provider.run_due() == 0
    assert await types_of(pool) == ["payment.processing", "payment.succeeded", "charge.updated"]


@pytest.mark.parametrize("token", ["tok_success", "tok_3ds", "tok_processing"])
async def test_manual_capture_reserves_whatever_way_the_card_goes(
    token: str, provider: SandboxProvider, control: SandboxControl, pool: asyncpg.Pool
) -> None:
    reference = uuid7()
    payment = await provider.create_payment(
        CreatePayment(f"c:{reference}", reference, 1250, "USD", "A reservation", manual_capture=True)
    )
    await confirmed(provider, payment, token)
    if token == "tok_3ds":
        for _ in range(2):
            page = await provider.authenticate(payment.provider_reference, accepted=True)
            assert page.fact.state is ProviderState.AUTHORIZED
    await control.advance(STEP)
    reserved = await fetched(provider, payment)
    assert (reserved.state, reserved.authorized, reserved.captured) == (ProviderState.AUTHORIZED, 1250, 0)
    assert reserved.capture_before == reserved.at + timedelta(days=7)
    assert (await types_of(pool))[-1] == "payment.authorized"
    captured = await provider.capture(CapturePayment("capture", payment.provider_reference, 1000))
    assert (captured.state, captured.captured) == (ProviderState.SUCCEEDED, 1000)
    assert await entries(provider, payment) == [(BalanceKind.CHARGE, 1000, 59)]
    await control.advance(timedelta(days=8))
    assert await fetched(provider, payment) == captured


async def test_authorisation_lapses_after_seven_days_even_when_nobody_looked(
    provider: SandboxProvider, control: SandboxControl, pool: asyncpg.Pool
) -> None:
    reference = uuid7()
    payment = await provider.create_payment(
        CreatePayment(f"c:{reference}", reference, 1250, "USD", "A reservation", manual_capture=True)
    )
    reserved = await confirmed(provider, payment, "tok_success")
    await provider.advance_clock(timedelta(days=7))  # and nothing that is due is done
    error = await refusal(provider.capture(CapturePayment("capture", payment.provider_reference, 1250)))
    assert (error.code, error.provider_code) == (ProviderErrorCode.EXPIRED, "authorization_expired")
    lapsed = await fetched(provider, payment)
    assert error.fact == lapsed
    assert (lapsed.state, lapsed.decline_code, lapsed.authorized) == (ProviderState.CANCELED, "EXPIRED", 1250)
    assert reserved.capture_before is not None
    assert lapsed.at > reserved.capture_before
    await control.run_due()
    assert await types_of(pool) == ["payment.authorized", "payment.canceled"]
    assert await entries(provider, payment) == []


# Refunds --------------------------------------------------------------------------------------------------

SCENARIOS = [
    (None, 1000, [RefundState.SUCCEEDED], ["refund.created"]),
    (None, 4001, [RefundState.SUCCEEDED, RefundState.FAILED], ["refund.created", "refund.failed"]),
    (None, 4003, [RefundState.PENDING, RefundState.SUCCEEDED], ["refund.created", "refund.updated"]),
    (None, 4005, [RefundState.PENDING, RefundState.FAILED], ["refund.created", "refund.failed"]),
    ("tok_refund_fails_later", 1000, [RefundState.SUCCEEDED, RefundState.FAILED], ["refund.created", "refund.failed"]),
    ("tok_refund_pending", 1000, [RefundState.PENDING, RefundState.SUCCEEDED], ["refund.created", "refund.updated"]),
    ("tok_refund_fails", 1000, [RefundState.PENDING, RefundState.FAILED], ["refund.created", "refund.failed"]),
]  # fmt: skip


@pytest.mark.parametrize(("token", "amount", "states", "types"), SCENARIOS)
async def test_refund_goes_as_its_card_or_amount_says(
    token: str | None,
    amount: int,
    states: list[RefundState],
    types: list[str],
    provider: SandboxProvider,
    control: SandboxControl,
    pool: asyncpg.Pool,
) -> None:
    payment = await charged(provider, 20_000, token or "tok_success")
    refund = await refunded(provider, payment, amount)
    assert refund.state is states[0]
    await control.advance(STEP)
    now = await refund_now(provider, refund)
    assert now.state is states[-1]
    assert (await types_of(pool))[2:] == types
    failed = states[-1] is RefundState.FAILED
    assert (now.failure_code is not None, now.return_transaction is not None) == (failed, failed)
    moved = [(BalanceKind.CHARGE, 20_000, 610), (BalanceKind.REFUND, -amount, 0)]
    assert await entries(provider, payment) == moved + [(BalanceKind.REFUND_RETURNED, amount, 0)] * failed
    # What came back can be refunded again, and what did not, cannot.
    left = 20_000 if failed else 20_000 - amount
    assert (await refusal(refunded(provider, payment, left + 1))).code is ProviderErrorCode.AMOUNT_INVALID
    assert (await refunded(provider, payment, left)).amount == left


def test_every_amount_and_token_of_refunds_and_payouts_is_told_apart() -> None:
    assert {amount for token, amount, *_ in SCENARIOS if token is None} == {1000, *REFUND_AMOUNTS}
    assert set(PAYOUT_AMOUNTS) == {4002, 4004, 4006}


async def test_refund_that_failed_at_once_was_accepted_first(
    provider: SandboxProvider, control: SandboxControl
) -> None:
    payment = await charged(provider)
    refund = await refunded(provider, payment, 4005)
    assert refund.state is RefundState.PENDING
    assert (await refund_now(provider, refund)).state is RefundState.FAILED


async def test_refund_made_at_the_provider_has_no_reference_of_ours(
    provider: SandboxProvider, control: SandboxControl, pool: asyncpg.Pool
) -> None:
    payment = await charged(provider)
    refund = await control.refund(str(payment.reference), 500)
    assert (refund.payment, refund.reference, refund.amount) == (payment.reference, None, 500)
    assert refund in await provider.fetch(Subject.PAYMENT, payment.provider_reference)
    assert (await types_of(pool))[-1] == "refund.created"
    (event,) = [event async for event in provider.events(refund.at)]
    assert provider.translate(event) == (refund,)
    failed = await control.fail_refund(refund.provider_reference)
    assert failed.state is RefundState.FAILED
    error = await refusal(control.fail_refund(refund.provider_reference))
    assert (error.code, error.fact) == (ProviderErrorCode.STATE_CONFLICT, failed)
    assert (await provider.balances())["USD"] == 20_000 - 610


# Disputes -------------------------------------------------------------------------------------------------


def answered(dispute: DisputeFact, text: str, *, submit: bool = True) -> AnswerDispute:
    return AnswerDispute(
        f"answer:{dispute.provider_reference}:{text}:{submit}",
        dispute.provider_reference,
        {"uncategorized_text": text},
        submit=submit,
    )


@pytest.mark.parametrize(
    ("token", "text", "states"),
    [
        ("tok_dispute_won", "It was sent.", [DisputeState.WON]),
        ("tok_dispute_lost", "It was sent.", [DisputeState.LOST]),
        ("tok_dispute_lost_then_won", "It was sent.", [DisputeState.LOST, DisputeState.WON]),
        ("tok_dispute_won", "losing_evidence", [DisputeState.LOST]),
        ("tok_dispute_lost", "winning_evidence", [DisputeState.WON]),
        ("tok_dispute", "winning_evidence", [DisputeState.WON]),
        ("tok_dispute", "It was sent.", [DisputeState.UNDER_REVIEW, DisputeState.UNDER_REVIEW]),
    ],
)
async def test_dispute_ends_as_its_evidence_or_its_card_says(
    token: str,
    text: str,
    states: list[DisputeState],
    provider: SandboxProvider,
    control: SandboxControl,
    pool: asyncpg.Pool,
) -> None:
    payment = await charged(provider, 20_000, token)
    assert await disputes_of(provider, payment) == []
    await control.advance(STEP)
    (dispute,) = await disputes_of(provider, payment)
    assert (dispute.state, dispute.amount) == (DisputeState.NEEDS_RESPONSE, 20_000)
    assert dispute.withdrawal is not None
    assert (dispute.withdrawal.amount, dispute.withdrawal.fee) == (20_000, 1500)
    await provider.answer_dispute(answered(dispute, text))
    for state in states:
        await control.advance(STEP)
        (now,) = await disputes_of(provider, payment)
        assert now.state is state
        assert (now.reinstatement is not None) == (state is DisputeState.WON)
    await control.advance(timedelta(days=30))
    (last,) = await disputes_of(provider, payment)
    assert last == now
    won = states[-1] is DisputeState.WON
    moved = [(BalanceKind.CHARGE, 20_000, 610), (BalanceKind.DISPUTE_WITHDRAWN, -20_000, 1500)]
    assert await entries(provider, payment) == moved + [(BalanceKind.DISPUTE_WON, 20_000, -1500)] * won
    closings = [] if states[0] is DisputeState.UNDER_REVIEW else ["dispute.closed"] * len(states)
    assert (await types_of(pool))[2:] == [
        "dispute.created",
        "dispute.funds_withdrawn",
        "dispute.updated",
        *closings,
        *(["dispute.funds_reinstated"] * won),
    ]


async def test_dispute_that_control_closed_is_not_closed_again_by_its_card(
    provider: SandboxProvider, control: SandboxControl
) -> None:
    payment = await charged(provider, 20_000, "tok_dispute_won")
    await control.advance(STEP)
    (dispute,) = await disputes_of(provider, payment)
    await provider.answer_dispute(answered(dispute, "It was sent."))
    lost = await control.close_dispute(dispute.provider_reference, DisputeState.LOST)
    await control.advance(timedelta(days=30))
    assert await disputes_of(provider, payment) == [lost]
    won = await control.close_dispute("latest", DisputeState.WON)
    assert won.state is DisputeState.WON
    for state in (DisputeState.WON, DisputeState.LOST):
        error = await refusal(control.close_dispute("latest", state))
        assert (error.code, error.fact) == (ProviderErrorCode.STATE_CONFLICT, won)


async def test_dispute_that_is_not_answered_is_lost_after_a_week_even_when_nobody_looked(
    provider: SandboxProvider, control: SandboxControl
) -> None:
    payment = await charged(provider)
    dispute = await control.open_dispute("latest", 5000, "product_not_received")
    assert (dispute.amount, dispute.reason) == (5000, "product_not_received")
    await provider.answer_dispute(answered(dispute, "A draft.", submit=False))
    assert dispute.respond_by is not None
    await provider.advance_clock(timedelta(days=7))
    error = await refusal(provider.answer_dispute(answered(dispute, "winning_evidence")))
    assert (error.code, error.provider_code) == (ProviderErrorCode.EXPIRED, "dispute_response_too_late")
    (lost,) = await disputes_of(provider, payment)
    assert (lost.state, error.fact) == (DisputeState.LOST, lost)
    await control.run_due()
    assert await disputes_of(provider, payment) == [lost]


async def test_no_more_is_disputed_or_refunded_than_is_left(
    provider: SandboxProvider, control: SandboxControl
) -> None:
    payment = await charged(provider)
    first = await control.open_dispute(payment.provider_reference, 15_000)
    assert (await refusal(control.open_dispute("latest", 5_001))).code is ProviderErrorCode.AMOUNT_INVALID
    error = await refusal(refunded(provider, payment, 5_001))
    assert (error.code, error.provider_code) == (ProviderErrorCode.STATE_CONFLICT, "payment_disputed")
    await refunded(provider, payment, 5_000)
    second = await control.open_dispute("latest")
    assert second.amount == 5_000
    assert (await refusal(control.open_dispute("latest"))).code is ProviderErrorCode.STATE_CONFLICT
    assert await disputes_of(provider, payment) == [first, second]
    uncaptured = await created(provider)
    error = await refusal(control.open_dispute(uncaptured.provider_reference))
    assert (error.code, error.fact) == (ProviderErrorCode.STATE_CONFLICT, uncaptured)


# Accounts and payouts -------------------------------------------------------------------------------------


async def test_test_countries_are_ready_at_once_or_by_themselves(
    provider: SandboxProvider, control: SandboxControl, pool: asyncpg.Pool
) -> None:
    opened = {
        country: await provider.onboard(Onboard(f"onboard:{country}", uuid7(), country, RETURN_URL))
        for country in ("ZZ", "ZY", "DE")
    }
    assert {country: snapshot.fact.ready for country, snapshot in opened.items()} == {
        "ZZ": True, "ZY": False, "DE": False,
    }  # fmt: skip
    assert opened["DE"].fact.missing == ("identity_document", "bank_account")
    link = f"https://pay.example/sandbox/onboarding/{opened['DE'].fact.provider_reference}?link="
    assert opened["DE"].onboarding_url == f"{link}1"
    again = await provider.onboard(Onboard("again", opened["DE"].fact.reference, "DE", RETURN_URL))
    assert (again.fact, again.onboarding_url) == (opened["DE"].fact, f"{link}2")
    await control.advance(STEP)
    for country, ready in (("ZZ", True), ("ZY", True), ("DE", False)):
        (fact,) = await provider.fetch(Subject.ACCOUNT, opened[country].fact.provider_reference)
        assert fact.ready is ready
    assert await types_of(pool) == ["account.updated"] * 4


async def test_second_transfer_waits_for_the_first_before_it_looks_at_the_balance(
    provider: SandboxProvider, pool: asyncpg.Pool
) -> None:
    await charged(provider, 1_000)
    accounts = [
        (await provider.onboard(Onboard(f"onboard:{n}", uuid7(), "ZZ", RETURN_URL))).fact.provider_reference
        for n in range(2)
    ]
    there_is = (await provider.balances())["USD"]
    async with pool.acquire() as other, other.transaction():
        await other.execute(
            "select sandbox.transfer_to_account('first', $1, $2, $3, $4, 'USD')",
            f"sbt_{uuid7().hex}", uuid7(), accounts[0], there_is,
        )  # fmt: skip
        second = asyncio.create_task(provider.transfer(Transfer("second", uuid7(), accounts[1], there_is, "USD")))
        async with asyncio.timeout(10):
            while not second.done() and not await other.fetchval(
                "select exists (select from pg_locks where not granted and locktype = 'advisory')"
            ):
                await asyncio.sleep(0.01)
        assert not second.done()
    assert (await refusal(second)).code is ProviderErrorCode.BALANCE_INSUFFICIENT
    assert (await provider.balances())["USD"] == 0


async def test_account_that_is_revoked_is_not_ready_any_more(
    provider: SandboxProvider, control: SandboxControl
) -> None:
    account = await account_with(provider, 5_000)
    for _ in range(2):
        revoked = await control.revoke_account(account.provider_reference)
        assert (revoked.ready, revoked.missing) == (False, ("identity_document",))
    assert (await refusal(paid_out(provider, account, 1))).code is ProviderErrorCode.ACCOUNT_NOT_READY
    assert (await control.make_account_ready(str(account.reference))).ready
    assert (await paid_out(provider, account, 1)).state is PayoutState.PENDING


@pytest.mark.parametrize(
    ("amount", "states", "types"),
    [
        (3000, "PENDING IN_TRANSIT PAID PAID", "created updated paid"),
        (4002, "PENDING IN_TRANSIT PAID FAILED", "created updated paid failed"),
        (4004, "PENDING IN_TRANSIT FAILED FAILED", "created updated failed"),
        (4006, "PENDING IN_TRANSIT IN_TRANSIT IN_TRANSIT", "created updated"),
    ],
)
async def test_payout_goes_as_its_amount_says(
    amount: int,
    states: str,
    types: str,
    provider: SandboxProvider,
    control: SandboxControl,
    pool: asyncpg.Pool,
) -> None:
    account = await account_with(provider, 5_000)
    payout = await paid_out(provider, account, amount)
    assert payout.arrives_at == payout.at + 2 * STEP
    told = [payout]
    for _ in range(3):
        await control.advance(STEP)
        told.append(await payout_now(provider, payout))
    assert [fact.state for fact in told] == [PayoutState(state) for state in states.split()]
    assert [name for name in await types_of(pool) if name.startswith("payout.")] == [
        f"payout.{name}" for name in types.split()
    ]
    failed = told[-1].state is PayoutState.FAILED
    assert (told[-1].failure_code is not None) == failed
    # What failed is on the account again.
    assert (await refusal(paid_out(provider, account, 5_001 - amount * (not failed)))).code is (
        ProviderErrorCode.BALANCE_INSUFFICIENT
    )
    assert (await paid_out(provider, account, 5_000 - amount * (not failed))).state is PayoutState.PENDING


async def test_long_leap_of_the_clock_does_all_steps_in_their_order(
    provider: SandboxProvider, control: SandboxControl, pool: asyncpg.Pool
) -> None:
    account = await account_with(provider, 5_000)
    payout = await paid_out(provider, account, 4002)
    await control.advance(timedelta(days=30))
    assert (await payout_now(provider, payout)).state is PayoutState.FAILED
    assert (await types_of(pool))[-4:] == ["payout.created", "payout.updated", "payout.paid", "payout.failed"]


async def test_long_leap_of_the_clock_does_the_earliest_first(
    provider: SandboxProvider, control: SandboxControl, pool: asyncpg.Pool
) -> None:
    slow = await charged(sandbox(pool, processing_time=2 * STEP), 1250, "tok_processing")
    quick = await charged(provider, 1250, "tok_processing")
    await control.advance(timedelta(days=1))
    assert (await fetched(provider, quick)).at < (await fetched(provider, slow)).at


async def test_payout_goes_as_control_says_and_stays_so(
    provider: SandboxProvider, control: SandboxControl
) -> None:
    account = await account_with(provider, 5_000)
    payout = await paid_out(provider, account, 4004)
    assert (await control.pay_payout(payout.provider_reference)).state is PayoutState.PAID
    await control.advance(timedelta(days=1))
    assert (await payout_now(provider, payout)).state is PayoutState.PAID
    error = await refusal(control.pay_payout(str(payout.reference)))
    assert error.code is ProviderErrorCode.STATE_CONFLICT
    failed = await control.fail_payout("latest")
    assert (failed.state, failed.failure_code) == (PayoutState.FAILED, "returned_by_bank")
    assert (await refusal(control.fail_payout("latest"))).code is ProviderErrorCode.STATE_CONFLICT


# Methods --------------------------------------------------------------------------------------------------


async def test_saved_method_goes_on_as_its_card_does(provider: SandboxProvider, control: SandboxControl) -> None:
    saved = await provider.save_method(SaveMethod("save", uuid7(), "tok_dispute_won"))
    looks = face("tok_dispute_won")
    assert (saved.kind, saved.brand, saved.last_four) == ("card", looks.brand, looks.last_four)
    payment = await created(provider, 5000)
    await provider.confirm_payment(
        ConfirmPayment(
            "confirm", payment.provider_reference, saved.provider_reference, off_session=True, saved=True
        )
    )
    await control.advance(STEP)
    assert len(await disputes_of(provider, payment)) == 1


@pytest.mark.parametrize("method", ["sbm_", "sbm_\x00", "sbm_" + "0" * 33, "sbm_\ud800", "sbx_" + "0" * 32])
async def test_method_that_cannot_be_one_is_invalid(method: str, provider: SandboxProvider) -> None:
    payment = await created(provider)
    command = ConfirmPayment("key", payment.provider_reference, method, saved=True)
    assert (await refusal(provider.confirm_payment(command))).code is ProviderErrorCode.METHOD_INVALID
    assert await fetched(provider, payment) == payment


async def test_off_session_is_part_of_what_a_key_asks_for(provider: SandboxProvider) -> None:
    payment = await created(provider)
    await provider.confirm_payment(ConfirmPayment("key", payment.provider_reference, "tok_success"))
    error = await refusal(
        provider.confirm_payment(
            ConfirmPayment("key", payment.provider_reference, "tok_success", off_session=True)
        )
    )
    assert error.provider_code == "idempotency_key_reused"


async def test_commands_of_all_nouns_at_once_neither_deadlock_nor_lose_money(
    provider: SandboxProvider, control: SandboxControl
) -> None:
    payments = [await charged(provider, 20_000, "tok_dispute_lost_then_won") for _ in range(6)]
    account = await account_with(provider, 10_000)
    calls = [refunded(provider, payment, 4003) for payment in payments]
    calls += [refunded(provider, payment, 4001) for payment in payments]
    calls += [paid_out(provider, account, 500) for _ in range(6)]
    calls += [control.advance(timedelta(minutes=2)) for _ in range(6)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert {getattr(outcome, "code", None) for outcome in outcomes} <= {
        None, ProviderErrorCode.STATE_CONFLICT, ProviderErrorCode.AMOUNT_INVALID,
    }  # fmt: skip
    await control.advance(timedelta(days=30))
    net = sum([entry.net async for entry in provider.balance_entries(payments[0].at - timedelta(days=1))])
    assert (await provider.balances())["USD"] == net
    assert (await control.status()).things_to_come == 0
