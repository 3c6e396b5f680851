"""What tests, the control API and scripts do to the sandbox from behind: its clock, its faults, its fates."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg
import orjson

from providers.payments.base import (
    AccountFact,
    DisputeFact,
    DisputeState,
    PaymentFact,
    PayoutFact,
    PayoutState,
    RefundFact,
    RefundReason,
    RefundState,
    Subject,
)
from providers.payments.sandbox import cards, store
from providers.payments.sandbox.accounts import SET_READY
from providers.payments.sandbox.cards import (
    CARDS,
    DisputeOutcome,
    PayoutScenario,
    RefundScenario,
    WebhookEffect,
)
from providers.payments.sandbox.feeds import Feeds
from providers.payments.sandbox.overview import FIND, STATUS, Status
from providers.payments.sandbox.refunds import BY_AMOUNT, REFUND
from providers.payments.sandbox.translation import (
    EVENT_TYPES,
    account_fact,
    dispute_fact,
    payment_fact,
    payout_fact,
    refund_fact,
)

COMMANDS: Final = (
    "CREATE",
    "CONFIRM",
    "CAPTURE",
    "CANCEL",
    "REFUND",
    "SAVE_METHOD",
    "DETACH_METHOD",
    "ONBOARD",
    "TRANSFER",
    "REVERSE_TRANSFER",
    "PAYOUT",
    "ANSWER_DISPUTE",
)
COMMAND_EFFECTS: Final = ("ANSWER_LOST", "REQUEST_LOST", "UNAVAILABLE")
RULE_SUBJECTS: Final = ("CHARGE", "REFUND", "PAYOUT")
LATEST: Final = "latest"

_MOST_TIMES: Final = 1_000_000
_MOST_COPIES: Final = 100

_ARM: Final = "select sandbox.arm($1::text, $2::text, $3::text, $4::integer, $5::interval, $6::integer)"
_ADD_RULE: Final = "select sandbox.add_rule($1::text, $2::text, $3::bigint, $4::text, $5::text, $6::jsonb)"
_RESET: Final = "select faults, rules, events from sandbox.reset()"
_NOW: Final = "select sandbox.now()"
_OPEN_DISPUTE: Final = """
select * from sandbox.open_dispute($1::text, $2::bigint, $3::text, $4::text, $5::interval)
"""
_CLOSE_DISPUTE: Final = "select * from sandbox.close_dispute($1::text, $2::text, null, null)"
_MOVE_REFUND: Final = "select * from sandbox.move_refund($1::text, $2::text)"
_MOVE_PAYOUT: Final = "select * from sandbox.move_payout($1::text, $2::text, null, null)"
_EXPIRE: Final = "select * from sandbox.expire_payment($1::text, true)"


class SandboxControl(Feeds):
    """The other end of the sandbox. No part of the provider contract.

    Wherever an object is named, its provider reference, our id of it or ``latest`` will do. Every method raises
    ProviderError: NOT_FOUND when there is no such object, STATE_CONFLICT when it is past that, UNAVAILABLE when
    the database is away; and ValueError, with a sentence, for what makes no sense.
    """

    def __init__(
        self, pool: "asyncpg.Pool[asyncpg.Record]", *, processing_time: timedelta = timedelta(seconds=2)
    ) -> None:
        self._pool = pool
        self._public_url = ""
        self._processing_time = processing_time

    # Time -------------------------------------------------------------------------------------------------

    async def now(self) -> datetime:
        """Return the sandbox's present moment."""
        moment: datetime = await self._value(_NOW)
        return moment

    async def advance(self, by: timedelta) -> timedelta:
        """Move the clock forward and do what has become due; return how far it is ahead now."""
        ahead = await self.advance_clock(by)
        await self.run_due()
        return ahead

    # Faults and rules -------------------------------------------------------------------------------------

    async def arm(
        self,
        target: str,
        effect: str,
        *,
        times: int = 1,
        event_type: str | None = None,
        copies: int | None = None,
        delay: timedelta | None = None,
    ) -> None:
        """Let something go wrong with the next ``times`` events or commands of a kind.

        ``target`` EVENT (of ``event_type``, if given): LOSE it, DUPLICATE it (sent ``copies`` times more, one by
        default), DELAY it (by ``delay``, a minute by default, by the sandbox's clock) or REORDER it (held until a
        later one was delivered). ``target`` one of ``COMMANDS``: ANSWER_LOST (it takes effect, the answer never
        arrives), REQUEST_LOST (it never arrives, nor does an answer) or UNAVAILABLE (refused, nothing happened).
        """
        events = target == "EVENT"
        effects = tuple(WebhookEffect) if events else COMMAND_EFFECTS
        _one_of("target", target, ("EVENT", *COMMANDS))
        _one_of("effect", effect, effects)
        if event_type is not None and not events:
            raise ValueError("Only events have an event type.")
        if event_type is not None:
            _one_of("event_type", event_type, EVENT_TYPES)
        if not 1 <= times <= _MOST_TIMES:
            raise ValueError(f"Say from 1 to {_MOST_TIMES} times.")
        if copies is not None and (effect != WebhookEffect.DUPLICATE or not 1 <= copies <= _MOST_COPIES):
            raise ValueError(f"A duplicated event has from 1 to {_MOST_COPIES} copies; nothing else has any.")
        if delay is not None and (effect != WebhookEffect.DELAY or delay <= timedelta(0)):
            raise ValueError("A delayed event has a delay above zero; nothing else has one.")
        if effect == WebhookEffect.DUPLICATE:
            copies = copies or 1
        if effect == WebhookEffect.DELAY:
            delay = delay or timedelta(minutes=1)
        await self._execute(_ARM, target, effect, event_type, copies, delay, times)

    async def add_rule(
        self,
        subject: str,
        behaviour: str,
        *,
        token: str | None = None,
        amount: int | None = None,
        currency: str | None = None,
        description: str | None = None,
    ) -> None:
        """Say what shall happen to charges, refunds or payouts from now on that match all that is given.

        ``subject`` CHARGE: they go as with the card token ``behaviour``. REFUND: as a ``RefundScenario``.
        PAYOUT: as a ``PayoutScenario``. ``description`` matches when the payment's has it in it. Of several
        rules that match, the one added first holds.
        """
        _one_of("subject", subject, RULE_SUBJECTS)
        if subject == "CHARGE":
            _one_of("behaviour", behaviour, tuple(CARDS))
            told: Mapping[str, object] = cards.behaviour(behaviour)
        elif subject == "REFUND":
            _one_of("behaviour", behaviour, tuple(RefundScenario))
            told = {"refund": behaviour}
        else:
            _one_of("behaviour", behaviour, tuple(PayoutScenario))
            told = {"payout": behaviour}
        if token is not None and subject != "CHARGE":
            raise ValueError("Only charges are made with a token.")
        if description is not None and subject == "PAYOUT":
            raise ValueError("Payouts have no description.")
        await self._execute(_ADD_RULE, subject, token, amount, currency, description, orjson.dumps(told).decode())

    async def reset(self) -> dict[str, int]:
        """Disarm all faults, end all rules, and let go of the events that were held back.

        Return how many of each it was. Everything else stays: objects, books, events and the clock.
        """
        (row,) = await store.ask_all(self._pool, _RESET, changes=True)
        return dict(row)

    # Fates ------------------------------------------------------------------------------------------------

    async def open_dispute(
        self,
        payment: str,
        amount: int | None = None,
        reason: str | None = None,
        outcome: DisputeOutcome = DisputeOutcome.BY_EVIDENCE,
    ) -> DisputeFact:
        """Dispute a captured payment: all that is not disputed yet, or ``amount`` of it.

        ``outcome`` is how it ends once it was answered. Errors also: AMOUNT_INVALID.
        """
        reference = await self.resolve(Subject.PAYMENT, payment)
        return dispute_fact(
            await self._object(
                _OPEN_DISPUTE, reference, amount, reason, DisputeOutcome(outcome).value, self._processing_time
            )
        )

    async def close_dispute(self, dispute: str, outcome: DisputeState) -> DisputeFact:
        """Close a dispute as WON or LOST, whatever it waits for. One that was lost can be won."""
        if outcome not in {DisputeState.WON, DisputeState.LOST}:
            raise ValueError("A dispute is closed as WON or LOST.")
        reference = await self.resolve(Subject.DISPUTE, dispute)
        return dispute_fact(await self._object(_CLOSE_DISPUTE, reference, DisputeState(outcome).value))

    async def refund(self, payment: str, amount: int) -> RefundFact:
        """Refund a payment at the provider itself, as from its dashboard: nobody's reference is on it.

        Errors also: AMOUNT_INVALID.
        """
        reference = await self.resolve(Subject.PAYMENT, payment)
        return refund_fact(
            await self._object(
                REFUND,
                f"control:{uuid4()}",
                None,
                reference,
                None,
                amount,
                RefundReason.REQUESTED_BY_CUSTOMER.value,
                BY_AMOUNT,
                self._processing_time,
            )
        )

    async def fail_refund(self, refund: str) -> RefundFact:
        """Let a refund fail, even one that succeeded: its money comes back."""
        reference = await self.resolve(Subject.REFUND, refund)
        return refund_fact(await self._object(_MOVE_REFUND, reference, RefundState.FAILED.value))

    async def fail_payout(self, payout: str) -> PayoutFact:
        """Let a payout fail, even one that was paid: its money is on the account again."""
        reference = await self.resolve(Subject.PAYOUT, payout)
        return payout_fact(await self._object(_MOVE_PAYOUT, reference, PayoutState.FAILED.value))

    async def pay_payout(self, payout: str) -> PayoutFact:
        """Let a payout be paid now."""
        reference = await self.resolve(Subject.PAYOUT, payout)
        return payout_fact(await self._object(_MOVE_PAYOUT, reference, PayoutState.PAID.value))

    async def make_account_ready(self, account: str) -> AccountFact:
        """Let an account have all that is asked for. Doing it twice changes nothing."""
        return await self._set_ready(account, ready=True)

    async def revoke_account(self, account: str) -> AccountFact:
        """Ask an account for its identity document again: it is no longer ready. Twice changes nothing."""
        return await self._set_ready(account, ready=False)

    async def expire(self, payment: str) -> PaymentFact:
        """Let an authorisation lapse now."""
        reference = await self.resolve(Subject.PAYMENT, payment)
        return payment_fact(await self._object(_EXPIRE, reference))

    async def status(self) -> Status:
        """Return how things stand."""
        (row,) = await store.ask_all(self._pool, STATUS, changes=False)
        return Status(**dict(row))

    async def resolve(self, subject: Subject, name: str) -> str:
        """Return the provider reference of an object that is named by it, by our id, or as the latest."""
        reference: UUID | None
        try:
            reference = UUID(name)
        except ValueError:
            reference = None
        rows = await store.ask_all(self._pool, FIND[subject], name, reference, name == LATEST, changes=False)
        if not rows:
            raise store.not_found(f"{subject.value.lower()}_not_found")
        found: str = rows[0]["id"]
        return found

    async def _set_ready(self, account: str, *, ready: bool) -> AccountFact:
        reference = await self.resolve(Subject.ACCOUNT, account)
        return account_fact(await self._object(SET_READY, reference, ready))

    async def _object(self, statement: str, *arguments: object) -> Any:
        return await store.ask_object(self._pool, statement, *arguments)

    async def _execute(self, statement: str, *arguments: object) -> None:
        await store.ask_all(self._pool, statement, *arguments, changes=True)


def _one_of(field: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"The {field} is one of {', '.join(known)}.")
