"""What was begun with a payment provider that is no longer in use: the one in use is not asked about it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from core.ids import Noun, encode
from services import disputes, methods, payout_accounts, payout_calls, refunds, sweeper
from tests.api.shop import ask, do
from tests.support.payouts import Till, running_till

OF_PROVIDERS = ("payments", "refunds", "disputes", "payment_methods", "payouts", "payout_accounts")


@pytest.fixture
async def till(dsn: str) -> AsyncIterator[Till]:
    """A creator with 95.00 USD available, of one tip of 100.00, and an account that is ready."""
    async with running_till(dsn) as opened:
        yield await opened.open()


async def belong_to(till: Till, provider: str) -> None:
    """Let everything be of a provider, and its next look-up be due."""
    for table in OF_PROVIDERS:
        await till.world.engine.database.writer.execute(
            f"update {table} set provider = $1, calling_until = now() - interval '1 second'",
            provider,
        )


class Unasked:
    """A provider's methods that nobody may call."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, till: Till) -> None:
        self.asked: list[str] = []
        provider = till.world.engine.provider
        for name in (
            "find",
            "fetch",
            "create_payment",
            "confirm_payment",
            "cancel",
            "capture",
            "transfer",
            "payout",
        ):
            monkeypatch.setattr(provider, name, self._called(name))

    def _called(self, name: str) -> Any:
        async def called(*_: Any) -> Any:
            self.asked.append(name)
            return ()

        return called


async def test_what_another_provider_has_is_neither_looked_up_nor_charged(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, engine = till.world, till.world.engine
    supporter = world.client("supporter")
    payment = str((await world.tip(supporter, till.creator, "10.00"))["payment"]["id"])
    await till.requested("20.00")
    await do(till.client, "refundCreate", paymentId=await first_payment(till), amount=None)
    await belong_to(till, "another")
    before = [await state(till, table) for table in OF_PROVIDERS]
    unasked = Unasked(monkeypatch, till)

    await sweeper.sweep(engine)
    for noun in (refunds, disputes, methods, payout_accounts, payout_calls):
        await noun.sweep(engine)
    for mutation in ("paymentConfirm", "paymentCancel"):
        method = {"method": "tok_success"} if mutation == "paymentConfirm" else {}
        payload = await ask(supporter, mutation, paymentId=payment, **method)
        assert [error["code"] for error in payload["errors"]] == ["PROVIDER_UNSUPPORTED"]

    assert unasked.asked == []
    assert [await state(till, table) for table in OF_PROVIDERS] == before


async def test_creator_begins_anew_with_another_provider(till: Till) -> None:
    await belong_to(till, "another")
    await till.world.engine.database.writer.execute(
        "update payout_accounts set provider_reference = 'acct_elsewhere', ready = true, calling_until = null"
    )

    await till.onboarded()

    row = await till.world.engine.database.reader.fetchrow("select * from payout_accounts")
    assert row["provider"] == "sandbox"
    assert row["provider_reference"] not in {None, "acct_elsewhere"}


async def first_payment(till: Till) -> str:
    return encode(Noun.PAYMENT, await till.world.scalar("select id from payments order by id limit 1"))


async def state(till: Till, table: str) -> str:
    value: str = await till.world.scalar(f"select md5(string_agg(t::text, ' ' order by t::text)) from {table} t")
    return value
