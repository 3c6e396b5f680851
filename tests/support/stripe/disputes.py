"""Disputes: opened by a cardholder, answered with evidence, won or lost."""

from stripe import DisputeService

from .books import enter
from .calls import Call, answers, page
from .refusals import Body, invalid
from .store import Store

_ANSWERED_WITHIN = 7 * 24 * 3600
_EVIDENCE = (
    "access_activity_log", "billing_address", "cancellation_policy", "cancellation_policy_disclosure",
    "cancellation_rebuttal", "customer_communication", "customer_email_address", "customer_name",
    "customer_purchase_ip", "customer_signature", "duplicate_charge_documentation", "duplicate_charge_explanation",
    "duplicate_charge_id", "product_description", "receipt", "refund_policy", "refund_policy_disclosure",
    "refund_refusal_explanation", "service_date", "service_documentation", "shipping_address", "shipping_carrier",
    "shipping_date", "shipping_documentation", "shipping_tracking_number", "uncategorized_file", "uncategorized_text",
)  # fmt: skip


def open_dispute(store: Store, charge: Body, *, reason: str = "fraudulent") -> Body:
    """Let a captured charge be disputed in full: its money is taken at once, and a fee with it."""
    dispute = {
        "id": store.new_id("du"),
        "object": "dispute",
        "amount": charge["amount_captured"],
        "balance_transactions": [],
        "charge": charge["id"],
        "created": store.clock.now,
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {"enhanced_evidence": {}} | dict.fromkeys(_EVIDENCE),
        "evidence_details": {
            "due_by": store.clock.now + _ANSWERED_WITHIN,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
            "submission_method": "not_submitted",
        },
        "is_charge_refundable": False,
        "livemode": False,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method_details": {
            "type": "card",
            "card": {"brand": "visa", "case_type": "chargeback", "network": "visa", "network_reason_code": "10.4"},
        },
        "reason": reason,
        "status": "needs_response",
    }
    store.add(dispute)
    charge["disputed"] = True
    store.tell("charge.dispute.created", dispute)
    _move(store, dispute, -dispute["amount"], fee=store.settings.dispute_fee, category="dispute")
    store.tell("charge.dispute.funds_withdrawn", dispute)
    store.clock.at(dispute["evidence_details"]["due_by"], lambda: _miss(store, dispute))
    return dispute


def _move(store: Store, dispute: Body, amount: int, *, fee: int, category: str) -> None:
    line = enter(store, "adjustment", amount, dispute, category=category, fee=fee)
    dispute["balance_transactions"].append(line["id"])


def view_dispute(store: Store, told: Body) -> None:
    """Show the lines of the books in full: they are a part of a dispute."""
    lines = [store.rows[line].body for line in told["balance_transactions"]]
    told["balance_transactions"] = [store.view(line) for line in lines]


def _miss(store: Store, dispute: Body) -> None:
    if dispute["status"] == "needs_response":
        dispute["evidence_details"]["past_due"] = True
        close(store, dispute, won=False)


def close(store: Store, dispute: Body, *, won: bool, fee_returned: int = 0) -> None:
    """Decide a dispute; one that was lost can still be won."""
    assert dispute["status"] in {"needs_response", "under_review", "lost"}, dispute["status"]
    dispute["status"] = "won" if won else "lost"
    if won:
        _move(store, dispute, dispute["amount"], fee=-fee_returned, category="dispute_reversal")
        store.tell("charge.dispute.funds_reinstated", dispute)
    store.tell("charge.dispute.closed", dispute)


@answers(DisputeService.retrieve_async)
def retrieve(call: Call) -> Body:
    return call.get("dispute")


@answers(
    DisputeService.list_async, "charge", "created", "ending_before", "limit", "payment_intent", "starting_after"
)
def list_disputes(call: Call) -> Body:
    wanted = {name: call.params[name] for name in ("charge", "payment_intent") if name in call.params}
    return page(
        call,
        (
            dispute
            for dispute in call.store.all("dispute", call.account)
            if all(dispute[name] == value for name, value in wanted.items())
        ),
    )


@answers(DisputeService.update_async, "evidence", "metadata", "submit")
def update(call: Call) -> Body:
    dispute = call.get("dispute")
    details = dispute["evidence_details"]
    evidence = call.params.get("evidence")
    # Evidence is submitted with it unless that is put off.
    submits = call.params.get("submit", evidence is not None)
    if dispute["status"] != "needs_response" and (evidence is not None or submits):
        raise invalid("This dispute is already closed, or its evidence was submitted.")
    dispute["metadata"] |= call.params.get("metadata", {})
    if evidence:
        dispute["evidence"] |= evidence
        details["has_evidence"] = True
    if submits:
        dispute["status"] = "under_review"
        details |= {"submission_count": 1, "submission_method": "manual"}
    call.store.tell("charge.dispute.updated", dispute)
    return dispute
