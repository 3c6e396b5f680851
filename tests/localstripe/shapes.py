"""localstripe's objects as Stripe would tell them in the version of the API that we speak. Pure: dict in, dict out.

References are ids here, never the objects themselves: ``Shim.expand`` puts in what was asked for.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

Body = dict[str, Any]

_LAPSES_AFTER: Final = timedelta(days=7)
_DECLINED: Final = {"type": "card_error", "decline_code": "generic_decline"}


def fee(amount: int) -> int:
    """Return what the provider keeps of a charge: 2.9 % and 30; localstripe keeps nothing."""
    return amount * 29 // 1000 + 30


def intent(found: Mapping[str, Any]) -> Body:
    """Return a payment intent."""
    kept = ("id", "object", "amount", "currency", "created", "livemode", "status", "customer", "payment_method")
    more = ("metadata", "client_secret", "capture_method", "next_action", "last_payment_error")
    status, amount = found["status"], found["amount"]
    body = {
        **{name: found[name] for name in kept + more},
        "amount_capturable": amount if status == "requires_capture" else 0,
        "amount_received": amount if status == "succeeded" else 0,
        "canceled_at": None,
        "latest_charge": _id(found["latest_charge"]),
        "payment_method_types": ["card"],
    }
    error = body["last_payment_error"]
    if error is not None and error["code"] == "card_declined":
        body["last_payment_error"] = {**error, **_DECLINED}
    elif error is not None:
        body["last_payment_error"] = {**error, "type": "invalid_request_error"}
    if body["next_action"] is not None:
        # Where the payer is sent; ``Shim`` knows the address.
        body["next_action"] = {"type": "redirect_to_url", "redirect_to_url": {"url": None, "return_url": None}}
    return body


def charge(found: Mapping[str, Any]) -> Body:
    """Return a charge."""
    kept = ("id", "object", "amount", "currency", "created", "livemode", "status", "customer", "payment_method")
    more = ("metadata", "payment_intent", "captured", "paid", "failure_code", "failure_message")
    taken = found["captured"] and found["status"] == "succeeded"
    reserved = None if found["captured"] else found["created"] + int(_LAPSES_AFTER.total_seconds())
    return {
        **{name: found[name] for name in kept + more},
        "amount_captured": found["amount"] if taken else 0,
        "amount_refunded": found["amount_refunded"],
        "refunded": found["refunded"],
        "balance_transaction": found["balance_transaction"],
        "disputed": False,
        "payment_method_details": {
            "type": "card",
            "card": {"capture_before": reserved} if reserved is not None else {},
        },
    }


def refund(found: Mapping[str, Any]) -> Body:
    """Return a refund."""
    kept = ("id", "object", "amount", "currency", "created", "status", "charge", "payment_intent", "metadata")
    return {**{name: found[name] for name in (*kept, "balance_transaction")}, "reason": None}


def balance_transaction(found: Mapping[str, Any]) -> Body:
    """Return a line of the books, with the fee that localstripe does not take."""
    kept = fee(found["amount"]) if found["type"] == "charge" else 0
    return {
        **found,
        "fee": kept,
        "net": found["amount"] - kept,
        "fee_details": [{"type": "stripe_fee", "amount": kept, "currency": found["currency"]}] if kept else [],
    }


def page(url: str, found: list[Body], *, more: bool = False) -> Body:
    """Return a list of objects."""
    return {"object": "list", "url": url, "data": found, "has_more": more}


def problem(kind: str, message: str, code: str | None = None, **more: Any) -> Body:
    """Return the body of a refusal."""
    return {"error": {"type": kind, "message": message, **({"code": code} if code else {}), **more}}


def declined(payment: Body) -> Body:
    """Return the body of a decline; localstripe's names no kind, no reason and no payment."""
    return {"error": {**payment["last_payment_error"], "payment_intent": payment}}


def _id(reference: Any) -> str | None:
    return reference["id"] if isinstance(reference, Mapping) else reference
