"""Refunds whose outcome is learnt late, and what disputes leave of a payment to be refunded."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from core.ids import Noun
from providers.payments import base
from services import maturing, refunds
from tests.api.shop import ask, do, refused, usd
from tests.support.payouts import Till, running_till


@pytest.fixture
async def till(dsn: str) -> AsyncIterator[Till]:
    """A creator with 95.00 USD available, of a tip of 100.00."""
    async with running_till(dsn) as opened:
        yield await opened.open()


async def tipped(till: Till) -> str:
    """Return a settled tip of 10.00, of which 9.50 is pending and 0.50 the platform's fee."""
    supporter = till.world.client("supporter")
    payment = str((await till.world.tip(supporter, till.creator, "10.00"))["payment"]["id"])
    await till.world.confirm(supporter, payment)
    await till.told()
    assert await till.world.status(payment) == "SUCCEEDED"
    return payment


async def matured_tip(till: Till) -> str:
    payment = await tipped(till)
    await maturing.mature(till.world.engine)
    return payment


async def posted(till: Till) -> dict[str, int]:
    """Return what the creator and the platform have in the books, in cents."""
    own = {kind: await till.balance(kind, till.key) for kind in ("pending", "available", "owed")}
    return {**own, "fees": await till.balance("fees")}


async def returned(till: Till, payment: str) -> dict[str, int]:
    """Return what went back of a payment, or is on its way, in cents."""
    row = await till.world.engine.database.reader.fetchrow(
        "select refunded, refund_pending, returned_net, returned_fee from payments where id = $1",
        till.world.key(Noun.PAYMENT, payment),
    )
    return {name: int(value) for name, value in row.items()}


def back(refunded: int = 0, pending: int = 0) -> dict[str, int]:
    """Return what :func:`returned` finds, with 5 % of what goes back taken from the fee."""
    fee = (refunded + pending) // 20
    net = refunded + pending - fee
    return {"refunded": refunded, "refund_pending": pending, "returned_net": net, "returned_fee": fee}


async def row_of(till: Till, refund: str) -> Any:
    return await refunds.read(till.world.engine, till.world.key(Noun.REFUND, refund))


async def swept(till: Till, refund: str, **ago: float) -> str:
    """Let the sweeper look a refund up, with an age once it is that old; return its status."""
    await till.world.engine.database.writer.execute(
        "update refunds set calling_until = now() - interval '1 second', created_at = created_at - $2::interval "
        "where id = $1",
        till.world.key(Noun.REFUND, refund),
        timedelta(**ago),
    )
    await refunds.sweep(till.world.engine)
    return str((await row_of(till, refund))["status"])


async def _finds_nothing(*_: Any) -> tuple[()]:
    """Stand for a search at the provider that lags behind."""
    return ()


def conflict() -> base.ProviderError:
    return base.ProviderError(
        base.ProviderErrorCode.STATE_CONFLICT, base.ProviderAction.NEVER, ambiguous=False, provider_code="test"
    )


# Ended here before the provider spoke of it -------------------------------------------------------------------


async def ended_here(
    till: Till, monkeypatch: pytest.MonkeyPatch, payment: str, status: str, amount: str
) -> dict[str, Any]:
    """Return a refund that the provider made, and that ended here as if it had not."""
    provider = till.world.engine.provider
    original = provider.refund

    async def made_and_refused(command: base.Refund) -> base.RefundFact:
        await original(command)
        raise conflict()

    with monkeypatch.context() as patched:
        if status == "FAILED":
            patched.setattr(provider, "refund", made_and_refused)
        else:
            await till.control.arm("REFUND", "ANSWER_LOST")
        patched.setattr(provider, "find", _finds_nothing)
        made = (await do(till.client, "refundCreate", paymentId=payment, amount=usd(amount)))["refund"]
        if status == "CANCELED":
            assert made["status"] == "RECONCILING"
            assert await swept(till, made["id"], hours=24.5) == "CANCELED"
    assert (await row_of(till, made["id"]))["status"] == status
    return dict(made)


@pytest.mark.parametrize("status", ["FAILED", "CANCELED"])
@pytest.mark.parametrize(("amount", "gross", "net"), [("10.00", 1_000, 950), ("4.00", 400, 380)])
async def test_refund_that_ended_here_is_set_aside_anew_once_its_success_is_told(
    till: Till, monkeypatch: pytest.MonkeyPatch, status: str, amount: str, gross: int, net: int
) -> None:
    payment, other = await tipped(till), await tipped(till)
    refund = await ended_here(till, monkeypatch, payment, status, amount)
    assert await returned(till, payment) == back()
    assert await posted(till) == {"pending": 1_900, "available": 9_500, "owed": 0, "fees": 600}

    await till.told()

    row = await row_of(till, refund["id"])
    assert (row["status"], row["accepted_at"] is not None, row["returned_at"]) == ("SUCCEEDED", True, None)
    assert await till.world.status(payment) == ("REFUNDED" if gross == 1_000 else "PARTIALLY_REFUNDED")
    assert await returned(till, payment) == back(refunded=gross)
    fees = 600 - (gross - net)
    assert await posted(till) == {"pending": 1_900 - net, "available": 9_500, "owed": 0, "fees": fees}

    # Only what is left of it matures, and what another payment has pending is not touched.
    await till.world.engine.database.writer.execute(
        "update payments set matures_at = now() + interval '1 day' where id = $1",
        till.world.key(Noun.PAYMENT, other),
    )
    await maturing.mature(till.world.engine)
    assert await posted(till) == {"pending": 950, "available": 9_500 + 950 - net, "owed": 0, "fees": fees}
    late = "select count(*) from payments where matured_at is null and matures_at <= now()"
    assert await till.world.scalar(late) == 0


@pytest.mark.parametrize("status", ["FAILED", "CANCELED"])
async def test_refund_that_ended_here_and_succeeded_gives_back_once_if_it_fails_after_all(
    till: Till, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    payment = await tipped(till)
    refund = await ended_here(till, monkeypatch, payment, status, "10.00")
    await till.told()

    await till.control.fail_refund((await row_of(till, refund["id"]))["provider_reference"])
    await till.told()

    row = await row_of(till, refund["id"])
    assert (row["status"], row["returned_at"] is not None) == ("FAILED", True)
    assert await till.world.status(payment) == "SUCCEEDED"
    assert await returned(till, payment) == back()
    assert await posted(till) == {"pending": 950, "available": 9_500, "owed": 0, "fees": 550}
    assert await till.world.scalar("select sum(returned) from earning_days") == 0
    await maturing.mature(till.world.engine)
    assert await posted(till) == {"pending": 0, "available": 10_450, "owed": 0, "fees": 550}


async def test_refund_whose_repeated_call_is_refused_after_an_unanswered_one_stays_undecided(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = await tipped(till)
    provider = till.world.engine.provider
    await till.control.arm("REFUND", "ANSWER_LOST")
    asked: list[str] = []

    async def no(command: base.Refund) -> base.RefundFact:
        asked.append(command.idempotency_key)
        raise conflict()

    before = await posted(till)
    with monkeypatch.context() as patched:
        patched.setattr(provider, "find", _finds_nothing)
        refund = (await do(till.client, "refundCreate", paymentId=payment))["refund"]
        assert refund["status"] == "RECONCILING"
        patched.setattr(provider, "refund", no)
        for _ in range(2):
            assert await swept(till, refund["id"]) == "RECONCILING"

    assert asked == [f"refund:{till.world.key(Noun.REFUND, refund['id'])}"] * 2
    row = await row_of(till, refund["id"])
    assert (row["failure_code"], row["calling_until"] > row["updated_at"]) == (None, True)
    assert await returned(till, payment) == back(pending=1_000)
    assert await posted(till) == before
    again = await ask(till.client, "refundCreate", paymentId=payment)
    assert [error["code"] for error in again["errors"]] == ["REFUND_TOO_LARGE"]
    assert await till.world.count("refunds") == 1

    # Once the search has caught up, it is the one refund that was made.
    assert await swept(till, refund["id"]) == "SUCCEEDED"
    assert await till.world.count("sandbox.refund") == 1
    assert await returned(till, payment) == back(refunded=1_000)
    assert await posted(till) == {"pending": 0, "available": 9_500, "owed": 0, "fees": 500}


# What disputes leave ------------------------------------------------------------------------------------------


async def test_won_dispute_whose_money_has_not_come_back_leaves_nothing_to_refund(till: Till) -> None:
    payment = await matured_tip(till)
    opened = await till.control.open_dispute(str(till.world.key(Noun.PAYMENT, payment)))
    await till.told()
    won = await till.control.close_dispute(opened.provider_reference, base.DisputeState.WON)
    assert won.reinstatement is not None
    engine = till.world.engine
    await engine.settle(engine, [replace(won, reinstatement=None)])
    assert await till.world.scalar("select status from disputes") == "WON"
    before = {"pending": 0, "available": 9_500, "owed": 0, "fees": 500}
    assert await posted(till) == before

    payload = await ask(till.client, "refundCreate", paymentId=payment)

    (error,) = payload["errors"]
    assert (error["code"], error["refundable"]) == ("REFUND_TOO_LARGE", usd("0.00"))
    assert payload["refund"] is None
    assert (await till.world.count("refunds"), await till.world.count("sandbox.refund")) == (0, 0)
    assert await posted(till) == before

    await till.told()
    assert await posted(till) == {"pending": 0, "available": 10_450, "owed": 0, "fees": 550}
    await do(till.client, "refundCreate", paymentId=payment)
    await till.told()
    assert await returned(till, payment) == back(refunded=1_000)
    assert await posted(till) == before


async def test_what_a_lost_dispute_over_a_part_left_can_be_refunded(till: Till) -> None:
    payment = await matured_tip(till)
    opened = await till.control.open_dispute(str(till.world.key(Noun.PAYMENT, payment)), 300)
    await till.told()
    await till.control.close_dispute(opened.provider_reference, base.DisputeState.LOST)
    await till.told()
    lost = {"pending": 0, "available": 10_165, "owed": 0, "fees": 535}
    assert (await till.world.status(payment), await posted(till)) == ("CHARGED_BACK", lost)

    too_much = await ask(till.client, "refundCreate", paymentId=payment, amount=usd("7.01"))
    assert [(error["code"], error["refundable"]) for error in too_much["errors"]] == [
        ("REFUND_TOO_LARGE", usd("7.00"))
    ]
    assert (await till.world.count("refunds"), await posted(till)) == (0, lost)

    made = (await do(till.client, "refundCreate", paymentId=payment))["refund"]
    await till.told()

    assert made["amount"] == usd("7.00")
    assert (await row_of(till, made["id"]))["status"] == "SUCCEEDED"
    assert await posted(till) == {"pending": 0, "available": 9_500, "owed": 0, "fees": 500}
    refused(
        await ask(till.client, "refundCreate", paymentId=payment),
        "PAYMENT_NOT_REFUNDABLE",
        "paymentId",
        says="The payer's bank has taken this payment back for good.",
    )
    assert await till.world.count("refunds") == 1
