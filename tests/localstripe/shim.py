"""What stands between the Stripe adapter and localstripe, so that the adapter can stay as it is for Stripe.

What localstripe 1.15 does otherwise than Stripe, and what is done about it here:

| localstripe | here |
|---|---|
| listens on every address, writes all it knows into one file below /tmp | `loopback/sitecustomize.py` keeps both from happening |
| ignores idempotency keys | answers are kept by key: the same again is replayed, another request is refused |
| ignores Stripe-Version, tells events as of 2017-08-15 | another version than ours is refused; events are restamped |
| refuses `automatic_payment_methods`, `description`, `transfer_group`, `return_url`, a refund's `reason` | taken out of what is passed on; told again of the object where Stripe does |
| refuses `payment_method` when confirming | attached by an update before |
| cannot confirm again after a decline | the failed charge is taken off the payment before |
| makes a new object each time that `pm_card_visa` is named | named once, then by the id it was given |
| always expands `latest_charge` and cannot expand some others | objects are told by their ids, and expanded here |
| a charge has no metadata | that of its payment, as Stripe copies it |
| has no `amount_received`, `amount_capturable`, `capture_before`, `canceled_at`, `disputed` | derived from the status |
| a decline has neither kind nor reason nor payment; a conflict of state is a `Bad request` | `card_error`, `generic_decline`, the payment; `payment_intent_unexpected_state`, the payment |
| sends 3-D Secure to its own JavaScript | a page here, to which the payer is redirected |
| refunds more than was charged | refused |
| tells only `payment_intent.succeeded` and `.payment_failed`, once, after a second | passed on when their signature holds; the rest is told from here; signed anew and sent until it is taken |
| lists cannot be filtered by `created`, are oldest first or unordered | read to their end, filtered, ordered and paged here |
| takes no fees; its balance is 20.00 EUR for ever | 2.9 % + 0.30 of a charge; the sum of its lines |
| books a charge at once, where Stripe takes a moment | left so |
| charges a method that was detached | left so: we do not ask for it |
| captures a part by capturing all and refunding the rest | refused: left out of these tests |
| has no disputes, transfers, connected accounts or thin events, pays out what it never had | left out of these tests |
"""

import asyncio
import hmac
import json
import secrets
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from providers.payments.stripe import API_VERSION
from tests.localstripe import shapes
from tests.localstripe.objects import KINDS, Objects, Params, Refused, paged
from tests.localstripe.shapes import Body
from tests.localstripe.webhooks import Webhooks, signature

TOLD: Final = ("payment_intent.succeeded", "payment_intent.payment_failed")
"""The events that localstripe itself tells and that are of use here."""

_READ: Final = frozenset(KINDS.values())
_CONFIRMABLE: Final = ("requires_payment_method", "requires_confirmation", "requires_action")
_CANCELLABLE: Final = (*_CONFIRMABLE, "requires_capture")


@dataclass
class Shim:
    """Stripe, as far as localstripe is it. ``replays`` is how many requests were answered from what was kept.

    ``losing`` ends the path of the next request whose answer gets lost once it has been done.
    """

    objects: Objects
    webhooks: Webhooks
    replays: int = 0
    losing: str | None = None
    _answers: dict[str, tuple[object, int, Body]] = field(default_factory=dict)
    _locks: dict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    def application(self) -> Starlette:
        """Return it as a server."""
        return Starlette(
            routes=[
                Route("/webhooks", self._told, methods=["POST"]),
                Route("/authenticate/{intent}", self._authenticated),
                Route("/{path:path}", self._asked, methods=["GET", "POST", "DELETE"]),
            ]
        )

    # The API -----------------------------------------------------------------------------------------------

    async def _asked(self, request: Request) -> Response:
        sent = await request.body() if request.method == "POST" else request.url.query.encode()
        params = dict(parse_qsl(sent.decode(), keep_blank_values=True))
        headers = {"request-id": f"req_{secrets.token_hex(7)}"}
        if request.url.path == "/v2/core/events":
            return JSONResponse({"data": [], "next_page_url": None, "previous_page_url": None})
        if request.headers.get("stripe-version") != API_VERSION:
            body = shapes.problem("invalid_request_error", "This is another version of the API.")
            return JSONResponse(body, 400, headers)
        key = request.headers.get("idempotency-key")
        if key is None or request.method == "GET":
            status, body = await self._answered(request.method, request.url.path, params)
            return JSONResponse(body, status, headers)
        asked = (request.method, request.url.path, params)
        async with self._locks[key]:
            if key in self._answers:
                known, status, body = self._answers[key]
                if known != asked:
                    other = shapes.problem("idempotency_error", "This key was used for another request.")
                    return JSONResponse(other, 400, headers)
                self.replays += 1
                return JSONResponse(body, status, {**headers, "idempotent-replayed": "true"})
            status, body = await self._answered(*asked)
            self._answers[key] = (asked, status, body)
            if self.losing is not None and request.url.path.endswith(self.losing):
                self.losing = None
                return JSONResponse(shapes.problem("api_error", "Something went wrong."), 500, headers)
            return JSONResponse(body, status, headers)

    async def _answered(self, method: str, path: str, params: Params) -> tuple[int, Body]:
        given = {name: value for name, value in params.items() if not name.startswith("expand[")}
        wanted = [value for name, value in params.items() if name.startswith("expand[")]
        try:
            body = await self._done(method, path.removeprefix("/v1/").split("/"), given)
            return 200, await self.objects.expand(body, wanted)
        except Refused as refused:
            return refused.status, refused.body

    async def _done(self, method: str, parts: Sequence[str], given: Params) -> Body:
        match method, *parts:
            case "POST", "payment_intents":
                return await self._create(given)
            case "POST", "payment_intents", reference, "confirm":
                return await self._confirm(reference, given)
            case "POST", "payment_intents", reference, "capture":
                return await self._capture(reference, given)
            case "POST", "payment_intents", reference, "cancel":
                return await self._cancel(reference, given)
            case "POST", "refunds":
                return await self._refund(given)
            case "GET", "balance":
                return await self._balance()
            case "GET", "events":
                types = {given.pop(name) for name in list(given) if name.startswith("types[")}
                told = [event for event in self.webhooks.events if event["type"] in types]
                return paged("/v1/events", told, given)
            case "GET", "disputes":
                return paged("/v1/disputes", [], given)
            case "GET", kind if kind in _READ and kind != "payment_methods":
                return paged(f"/v1/{kind}", await self.objects.all_of(kind), given)
            case "GET", kind, reference if kind in _READ:
                return await self.objects.retrieve(reference)
            case "POST", "payment_methods", reference, "attach" | "detach":
                return await self.objects.call(
                    "POST", f"/v1/payment_methods/{await self._method(reference)}/{parts[2]}", given
                )
            case "POST", "customers" | "payment_intents", *_:
                return self.objects.shape(await self.objects.call("POST", f"/v1/{'/'.join(parts)}", given))
        raise Refused(404, shapes.problem("invalid_request_error", f"localstripe has no {method} {parts}."))

    async def _create(self, given: Params) -> Body:
        kept = {name: given.pop(name) for name in ("description", "transfer_group") if name in given}
        given = {name: value for name, value in given.items() if not name.startswith("automatic_payment_methods[")}
        made = await self.objects.call("POST", "/v1/payment_intents", given)
        self.objects.known[made["id"]] |= kept
        self.objects.metadata[made["id"]] = made["metadata"]
        return self.objects.shape(made)

    async def _confirm(self, reference: str, given: Params) -> Body:
        self.objects.known[reference]["return_url"] = given.pop("return_url", None)
        given.pop("off_session", None)
        await self._ensure(reference, _CONFIRMABLE)
        if method := given.pop("payment_method", None):
            # Only in JSON can be said that there is no charge.
            change = {"payment_method": await self._method(method), "latest_charge": None, "next_action": None}
            await self.objects.call("POST", f"/v1/payment_intents/{reference}", json=change)
        try:
            await self.objects.call("POST", f"/v1/payment_intents/{reference}/confirm", given)
        except Refused as refused:
            if refused.status != 402:
                raise
            raise Refused(402, shapes.declined(await self.objects.retrieve(reference))) from None
        return await self._reached(reference)

    async def _reached(self, reference: str) -> Body:
        """Return a payment that was tried, and tell what localstripe does not."""
        payment = await self.objects.retrieve(reference)
        told = {
            "requires_action": "payment_intent.requires_action",
            "requires_capture": "payment_intent.amount_capturable_updated",
        }
        if payment["status"] in told:
            self.webhooks.tell(told[payment["status"]], payment)
        return payment

    async def _capture(self, reference: str, given: Params) -> Body:
        payment = await self._ensure(reference, ("requires_capture",))
        if int(given.get("amount_to_capture", payment["amount"])) != payment["amount"]:
            raise Refused(400, shapes.problem("invalid_request_error", "localstripe cannot capture a part."))
        await self.objects.call("POST", f"/v1/payment_intents/{reference}/capture", given)
        return await self.objects.retrieve(reference)

    async def _cancel(self, reference: str, given: Params) -> Body:
        await self._ensure(reference, _CANCELLABLE)
        await self.objects.call("POST", f"/v1/payment_intents/{reference}/cancel", given)
        self.objects.known[reference]["canceled_at"] = int(time.time())
        payment = await self.objects.retrieve(reference)
        self.webhooks.tell("payment_intent.canceled", payment)
        return payment

    async def _refund(self, given: Params) -> Body:
        reason = given.pop("reason", None)
        payment = await self._ensure(given["payment_intent"], ("succeeded",))
        taken = await self.objects.retrieve(payment["latest_charge"])
        left = taken["amount"] - taken["amount_refunded"]
        if int(given.setdefault("amount", str(left))) > left or left == 0:
            code = None if left else "charge_already_refunded"
            raise Refused(400, shapes.problem("invalid_request_error", "There is less left to refund.", code))
        made = await self.objects.call("POST", "/v1/refunds", given)
        self.objects.known[made["id"]]["reason"] = reason
        self.webhooks.tell("refund.created", self.objects.shape(made))
        return self.objects.shape(made)

    async def _balance(self) -> Body:
        sums: dict[str, int] = defaultdict(int)
        for line in await self.objects.all_of("balance_transactions"):
            sums[line["currency"]] += line["net"]
        available = [{"amount": amount, "currency": currency} for currency, amount in sums.items()]
        return {"object": "balance", "livemode": False, "available": available, "pending": []}

    async def _ensure(self, reference: str, statuses: Sequence[str]) -> Body:
        payment = await self.objects.retrieve(reference)
        if payment["status"] not in statuses:
            message, code = f"The payment is {payment['status']}.", "payment_intent_unexpected_state"
            raise Refused(400, shapes.problem("invalid_request_error", message, code, payment_intent=payment))
        return payment

    async def _method(self, reference: str) -> str:
        """Return the id of a payment method: those that Stripe has for tests are made when they are named."""
        found = await self.objects.call("GET", f"/v1/payment_methods/{reference}")
        return str(found["id"])

    async def _told(self, request: Request) -> Response:
        """Take an event of localstripe's, believe it if it is signed, and pass it on in our version."""
        body = await request.body()
        event = json.loads(body)
        expected = signature(body, event["created"])
        if not hmac.compare_digest(request.headers.get("stripe-signature", ""), expected):
            return PlainTextResponse("This was not signed with the secret.\n", 400)
        payment = self.objects.shape(event["data"]["object"])
        self.webhooks.tell(event["type"], payment, event["id"], event["created"])
        if event["type"] == "payment_intent.succeeded":
            self.webhooks.tell("charge.updated", await self.objects.retrieve(payment["latest_charge"]))
        return PlainTextResponse("ok\n")

    async def _authenticated(self, request: Request) -> Response:
        """Let the payer authenticate, or fail to (``?outcome=failure``), and go back to where they came from."""
        reference = request.path_params["intent"]
        payment = await self.objects.retrieve(reference)
        success = request.query_params.get("outcome", "success") == "success"
        answer = {"client_secret": payment["client_secret"], "success": str(success).lower()}
        try:
            await self.objects.call("POST", f"/v1/payment_intents/{reference}/_authenticate", answer)
        except Refused as refused:
            if refused.status != 402:
                return JSONResponse(refused.body, refused.status)
        else:
            payment = await self._reached(reference)
            if not success:
                self.webhooks.tell("payment_intent.payment_failed", payment)
        return RedirectResponse(self.objects.known[reference]["return_url"], 303)
