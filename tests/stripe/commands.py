"""Everything that Stripe is told to do, each as a person or the worker makes it happen, and how to see that it did."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from core.ids import Noun, encode, uuid7
from services import maturing
from tests.api.shop import ask, usd
from tests.stripe.desk import GOOD, Desk
from tests.support.payouts import ONBOARD
from tests.support.stripe import payment_methods

Errors = list[dict[str, Any]]
Given = dict[str, str]

UNAVAILABLE: Final = (
    "PROVIDER_UNAVAILABLE",
    "The payment provider did not take the request. Nothing was charged; send it again.",
)


@dataclass(frozen=True)
class Command:
    """``calls`` is the request that does it; ``effects`` counts at Stripe what it did.

    ``refused`` is what who asked is told when Stripe would not, and ``unknown`` when nobody knows; None is nothing:
    it is gone on with later. ``asked_again``: not by itself, but when it is asked for again. ``looks_at_once``:
    when Stripe answers with an error, whether it was done is looked up before anybody is told. ``done`` is what is true of our own once it has been done.
    """

    name: str
    calls: str
    prepare: Callable[[Desk], Awaitable[Given]]
    act: Callable[[Desk, Given], Awaitable[Errors]]
    effects: Callable[[Desk, Given], int]
    done: Callable[[Desk, Given], Awaitable[bool]]
    refused: tuple[str, str] | None = None
    unknown: tuple[str, str] | None = None
    asked_again: bool = False
    looks_at_once: bool = False

    def __str__(self) -> str:
        return self.name


async def _asked(desk: Desk, mutation: str, *, owner: bool = False, **given: Any) -> Errors:
    errors: Errors = (await ask(desk.owner if owner else desk.payer, mutation, **given))["errors"]
    return errors


def _is(status: str) -> Callable[[Desk, Given], Awaitable[bool]]:
    async def reached(desk: Desk, given: Given) -> bool:
        return await desk.world.status(given["payment"]) == status

    return reached


async def _nothing(_: Desk) -> Given:
    return {}


async def _newcomer(desk: Desk) -> Given:
    name = f"fable_{uuid7().hex[-8:]}"
    return {"user": name, "creator": await desk.world.creator(name)}


async def _tip(desk: Desk) -> Given:
    payment = await desk.tip()
    return {"payment": payment, "intent": await desk.intent(payment)}


async def _reserved(desk: Desk) -> Given:
    payment = await desk.reserved()
    return {"payment": payment, "intent": await desk.intent(payment)}


async def _paid(desk: Desk) -> Given:
    payment = await desk.paid()
    return {"payment": payment, "intent": await desk.intent(payment)}


async def _disputed(desk: Desk) -> Given:
    given = await _paid(desk)
    given["dispute_there"] = desk.stripe.open_dispute(given["intent"])
    await desk.tell()
    row = await desk.world.scalar("select id from disputes where provider_reference = $1", given["dispute_there"])
    return given | {"dispute": encode(Noun.DISPUTE, row)}


async def _method(desk: Desk) -> Given:
    desk.stripe.store.clock.tick()
    return {"method": str(payment_methods.make(desk.stripe.store, GOOD)["id"]), "key": str(uuid7())}


async def _money(desk: Desk) -> Given:
    if not desk.account:
        await desk.with_money()
    else:
        await desk.paid("100.00")
        await desk.caught_up()
        await maturing.mature(desk.engine)
    return {"payout": await desk.requested("20.00")}


# Acting ---------------------------------------------------------------------------------------------------


async def _create(desk: Desk, given: Given) -> Errors:
    payload = await desk.world.tip(desk.payer, desk.creator)
    given["payment"] = payload["payment"]["id"]
    errors: Errors = payload["errors"]
    return errors


async def _confirm(desk: Desk, given: Given) -> Errors:
    return await _asked(desk, "paymentConfirm", paymentId=given["payment"], method=GOOD)


async def _capture(desk: Desk, given: Given) -> Errors:
    return await _asked(desk, "paymentCapture", owner=True, paymentId=given["payment"])


async def _cancel(desk: Desk, given: Given) -> Errors:
    return await _asked(desk, "paymentCancel", paymentId=given["payment"])


async def _refund(desk: Desk, given: Given) -> Errors:
    return await _asked(desk, "refundCreate", owner=True, paymentId=given["payment"], amount=usd("4.00"))


async def _answer(desk: Desk, given: Given) -> Errors:
    evidence = {"productDescription": "An evening of songs."}
    return await _asked(desk, "disputeAnswer", owner=True, disputeId=given["dispute"], evidence=evidence)


async def _save(desk: Desk, given: Given) -> Errors:
    return await _asked(desk, "paymentMethodSave", method=given["method"], idempotencyKey=given["key"])


async def _pay_out(desk: Desk, given: Given) -> Errors:
    await desk.advance(given["payout"])
    return []


async def _onboard(desk: Desk, given: Given) -> Errors:
    values = {
        "idempotencyKey": str(uuid7()),
        "creatorId": given["creator"],
        "country": "FR",
        "returnUrl": "https://front.test/back",
    }
    errors: Errors = (await desk.world.client(given["user"]).run(ONBOARD, input=values))["creatorOnboard"][
        "errors"
    ]
    return errors


# What came of it ------------------------------------------------------------------------------------------


def _with(kind: str, name: str, desk: Desk, value: str | None) -> list[dict[str, Any]]:
    return [body for body in desk.objects(kind) if body.get(name) == value]


def _ours(desk: Desk, noun: Noun, shown: str) -> str:
    return str(desk.world.key(noun, shown))


def _made(desk: Desk, given: Given) -> int:
    if "payment" not in given:
        return 0
    ours = _ours(desk, Noun.PAYMENT, given["payment"])
    return sum(intent["metadata"].get("comptoir_payment") == ours for intent in desk.objects("payment_intent"))


def _charged(desk: Desk, given: Given) -> int:
    return len(_with("charge", "payment_intent", desk, given["intent"]))


def _captured(desk: Desk, given: Given) -> int:
    return sum(charge["captured"] for charge in _with("charge", "payment_intent", desk, given["intent"]))


def _canceled(desk: Desk, given: Given) -> int:
    return int(desk.stripe.object(given["intent"])["status"] == "canceled")


def _refunded(desk: Desk, given: Given) -> int:
    return len(_with("refund", "payment_intent", desk, given["intent"]))


def _answered(desk: Desk, given: Given) -> int:
    return int(desk.stripe.object(given["dispute_there"])["evidence_details"]["submission_count"])


def _saved(desk: Desk, given: Given) -> int:
    return int(desk.stripe.object(given["method"])["customer"] is not None)


def _transferred(desk: Desk, given: Given) -> int:
    ours = _ours(desk, Noun.PAYOUT, given["payout"])
    return sum(each["metadata"].get("comptoir_transfer") == ours for each in desk.objects("transfer"))


def _paid_out(desk: Desk, given: Given) -> int:
    ours = _ours(desk, Noun.PAYOUT, given["payout"])
    return sum(each["metadata"].get("comptoir_payout") == ours for each in desk.objects("payout", desk.account))


def _accounts(desk: Desk, given: Given) -> list[dict[str, Any]]:
    ours = _ours(desk, Noun.CREATOR, given["creator"])
    return [each for each in desk.objects("v2.core.account") if each["metadata"].get("comptoir_creator") == ours]


def _opened(desk: Desk, given: Given) -> int:
    return len(_accounts(desk, given))


async def _is_refunded(desk: Desk, given: Given) -> bool:
    key = desk.world.key(Noun.PAYMENT, given["payment"])
    rows = await desk.engine.database.reader.fetch("select status from refunds where payment_id = $1", key)
    return [row["status"] for row in rows] == ["SUCCEEDED"]


async def _is_answered(desk: Desk, given: Given) -> bool:
    sql = "select status from disputes where provider_reference = $1"
    status = await desk.world.scalar(sql, given["dispute_there"])
    if status == "UNDER_REVIEW":
        # While a dispute is open its creator is paid nothing out.
        desk.stripe.close_dispute(given["dispute_there"], won=True)
        await desk.tell()
    return bool(status == "UNDER_REVIEW")


async def _is_saved(desk: Desk, given: Given) -> bool:
    reference = f"{desk.stripe.object(given['method'])['customer']}/{given['method']}"
    sql = "select count(*) from payment_methods where provider_reference = $1 and detached_at is null"
    return bool(await desk.world.scalar(sql, reference) == 1)


async def _is_paid(desk: Desk, given: Given) -> bool:
    desk.stripe.pass_time(timedelta(days=3))
    await desk.tell()
    return bool((await desk.payout(given["payout"]))["status"] == "PAID")


async def _is_opened(desk: Desk, given: Given) -> bool:
    key = desk.world.key(Noun.CREATOR, given["creator"])
    known = await desk.world.scalar("select provider_reference from payout_accounts where creator_id = $1", key)
    return [account["id"] for account in _accounts(desk, given)] == [known]


_SEND_AGAIN: Final = ("PROVIDER_UNAVAILABLE", "The payment provider did not take the request. Send it again.")
_SAME_AGAIN: Final = (
    "PROVIDER_UNAVAILABLE",
    "The payment provider did not answer. Send the same request again, with the same key.",
)
COMMANDS: Final = (
    Command("create", r"POST /v1/payment_intents", _nothing, _create, _made, _is("PENDING")),
    Command(
        "confirm", r"POST /v1/payment_intents/\w+/confirm", _tip, _confirm, _charged, _is("SUCCEEDED"), UNAVAILABLE,
        asked_again=True,
    ),
    Command(
        "capture", r"POST /v1/payment_intents/\w+/capture", _reserved, _capture, _captured, _is("SUCCEEDED"),
        UNAVAILABLE, asked_again=True,
    ),
    Command(
        "cancel", r"POST /v1/payment_intents/\w+/cancel", _tip, _cancel, _canceled, _is("CANCELED"), UNAVAILABLE,
        asked_again=True,
    ),
    Command("refund", r"POST /v1/refunds", _paid, _refund, _refunded, _is_refunded),
    Command(
        "answer", r"POST /v1/disputes/\w+", _disputed, _answer, _answered, _is_answered,
        (
            "PROVIDER_UNAVAILABLE",
            "The payment provider did not take the evidence yet. It is handed in again by itself.",
        ),
    ),
    Command("transfer", r"POST /v1/transfers", _money, _pay_out, _transferred, _is_paid),
    Command("payout", r"POST /v1/payouts", _money, _pay_out, _paid_out, _is_paid),
    Command(
        "onboard", r"POST /v2/core/accounts", _newcomer, _onboard, _opened, _is_opened, _SEND_AGAIN, _SEND_AGAIN,
        asked_again=True,
    ),
    Command(
        "save", r"POST /v1/payment_methods/\w+/attach", _method, _save, _saved, _is_saved,
        _SAME_AGAIN, _SAME_AGAIN, asked_again=True, looks_at_once=True,
    ),
)  # fmt: skip
