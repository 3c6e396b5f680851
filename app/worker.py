"""The worker process: settles the inbox, matures earnings, finishes what nobody finished, tends the ledger."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final

from app.clock import follow_clock, read_clock
from app.engine import open_engine
from app.jobs import run_jobs
from app.memory import settle_memory
from app.metrics import serve_metrics
from app.observed import unwrapped
from app.settings import Settings
from app.supervisor import Pacer, Supervisor
from providers.payments.sandbox import SandboxProvider, deliver, http_client
from services import (
    bookkeeping,
    disputes,
    maturing,
    methods,
    payout_accounts,
    payout_calls,
    payout_schedules,
    refunds,
    stock,
    stock_reservations,
    sweeper,
    webhooks,
)
from services.engine import Engine
from services.look_ups import Waiting

_LONGEST_INBOX_PAUSE_SECONDS: Final = 0.02
_SWEEP_SECONDS: Final = 1.0
_PARTITIONS_SECONDS: Final = 3600.0

# What is looked at every second: each of them says whether there may be more to do at once.
_SWEEPS: Final[Mapping[str, Callable[[Engine], Awaitable[object]]]] = {
    "maturing": maturing.mature,
    "reserves": maturing.release_reserves,
    "hold expiry": bookkeeping.expire_holds,
    "stock reservations": stock_reservations.expire,
    "low stock": stock.tell_low,
    "payments": sweeper.sweep,
    "refunds": refunds.sweep,
    "disputes": disputes.sweep,
    "payment methods": methods.sweep,
    "payout accounts": payout_accounts.sweep,
    "payouts": payout_calls.sweep,
    "payouts on hold": payout_calls.release_holds,
    "payout schedules": payout_schedules.run_due,
}


async def run_worker(settings: Settings, dsn: str, stop: asyncio.Event) -> None:
    """Work until ``stop`` is set; what is under way is finished or left as it was."""
    async with open_engine(settings, dsn, subscribers=False) as engine:
        supervisor = Supervisor()
        sandbox = unwrapped(engine.provider)
        if isinstance(sandbox, SandboxProvider) and not settings.is_production:
            await read_clock(sandbox)
            supervisor.start("business time", partial(follow_clock, sandbox))
        start_work(supervisor, engine)
        supervisor.start("jobs", lambda: run_jobs(engine, dsn, stop))
        if settings.worker_metrics_port:
            supervisor.start("metrics", lambda: serve_metrics(settings, engine))
        async with http_client() as client:
            if isinstance(sandbox, SandboxProvider):
                supervisor.start(
                    "sandbox delivery",
                    lambda: deliver(
                        engine.database.writer,
                        url=settings.sandbox_webhook_url,
                        secrets=settings.webhook_secrets,
                        client=client,
                        stop=stop,
                    ),
                )
            settle_memory()
            await stop.wait()
            await supervisor.stop()


def start_work(supervisor: Supervisor, engine: Engine) -> None:
    """Start the tasks of a worker."""
    inbox = Pacer(longest=_LONGEST_INBOX_PAUSE_SECONDS)
    engine.inbox_wake = inbox.wake
    rush = asyncio.Event()

    to_look_up: asyncio.Queue[Waiting] = asyncio.Queue()

    async def take() -> int:
        taken = await webhooks.take(engine)
        if taken.waiting is not None:
            to_look_up.put_nowait(taken.waiting)
        return taken.number

    async def settle() -> None:
        while True:
            settled = await take()
            if settled == webhooks.BATCH:
                rush.set()
            await inbox.pause(worked=bool(settled))

    async def help_in_a_rush() -> None:
        # While PostgreSQL works on one batch, Python works on the other.
        while True:
            await rush.wait()
            if await take() < webhooks.BATCH:
                rush.clear()

    async def look_up() -> None:
        # The provider takes its time: what needs no look-up does not wait for it. What is lost here comes back.
        while True:
            await webhooks.look_up(engine, await to_look_up.get())

    supervisor.start("inbox", settle)
    supervisor.start("inbox, second", help_in_a_rush)
    supervisor.start("inbox, looking up", look_up)
    for name, step in _SWEEPS.items():
        supervisor.start(name, partial(_regularly, partial(step, engine), _SWEEP_SECONDS))
    supervisor.start(
        "partitions", lambda: _regularly(lambda: bookkeeping.make_partitions(engine), _PARTITIONS_SECONDS)
    )


async def _regularly(step: Callable[[], Awaitable[object]], seconds: float) -> None:
    """Run a step again at once while it finds something to do, otherwise after a while."""
    while True:
        if not await step():
            await asyncio.sleep(seconds)
