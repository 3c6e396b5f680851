"""Places where a process can be made to kill itself: the first time it comes there it is gone, as by kill -9."""

import functools
import os
import signal
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Final, NoReturn

import ledger
from app import worker
from providers.payments.sandbox import SandboxProvider
from providers.payments.sandbox.delivery import _Sender  # ruff: ignore[import-private-name] - where it dies is its own affair
from services import (
    charging,
    checkouts,
    maturing,
    order_settlement,
    payments,
    purchases,
    relay,
    stock_reservations,
    sweeper,
    usage,
    webhooks,
)
from services.bus import LocalBus
from services.bus_redis import RedisBus
from services.relay import Relay


def _die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("SIGKILL cannot be survived")


def _before(
    owner: Any, name: str, when: Callable[[tuple[Any, ...]], bool] = lambda _arguments: True
) -> Callable[[], None]:
    def arm() -> None:
        original = getattr(owner, name)

        def instead(*arguments: Any, **named: Any) -> Any:
            if when(arguments):
                _die()
            return original(*arguments, **named)

        setattr(owner, name, instead)

    return arm


def _after(
    owner: Any, name: str, when: Callable[[Any, tuple[Any, ...]], bool] = lambda _result, _arguments: True
) -> Callable[[], None]:
    def arm() -> None:
        original = getattr(owner, name)

        @functools.wraps(original)
        async def instead(*arguments: Any, **named: Any) -> Any:
            result = await original(*arguments, **named)
            if when(result, arguments):
                _die()
            return result

        setattr(owner, name, instead)

    return arm


def _after_sweep(name: str) -> Callable[[], None]:
    """Die when one of the worker's sweeps has found something to do and done it."""

    def arm() -> None:
        # A place for each, as those are held in a mapping and not looked up in their modules.
        sweeps = SimpleNamespace(step=worker._SWEEPS[name])
        _after(sweeps, "step", _worked)()
        worker._SWEEPS = {**worker._SWEEPS, name: sweeps.step}  # type: ignore[misc] # only in a process that is about to die

    return arm


def _within(owner: Any) -> Callable[[], None]:
    """Die when all of an order is written and nothing is committed."""

    def arm() -> None:
        original = owner.once_named

        async def once_named(engine: Any, request: Any, ids: Any, act: Callable[[Any], Any]) -> Any:
            async def act_and_die(transaction: Any) -> NoReturn:
                await act(transaction)
                _die()

            return await original(engine, request, ids, act_and_die)

        owner.once_named = once_named

    return arm


def _worked(result: Any, _: tuple[Any, ...]) -> bool:
    return bool(result)


def _to_a_creator(_: Any, arguments: tuple[Any, ...]) -> bool:
    return any(message.channel.startswith("creator:") for message in arguments[1])


def _of_activity(arguments: tuple[Any, ...]) -> bool:
    return any(row["in_activity"] for row in arguments[2])


def _with_an_offset(arguments: tuple[Any, ...]) -> bool:
    return arguments[1] is not None


WEB: Final = {
    "purchase written, not committed": _within(purchases),
    "payment committed, provider not called": _before(SandboxProvider, "create_payment"),
    "payment known to the provider, not recorded": _after(SandboxProvider, "create_payment"),
    "payment recorded as known, not answered": _after(payments, "start"),
    "confirmation begun, provider not called": _before(SandboxProvider, "confirm_payment"),
    "charged by the provider, not recorded": _after(SandboxProvider, "confirm_payment"),
    "charge recorded, not answered": _after(charging, "_take_answer"),
    "webhook received, not stored": _before(webhooks, "receive"),
    "webhook stored, not answered": _after(webhooks, "receive"),
    "relay about to tell the payment's watchers": _before(Relay, "_publish"),
    "relay about to give places": _before(Relay, "_settle", _of_activity),
    "relay gave places, not published": _before(relay, "_to_creator", _with_an_offset),
    "relay published, not marked": _after(LocalBus, "publish", _to_a_creator),
    "relay marked": _after(Relay, "_settle", lambda _, arguments: _of_activity(arguments)),
}
RELAY: Final = {
    "relay about to tell the payment's watchers": _before(Relay, "_publish"),
    "relay about to give places": _before(Relay, "_settle", _of_activity),
    "relay gave places, not published": _before(relay, "_to_creator", _with_an_offset),
    "relay published through Redis, not marked": _after(RedisBus, "publish", _to_a_creator),
}
"""Where the relay of a web process with Redis may die; another takes over."""
CANCEL: Final = {
    "cancellation begun, provider not called": _before(SandboxProvider, "cancel"),
    "cancelled by the provider, not recorded": _after(SandboxProvider, "cancel"),
    "cancellation's stock about to be given back": _before(order_settlement, "canceled"),
    "cancellation's stock given back, not committed": _after(order_settlement, "canceled"),
}
CHECKOUT: Final = {
    "order priced, not written": _before(checkouts, "place"),
    "order written, stock not reserved": _before(stock_reservations, "reserve"),
    "stock reserved, limits not counted": _before(usage, "use"),
    "checkout written, not committed": _within(checkouts),
    "checkout committed, payment not begun": _before(checkouts, "completed"),
    "order's payment about to be known to the provider": _before(SandboxProvider, "create_payment"),
    "order's payment known to the provider, not recorded": _after(SandboxProvider, "create_payment"),
    "order's payment recorded as known, not answered": _after(checkouts, "completed"),
    "order's payment charged, not recorded": _after(SandboxProvider, "confirm_payment"),
}
"""Where a web process may die while a cart becomes a paid order."""
WORKER: Final = {
    "webhook claimed, not settled": _before(webhooks, "settle_batch"),
    "facts folded, not written": _before(payments, "write_changes"),
    "status written, webhook not marked": _after(webhooks, "settle_batch"),
    "webhook marked, ledger not posted": _before(ledger, "post"),
    "ledger posted, not committed": _after(ledger, "post"),
    "webhook settled and committed": _after(webhooks, "take", lambda taken, _: taken.number > 0),
    "sandbox claimed its event, not sent": _before(_Sender, "_post"),
    "sandbox sent its event, not noted": _after(_Sender, "_post"),
    "earning claimed, not posted": _before(maturing, "post"),
    "earning posted, not committed": _after(maturing, "post"),
    "earning matured and committed": _after_sweep("maturing"),
}
SWEEPER: Final = {
    "payment claimed, provider not asked": _before(sweeper, "_look_up"),
    "provider asked, not recorded": _after(SandboxProvider, "fetch"),
    "payment looked up and committed": _after(sweeper, "_look_up"),
}


def prepare(place: str) -> None:
    """Have this process kill itself at a place."""
    from tests.faults.look_up_places import ALL as LOOK_UPS
    from tests.faults.payout_places import PAYOUTS
    from tests.faults.refund_places import RETURNS

    {**WEB, **RELAY, **CANCEL, **CHECKOUT, **WORKER, **SWEEPER, **PAYOUTS, **RETURNS, **LOOK_UPS}[place]()
