"""Disputes at the sandbox: the merchant's side of them."""

from typing import Final

import orjson

from providers.payments.base import AnswerDispute, DisputeFact
from providers.payments.sandbox import store
from providers.payments.sandbox.desk import Desk, known_form
from providers.payments.sandbox.translation import dispute_fact

_ANSWER: Final = "select * from sandbox.answer_dispute($1::text, $2::text, $3::jsonb, $4::boolean)"


class Disputes(Desk):
    """The part of the provider that takes evidence in disputes."""

    async def answer_dispute(self, command: AnswerDispute) -> DisputeFact:
        """Add evidence to a dispute, and submit it unless told otherwise; then it is under review.

        Errors: EXPIRED (``respond_by`` has passed; with the fact), STATE_CONFLICT (submitted or closed; with
        the fact), NOT_FOUND, MISCONFIGURED (the key was used for something else), UNAVAILABLE.
        """
        reference = known_form(command.provider_reference, "sbd_", "dispute_not_found")
        evidence = orjson.dumps(dict(command.evidence)).decode()
        source = await store.ask_object(
            self._pool, _ANSWER, command.idempotency_key, reference, evidence, command.submit
        )
        return dispute_fact(source)
