"""Charges: what was taken from a card, or reserved on it, and what Stripe kept of it."""

from stripe import ChargeService

from .books import enter
from .calls import Call, answers, page
from .cards import Card
from .payment_methods import card_of
from .refusals import Body
from .store import Store

_DAY = 24 * 3600
_AUTHORISED_FOR = 7 * _DAY


def make(store: Store, intent: Body, method: Body) -> Body:
    """Return the charge of one attempt at a payment: it succeeded unless its card declines."""
    card = card_of(store, method)
    reserved = intent["capture_method"] == "manual"
    paid = card.code is None
    charge = {
        "id": store.new_id("ch"),
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": 0,
        "amount_refunded": 0,
        "balance_transaction": None,
        "billing_details": method["billing_details"],
        "captured": False,
        "created": store.clock.now,
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": card.code,
        "failure_message": None if paid else "Your card was declined.",
        "fraud_details": {},
        "livemode": False,
        "metadata": dict(intent["metadata"]),
        "outcome": _outcome(card),
        "paid": paid,
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": {"type": "card", "card": _details(store, method, reserved=reserved and paid)},
        "receipt_url": None,
        "refunded": False,
        "status": "succeeded" if paid else "failed",
        "transfer_group": intent["transfer_group"],
    }
    return store.add(charge, card=card)


def _outcome(card: Card) -> Body:
    if card.code is None:
        return {
            "network_status": "approved_by_network",
            "reason": None,
            "risk_level": "normal",
            "seller_message": "Payment complete.",
            "type": "authorized",
        }
    return {
        "network_status": "declined_by_network",
        "reason": card.decline_code or card.code,
        "risk_level": "normal",
        "seller_message": "The bank did not return any further details with this decline.",
        "type": "issuer_declined",
    }


def _details(store: Store, method: Body, *, reserved: bool) -> Body:
    card = method["card"]
    details = {name: card[name] for name in ("brand", "country", "exp_month", "exp_year", "funding", "last4")}
    if reserved:
        details["capture_before"] = store.clock.now + _AUTHORISED_FOR
    return details


def capture(store: Store, charge: Body, amount: int, *, fee_later: bool) -> None:
    """Take an amount of what a charge reserved. ``fee_later``: its line in the books is told after the answer."""
    charge |= {"captured": True, "amount_captured": amount}
    charge["payment_method_details"]["card"].pop("capture_before", None)
    if not fee_later:
        settle(store, charge)
    elif not store.settings.fees_held_back:
        store.after_answer.append(lambda: settle_and_tell(store, charge))


def settle(store: Store, charge: Body) -> None:
    """Write the line of a charge in the books, and what it cost."""
    settings = store.settings
    amount = charge["amount_captured"]
    fee = (amount * settings.fee_per_mille + 500) // 1000 + settings.fee_fixed
    gross = charge["amount"] if settings.captures_in_two_lines else amount
    line = enter(store, "charge", gross, charge, category="charge", fee=fee, settles_after=settings.settles_after)
    charge["balance_transaction"] = line["id"]


def settle_and_tell(store: Store, charge: Body) -> None:
    if charge["balance_transaction"] is None:
        settle(store, charge)
        store.tell("charge.updated", charge)


@answers(ChargeService.retrieve_async)
def retrieve(call: Call) -> Body:
    return call.get("charge")


@answers(
    ChargeService.list_async,
    "created",
    "ending_before",
    "limit",
    "payment_intent",
    "starting_after",
    "transfer_group",
)
def list_charges(call: Call) -> Body:
    wanted = {name: call.params[name] for name in ("payment_intent", "transfer_group") if name in call.params}
    return page(
        call,
        (
            charge
            for charge in call.store.all("charge", call.account)
            if all(charge[name] == value for name, value in wanted.items())
        ),
    )
