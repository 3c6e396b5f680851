"""Manual capture: reserved when it is bought, captured by the creator later, in full, in part or not at all."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from app.client import Client
from core.ids import Noun, uuid7
from core.scopes import OPERATOR_SCOPES
from providers.payments.base import Capability
from providers.payments.sandbox import SandboxControl
from tests.api.shop import Shop, ask, do, refused, settle, unchanged, usd

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAYMENT = """
query ($id: ID!) {
  payment(id: $id) {
    status manualCapture captureBefore nextAction { type url }
    amounts {
      authorized { amount } authorizedPending { amount } captured { amount } capturedPending { amount }
      refunded { amount } refundedPending { amount } canceled { amount } canceledPending { amount }
    }
  }
}
"""


@pytest_asyncio.fixture(loop_scope="module")
async def control(shop: Shop) -> AsyncIterator[SandboxControl]:
    """The other end of the sandbox, left as it was found."""
    opened = SandboxControl(shop.world.engine.database.writer)
    yield opened
    await opened.reset()


@pytest.fixture
def operator(shop: Shop) -> Client:
    """Somebody of the platform's staff."""
    return shop.world.client("operator", OPERATOR_SCOPES)


async def offered(shop: Shop, *, manual: bool = True) -> str:
    """Return a product of 10.00 whose price is only reserved."""
    given = {"creatorId": shop.creator, "title": "Made to order", "price": usd("10.00"), "stock": 100}
    made = await do(shop.owner, "productCreate", **given, manualCapture=manual)
    return str(made["product"]["id"])


async def bought(shop: Shop, product: str, method: str = "tok_success") -> str:
    """Return a confirmed payment for a product."""
    payment = (await do(shop.supporter, "purchaseCreate", productId=product))["payment"]["id"]
    await do(shop.supporter, "paymentConfirm", paymentId=payment, method=method)
    await settle(shop.world)
    return str(payment)


async def reserved(shop: Shop) -> str:
    payment = await bought(shop, await offered(shop))
    assert await shop.world.status(payment) == "AUTHORIZED"
    return payment


async def read(client: Client, payment: str) -> dict[str, Any]:
    found: dict[str, Any] = (await client.run(PAYMENT, id=payment))["payment"]
    return found


def only(**amounts: str) -> dict[str, dict[str, str]]:
    """Return the amounts of a payment that are not zero, as a client sees them."""
    names = (
        "authorized",
        "authorizedPending",
        "captured",
        "capturedPending",
        "refunded",
        "refundedPending",
        "canceled",
        "canceledPending",
    )
    return {name: {"amount": amounts.get(name, "0.00")} for name in names}


async def test_product_says_whether_its_price_is_only_reserved(shop: Shop) -> None:
    product = await offered(shop, manual=False)
    query = "query ($id: ID!) { product(id: $id) { manualCapture } }"
    seen = [(await shop.nobody.run(query, id=product))["product"]["manualCapture"]]
    for manual in (True, None, False):
        await do(shop.owner, "productUpdate", productId=product, manualCapture=manual)
        seen.append((await shop.nobody.run(query, id=product))["product"]["manualCapture"])

    assert seen == [False, True, True, False]


async def test_price_is_reserved_and_captured_later(shop: Shop) -> None:
    payment = await reserved(shop)
    before = await read(shop.supporter, payment)

    await do(shop.owner, "paymentCapture", paymentId=payment)
    await settle(shop.world)

    assert (before["manualCapture"], before["amounts"]) == (True, only(authorized="10.00"))
    assert before["captureBefore"] is not None
    after = await read(shop.owner, payment)
    assert (after["status"], after["amounts"]) == ("SUCCEEDED", only(captured="10.00"))


async def test_part_is_captured_and_the_rest_let_go(shop: Shop) -> None:
    payment = await reserved(shop)

    await do(shop.owner, "paymentCapture", paymentId=payment, amount=usd("6.00"))
    await settle(shop.world)

    assert (await read(shop.owner, payment))["amounts"] == only(captured="6.00", canceled="4.00")
    too_much = await ask(shop.owner, "refundCreate", paymentId=payment, amount=usd("6.01"))
    assert too_much["errors"][0]["refundable"] == usd("6.00")
    whole = await do(shop.owner, "refundCreate", paymentId=payment)
    assert whole["refund"]["amount"] == usd("6.00")
    seen = await read(shop.owner, payment)
    assert (seen["status"], seen["amounts"]) == (
        "REFUNDED",
        only(captured="6.00", canceled="4.00", refunded="6.00"),
    )


async def test_operator_captures_for_a_creator(shop: Shop, operator: Client) -> None:
    payment = await reserved(shop)

    await do(operator, "paymentCapture", paymentId=payment)
    await settle(shop.world)

    assert await shop.world.status(payment) == "SUCCEEDED"


async def test_same_key_captures_once(shop: Shop) -> None:
    payment, key = await reserved(shop), str(uuid7())
    sent = {"paymentId": payment, "idempotencyKey": key}

    for _ in range(2):
        await do(shop.owner, "paymentCapture", **sent, amount=usd("6.00"))
    other = await ask(shop.owner, "paymentCapture", **sent)
    await settle(shop.world)

    assert [error["code"] for error in other["errors"]] == ["IDEMPOTENCY_KEY_REUSED"]
    assert (await read(shop.owner, payment))["amounts"] == only(captured="6.00", canceled="4.00")
    reference = await shop.world.scalar(
        "select provider_reference from payments where id = $1", shop.world.key(Noun.PAYMENT, payment)
    )
    count = "select count(*) from sandbox.event where type = 'payment.succeeded' and body::text like $1"
    assert await shop.world.scalar(count, f"%{reference}%") == 1


@pytest.mark.parametrize(
    ("amount", "code", "path"),
    [
        (usd("10.01"), "AMOUNT_TOO_LARGE", ["amount", "amount"]),
        ({"amount": "5.00", "currency": "EUR"}, "INPUT_INVALID", ["amount", "currency"]),
    ],
)
async def test_amount_that_is_not_reserved_is_not_captured(
    shop: Shop, amount: dict[str, str], code: str, path: list[str]
) -> None:
    payment = await reserved(shop)

    async with unchanged(shop.world, requests=1):
        payload = await ask(shop.owner, "paymentCapture", paymentId=payment, amount=amount)

    assert [(error["code"], error["path"]) for error in payload["errors"]] == [(code, ["input", *path])]


@pytest.mark.parametrize("manual", [False, True])
async def test_payment_that_reserves_nothing_is_not_captured(shop: Shop, manual: bool) -> None:
    payment = await bought(shop, await offered(shop, manual=manual))
    if manual:
        await do(shop.owner, "paymentCapture", paymentId=payment)
        await settle(shop.world)

    async with unchanged(shop.world, requests=1):
        payload = await ask(shop.owner, "paymentCapture", paymentId=payment)

    assert [error["code"] for error in payload["errors"]] == ["PAYMENT_NOT_CAPTURABLE"]


async def test_payer_does_not_capture_their_own_payment(shop: Shop) -> None:
    payment = await reserved(shop)

    async with unchanged(shop.world):
        payload = await ask(shop.supporter, "paymentCapture", paymentId=payment)

    refused(payload, "NOT_FOUND", "paymentId", says="There is no such payment. Check the id that was sent.")


async def test_reservation_that_lapsed_is_not_captured(shop: Shop, control: SandboxControl) -> None:
    payment = await reserved(shop)
    await control.expire(str(shop.world.key(Noun.PAYMENT, payment)))

    payload = await ask(shop.owner, "paymentCapture", paymentId=payment)
    await settle(shop.world)

    assert len(payload["errors"]) == 1
    seen = await read(shop.owner, payment)
    assert (seen["status"], seen["amounts"]) == ("CANCELED", only(canceled="10.00"))


async def test_creator_lets_go_of_what_is_reserved(shop: Shop) -> None:
    payment = await reserved(shop)

    await do(shop.owner, "paymentCancel", paymentId=payment)
    await settle(shop.world)

    assert (await read(shop.supporter, payment))["amounts"] == only(canceled="10.00")
    assert await shop.world.status(payment) == "CANCELED"


async def test_creator_does_not_cancel_what_is_not_reserved(shop: Shop) -> None:
    async with unchanged(shop.world):
        payload = await ask(shop.owner, "paymentCancel", paymentId=shop.payment)

    assert [error["code"] for error in payload["errors"]] == ["NOT_FOUND"]


@pytest.mark.parametrize("mutation", ["productCreate", "productUpdate"])
async def test_provider_that_charges_at_once_reserves_nothing(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, mutation: str
) -> None:
    product = await offered(shop, manual=False)
    provider = shop.world.engine.provider
    able = provider.capabilities
    without = replace(able, features=able.features - {Capability.MANUAL_CAPTURE})
    monkeypatch.setattr(provider, "capabilities", without)
    given = (
        {"productId": product}
        if mutation == "productUpdate"
        else {"creatorId": shop.creator, "title": "A", "price": usd("10.00")}
    )

    async with unchanged(shop.world):
        payload = await ask(shop.owner, mutation, **given, manualCapture=True)

    refused(
        payload,
        "PROVIDER_UNSUPPORTED",
        "manualCapture",
        says="The payment provider charges at once. Leave out manualCapture.",
    )


async def test_creator_sees_a_payment_but_not_where_its_payer_authenticates(shop: Shop) -> None:
    payment = await bought(shop, await offered(shop, manual=False), "tok_3ds")

    payers, creators = await read(shop.supporter, payment), await read(shop.owner, payment)

    assert payers["nextAction"]["type"] == creators["nextAction"]["type"] == "AUTHENTICATE"
    assert "/sandbox/3ds/" in payers["nextAction"]["url"]
    assert creators["nextAction"]["url"] is None
    through = await shop.owner.run(
        "query ($id: ID!) { node(id: $id) { ... on Payment { nextAction { url } } } }", id=payment
    )
    assert through["node"] == {"nextAction": {"url": None}}
