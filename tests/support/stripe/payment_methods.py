"""Cards, and whose they are."""

from stripe import ConfirmationTokenService, CustomerService, PaymentMethodService

from .calls import Call, answers, page
from .cards import CARDS, Card
from .refusals import Body, Refused, invalid, missing
from .store import Store

_SPENT = (
    "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment, shared with a "
    "connected account without Customer attachment, or was detached from a Customer. It may not be used again."
)
_NOBODY = {"address": None, "email": None, "name": None, "phone": None, "tax_id": None}


def card_of(store: Store, method: Body) -> Card:
    return CARDS[store.hidden(method["id"])["card"]]


def make(store: Store, name: str) -> Body:
    """Return a new payment method of a test card."""
    card = CARDS[name]
    method = {
        "id": store.new_id("pm"),
        "object": "payment_method",
        "billing_details": dict(_NOBODY),
        "card": {
            "brand": card.brand,
            "checks": {
                "address_line1_check": None,
                "address_postal_code_check": None,
                "cvc_check": "pass",
            },
            "country": "US",
            "display_brand": card.brand,
            "exp_month": 12,
            "exp_year": card.exp_year,
            "fingerprint": f"stand-in{card.last4}",
            "funding": "credit",
            "last4": card.last4,
        },
        "created": store.clock.now,
        "customer": None,
        "livemode": False,
        "metadata": {},
        "type": "card",
    }
    return store.add(method, card=name, spent=False)


def make_token(store: Store, name: str) -> Body:
    """Return a confirmation token, as a browser would have made it of a test card."""
    token = {
        "id": store.new_id("ctoken"),
        "object": "confirmation_token",
        "created": store.clock.now,
        "expires_at": store.clock.now + 12 * 3600,
        "livemode": False,
        "payment_intent": None,
        "return_url": None,
        "setup_intent": None,
        "use_stripe_sdk": True,
    }
    return store.add(token, card=name)


def resolve(store: Store, reference: str, param: str) -> Body:
    """Return the method that is meant: of a test card's name a new one. Raises Refused."""
    if reference in CARDS:
        return make(store, reference)
    row = store.rows.get(reference)
    if row is None or row.body["object"] != "payment_method":
        raise missing("PaymentMethod", reference, param)
    if row.hidden["spent"]:
        raise invalid(_SPENT, param)
    return row.body


def resolve_token(store: Store, reference: str) -> Body:
    token = store.get("confirmation_token", reference, None, "confirmation_token")
    if token["payment_intent"] is not None:
        raise invalid("This ConfirmationToken was used already.", "confirmation_token", "token_already_used")
    return make(store, store.hidden(reference)["card"])


@answers(PaymentMethodService.retrieve_async)
def retrieve(call: Call) -> Body:
    return call.get("payment_method")


@answers(PaymentMethodService.list_async, "customer", "ending_before", "limit", "starting_after", "type")
def list_methods(call: Call) -> Body:
    customer = call.params.get("customer")
    return page(
        call, (each for each in call.store.all("payment_method", call.account) if each["customer"] == customer)
    )


@answers(PaymentMethodService.attach_async, "customer")
def attach(call: Call) -> Body:
    customer = call.store.get("customer", call.params["customer"], call.account, "customer")
    reference = call.ids[0]
    if reference not in CARDS and reference not in call.store.rows:
        raise missing("PaymentMethod", reference, None)
    method = resolve(call.store, reference, "payment_method")
    if method["customer"] is not None:
        raise invalid(
            "The payment method you provided has already been attached to a customer.",
            None,
            "payment_method_unexpected_state",
        )
    card = card_of(call.store, method)
    if card.code is not None and call.store.settings.declines_on_attach:
        raise Refused(
            "Your card was declined.",
            status=402,
            kind="card_error",
            code=card.code,
            decline_code=card.decline_code,
        )
    method["customer"] = customer["id"]
    call.store.tell("payment_method.attached", method)
    return method


@answers(PaymentMethodService.detach_async)
def detach(call: Call) -> Body:
    method = call.get("payment_method")
    if method["customer"] is None:
        raise invalid("The payment method you provided is not attached to a customer so detachment is impossible.")
    method["customer"] = None
    call.store.hidden(method["id"])["spent"] = True
    call.store.tell("payment_method.detached", method)
    return method


@answers(ConfirmationTokenService.retrieve_async)
def retrieve_token(call: Call) -> Body:
    return call.get("confirmation_token")


@answers(CustomerService.create_async, "metadata", "description", "name", "email")
def create_customer(call: Call) -> Body:
    customer = {
        "id": call.store.new_id("cus"),
        "object": "customer",
        "created": call.now,
        "currency": None,
        "default_source": None,
        "description": call.params.get("description"),
        "email": call.params.get("email"),
        "livemode": False,
        "metadata": call.params.get("metadata", {}),
        "name": call.params.get("name"),
    }
    call.store.add(customer, call.account)
    call.store.tell("customer.created", customer)
    return customer


@answers(CustomerService.retrieve_async)
def retrieve_customer(call: Call) -> Body:
    return call.get("customer")


@answers(CustomerService.list_async, "created", "email", "ending_before", "limit", "starting_after")
def list_customers(call: Call) -> Body:
    email = call.params.get("email")
    return page(
        call, (each for each in call.store.all("customer", call.account) if email in {None, each["email"]})
    )
