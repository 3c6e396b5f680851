"""The sandbox as the tests set it up, and its payments."""

import base64
from datetime import timedelta

import asyncpg

from core.ids import uuid7
from core.money import declare
from providers.payments.base import (
    AccountFact,
    ConfirmPayment,
    CreatePayment,
    Onboard,
    PaymentFact,
    Payout,
    PayoutFact,
    Refund,
    RefundFact,
    RefundReason,
    Transfer,
)
from providers.payments.sandbox import SandboxProvider

SECRET = "whsec_" + base64.b64encode(b"a secret of the sandbox's tests").decode()
OTHER_SECRET = "whsec_" + base64.b64encode(b"another secret, for its rotation").decode()
RETURN_URL = "https://shop.example/thanks?order=1&paid=yes"

declare("USD", 2)


def sandbox(pool: asyncpg.Pool, *, processing_time: timedelta = timedelta(seconds=60)) -> SandboxProvider:
    return SandboxProvider(
        pool,
        webhook_secrets=[SECRET],
        public_url="https://pay.example/",
        currencies=["USD"],
        processing_time=processing_time,
    )


async def created(provider: SandboxProvider, amount: int = 1250) -> PaymentFact:
    reference = uuid7()
    return await provider.create_payment(CreatePayment(f"create:{reference}", reference, amount, "USD", "A tip"))


async def confirmed(
    provider: SandboxProvider, payment: PaymentFact, token: str, *, key: str = "1", back: str | None = RETURN_URL
) -> PaymentFact:
    key = f"confirm:{payment.reference}:{key}"
    return await provider.confirm_payment(ConfirmPayment(key, payment.provider_reference, token, back))


async def charged(provider: SandboxProvider, amount: int = 20_000, card: str = "tok_success") -> PaymentFact:
    """Return a payment that was confirmed with a card."""
    return await confirmed(provider, await created(provider, amount), card)


async def refunded(provider: SandboxProvider, payment: PaymentFact, amount: int) -> RefundFact:
    reference = uuid7()
    command = Refund(f"refund:{reference}", reference, payment.provider_reference, amount, RefundReason.OTHER)
    return await provider.refund(command)


async def account_with(provider: SandboxProvider, amount: int) -> AccountFact:
    """Return an account that is ready and holds so much."""
    await charged(provider, amount * 2)
    account = (await provider.onboard(Onboard(f"onboard:{uuid7()}", uuid7(), "ZZ", RETURN_URL))).fact
    await provider.transfer(Transfer(f"t:{uuid7()}", uuid7(), account.provider_reference, amount, "USD"))
    return account


async def paid_out(provider: SandboxProvider, account: AccountFact, amount: int) -> PayoutFact:
    reference = uuid7()
    return await provider.payout(
        Payout(f"payout:{reference}", reference, account.provider_reference, amount, "USD")
    )


async def types_of(pool: asyncpg.Pool) -> list[str]:
    """Return the types of all events there are, the oldest first."""
    rows = await pool.fetch("select type from sandbox.event order by created_at, id")
    return [row["type"] for row in rows]
