"""The checks themselves: what a provider does not declare it has to refuse, and a check sees when it does not."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from providers.payments import base
from providers.payments.base import Capability, unsupported
from providers.payments.sandbox import SandboxProvider

from . import conformance
from .sandboxes import SECRET
from .test_sandbox import methods_of

UNDECLARED = [check for check in conformance.CHECKS if check.lacks and not check.needs]


class Modest(SandboxProvider):
    """A provider that declares nothing but what it takes to be one, and refuses the rest."""

    async def create_payment(self, command: base.CreatePayment) -> base.PaymentFact:
        if command.manual_capture:
            raise unsupported("manual_capture")
        return await super().create_payment(command)

    async def confirm_payment(self, command: base.ConfirmPayment) -> base.PaymentFact:
        if command.off_session:
            raise unsupported("off_session")
        return await super().confirm_payment(command)

    async def capture(self, command: base.CapturePayment) -> base.PaymentFact:
        raise unsupported("capture")

    async def refund(self, command: base.Refund) -> base.RefundFact:
        raise unsupported("refund")

    async def save_method(self, command: base.SaveMethod) -> base.MethodSnapshot:
        raise unsupported("save_method")

    async def detach_method(self, command: base.DetachMethod) -> None:
        raise unsupported("detach_method")

    async def onboard(self, command: base.Onboard) -> base.AccountSnapshot:
        raise unsupported("onboard")

    async def transfer(self, command: base.Transfer) -> base.TransferFact:
        raise unsupported("transfer")

    async def reverse_transfer(self, command: base.ReverseTransfer) -> base.TransferFact:
        raise unsupported("reverse_transfer")

    async def payout(self, command: base.Payout) -> base.PayoutFact:
        raise unsupported("payout")

    async def answer_dispute(self, command: base.AnswerDispute) -> base.DisputeFact:
        raise unsupported("answer_dispute")

    def events(self, since: object) -> AsyncIterator[base.Event]:
        raise unsupported("events")

    def balance_entries(self, since: object) -> AsyncIterator[base.BalanceEntry]:
        raise unsupported("balance_entries")

    async def balances(self) -> dict[str, int]:
        raise unsupported("balances")


def _made(kind: type[SandboxProvider], pool: asyncpg.Pool) -> SandboxProvider:
    return kind(pool, webhook_secrets=[SECRET], public_url="https://pay.example", currencies=["USD"])


@pytest.mark.parametrize("check", UNDECLARED, ids=lambda check: check.run.__name__)
async def test_provider_that_refuses_what_it_does_not_declare_conforms(
    check: conformance.Check, pool: asyncpg.Pool
) -> None:
    provider = _made(Modest, pool)
    await check.run(provider, methods_of(provider))


@pytest.mark.parametrize("check", UNDECLARED, ids=lambda check: check.run.__name__)
async def test_provider_that_does_what_it_does_not_declare_is_caught(
    check: conformance.Check, pool: asyncpg.Pool
) -> None:
    provider = _made(SandboxProvider, pool)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        await check.run(provider, methods_of(provider))


def test_every_check_is_for_some_provider_and_every_refusable_capability_is_refused() -> None:
    names = [check.run.__name__ for check in conformance.CHECKS]
    assert len(names) == len(set(names))
    assert {capability for check in conformance.CHECKS for capability in check.lacks} == {
        Capability.MANUAL_CAPTURE,
        Capability.PARTIAL_CAPTURE,
        Capability.MULTIPLE_CAPTURES,
        Capability.REFUND,
        Capability.PARTIAL_REFUND,
        Capability.SAVED_METHODS,
        Capability.OFF_SESSION,
        Capability.PAYOUTS,
        Capability.INSTANT_PAYOUTS,
        Capability.DISPUTES,
        Capability.EVENT_REPLAY,
        Capability.BALANCE_FEED,
    }
