"""What is read: look-ups, events again, and the provider's books. All of them say the same."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

from core.ids import uuid7
from providers.payments.base import (
    BalanceKind,
    Capability,
    DisputeFact,
    Event,
    Fact,
    LookUp,
    PaymentFact,
    PaymentProvider,
    ProviderErrorCode,
    RefundFact,
    ReverseTransfer,
    Subject,
    TransferFact,
)

from .captures import capture, reserved
from .payouts import paying_out, ready_account, transferring
from .refunds import refund
from .words import Methods, books, charged, check, confirmation, creation, refusal, told

FEED, REPLAY = Capability.BALANCE_FEED, Capability.EVENT_REPLAY
ALL = (Capability.MANUAL_CAPTURE, Capability.REFUND, Capability.DISPUTES, Capability.PAYOUTS)


async def busy_day(provider: PaymentProvider, methods: Methods) -> PaymentFact:
    """Let a bit of everything happen; return the first payment of it."""
    start = await provider.create_payment(creation(20_000))
    payment = await provider.confirm_payment(confirmation(start, methods.succeeds))
    held = await reserved(provider, methods)
    await provider.capture(capture(held, 700))
    await provider.refund(refund(payment, 1_000))
    await methods.levers.open_dispute(await charged(provider, methods, 2_000))
    account = await ready_account(provider, methods)
    transfer = await provider.transfer(transferring(account, 5_000))
    await provider.payout(paying_out(account, 3_000))
    other = await provider.transfer(transferring(account, 300))
    await provider.reverse_transfer(ReverseTransfer(f"reverse:{other.reference}", other.provider_reference))
    await methods.levers.pass_time(timedelta(days=31))
    assert transfer.amount == 5_000
    return start


def subject_of(fact: Fact) -> tuple[Subject, str] | None:
    """Return what to look up to read a fact again; None for a charge, which is told with its payment."""
    names = {
        "PaymentFact": Subject.PAYMENT,
        "RefundFact": Subject.REFUND,
        "DisputeFact": Subject.DISPUTE,
        "AccountFact": Subject.ACCOUNT,
        "TransferFact": Subject.TRANSFER,
        "PayoutFact": Subject.PAYOUT,
    }
    subject = names.get(type(fact).__name__)
    return None if subject is None else (subject, fact.provider_reference)  # type: ignore[union-attr]


@check(REPLAY, *ALL)
async def last_event_of_each_object_says_what_a_look_up_says(provider: PaymentProvider, methods: Methods) -> None:
    start = await busy_day(provider, methods)
    last: dict[tuple[Subject, str], Fact] = {}
    charges: list[Fact] = []
    for event in await told(provider, start):
        for fact in await stated(provider, event):
            place = subject_of(fact)
            if place is None:
                charges.append(fact)
            else:
                last[place] = fact
    assert {subject for subject, _ in last} == provider.capabilities.replayed - {Subject.BALANCE_ENTRY}
    for (subject, reference), fact in last.items():
        facts: Sequence[Fact] = await provider.fetch(subject, reference)
        assert facts[0] == fact
    looked_up: list[Fact] = [
        fact
        for subject, reference in last
        if subject is Subject.PAYMENT
        for fact in await provider.fetch(subject, reference)
    ]
    assert set(charges) <= set(looked_up)
    assert {fact for fact in last.values() if isinstance(fact, RefundFact | DisputeFact)} <= set(looked_up)


async def stated(provider: PaymentProvider, event: Event) -> list[Fact]:
    """Return the facts of an event, and those of what it says has to be looked up."""
    facts: list[Fact] = []
    for said in provider.translate(event):
        if isinstance(said, LookUp):
            facts += await provider.fetch(said.subject, said.provider_reference)
        else:
            facts.append(said)
    return facts


@check(REPLAY, *ALL)
async def events_are_replayed_oldest_first_from_a_moment_on(provider: PaymentProvider, methods: Methods) -> None:
    events = await told(provider, await busy_day(provider, methods))
    moments = [event.at for event in events if event.at is not None]
    assert len(moments) == len(events) > 10
    assert moments == sorted(moments)
    assert len({event.id for event in events}) == len(events)
    middle = moments[len(moments) // 2]
    assert await ids_since(provider, middle) == [event.id for event in events if event.at and event.at >= middle]
    assert await ids_since(provider, moments[-1] + timedelta(microseconds=1)) == []
    assert all(isinstance(event, Event) and event.raw for event in events)


async def ids_since(provider: PaymentProvider, moment: datetime) -> list[str]:
    return [event.id async for event in provider.events(moment)]


@check(FEED, *ALL)
async def books_add_up_to_the_balances(provider: PaymentProvider, methods: Methods) -> None:
    before = await provider.balances()
    entries = await books(provider, await busy_day(provider, methods))
    assert [entry.at for entry in entries] == sorted(entry.at for entry in entries)
    assert all(entry.net == entry.amount - entry.fee for entry in entries)
    after = await provider.balances()
    assert after["USD"] - before.get("USD", 0) == sum(entry.net for entry in entries if entry.currency == "USD")


@check(FEED, *ALL)
async def everything_that_moves_money_has_one_line_in_the_books(
    provider: PaymentProvider, methods: Methods
) -> None:
    entries = await books(provider, await busy_day(provider, methods))
    kinds = Counter(entry.kind for entry in entries)
    assert kinds == {
        BalanceKind.CHARGE: 3,
        BalanceKind.REFUND: 1,
        BalanceKind.DISPUTE_WITHDRAWN: 1,
        BalanceKind.TRANSFER: 2,
        BalanceKind.TRANSFER_REVERSED: 1,
    }
    assert len({entry.id for entry in entries}) == len(entries)
    for entry in entries:
        assert entry.subject is not None
        assert entry.provider_reference is not None
        facts = await provider.fetch(entry.subject, entry.provider_reference)
        assert entry.id in {name for fact in facts for name in transactions_of(fact)}
    middle = entries[len(entries) // 2].at
    since = [entry async for entry in provider.balance_entries(middle)]
    assert since == [entry for entry in entries if entry.at >= middle]


def transactions_of(fact: Fact) -> set[str | None]:
    """Return the balance transactions that a fact names."""
    if isinstance(fact, DisputeFact):
        return {move.balance_transaction for move in (fact.withdrawal, fact.reinstatement) if move is not None}
    if isinstance(fact, TransferFact):
        return {fact.balance_transaction, fact.reversal_transaction}
    return {getattr(fact, "balance_transaction", None), getattr(fact, "return_transaction", None)}


@check()
async def unknown_objects_are_not_found(provider: PaymentProvider, methods: Methods) -> None:
    for subject, reference in methods.unknown_objects.items():
        for missing in (reference, "", "\x00", f"{reference}0"):
            error = await refusal(provider.fetch(subject, missing))
            assert (error.code, error.ambiguous) == (ProviderErrorCode.NOT_FOUND, False)
        if subject not in {Subject.DISPUTE, Subject.BALANCE_ENTRY}:
            assert await provider.find(subject, uuid7()) == ()


@check()
async def events_of_unknown_types_state_nothing(provider: PaymentProvider, methods: Methods) -> None:
    assert list(provider.translate(Event("evt_1", "weather.changed", {"data": None}))) == []
