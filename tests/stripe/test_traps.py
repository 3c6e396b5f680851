"""What goes wrong with Stripe and its SDK, and which test shows that it does not go wrong here."""

import hashlib
import hmac
import importlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from app.settings import CHECKOUT
from core.ids import Noun
from core.payments import PaymentStatus
from services import inbox, sweeper
from tests.stripe.commands import COMMANDS
from tests.stripe.desk import SECRETS, Desk
from tests.support.processes import PLAIN
from tests.support.stripe import Fault

_CLIENT = "tests.unit.test_stripe_client"
_SIGNATURES = "tests.contracts.test_stripe_signatures"
_PARAMETERS = "tests.contracts.test_stripe_parameters"
_OBJECTS = "tests.unit.test_stripe_objects"
_REFUSALS = "tests.stripe.test_refusals"
_MONEY = "tests.stripe.test_money"
_UNKNOWN = "tests.stripe.test_unknown_outcomes"
_HERE = "tests.stripe.test_traps"

TRAPS: Final[Mapping[str, tuple[str, ...]]] = {
    "a client of the SDK that is used in a second event loop fails": (
        f"{_CLIENT}::test_client_of_another_loop_is_refused_before_anything_is_sent",
        f"{_CLIENT}::test_client_made_in_each_loop_works_in_it",
    ),
    "the SDK's own HTTP client breaks when it is given a proxy": (
        f"{_CLIENT}::test_no_proxy_is_given_to_the_sdk",
        f"{_CLIENT}::test_proxy_given_to_the_sdk_would_break_every_request",
    ),
    "an object of the SDK is no dict": (f"{_CLIENT}::test_answer_is_plain_json_though_the_sdks_object_is_not",),
    "the SDK asks by itself a second time, and makes a key of its own, which dies with the process": (
        f"{_HERE}::test_every_write_is_asked_for_with_a_key_made_of_an_id_of_ours",
        f"{_UNKNOWN}::test_command_whose_answer_never_came_is_done_once",
    ),
    "a key may be forgotten after a day: then the same request would be another": (
        f"{_HERE}::test_what_was_made_a_day_ago_and_never_answered_is_found_before_anything_is_sent",
        f"{_HERE}::test_what_was_not_made_in_a_day_is_not_made_any_more",
    ),
    "the fee is not known when a payment succeeds": (
        f"{_MONEY}::test_tip_is_paid_at_once_and_its_fee_is_learnt_afterwards",
    ),
    "a fee of the platform's taken at the charge and transfers at payout time would be two splits of one amount": (
        f"{_HERE}::test_nothing_is_split_at_the_charge",
    ),
    "an account can be opened long before it can be paid": (
        f"{_MONEY}::test_creator_is_ready_when_a_thin_event_says_that_something_changed",
        f"{_OBJECTS}::TestAccounts::test_account_is_ready_once_it_can_receive_and_pay_out",
    ),
    "a signature of the future is believed by the SDK": (
        f"{_SIGNATURES}::test_old_and_future_timestamps_are_refused",
        f"{_HERE}::test_webhook_that_the_sdk_would_trip_over_is_refused_and_leaves_no_trace",
    ),
    "the SDK raises anything over a signature or body that is none": (
        f"{_SIGNATURES}::test_signature_that_is_none_is_refused",
        f"{_SIGNATURES}::test_signed_body_that_is_no_event_is_refused",
        f"{_SIGNATURES}::test_verify_raises_nothing_but_its_refusal",
        f"{_HERE}::test_webhook_that_the_sdk_would_trip_over_is_refused_and_leaves_no_trace",
    ),
    "events of another version of the API read like ours": (
        f"{_REFUSALS}::test_event_of_another_version_is_set_aside_and_settled_once_that_is_spoken_here",
    ),
    "an update of the SDK changes the version of the API": (
        f"{_CLIENT}::test_version_of_the_api_is_the_one_the_sdk_was_made_for",
        f"{_PARAMETERS}::test_pin_of_the_version_is_the_one_that_the_sdk_types_are_of",
    ),
    "live and test events may come to one address": (
        f"{_REFUSALS}::test_live_event_is_set_aside_under_a_test_key_and_settled_under_a_live_one",
    ),
    "events of accounts that are none of ours": (
        f"{_REFUSALS}::test_event_of_an_account_that_nobody_has_is_waited_for_and_then_set_aside",
    ),
    "the SDK sends whatever parameters it is given": (
        f"{_PARAMETERS}::test_every_call_asks_what_its_method_of_the_sdk_takes_and_no_call_is_left_out",
    ),
    "the books can be asked for by payout only where Stripe pays out by itself": (
        f"{_HERE}::test_books_are_read_by_time_page_by_page_and_never_by_payout",
    ),
    "what the SDK raises repeats keys, sentences and parameters": (
        f"{_CLIENT}::test_what_the_sdk_raised_is_in_no_traceback",
        f"{_REFUSALS}::test_nothing_is_done_while_stripe_takes_nothing_and_all_of_it_is_done_afterwards",
    ),
    "too short a timeout leaves payments undecided, and too long a one keeps payers waiting": (
        f"{_REFUSALS}::test_settings_that_cannot_work_do_not_start",
    ),
    "a request that timed out may have taken effect, and one that never left cannot": (
        f"{_CLIENT}::test_silence_leaves_a_write_open_and_a_read_not",
        f"{_CLIENT}::test_stripe_that_is_away_was_asked_nothing",
        f"{_UNKNOWN}::test_command_whose_answer_never_came_is_done_once",
    ),
    "a refusal is kept with its key, and told again when it is true no longer": (
        f"{_CLIENT}::test_refusal_kept_from_earlier_that_time_may_have_cured_is_asked_again",
        f"{_HERE}::test_transfer_that_was_refused_for_want_of_money_is_made_once_there_is_some",
    ),
    "stolen cards and suspected fraud are nothing for the payer to know": (
        f"{_REFUSALS}::test_payer_is_shown_the_family_of_a_decline_and_no_more",
    ),
    "Stripe pays creators out by itself unless told not to": (
        f"{_HERE}::test_account_is_paid_out_by_nobody_but_us",
    ),
}
"""Each trap, and the tests that it is a trap no more, as ``module::test``."""


_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_IDS: Final = """
    select r::text as row from requests r union select id::text from payments union select id::text from refunds
    union select id::text from payment_methods union select id::text from payouts union select id::text from users
    union select id::text from creators
"""


@pytest.mark.parametrize("trap", TRAPS)
def test_every_trap_has_its_tests(trap: str) -> None:
    assert TRAPS[trap]
    for named in TRAPS[trap]:
        module, *path = named.split("::")
        found: Any = importlib.import_module(module)
        for name in path:
            found = getattr(found, name)
        assert callable(found)
        assert path[-1].startswith("test_")


# Keys -----------------------------------------------------------------------------------------------------


async def test_every_write_is_asked_for_with_a_key_made_of_an_id_of_ours(desk: Desk) -> None:
    # The dispute comes last: it holds payouts.
    for command in sorted(COMMANDS, key=lambda command: command.name == "answer"):
        given = await command.prepare(desk)
        assert await command.act(desk, given) == []
        await desk.sweep()
    rows = await desk.engine.database.reader.fetch(_IDS)
    ours = {found for row in rows for found in _UUID.findall(row["row"])}
    writes = [seen for seen in desk.stripe.seen if not seen.call.startswith("GET ")]
    assert writes
    for seen in writes:
        assert seen.key is not None
        assert _UUID.findall(seen.key) != []
        assert set(_UUID.findall(seen.key)) <= ours, seen
    assert len({(seen.key, seen.account) for seen in writes}) == len(writes)


async def a_day_later(desk: Desk) -> None:
    """Let more than a day go by, after which Stripe knows none of the keys."""
    desk.stripe.pass_time(timedelta(hours=25))
    await desk.caught_up()


@pytest.mark.parametrize("name", ["create", "refund", "transfer", "payout"])
async def test_what_was_made_a_day_ago_and_never_answered_is_found_before_anything_is_sent(
    desk: Desk, name: str
) -> None:
    (command,) = [each for each in COMMANDS if each.name == name]
    given = await command.prepare(desk)
    desk.stripe.faults.plan(Fault.ERROR_AFTER, command.calls)
    await command.act(desk, given)
    desk.tell_nobody()
    await a_day_later(desk)
    asked = len(desk.stripe.seen)

    await desk.sweep()
    await inbox.replay(desk.engine, datetime.now(UTC) - timedelta(minutes=5))
    await desk.settle()
    again = [seen for seen in desk.stripe.seen[asked:] if re.fullmatch(command.calls, seen.call)]
    assert again == []
    assert command.effects(desk, given) == 1
    assert await command.done(desk, given)
    await desk.prove()


async def test_what_was_not_made_in_a_day_is_not_made_any_more(desk: Desk) -> None:
    desk.stripe.faults.plan(Fault.ERROR_BEFORE, "POST /v1/payment_intents")
    payment = await desk.world.tip(desk.payer, desk.creator)
    shown = payment["payment"]["id"]
    assert await desk.world.status(shown) == PaymentStatus.RECONCILING
    await a_day_later(desk)
    await sweeper.sweep(desk.engine)
    assert desk.objects("payment_intent") == []
    assert await desk.world.status(shown) == PaymentStatus.CANCELED
    await desk.prove()


async def test_transfer_that_was_refused_for_want_of_money_is_made_once_there_is_some(desk: Desk) -> None:
    await desk.with_money("100.00")
    payout = await desk.requested("20.00")
    taken = desk.stripe.platform_payout(9600)
    assert (await desk.advance(payout))["status"] == "REQUESTED"
    await desk.sweep()
    assert desk.objects("transfer") == []

    desk.stripe.fail_payout(taken)
    await desk.sweep()
    await desk.tell()
    assert (await desk.payout(payout))["status"] == "TRANSFERRED"
    assert len(desk.objects("transfer")) == 1
    await desk.prove()


# What is asked for ----------------------------------------------------------------------------------------

_SPLITS: Final = {"application_fee_amount", "application_fee", "transfer_data", "on_behalf_of", "destination"}


async def test_nothing_is_split_at_the_charge(desk: Desk) -> None:
    await desk.with_money("100.00")
    payout = await desk.requested("20.00")
    await desk.advance(payout)
    for seen in desk.stripe.seen:
        if "payment_intents" in seen.call:
            assert not _SPLITS & set(seen.params), seen
    (made,) = [seen for seen in desk.stripe.seen if seen.call == "POST /v1/payment_intents"]
    assert made.params["transfer_group"] == f"payment_{made.params['metadata']['comptoir_payment']}"
    (moved,) = [seen for seen in desk.stripe.seen if seen.call == "POST /v1/transfers"]
    key = desk.world.key(Noun.PAYOUT, payout)
    assert moved.params["transfer_group"] == f"payout_{key}"
    sources = (CHECKOUT / "providers" / "payments" / "stripe").rglob("*.py")
    assert [path for path in sources if _names_a_split(path)] == []


def _names_a_split(path: Path) -> bool:
    return any(f'"{name}"' in path.read_text(encoding="utf-8") for name in _SPLITS - {"destination"})


async def test_books_are_read_by_time_page_by_page_and_never_by_payout(desk: Desk) -> None:
    payment = await desk.paid("90.00")
    intent = await desk.intent(payment)
    for _ in range(110):
        await desk.dashboard("refunds", payment_intent=intent, amount=1)
    await desk.tell()
    await desk.prove()

    asked = [seen.params for seen in desk.stripe.seen if seen.call == "GET /v1/balance_transactions"]
    assert {name for params in asked for name in params} == {"created", "expand", "limit", "starting_after"}
    assert max(params["limit"] for params in asked) == 100


async def test_account_is_paid_out_by_nobody_but_us(desk: Desk) -> None:
    await desk.with_money("100.00")
    payout = await desk.requested("20.00")
    desk.stripe.faults.plan(Fault.RATE_LIMITED, "POST /v1/payouts")
    await desk.advance(payout)
    desk.stripe.pass_time(timedelta(days=3))
    assert desk.objects("payout", desk.account) == []
    await desk.sweep()
    (made,) = desk.objects("payout", desk.account)
    assert made["automatic"] is False
    desk.stripe.pass_time(timedelta(days=3))
    await desk.tell()
    await desk.prove()


# Webhooks -------------------------------------------------------------------------------------------------


NO_EVENTS: Final = (b"[]", b"null", b"1", b'"evt_1"', b"{}", b"\xff\xfe{}", b"{", b'{"object": "event"}')


async def test_webhook_that_the_sdk_would_trip_over_is_refused_and_leaves_no_trace(desk: Desk) -> None:
    before = await desk.world.counts()
    now, secret = datetime.now(UTC), next(iter(SECRETS.values()))
    async with httpx.AsyncClient(verify=PLAIN) as http:
        for body in NO_EVENTS:
            good = _signed(body, secret, now)
            away = [_signed(body, secret, now + timedelta(hours=hours)) for hours in (-1, 1)]
            for header in (good, *away, b"t=1,v1=\xc3\xa9", b"", b"t=,v1=", good.replace(b"v1=", b"v0=")):
                answer = await http.post(
                    f"{desk.world.url}/webhooks/stripe", content=body, headers={b"stripe-signature": header}
                )
                assert answer.status_code == 400, (body, header)
    assert await desk.world.counts() == before


def _signed(body: bytes, secret: str, at: datetime) -> bytes:
    moment = int(at.timestamp())
    digest = hmac.new(secret.encode(), b"%d." % moment + body, hashlib.sha256).hexdigest()
    return f"t={moment},v1={digest}".encode()
