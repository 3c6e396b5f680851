"""What a client sends on the way of one tip, and what it has to get back."""

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import orjson

from app.settings import Settings
from benchmarks.load import Answer, Connections, post
from core import ids
from core.ids import Noun, uuid7
from core.scopes import PERSONAL_SCOPES

TIP_CREATE: Final = """
mutation TipCreate($input: TipCreateInput!) {
  tipCreate(input: $input) {
    tip { id amount { amount currency } message }
    payment { id status cursor nextAction { type } }
    errors { code message path }
  }
}
"""
PAYMENT_CONFIRM: Final = """
mutation PaymentConfirm($input: PaymentConfirmInput!) {
  paymentConfirm(input: $input) {
    payment { id status nextAction { type url } }
    errors { code message path }
  }
}
"""
PAYMENT_STATUS: Final = """
subscription PaymentStatus($payment: ID!) {
  paymentStatus(paymentId: $payment) {
    kind cursor event { status at } payment { id status nextAction { type } }
  }
}
"""


class WrongAnswerError(Exception):
    """The server answered something else than it had to."""


@dataclass(frozen=True, slots=True)
class Supporter:
    """Somebody signed in who tips a creator."""

    token: str
    creator: str

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}", "accept": "application/json"}

    def tip_create(self) -> bytes:
        """Return the request of a new tip, under a key of its own."""
        given = {
            "idempotencyKey": str(uuid7()),
            "creatorId": self.creator,
            "amount": {"amount": "5.00", "currency": "USD"},
            "message": "For the soup.",
        }
        return self._request(TIP_CREATE, given)

    def payment_confirm(self, payment: str) -> bytes:
        """Return the request that charges a payment."""
        given = {"idempotencyKey": str(uuid7()), "paymentId": payment, "method": "tok_success"}
        return self._request(PAYMENT_CONFIRM, given)

    async def tip(self, connections: Connections) -> str:
        """Create a tip and return its payment's id. Raises ``WrongAnswerError`` and ``LoadError``."""
        return created_payment(await connections.ask(self.tip_create()))

    async def confirm(self, connections: Connections, payment: str) -> None:
        """Charge a payment. Raises ``WrongAnswerError`` and ``LoadError``."""
        ensure_confirmed(await connections.ask(self.payment_confirm(payment)))

    def _request(self, query: str, given: dict[str, Any]) -> bytes:
        return post("/graphql", orjson.dumps({"query": query, "variables": {"input": given}}), self.headers)


def supporters(settings: Settings, creator_id: UUID, count: int) -> list[Supporter]:
    """Return some people with access tokens of the development issuer."""
    creator = ids.encode(Noun.CREATOR, creator_id)
    return [
        Supporter(
            settings.development.token(
                issuer=settings.issuer,
                audience=settings.jwt_audience,
                subject=f"supporter-{number}",
                scopes=PERSONAL_SCOPES,
            ),
            creator,
        )
        for number in range(count)
    ]


def created_payment(answer: Answer) -> str:
    """Return the payment of an answered tip, which has to be durable and PENDING. Raises ``WrongAnswerError``."""
    payload = _payload(answer, "tipCreate")
    payment = payload["payment"]
    if payload["errors"] or payload["tip"] is None or payment["status"] != "PENDING":
        raise WrongAnswerError(f"A tip was not taken: {payload}.")
    return str(payment["id"])


def ensure_confirmed(answer: Answer) -> None:
    """Check that a charge was accepted. Raises ``WrongAnswerError``."""
    payload = _payload(answer, "paymentConfirm")
    if payload["errors"] or payload["payment"]["status"] not in {"PROCESSING", "SUCCEEDED"}:
        raise WrongAnswerError(f"A charge was not accepted: {payload}.")


def _payload(answer: Answer, field: str) -> dict[str, Any]:
    body = orjson.loads(answer.body)
    if answer.status != 200 or body.get("errors") or not body.get("data"):
        raise WrongAnswerError(
            f"The server answered {answer.status}: {answer.body[:500].decode(errors='replace')}"
        )
    payload: dict[str, Any] = body["data"][field]
    return payload
