"""A difference: two places that should say the same and do not."""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from core import ids
from core.ids import Noun
from providers.payments.base import Event, Subject
from services.reconciliation.codes import MEANINGS, DifferenceCode


class AboutKind(StrEnum):
    """What a difference can be about."""

    PAYMENT = "payment"
    REFUND = "refund"
    DISPUTE = "dispute"
    PAYOUT = "payout"
    CREATOR = "creator"
    ORDER = "order"
    VARIANT = "variant"
    BALANCE_TRANSACTION = "balance_transaction"
    CURRENCY = "currency"
    EVENT = "event"
    OUTBOX = "outbox"
    INVARIANT = "invariant"
    ACCOUNT = "account"
    PROVIDER = "provider"


_NOUNS = {
    AboutKind.PAYMENT: Noun.PAYMENT,
    AboutKind.REFUND: Noun.REFUND,
    AboutKind.DISPUTE: Noun.DISPUTE,
    AboutKind.PAYOUT: Noun.PAYOUT,
    AboutKind.CREATOR: Noun.CREATOR,
    AboutKind.ORDER: Noun.ORDER,
    AboutKind.VARIANT: Noun.VARIANT,
}


@dataclass(frozen=True, slots=True)
class About:
    """What a difference is about: its kind, and its id as it is shown (``pay_…``, or the provider's own)."""

    kind: AboutKind
    id: str

    @classmethod
    def ours(cls, kind: AboutKind, key: UUID) -> Self:
        """Return one of our own objects, by its prefixed id."""
        return cls(kind, ids.encode(_NOUNS[kind], key))


@dataclass(frozen=True, slots=True)
class LookUp:
    """A safe remedy: ask the provider for an object, by its own id or else by ours, and settle what it says."""

    subject: Subject
    provider_reference: str | None = None
    reference: UUID | None = None


@dataclass(frozen=True, slots=True)
class StoreEvent:
    """A safe remedy: store an event that never reached the inbox; the workers settle it from there."""

    event: Event


Remedy = LookUp | StoreEvent


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs, in a sentence. Amounts are in minor units of ``currency``, where there are any.

    ``expected`` is what the other side, or the rule, makes it and ``found`` what stands here. ``remedies`` are
    what may be done about it without a person, in their order; none where only a person can judge. ``failure``
    is why mending did not help.
    """

    code: DifferenceCode
    about: About
    sentence: str
    currency: str | None = None
    expected: int | None = None
    found: int | None = None
    remedies: tuple[Remedy, ...] = field(default=(), compare=False, repr=False)
    mended: bool = field(default=False, compare=False)
    failure: str | None = field(default=None, compare=False)

    @property
    def key(self) -> tuple[DifferenceCode, About]:
        """What makes it the same difference in another run."""
        return self.code, self.about

    @property
    def safe(self) -> bool:
        """Whether it can be mended by looking up facts and settling them, and by nothing else."""
        return bool(self.remedies)

    @property
    def why(self) -> str:
        """Why it matters."""
        return MEANINGS[self.code].why

    @property
    def fix(self) -> str:
        """What to do about it."""
        return MEANINGS[self.code].fix

    def after_mending(self, *, mended: bool, failure: str | None) -> Self:
        """Return the same difference with what became of it."""
        return replace(self, mended=mended, failure=None if mended else failure)

    def as_json(self) -> dict[str, Any]:
        """Return it as it is recorded and printed: no personal data, amounts in minor units."""
        return {
            "code": self.code.value,
            "subject": {"kind": self.about.kind.value, "id": self.about.id},
            "what": self.sentence,
            "why": self.why,
            "fix": self.fix,
            "safe": self.safe,
            "mended": self.mended,
            "failure": self.failure,
            "currency": self.currency,
            "expected_minor": self.expected,
            "found_minor": self.found,
        }
