"""The sandbox's other end: faults that are armed, rules, its clock, and that nonsense is refused."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from core.clock import wall
from core.ids import uuid7
from providers.payments.base import (
    AnswerDispute,
    CancelPayment,
    CapturePayment,
    ConfirmPayment,
    CreatePayment,
    DetachMethod,
    Onboard,
    Payout,
    ProviderAction,
    ProviderErrorCode,
    Refund,
    RefundReason,
    ReverseTransfer,
    SaveMethod,
    Subject,
    Transfer,
)
from providers.payments.sandbox import SandboxControl, SandboxProvider
from providers.payments.sandbox.control import COMMANDS

from .conformance import refusal
from .sandboxes import RETURN_URL, account_with, charged, confirmed, created, paid_out, refunded, sandbox

Call = Callable[[], Awaitable[Any]]
COUNTS = """
    select (select count(*) from sandbox.payment), (select count(*) from sandbox.refund),
           (select count(*) from sandbox.event), (select count(*) from sandbox.request),
           (select count(*) from sandbox.method where detached_at is null), (select count(*) from sandbox.account),
           (select count(*) from sandbox.transfer), (select count(*) from sandbox.payout),
           (select count(*) from sandbox.balance_transaction), (select count(*) from sandbox.agenda)
"""


async def call_of(kind: str, provider: SandboxProvider, control: SandboxControl) -> Call:
    """Make all that a command of a kind needs, and return the command, which can be given again and again."""
    reference = uuid7()
    match kind:
        case "CREATE":
            return lambda: provider.create_payment(CreatePayment("key", reference, 1250, "USD", "A tip"))
        case "CONFIRM":
            payment = await created(provider)
            return lambda: provider.confirm_payment(
                ConfirmPayment("key", payment.provider_reference, "tok_success")
            )
        case "CAPTURE":
            payment = await provider.create_payment(
                CreatePayment("c", reference, 1250, "USD", "A tip", manual_capture=True)
            )
            await confirmed(provider, payment, "tok_success")
            return lambda: provider.capture(CapturePayment("key", payment.provider_reference, 1250))
        case "CANCEL":
            payment = await created(provider)
            return lambda: provider.cancel(CancelPayment("key", payment.provider_reference))
        case "REFUND":
            payment = await charged(provider)
            return lambda: provider.refund(
                Refund("key", reference, payment.provider_reference, 100, RefundReason.OTHER)
            )
        case "SAVE_METHOD":
            return lambda: provider.save_method(SaveMethod("key", reference, "tok_success"))
        case "DETACH_METHOD":
            saved = await provider.save_method(SaveMethod("save", reference, "tok_success"))
            return lambda: provider.detach_method(DetachMethod("key", saved.provider_reference))
        case "ONBOARD":
            return lambda: provider.onboard(Onboard("key", reference, "DE", RETURN_URL))
        case "ANSWER_DISPUTE":
            await charged(provider)
            dispute = await control.open_dispute("latest")
            return lambda: provider.answer_dispute(
                AnswerDispute("key", dispute.provider_reference, {"uncategorized_text": "It was sent."})
            )
    account = (await account_with(provider, 1000)).provider_reference
    match kind:
        case "TRANSFER":
            return lambda: provider.transfer(Transfer("key", reference, account, 10, "USD"))
        case "REVERSE_TRANSFER":
            transfer = await provider.transfer(Transfer("t", reference, account, 10, "USD"))
            return lambda: provider.reverse_transfer(ReverseTransfer("key", transfer.provider_reference))
        case _:
            return lambda: provider.payout(Payout("key", reference, account, 10, "USD"))


@pytest.mark.parametrize("kind", COMMANDS)
async def test_answer_that_is_lost_leaves_its_effect_and_the_same_key_learns_it(
    kind: str, provider: SandboxProvider, control: SandboxControl, pool: asyncpg.Pool
) -> None:
    call = await call_of(kind, provider, control)
    before = await pool.fetchrow(COUNTS)
    await control.arm(kind, "ANSWER_LOST")
    error = await refusal(call())
    assert (error.code, error.action) == (ProviderErrorCode.UNAVAILABLE, ProviderAction.SAME_KEY)
    assert (error.ambiguous, error.fact) == (True, None)
    after = await pool.fetchrow(COUNTS)
    assert after != before
    assert await call() == await call()
    assert await pool.fetchrow(COUNTS) == after


@pytest.mark.parametrize("kind", COMMANDS)
@pytest.mark.parametrize("effect", ["REQUEST_LOST", "UNAVAILABLE"])
async def test_request_that_never_arrived_did_nothing_and_the_same_key_does_it_once(
    effect: str, kind: str, provider: SandboxProvider, control: SandboxControl, pool: asyncpg.Pool
) -> None:
    call = await call_of(kind, provider, control)
    before = await pool.fetchrow(COUNTS)
    await control.arm(kind, effect, times=2)
    for _ in range(2):
        error = await refusal(call())
        lost = effect == "REQUEST_LOST"
        assert (error.code, error.ambiguous) == (ProviderErrorCode.UNAVAILABLE, lost)
        assert error.action is (ProviderAction.SAME_KEY if lost else ProviderAction.LATER)
    assert await pool.fetchrow(COUNTS) == before
    assert await call() == await call()
    assert (await control.status()).faults_armed == 0


async def test_fault_is_for_its_command_only_and_for_as_often_as_was_said(
    provider: SandboxProvider, control: SandboxControl
) -> None:
    await control.arm("REFUND", "UNAVAILABLE", times=2)
    payment = await charged(provider)
    for _ in range(2):
        assert (await refusal(refunded(provider, payment, 100))).code is ProviderErrorCode.UNAVAILABLE
    assert (await refunded(provider, payment, 100)).amount == 100


async def test_repeat_and_refusal_use_up_no_fault(provider: SandboxProvider, control: SandboxControl) -> None:
    payment = await charged(provider)
    await control.arm("CONFIRM", "ANSWER_LOST")
    assert await confirmed(provider, payment, "tok_success") == payment
    error = await refusal(confirmed(provider, payment, "tok_success", key="2"))
    assert error.code is ProviderErrorCode.STATE_CONFLICT
    assert (await control.status()).faults_armed == 1


async def test_reset_disarms_and_ends_and_leaves_all_else(
    provider: SandboxProvider, control: SandboxControl
) -> None:
    await control.arm("CREATE", "UNAVAILABLE", times=5)
    await control.add_rule("CHARGE", "tok_declined")
    await control.advance(timedelta(hours=1))
    assert await control.reset() == {"faults": 1, "rules": 1, "events": 0}
    assert await control.reset() == {"faults": 0, "rules": 0, "events": 0}
    await charged(provider)
    status = await control.status()
    assert (status.payments, status.faults_armed, status.rules) == (1, 0, 0)
    assert status.ahead == await provider.clock_ahead() == timedelta(hours=1)


# Rules ----------------------------------------------------------------------------------------------------


async def test_rule_decides_for_all_charges_that_match_all_it_says(
    provider: SandboxProvider, control: SandboxControl
) -> None:
    await control.add_rule("CHARGE", "tok_insufficient_funds", amount=777, currency="USD", token="tok_success")
    await control.add_rule("CHARGE", "tok_stolen_card", description="of the forbidden")
    error = await refusal(charged(provider, 777))
    assert (error.code, error.provider_code) == (ProviderErrorCode.INSUFFICIENT_FUNDS, "insufficient_funds")
    assert (await charged(provider, 778)).captured == 778
    assert (await refusal(charged(provider, 777, "tok_expired_card"))).code is ProviderErrorCode.CARD_EXPIRED
    payment = await provider.create_payment(CreatePayment("c", uuid7(), 777, "USD", "A tip of the forbidden kind"))
    error = await refusal(confirmed(provider, payment, "tok_declined"))
    assert (error.code, error.provider_code) == (ProviderErrorCode.DECLINED, "stolen_card")
    # The earlier rule goes before the later.
    error = await refusal(confirmed(provider, payment, "tok_success", key="2"))
    assert error.code is ProviderErrorCode.INSUFFICIENT_FUNDS


async def test_rule_holds_for_saved_methods_by_their_token(
    provider: SandboxProvider, control: SandboxControl
) -> None:
    saved = await provider.save_method(SaveMethod("save", uuid7(), "tok_success"))
    await control.add_rule("CHARGE", "tok_amount", token="tok_success")
    payment = await created(provider, 5003)
    error = await refusal(
        provider.confirm_payment(
            ConfirmPayment("saved", payment.provider_reference, saved.provider_reference, saved=True)
        )
    )
    assert error.code is ProviderErrorCode.INSUFFICIENT_FUNDS


async def test_rules_decide_for_refunds_and_payouts(provider: SandboxProvider, control: SandboxControl) -> None:
    await control.add_rule("REFUND", "PENDING", amount=100, description="A tip")
    await control.add_rule("PAYOUT", "FAILS", currency="USD")
    payment = await charged(provider)
    assert (await refunded(provider, payment, 100)).state.value == "PENDING"
    assert (await refunded(provider, payment, 101)).state.value == "SUCCEEDED"
    payout = await paid_out(provider, await account_with(provider, 500), 500)
    await control.advance(timedelta(minutes=5))
    (fact,) = await provider.fetch(Subject.PAYOUT, payout.provider_reference)
    assert (fact.state.value, fact.failure_code) == ("FAILED", "account_closed")


# Time and names -------------------------------------------------------------------------------------------


async def test_clock_only_goes_forward_and_dates_everything(
    provider: SandboxProvider, control: SandboxControl
) -> None:
    assert await control.advance(timedelta(days=40)) == timedelta(days=40)
    assert await provider.advance_clock(timedelta(hours=3)) == timedelta(days=40, hours=3)
    payment = await charged(provider)
    assert timedelta(days=40) < payment.at - wall() <= timedelta(days=40, hours=3)
    assert payment.at < await control.now()
    for by in (timedelta(microseconds=-1), timedelta(days=3651)):
        with pytest.raises(ValueError, match="forward"):
            await control.advance(by)
    assert await provider.clock_ahead() == timedelta(days=40, hours=3)


async def test_objects_are_named_by_either_id_or_as_the_latest(
    provider: SandboxProvider, control: SandboxControl
) -> None:
    payment, latest = await charged(provider), await charged(provider)
    for name in (payment.provider_reference, str(payment.reference)):
        assert await control.resolve(Subject.PAYMENT, name) == payment.provider_reference
    assert await control.resolve(Subject.PAYMENT, "latest") == latest.provider_reference
    for subject in (Subject.REFUND, Subject.DISPUTE, Subject.ACCOUNT, Subject.PAYOUT):
        for name in ("latest", str(uuid7()), "nobody"):
            error = await refusal(control.resolve(subject, name))
            assert error.code is ProviderErrorCode.NOT_FOUND


async def test_expiring_is_for_what_is_reserved(provider: SandboxProvider, control: SandboxControl) -> None:
    payment = await charged(provider)
    error = await refusal(control.expire("latest"))
    assert (error.code, error.fact) == (ProviderErrorCode.STATE_CONFLICT, payment)
    reserved = await provider.create_payment(
        CreatePayment("c", uuid7(), 1250, "USD", "A reservation", manual_capture=True)
    )
    await confirmed(provider, reserved, "tok_success")
    lapsed = await control.expire(reserved.provider_reference)
    assert (lapsed.state.value, lapsed.decline_code) == ("CANCELED", "EXPIRED")


@pytest.mark.parametrize(
    "arguments",
    [
        {"target": "WEATHER", "effect": "LOSE"},
        {"target": "EVENT", "effect": "ANSWER_LOST"},
        {"target": "REFUND", "effect": "LOSE"},
        {"target": "REFUND", "effect": "UNAVAILABLE", "event_type": "refund.created"},
        {"target": "EVENT", "effect": "LOSE", "event_type": "weather.changed"},
        {"target": "EVENT", "effect": "LOSE", "times": 0},
        {"target": "EVENT", "effect": "LOSE", "copies": 2},
        {"target": "EVENT", "effect": "DUPLICATE", "copies": 101},
        {"target": "EVENT", "effect": "DELAY", "delay": timedelta(0)},
        {"target": "EVENT", "effect": "DUPLICATE", "delay": timedelta(1)},
    ],
)
async def test_fault_that_makes_no_sense_is_refused(arguments: dict[str, Any], control: SandboxControl) -> None:
    with pytest.raises(ValueError, match=r"\.$"):
        await control.arm(**arguments)
    assert (await control.status()).faults_armed == 0


@pytest.mark.parametrize(
    "arguments",
    [
        {"subject": "WEATHER", "behaviour": "tok_success"},
        {"subject": "CHARGE", "behaviour": "4242424242424242"},
        {"subject": "REFUND", "behaviour": "tok_success"},
        {"subject": "PAYOUT", "behaviour": "PENDING"},
        {"subject": "REFUND", "behaviour": "FAILS", "token": "tok_success"},
        {"subject": "PAYOUT", "behaviour": "FAILS", "description": "tip"},
    ],
)
async def test_rule_that_makes_no_sense_is_refused(arguments: dict[str, Any], control: SandboxControl) -> None:
    with pytest.raises(ValueError, match=r"\.$"):
        await control.add_rule(**arguments)
    assert (await control.status()).rules == 0


async def test_application_role_may_do_all_of_it(dsn: str) -> None:
    async with asyncpg.create_pool(dsn, min_size=1, max_size=2, server_settings={"role": "comptoir_app"}) as pool:
        provider = sandbox(pool)
        control = provider.control()
        for kind in COMMANDS:
            await pool.execute("update sandbox.request set key = gen_random_uuid()::text")
            await pool.execute("update sandbox.payment set create_key = gen_random_uuid()::text")
            await (await call_of(kind, provider, control))()
        await control.arm("EVENT", "LOSE")
        await control.add_rule("CHARGE", "tok_declined")
        await control.advance(timedelta(days=30))
        await control.reset()
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute("update sandbox.balance_transaction set amount = 1")
