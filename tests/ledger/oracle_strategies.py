"""Hypothesis strategies of what the ledger is asked: batches of groups of operations, sound and otherwise."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta, timezone
from typing import Any, TypeAlias
from uuid import UUID, uuid4

from hypothesis import strategies as st

from core.ids import uuid7
from ledger import Capture, Group, Hold, Increment, Movement, Operation, Recovery, Release, Reversal
from tests.ledger.oracle_audit import FAR, LONG_AGO
from tests.ledger.oracle_books import LARGEST

EDGES = (1, 2**53 - 1, 2**53 + 1, 2**63 - 1, 2**63 + 1, 10**18 + 1, 10**36, LARGEST)


@dataclass(frozen=True)
class All:
    """As an amount: all that there is to take, and this much more."""

    more: int


@dataclass(frozen=True)
class Known:
    """What there is in one asset: guarded accounts, a debt, and accounts with stripes; holds and movements by now.

    Of those, the ones that are worth speaking of: holds that are open, what moved of late.
    """

    guarded: tuple[int, ...]
    owed: int
    striped: tuple[int, ...]
    a_stripe: int
    holds: list[UUID] = field(default_factory=list)
    movements: list[UUID] = field(default_factory=list)

    @property
    def accounts(self) -> tuple[int, ...]:
        return (*self.striped, *self.guarded, self.owed)


def one_of(name: str) -> st.SearchStrategy[Any]:
    """One of the things that the machine has under this name by now."""
    return st.runner().flatmap(lambda machine: st.sampled_from(getattr(machine, name)))


connections = st.sampled_from((0, 1))
_kinds = st.sampled_from(("sale", "Gebühr", "送金"))
_references = st.sampled_from((None, UUID(int=1), UUID(int=2**128 - 1)))
_part = st.integers(1, 50)
_all = st.builds(All, st.sampled_from((0, 1, -1)))
_amounts = st.one_of(_part, _part, _all, _all, st.sampled_from(EDGES))
_some_or_all = st.none() | _amounts
_small = st.integers(1, 3)
_nepal = timezone(timedelta(hours=5, minutes=45))
_moments = st.sampled_from((None, None, LONG_AGO, LONG_AGO.astimezone(_nepal)))
_expiries = st.sampled_from((None, FAR, FAR, FAR, LONG_AGO))
_keys = st.runner().map(lambda machine: machine.new_key())

Maker: TypeAlias = Callable[[st.DrawFn, Known], Operation]


def movement(draw: st.DrawFn, known: Known) -> Movement:
    debit, credit = draw(st.permutations(known.accounts))[:2]
    return Movement(debit, credit, draw(_amounts), draw(_kinds), draw(_references))


def small_movement(draw: st.DrawFn, known: Known) -> Movement:
    return replace(movement(draw, known), amount=draw(_small))


def helped_movement(draw: st.DrawFn, known: Known) -> Movement:
    debit, credit, guarded = draw(st.permutations((*known.guarded, *known.striped)))[:3]
    helper = draw(st.sampled_from((known.owed, known.owed, known.owed, guarded)))
    return Movement(debit, credit, draw(_amounts), draw(_kinds), draw(_references), helper)


def recovery(draw: st.DrawFn, known: Known) -> Recovery:
    return Recovery(draw(st.sampled_from((*known.guarded, known.striped[0]))), known.owed, draw(_kinds))


def hold(draw: st.DrawFn, known: Known) -> Hold:
    debit, credit = draw(st.permutations(known.accounts))[:2]
    return Hold(uuid7(), debit, credit, draw(_amounts), draw(_kinds), draw(_references), draw(_expiries))


def capture(draw: st.DrawFn, known: Known) -> Capture:
    name = draw(st.sampled_from(known.holds))
    return Capture(name, draw(_some_or_all), draw(_kinds), draw(_references), draw(st.booleans()))


def increment(draw: st.DrawFn, known: Known) -> Increment:
    return Increment(draw(st.sampled_from(known.holds)), draw(_amounts))


def release(draw: st.DrawFn, known: Known) -> Release:
    return Release(draw(st.sampled_from(known.holds)), draw(_some_or_all))


def reversal(draw: st.DrawFn, known: Known) -> Reversal:
    name = draw(st.sampled_from(known.movements))
    return Reversal(name, draw(_some_or_all), draw(_kinds), draw(_references))


def faulty(draw: st.DrawFn, known: Known) -> Operation:
    """Something with one fault."""
    debit, credit = known.striped[0], known.guarded[0]
    other = draw(st.runner()).known[1 if known is draw(st.runner()).known[0] else 0].owed
    sound = Movement(debit, credit, 5, "sale")
    return draw(
        st.sampled_from(
            (
                *(replace(sound, amount=amount) for amount in (0, -1, LARGEST + 1, 1.0, True)),
                *(replace(sound, credit=account) for account in (debit, other, known.a_stripe, 0, 2**62, 2**63)),
                *(replace(sound, kind=kind) for kind in ("", "k" * 256, "a\0b", "a\nb")),
                replace(sound, shortfall=credit),
                replace(sound, shortfall=other),
                Recovery(debit, debit, "recovery"),
                Hold(uuid4(), debit, credit, 5, "hold", None, FAR.replace(tzinfo=None)),
                Hold(uuid4(), debit, other, 5, "hold"),
                Hold(known.holds[0], debit, credit, 5, "hold"),
                Capture(uuid4(), 5, "capture"),
                Increment(uuid4(), 5),
                Increment(known.holds[0], 0),
                Release(uuid4()),
                Reversal(uuid4(), None, "reversal"),
            )
        )
    )


PLAIN = (movement, movement, small_movement)
BEYOND_REFUSAL = (helped_movement, helped_movement, recovery)
OF_HOLDS = (capture, capture, increment, release, movement)
OF_THE_PAST = (reversal, reversal, reversal, movement)
ANYTHING = (*PLAIN, *BEYOND_REFUSAL, hold, *OF_HOLDS, reversal, reversal, faulty)


@st.composite
def groups(draw: st.DrawFn, makers: tuple[Maker, ...], largest: int = 3) -> Group:
    """A group under a key of its own, in one asset."""
    known = draw(one_of("known"))
    operations = [draw(st.sampled_from(makers))(draw, known) for _ in range(draw(st.integers(1, largest)))]
    return Group(draw(_keys), tuple(operations), draw(_moments))


@st.composite
def lives_of_a_hold(draw: st.DrawFn) -> list[Group]:
    """Place a hold and use it in one batch, or try to: the name may be taken by another one, or by none."""
    name = uuid7()
    known = replace(draw(one_of("known")), holds=[name])
    uses = draw(st.lists(st.sampled_from((hold, capture, increment, release)), min_size=1, max_size=4))
    operations = [make(draw, known) for make in (hold, *uses)]
    operations = [replace(one, id=name) if isinstance(one, Hold) else one for one in operations]
    if draw(st.booleans()):
        return [Group(draw(_keys), (one,)) for one in operations]
    return [Group(draw(_keys), tuple(operations))]


@st.composite
def with_another_body(draw: st.DrawFn) -> Group:
    return replace(draw(one_of("sent")), operations=draw(groups(ANYTHING)).operations)


@st.composite
def batches(draw: st.DrawFn) -> list[Group]:
    """Groups of anything, with repeats of earlier ones and of each other, some of another body."""
    malformed = st.sampled_from((Group("", (Release(uuid4()),)), Group("empty", ()), Group("k" * 256, ())))
    old = one_of("sent")
    batch = draw(
        st.lists(st.one_of(*[groups(ANYTHING)] * 5, old, with_another_body(), malformed), min_size=1, max_size=8)
    )
    places = st.integers(0, len(batch) - 1)
    for key, body in draw(st.lists(st.tuples(places, places), max_size=2)):
        batch.append(replace(batch[key], operations=batch[body].operations))
        batch.append(batch[key])
    return batch
