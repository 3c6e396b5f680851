"""localstripe's objects, told as Stripe does: read, remembered, expanded and listed."""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Final

import httpx

from tests.localstripe import shapes
from tests.localstripe.shapes import Body

Params = dict[str, str]

KINDS: Final = {
    "pi_": "payment_intents",
    "ch_": "charges",
    "re_": "refunds",
    "txn_": "balance_transactions",
    "cus_": "customers",
    "pm_": "payment_methods",
}
_SHAPES: Final = {
    "payment_intent": shapes.intent,
    "charge": shapes.charge,
    "refund": shapes.refund,
    "balance_transaction": shapes.balance_transaction,
}


class Refused(Exception):  # ruff: ignore[error-suffix-on-exception-name] - as in the services
    """A request that is answered with an error of the API."""

    def __init__(self, status: int, body: Body) -> None:
        self.status, self.body = status, body
        super().__init__(body)


@dataclass
class Objects:
    """What localstripe has. ``url`` is where payers are sent for 3-D Secure."""

    localstripe: httpx.AsyncClient
    url: str
    known: dict[str, Body] = field(default_factory=lambda: defaultdict(dict))
    """By id, what localstripe does not keep of an object."""
    metadata: dict[str, Body] = field(default_factory=dict)
    """By payment, what its charges are told with as well."""

    async def call(self, method: str, path: str, data: Params | None = None, json: Body | None = None) -> Body:
        """Ask localstripe. Raises ``Refused``."""
        answer = await self.localstripe.request(method, path, data=data, json=json)
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise Refused(
                404, shapes.problem("invalid_request_error", f"No such object: {path}", "resource_missing")
            )
        if answer.is_error:
            raise Refused(answer.status_code, answer.json())
        found: Body = answer.json()
        return found

    def shape(self, found: Mapping[str, Any]) -> Body:
        """Return an object of localstripe's as Stripe tells it."""
        shaped = _SHAPES.get(found["object"], dict)(found) | self.known.get(found["id"], {})
        shaped.pop("return_url", None)
        if found["object"] == "charge":
            shaped["metadata"] = self.metadata[found["payment_intent"]]
        if shaped.get("next_action"):
            shaped["next_action"]["redirect_to_url"] = {
                "url": f"{self.url}/authenticate/{found['id']}",
                "return_url": self.known[found["id"]].get("return_url"),
            }
        return shaped

    async def retrieve(self, reference: str) -> Body:
        """Return an object by its id. Raises ``Refused``."""
        kind = next((kind for prefix, kind in KINDS.items() if reference.startswith(prefix)), "charges")
        return self.shape(await self.call("GET", f"/v1/{kind}/{reference}"))

    async def expand(self, body: Body, paths: Sequence[str]) -> Body:
        """Return an object with what its references lead to in their place."""
        expanded = dict(body)
        for path in paths:
            name, _, rest = path.partition(".")
            deeper = [rest] if rest else []
            if name == "data":
                expanded["data"] = [await self.expand(each, deeper) for each in expanded["data"]]
                continue
            found = expanded.get(name)
            if name == "refunds":
                made = [each for each in await self.all_of("refunds") if each["charge"] == body["id"]]
                found = found or shapes.page(f"/v1/charges/{body['id']}/refunds", made[::-1])
            elif isinstance(found, str):
                found = await self.retrieve(found)
            expanded[name] = await self.expand(found, deeper) if found else found
        return expanded

    async def all_of(self, kind: str) -> list[Body]:
        """Return every object of a kind."""
        found: list[Body] = []
        after = ""
        while True:
            page = await self.call("GET", f"/v1/{kind}?limit=100{after}")
            found += map(self.shape, page["data"])
            if not page["has_more"]:
                return found
            after = f"&starting_after={found[-1]['id']}"


def paged(url: str, found: Sequence[Body], params: Params) -> Body:
    """Return a page of objects, newest first, of those that the parameters ask for."""
    rest = dict(params)
    limit, after = int(rest.pop("limit", 10)), rest.pop("starting_after", None)
    begin, end = int(rest.pop("created[gte]", 0)), int(rest.pop("created[lte]", time.time() + 60))
    chosen = [
        each
        for each in sorted(found, key=itemgetter("created"), reverse=True)
        if begin <= each["created"] <= end and all(each.get(name) == value for name, value in rest.items())
    ]
    if after is not None:
        chosen = chosen[[each["id"] for each in chosen].index(after) + 1 :]
    return shapes.page(url, chosen[:limit], more=len(chosen) > limit)
