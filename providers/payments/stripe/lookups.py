"""What is looked up at Stripe: an object by its own id, or what was made for an id of ours.

Never by Stripe's search, which lags behind: what was made for an id of ours is found in a list that is read to its
end, from the moment that stands in the id.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from itertools import starmap
from uuid import UUID

from providers.payments.base import (
    BalanceEntry,
    Capabilities,
    Fact,
    ProviderError,
    ProviderErrorCode,
    RefundFact,
    Subject,
    TransferFact,
    unsupported,
)
from providers.payments.stripe import reading, references
from providers.payments.stripe.client import Client
from providers.payments.stripe.errors import readable
from providers.payments.stripe.objects import fields
from providers.payments.stripe.objects.accounts import account_fact
from providers.payments.stripe.objects.books import capture_reversed
from providers.payments.stripe.objects.disputes import dispute_fact
from providers.payments.stripe.objects.fields import Source
from providers.payments.stripe.objects.payments import charge_fact, payment_fact
from providers.payments.stripe.objects.payouts import payout_fact, transfer_fact
from providers.payments.stripe.objects.refunds import let_go_in_books, lets_go, refund_fact
from providers.payments.stripe.payouts import group

_Facts = tuple[Fact, ...]


class LookUps:
    """The part of the provider that looks things up."""

    client: Client
    capabilities: Capabilities

    async def fetch(self, subject: Subject, provider_reference: str) -> Sequence[Fact]:
        """Return an object as it is now; of a payment also its charge, refunds and disputes; a line of the books.

        Of an object that is there but is none of ours nothing is said. Errors: NOT_FOUND, UNAVAILABLE.
        """
        if subject is Subject.PAYOUT:
            return await self._payout(*references.known_payout(provider_reference))
        fetchers: Mapping[Subject, Callable[[str], Awaitable[_Facts]]] = {
            Subject.PAYMENT: self._payment,
            Subject.REFUND: self._refund,
            Subject.DISPUTE: self._dispute,
            Subject.ACCOUNT: self._account,
            Subject.TRANSFER: self._transfer,
            Subject.BALANCE_ENTRY: self._entry,
        }
        return await fetchers[subject](references.known(subject, provider_reference))

    async def find(self, subject: Subject, reference: UUID) -> Sequence[Fact]:
        """Return the same of the object made for our id, or nothing when there is none.

        Exhaustive: as many pages are read as there are since the moment in the id. A payout is looked for on the
        account that the transfer of the same id went to. Errors: UNSUPPORTED (disputes and lines of the books have
        no id of ours), UNAVAILABLE.
        """
        finders: Mapping[Subject, Callable[[UUID], Awaitable[_Facts]]] = {
            Subject.PAYMENT: self._find_payment,
            Subject.REFUND: self._find_refund,
            Subject.ACCOUNT: self._find_account,
            Subject.TRANSFER: self._find_transfer,
            Subject.PAYOUT: self._find_payout,
        }
        if subject not in finders:
            raise unsupported(f"find_{subject.value.lower()}")
        return await finders[subject](reference)

    # By Stripe's own id -----------------------------------------------------------------------------------

    async def _payment(self, intent: str) -> _Facts:
        answer = await reading.payment(self.client, intent)
        with readable(writes=False):
            fact = payment_fact(answer.body, answer.at)
            charge = fields.inner_or_none(answer.body, "latest_charge")
            if fact is None:
                return ()
            if charge is None or fact.captured == 0:
                # What was let go of it, never captured, stands in a refund as well: nothing was paid.
                return (fact,)
            charged = charge_fact(charge, fact.reference)
        refunds = await self._refunds_of(intent, charge, answer.at, fact.reference)
        disputes = await self._disputes_of(intent, fact.reference) if charge.get("disputed") is True else ()
        return (fact, *(() if charged is None else (charged,)), *refunds, *disputes)

    async def _refunds_of(self, intent: str, charge: Source, at: datetime, payment: UUID) -> _Facts:
        """Return the refunds of a payment, and what was let go of it, oldest first.

        A charge tells of some; of more there is a list.
        """
        told = fields.inner_or_none(charge, "refunds")
        with readable(writes=False):
            if told is not None and told.get("has_more") is not True:
                return _refunds([(refund, at) for refund in fields.items(told)], payment)
        params = {
            "payment_intent": intent,
            "expand": [f"data.{line}" for line in reading.LINES_OF_A_REFUND],
        }
        found = [
            each async for each in reading.every(self.client, self.client.stripe.v1.refunds.list_async, params)
        ]
        with readable(writes=False):
            return _refunds(found, payment)

    async def _disputes_of(self, intent: str, payment: UUID) -> _Facts:
        params = {"payment_intent": intent}
        found = [
            each async for each in reading.every(self.client, self.client.stripe.v1.disputes.list_async, params)
        ]
        with readable(writes=False):
            return tuple(dispute_fact(dispute, at, payment) for dispute, at in reversed(found))

    async def _refund(self, refund: str) -> _Facts:
        params = {"expand": [*reading.LINES_OF_A_REFUND, "payment_intent"]}
        answer = await self.client.ask(self.client.stripe.v1.refunds.retrieve_async, refund, params=params)
        with readable(writes=False):
            payment = _payment_of(answer.body)
            return () if payment is None else _refunds([(answer.body, answer.at)], payment)

    async def _dispute(self, dispute: str) -> _Facts:
        params = {"expand": ["payment_intent"]}
        answer = await self.client.ask(self.client.stripe.v1.disputes.retrieve_async, dispute, params=params)
        with readable(writes=False):
            payment = _payment_of(answer.body)
            return () if payment is None else (dispute_fact(answer.body, answer.at, payment),)

    async def _account(self, account: str) -> _Facts:
        answer = await reading.account(self.client, account)
        with readable(writes=False):
            return _some(account_fact(answer.body, answer.at))

    async def _transfer(self, transfer: str) -> _Facts:
        answer = await reading.transfer(self.client, transfer)
        with readable(writes=False):
            return _some(transfer_fact(answer.body, answer.at))

    async def _payout(self, account: str, payout: str) -> _Facts:
        params = {"expand": [reading.LINE_OF_A_FAILED_PAYOUT]}
        retrieve = self.client.stripe.v1.payouts.retrieve_async
        try:
            answer = await self.client.ask(retrieve, payout, params=params, account=account)
        except ProviderError as error:
            # What Stripe says of an account that is not, or no more, connected to us.
            if error.code is ProviderErrorCode.ACCOUNT_NOT_READY:
                raise references.not_found("payout") from error
            raise
        with readable(writes=False):
            return _some(payout_fact(answer.body, account, answer.at))

    async def _entry(self, line: str) -> _Facts:
        return (await reading.entry(self.client, line),)

    # By an id of ours -------------------------------------------------------------------------------------

    async def _find_payment(self, reference: UUID) -> _Facts:
        params = {"created": _since(reference)}
        call = self.client.stripe.v1.payment_intents.list_async
        async for intent, _ in reading.every(self.client, call, params):
            if references.ours(intent, references.PAYMENT) == reference:
                with readable(writes=False):
                    name = fields.text(intent, "id")
                return await self._payment(name)
        return ()

    async def _find_refund(self, reference: UUID) -> _Facts:
        async for refund, _ in reading.every(
            self.client, self.client.stripe.v1.refunds.list_async, {"created": _since(reference)}
        ):
            if references.ours(refund, references.REFUND) == reference:
                with readable(writes=False):
                    name = fields.text(refund, "id")
                return await self._refund(name)
        return ()

    async def _find_account(self, reference: UUID) -> _Facts:
        service, since = self.client.stripe.v2.core.accounts, references.window(reference)
        async for account, _ in reading.every_v2(self.client, service, {}):
            with readable(writes=False):
                name, made_at = fields.text(account, "id"), fields.time(account, "created")
            if references.ours(account, references.CREATOR) == reference:
                return await self._account(name)
            if made_at < since:
                # The list is told newest first.
                break
        return ()

    async def _find_transfer(self, reference: UUID) -> tuple[TransferFact, ...]:
        params = {"transfer_group": group(reference)}
        found = [
            each async for each in reading.every(self.client, self.client.stripe.v1.transfers.list_async, params)
        ]
        with readable(writes=False):
            told = list(starmap(transfer_fact, found))
        return tuple(fact for fact in told if fact is not None and fact.reference == reference)

    async def _find_payout(self, reference: UUID) -> _Facts:
        params = {"created": _since(reference), "expand": [f"data.{reading.LINE_OF_A_FAILED_PAYOUT}"]}
        call = self.client.stripe.v1.payouts.list_async
        for transfer in await self._find_transfer(reference):
            async for payout, at in reading.every(self.client, call, params, account=transfer.account):
                if references.ours(payout, references.PAYOUT) == reference:
                    with readable(writes=False):
                        return _some(payout_fact(payout, transfer.account, at))
        return ()


def _since(reference: UUID) -> dict[str, int]:
    """Return the filter for what was made since the moment in an id of ours."""
    return {"gte": int(references.window(reference).timestamp())}


def _some(fact: Fact | None) -> _Facts:
    return () if fact is None else (fact,)


def _payment_of(source: Source) -> UUID | None:
    """Return our id of the payment that a refund or a dispute is about, told with it; None of others."""
    intent = fields.inner_or_none(source, "payment_intent")
    return None if intent is None else references.ours(intent, references.PAYMENT)


def _refunds(newest_first: Sequence[tuple[Source, datetime]], payment: UUID) -> _Facts:
    """Return refunds as facts, and what was let go of their charge, where that has a line of the books."""
    facts: list[RefundFact | BalanceEntry] = []
    for refund, at in reversed(newest_first):
        if (line := let_go_in_books(refund)) is not None:
            facts.append(capture_reversed(line, payment))
        elif not lets_go(refund):
            facts.append(refund_fact(refund, at, payment))
    return tuple(facts)
