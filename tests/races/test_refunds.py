"""One payment given back, disputed and written off by several at the same moment."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from core.ids import Noun, encode, uuid7
from core.scopes import OPERATOR_SCOPES
from providers.payments.base import DisputeState, ProviderError
from providers.payments.sandbox import SandboxControl
from services import methods, refunds, write_offs
from services.engine import Engine
from tests.api.shop import ask
from tests.races.test_payments import counted, rows_of, settle_all
from tests.support.world import World

_GIVEN_BACK = "select refunded + refund_pending from payments"


async def paid(world: World, amount: str = "5.00", user: str = "fable") -> str:
    """Return a settled payment of the supporter's to a new creator."""
    return await paid_to(world, await world.creator(user), amount)


async def paid_to(world: World, creator: str, amount: str = "5.00") -> str:
    supporter = world.client("supporter")
    payment = str((await world.tip(supporter, creator, amount))["payment"]["id"])
    await world.confirm(supporter, payment)
    await settle_all(world)
    assert await world.status(payment) == "SUCCEEDED"
    return payment


def usd(amount: str) -> dict[str, str]:
    return {"amount": amount, "currency": "USD"}


async def test_ten_refunds_at_once_give_back_no_more_than_was_captured(idle: World) -> None:
    payment = await paid(idle)
    owner = idle.client("fable")

    answers = await asyncio.gather(
        *(ask(owner, "refundCreate", paymentId=payment, amount=usd("1.50")) for _ in range(10))
    )
    await settle_all(idle)

    taken = [answer["refund"]["status"] for answer in answers if answer["refund"]]
    assert taken == ["SUCCEEDED"] * 3
    errors = [error for answer in answers for error in answer["errors"]]
    assert {error["code"] for error in errors} == {"REFUND_TOO_LARGE"}
    assert all(error["refundable"]["amount"] in {"0.50", "2.00", "3.50"} for error in errors)
    assert await idle.scalar(_GIVEN_BACK) == 450
    assert await idle.scalar("select sum(amount) from sandbox.refund where state = 'SUCCEEDED'") == 450
    assert await idle.scalar("select count(*) from ledger.request where key like 'refund:%'") == 3


async def test_refunds_of_all_that_is_left_at_once_are_one(idle: World) -> None:
    payment = await paid(idle)
    owner = idle.client("fable")

    answers = await asyncio.gather(*(ask(owner, "refundCreate", paymentId=payment) for _ in range(6)))

    assert sum(answer["errors"] == [] for answer in answers) == 1
    assert await idle.status(payment) == "REFUNDED"
    assert await idle.scalar("select sum(posted) from ledger.account where kind = 'pending'") == 0


async def test_six_refunds_with_one_key_are_one(idle: World, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = counted(monkeypatch, idle, "refund")
    payment = await paid(idle)
    owner = idle.client("fable")

    sent = {"paymentId": payment, "amount": usd("2.00"), "idempotencyKey": "the-same"}
    answers = await asyncio.gather(*(ask(owner, "refundCreate", **sent) for _ in range(6)))

    assert [answer["errors"] for answer in answers] == [[]] * 6
    assert len({answer["refund"]["id"] for answer in answers}) == 1
    assert len(calls) == 1
    assert await idle.scalar(_GIVEN_BACK) == 200


async def test_several_sweepers_finish_each_refund_once(idle: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(_: Engine, __: Any) -> None:
        """Stand for callers who were killed before asking the provider."""

    creator = await idle.creator("fable")
    payments = [await paid_to(idle, creator) for _ in range(8)]
    owner = idle.client("fable")
    with monkeypatch.context() as patched:
        patched.setattr(refunds, "_call", never)
        for payment in payments:
            await ask(owner, "refundCreate", paymentId=payment)
    await idle.engine.database.writer.execute("update refunds set calling_until = now() - interval '1 second'")
    calls = counted(monkeypatch, idle, "refund")
    monkeypatch.setattr(refunds, "_BATCH", 3)

    while any(await asyncio.gather(*(refunds.sweep(idle.engine) for _ in range(4)))):
        pass

    assert len(calls) == 8
    assert [row["status"] for row in await rows_of(idle, "select status from refunds")] == ["SUCCEEDED"] * 8


async def test_repeats_and_sweepers_of_a_refund_nobody_finished_ask_once(
    idle: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_: Engine, __: Any) -> None:
        """Stand for a caller who was killed before asking the provider."""

    sent = {"paymentId": await paid(idle), "idempotencyKey": "the-same"}
    owner = idle.client("fable")
    with monkeypatch.context() as patched:
        patched.setattr(refunds, "_call", never)
        await ask(owner, "refundCreate", **sent)
    await idle.engine.database.writer.execute("update refunds set calling_until = now() - interval '1 second'")
    calls = counted(monkeypatch, idle, "refund")

    repeats = (ask(owner, "refundCreate", **sent) for _ in range(4))
    await asyncio.gather(*repeats, *(refunds.sweep(idle.engine) for _ in range(4)))

    assert len(calls) == 1
    assert await idle.scalar("select status from refunds") == "SUCCEEDED"


async def test_refund_and_its_webhooks_and_sweepers_at_once_post_it_once(idle: World) -> None:
    payment = await paid(idle)
    owner = idle.client("fable")

    async def tell() -> None:
        for _ in range(10):
            await settle_all(idle)
            await asyncio.sleep(0)

    await asyncio.gather(ask(owner, "refundCreate", paymentId=payment), tell(), tell(), refunds.sweep(idle.engine))
    await settle_all(idle)

    assert await idle.status(payment) == "REFUNDED"
    assert await idle.scalar("select count(*) from ledger.request where key like 'refund:%'") == 1
    assert await idle.scalar("select count(*) from payment_events where status = 'REFUNDED'") == 1
    assert await idle.scalar("select sum(returned) from earning_days") == 475


async def test_refund_and_dispute_at_once_take_the_money_once(idle: World) -> None:
    creator = await idle.creator("fable")
    payments = [await paid_to(idle, creator) for _ in range(6)]
    owner = idle.client("fable")
    control = SandboxControl(idle.engine.database.writer)

    async def dispute(payment: str) -> None:
        with suppress(ProviderError):  # it came after the refund, and nothing is left to dispute
            await control.open_dispute(str(idle.key(Noun.PAYMENT, payment)))

    calls = [
        call
        for number, payment in enumerate(payments)
        for call in (ask(owner, "refundCreate", paymentId=payment), dispute(payment))[:: 1 if number % 2 else -1]
    ]
    await asyncio.gather(*calls)
    await settle_all(idle)

    for row in await rows_of(idle, "select * from payments"):
        assert row["returned_net"] == 475
        assert row["refunded"] in {0, 500}
    pending = await idle.scalar("select sum(posted) from ledger.account where kind in ('pending', 'owed')")
    assert pending == 0


async def test_debts_written_off_at_once_are_borne_no_further_than_they_are_owed(
    idle: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    control = SandboxControl(idle.engine.database.writer)
    creator = await idle.creator("fable")
    for payment in [await paid_to(idle, creator) for _ in range(4)]:
        fact = await control.open_dispute(str(idle.key(Noun.PAYMENT, payment)))
        await control.close_dispute(fact.provider_reference, DisputeState.LOST)
    # As if they had been paid out: the first two earnings of four are all that is owed.
    await idle.engine.database.writer.execute(
        "update payments set matured_at = now() where id in (select id from payments order by id limit 2)"
    )
    await settle_all(idle)
    owed = await idle.scalar("select posted from ledger.account where kind = 'owed'")
    assert owed == -950
    operator = idle.client("operator", OPERATOR_SCOPES)
    met, post = asyncio.Barrier(4), write_offs.post
    waiting = iter(range(4))

    async def together(*arguments: Any) -> None:
        # All four have seen the same debt before any of them is posted.
        if next(waiting, None) is not None:
            await met.wait()
        await post(*arguments)

    monkeypatch.setattr(write_offs, "post", together)
    lost = [encode(Noun.DISPUTE, row["id"]) for row in await rows_of(idle, "select id from disputes")]

    async with asyncio.timeout(30):
        answers = await asyncio.gather(*(ask(operator, "disputeWriteOff", disputeId=dispute) for dispute in lost))

    assert sum(answer["errors"] == [] for answer in answers) == 2
    codes = {error["code"] for answer in answers for error in answer["errors"]}
    assert codes == {"NOTHING_TO_WRITE_OFF"}
    assert await idle.scalar("select posted from ledger.account where kind = 'owed'") == 0
    assert await idle.scalar("select sum(written_off) from disputes") == 950


async def test_evidence_handed_in_six_times_at_once_is_taken_once(
    idle: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = counted(monkeypatch, idle, "answer_dispute")
    payment = await paid(idle)
    await SandboxControl(idle.engine.database.writer).open_dispute(str(idle.key(Noun.PAYMENT, payment)))
    await settle_all(idle)
    dispute = encode(Noun.DISPUTE, await idle.scalar("select id from disputes"))
    owner = idle.client("fable")

    answers = await asyncio.gather(
        *(
            ask(owner, "disputeAnswer", disputeId=dispute, evidence={"customerName": f"Sam {number}"})
            for number in range(6)
        )
    )

    assert sum(answer["errors"] == [] for answer in answers) == 1
    codes = {error["code"] for answer in answers for error in answer["errors"]}
    assert codes <= {"PAYMENT_IN_PROGRESS", "DISPUTE_CLOSED"}
    assert len(calls) == 1


async def test_method_saved_six_times_with_one_key_is_one(idle: World, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = counted(monkeypatch, idle, "save_method")
    payer = idle.client("payer")
    key = str(uuid7())
    sent = {"method": "tok_success", "idempotencyKey": key}

    answers = await asyncio.gather(*(ask(payer, "paymentMethodSave", **sent) for _ in range(6)))

    codes = {error["code"] for answer in answers for error in answer["errors"]}
    assert codes <= {"PROVIDER_UNAVAILABLE"}
    assert len(calls) == 1
    assert await idle.count("payment_methods") == 1
    while await methods.sweep(idle.engine):
        pass
    assert (await ask(payer, "paymentMethodSave", **sent))["errors"] == []
