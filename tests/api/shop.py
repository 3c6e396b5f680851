"""A server with the people most refusals are about, and what every refusal is measured by."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from app.client import Client
from app.postgres import Lease
from core import ids
from core.clock import wall
from core.ids import Noun, uuid7
from providers.payments.sandbox import SandboxControl
from providers.payments.sandbox.webhooks import sign, signing_keys
from services import webhooks
from tests.conftest import assert_books_are_sound
from tests.support.databases import fresh_database
from tests.support.world import World, running_world

ERRORS = (
    "errors { __typename code message path nextAction ... on RefundTooLarge { refundable { amount currency } } "
    "... on DisputeResponseLate { respondBy } ... on QuantityTooLarge { available } }"
)
_ZONE = "zone { id name countries active methods { id } }"
_METHOD = (
    "method { id name daysMinimum daysMaximum active "
    "rates { price { amount currency } weightGramsFrom weightGramsMaximum subtotalFrom { amount } } }"
)
_DISCOUNT = (
    "discount { id code title kind basisPoints amount { amount currency } minimumSubtotal { amount } productIds "
    "startsAt endsAt usageLimit perBuyerLimit period perPeriodLimit used active }"
)
_LOCATION = "location { id name position active }"
_LEVEL = "{ variant { id } location { id } onHand reserved available lowAt lowSince }"
_PAYLOADS = {
    "creatorCreate": "creator { id handle active }",
    "creatorUpdate": "creator { id displayName active }",
    "productCreate": "product { id stock active }",
    "productUpdate": "product { id title stock active }",
    "productArchive": "product { id active }",
    "variantCreate": "variant { id choices available prices { amount currency } }",
    "variantUpdate": "variant { id choices sku available prices { amount currency } }",
    "variantArchive": "variant { id active }",
    "collectionCreate": "collection { id title slug active }",
    "collectionUpdate": "collection { id title slug active }",
    "collectionArchive": "collection { id active }",
    "collectionProductsSet": "collection { id products(first: 100) { nodes { id } } }",
    "mediaUpload": "media { id kind state size } uploadUrl",
    "variantFilesSet": "files { mediaId fileName }",
    "licenceKeysUpload": "added skipped",
    "licenceKeyActivate": "licence { valid activations }",
    "licenceKeyDeactivate": "licence { valid activations }",
    "licenceKeyRotate": "licence { id key lastFour }",
    "productPicturesSet": "product { id pictures { url alternativeText width height } }",
    "stockLocationCreate": _LOCATION,
    "stockLocationUpdate": _LOCATION,
    "stockLocationArchive": _LOCATION,
    "stockSet": f"level {_LEVEL}",
    "stockAdjust": f"level {_LEVEL}",
    "stockMove": f"source {_LEVEL} destination {_LEVEL}",
    "shippingZoneCreate": _ZONE,
    "shippingZoneUpdate": _ZONE,
    "shippingZoneArchive": _ZONE,
    "shippingMethodCreate": _METHOD,
    "shippingMethodUpdate": _METHOD,
    "shippingMethodArchive": _METHOD,
    "discountCreate": _DISCOUNT,
    "discountUpdate": _DISCOUNT,
    "discountArchive": _DISCOUNT,
    "tipCreate": "tip { id message } payment { id status } paymentToken",
    "cartCreate": "cart { id total { amount currency } problems { code } } cartToken",
    "cartUpdate": "cart { id total { amount currency } problems { code } }",
    "checkoutComplete": "order { id status } payment { id status } paymentToken",
    "purchaseCreate": "purchase { id } payment { id status } paymentToken",
    "paymentConfirm": "payment { id status statusReason nextAction { type url } }",
    "payoutRequest": "payout { id status }",
    "payoutScheduleSet": "payoutSchedule { interval nextAt }",
    "creatorOnboard": "payoutAccount { ready } onboardingUrl",
    "paymentCancel": "payment { id status }",
    "paymentCapture": "payment { id status amounts { captured { amount } capturedPending { amount } } }",
    "refundCreate": "refund { id status statusReason amount { amount currency } reason nextAction }",
    "disputeAnswer": "dispute { id status nextAction evidenceSubmittedAt }",
    "disputeWriteOff": "dispute { id status writtenOff { amount } }",
    "paymentMethodSave": "paymentMethod { id kind brand lastFour expiresMonth expiresYear }",
    "orderCancel": "order { id status statusReason canCancel }",
    "fulfilmentCreate": "fulfilment { id carrier trackingNumber trackingUrl automatic lines { quantity line { id } } } "
    "sale { id status lines { id quantity fulfilled canceled } }",
    "fulfilmentUpdate": "fulfilment { id carrier trackingNumber trackingUrl }",
    "saleCancel": "sale { id status refunded { amount } lines { id fulfilled canceled refunded } } "
    "refund { id status amount { amount } }",
    "saleRefund": "sale { id status refunded { amount } lines { id fulfilled canceled returned refunded } } "
    "refund { id status amount { amount } }",
    "orderReturnRequest": "orderReturns { id status reason lines { quantity line { id } } }",
    "orderReturnReceive": "orderReturn { id status } refund { id status amount { amount } }",
    "orderReturnDecline": "orderReturn { id status }",
    "orderReturnCancel": "orderReturn { id status }",
    "paymentMethodRemove": "paymentMethod { id lastFour }",
}


@dataclass
class Shop:
    """A world in which nothing happens by itself: no worker, no webhooks."""

    world: World
    creator: str
    inactive: str
    product: str
    sold_out: str
    archived: str
    payment: str
    guest_payment: str
    guest_token: str
    variant: str
    location: str
    attic: str

    @property
    def owner(self) -> Client:
        """The creator of everything here."""
        return self.world.client("fable")

    @property
    def supporter(self) -> Client:
        """Who pays ``payment``."""
        return self.world.client("supporter")

    @property
    def stranger(self) -> Client:
        """Somebody signed in with every scope, who has to do with none of it."""
        return self.world.client("stranger")

    @property
    def guest(self) -> Client:
        """Who holds the token of ``guest_payment``."""
        return self.world.client_with(self.guest_token)

    @property
    def nobody(self) -> Client:
        return self.world.client()


@asynccontextmanager
async def open_shop(lease: Lease, template: str) -> AsyncIterator[Shop]:
    """Run a shop on a database of its own, and prove its books at the end."""
    async with fresh_database(lease, template) as dsn:
        async with running_world(
            dsn, worker=False, deliveries=False, cors_origins=("https://front.test",)
        ) as world:
            yield await _furnished(world)
        await assert_books_are_sound(dsn)


async def _furnished(world: World) -> Shop:
    await world.client("stranger").run("{ me { id } }")
    creator = await world.creator("fable")
    inactive = await world.creator("asleep")
    await do(world.client("asleep"), "creatorUpdate", creatorId=inactive, active=False)
    archived = await world.product("fable", creator)
    await do(world.client("fable"), "productArchive", productId=archived)
    guest = await world.tip(world.client(), creator)
    product = await world.product("fable", creator, stock=1_000)
    level = await world.engine.database.reader.fetchrow(
        "select s.* from stock_levels s join product_variants v on v.id = s.variant_id where v.product_id = $1",
        world.key(Noun.PRODUCT, product),
    )
    assert level is not None
    attic = await do(world.client("fable"), "stockLocationCreate", creatorId=creator, name="The attic")
    return Shop(
        world=world,
        creator=creator,
        inactive=inactive,
        product=product,
        sold_out=await world.product("fable", creator, stock=0),
        archived=archived,
        payment=(await world.tip(world.client("supporter"), creator))["payment"]["id"],
        guest_payment=guest["payment"]["id"],
        guest_token=guest["paymentToken"],
        variant=ids.encode(Noun.VARIANT, level["variant_id"]),
        location=ids.encode(Noun.STOCK_LOCATION, level["location_id"]),
        attic=attic["location"]["id"],
    )


_DELIVER = """
    update sandbox.event set delivered_at = created_at, next_attempt_at = null where delivered_at is null
    returning id, body::text as body
"""


async def settle(world: World) -> None:
    """Bring what the sandbox has to tell to the server by hand, and settle it."""
    key = signing_keys(world.settings.webhook_secrets)[0]
    for row in await world.engine.database.writer.fetch(_DELIVER):
        headers = sign(key, row["id"], row["body"], wall())
        await webhooks.receive(world.engine, headers, row["body"].encode())
    while await webhooks.process(world.engine):
        pass


async def a_while_passes(world: World) -> None:
    """Let the sandbox do now what it would have done after a few seconds, and settle what it tells."""
    writer = world.engine.database.writer
    await writer.execute(
        "update sandbox.agenda set due_at = sandbox.now() "
        "where done_at is null and due_at < sandbox.now() + interval '1 hour'"
    )
    await SandboxControl(writer).run_due()
    await settle(world)


async def pay(client: Client, payment: str, world: World) -> None:
    """Confirm a payment and settle it."""
    await do(client, "paymentConfirm", paymentId=payment, method="tok_success")
    await settle(world)
    assert await world.status(payment) == "SUCCEEDED"


def document(mutation: str) -> str:
    """Return a mutation that takes its whole input as a variable."""
    kind = f"{mutation[0].upper()}{mutation[1:]}Input"
    return f"mutation ($input: {kind}!) {{ {mutation}(input: $input) {{ {_PAYLOADS[mutation]} {ERRORS} }} }}"


async def ask(client: Client, mutation: str, **given: Any) -> dict[str, Any]:
    """Send a mutation, under a key of its own unless given one; return its payload."""
    variables = {"idempotencyKey": str(uuid7()), **given}
    payload: dict[str, Any] = (await client.run(document(mutation), input=variables))[mutation]
    return payload


async def do(client: Client, mutation: str, **given: Any) -> dict[str, Any]:
    """Send a mutation that is bound to succeed."""
    payload = await ask(client, mutation, **given)
    assert payload["errors"] == []
    return payload


def usd(amount: str) -> dict[str, str]:
    return {"amount": amount, "currency": "USD"}


def nothing_of(noun: Noun) -> str:
    """Return a well-formed id that nothing has."""
    return ids.encode(noun, uuid7())


@asynccontextmanager
async def unchanged(world: World, *, requests: int = 0, users: int = 0) -> AsyncIterator[None]:
    """Assert that nothing is written meanwhile, but for refusals stored under their keys and new users."""
    expected = await _written(world)
    expected["requests"] += requests
    expected["users"] += users
    yield  # ruff: ignore[fallible-context-manager] - a failure meanwhile says enough
    assert await _written(world) == expected


async def _written(world: World) -> dict[str, Any]:
    stock = await world.scalar("select coalesce(sum(on_hand - reserved), 0) from stock_levels")
    settled = await world.scalar("select string_agg(status, ' ' order by id) from payments")
    attempts = await world.scalar("select count(*) from payments where attempt_id is not null")
    return {
        **await world.counts(),
        "requests": await world.count("requests"),
        "users": await world.count("users"),
        "sandbox payments": await world.count("sandbox.payment"),
        "sandbox events": await world.count("sandbox.event"),
        "stock": stock,
        "statuses": settled,
        "attempts": attempts,
        "refunds": await world.scalar("select string_agg(status, ' ' order by id) from refunds"),
        "sandbox refunds": await world.count("sandbox.refund"),
        "given back": await world.scalar("select sum(refunded + refund_pending + returned_net) from payments"),
        "disputes": await world.scalar("select string_agg(d::text, ' ' order by id) from disputes d"),
        "files of variants": await world.scalar(
            "select string_agg(f::text, ' ' order by id) from variant_files f"
        ),
        "licence keys": await world.scalar("select string_agg(k::text, ' ' order by id) from licence_keys k"),
        "activations": await world.scalar(
            "select string_agg(a::text, ' ' order by id) from licence_activations a"
        ),
        "methods": await world.scalar("select string_agg(m::text, ' ' order by id) from payment_methods m"),
        "shipping zones": await world.scalar("select string_agg(z::text, ' ' order by id) from shipping_zones z"),
        "shipping methods": await world.scalar(
            "select string_agg(m::text, ' ' order by id) from shipping_methods m"
        ),
        "shipping rates": await world.scalar("select string_agg(r::text, ' ' order by id) from shipping_rates r"),
        "discounts": await world.scalar("select string_agg(d::text, ' ' order by id) from discounts d"),
    }


def refused(payload: Mapping[str, Any], code: str, *path: str, says: str) -> None:
    """Assert that a payload holds one refusal and no objects."""
    assert len(payload["errors"]) == 1
    error = payload["errors"][0]
    assert (error["code"], error["path"], error["message"]) == (code, ["input", *path] if path else None, says)
    assert all(value is None for name, value in payload.items() if name != "errors")


def refused_as_a_whole(answer: Mapping[str, Any], code: str) -> dict[str, Any]:
    """Assert that an operation was answered by one error and no data; return the error."""
    assert answer.get("data") is None
    assert len(answer["errors"]) == 1
    error: dict[str, Any] = answer["errors"][0]
    assert error["extensions"]["code"] == code
    return error
