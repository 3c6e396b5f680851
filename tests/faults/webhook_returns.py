"""Ways in which money that was taken goes back, told by the provider alone, and what each leaves behind."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import orjson

from core.ids import Noun, uuid7
from providers.payments.base import AnswerDispute, ConfirmPayment, Refund, RefundReason
from tests.faults.webhook_flows import events_of, sandbox_of
from tests.support.world import World, eventually

GROSS: Final = 10_000
"""What each payment is over, in cents; the platform's fee of 5 % divides every part of it without a rest."""

_PAID: Final = ("payment.succeeded", "charge.updated")


@dataclass(frozen=True, slots=True)
class AtTheProvider:
    """A payment that was charged at the provider, and what is done with it there."""

    world: World
    reference: str

    @property
    def provider(self) -> Any:
        return sandbox_of(self.world)

    async def charge(self, method: str = "tok_success") -> None:
        """Charge it."""
        await self.provider.confirm_payment(ConfirmPayment(f"confirm:{uuid7()}", self.reference, method, None))

    async def refund(self, amount: int) -> None:
        """Give back so many cents."""
        reason = RefundReason.REQUESTED_BY_CUSTOMER
        await self.provider.refund(Refund(f"refund:{uuid7()}", uuid7(), self.reference, amount, reason))

    async def answer(self) -> None:
        """Hand in evidence in its dispute."""
        sql = "select id from sandbox.dispute where payment_id = $1"
        dispute = await self.world.scalar(sql, self.reference)
        await self.provider.answer_dispute(AnswerDispute(f"answer:{uuid7()}", dispute, {"note": "It was sent."}))

    async def until_told(self, count: int) -> None:
        """Let the provider's time pass until it has so many events to tell of this payment."""
        sql = "select count(*) from sandbox.event where payment_id = $1"

        async def told() -> bool:
            await self.provider.run_due()
            return bool(await self.world.scalar(sql, self.reference) >= count)

        await eventually(told, 20, lambda: f"the sandbox never told {count} events")


@dataclass(frozen=True, slots=True)
class ReturnFlow:
    """Steps after which so much of a payment is gone for good, the events that tell it, and the groups it posts.

    ``gone`` and ``dispute_fee`` are in cents. ``waits``: some orders tell at first what cannot be true yet.
    """

    steps: Callable[[AtTheProvider], Awaitable[None]]
    tells: tuple[str, ...]
    status: str
    gone: int
    groups: int
    dispute_fee: int = 0
    waits: bool = False


async def _refunded(payment: AtTheProvider) -> None:
    await payment.charge()
    await payment.refund(GROSS)


async def _refunded_in_part(payment: AtTheProvider) -> None:
    await payment.charge()
    await payment.refund(3_000)


async def _refunded_after_a_while(payment: AtTheProvider) -> None:
    await payment.charge("tok_refund_pending")
    await payment.refund(GROSS)
    await payment.until_told(4)


async def _refund_fails(payment: AtTheProvider) -> None:
    await payment.charge("tok_refund_fails")
    await payment.refund(GROSS)


async def _refund_fails_later(payment: AtTheProvider) -> None:
    await payment.charge("tok_refund_fails_later")
    await payment.refund(GROSS)
    await payment.until_told(4)


async def _refund_fails_and_another_succeeds(payment: AtTheProvider) -> None:
    await payment.charge("tok_refund_fails")
    await payment.refund(4_000)
    sql = "update sandbox.payment set card = null where id = $1"
    await payment.world.engine.database.writer.execute(sql, payment.reference)
    await payment.refund(GROSS)


async def _disputed(payment: AtTheProvider) -> None:
    await payment.charge("tok_dispute")
    await payment.until_told(4)


async def _dispute_lost(payment: AtTheProvider) -> None:
    await payment.charge("tok_dispute_lost")
    await payment.until_told(4)
    await payment.answer()
    await payment.until_told(6)


async def _dispute_won(payment: AtTheProvider) -> None:
    await payment.charge("tok_dispute_won")
    await payment.until_told(4)
    await payment.answer()
    await payment.until_told(7)


async def _dispute_lost_then_won(payment: AtTheProvider) -> None:
    await payment.charge("tok_dispute_lost_then_won")
    await payment.until_told(4)
    await payment.answer()
    await payment.until_told(8)


_OPENED: Final = (*_PAID, "dispute.created", "dispute.funds_withdrawn")
_ANSWERED: Final = (*_OPENED, "dispute.updated", "dispute.closed")

RETURN_FLOWS: Final = {
    "refunded in full": ReturnFlow(_refunded, (*_PAID, "refund.created"), "REFUNDED", GROSS, 4),
    "refunded in part": ReturnFlow(_refunded_in_part, (*_PAID, "refund.created"), "PARTIALLY_REFUNDED", 3_000, 4),
    "refund that takes a while": ReturnFlow(
        _refunded_after_a_while, (*_PAID, "refund.created", "refund.updated"), "REFUNDED", GROSS, 4
    ),
    "refund that fails": ReturnFlow(_refund_fails, (*_PAID, "refund.created", "refund.failed"), "SUCCEEDED", 0, 6),
    "refund that succeeds and fails later": ReturnFlow(
        _refund_fails_later, (*_PAID, "refund.created", "refund.failed"), "SUCCEEDED", 0, 6
    ),
    "refund that fails, then another": ReturnFlow(
        _refund_fails_and_another_succeeds,
        (*_PAID, "refund.created", "refund.failed", "refund.created"),
        "REFUNDED",
        GROSS,
        8,
        waits=True,
    ),
    "disputed": ReturnFlow(_disputed, _OPENED, "DISPUTED", GROSS, 3, 1_500),
    "dispute lost": ReturnFlow(_dispute_lost, _ANSWERED, "CHARGED_BACK", GROSS, 3, 1_500),
    "dispute won": ReturnFlow(_dispute_won, (*_ANSWERED, "dispute.funds_reinstated"), "SUCCEEDED", 0, 4),
    "dispute lost, then won on appeal": ReturnFlow(
        _dispute_lost_then_won,
        (*_ANSWERED, "dispute.closed", "dispute.funds_reinstated"),
        "SUCCEEDED",
        0,
        4,
    ),
}


async def play_returns(world: World, flow: ReturnFlow, count: int) -> list[tuple[UUID, UUID, list[str]]]:
    """Have so many tips go a flow's way, each to a creator of its own, nothing of it delivered.

    Return of each the creator's key, the payment's, and the bodies of what the provider has to tell.
    """
    sandbox_of(world)._processing_time = timedelta(0)
    supporter = world.client("supporter")
    keys: list[tuple[UUID, UUID]] = []
    for number in range(count):
        creator = await world.creator(f"{flow.status.lower()}_{flow.groups}_{uuid7().hex[-6:]}_{number}")
        payment = (await world.tip(supporter, creator, f"{GROSS / 100:.2f}"))["payment"]["id"]
        key = world.key(Noun.PAYMENT, payment)
        reference = await world.scalar("select provider_reference from payments where id = $1", key)
        await flow.steps(AtTheProvider(world, reference))
        keys.append((world.key(Noun.CREATOR, creator), key))
    told = await events_of(world)
    for _, key in keys:
        assert sorted(orjson.loads(body)["type"] for body in told[str(key)]) == sorted(flow.tells)
    return [(creator, key, told[str(key)]) for creator, key in keys]
