"""What Stripe refuses, and what is wrong with what it sends: told by a code and a sentence, and nothing is written."""

import copy
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import pytest

from app.observed import unwrapped
from app.settings import Settings, UnsafeSettingsError
from core.ids import Noun
from providers.payments.stripe.endpoints import Role
from services import inbox, sweeper, webhooks
from services.inbox_events import ACCOUNT_ATTEMPTS
from services.reconciliation import DifferenceCode
from tests.api.shop import ask, do, usd
from tests.stripe.commands import COMMANDS, Given
from tests.stripe.conftest import Told
from tests.stripe.desk import ASKS, GOOD, KEY, SECRETS, Desk
from tests.support.stripe import Fault, cards
from tests.support.stripe.refusals import Refused

pytestmark = pytest.mark.usefixtures("canary")

Errors = list[dict[str, Any]]

WRITTEN: Final = (
    "ledger.movement", "ledger.request", "refunds", "disputes", "payouts", "payout_accounts", "earning_days",
)  # fmt: skip
_INBOX: Final = "select type, state, attempts, split_part(error, ':', 1) as error from inbox_events order by id"


def told(errors: Errors) -> list[tuple[str, str]]:
    return [(error["code"], error["message"]) for error in errors]


async def inbox_rows(desk: Desk) -> list[tuple[str, str, int, str | None]]:
    rows = await desk.engine.database.reader.fetch(_INBOX)
    return [(row["type"], row["state"], row["attempts"], row["error"]) for row in rows]


def test_secret_is_found_where_it_is_told(canary: Told) -> None:
    """The search itself finds, in each of the places."""
    secret = SECRETS[Role.PLATFORM].removeprefix("whsec_")
    for place in (canary.answers, canary.errors):
        assert canary.secrets() == []
        place.append(f"It is {KEY}, and {secret}.")
        assert canary.secrets() == [KEY, secret]
        place.clear()
    logging.getLogger("anybody").warning("It is %s.", secret)
    assert canary.secrets() == [secret]
    canary.logged.truncate(0)


# Stripe takes nothing ----------------------------------------------------------------------------------------


@dataclass
class Wall:
    """What keeps everything from Stripe: put up by ``begin``, and taken away by ``end``."""

    name: str
    begin: Callable[[Desk, pytest.MonkeyPatch], Awaitable[None]]
    end: Callable[[Desk], Awaitable[None]]

    def __str__(self) -> str:
        return self.name


async def _another_key(desk: Desk, _: pytest.MonkeyPatch) -> None:
    desk.stripe.settings.api_key = "sk_test_rotated"


async def _own_key(desk: Desk) -> None:
    desk.stripe.settings.api_key = KEY


async def _no_permission(desk: Desk, _: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise Refused(
            f"The provided key '{KEY[:8]}*********' does not have the required permissions for this endpoint.",
            status=403,
            stored=False,
        )

    desk.stripe.door._account = refuse  # type: ignore[method-assign, assignment] # no lever takes permissions away


async def _permission(desk: Desk) -> None:
    del desk.stripe.door._account


async def _too_many(desk: Desk, _: pytest.MonkeyPatch) -> None:
    desk.stripe.faults.plan(Fault.RATE_LIMITED, r".*", times=10_000)


async def _enough(desk: Desk) -> None:
    for plan in desk.stripe.faults._plans:
        plan.times = 0


async def _away(desk: Desk, _: pytest.MonkeyPatch) -> None:
    await desk.stripe.stop()


async def _back(desk: Desk) -> None:
    await desk.stripe.start()


WALLS: Final = (
    Wall("key that Stripe does not know", _another_key, _own_key),
    Wall("key without permission", _no_permission, _permission),
    Wall("too many requests", _too_many, _enough),
    Wall("connection refused", _away, _back),
)


@pytest.mark.parametrize("wall", WALLS, ids=str)
async def test_nothing_is_done_while_stripe_takes_nothing_and_all_of_it_is_done_afterwards(
    desk: Desk, wall: Wall, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Payouts are prepared first: a dispute would hold them.
    commands = sorted(COMMANDS, key=lambda command: command.name == "answer")
    given: dict[str, Given] = {command.name: await command.prepare(desk) for command in commands}
    effects = {command.name: command.effects(desk, given[command.name]) for command in commands}
    there, posted = copy.deepcopy(desk.stripe.store.rows), await desk.world.count("ledger.movement")

    await wall.begin(desk, monkeypatch)
    for command in commands:
        errors = await command.act(desk, given[command.name])
        assert told(errors) == ([] if command.refused is None else [command.refused]), command.name
    await desk.sweep()
    assert {name: row.body for name, row in desk.stripe.store.rows.items()} == {
        name: row.body for name, row in there.items()
    }
    assert await desk.world.count("ledger.movement") == posted

    await wall.end(desk)
    await desk.sweep()
    for command in commands:
        if command.asked_again:
            assert await command.act(desk, given[command.name]) == [], command.name
    # The dispute comes last and is seen to first: its end lets the payouts go on.
    for command in commands[::-1]:
        for _ in range(2):
            await desk.sweep()
            await desk.tell()
        assert command.effects(desk, given[command.name]) == effects[command.name] + 1, command.name
        assert await command.done(desk, given[command.name]), command.name
    await desk.prove()


@pytest.mark.parametrize("wall", WALLS, ids=str)
async def test_what_is_told_while_stripe_cannot_be_asked_waits_and_is_settled_afterwards(
    desk: Desk, wall: Wall, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = await desk.tip()
    await desk.confirm(payment)
    sent = desk.sent()
    await wall.begin(desk, monkeypatch)
    for event in sent:
        assert await desk.post(event) == 200
    await desk.settle()
    assert (await desk.states("DEAD"), await desk.states("QUARANTINED")) == (0, 0)
    waits = [row for row in await inbox_rows(desk) if row[1] == "PENDING"]
    assert [(row[0], row[3]) for row in waits] == [("charge.updated", "look-up")]
    assert await desk.posted("charge.provider_fee") == 0

    await wall.end(desk)
    await desk.settle()
    assert await desk.states("PENDING") == 0
    assert await desk.posted("charge.provider_fee") == 59
    await desk.prove()


# The payer -------------------------------------------------------------------------------------------------

ANOTHER: Final = ("PAYMENT_DECLINED", "The payment was declined. Try another payment method.", "OTHER_METHOD")
UNKNOWN_METHOD: Final = (
    "INPUT_INVALID",
    "The provider does not know this payment method. Send a token it gave out.",
    "FIX_INPUT",
)
FAMILIES: Final = {
    "DECLINED": (
        "generic_decline", "do_not_honor", "stolen_card", "lost_card", "fraudulent", "pickup_card",
        "merchant_blacklist", "restricted_card", "security_violation", "incorrect_cvc", "processing_error",
        "a_word_that_nobody_knows",
    ),
    "INSUFFICIENT_FUNDS": ("insufficient_funds",),
    "CARD_EXPIRED": ("expired_card", "invalid_expiry_year"),
}  # fmt: skip
"""What a payer is shown of each reason; of theft and fraud no more than that it was declined."""


def with_card(monkeypatch: pytest.MonkeyPatch, card: cards.Card) -> str:
    """Let there be one more test card; return its name."""
    monkeypatch.setitem(cards.CARDS, "pm_card_of_this_test", card)
    return "pm_card_of_this_test"


async def test_payer_is_shown_the_family_of_a_decline_and_no_more(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, canary: Told
) -> None:
    payment = await desk.tip()
    for family, reasons in FAMILIES.items():
        for reason in reasons:
            name = with_card(monkeypatch, cards.Card("0002", "card_declined", reason))
            payload = await desk.world.confirm(desk.payer, payment, name)
            (error,) = payload["errors"]
            assert (error["code"], error["message"], error["nextAction"]) == ANOTHER, reason
            assert error["declineCode"] == family, reason
            assert payload["payment"]["statusReason"] == family, reason
            await desk.tell()
            assert await desk.world.status(payment) == "FAILED"
    assert await desk.posted("charge.gross") == 0
    answers = "".join(canary.answers)
    assert [reason for reason in FAMILIES["DECLINED"] if reason in answers] == []

    await desk.confirm(payment, GOOD)
    await desk.tell()
    await desk.prove()


async def test_payer_whose_card_number_is_wrong_is_asked_for_another(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = await desk.tip()
    payload = await desk.world.confirm(
        desk.payer, payment, with_card(monkeypatch, cards.Card("0002", "incorrect_number"))
    )
    assert [(each["code"], each["message"], each["nextAction"]) for each in payload["errors"]] == [UNKNOWN_METHOD]
    await desk.tell()
    await desk.confirm(payment, GOOD)
    await desk.tell()
    await desk.prove()


NO_METHODS: Final = (
    "pm_1ThisIsNone", "tok_visa", "pm_", "../refunds", "cus_1A/pm_1B", "ctoken_1Nothing", "pm_1\u00e9", "pm_1?a=b",
)  # fmt: skip


async def test_method_that_is_none_is_refused_and_nothing_is_charged(desk: Desk) -> None:
    payment = await desk.tip()
    for method in NO_METHODS:
        payload = await desk.world.confirm(desk.payer, payment, method)
        (error,) = payload["errors"]
        assert (error["code"], error["message"], error["nextAction"]) == UNKNOWN_METHOD, method
        assert desk.objects("charge") == []
        assert await desk.world.status(payment) == "PENDING"
    await desk.tell()
    await desk.prove()


async def test_payer_who_fails_to_authenticate_is_not_charged_and_may_try_another_card(desk: Desk) -> None:
    payment = await desk.tip()
    await desk.confirm(payment, ASKS)
    desk.stripe.authenticate(await desk.intent(payment), succeeds=False)
    await desk.tell()
    shown = await desk.read(payment)
    assert (shown["status"], shown["statusReason"]) == ("FAILED", "AUTHENTICATION_FAILED")
    assert desk.objects("charge") == []

    await desk.confirm(payment, GOOD)
    await desk.tell()
    assert await desk.world.status(payment) == "SUCCEEDED"
    await desk.prove()


async def test_saved_card_whose_bank_asks_is_not_charged_while_its_owner_is_away(desk: Desk) -> None:
    saved = (await do(desk.payer, "paymentMethodSave", method=ASKS))["paymentMethod"]
    payment = await desk.tip()
    refusal = (await desk.charge_off_session(payment, saved["id"])).refusal
    assert refusal is not None
    assert (refusal.code.value, refusal.data) == (
        "PAYMENT_DECLINED",
        {"decline_code": "AUTHENTICATION_REQUIRED"},
    )
    await desk.tell()
    shown = await desk.read(payment)
    assert (shown["status"], shown["statusReason"]) == ("FAILED", "AUTHENTICATION_REQUIRED")
    assert await desk.posted("charge.gross") == 0

    # Back on the page its owner is asked, and pays.
    await do(desk.payer, "paymentConfirm", paymentId=payment, paymentMethodId=saved["id"])
    desk.stripe.authenticate(await desk.intent(payment))
    await desk.tell()
    assert await desk.world.status(payment) == "SUCCEEDED"
    await desk.prove()


async def test_payer_who_never_authenticates_pays_nothing_and_what_was_kept_for_them_is_free_again(
    desk: Desk,
) -> None:
    product = await desk.world.product("fable", desk.creator, stock=1)
    payment = str((await desk.world.buy(desk.payer, product))["payment"]["id"])
    await desk.confirm(payment, ASKS)
    await desk.tell()
    assert await desk.world.scalar("select on_hand - reserved from stock_levels") == 0

    # It is looked up once more first, and what was looked up just now is left alone for a while.
    for passing in (timedelta(hours=3), timedelta(minutes=1)):
        desk.stripe.pass_time(passing)
        await desk.caught_up()
        await sweeper.sweep(desk.engine)
    await desk.tell()
    assert desk.stripe.object(await desk.intent(payment))["status"] == "canceled"
    assert await desk.world.status(payment) == "CANCELED"
    assert await desk.world.scalar("select on_hand - reserved from stock_levels") == 1
    await desk.prove()


async def test_reservation_that_lapsed_is_not_captured(desk: Desk) -> None:
    payment = await desk.reserved()
    desk.stripe.pass_time(timedelta(days=8))
    errors = (await ask(desk.owner, "paymentCapture", paymentId=payment))["errors"]
    assert told(errors) == [
        ("CAPTURE_EXPIRED", "The reservation lapsed before it was captured. Ask the payer to pay anew.")
    ]
    assert await desk.world.status(payment) == "CANCELED"
    assert await desk.posted("charge.gross") == 0
    await desk.tell()
    await desk.prove()


async def test_evidence_that_comes_too_late_is_refused(desk: Desk) -> None:
    payment = await desk.paid()
    dispute = desk.stripe.open_dispute(await desk.intent(payment))
    await desk.tell()
    desk.stripe.pass_time(timedelta(days=8))
    ours = await desk.only(Noun.DISPUTE, "disputes")
    payload = await ask(
        desk.owner, "disputeAnswer", disputeId=ours, evidence={"productDescription": "An evening of songs."}
    )
    assert told(payload["errors"]) == [
        ("DISPUTE_RESPONSE_LATE", "The time to give evidence in this dispute is over.")
    ]
    assert desk.stripe.object(dispute)["evidence"]["product_description"] is None
    await desk.tell()
    await desk.prove()


async def test_more_than_is_left_is_not_refunded_though_we_were_not_told_of_what_is_gone(desk: Desk) -> None:
    payment = await desk.paid("10.00")
    await desk.dashboard("refunds", payment_intent=await desk.intent(payment), amount=700)
    payload = await ask(desk.owner, "refundCreate", paymentId=payment, amount=usd("5.00"))
    assert payload["refund"]["status"] == "FAILED"
    await desk.tell()
    assert [refund["amount"] for refund in desk.objects("refund")] == [700]
    assert (await desk.read(payment))["amounts"]["refunded"] == {"amount": "7.00"}
    await desk.prove()


# Creators ---------------------------------------------------------------------------------------------------


async def test_country_that_stripe_opens_no_accounts_in_is_refused(desk: Desk) -> None:
    payload = await desk.onboard(country="AQ")
    assert told(payload["errors"]) == [
        ("INPUT_INVALID", "The payment provider opens no accounts in this country.")
    ]
    assert desk.objects("v2.core.account") == []
    assert (await desk.onboard(country="FR"))["errors"] == []


@pytest.mark.parametrize("transferred", [False, True], ids=["before the transfer", "after the transfer"])
async def test_payout_to_an_account_that_took_its_leave_ends_and_the_creator_has_the_money_again(
    desk: Desk, transferred: bool
) -> None:
    await desk.with_money("100.00")
    payout = await desk.requested("20.00")
    if transferred:
        desk.stripe.faults.plan(Fault.ERROR_AFTER, "POST /v1/transfers")
        await desk.advance(payout)
    desk.stripe.revoke(desk.account)
    for _ in range(2):
        await desk.sweep()
        await desk.tell()
    shown = await desk.payout(payout)
    assert (shown["status"], shown["statusReason"]) == ("FAILED", "NOT_FOUND")
    assert desk.objects("payout", desk.account) == []
    assert await desk.held("available", own=True) == 9500
    assert await desk.held("connected") == 0
    assert [transfer["reversed"] for transfer in desk.objects("transfer")] == ([True] if transferred else [])
    await desk.prove()


# What is sent to us -----------------------------------------------------------------------------------------


async def accepted_but_not_told(desk: Desk) -> tuple[str, dict[str, Any]]:
    """Return a payment that Stripe took, and the event that says so, which nobody brought."""
    payment = await desk.tip()
    await desk.confirm(payment)
    (event,) = [each for each in desk.sent() if each["type"] == "payment_intent.succeeded"]
    return payment, event


async def quarantined(desk: Desk, why: str) -> None:
    """Assert that the one event there is was set aside, that nothing came of it, and that doctor names it."""
    assert await inbox_rows(desk) == [("payment_intent.succeeded", "QUARANTINED", 1, why)]
    assert await desk.posted("charge.gross") == 0
    report = await desk.compared()
    assert DifferenceCode.EVENT_QUARANTINED in {difference.code for difference in report.differences}


async def test_live_event_is_set_aside_under_a_test_key_and_settled_under_a_live_one(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment, event = await accepted_but_not_told(desk)
    assert await desk.post({**event, "livemode": True}) == 200
    await desk.settle()
    await quarantined(desk, "FOREIGN MODE")
    assert await inbox.retry_quarantined(desk.engine) == 1
    await desk.settle()
    await quarantined(desk, "FOREIGN MODE")

    # What a live key makes of the adapter.
    monkeypatch.setattr(unwrapped(desk.engine.provider), "live", True)
    assert await inbox.retry_quarantined(desk.engine) == 1
    await desk.settle()
    assert await desk.world.status(payment) == "SUCCEEDED"
    assert await desk.states("DONE") == 1


async def test_event_of_another_version_is_set_aside_and_settled_once_that_is_spoken_here(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment, event = await accepted_but_not_told(desk)
    assert await desk.post({**event, "api_version": "2020-08-27"}) == 200
    await desk.settle()
    await quarantined(desk, "FOREIGN VERSION")

    with monkeypatch.context() as patched:
        patched.setattr("providers.payments.stripe.webhooks.API_VERSION", "2020-08-27")
        assert await inbox.retry_quarantined(desk.engine) == 1
        await desk.settle()
    assert await desk.world.status(payment) == "SUCCEEDED"
    await desk.sweep()
    assert await desk.states("DONE") == 1


async def test_event_of_an_account_that_nobody_has_is_waited_for_and_then_set_aside(desk: Desk) -> None:
    await desk.with_money("100.00")
    payout = await desk.requested("20.00")
    await desk.advance(payout)
    before = await desk.world.counts()
    (event, *_) = [each for each in desk.sent() if each["type"] == "payout.created"]
    assert await desk.post({**event, "account": "acct_1OfNobodyHere"}) == 200
    for attempt in range(1, ACCOUNT_ATTEMPTS + 1):
        await desk.engine.database.writer.execute(
            "update inbox_events set due_at = received_at where state = 'PENDING'"
        )
        assert await webhooks.process(desk.engine) == 1
        state = "QUARANTINED" if attempt == ACCOUNT_ATTEMPTS else "PENDING"
        assert (await inbox_rows(desk))[-1] == ("payout.created", state, attempt, "FOREIGN ACCOUNT")
    assert await desk.world.counts() == before | {"inbox_events": before["inbox_events"] + 1}


async def test_event_that_another_secret_signed_is_refused_and_leaves_no_trace(desk: Desk) -> None:
    _, event = await accepted_but_not_told(desk)
    before = await desk.world.counts()
    for secret in (KEY, *(secret[:-1] + "x" for secret in SECRETS.values())):
        assert await desk.post(event, secret) == 400
    assert await desk.world.counts() == before
    # Of our secrets any will do: which endpoint sent it is known by the event alone.
    for secret in SECRETS.values():
        assert await desk.post(event, secret) == 200
    assert await desk.world.count("inbox_events") == before["inbox_events"] + 1


# Settings ---------------------------------------------------------------------------------------------------

WHSEC: Final = "whsec_" + "Q" * 32


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"stripe_api_key": WHSEC, "stripe_webhook_secret": "sk_test_swapped0"}, "is it swapped with STRIPE_WEBHOOK_SECRET?"),
        ({"stripe_webhook_secret": "sk_test_swapped0"}, "is it swapped with STRIPE_API_KEY?"),
        ({"stripe_api_key": "pk_test_publishable"}, "publishable"),
        ({"stripe_api_key": "sk_live_of_somebody"}, "is a live key, and COMPTOIR_ENVIRONMENT is development"),
        ({"provider_timeout_seconds": 9.9}, "from 10 to 20"),
        ({"provider_timeout_seconds": 20.1}, "from 10 to 20"),
    ],
)  # fmt: skip
def test_settings_that_cannot_work_do_not_start(changed: dict[str, Any], sentence: str) -> None:
    given = {"provider": "stripe", "stripe_api_key": "sk_test_right", "stripe_webhook_secret": WHSEC, **changed}
    with pytest.raises(UnsafeSettingsError) as refused:
        Settings(_env_file=None, **given).checked()
    assert sentence in str(refused.value)
    for value in changed.values():
        assert str(value) not in str(refused.value).replace("from 10 to 20", "")
