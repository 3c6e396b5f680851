"""A card number anywhere in an operation is refused, never stored and never logged."""

import logging
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from app.client import GraphQLFailed
from core.ids import uuid7
from tests.api.shop import ERRORS, Shop, do, document, refused_as_a_whole, unchanged, usd

pytestmark = pytest.mark.asyncio(loop_scope="module")

SAYS = (
    "This looks like a card number. Card numbers are never sent here: send the token that the payment provider "
    "gave for the card."
)
NUMBERS = (
    "4242424242424242",
    "4242 4242 4242 4242",
    "4242-4242-4242-4242",
    "5555555555554444",
    "5105 1051 0510 5100",
    "378282246310005",
    "3782 822463 10005",
    "6011111111111117",
    "3530111333300000",
    "2223003122003222",
    "30569309025904",
    "6205500000000000004",
    "4222222222222",
)
IN_WORDS = (
    "my card is 4242424242424242, thanks",
    "4242424242424242 12/30 123",
    "4242 4242 4242 4242 12/30",
    "4242 4242 4242 4242 123",
    "exp 12 4242 4242 4242 4242",
    "1 x 5555 5555 5555 4444",
    "card:4242424242424242",
    "(4242424242424242)",
    "4242424242424242.",
    "first line\n4242424242424242\nlast line",
    "4242\u00a04242\u00a04242\u00a04242",
    "4242  4242  4242  4242",
    "\uff14\uff12\uff14\uff12 4242 4242 4242",
)
CARD = "4242424242424242"


@pytest.fixture
def nothing_logged(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Assert that no log and no output of the server holds a card number."""
    caplog.set_level(logging.INFO)
    yield
    written = capfd.readouterr()
    for text in (caplog.text, written.out, written.err):
        digits = "".join(character for character in text if character.isdecimal())
        assert not any("".join(filter(str.isdecimal, number)) in digits for number in NUMBERS)


def _tip(shop: Shop, **changed: Any) -> dict[str, Any]:
    return {"idempotencyKey": str(uuid7()), "creatorId": shop.creator, "amount": usd("5.00"), **changed}


def _refused(answer: dict[str, Any]) -> None:
    assert refused_as_a_whole(answer, "CARD_NUMBER_REFUSED")["message"] == SAYS


@pytest.mark.usefixtures("nothing_logged")
@pytest.mark.parametrize("text", [*NUMBERS, *IN_WORDS])
async def test_card_number_in_a_message_is_refused(shop: Shop, text: str) -> None:
    async with unchanged(shop.world):
        answer = await shop.supporter.full(document("tipCreate"), input=_tip(shop, message=text))

    _refused(answer)


@pytest.mark.usefixtures("nothing_logged")
@pytest.mark.parametrize(
    ("mutation", "given"),
    [
        ("tipCreate", {"idempotencyKey": CARD}),
        ("tipCreate", {"creatorId": CARD}),
        ("tipCreate", {"creatorId": int(CARD)}),
        ("tipCreate", {"amount": usd(CARD)}),
        ("tipCreate", {"amount": {"amount": int(CARD), "currency": "USD"}}),
        ("tipCreate", {"amount": {"amount": float(CARD), "currency": "USD"}}),
        ("tipCreate", {"amount": {"amount": "5", "currency": CARD}}),
        ("tipCreate", {"message": int(CARD)}),
        ("tipCreate", {"unknown": [[{"deep": [CARD]}]]}),
        ("tipCreate", {CARD: "a key"}),
        ("purchaseCreate", {"productId": CARD}),
        ("paymentConfirm", {"paymentId": "pay_1", "method": CARD}),
        ("paymentConfirm", {"paymentId": "pay_1", "method": f"tok_{CARD[:0]} {CARD}"}),
        (
            "paymentConfirm",
            {"paymentId": "pay_1", "method": "tok_3ds", "returnUrl": f"https://x.test/?card={CARD}"},
        ),
        ("paymentConfirm", {"paymentId": CARD, "method": "tok_3ds"}),
        ("paymentCancel", {"paymentId": "pay_1", "idempotencyKey": CARD}),
        ("creatorCreate", {"handle": "cardholder", "displayName": CARD}),
        ("creatorCreate", {"handle": CARD, "displayName": "C"}),
        ("creatorUpdate", {"creatorId": "crt_1", "bio": f"Pay me: {CARD}"}),
        ("productCreate", {"creatorId": "crt_1", "title": CARD, "price": usd("1")}),
        ("productCreate", {"creatorId": "crt_1", "title": "A", "price": usd("1"), "description": CARD}),
        ("productUpdate", {"productId": "prd_1", "title": CARD}),
        ("productArchive", {"productId": CARD}),
    ],
)
async def test_card_number_in_any_field_is_refused(shop: Shop, mutation: str, given: dict[str, Any]) -> None:
    variables = _tip(shop, **given) if mutation == "tipCreate" else {"idempotencyKey": "k", **given}

    async with unchanged(shop.world):
        answer = await shop.supporter.full(document(mutation), input=variables)

    _refused(answer)


@pytest.mark.usefixtures("nothing_logged")
@pytest.mark.parametrize(
    "where",
    [
        {"title": {"eq": CARD}},
        {"title": {"in": ["A", CARD]}},
        {"OR": [{"AND": [{"title": {"contains": f"card {CARD}"}}]}]},
        {"price": {"currency": "USD", "gte": usd(CARD)}},
    ],
    ids=str,
)
async def test_card_number_in_a_filter_is_refused(shop: Shop, where: dict[str, Any]) -> None:
    query = "query ($where: ProductWhere) { products(first: 1, where: $where) { nodes { id } } }"

    _refused(await shop.nobody.full(query, where=where))


@pytest.mark.usefixtures("nothing_logged")
@pytest.mark.parametrize(
    "literal",
    [f'"{CARD}"', f'"""\n  my card\n  {CARD}\n"""', CARD, '"4242-4242-4242-4242"', r'"\u0034242424242424242"'],
)
async def test_card_number_written_into_the_document_is_refused(shop: Shop, literal: str) -> None:
    query = f"""mutation {{ tipCreate(input: {{
        idempotencyKey: "{uuid7()}", creatorId: "{shop.creator}", amount: {{amount: "5.00", currency: "USD"}},
        message: {literal}
    }}) {{ tip {{ id }} {ERRORS} }} }}"""

    async with unchanged(shop.world):
        answers = [await shop.supporter.full(query) for _ in range(2)]

    for answer in answers:
        _refused(answer)


@pytest.mark.usefixtures("nothing_logged")
async def test_card_number_as_a_default_or_in_a_directive_is_refused(shop: Shop) -> None:
    for query in (
        f'query ($handle: String! = "{CARD}") {{ creator(handle: $handle) {{ id }} }}',
        f"query ($id: ID = {CARD}) {{ me {{ id }} product(id: $id) {{ id }} }}",
        f'{{ me {{ id @include(if: "{CARD}") }} }}',
    ):
        _refused(await shop.nobody.full(query))


@pytest.mark.usefixtures("nothing_logged")
async def test_card_number_over_a_socket_is_refused(shop: Shop) -> None:
    query = "subscription ($id: ID!, $after: String) { paymentStatus(paymentId: $id, after: $after) { cursor } }"
    written = f'subscription {{ paymentStatus(paymentId: "{CARD}") {{ cursor }} }}'
    operations: list[tuple[str, dict[str, Any]]] = [
        (query, {"id": CARD}),
        (query, {"id": shop.payment, "after": CARD}),
        (written, {}),
        (document("tipCreate"), {"input": _tip(shop, message=CARD)}),
    ]
    async with unchanged(shop.world), shop.supporter.socket() as socket:
        for text, variables in operations:
            stream = await socket.subscribe(text, **variables)
            with pytest.raises(GraphQLFailed) as failed:
                await stream.next()

            assert [(error["message"], error["extensions"]["code"]) for error in failed.value.errors] == [
                (SAYS, "CARD_NUMBER_REFUSED")
            ]


@pytest.mark.parametrize(
    "message",
    [
        "4242424242424241",
        "1234567890123456",
        "+33 6 12 34 56 78",
        "2026-05-04 12:00:00",
        "42424242-4242-4242-8242-424242424242",
        "order 4242424242424242424242",
        "v4.242424242424242",
        "in 2026 I gave 5 x 10 = 50",
    ],
)
async def test_number_that_is_no_card_number_is_taken(shop: Shop, message: str) -> None:
    payload = await do(shop.supporter, "tipCreate", **_tip(shop, message=message))

    assert payload["tip"]["message"] == message


async def test_uuid_as_a_guest_key_is_taken(shop: Shop) -> None:
    for key in (*(str(uuid4()) for _ in range(20)), "42424242-4242-4242-8242-424242424242"):
        await do(shop.nobody, "tipCreate", **_tip(shop, idempotencyKey=key))
