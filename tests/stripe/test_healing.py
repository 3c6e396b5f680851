"""What Stripe refuses for now, or begins and does not end: it comes right without anybody's help."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from stripe import PaymentIntentService, PayoutService, RefundService

from services import refunds
from tests.api.shop import ask, do
from tests.stripe.desk import Desk
from tests.support.stripe import Fault
from tests.support.stripe.calls import ROUTES, Call
from tests.support.stripe.refusals import Refused, invalid
from tests.support.stripe.sdk import operation

_MOST_KEYS = 20


@dataclass
class Gate:
    """A call of Stripe's that is refused while ``closed``; ``met`` counts how often it was carried out."""

    closed: bool = True
    met: int = 0


Refuse = Callable[[Callable[..., Any], Callable[[Call], Refused]], Gate]


@pytest.fixture
def refuse() -> Iterator[Refuse]:
    """Let a method of the SDK's services be refused as long as a gate is closed.

    A refusal that Stripe keeps with a key is answered again to it without being carried out.
    """
    before = list(ROUTES)

    def closed(method: Callable[..., Any], refusal: Callable[[Call], Refused]) -> Gate:
        gate = Gate()
        (number,) = (n for n, each in enumerate(ROUTES) if each.operation == operation(method))
        route = ROUTES[number]

        def handler(call: Call) -> dict[str, Any]:
            gate.met += 1
            if gate.closed:
                raise refusal(call)
            return route.handler(call)

        ROUTES[number] = replace(route, handler=handler)
        return gate

    yield closed
    ROUTES[:] = before


def without_money(_: Call) -> Refused:
    return invalid("There is not enough money on the balance.", None, "balance_insufficient")


def while_processed(call: Call) -> Refused:
    """Refuse to cancel as of a payment that the bank is asked about."""
    told = call.store.view(call.get("payment_intent")) | {"status": "processing"}
    message = "You cannot cancel this PaymentIntent because it has a status of processing."
    return invalid(message, None, "payment_intent_unexpected_state", payment_intent=told)


async def pass_time(desk: Desk, by: timedelta) -> None:
    """Let time go by, at Stripe and here."""
    desk.stripe.pass_time(by)
    await desk.caught_up()


# Refunds, and cancelling ----------------------------------------------------------------------------------


async def test_refund_that_waits_for_money_is_asked_for_all_day_and_made_once_there_is_some(
    desk: Desk, refuse: Refuse
) -> None:
    payment = await desk.paid("10.00")
    gate = refuse(RefundService.create_async, without_money)
    await do(desk.owner, "refundCreate", paymentId=payment)
    assert gate.met == 1

    for by, times in ((timedelta(seconds=11), 2 * _MOST_KEYS), (timedelta(hours=1), 16)):
        for _ in range(times):
            await pass_time(desk, by)
            await refunds.sweep(desk.engine)
    assert 1 < gate.met < _MOST_KEYS, "each time it was really asked for, under a key that is not used up"
    assert desk.objects("refund") == []
    assert await desk.world.scalar("select status from refunds") == "CREATED"

    gate.closed = False
    for _ in range(4):
        await pass_time(desk, timedelta(hours=1))
        await refunds.sweep(desk.engine)
    await desk.tell()
    (made,) = desk.objects("refund")
    assert (made["status"], made["amount"]) == ("succeeded", 1000)
    assert await desk.world.status(payment) == "REFUNDED"
    await desk.prove()


async def test_payment_that_could_not_be_cancelled_while_it_was_processed_can_be_afterwards(
    desk: Desk, refuse: Refuse
) -> None:
    payment = await desk.tip()
    intent = await desk.intent(payment)
    gate = refuse(PaymentIntentService.cancel_async, while_processed)
    (error,) = (await ask(desk.payer, "paymentCancel", paymentId=payment))["errors"]
    assert error["code"] == "PAYMENT_IN_PROGRESS"
    assert desk.stripe.object(intent)["status"] != "canceled"
    assert await desk.world.status(payment) != "CANCELED"

    gate.closed = False
    await pass_time(desk, timedelta(minutes=1))
    await desk.tell()
    await desk.sweep()
    await do(desk.payer, "paymentCancel", paymentId=payment)
    assert desk.stripe.object(intent)["status"] == "canceled"
    await desk.tell()
    assert await desk.world.status(payment) == "CANCELED"
    assert await desk.posted("charge.gross") == 0
    await desk.prove()


# Creators and their payouts -------------------------------------------------------------------------------


async def test_account_that_was_opened_is_known_though_reading_it_failed(desk: Desk) -> None:
    desk.stripe.faults.plan(Fault.ERROR_BEFORE, "GET /v2/core/accounts/.*")
    refused = await desk.onboard()
    assert [error["code"] for error in refused["errors"]] == ["PROVIDER_UNAVAILABLE"]
    (opened,) = desk.objects("v2.core.account")
    await desk.sweep()
    assert await desk.world.scalar("select provider_reference from payout_accounts") == opened["id"]
    await desk.tell()
    assert await desk.states("QUARANTINED") == 0

    # Long after Stripe has forgotten the key.
    await pass_time(desk, timedelta(days=31))
    assert (await desk.onboard())["errors"] == []
    assert [account["id"] for account in desk.objects("v2.core.account")] == [opened["id"]]
    await desk.prove()


async def test_payout_that_comes_back_after_it_was_paid_is_learnt_of_without_being_told(desk: Desk) -> None:
    await desk.with_money("100.00")
    payout = await desk.requested("20.00")
    await desk.advance(payout)
    await pass_time(desk, timedelta(days=3))
    await desk.tell()
    assert (await desk.payout(payout))["status"] == "PAID"

    (made,) = desk.objects("payout", desk.account)
    desk.stripe.fail_payout(made["id"])
    desk.tell_nobody()
    await desk.sweep()
    await desk.tell()
    assert (await desk.payout(payout))["status"] == "FAILED"
    assert [transfer["reversed"] for transfer in desk.objects("transfer")] == [True]
    assert await desk.held("available", own=True) == 9500
    assert (await desk.held("bank"), await desk.held("connected")) == (0, 0)
    await desk.prove()


async def test_payout_that_was_paid_long_ago_is_not_asked_about_for_ever(desk: Desk) -> None:
    await desk.with_money("100.00")
    payout = await desk.requested("20.00")
    await desk.advance(payout)
    await pass_time(desk, timedelta(days=3))
    await desk.tell()
    await pass_time(desk, timedelta(days=15))
    await desk.sweep()
    asked = len(desk.stripe.seen)
    await pass_time(desk, timedelta(days=2))
    await desk.sweep()
    assert [seen.call for seen in desk.stripe.seen[asked:] if "payouts" in seen.call] == []
    assert (await desk.payout(payout))["status"] == "PAID"
    await desk.prove()


async def test_payout_whose_money_never_comes_to_the_account_ends_and_is_taken_back(
    desk: Desk, refuse: Refuse
) -> None:
    """As where Stripe converted what was transferred, so that the account holds it in another currency."""
    await desk.with_money("100.00")
    refuse(PayoutService.create_async, without_money)
    payout = await desk.requested("20.00")
    await desk.advance(payout)
    for _ in range(2):
        await pass_time(desk, timedelta(days=1))
        await desk.sweep()
    assert (await desk.payout(payout))["status"] != "FAILED", "the money may be but late"
    assert await desk.held("available", own=True) == 7500

    await pass_time(desk, timedelta(days=2))
    await desk.sweep()
    await desk.tell()
    shown = await desk.payout(payout)
    assert (shown["status"], shown["statusReason"]) == ("FAILED", "BALANCE_INSUFFICIENT")
    assert desk.objects("payout", desk.account) == []
    assert [transfer["reversed"] for transfer in desk.objects("transfer")] == [True]
    assert await desk.held("available", own=True) == 9500
    assert await desk.held("connected") == 0
    await desk.prove()
