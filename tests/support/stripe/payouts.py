"""Payouts to banks: of connected accounts, by hand or by themselves, and of the platform."""

from stripe import PayoutService

from .accounts import is_ready
from .books import balance, enter, require
from .calls import Call, answers, page
from .refusals import Body, invalid, malformed
from .store import Store

_DAY = 24 * 3600
_TAKES = {"standard": 2 * _DAY, "instant": 1800}
_TOO_LITTLE = "You have insufficient funds in your Stripe account for this transfer."


@answers(PayoutService.create_async, "amount", "currency", "description", "metadata", "method")
def create(call: Call) -> Body:
    params = call.params
    if params["amount"] < 1:
        raise malformed("This value must be greater than or equal to 1.", "amount", "parameter_invalid_integer")
    if call.account is not None and not is_ready(call.store.rows[call.account].body):
        raise invalid("Your account cannot currently make payouts.", None, "payouts_not_allowed")
    require(call.store, call.account, params["amount"], params["currency"], _TOO_LITTLE)
    return start(
        call.store,
        call.account,
        params["amount"],
        params["currency"],
        method=params.get("method", "standard"),
        metadata=params.get("metadata", {}),
    )


def start(
    store: Store,
    account: str | None,
    amount: int,
    currency: str,
    *,
    method: str = "standard",
    metadata: dict[str, str] | None = None,
    automatic: bool = False,
) -> Body:
    """Take a payout from an account's balance; it is paid when its time comes, unless it fails before."""
    arrives = store.clock.now + _TAKES[method]
    payout = {
        "id": store.new_id("po"),
        "object": "payout",
        "amount": amount,
        "arrival_date": arrives,
        "automatic": automatic,
        "balance_transaction": None,
        "created": store.clock.now,
        "currency": currency,
        "description": None,
        "destination": store.new_id("ba"),
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "livemode": False,
        "metadata": metadata or {},
        "method": method,
        "original_payout": None,
        "reconciliation_status": "in_progress" if automatic else "not_applicable",
        "reversed_by": None,
        "source_type": "card",
        "statement_descriptor": None,
        "status": "pending",
        "type": "bank_account",
    }
    store.add(payout, account)
    line = enter(store, "payout", -amount, payout, category="payout", account=account)
    payout["balance_transaction"] = line["id"]
    store.clock.at(arrives, lambda: pay(store, payout))
    store.tell("payout.created", payout, account)
    return payout


def _account_of(store: Store, payout: Body) -> str | None:
    return store.rows[payout["id"]].account


def pay(store: Store, payout: Body) -> None:
    if payout["status"] in {"pending", "in_transit"}:
        payout["status"] = "paid"
        store.tell("payout.updated", payout, _account_of(store, payout))
        store.tell("payout.paid", payout, _account_of(store, payout))


def fail(store: Store, payout: Body) -> None:
    """Let a bank send a payout back, also one that it was said to have."""
    if payout["status"] == "failed":
        return
    account = _account_of(store, payout)
    line = enter(store, "payout_failure", payout["amount"], payout, category="payout_reversal", account=account)
    payout |= {
        "status": "failed",
        "failure_balance_transaction": line["id"],
        "failure_code": "account_closed",
        "failure_message": "The bank account has been closed.",
    }
    store.tell("payout.updated", payout, account)
    store.tell("payout.failed", payout, account)


def pay_out_by_themselves(store: Store) -> None:
    """Let accounts whose schedule was left to Stripe be paid out, as happens every day."""
    for account in list(store.all("v2.core.account")):
        if store.hidden(account["id"])["interval"] != "daily" or not is_ready(account):
            continue
        for currency, amount in balance(store, account["id"], pending=False).items():
            if amount > 0:
                start(store, account["id"], amount, currency, automatic=True)


@answers(PayoutService.retrieve_async)
def retrieve(call: Call) -> Body:
    return call.get("payout")


@answers(PayoutService.list_async, "created", "ending_before", "limit", "starting_after", "status")
def list_payouts(call: Call) -> Body:
    status = call.params.get("status")
    return page(
        call, (each for each in call.store.all("payout", call.account) if status in {None, each["status"]})
    )


@answers(PayoutService.cancel_async)
def cancel(call: Call) -> Body:
    payout = call.get("payout")
    if payout["status"] != "pending":
        raise invalid("Payouts can only be canceled while they are pending.")
    enter(call.store, "payout_cancel", payout["amount"], payout, category="payout_reversal", account=call.account)
    payout["status"] = "canceled"
    call.store.tell("payout.canceled", payout, call.account)
    return payout
