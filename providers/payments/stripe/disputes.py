"""Disputes at Stripe: the merchant's side of them."""

from typing import Any, Final

from providers.payments.base import (
    AnswerDispute,
    Capabilities,
    DisputeFact,
    DisputeState,
    ProviderError,
    ProviderErrorCode,
    Subject,
)
from providers.payments.stripe import references
from providers.payments.stripe.client import Answer, Client
from providers.payments.stripe.errors import readable
from providers.payments.stripe.objects import fields
from providers.payments.stripe.objects.disputes import dispute_fact
from providers.payments.stripe.refusals import is_unclear, told_with

# Of a dispute that takes no more evidence Stripe says so in a sentence; it has no code for it.
_UNCLEAR: Final = frozenset(
    (ProviderErrorCode.MISCONFIGURED, ProviderErrorCode.STATE_CONFLICT, ProviderErrorCode.EXPIRED)
)


class Disputes:
    """The part of the provider that takes evidence in disputes."""

    client: Client
    capabilities: Capabilities

    async def answer_dispute(self, command: AnswerDispute) -> DisputeFact:
        """Add evidence to a dispute, and submit it unless told otherwise; then it is under review.

        The names of the evidence are Stripe's. Errors: EXPIRED (``respond_by`` has passed; with the fact),
        STATE_CONFLICT (submitted or closed; with the fact), NOT_FOUND, MISCONFIGURED (the key was used for
        something else, or a name is none of Stripe's), UNAVAILABLE.
        """
        dispute = references.known(Subject.DISPUTE, command.provider_reference)
        params: dict[str, Any] = {"submit": command.submit, "expand": ["payment_intent"]}
        if command.evidence:
            params["evidence"] = dict(command.evidence)
        try:
            answer = await self.client.ask(
                self.client.stripe.v1.disputes.update_async, dispute, params=params, key=command.idempotency_key
            )
        except ProviderError as error:
            raise await self._answer_refused(error, dispute) from None
        with readable(writes=True):
            return _fact(answer)

    async def _answer_refused(self, error: ProviderError, dispute: str) -> ProviderError:
        """Return the refusal in the contract's words, judged by the dispute as it is now."""
        if not is_unclear(error, _UNCLEAR):
            return error
        retrieve = self.client.stripe.v1.disputes.retrieve_async
        try:
            answer = await self.client.ask(retrieve, dispute, params={"expand": ["payment_intent"]})
            with readable(writes=False):
                return _judged(error, answer)
        except ProviderError:
            return error


def _judged(error: ProviderError, answer: Answer) -> ProviderError:
    fact = _fact(answer)
    submitted = fields.whole(fields.inner(answer.body, "evidence_details"), "submission_count") > 0
    if not submitted and fact.respond_by is not None and fact.respond_by < answer.at:
        return told_with(error, ProviderErrorCode.EXPIRED, fact)
    if submitted or fact.state is not DisputeState.NEEDS_RESPONSE:
        return told_with(error, ProviderErrorCode.STATE_CONFLICT, fact)
    return error


def _fact(answer: Answer) -> DisputeFact:
    """Return the dispute's fact; its payment is told with it. KeyError when that is none of ours."""
    payment = references.ours(fields.inner(answer.body, "payment_intent"), references.PAYMENT)
    if payment is None:
        raise KeyError(references.PAYMENT)
    return dispute_fact(answer.body, answer.at, payment)
