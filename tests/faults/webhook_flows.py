"""Ways a payment may go at the provider, everything told of each, and what all of it has to amount to."""

import itertools
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Protocol

import orjson

from app.observed import unwrapped
from core.ids import Noun, uuid7
from providers.payments.base import CancelPayment, ConfirmPayment, ProviderError
from tests.support.world import CANCEL, World

_SUCCESS: Final = ("payment.succeeded", "charge.updated")
_SAMPLED: Final = 12


class Payer(Protocol):
    """Takes a payment through its steps, at the provider or through our API."""

    async def confirm(self, method: str) -> None: ...
    async def cancel(self) -> None: ...
    async def authenticate(self, *, accepted: bool) -> None: ...
    async def provider_settles(self) -> None: ...


@dataclass(frozen=True, slots=True)
class AtTheProvider:
    """Whatever happens, our own calls learn nothing of it: the webhooks alone tell."""

    world: World
    payment: str
    reference: str

    async def confirm(self, method: str) -> None:
        """Charge; a decline is told like everything else."""
        command = ConfirmPayment(f"confirm:{uuid7()}", self.reference, method, None)
        try:
            await self.world.engine.provider.confirm_payment(command)
        except ProviderError as error:
            if error.decline_code is None:
                raise

    async def cancel(self) -> None:
        """Cancel."""
        await self.world.engine.provider.cancel(CancelPayment(f"cancel:{uuid7()}", self.reference))

    async def authenticate(self, *, accepted: bool) -> None:
        """Answer on the 3-D Secure page."""
        await sandbox_of(self.world).authenticate(self.reference, accepted=accepted)

    async def provider_settles(self) -> None:
        """Let a payment that is processing succeed."""
        await sandbox_of(self.world).run_due()


@dataclass(frozen=True, slots=True)
class ThroughTheApi(AtTheProvider):
    """The provider answers our own calls as well, before any webhook is here."""

    async def confirm(self, method: str) -> None:
        """Send paymentConfirm."""
        payload = await self.world.confirm(self.world.client("supporter"), self.payment, method)
        assert {error["code"] for error in payload["errors"]} <= {"PAYMENT_DECLINED"}

    async def cancel(self) -> None:
        """Send paymentCancel."""
        data = await self.world.client("supporter").run(CANCEL, payment=self.payment, key=str(uuid7()))
        assert data["paymentCancel"]["errors"] == []


@dataclass(frozen=True, slots=True)
class Flow:
    """A way: its steps, the types of the events it has to make, and the status and reason it ends with."""

    steps: Callable[[Payer], Awaitable[None]]
    tells: tuple[str, ...]
    status: str
    reason: str | None = None

    @property
    def paid(self) -> bool:
        return self.status == "SUCCEEDED"

    def orders(self) -> list[tuple[int, ...]]:
        """Return every order of the events; of very many a sample, the first and the reverse always in it."""
        places = range(len(self.tells))
        if len(self.tells) <= 4:
            return list(itertools.permutations(places))
        chance = random.Random(len(self.tells))
        drawn = [tuple(chance.sample(places, len(places))) for _ in range(_SAMPLED - 2)]
        return [tuple(places), tuple(reversed(places)), *drawn]


async def _succeeds(payer: Payer) -> None:
    await payer.confirm("tok_success")


async def _is_processed(payer: Payer) -> None:
    await payer.confirm("tok_processing")
    await payer.provider_settles()


async def _is_declined_then_succeeds(payer: Payer) -> None:
    await payer.confirm("tok_declined")
    await payer.confirm("tok_success")


async def _is_declined_twice(payer: Payer) -> None:
    await payer.confirm("tok_declined")
    await payer.confirm("tok_insufficient_funds")


async def _authenticates(payer: Payer) -> None:
    await payer.confirm("tok_3ds")
    await payer.authenticate(accepted=True)


async def _refuses_to_authenticate(payer: Payer) -> None:
    await payer.confirm("tok_3ds")
    await payer.authenticate(accepted=False)


async def _refuses_and_takes_another_card(payer: Payer) -> None:
    await payer.confirm("tok_3ds")
    await payer.authenticate(accepted=False)
    await payer.confirm("tok_success")


async def _is_cancelled(payer: Payer) -> None:
    await payer.cancel()


async def _is_cancelled_instead_of_authenticated(payer: Payer) -> None:
    await payer.confirm("tok_3ds")
    await payer.cancel()


async def _is_declined_and_cancelled(payer: Payer) -> None:
    await payer.confirm("tok_declined")
    await payer.confirm("tok_insufficient_funds")
    await payer.cancel()


async def _takes_every_detour(payer: Payer) -> None:
    await payer.confirm("tok_declined")
    await payer.confirm("tok_3ds")
    await payer.authenticate(accepted=False)
    await payer.confirm("tok_processing")
    await payer.provider_settles()


FLOWS: Final = {
    "success with charge": Flow(_succeeds, _SUCCESS, "SUCCEEDED"),
    "processing, then success with charge": Flow(_is_processed, ("payment.processing", *_SUCCESS), "SUCCEEDED"),
    "declined, then success": Flow(_is_declined_then_succeeds, ("payment.failed", *_SUCCESS), "SUCCEEDED"),
    "declined twice": Flow(
        _is_declined_twice, ("payment.failed", "payment.failed"), "FAILED", "INSUFFICIENT_FUNDS"
    ),
    "3-D Secure completed": Flow(_authenticates, ("payment.requires_action", *_SUCCESS), "SUCCEEDED"),
    "3-D Secure refused": Flow(
        _refuses_to_authenticate, ("payment.requires_action", "payment.failed"), "FAILED", "AUTHENTICATION_FAILED"
    ),
    "3-D Secure refused, then another card": Flow(
        _refuses_and_takes_another_card, ("payment.requires_action", "payment.failed", *_SUCCESS), "SUCCEEDED"
    ),
    "cancelled": Flow(_is_cancelled, ("payment.canceled",), "CANCELED"),
    "cancelled instead of authenticated": Flow(
        _is_cancelled_instead_of_authenticated, ("payment.requires_action", "payment.canceled"), "CANCELED"
    ),
    "declined twice, then cancelled": Flow(
        _is_declined_and_cancelled, ("payment.failed", "payment.failed", "payment.canceled"), "CANCELED"
    ),
    "every detour": Flow(
        _takes_every_detour,
        ("payment.failed", "payment.requires_action", "payment.failed", "payment.processing", *_SUCCESS),
        "SUCCEEDED",
    ),
}


@dataclass(frozen=True, slots=True)
class Played:
    """A payment that went its way: our key, and all that the provider has to tell, the oldest first."""

    key: Any
    bodies: tuple[str, ...]

    def in_order(self, order: Sequence[int]) -> list[str]:
        return [self.bodies[place] for place in order]

    @property
    def last_state(self) -> str:
        """The body of the payment's own last event."""
        return [body for body in self.bodies if orjson.loads(body)["type"].startswith("payment.")][-1]


async def play(world: World, flow: Flow, creator: str, count: int, payer: type[AtTheProvider]) -> list[Played]:
    """Have so many tips go a flow's way; nothing is delivered."""
    sandbox_of(world)._processing_time = timedelta(0)
    supporter = world.client("supporter")
    keys: list[Any] = []
    for _ in range(count):
        payment = (await world.tip(supporter, creator))["payment"]["id"]
        key = world.key(Noun.PAYMENT, payment)
        reference = await world.scalar("select provider_reference from payments where id = $1", key)
        await flow.steps(payer(world, payment, reference))
        keys.append(key)
    told = await events_of(world)
    played = [Played(key, tuple(told[str(key)])) for key in keys]
    for one in played:
        assert sorted(orjson.loads(body)["type"] for body in one.bodies) == sorted(flow.tells)
    return played


async def events_of(world: World) -> dict[str, list[str]]:
    """Return the bodies of all the sandbox has made, the oldest first, by the id of our payment."""
    rows = await world.engine.database.reader.fetch(
        "select body::text as body from sandbox.event order by created_at, id"
    )
    found: dict[str, list[str]] = {}
    for row in rows:
        told = orjson.loads(row["body"])["data"]["object"]
        found.setdefault(told.get("payment_reference") or told["reference"], []).append(row["body"])
    return found


def sandbox_of(world: World) -> Any:
    """Return the sandbox itself, with what only it can do."""
    return unwrapped(world.engine.provider)
