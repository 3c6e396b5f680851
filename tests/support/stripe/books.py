"""The books of the platform and of each connected account: lines, and balances made of them."""

from stripe import BalanceService, BalanceTransactionService

from .calls import Call, answers, page
from .refusals import Body, Refused
from .store import Store


def enter(
    store: Store,
    kind: str,
    amount: int,
    source: Body,
    *,
    category: str,
    fee: int = 0,
    account: str | None = None,
    description: str | None = None,
    settles_after: int = 0,
) -> Body:
    """Write a line of an account's books: what came in is positive.

    In a currency that the platform has no balance in, Stripe converts all of it.
    """
    currency, rate = source["currency"], None
    if account is None and currency in store.settings.settles_in:
        currency, per_cent = store.settings.settles_in[currency]
        amount, fee, rate = (amount * per_cent) // 100, (fee * per_cent) // 100, per_cent / 100
    detail = {"amount": fee, "application": None, "currency": currency, "type": "stripe_fee"}
    line = {
        "id": store.new_id("txn"),
        "object": "balance_transaction",
        "amount": amount,
        "available_on": store.clock.now + settles_after,
        "balance_type": "payments",
        "created": store.clock.now,
        "currency": currency,
        "description": description,
        "exchange_rate": rate,
        "fee": fee,
        "fee_details": [detail | {"description": "Processing fees"}] if fee else [],
        "net": amount - fee,
        "reporting_category": category,
        "source": source["id"],
        "status": "pending",
        "type": kind,
    }
    return store.add(line, account)


def view_line(store: Store, told: Body) -> None:
    told["status"] = "available" if told["available_on"] <= store.clock.now else "pending"


def balance(store: Store, account: str | None, *, pending: bool) -> dict[str, int]:
    """Return what an account holds by currency, of what is there or of what is not there yet."""
    held: dict[str, int] = {}
    for line in store.all("balance_transaction", account):
        waits = line["available_on"] > store.clock.now
        held[line["currency"]] = held.get(line["currency"], 0) + (line["net"] if waits is pending else 0)
    return held


def require(store: Store, account: str | None, amount: int, currency: str, message: str) -> None:
    """Refuse what an account has not."""
    if balance(store, account, pending=False).get(currency, 0) < amount:
        raise Refused(message, code="balance_insufficient")


@answers(BalanceService.retrieve_async)
def retrieve_balance(call: Call) -> Body:
    def held(*, pending: bool) -> list[Body]:
        amounts = balance(call.store, call.account, pending=pending) or {"usd": 0}
        return [
            {"amount": amount, "currency": currency, "source_types": {"card": amount}}
            for currency, amount in sorted(amounts.items())
        ]

    return {
        "object": "balance",
        "available": held(pending=False),
        "livemode": False,
        "pending": held(pending=True),
    }


@answers(BalanceTransactionService.retrieve_async)
def retrieve(call: Call) -> Body:
    return call.get("balance_transaction")


@answers(
    BalanceTransactionService.list_async,
    "created", "currency", "ending_before", "limit", "source", "starting_after", "type",
)  # fmt: skip
def list_lines(call: Call) -> Body:
    wanted = {name: call.params[name] for name in ("currency", "source", "type") if name in call.params}
    return page(
        call,
        (
            line
            for line in call.store.all("balance_transaction", call.account)
            if all(line[name] == value for name, value in wanted.items())
        ),
    )
