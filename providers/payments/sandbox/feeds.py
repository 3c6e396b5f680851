"""What is read of the sandbox: objects, its events again, and its books. And its clock."""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg

from providers.payments.base import (
    BalanceEntry,
    BalanceKind,
    Event,
    Fact,
    Subject,
    unsupported,
)
from providers.payments.sandbox import store, webhooks
from providers.payments.sandbox.desk import Desk, known_form
from providers.payments.sandbox.translation import READERS

PAGE: Final = 500

_LOOK_UP: Final = "select kind, object::text from sandbox.look_up($1::text, $2::text, $3::uuid)"
_EVENTS: Final = """
select id, created_at, body::text as body from sandbox.event
 where (created_at, id) > ($1::timestamptz, $2::text) and created_at >= $1::timestamptz
 order by created_at, id limit $3::integer
"""
_ENTRIES: Final = """
select * from sandbox.balance_transaction
 where (at, seq) > ($1::timestamptz, $2::bigint) and at >= $1::timestamptz
 order by at, seq limit $3::integer
"""
_ENTRY: Final = "select * from sandbox.balance_transaction where id = $1::text"
_BALANCES: Final = """
select currency, sum(amount - fee)::bigint as balance from sandbox.balance_transaction group by currency
"""
_RUN_DUE: Final = "select sandbox.settle_due($1::integer)"
_AHEAD: Final = "select ahead from sandbox.clock"
_ADVANCE: Final = "select sandbox.advance_clock($1::interval)"

_PREFIXES: Final = {
    Subject.PAYMENT: "sbx_",
    Subject.REFUND: "sbr_",
    Subject.DISPUTE: "sbd_",
    Subject.ACCOUNT: "sba_",
    Subject.TRANSFER: "sbt_",
    Subject.PAYOUT: "sbp_",
}
_LINE: Final = re.compile(r"txn_[0-9a-f]{32}(_[a-z]{1,20})?", re.ASCII)
_LONGEST_ADVANCE: Final = timedelta(days=3650)


class Feeds(Desk):
    """The part of the provider that is read, and its clock."""

    async def fetch(self, subject: Subject, provider_reference: str) -> Sequence[Fact]:
        """Return an object as it is now; of a payment also its charge, refunds and disputes; a line of the books.

        Errors: NOT_FOUND, UNAVAILABLE.
        """
        missing = f"{subject.value.lower()}_not_found"
        if subject is Subject.BALANCE_ENTRY:
            return await self._entry(provider_reference, missing)
        reference = known_form(provider_reference, _PREFIXES[subject], missing)
        facts = await self._look_up(subject, reference, None)
        if not facts:
            raise store.not_found(missing)
        return facts

    async def find(self, subject: Subject, reference: UUID) -> Sequence[Fact]:
        """Return the same of the object made for our id, or nothing when there is none.

        Errors: UNSUPPORTED (disputes and lines of the books have no id of ours), UNAVAILABLE.
        """
        if subject in {Subject.DISPUTE, Subject.BALANCE_ENTRY}:
            raise unsupported(f"find_{subject.value.lower()}")
        return await self._look_up(subject, None, reference)

    async def _look_up(
        self, subject: Subject, provider_reference: str | None, reference: UUID | None
    ) -> tuple[Fact, ...]:
        rows = await store.ask_all(
            self._pool, _LOOK_UP, subject.value, provider_reference, reference, changes=False
        )
        return tuple(READERS[row["kind"]](store.decoded(row["object"])) for row in rows)

    async def _entry(self, line: str, missing: str) -> tuple[BalanceEntry, ...]:
        if not _LINE.fullmatch(line):
            raise store.not_found(missing)
        rows = await store.ask_all(self._pool, _ENTRY, line, changes=False)
        if not rows:
            raise store.not_found(missing)
        return tuple(_entry(row) for row in rows)

    async def events(self, since: datetime) -> AsyncIterator[Event]:
        """Yield the events since a moment, oldest first, each as it was sent, a lost one too.

        An event is dated before it can be read: ask again from a little earlier. Errors: UNAVAILABLE.
        """
        after, last = since, ""
        while True:
            rows = await store.ask_all(self._pool, _EVENTS, after, last, PAGE, changes=False)
            for row in rows:
                yield webhooks.decode(row["body"].encode())
            if len(rows) < PAGE:
                return
            after, last = rows[-1]["created_at"], rows[-1]["id"]

    async def balance_entries(self, since: datetime) -> AsyncIterator[BalanceEntry]:
        """Yield the lines of the sandbox's books since a moment, oldest first. As ``events``."""
        after, last = since, 0
        while True:
            rows = await store.ask_all(self._pool, _ENTRIES, after, last, PAGE, changes=False)
            for row in rows:
                yield _entry(row)
            if len(rows) < PAGE:
                return
            after, last = rows[-1]["at"], rows[-1]["seq"]

    async def balances(self) -> Mapping[str, int]:
        """Return what the sandbox holds for us, by currency. Errors: UNAVAILABLE."""
        rows = await store.ask_all(self._pool, _BALANCES, changes=False)
        return {row["currency"]: row["balance"] for row in rows}

    # Time -------------------------------------------------------------------------------------------------

    async def run_due(self) -> int:
        """Do all that is due by the sandbox's clock, as delivery does in its turns; return how much it was.

        Errors: UNAVAILABLE.
        """
        done = 0
        while (count := await self._value(_RUN_DUE, PAGE)) > 0:
            done += count
        return done

    async def clock_ahead(self) -> timedelta:
        """Return how far the sandbox's clock is ahead of the wall clock. Errors: UNAVAILABLE."""
        ahead: timedelta = await self._value(_AHEAD)
        return ahead

    async def advance_clock(self, by: timedelta) -> timedelta:
        """Move the sandbox's clock forward; return how far it is ahead now.

        Raises ValueError when ``by`` is negative or longer than ten years, and ProviderError UNAVAILABLE.
        """
        if not timedelta(0) <= by <= _LONGEST_ADVANCE:
            raise ValueError("The sandbox's clock moves forward, by ten years at the most.")
        ahead: timedelta = await self._value(_ADVANCE, by)
        return ahead

    async def _value(self, statement: str, *arguments: object) -> Any:
        ((value,),) = await store.ask_all(self._pool, statement, *arguments, changes=True)
        return value


def _entry(row: asyncpg.Record) -> BalanceEntry:
    return BalanceEntry(
        id=row["id"],
        kind=BalanceKind(row["kind"]),
        subject=Subject(row["subject"]),
        provider_reference=row["object_id"],
        amount=row["amount"],
        fee=row["fee"],
        net=row["amount"] - row["fee"],
        currency=row["currency"],
        at=row["at"],
        available_on=row["available_on"],
    )
