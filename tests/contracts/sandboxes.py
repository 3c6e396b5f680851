"""The sandbox as the tests set it up, and its payments."""

import base64
from datetime import timedelta

import asyncpg

from core.ids import uuid7
from core.money import declare
from providers.payments.base import ConfirmPayment, CreatePayment, PaymentFact
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
