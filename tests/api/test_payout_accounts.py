"""The account payouts go through: opened once, completed at the provider, its address kept nowhere."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from core.clock import now
from providers.payments.base import AccountFact, AccountSnapshot, Onboard
from services import payout_accounts
from tests.support.payouts import PAYOUTS, Till, running_till


@pytest.fixture
async def till(dsn: str) -> AsyncIterator[Till]:
    """A creator nobody has paid, without an account."""
    async with running_till(dsn) as opened:
        opened.creator = await opened.world.creator("fable")
        yield opened


async def _account(till: Till) -> Any:
    return (await till.client.run(PAYOUTS, handle="fable"))["creator"]["payoutAccount"]


def codes(payload: dict[str, Any]) -> list[str]:
    return [error["code"] for error in payload["errors"]]


async def test_account_is_opened_and_ready_once_the_creator_gave_what_is_missing(till: Till) -> None:
    assert await _account(till) is None

    opened = await till.onboarded("FR")

    assert opened["errors"] == []
    assert opened["payoutAccount"] == {
        "ready": False,
        "missing": ["identity_document", "bank_account"],
        "country": "FR",
    }
    assert opened["onboardingUrl"].startswith(till.world.url)
    await till.control.make_account_ready("latest")
    await till.told()
    assert await _account(till) == {"ready": True, "missing": [], "country": "FR"}
    again = await till.onboarded("FR")
    assert (again["onboardingUrl"], again["payoutAccount"]["ready"]) == (None, True)


async def test_address_is_given_again_for_a_repeat_and_stored_nowhere(till: Till) -> None:
    first = await till.onboarded("FR", idempotencyKey="once")
    again = await till.onboarded("FR", idempotencyKey="once")
    later = await till.onboarded("FR")

    assert first["onboardingUrl"] == again["onboardingUrl"] != later["onboardingUrl"]
    assert await till.world.count("sandbox.account") == await till.world.count("payout_accounts") == 1
    link = first["onboardingUrl"].split("?")[1]
    for table in ("payout_accounts", "requests", "jobs.pgqueuer"):
        assert await till.world.scalar(f"select count(*) from {table} t where t::text like $1", f"%{link}%") == 0


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"country": "fr"}, "country"),
        ({"country": "FRA"}, "country"),
        ({"country": ""}, "country"),
        ({"returnUrl": "javascript:alert(1)"}, "returnUrl"),
        ({"returnUrl": "https://"}, "returnUrl"),
        ({"returnUrl": "https://front.test/" + "a" * 2_000}, "returnUrl"),
        ({"returnUrl": "http://[::1"}, "returnUrl"),
    ],
    ids=str,
)
async def test_input_that_cannot_be_is_refused(till: Till, given: dict[str, str], path: str) -> None:
    before = await till.counts()

    payload = await till.onboarded(**given)

    assert codes(payload) == ["INPUT_INVALID"]
    assert payload["errors"][0]["path"] == ["input", path]
    assert (payload["payoutAccount"], payload["onboardingUrl"]) == (None, None)
    assert await till.counts() == before


async def test_country_of_an_account_is_fixed(till: Till) -> None:
    await till.onboarded("FR")
    before = await till.counts()

    payload = await till.onboarded("DE")

    assert codes(payload) == ["INPUT_INVALID"]
    assert payload["errors"][0]["path"] == ["input", "country"]
    assert await till.counts() == before
    assert (await _account(till))["country"] == "FR"


@pytest.mark.parametrize("effect", ["ANSWER_LOST", "REQUEST_LOST", "UNAVAILABLE"])
async def test_opening_without_an_answer_goes_on_under_the_same_key(till: Till, effect: str) -> None:
    await till.control.arm("ONBOARD", effect)

    lost = await till.onboarded("FR", idempotencyKey="once")
    assert codes(lost) == ["PROVIDER_UNAVAILABLE"]
    assert lost["errors"][0]["nextAction"] == "RETRY_SAME_KEY"
    again = await till.onboarded("FR", idempotencyKey="once")

    assert again["errors"] == []
    assert again["onboardingUrl"] is not None
    assert await till.world.count("sandbox.account") == 1
    assert await till.world.scalar("select calling_until from payout_accounts") is None


async def test_interrupted_opening_is_looked_up(till: Till) -> None:
    await till.control.arm("ONBOARD", "ANSWER_LOST")
    await till.onboarded("FR")
    assert await till.world.scalar("select provider_reference from payout_accounts") is None

    assert await payout_accounts.sweep(till.world.engine) is False

    assert await till.world.scalar("select provider_reference from payout_accounts") is not None
    assert await till.world.scalar("select calling_until from payout_accounts") is None
    assert (await _account(till))["missing"] == ["identity_document", "bank_account"]


async def test_opening_is_nobody_elses_for_as_long_as_four_requests_may_take(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = till.world.engine
    begun, claimed = now(), []
    opens = engine.provider.onboard

    async def onboard(command: Onboard) -> AccountSnapshot:
        claimed.append(await till.world.scalar("select calling_until from payout_accounts"))
        return await opens(command)

    monkeypatch.setattr(engine.provider, "onboard", onboard)
    assert (await till.onboarded("FR"))["errors"] == []
    assert [until > begun + 4 * engine.provider_timeout for until in claimed] == [True]


async def test_interrupted_opening_the_provider_knows_nothing_of_is_left_to_the_creator(till: Till) -> None:
    await till.control.arm("ONBOARD", "REQUEST_LOST")
    await till.onboarded("FR")

    await payout_accounts.sweep(till.world.engine)

    assert await till.world.scalar("select calling_until from payout_accounts") is None
    assert (await till.onboarded("DE"))["payoutAccount"]["country"] == "DE"


async def test_newest_fact_wins_in_any_order(till: Till) -> None:
    await till.onboarded("FR")
    reference = await till.world.scalar("select provider_reference from payout_accounts")
    at = now() + timedelta(minutes=1)

    def fact(second: int, *, ready: bool, provider_reference: str = reference) -> AccountFact:
        missing = () if ready else ("bank_account",)
        return AccountFact(till.key, provider_reference, at + timedelta(seconds=second), ready, missing)

    for facts in ([fact(2, ready=True)], [fact(1, ready=False)], [fact(2, ready=False), fact(2, ready=True)]):
        async with till.world.engine.database.transaction() as transaction:
            settled = await payout_accounts.settle_facts(transaction, facts, now())
        assert (settled.unknown, settled.contradictions) == (frozenset(), {})
        assert (await _account(till))["ready"] is True
    async with till.world.engine.database.transaction() as transaction:
        settled = await payout_accounts.settle_facts(
            transaction, [fact(9, ready=False, provider_reference="sba_other")], now()
        )
    assert set(settled.contradictions) == {till.key}
    assert (await _account(till))["ready"] is True
