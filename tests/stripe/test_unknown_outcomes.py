"""Answers that never came: whatever Stripe is told to do is done once, and we find out that it was."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from app.observed import unwrapped
from app.postgres import Lease
from providers.payments.stripe import StripeProvider
from tests.stripe.commands import COMMANDS, Command
from tests.stripe.desk import Desk, open_desk
from tests.support.databases import fresh_database
from tests.support.stripe import Fault

pytestmark = pytest.mark.asyncio(loop_scope="module")

_IMPATIENT_SECONDS = 1.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(lease: Lease, template: str) -> AsyncIterator[Desk]:
    """A server for all tests here: each has payments and payouts of its own."""
    async with fresh_database(lease, template) as dsn, open_desk(dsn) as desk:
        yield desk


def told(errors: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(error["code"], error["message"]) for error in errors]


async def _befalls(desk: Desk, command: Command, fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    given = await command.prepare(desk)
    before = command.effects(desk, given)
    plan = desk.stripe.faults.plan(fault, command.calls)
    stripe = unwrapped(desk.engine.provider)
    assert isinstance(stripe, StripeProvider)
    with monkeypatch.context() as patched:
        if fault is Fault.NO_ANSWER:
            patched.setattr(stripe.client, "_seconds", _IMPATIENT_SECONDS)
        errors = await command.act(desk, given)
    plan.release()
    assert plan.met == 1
    known = command.looks_at_once and fault is Fault.ERROR_AFTER
    assert told(errors) == ([] if command.unknown is None or known else [command.unknown])
    assert command.effects(desk, given) == before + (fault is not Fault.ERROR_BEFORE)

    await desk.sweep()
    if (command.asked_again and command.effects(desk, given) == before) or command.unknown is not None:
        # Nothing was done, or nobody could say so: it is asked for again.
        assert await command.act(desk, given) == []
    await desk.tell()
    await desk.sweep()
    await desk.tell()
    assert command.effects(desk, given) == before + 1
    assert await command.done(desk, given)
    await desk.prove()


@pytest.mark.usefixtures("canary")
@pytest.mark.parametrize("fault", [Fault.NO_ANSWER, Fault.ERROR_AFTER, Fault.ERROR_BEFORE])
@pytest.mark.parametrize("command", COMMANDS, ids=str)
async def test_command_whose_answer_never_came_is_done_once(
    shared: Desk, command: Command, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _befalls(shared, command, fault, monkeypatch)
