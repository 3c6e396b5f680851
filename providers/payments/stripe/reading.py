"""What is read of Stripe: objects by their ids, and lists to their ends."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from providers.payments.base import BalanceEntry, ProviderError, ProviderErrorCode, Subject
from providers.payments.stripe import references
from providers.payments.stripe.client import Answer, Client
from providers.payments.stripe.errors import readable
from providers.payments.stripe.objects import fields
from providers.payments.stripe.objects.accounts import INCLUDED
from providers.payments.stripe.objects.books import balance_entry, unclear
from providers.payments.stripe.objects.fields import Source

PAGE: Final = 100
LINES_OF_A_REFUND: Final = ("balance_transaction", "failure_balance_transaction")
"""The lines of the books that a refund names, to be told with it."""
LINE_OF_A_FAILED_PAYOUT: Final = "failure_balance_transaction"

_Call = Callable[..., Awaitable[Any]]


async def payment(client: Client, intent: str) -> Answer:
    """Read a payment intent with its charge, that one's line in the books, and its refunds with theirs."""
    expanded = [
        "latest_charge.balance_transaction",
        *(f"latest_charge.refunds.data.{line}" for line in LINES_OF_A_REFUND),
    ]
    return await client.ask(client.stripe.v1.payment_intents.retrieve_async, intent, params={"expand": expanded})


async def account(client: Client, name: str) -> Answer:
    """Read a connected account. Errors: NOT_FOUND, also of one that is not, or no more, connected to us."""
    try:
        told = {"include": list(INCLUDED)}
        return await client.ask(client.stripe.v2.core.accounts.retrieve_async, name, params=told)
    except ProviderError as error:
        if error.code is ProviderErrorCode.ACCOUNT_NOT_READY:
            raise references.not_found(Subject.ACCOUNT.value.lower()) from error
        raise


async def transfer(client: Client, name: str) -> Answer:
    """Read a transfer with its reversals."""
    return await client.ask(client.stripe.v1.transfers.retrieve_async, name)


async def entry(client: Client, name: str) -> BalanceEntry:
    """Read a line of the books."""
    retrieve = client.stripe.v1.balance_transactions.retrieve_async
    answer = await client.ask(retrieve, name, params={"expand": ["source"]})
    return await completed(client, answer.body, {})


async def completed(client: Client, line: Source, known: dict[str, Source]) -> BalanceEntry:
    """Return a line of the books as an entry, once it is read whose payment or transfer it is about.

    ``known`` keeps what was read, by its id: a payment has several lines at times.
    """
    with readable(writes=False):
        asked = unclear(line)
        source = fields.inner_or_none(line, "source") or {}
    if asked is not None:
        name, one = asked
        if one not in known:
            v1 = client.stripe.v1
            call = v1.payment_intents.retrieve_async if name == "payment_intent" else v1.transfers.retrieve_async
            known[one] = (await client.ask(call, one)).body
        line = {**line, "source": {**source, name: known[one]}}
    with readable(writes=False):
        return balance_entry(line)


async def every(
    client: Client, call: _Call, params: Mapping[str, Any], *, account: str | None = None
) -> AsyncIterator[tuple[Source, datetime]]:
    """Yield all objects of a list of version 1, newest first, each with when it was told."""
    after: dict[str, str] = {}
    while True:
        answer = await client.ask(call, params={**params, "limit": PAGE, **after}, account=account)
        with readable(writes=False):
            objects = fields.items(answer.body)
            after = {"starting_after": fields.text(objects[-1], "id")} if objects else {}
        for each in objects:
            yield each, answer.at
        if not objects or answer.body.get("has_more") is not True:
            return


async def every_v2(
    client: Client, service: Any, params: Mapping[str, Any]
) -> AsyncIterator[tuple[Source, datetime]]:
    """Yield all objects of a list of version 2, in its order, each with when it was told."""
    answer = await client.ask(service.list_async, params={**params, "limit": PAGE})
    while True:
        with readable(writes=False):
            objects = fields.items(answer.body)
            following = fields.text_or_none(answer.body, "next_page_url")
            if following is not None and not urlsplit(following).path.startswith("/v2/"):
                raise ValueError("next_page_url")
        for each in objects:
            yield each, answer.at
        if following is None:
            return
        answer = await client.ask(_page(service, following))


def _page(service: Any, address: str) -> _Call:
    """Return the call for a further page: the SDK follows such addresses only in an iteration of its own."""

    async def ask(*, params: Mapping[str, Any], options: Mapping[str, Any]) -> Any:  # ruff: ignore[unused-function-argument] - the address holds them
        return await service._request_async("get", address, base_address="api", options=options)  # ruff: ignore[private-member-access] - has no public door

    return ask
