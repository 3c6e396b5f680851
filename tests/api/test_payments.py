"""Payments: confirmed, declined, authenticated, cancelled, and healed when an answer is lost."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import httpx
import pytest

from app.client import Client
from core.clock import now
from core.ids import Noun, uuid7
from services import sweeper
from tests.api.shop import Shop, ask, do, document, pay, refused, refused_as_a_whole, settle, unchanged, usd
from tests.support.world import PAYMENT

pytestmark = pytest.mark.asyncio(loop_scope="module")

IN_PROGRESS = "The provider is being asked about this payment. Watch paymentStatus and try again."
DECLINED = "The payment was declined. Try another payment method."


async def _tip(shop: Shop, amount: str = "5.00") -> str:
    return str(
        (await do(shop.supporter, "tipCreate", creatorId=shop.creator, amount=usd(amount)))["payment"]["id"]
    )


async def _events(client: Client, payment: str) -> list[str]:
    return [event["status"] for event in (await client.run(PAYMENT, id=payment))["payment"]["events"]]


async def _captures(shop: Shop, payment: str) -> int:
    key = str(shop.world.key(Noun.PAYMENT, payment))
    found: int = await shop.world.scalar(
        "select count(*) from ledger.request where key like 'capture:' || $1 || '%'", key
    )
    return found


def _codes(payload: dict[str, Any]) -> Sequence[tuple[str, list[str] | None]]:
    return [(error["code"], error["path"]) for error in payload["errors"]]


# Declined ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "told"),
    [
        ("tok_declined", "DECLINED"),
        ("tok_insufficient_funds", "INSUFFICIENT_FUNDS"),
        ("tok_expired_card", "CARD_EXPIRED"),
        ("tok_stolen_card", "DECLINED"),
        ("tok_fraud_suspected", "DECLINED"),
    ],
)
async def test_declined_payment_says_why_and_is_paid_with_another_card(shop: Shop, method: str, told: str) -> None:
    payment = await _tip(shop)
    query = document("paymentConfirm").replace("__typename", "__typename ... on PaymentDeclined { declineCode }")
    given = {"idempotencyKey": str(uuid7()), "paymentId": payment, "method": method}

    declined = (await shop.supporter.run(query, input=given))["paymentConfirm"]

    assert declined["payment"]["status"] == "FAILED"
    assert declined["payment"]["statusReason"] == told
    assert declined["payment"]["nextAction"] == {"type": "OTHER_METHOD", "url": None}
    assert declined["errors"] == [
        {
            "__typename": "PaymentDeclined",
            "declineCode": told,
            "code": "PAYMENT_DECLINED",
            "message": DECLINED,
            "path": ["input", "method"],
            "nextAction": "OTHER_METHOD",
        }
    ]
    assert await _captures(shop, payment) == 0
    await settle(shop.world)
    await pay(shop.supporter, payment, shop.world)
    assert await _events(shop.supporter, payment) == ["CREATED", "PENDING", "FAILED", "PROCESSING", "SUCCEEDED"]
    assert await _captures(shop, payment) == 1


async def test_decline_sent_again_with_its_key_is_told_again_and_not_tried_again(shop: Shop) -> None:
    payment = await _tip(shop)
    given = {"paymentId": payment, "method": "tok_declined", "idempotencyKey": "declined-once"}
    first = await ask(shop.supporter, "paymentConfirm", **given)

    async with unchanged(shop.world):
        second = await ask(shop.supporter, "paymentConfirm", **given)

    assert first == second
    assert _codes(second) == [("PAYMENT_DECLINED", ["input", "method"])]


async def test_declined_payment_can_be_declined_again_with_another_reason(shop: Shop) -> None:
    payment = await _tip(shop)

    for method, told in (("tok_declined", "DECLINED"), ("tok_insufficient_funds", "INSUFFICIENT_FUNDS")):
        payload = await ask(shop.supporter, "paymentConfirm", paymentId=payment, method=method)
        assert payload["payment"]["statusReason"] == told

    await settle(shop.world)
    assert await _events(shop.supporter, payment) == ["CREATED", "PENDING", "FAILED", "FAILED"]


# Authenticated ----------------------------------------------------------------------------------------------


async def _authenticate(shop: Shop, url: str, decision: str) -> httpx.Response:
    async with httpx.AsyncClient() as browser:
        page = await browser.get(url)
        assert page.status_code == 200
        assert '<form method="post">' in page.text
        return await browser.post(url, data={"decision": decision})


async def test_payment_is_paid_once_its_payer_approves_on_the_bank_page(shop: Shop) -> None:
    payment = await _tip(shop)
    back = "https://example.test/thanks?to=fable"
    confirmed = await do(shop.supporter, "paymentConfirm", paymentId=payment, method="tok_3ds", returnUrl=back)
    assert confirmed["payment"]["status"] == "REQUIRES_ACTION"
    assert confirmed["payment"]["nextAction"]["type"] == "AUTHENTICATE"

    answer = await _authenticate(shop, confirmed["payment"]["nextAction"]["url"], "complete")

    assert answer.status_code == 200
    assert f'href="{back}"' in answer.text
    assert await _captures(shop, payment) == 0
    await settle(shop.world)
    assert await _events(shop.supporter, payment) == ["CREATED", "PENDING", "REQUIRES_ACTION", "SUCCEEDED"]
    assert await _captures(shop, payment) == 1
    read = await shop.supporter.run(
        "query ($id: ID!) { payment(id: $id) { nextAction { type url } } }", id=payment
    )
    assert read["payment"]["nextAction"] == {"type": "NONE", "url": None}


async def test_payment_whose_payer_refuses_on_the_bank_page_fails_and_can_be_paid_otherwise(shop: Shop) -> None:
    payment = await _tip(shop)
    confirmed = await do(shop.supporter, "paymentConfirm", paymentId=payment, method="tok_3ds")

    await _authenticate(shop, confirmed["payment"]["nextAction"]["url"], "refuse")
    await settle(shop.world)

    read = (await shop.supporter.run(PAYMENT, id=payment))["payment"]
    assert (read["status"], read["statusReason"]) == ("FAILED", "AUTHENTICATION_FAILED")
    await pay(shop.supporter, payment, shop.world)


async def test_payer_who_turns_away_from_the_bank_page_pays_with_another_card(shop: Shop) -> None:
    payment = await _tip(shop)
    asked = await do(shop.supporter, "paymentConfirm", paymentId=payment, method="tok_3ds")

    await pay(shop.supporter, payment, shop.world)

    async with httpx.AsyncClient() as browser:
        late = await browser.post(asked["payment"]["nextAction"]["url"], data={"decision": "refuse"})
    assert late.status_code == 409
    await settle(shop.world)
    assert await shop.world.status(payment) == "SUCCEEDED"


# Once -------------------------------------------------------------------------------------------------------


async def test_confirmation_sent_again_with_its_key_charges_once_and_shows_the_payment_as_it_is_now(
    shop: Shop,
) -> None:
    payment = await _tip(shop)
    given = {"paymentId": payment, "method": "tok_success", "idempotencyKey": "confirm-once"}
    query = document("paymentConfirm")

    first = await shop.supporter.full(query, input=given)
    await settle(shop.world)
    second = await shop.supporter.full(query, input=given)

    assert first["extensions"] == {"idempotency": {"replayed": False}}
    assert second["extensions"] == {"idempotency": {"replayed": True}}
    assert first["data"]["paymentConfirm"]["payment"]["status"] == "PROCESSING"
    assert second["data"]["paymentConfirm"]["payment"]["status"] == "SUCCEEDED"
    assert second["data"]["paymentConfirm"]["errors"] == []
    assert await _captures(shop, payment) == 1


async def test_twenty_confirmations_with_one_key_at_once_are_one_charge(shop: Shop) -> None:
    payment = await _tip(shop)
    given = {"paymentId": payment, "method": "tok_success", "idempotencyKey": "all-at-once"}

    payloads = await asyncio.gather(*(ask(shop.supporter, "paymentConfirm", **given) for _ in range(20)))

    assert all(payload["errors"] == [] for payload in payloads)
    await settle(shop.world)
    assert await _events(shop.supporter, payment) == ["CREATED", "PENDING", "PROCESSING", "SUCCEEDED"]
    assert await _captures(shop, payment) == 1


async def test_twenty_confirmations_with_keys_of_their_own_at_once_are_one_charge(shop: Shop) -> None:
    payment = await _tip(shop)

    payloads = await asyncio.gather(
        *(ask(shop.supporter, "paymentConfirm", paymentId=payment, method="tok_success") for _ in range(20))
    )

    assert sorted(len(payload["errors"]) for payload in payloads) == [0] + [1] * 19
    for payload in payloads:
        if payload["errors"]:
            refused(payload, "PAYMENT_IN_PROGRESS", "paymentId", says=IN_PROGRESS)
    await settle(shop.world)
    assert await _events(shop.supporter, payment) == ["CREATED", "PENDING", "PROCESSING", "SUCCEEDED"]
    assert await _captures(shop, payment) == 1


async def test_payment_in_progress_can_be_tried_again_with_the_same_key(shop: Shop) -> None:
    payment = await _tip(shop)
    await do(shop.supporter, "paymentConfirm", paymentId=payment, method="tok_success")
    given = {"paymentId": payment, "idempotencyKey": "too-early"}

    async with unchanged(shop.world):
        early = await ask(shop.supporter, "paymentCancel", **given)
    await settle(shop.world)
    late = await ask(shop.supporter, "paymentCancel", **given)

    refused(early, "PAYMENT_IN_PROGRESS", "paymentId", says=IN_PROGRESS)
    assert early["errors"][0]["nextAction"] == "WAIT"
    says = "This payment is SUCCEEDED and can no longer be cancelled."
    refused(late, "PAYMENT_NOT_CANCELABLE", "paymentId", says=says)


async def test_paid_payment_is_neither_confirmed_nor_cancelled_again(shop: Shop) -> None:
    payment = await _tip(shop)
    await pay(shop.supporter, payment, shop.world)

    async with unchanged(shop.world, requests=2):
        confirmed = await ask(shop.supporter, "paymentConfirm", paymentId=payment, method="tok_success")
        canceled = await ask(shop.supporter, "paymentCancel", paymentId=payment)

    says = "This payment is SUCCEEDED and can no longer be {}."
    refused(confirmed, "PAYMENT_NOT_CONFIRMABLE", "paymentId", says=says.format("confirmed"))
    refused(canceled, "PAYMENT_NOT_CANCELABLE", "paymentId", says=says.format("cancelled"))


# Cancelled --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [None, "tok_declined", "tok_3ds"])
async def test_payment_nothing_was_captured_of_is_cancelled_for_good(shop: Shop, method: str | None) -> None:
    payment = await _tip(shop)
    if method is not None:
        await ask(shop.supporter, "paymentConfirm", paymentId=payment, method=method)

    canceled = await do(shop.supporter, "paymentCancel", paymentId=payment)

    assert canceled["payment"]["status"] == "CANCELED"
    await settle(shop.world)
    async with unchanged(shop.world, requests=2):
        confirmed = await ask(shop.supporter, "paymentConfirm", paymentId=payment, method="tok_success")
        again = await ask(shop.supporter, "paymentCancel", paymentId=payment)
    says = "This payment is CANCELED and can no longer be {}."
    refused(confirmed, "PAYMENT_NOT_CONFIRMABLE", "paymentId", says=says.format("confirmed"))
    refused(again, "PAYMENT_NOT_CANCELABLE", "paymentId", says=says.format("cancelled"))
    assert await _captures(shop, payment) == 0


async def test_cancellation_sent_again_with_its_key_is_the_same_cancellation(shop: Shop) -> None:
    payment = await _tip(shop)
    given = {"input": {"paymentId": payment, "idempotencyKey": "cancel-once"}}

    first = await shop.supporter.full(document("paymentCancel"), **given)
    async with unchanged(shop.world):
        second = await shop.supporter.full(document("paymentCancel"), **given)

    assert first["data"] == second["data"]
    assert second["extensions"] == {"idempotency": {"replayed": True}}


async def test_confirmation_and_cancellation_at_once_end_in_one_of_the_two(shop: Shop) -> None:
    for _ in range(10):
        payment = await _tip(shop)
        await asyncio.gather(
            ask(shop.supporter, "paymentConfirm", paymentId=payment, method="tok_success"),
            ask(shop.supporter, "paymentCancel", paymentId=payment),
        )
        await settle(shop.world)

        status = await shop.world.status(payment)
        assert status in {"SUCCEEDED", "CANCELED"}
        assert await _captures(shop, payment) == (1 if status == "SUCCEEDED" else 0)


# Answers that do not come -----------------------------------------------------------------------------------


async def test_payment_whose_answer_was_lost_is_looked_up_and_never_charged_twice(shop: Shop) -> None:
    payment = await _tip(shop)
    confirmed = await do(shop.supporter, "paymentConfirm", paymentId=payment, method="tok_timeout")
    assert confirmed["payment"]["status"] == "RECONCILING"
    assert confirmed["payment"]["nextAction"]["type"] == "WAIT"
    async with unchanged(shop.world):
        again = await ask(shop.supporter, "paymentConfirm", paymentId=payment, method="tok_success")
        cancel = await ask(shop.supporter, "paymentCancel", paymentId=payment)
    refused(again, "PAYMENT_IN_PROGRESS", "paymentId", says=IN_PROGRESS)
    refused(cancel, "PAYMENT_IN_PROGRESS", "paymentId", says=IN_PROGRESS)

    # Nothing is delivered: only what is looked up can tell.
    await sweeper.sweep(shop.world.engine)

    assert await shop.world.status(payment) == "SUCCEEDED"
    await settle(shop.world)
    await sweeper.sweep(shop.world.engine)
    assert await _events(shop.supporter, payment) == ["CREATED", "PENDING", "RECONCILING", "SUCCEEDED"]
    assert await _captures(shop, payment) == 1


async def test_lost_answer_is_healed_by_the_webhook_as_well(shop: Shop) -> None:
    payment = await _tip(shop)
    await do(shop.supporter, "paymentConfirm", paymentId=payment, method="tok_timeout")

    await settle(shop.world)

    assert await _events(shop.supporter, payment) == ["CREATED", "PENDING", "RECONCILING", "SUCCEEDED"]


async def test_lost_answer_asked_for_again_with_its_key_is_not_sent_again(shop: Shop) -> None:
    payment = await _tip(shop)
    given = {"paymentId": payment, "method": "tok_timeout", "idempotencyKey": "lost"}
    await ask(shop.supporter, "paymentConfirm", **given)

    async with unchanged(shop.world):
        again = await ask(shop.supporter, "paymentConfirm", **given)

    assert again["errors"] == []
    assert again["payment"]["status"] == "RECONCILING"
    await settle(shop.world)


async def test_webhook_that_never_comes_is_made_up_for_after_the_grace(shop: Shop) -> None:
    payment = await _tip(shop)
    await do(shop.supporter, "paymentConfirm", paymentId=payment, method="tok_success")
    assert await shop.world.status(payment) == "PROCESSING"

    await _pass_time(shop, payment)
    await sweeper.sweep(shop.world.engine)

    assert await _events(shop.supporter, payment) == ["CREATED", "PENDING", "PROCESSING", "SUCCEEDED"]
    assert await _captures(shop, payment) == 1


async def test_payment_that_processes_for_a_while_succeeds_when_the_provider_says_so(shop: Shop) -> None:
    payment = await _tip(shop)
    confirmed = await do(shop.supporter, "paymentConfirm", paymentId=payment, method="tok_processing")
    assert confirmed["payment"]["status"] == "PROCESSING"
    await settle(shop.world)
    assert await shop.world.status(payment) == "PROCESSING"
    again = await ask(shop.supporter, "paymentConfirm", paymentId=payment, method="tok_success")
    refused(again, "PAYMENT_IN_PROGRESS", "paymentId", says=IN_PROGRESS)

    writer = shop.world.engine.database.writer
    await writer.execute("update sandbox.agenda set due_at = now() where done_at is null")
    await writer.execute("select sandbox.settle_due(100)")
    await settle(shop.world)

    assert await _events(shop.supporter, payment) == ["CREATED", "PENDING", "PROCESSING", "SUCCEEDED"]
    assert await _captures(shop, payment) == 1


async def test_payment_that_never_reached_its_provider_goes_on_with_the_same_key(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"creatorId": shop.creator, "amount": usd("5.00"), "idempotencyKey": "died-in-between"}
    await _die_before_the_provider_is_asked(shop, monkeypatch, given)

    early = await do(shop.supporter, "tipCreate", **given)
    await _pass_time(shop, early["payment"]["id"])
    late = await do(shop.supporter, "tipCreate", **given)

    assert early["payment"]["status"] == "CREATED"
    assert late["payment"] == {**early["payment"], "status": "PENDING"}
    reference = shop.world.key(Noun.PAYMENT, late["payment"]["id"])
    assert await shop.world.scalar("select count(*) from sandbox.payment where reference = $1", reference) == 1


async def test_payment_that_never_reached_its_provider_is_sent_by_the_sweeper(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"creatorId": shop.creator, "amount": usd("5.00"), "idempotencyKey": "died-and-left"}
    await _die_before_the_provider_is_asked(shop, monkeypatch, given)
    payment = (await do(shop.supporter, "tipCreate", **given))["payment"]["id"]
    await _pass_time(shop, payment)

    await sweeper.sweep(shop.world.engine)

    assert await shop.world.status(payment) == "PENDING"
    await pay(shop.supporter, payment, shop.world)


async def _die_before_the_provider_is_asked(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any]
) -> None:
    async def die(_: object) -> None:
        raise RuntimeError("the process dies here")

    with monkeypatch.context() as patch:
        patch.setattr(shop.world.engine.provider, "create_payment", die)
        answer = await shop.supporter.full(document("tipCreate"), input=given)
    error = refused_as_a_whole(answer, "INTERNAL")
    assert error["message"] == "Something broke on our side. Quote the trace id when reporting it."
    assert len(error["extensions"]["traceId"]) == 32


async def _pass_time(shop: Shop, payment: str) -> None:
    """Let what was to be looked up later be due."""
    key = shop.world.key(Noun.PAYMENT, payment)
    await shop.world.engine.database.writer.execute(
        "update payments set calling_until = $2 where id = $1 and calling_until is not null",
        key,
        now() - timedelta(seconds=1),
    )


async def test_payment_shows_its_lines_and_its_creator_and_tip(shop: Shop) -> None:
    payment = await _tip(shop, "12.34")

    read = await shop.supporter.run(
        "query ($id: ID!) { payment(id: $id) { kind amount { amount minorUnits currency exponent formatted } "
        "lines { kind amount { amount } } creator { id handle } tip { amount { amount } } purchase { id } "
        "statusMessage nextAction { type url } } }",
        id=payment,
    )

    assert read["payment"] == {
        "kind": "TIP",
        "amount": {
            "amount": "12.34",
            "minorUnits": "1234",
            "currency": "USD",
            "exponent": 2,
            "formatted": "$12.34",
        },
        "lines": [
            {"kind": "GROSS", "amount": {"amount": "12.34"}},
            {"kind": "PERCENT_FEE", "amount": {"amount": "0.62"}},
            {"kind": "FIXED_FEE", "amount": {"amount": "0.00"}},
            {"kind": "PLATFORM_FEE", "amount": {"amount": "0.62"}},
            {"kind": "TAX", "amount": {"amount": "0.00"}},
            {"kind": "NET", "amount": {"amount": "11.72"}},
        ],
        "creator": {"id": shop.creator, "handle": "fable"},
        "tip": {"amount": {"amount": "12.34"}},
        "purchase": None,
        "statusMessage": "The payment waits to be confirmed with a payment method.",
        "nextAction": {"type": "CONFIRM", "url": None},
    }


@pytest.mark.parametrize(
    ("locale", "shown"), [("en", "$12.34"), ("fr-CA", "12,34\xa0$\xa0US"), ("de", "12,34\xa0$"), ("ja", "$12.34")]
)
async def test_amount_is_written_for_people_of_a_locale(shop: Shop, locale: str, shown: str) -> None:
    payment = await _tip(shop, "12.34")

    read = await shop.supporter.run(
        "query ($id: ID!, $locale: String!) { payment(id: $id) { amount { formatted(locale: $locale) } } }",
        id=payment,
        locale=locale,
    )

    assert read["payment"]["amount"]["formatted"] == shown


@pytest.mark.parametrize("locale", ["", "xx", "nonsense", "../../etc/passwd", "en_US.UTF-8; x", "-", "a" * 1_000])
async def test_locale_nobody_knows_is_refused(shop: Shop, locale: str) -> None:
    answer = await shop.supporter.full(
        "query ($id: ID!, $locale: String!) { payment(id: $id) { amount { formatted(locale: $locale) } } }",
        id=shop.payment,
        locale=locale,
    )

    assert [(error["extensions"]["code"], error["path"]) for error in answer["errors"]] == [
        ("INPUT_INVALID", ["payment", "amount", "formatted"])
    ]
    assert answer["data"] == {"payment": None}
