"""Refunds: made, pending, failed after all."""

from stripe import RefundService

from .books import enter
from .calls import Call, answers, page, whole
from .refusals import Body, invalid, malformed
from .store import Store

_LATER = 3600


@answers(RefundService.create_async, "amount", "charge", "metadata", "payment_intent", "reason")
def create(call: Call) -> Body:
    store, params = call.store, call.params
    charge = _charge(call)
    left = charge["amount"] - charge["amount_refunded"]
    amount = params.get("amount", left)
    if amount < 1:
        raise malformed("This value must be greater than or equal to 1.", "amount", "parameter_invalid_integer")
    if charge["disputed"]:
        raise invalid("This charge has been disputed.", None, "charge_disputed")
    if left == 0:
        raise invalid(f"Charge {charge['id']} has already been refunded.", None, "charge_already_refunded")
    if amount > left:
        raise invalid(f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})", "amount")
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    behaviour = store.hidden(charge["id"])["card"].refund
    line = enter(store, "refund", -amount, charge, category="refund")
    refund = record(
        store,
        charge,
        amount,
        line=line,
        metadata=params.get("metadata", {}),
        reason=params.get("reason"),
        status="pending" if behaviour == "pending" else "succeeded",
    )
    line["source"] = refund["id"]
    if behaviour == "pending":
        store.clock.at(call.now + _LATER, lambda: _succeed(store, refund))
    if behaviour == "fails_later":
        store.clock.at(call.now + _LATER, lambda: fail(store, refund))
    store.tell("charge.refunded", charge)
    return refund


def record(
    store: Store,
    charge: Body,
    amount: int,
    *,
    line: Body | None,
    metadata: dict[str, str] | None = None,
    reason: str | None = None,
    status: str = "succeeded",
) -> Body:
    """Return a new refund of a charge; with no line of the books it moved nothing."""
    refund = {
        "id": store.new_id("re"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": None if line is None else line["id"],
        "charge": charge["id"],
        "created": store.clock.now,
        "currency": charge["currency"],
        "metadata": metadata or {},
        "payment_intent": charge["payment_intent"],
        "reason": reason,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": status,
        "transfer_reversal": None,
    }
    store.add(refund)
    store.tell("refund.created", refund)
    return refund


def _charge(call: Call) -> Body:
    store, params = call.store, call.params
    if ("charge" in params) == ("payment_intent" in params):
        raise malformed(
            "One of these params must be given: charge, payment_intent.", "charge", "parameter_missing"
        )
    if "charge" in params:
        return store.get("charge", params["charge"], call.account, "charge")
    intent = store.get("payment_intent", params["payment_intent"], call.account, "payment_intent")
    charge = store.rows.get(intent["latest_charge"] or "")
    if charge is None or not charge.body["captured"]:
        raise invalid(f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund.")
    return charge.body


def _succeed(store: Store, refund: Body) -> None:
    if refund["status"] == "pending":
        refund["status"] = "succeeded"
        store.tell("refund.updated", refund)


def fail(store: Store, refund: Body) -> None:
    """Let a refund fail, also one that succeeded: its money comes back."""
    if refund["status"] == "failed":
        return
    charge = store.rows[refund["charge"]].body
    line = enter(store, "refund_failure", refund["amount"], refund, category="refund_failure")
    refund |= {
        "status": "failed",
        "failure_reason": "expired_or_canceled_card",
        "failure_balance_transaction": line["id"],
    }
    charge["amount_refunded"] -= refund["amount"]
    charge["refunded"] = False
    store.tell("refund.updated", refund)
    store.tell("refund.failed", refund)


def refunds_of(store: Store, charge: Body) -> Body:
    """Return the list that a charge shows of its refunds when that is expanded."""
    found = (refund for refund in store.all("refund") if refund["charge"] == charge["id"])
    return whole(store, found, f"/v1/charges/{charge['id']}/refunds")


@answers(RefundService.retrieve_async)
def retrieve(call: Call) -> Body:
    return call.get("refund")


@answers(
    RefundService.list_async, "charge", "created", "ending_before", "limit", "payment_intent", "starting_after"
)
def list_refunds(call: Call) -> Body:
    wanted = {name: call.params[name] for name in ("charge", "payment_intent") if name in call.params}
    return page(
        call,
        (
            refund
            for refund in call.store.all("refund", call.account)
            if all(refund[name] == value for name, value in wanted.items())
        ),
    )
