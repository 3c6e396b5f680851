"""The shop that commerce is measured in: made-up shirts, who looks at them, and a guest who buys one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import orjson

from app.settings import Settings
from benchmarks.commerce_floor import DESCRIPTION, SIZES, handle, title
from benchmarks.load import Answer, Connections, post
from benchmarks.operations import WrongAnswerError
from core.scopes import PERSONAL_SCOPES

CHECKOUT_REQUESTS: Final = 3
PAGE: Final = 20

# The floor answers the very same text.
LIST: Final = """
query Shirts($first: Int!) {
  products(first: $first) {
    nodes {
      id title description price { amount currency }
      creator { id handle displayName }
      variants { id title choices sku available prices { amount currency } }
    }
    pageInfo { hasNextPage endCursor }
  }
}
"""
PRODUCT: Final = """
query Shirt($id: ID!) {
  product(id: $id) {
    id title description price { amount currency }
    creator { id handle displayName }
    variants { id title choices sku available prices { amount currency } }
  }
}
"""
_ERRORS: Final = "errors { __typename code message path }"
_CREATOR_CREATE: Final = f"""
mutation ($input: CreatorCreateInput!) {{ creatorCreate(input: $input) {{ creator {{ id }} {_ERRORS} }} }}
"""
_PRODUCT_CREATE: Final = f"""
mutation ($input: ProductCreateInput!) {{
  productCreate(input: $input) {{ product {{ id variants {{ id }} }} {_ERRORS} }}
}}
"""
_CART_CREATE: Final = f"""
mutation CartCreate($input: CartCreateInput!) {{
  cartCreate(input: $input) {{
    cart {{
      id total {{ amount currency }} tax {{ amount }}
      lines {{ quantity total {{ amount }} variant {{ id title }} }}
      problems {{ code message }}
    }}
    cartToken
    {_ERRORS}
  }}
}}
"""
_CHECKOUT_COMPLETE: Final = f"""
mutation CheckoutComplete($input: CheckoutCompleteInput!) {{
  checkoutComplete(input: $input) {{
    order {{ id status total {{ amount currency }} }}
    payment {{ id status }}
    paymentToken
    {_ERRORS}
  }}
}}
"""
_PAYMENT_CONFIRM: Final = f"""
mutation PaymentConfirm($input: PaymentConfirmInput!) {{
  paymentConfirm(input: $input) {{ payment {{ id status nextAction {{ type url }} }} {_ERRORS} }}
}}
"""
_ADDRESS: Final = {
    "name": "Ada Nobody",
    "line1": "Nirgendstraße 1",
    "city": "Berlin",
    "postalCode": "10115",
    "country": "DE",
}


@dataclass(frozen=True, slots=True)
class Shirt:
    """A product and its variants."""

    id: str
    variants: tuple[str, ...]


def list_request(path: str = "/graphql") -> bytes:
    """Return the request of a page of products."""
    return _request(LIST, {"first": PAGE}, path=path)


def product_request(shirt: Shirt) -> bytes:
    """Return the request of one product."""
    return _request(PRODUCT, {"id": shirt.id})


def ensure_page(answer: Answer) -> dict[str, Any]:
    """Return an answered page, which has to be whole. Raises ``WrongAnswerError``."""
    page: dict[str, Any] = _data(answer)["products"]
    nodes = page["nodes"]
    whole = len(nodes) == PAGE and all(
        len(node["variants"]) == len(SIZES)
        and all(one["prices"] and (one["available"] or 0) > 0 for one in node["variants"])
        and node["creator"]["handle"]
        for node in nodes
    )
    if not whole:
        raise WrongAnswerError(f"A page is not what was offered: {answer.body[:500].decode(errors='replace')}")
    return page


def ensure_product(answer: Answer, shirt: Shirt) -> None:
    """Check an answered product. Raises ``WrongAnswerError``."""
    product = _data(answer)["product"]
    if product is None or product["id"] != shirt.id or len(product["variants"]) != len(SIZES):
        raise WrongAnswerError(f"A product is not what was offered: {product}")


async def open_shop(connections: Connections, settings: Settings, shirts: int, stock: int) -> list[Shirt]:
    """Have creators offer so many shirts, with so much stock of each variant. Raises ``WrongAnswerError``."""
    creators: dict[str, tuple[str, str]] = {}
    offered = []
    for number in range(shirts):
        name = handle(number)
        if name not in creators:
            token = settings.development.token(
                issuer=settings.issuer, audience=settings.jwt_audience, subject=name, scopes=PERSONAL_SCOPES
            )
            given = {"handle": name, "displayName": name}
            made = await _mutate(connections, _CREATOR_CREATE, given, token)
            creators[name] = (made["creator"]["id"], token)
        creator, token = creators[name]
        product = (await _mutate(connections, _PRODUCT_CREATE, _shirt(creator, number, stock), token))["product"]
        offered.append(Shirt(product["id"], tuple(variant["id"] for variant in product["variants"])))
    return offered


def _shirt(creator: str, number: int, stock: int) -> dict[str, Any]:
    return {
        "creatorId": creator,
        "title": title(number),
        "description": DESCRIPTION,
        "options": ["Size"],
        "variants": [
            {
                "choices": [size],
                "prices": [{"amount": f"{19 + place}.00", "currency": "USD"}],
                "stock": stock,
                "sku": f"{number}-{size}",
                "requiresShipping": False,
            }
            for place, size in enumerate(SIZES)
        ],
    }


async def buy(connections: Connections, variants: Sequence[str]) -> str:
    """Have a guest buy one of each by three requests; return the order, whose payment settles by itself.

    Raises ``WrongAnswerError`` and ``LoadError``.
    """
    given = {
        "currency": "USD",
        "email": f"{uuid4().hex}@example.com",
        "address": _ADDRESS,
        "lines": [{"variantId": variant, "quantity": 1} for variant in variants],
    }
    made = await _mutate(connections, _CART_CREATE, given, None)
    cart, token = made["cart"], made["cartToken"]
    if cart["problems"]:
        raise WrongAnswerError(f"A cart has problems: {cart['problems']}")
    ordered = await _mutate(
        connections,
        _CHECKOUT_COMPLETE,
        {"cartId": cart["id"], "expectedTotal": cart["total"]},
        token,
    )
    confirmed = {"paymentId": ordered["payment"]["id"], "method": "tok_success"}
    paid = await _mutate(connections, _PAYMENT_CONFIRM, confirmed, ordered["paymentToken"] or token)
    if paid["payment"]["status"] not in {"PROCESSING", "SUCCEEDED"}:
        raise WrongAnswerError(f"A charge was not accepted: {paid}")
    return str(ordered["order"]["id"])


async def _mutate(
    connections: Connections, mutation: str, given: dict[str, Any], token: str | None
) -> dict[str, Any]:
    variables = {"input": {"idempotencyKey": str(uuid4()), **given}}
    (payload,) = _data(await connections.ask(_request(mutation, variables, token))).values()
    if payload["errors"]:
        raise WrongAnswerError(f"Something was refused: {payload['errors']}")
    found: dict[str, Any] = payload
    return found


def _request(query: str, variables: dict[str, Any], token: str | None = None, *, path: str = "/graphql") -> bytes:
    headers = {"accept": "application/json"} | ({} if token is None else {"authorization": f"Bearer {token}"})
    return post(path, orjson.dumps({"query": query, "variables": variables}), headers)


def _data(answer: Answer) -> dict[str, Any]:
    body = orjson.loads(answer.body) if answer.status == 200 else {}
    if body.get("errors") or not body.get("data"):
        shown = answer.body[:800].decode(errors="replace")
        raise WrongAnswerError(f"The server answered {answer.status}: {shown}")
    data: dict[str, Any] = body["data"]
    return data
