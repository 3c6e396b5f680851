"""Saved payment methods: kept, paid with, removed; nobody else's, and never a number."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from app.client import Client
from core.ids import Noun, encode, uuid7
from providers.payments import base
from providers.payments.sandbox import SandboxControl
from services import methods
from services.engine import Engine
from tests.api.shop import Shop, ask, do, document, nothing_of, refused, settle, unchanged, usd

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIST = "{ me { paymentMethods(first: 100) { nodes { id brand lastFour } } } }"
_UNAVAILABLE = "The payment provider did not answer. Send the same request again, with the same key."


@pytest_asyncio.fixture(loop_scope="module")
async def control(shop: Shop) -> AsyncIterator[SandboxControl]:
    """The other end of the sandbox, left as it was found."""
    opened = SandboxControl(shop.world.engine.database.writer)
    yield opened
    await opened.reset()


@pytest.fixture
def provider(shop: Shop) -> Any:
    return shop.world.engine.provider


@pytest.fixture
def payer(shop: Shop) -> Client:
    """Somebody who has saved nothing yet."""
    return shop.world.client(f"payer-{uuid7().hex[-8:]}")


async def save(client: Client, method: str = "tok_success", **given: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await do(client, "paymentMethodSave", method=method, **given))["paymentMethod"]
    return found


async def listed(client: Client) -> list[str]:
    return [node["id"] for node in (await client.run(LIST))["me"]["paymentMethods"]["nodes"]]


async def row_of(shop: Shop, method: str) -> Any:
    return await methods.read(shop.world.engine, shop.world.key(Noun.PAYMENT_METHOD, method))


async def newest(shop: Shop) -> str:
    return encode(
        Noun.PAYMENT_METHOD, await shop.world.scalar("select id from payment_methods order by id desc limit 1")
    )


async def time_passes(shop: Shop, method: str, hours: float = 0) -> None:
    """Let whoever saves or removes a method be gone; with hours, since then."""
    await shop.world.engine.database.writer.execute(
        "update payment_methods set calling_until = now() - interval '1 second', "
        "created_at = created_at - make_interval(secs => $2) where id = $1",
        shop.world.key(Noun.PAYMENT_METHOD, method),
        hours * 3600,
    )


def counted(monkeypatch: pytest.MonkeyPatch, provider: Any, name: str) -> list[Any]:
    """Return a list that grows by each call of the provider."""
    calls: list[Any] = []
    original = getattr(provider, name)

    async def instead(command: Any) -> Any:
        calls.append(command)
        return await original(command)

    monkeypatch.setattr(provider, name, instead)
    return calls


# Kept and paid with -----------------------------------------------------------------------------------------


async def test_saved_method_is_shown_by_what_its_owner_knows_it_by(shop: Shop, payer: Client) -> None:
    saved = await save(payer)

    assert (saved["kind"], saved["brand"]) == ("card", "Sandcard")
    assert (len(saved["lastFour"]), saved["expiresMonth"], saved["expiresYear"]) == (4, 12, 2049)
    assert await listed(payer) == [saved["id"]]
    node = await payer.run("query ($id: ID!) { node(id: $id) { id __typename } }", id=saved["id"])
    assert node["node"] == {"id": saved["id"], "__typename": "PaymentMethod"}
    stored = str(dict(await row_of(shop, saved["id"])))
    assert "tok_success" not in stored


async def test_methods_are_listed_newest_first(payer: Client) -> None:
    ids = [(await save(payer, method))["id"] for method in ("tok_success", "tok_3ds", "tok_success")]

    assert await listed(payer) == ids[::-1]


async def test_payment_is_confirmed_with_a_saved_method(shop: Shop, payer: Client) -> None:
    saved = await save(payer)
    tip = await do(payer, "tipCreate", creatorId=shop.creator, amount=usd("5.00"))
    payment = tip["payment"]["id"]

    payload = await do(payer, "paymentConfirm", paymentId=payment, paymentMethodId=saved["id"])
    await settle(shop.world)

    assert payload["payment"]["status"] == "PROCESSING"
    assert await shop.world.status(payment) == "SUCCEEDED"


async def test_saved_method_that_is_declined_says_so(shop: Shop, payer: Client) -> None:
    saved = await save(payer, "tok_insufficient_funds")
    tip = await do(payer, "tipCreate", creatorId=shop.creator, amount=usd("5.00"))

    payload = await ask(payer, "paymentConfirm", paymentId=tip["payment"]["id"], paymentMethodId=saved["id"])

    assert [error["code"] for error in payload["errors"]] == ["PAYMENT_DECLINED"]
    assert payload["payment"]["statusReason"] == "INSUFFICIENT_FUNDS"


@pytest.mark.parametrize("both", [False, True])
async def test_payment_is_confirmed_with_one_method_and_no_more(shop: Shop, payer: Client, both: bool) -> None:
    given = {"method": "tok_success", "paymentMethodId": (await save(payer))["id"]} if both else {}
    tip = await do(payer, "tipCreate", creatorId=shop.creator, amount=usd("5.00"))

    async with unchanged(shop.world):
        payload = await ask(payer, "paymentConfirm", paymentId=tip["payment"]["id"], **given)

    refused(payload, "INPUT_INVALID", "method", says="Send either a method or a paymentMethodId.")


@pytest.mark.parametrize("whose", ["somebody else's", "removed", "nobody's"])
async def test_method_that_is_not_ones_own_is_not_paid_with(shop: Shop, payer: Client, whose: str) -> None:
    method = nothing_of(Noun.PAYMENT_METHOD)
    if whose != "nobody's":
        method = (await save(payer if whose == "removed" else shop.supporter))["id"]
    if whose == "removed":
        await do(payer, "paymentMethodRemove", paymentMethodId=method)
    tip = await do(payer, "tipCreate", creatorId=shop.creator, amount=usd("5.00"))

    async with unchanged(shop.world):
        payload = await ask(payer, "paymentConfirm", paymentId=tip["payment"]["id"], paymentMethodId=method)

    refused(
        payload,
        "NOT_FOUND",
        "paymentMethodId",
        says="There is no such payment method. Check the id that was sent.",
    )


async def test_guest_saves_nothing_and_pays_with_nothing_saved(shop: Shop) -> None:
    saved = (await save(shop.supporter))["id"]

    async with unchanged(shop.world):
        keeping = await ask(shop.guest, "paymentMethodSave", method="tok_success")
        paying = await ask(shop.guest, "paymentConfirm", paymentId=shop.guest_payment, paymentMethodId=saved)

    assert [error["code"] for error in keeping["errors"]] == ["UNAUTHENTICATED"]
    assert [error["code"] for error in paying["errors"]] == ["NOT_FOUND"]


# Refused ----------------------------------------------------------------------------------------------------


async def test_method_the_provider_does_not_know_is_not_saved(shop: Shop, payer: Client) -> None:
    await payer.run("{ me { id } }")
    key = str(uuid7())

    payload = await ask(payer, "paymentMethodSave", method="tok_nonsense", idempotencyKey=key)
    again = await ask(payer, "paymentMethodSave", method="tok_nonsense", idempotencyKey=key)

    refused(
        payload,
        "METHOD_NOT_SAVED",
        "method",
        says="The payment provider does not keep this method. Send a token of another one.",
    )
    assert again == payload
    assert payload["errors"][0]["nextAction"] == "OTHER_METHOD"
    assert await listed(payer) == []
    assert (await payer.run("query ($id: ID!) { node(id: $id) { id } }", id=await newest(shop)))["node"] is None


async def test_card_number_is_not_saved(shop: Shop, payer: Client) -> None:
    await payer.run("{ me { id } }")

    async with unchanged(shop.world):
        answer = await payer.full(
            document("paymentMethodSave"), input={"idempotencyKey": "card", "method": "4242424242424242"}
        )

    assert answer["errors"][0]["extensions"]["code"] == "CARD_NUMBER_REFUSED"


async def test_provider_that_keeps_no_methods_is_not_asked(
    shop: Shop, payer: Client, provider: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await payer.run("{ me { id } }")
    able = provider.capabilities
    without = replace(able, features=able.features - {base.Capability.SAVED_METHODS})
    monkeypatch.setattr(provider, "capabilities", without)

    async with unchanged(shop.world, requests=1):
        payload = await ask(payer, "paymentMethodSave", method="tok_success")

    refused(payload, "PROVIDER_UNSUPPORTED", "method", says="The payment provider keeps no methods for later.")


@pytest.mark.parametrize("which", ["somebody else's", "removed", "never saved"])
async def test_method_that_is_not_ones_own_is_not_removed(
    shop: Shop, payer: Client, provider: Any, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    if which == "somebody else's":
        method = (await save(shop.supporter))["id"]
        await payer.run("{ me { id } }")
    elif which == "removed":
        method = (await save(payer))["id"]
        await do(payer, "paymentMethodRemove", paymentMethodId=method)
    else:
        await ask(payer, "paymentMethodSave", method="tok_nonsense")
        method = await newest(shop)
    calls = counted(monkeypatch, provider, "detach_method")

    async with unchanged(shop.world):
        payload = await ask(payer, "paymentMethodRemove", paymentMethodId=method)

    assert payload == await ask(payer, "paymentMethodRemove", paymentMethodId=nothing_of(Noun.PAYMENT_METHOD))
    assert [error["code"] for error in payload["errors"]] == ["NOT_FOUND"]
    assert calls == []


# Asked twice, and lost on the way ---------------------------------------------------------------------------


async def test_same_key_saves_once(payer: Client, provider: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = counted(monkeypatch, provider, "save_method")
    key = str(uuid7())

    first = await save(payer, idempotencyKey=key)
    second = await save(payer, idempotencyKey=key)
    other = await ask(payer, "paymentMethodSave", method="tok_3ds", idempotencyKey=key)

    assert first == second
    assert len(calls) == 1
    assert [error["code"] for error in other["errors"]] == ["IDEMPOTENCY_KEY_REUSED"]
    assert await listed(payer) == [first["id"]]


async def test_repeat_while_the_provider_is_asked_says_to_ask_again(
    payer: Client, provider: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answer = asyncio.Event(), asyncio.Event()
    original = provider.save_method

    async def slow(command: Any) -> Any:
        asked.set()
        await answer.wait()
        return await original(command)

    monkeypatch.setattr(provider, "save_method", slow)
    key = str(uuid7())
    first = asyncio.create_task(save(payer, idempotencyKey=key))
    async with asyncio.timeout(20):
        await asked.wait()

    meanwhile = await ask(payer, "paymentMethodSave", method="tok_success", idempotencyKey=key)
    answer.set()

    refused(meanwhile, "PROVIDER_UNAVAILABLE", says=_UNAVAILABLE)
    assert meanwhile["errors"][0]["nextAction"] == "RETRY_SAME_KEY"
    saved = await first
    assert await listed(payer) == [saved["id"]]


@pytest.mark.parametrize("effect", ["ANSWER_LOST", "REQUEST_LOST", "UNAVAILABLE"])
async def test_saving_whose_answer_is_lost_is_done_once_with_the_same_key(
    shop: Shop, payer: Client, control: SandboxControl, effect: str
) -> None:
    await control.arm("SAVE_METHOD", effect)
    before = await shop.world.count("sandbox.method")
    key = str(uuid7())

    lost = await ask(payer, "paymentMethodSave", method="tok_success", idempotencyKey=key)
    assert await listed(payer) == []
    saved = await save(payer, idempotencyKey=key)

    refused(lost, "PROVIDER_UNAVAILABLE", says=_UNAVAILABLE)
    assert await listed(payer) == [saved["id"]]
    assert await shop.world.count("sandbox.method") == before + 1


async def test_what_was_never_saved_is_given_up_after_a_day(
    shop: Shop, payer: Client, control: SandboxControl
) -> None:
    await control.arm("SAVE_METHOD", "REQUEST_LOST")
    key = str(uuid7())
    await ask(payer, "paymentMethodSave", method="tok_success", idempotencyKey=key)
    method = await newest(shop)
    await methods.sweep(shop.world.engine)
    assert (await row_of(shop, method))["detached_at"] is None

    await time_passes(shop, method, hours=23)
    await methods.sweep(shop.world.engine)

    row = await row_of(shop, method)
    assert (row["detached_at"] is not None, row["calling_until"]) == (True, None)
    payload = await ask(payer, "paymentMethodSave", method="tok_success", idempotencyKey=key)
    assert [error["code"] for error in payload["errors"]] == ["METHOD_NOT_SAVED"]


async def test_same_card_saved_again_takes_the_place_of_the_first(
    shop: Shop, payer: Client, provider: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await save(payer)
    known = (await row_of(shop, first["id"]))["provider_reference"]
    original = provider.save_method

    async def the_same(command: Any) -> Any:
        return replace(await original(command), provider_reference=known)

    monkeypatch.setattr(provider, "save_method", the_same)

    second = await save(payer)
    stolen = await ask(shop.world.client("thief"), "paymentMethodSave", method="tok_success")

    assert await listed(payer) == [second["id"]]
    assert [error["code"] for error in stolen["errors"]] == ["METHOD_NOT_SAVED"]


async def test_removed_method_is_gone_here_and_at_the_provider(shop: Shop, payer: Client) -> None:
    kept, removed = await save(payer), await save(payer)
    key = str(uuid7())

    payload = await do(payer, "paymentMethodRemove", paymentMethodId=removed["id"], idempotencyKey=key)
    again = await do(payer, "paymentMethodRemove", paymentMethodId=removed["id"], idempotencyKey=key)

    assert payload["paymentMethod"] == {"id": removed["id"], "lastFour": removed["lastFour"]}
    assert again == payload
    assert await listed(payer) == [kept["id"]]
    row = await row_of(shop, removed["id"])
    sql = "select detached_at is not null from sandbox.method where id = $1"
    assert await shop.world.scalar(sql, row["provider_reference"])


async def _never_asked(_: Engine, __: Any) -> None:
    """Stand for a caller who was killed before asking the provider."""


@pytest.mark.parametrize("by", ["a repeat", "the sweeper"])
@pytest.mark.parametrize("effect", [None, "ANSWER_LOST", "REQUEST_LOST", "UNAVAILABLE"])
async def test_removal_nobody_finished_is_finished(
    shop: Shop,
    payer: Client,
    control: SandboxControl,
    monkeypatch: pytest.MonkeyPatch,
    by: str,
    effect: str | None,
) -> None:
    method, key = (await save(payer))["id"], str(uuid7())
    with monkeypatch.context() as patched:
        if effect is None:
            patched.setattr(methods, "_detach_quietly", _never_asked)
        else:
            await control.arm("DETACH_METHOD", effect)
        await do(payer, "paymentMethodRemove", paymentMethodId=method, idempotencyKey=key)
    assert (await row_of(shop, method))["detached_at"] is None
    assert await listed(payer) == []

    await methods.sweep(shop.world.engine)
    assert (await row_of(shop, method))["detached_at"] is None, "not before its time"
    await time_passes(shop, method)
    if by == "a repeat":
        await do(payer, "paymentMethodRemove", paymentMethodId=method, idempotencyKey=key)
    else:
        await methods.sweep(shop.world.engine)

    row = await row_of(shop, method)
    assert (row["detached_at"] is not None, row["calling_until"]) == (True, None)
    sql = "select detached_at is not null from sandbox.method where id = $1"
    assert await shop.world.scalar(sql, row["provider_reference"])


async def test_method_the_provider_has_forgotten_already_is_gone(
    shop: Shop, payer: Client, provider: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = (await save(payer))["id"]

    async def unknown(_: Any) -> None:
        raise base.ProviderError(base.ProviderErrorCode.NOT_FOUND, base.ProviderAction.NEVER)

    monkeypatch.setattr(provider, "detach_method", unknown)
    await do(payer, "paymentMethodRemove", paymentMethodId=method)

    assert (await row_of(shop, method))["detached_at"] is not None
