"""PaymentIntents: created, confirmed, authenticated, captured, cancelled."""

from typing import Final

from stripe import PaymentIntentService

from . import charges
from .books import enter
from .calls import Call, answers, page
from .disputes import open_dispute
from .payment_methods import card_of, resolve, resolve_token
from .refunds import record
from .refusals import Body, Refused, invalid, malformed
from .store import Store

_LIMITS: Final = {"usd": (50, 99_999_999), "eur": (50, 99_999_999), "jpy": (50, 9_999_999_999)}
_OPEN = frozenset({"requires_payment_method", "requires_confirmation", "requires_action"})
_CANCELABLE = _OPEN | {"requires_capture"}


@answers(
    PaymentIntentService.create_async,
    "amount", "automatic_payment_methods", "capture_method", "currency", "customer", "description", "metadata",
    "transfer_group",
)  # fmt: skip
def create(call: Call) -> Body:
    amount, currency = call.params["amount"], call.params["currency"]
    if currency != currency.lower() or len(currency) != 3:
        raise malformed(f"Invalid currency: {currency}.", "currency", None)
    smallest, largest = _LIMITS.get(currency, (1, 99_999_999))
    if amount < smallest:
        raise invalid(f"Amount must be at least {smallest} {currency}", "amount", "amount_too_small")
    if amount > largest:
        raise invalid(f"Amount must be no more than {largest} {currency}", "amount", "amount_too_large")
    if (customer := call.params.get("customer")) is not None:
        call.store.get("customer", customer, call.account, "customer")
    reference = call.store.new_id("pi")
    chosen = call.params.get("automatic_payment_methods")
    intent = {
        "id": reference,
        "object": "payment_intent",
        "amount": amount,
        "amount_capturable": 0,
        "amount_received": 0,
        "automatic_payment_methods": None if chosen is None else {"allow_redirects": "always", **chosen},
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": call.params.get("capture_method", "automatic_async"),
        "client_secret": f"{reference}_secret_{reference[-8:]}",
        "confirmation_method": "automatic",
        "created": call.now,
        "currency": currency,
        "customer": customer,
        "description": call.params.get("description"),
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": call.params.get("metadata", {}),
        "next_action": None,
        "payment_method": None,
        "payment_method_types": ["card"],
        "processing": None,
        "status": "requires_payment_method",
        "transfer_group": call.params.get("transfer_group"),
    }
    call.store.add(intent, call.account)
    call.store.tell("payment_intent.created", intent)
    return intent


@answers(PaymentIntentService.retrieve_async)
def retrieve(call: Call) -> Body:
    return call.get("payment_intent")


@answers(PaymentIntentService.list_async, "created", "customer", "ending_before", "limit", "starting_after")
def list_intents(call: Call) -> Body:
    customer = call.params.get("customer")
    return page(
        call,
        (
            intent
            for intent in call.store.all("payment_intent", call.account)
            if customer in {None, intent["customer"]}
        ),
    )


@answers(PaymentIntentService.update_async, "customer", "description", "metadata")
def update(call: Call) -> Body:
    intent = call.get("payment_intent")
    if "customer" in call.params:
        call.store.get("customer", call.params["customer"], call.account, "customer")
        if intent["status"] not in _OPEN:
            raise _conflict(call.store, intent, "update")
        if intent["customer"] not in {None, call.params["customer"]}:
            raise invalid("You cannot modify the customer of a PaymentIntent that has one.", "customer")
        intent["customer"] = call.params["customer"]
    intent["description"] = call.params.get("description", intent["description"])
    intent["metadata"] |= call.params.get("metadata", {})
    return intent


@answers(
    PaymentIntentService.confirm_async,
    "payment_method", "confirmation_token", "return_url", "off_session",
)  # fmt: skip
def confirm(call: Call) -> Body:
    store, params = call.store, call.params
    intent = call.get("payment_intent")
    if intent["status"] not in _OPEN:
        raise _conflict(store, intent, "confirm")
    if "payment_method" in params and "confirmation_token" in params:
        raise malformed("Only one of these may be given.", "confirmation_token", "parameters_exclusive")
    if "confirmation_token" in params:
        method = resolve_token(store, params["confirmation_token"])
    elif "payment_method" in params:
        method = resolve(store, params["payment_method"], "payment_method")
    else:
        raise _conflict(store, intent, "confirm without a payment method")
    redirects = (intent["automatic_payment_methods"] or {}).get("allow_redirects") == "always"
    if redirects and "return_url" not in params:
        raise invalid(
            "This PaymentIntent is configured to accept payment methods enabled in your Dashboard. Because some of "
            "these payment methods might redirect your customer off of your page, you must provide a `return_url`.",
            None,
        )
    if method["customer"] not in {None, intent["customer"]}:
        raise invalid(
            "The payment method you provided belongs to another customer, or to one that the PaymentIntent lacks.",
            "payment_method",
        )
    if "confirmation_token" in params:
        store.rows[params["confirmation_token"]].body["payment_intent"] = intent["id"]
    card = card_of(store, method)
    if card.authenticates:
        if params.get("off_session"):
            raise _declined(store, intent, method, "authentication_required", "authentication_required")
        _ask_to_authenticate(store, intent, method, params.get("return_url"))
    else:
        _charge(store, intent, method)
    return intent


def _ask_to_authenticate(store: Store, intent: Body, method: Body, return_url: str | None) -> None:
    intent |= {
        "status": "requires_action",
        "payment_method": method["id"],
        "last_payment_error": None,
        "next_action": {
            "type": "redirect_to_url",
            "redirect_to_url": {
                "return_url": return_url,
                "url": f"https://hooks.stripe.example/redirect/{intent['id']}",
            },
        },
    }
    store.tell("payment_intent.requires_action", intent)


def authenticate(store: Store, intent: Body, *, succeeds: bool) -> None:
    """Let the owner of a card prove who they are, or fail to."""
    assert intent["status"] == "requires_action", intent["status"]
    method = store.rows[intent["payment_method"]].body
    intent["next_action"] = None
    if succeeds:
        _charge(store, intent, method)
        return
    error = {
        "code": "payment_intent_authentication_failure",
        "message": "The provided PaymentMethod has failed authentication.",
        "payment_method": store.view(method),
        "type": "invalid_request_error",
    }
    intent |= {"status": "requires_payment_method", "payment_method": None, "last_payment_error": error}
    store.tell("payment_intent.payment_failed", intent)


def _charge(store: Store, intent: Body, method: Body) -> None:
    card = card_of(store, method)
    if card.code is not None:
        raise _declined(store, intent, method, card.code, card.decline_code)
    charge = charges.make(store, intent, method)
    if method["customer"] is None:
        store.hidden(method["id"])["spent"] = True
    intent |= {
        "latest_charge": charge["id"],
        "last_payment_error": None,
        "next_action": None,
        "payment_method": method["id"],
    }
    if intent["capture_method"] == "manual":
        intent |= {"status": "requires_capture", "amount_capturable": intent["amount"]}
        lapses = charge["payment_method_details"]["card"]["capture_before"]
        store.clock.at(lapses, lambda: _lapse(store, intent))
        store.tell("charge.succeeded", charge)
        store.tell("payment_intent.amount_capturable_updated", intent)
        return
    charges.capture(store, charge, intent["amount"], fee_later=intent["capture_method"] == "automatic_async")
    _succeed(store, intent, intent["amount"])
    store.tell("charge.succeeded", charge)
    if card.disputed:
        store.after_answer.append(lambda: _dispute(store, charge))


def _dispute(store: Store, charge: Body) -> None:
    open_dispute(store, charge)


def _succeed(store: Store, intent: Body, amount: int) -> None:
    intent |= {"status": "succeeded", "amount_received": amount, "amount_capturable": 0}
    store.tell("payment_intent.succeeded", intent)


def _declined(store: Store, intent: Body, method: Body, code: str, decline_code: str | None) -> Refused:
    """Note that an attempt failed, and return how that is told."""
    charge = charges.make(store, intent, method)
    charge |= {
        "status": "failed",
        "paid": False,
        "failure_code": code,
        "failure_message": "Your card was declined.",
    }
    error = {
        "charge": charge["id"],
        "code": code,
        "message": "Your card was declined.",
        "payment_method": store.view(method),
        "type": "card_error",
    } | ({} if decline_code is None else {"decline_code": decline_code})
    intent |= {
        "status": "requires_payment_method",
        "payment_method": None,
        "latest_charge": charge["id"],
        "next_action": None,
        "last_payment_error": error,
    }
    store.tell("charge.failed", charge)
    store.tell("payment_intent.payment_failed", intent)
    return Refused(
        "Your card was declined.",
        status=402,
        kind="card_error",
        code=code,
        effect=True,
        charge=charge["id"],
        decline_code=decline_code,
        payment_intent=store.view(intent),
        payment_method=store.view(method),
    )


def _conflict(store: Store, intent: Body, what: str) -> Refused:
    return Refused(
        f"You cannot {what} this PaymentIntent because it has a status of {intent['status']}.",
        code="payment_intent_unexpected_state",
        payment_intent=store.view(intent),
    )


@answers(PaymentIntentService.capture_async, "amount_to_capture")
def capture(call: Call) -> Body:
    store = call.store
    intent = call.get("payment_intent")
    if intent["status"] != "requires_capture":
        raise _conflict(store, intent, "capture")
    amount: int = (
        call.params["amount_to_capture"] if "amount_to_capture" in call.params else intent["amount_capturable"]
    )
    if amount < 1:
        raise malformed("This value must be greater than or equal to 1.", "amount_to_capture", None)
    if amount > intent["amount_capturable"]:
        raise invalid(
            "The requested capture amount is greater than the amount you can capture for this charge.",
            "amount_to_capture",
            "amount_too_large",
        )
    charge = store.rows[intent["latest_charge"]].body
    charges.capture(store, charge, amount, fee_later=False)
    _let_go(store, charge, charge["amount"] - amount)
    _succeed(store, intent, amount)
    store.tell("charge.captured", charge)
    return intent


@answers(PaymentIntentService.cancel_async, "cancellation_reason")
def cancel(call: Call) -> Body:
    intent = call.get("payment_intent")
    if intent["status"] not in _CANCELABLE:
        raise _conflict(call.store, intent, "cancel")
    _close(call.store, intent, call.params.get("cancellation_reason"))
    return intent


def _close(store: Store, intent: Body, reason: str | None) -> None:
    if intent["status"] == "requires_capture":
        charge = store.rows[intent["latest_charge"]].body
        charge["payment_method_details"]["card"].pop("capture_before", None)
        _let_go(store, charge, charge["amount"])
    intent |= {
        "status": "canceled",
        "amount_capturable": 0,
        "canceled_at": store.clock.now,
        "cancellation_reason": reason,
        "next_action": None,
    }
    store.tell("payment_intent.canceled", intent)


def _let_go(store: Store, charge: Body, amount: int) -> None:
    """Let go of what was reserved, and tell of it as a refund that moved nothing, where this Stripe does."""
    if not (amount and store.settings.lets_go_by_refund):
        return
    charge |= {"amount_refunded": amount, "refunded": amount == charge["amount"]}
    line = None
    if charge["captured"] and store.settings.captures_in_two_lines:
        line = enter(store, "refund", -amount, charge, category="partial_capture_reversal")
    refund = record(store, charge, amount, line=line)
    if line is not None:
        line["source"] = refund["id"]
    store.tell("charge.refunded", charge)


def _lapse(store: Store, intent: Body) -> None:
    if intent["status"] == "requires_capture":
        _close(store, intent, "automatic")
        store.tell("charge.expired", store.rows[intent["latest_charge"]].body)
