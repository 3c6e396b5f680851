"""Payments looked up by themselves: authentications and disputes whose end nobody tells."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from core.clock import now
from core.ids import Noun, encode
from providers.payments import base
from services import payouts, sweeper
from tests.api.shop import ask, do
from tests.support.payouts import Till, running_till


@pytest.fixture
async def till(dsn: str) -> AsyncIterator[Till]:
    """A creator with 95.00 USD available, of one tip of 100.00."""
    async with running_till(dsn) as opened:
        yield await opened.open()


async def tipped(till: Till) -> str:
    """Return a tip of 10.00 that is not confirmed."""
    return str((await till.world.tip(till.world.client("supporter"), till.creator, "10.00"))["payment"]["id"])


async def row_of(till: Till, payment: str) -> Any:
    return await till.world.engine.database.reader.fetchrow(
        "select * from payments where id = $1", till.world.key(Noun.PAYMENT, payment)
    )


async def swept(till: Till, payment: str) -> None:
    """Let a payment's look-up be due, if there is one, and look up all that is."""
    await till.world.engine.database.writer.execute(
        "update payments set calling_until = now() - interval '1 second' where id = $1 and calling_until is not null",
        till.world.key(Noun.PAYMENT, payment),
    )
    await sweeper.sweep(till.world.engine)


async def nobody_tells(till: Till) -> None:
    """Let the sandbox do what is due there, and all that it has to tell be lost."""
    await till.control.run_due()
    await till.world.engine.database.writer.execute(
        "update sandbox.event set delivered_at = created_at, next_attempt_at = null where delivered_at is null"
    )


async def posted(till: Till) -> dict[str, int]:
    """Return what the creator and the platform have in the books, in cents."""
    own = {kind: await till.balance(kind, till.key) for kind in ("pending", "available", "owed")}
    return {**own, "fees": await till.balance("fees")}


BEFORE = {"pending": 0, "available": 9_500, "owed": 0, "fees": 500}
TAKEN = {"pending": 0, "available": 0, "owed": 0, "fees": 0}
"""With the tip of 100.00 withdrawn."""


# Confirmed ----------------------------------------------------------------------------------------------------


async def test_bad_method_for_a_payment_that_waits_for_authentication_keeps_its_look_up(till: Till) -> None:
    payment = await tipped(till)
    supporter = till.world.client("supporter")
    await do(supporter, "paymentConfirm", paymentId=payment, method="tok_3ds")
    await till.told()

    payload = await ask(supporter, "paymentConfirm", paymentId=payment, method="tok_nonsense")

    assert [(error["code"], error["path"]) for error in payload["errors"]] == [
        ("INPUT_INVALID", ["input", "method"])
    ]
    row = await row_of(till, payment)
    assert (row["status"], row["calling_until"] is not None) == ("REQUIRES_ACTION", True)
    assert await posted(till) == BEFORE

    await till.world.sandbox.authenticate(row["provider_reference"], accepted=True)
    await nobody_tells(till)
    assert await till.world.status(payment) == "REQUIRES_ACTION"
    await swept(till, payment)
    assert await till.world.status(payment) == "SUCCEEDED"
    assert await posted(till) == {**BEFORE, "pending": 950, "fees": 550}


async def test_confirmation_refused_because_the_payment_has_moved_on_is_looked_up(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = await tipped(till)
    provider = till.world.engine.provider
    original = provider.confirm_payment

    async def taken_and_refused(command: base.ConfirmPayment) -> base.PaymentFact:
        await original(command)
        raise base.ProviderError(
            base.ProviderErrorCode.STATE_CONFLICT, base.ProviderAction.NEVER, ambiguous=False, provider_code="test"
        )

    with monkeypatch.context() as patched:
        patched.setattr(provider, "confirm_payment", taken_and_refused)
        payload = await ask(
            till.world.client("supporter"), "paymentConfirm", paymentId=payment, method="tok_success"
        )
    await nobody_tells(till)
    assert [error["code"] for error in payload["errors"]] == ["PAYMENT_IN_PROGRESS"]
    assert (await till.world.status(payment), await posted(till)) == ("PENDING", BEFORE)

    await swept(till, payment)

    assert await till.world.status(payment) == "SUCCEEDED"
    assert await posted(till) == {**BEFORE, "pending": 950, "fees": 550}


# Disputed -----------------------------------------------------------------------------------------------------


async def disputed(till: Till) -> tuple[str, base.DisputeFact]:
    """Return the payment of 100.00 and the dispute opened over it, as it was told."""
    payment = encode(Noun.PAYMENT, await till.world.scalar("select id from payments"))
    opened = await till.control.open_dispute(str(till.world.key(Noun.PAYMENT, payment)))
    await till.told()
    assert (await till.world.status(payment), await posted(till)) == ("DISPUTED", TAKEN)
    return payment, opened


async def looked_up_in(till: Till, payment: str) -> timedelta:
    """Return after how long a payment is looked up by itself."""
    until: timedelta = (await row_of(till, payment))["calling_until"] - now()
    return until


async def test_open_dispute_is_looked_up_by_itself_and_its_lost_end_is_healed(till: Till) -> None:
    payment, opened = await disputed(till)
    assert timedelta(minutes=50) < await looked_up_in(till, payment) <= timedelta(hours=1)
    await till.earns("20.00")
    payout = await till.requested("19.00")
    assert (await till.seen(payout))["status"] == "ON_HOLD"

    # As long as nothing has happened it is asked about once an hour.
    await swept(till, payment)
    assert await till.world.status(payment) == "DISPUTED"
    assert timedelta(minutes=50) < await looked_up_in(till, payment) <= timedelta(hours=1)

    await till.control.close_dispute(opened.provider_reference, base.DisputeState.LOST)
    await nobody_tells(till)
    assert await till.world.status(payment) == "DISPUTED"
    await swept(till, payment)

    assert await till.world.scalar("select status from disputes") == "LOST"
    row = await row_of(till, payment)
    assert (row["status"], row["calling_until"]) == ("CHARGED_BACK", None)
    assert await posted(till) == {**TAKEN, "fees": 100}
    await payouts.release_holds(till.world.engine)
    assert (await till.seen(payout))["status"] == "REQUESTED"


@pytest.mark.parametrize("comes_later", [False, True])
async def test_won_dispute_is_looked_up_until_its_money_has_come_back(
    till: Till, monkeypatch: pytest.MonkeyPatch, comes_later: bool
) -> None:
    payment, opened = await disputed(till)
    await till.control.close_dispute(opened.provider_reference, base.DisputeState.WON)
    await nobody_tells(till)
    provider = till.world.engine.provider
    original = provider.fetch

    async def not_yet(*given: Any) -> Any:
        facts = await original(*given)
        return [
            replace(fact, reinstatement=None) if isinstance(fact, base.DisputeFact) else fact for fact in facts
        ]

    if comes_later:
        with monkeypatch.context() as patched:
            patched.setattr(provider, "fetch", not_yet)
            await swept(till, payment)
        assert await till.world.scalar("select status from disputes") == "WON"
        assert timedelta(minutes=50) < await looked_up_in(till, payment) <= timedelta(hours=1)
    assert await posted(till) == TAKEN

    await swept(till, payment)

    assert await till.world.scalar("select status from disputes") == "WON"
    row = await row_of(till, payment)
    assert (row["status"], row["calling_until"]) == ("SUCCEEDED", None)
    assert await posted(till) == BEFORE
    await till.told()
    await swept(till, payment)
    assert await posted(till) == BEFORE


async def test_payment_its_provider_contradicts_itself_about_is_looked_up_again_much_later(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment, _ = await disputed(till)
    provider = till.world.engine.provider
    original = provider.fetch

    async def of_another_amount(*given: Any) -> Any:
        facts = await original(*given)
        return [
            replace(fact, gross=fact.gross + 1) if isinstance(fact, base.ChargeFact) else fact for fact in facts
        ]

    monkeypatch.setattr(provider, "fetch", of_another_amount)
    await swept(till, payment)

    assert timedelta(minutes=50) < await looked_up_in(till, payment) <= timedelta(hours=1)
    assert (await till.world.status(payment), await posted(till)) == ("DISPUTED", TAKEN)
