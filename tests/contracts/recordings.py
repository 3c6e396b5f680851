"""Recordings of the conformance suite over Stripe's HTTP interface: made on the stand-in, played to the adapter.

``python -m tests.contracts.recordings`` makes them all anew. A recording holds what the adapter has to ask, word by
word: whoever changes a request makes the recordings again, and sees in them what has changed.
"""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Final

from providers.payments.base import PaymentFact
from providers.payments.stripe.provider import FEATURES
from tests.support.exchanges import Player, Recorder, served
from tests.support.stripe import StandIn, running_stand_in
from tests.support.stripe.methods import methods_of

from . import conformance
from .first_told import as_first_told
from .stripes import stripe_at

FOLDER: Final = Path(__file__).with_name("exchanges")
CHECKS: Final = [check for check in conformance.CHECKS if check.needs <= FEATURES and not check.lacks & FEATURES]


def path_of(check: conformance.Check) -> Path:
    """Return the file of a check's recording."""
    return FOLDER / f"{check.run.__name__}.jsonl"


class RecordedLevers:
    """Levers that are pulled, and what they gave back is remembered."""

    def __init__(self, inner: conformance.Levers, recorder: Recorder) -> None:
        self._inner = inner
        self._recorder = recorder

    async def pass_time(self, by: timedelta) -> None:
        await self._inner.pass_time(by)

    async def open_dispute(self, payment: PaymentFact) -> str:
        dispute = await self._inner.open_dispute(payment)
        self._recorder.lever("open_dispute", dispute)
        return dispute

    async def make_ready(self, account: str) -> None:
        await self._inner.make_ready(account)


class PlayedLevers:
    """Levers that give back what they gave; what they did is in the answers that follow."""

    def __init__(self, player: Player) -> None:
        self._player = player

    async def pass_time(self, by: timedelta) -> None: ...

    async def open_dispute(self, payment: PaymentFact) -> str:
        return str(self._player.lever("open_dispute"))

    async def make_ready(self, account: str) -> None: ...


async def record(check: conformance.Check) -> None:
    """Make the recording of a check that passes on the stand-in."""
    async with running_stand_in() as stand_in:
        recorder = Recorder(stand_in.url)
        async with served(recorder.handle) as url, stripe_at(url) as provider:
            methods = methods_of(stand_in)
            levers = RecordedLevers(methods.levers, recorder)
            await check.run(as_first_told(provider), replace(methods, levers=levers))
    recorder.write(path_of(check))


async def play(check: conformance.Check) -> Player:
    """Run a check on its recording; return the player, who knows what was asked beside it."""
    player = Player.read(path_of(check))
    # Of the stand-in only the names of its cards are used.
    methods = replace(methods_of(StandIn()), levers=PlayedLevers(player))
    async with served(player.handle) as url, stripe_at(url) as provider:
        await check.run(as_first_told(provider), methods)
    return player


async def _record_all() -> None:
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.jsonl"):
        path.unlink()
    for check in CHECKS:
        await record(check)


if __name__ == "__main__":
    asyncio.run(_record_all())
