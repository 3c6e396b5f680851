"""Transfers from the platform's balance to connected accounts, and back."""

from stripe import TransferReversalService, TransferService

from .accounts import is_ready
from .books import balance, enter, require
from .calls import Call, answers, page, whole
from .refusals import Body, Refused, invalid, malformed, missing
from .store import Store

_TOO_LITTLE = "You have insufficient available funds in your Stripe account."


@answers(
    TransferService.create_async, "amount", "currency", "description", "destination", "metadata", "transfer_group"
)
def create(call: Call) -> Body:
    store, params = call.store, call.params
    if "amount" not in params:
        raise malformed("Missing required param: amount.", "amount", "parameter_missing")
    amount, currency, destination = params["amount"], params["currency"], params["destination"]
    if amount < 1:
        raise malformed("This value must be greater than or equal to 1.", "amount", "parameter_invalid_integer")
    account = store.rows.get(destination)
    if account is None or account.body["object"] != "v2.core.account" or destination in store.revoked:
        raise missing("destination", destination, "destination")
    if not is_ready(account.body):
        raise invalid(
            "Your destination account needs to have at least one of the following capabilities enabled: transfers.",
            "destination",
            "insufficient_capabilities_for_transfer",
        )
    require(store, None, amount, currency, _TOO_LITTLE)
    transfer = {
        "id": store.new_id("tr"),
        "object": "transfer",
        "amount": amount,
        "amount_reversed": 0,
        "balance_transaction": None,
        "created": call.now,
        "currency": currency,
        "description": params.get("description"),
        "destination": destination,
        "destination_payment": store.new_id("py"),
        "livemode": False,
        "metadata": params.get("metadata", {}),
        "reversals": None,
        "reversed": False,
        "source_transaction": None,
        "source_type": "card",
        "transfer_group": params.get("transfer_group"),
    }
    store.add(transfer)
    transfer["balance_transaction"] = enter(store, "transfer", -amount, transfer, category="transfer")["id"]
    arrived = {"id": transfer["destination_payment"], "currency": currency}
    enter(store, "payment", amount, arrived, category="charge", account=destination)
    store.tell("transfer.created", transfer)
    return transfer


def view_transfer(store: Store, told: Body) -> None:
    found = (each for each in store.all("transfer_reversal") if each["transfer"] == told["id"])
    told["reversals"] = whole(store, found, f"/v1/transfers/{told['id']}/reversals")


@answers(TransferService.retrieve_async)
def retrieve(call: Call) -> Body:
    return call.get("transfer")


@answers(
    TransferService.list_async,
    "created",
    "destination",
    "ending_before",
    "limit",
    "starting_after",
    "transfer_group",
)
def list_transfers(call: Call) -> Body:
    wanted = {name: call.params[name] for name in ("destination", "transfer_group") if name in call.params}
    return page(
        call,
        (
            transfer
            for transfer in call.store.all("transfer", call.account)
            if all(transfer[name] == value for name, value in wanted.items())
        ),
    )


@answers(TransferReversalService.create_async, "amount", "description", "metadata")
def reverse(call: Call) -> Body:
    store = call.store
    transfer = call.get("transfer")
    left = transfer["amount"] - transfer["amount_reversed"]
    amount = call.params.get("amount", left)
    if left == 0:
        raise invalid(f"Transfer {transfer['id']} is already fully reversed.")
    if not 0 < amount <= left:
        raise invalid("This transfer has less left to be reversed.", "amount")
    destination, currency = transfer["destination"], transfer["currency"]
    if balance(store, destination, pending=False).get(currency, 0) < amount:
        raise Refused("Insufficient funds in the destination's balance.", code="balance_insufficient")
    reversal = {
        "id": store.new_id("trr"),
        "object": "transfer_reversal",
        "amount": amount,
        "balance_transaction": None,
        "created": call.now,
        "currency": currency,
        "destination_payment_refund": store.new_id("pyr"),
        "metadata": call.params.get("metadata", {}),
        "source_refund": None,
        "transfer": transfer["id"],
    }
    store.add(reversal)
    line = enter(store, "transfer_refund", amount, transfer, category="transfer_reversal")
    line["source"] = reversal["id"]
    reversal["balance_transaction"] = line["id"]
    gone = {"id": reversal["destination_payment_refund"], "currency": currency}
    enter(store, "payment_refund", -amount, gone, category="refund", account=destination)
    transfer["amount_reversed"] += amount
    transfer["reversed"] = transfer["amount_reversed"] == transfer["amount"]
    store.tell("transfer.reversed", transfer)
    return reversal


@answers(TransferReversalService.list_async, "ending_before", "limit", "starting_after")
def list_reversals(call: Call) -> Body:
    transfer = call.get("transfer")
    return page(call, (each for each in call.store.all("transfer_reversal") if each["transfer"] == transfer["id"]))
