"""Every kind of difference: its stable code, why it matters, and what to do about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class DifferenceCode(StrEnum):
    """Every kind of difference there is. A code never changes its meaning."""

    PROVIDER_SILENT = "PROVIDER_SILENT"
    CHECK_FAILED = "CHECK_FAILED"
    # The provider's books and the ledger.
    LINE_NOT_IN_LEDGER = "LINE_NOT_IN_LEDGER"
    LINE_UNEXPLAINED = "LINE_UNEXPLAINED"
    LINE_DIFFERS = "LINE_DIFFERS"
    GROUP_NOT_IN_BOOKS = "GROUP_NOT_IN_BOOKS"
    BOOKS_DO_NOT_SUM = "BOOKS_DO_NOT_SUM"
    BALANCE_DIFFERS = "BALANCE_DIFFERS"
    SETTLED_IN_OTHER_CURRENCY = "SETTLED_IN_OTHER_CURRENCY"
    # Payments.
    CAPTURE_NOT_POSTED = "CAPTURE_NOT_POSTED"
    CAPTURE_NOT_CAPTURED = "CAPTURE_NOT_CAPTURED"
    CAPTURE_AMOUNT_DIFFERS = "CAPTURE_AMOUNT_DIFFERS"
    CHARGE_MISSING = "CHARGE_MISSING"
    PAYMENT_STATUS_DIFFERS = "PAYMENT_STATUS_DIFFERS"
    PAYMENT_EVENTS_DIFFER = "PAYMENT_EVENTS_DIFFER"
    PAYMENT_RETURNS_DIFFER = "PAYMENT_RETURNS_DIFFER"
    SHARES_DIFFER = "SHARES_DIFFER"
    SHARE_POSTING_DIFFERS = "SHARE_POSTING_DIFFERS"
    PAYMENT_OUTDATED = "PAYMENT_OUTDATED"
    PAYMENT_STUCK = "PAYMENT_STUCK"
    PAYMENT_UNKNOWN = "PAYMENT_UNKNOWN"
    # What payments are for, and what they earn.
    ITEM_MISSING = "ITEM_MISSING"
    ITEM_OF_OTHER_KIND = "ITEM_OF_OTHER_KIND"
    ITEM_CREATOR_DIFFERS = "ITEM_CREATOR_DIFFERS"
    STOCK_NOT_RELEASED = "STOCK_NOT_RELEASED"
    STOCK_RELEASED_WRONGLY = "STOCK_RELEASED_WRONGLY"
    STOCK_SOLD_WRONGLY = "STOCK_SOLD_WRONGLY"
    STOCK_LEVEL_DIFFERS = "STOCK_LEVEL_DIFFERS"
    EARNINGS_DIFFER = "EARNINGS_DIFFER"
    # Refunds.
    REFUND_POSTING_DIFFERS = "REFUND_POSTING_DIFFERS"
    REFUND_RETURN_POSTING_DIFFERS = "REFUND_RETURN_POSTING_DIFFERS"
    REFUND_TRANSACTION_NOT_POSTED = "REFUND_TRANSACTION_NOT_POSTED"
    REFUND_OUTDATED = "REFUND_OUTDATED"
    REFUND_STUCK = "REFUND_STUCK"
    REFUND_UNKNOWN = "REFUND_UNKNOWN"
    # Disputes.
    DISPUTE_POSTING_DIFFERS = "DISPUTE_POSTING_DIFFERS"
    DISPUTE_RETURN_POSTING_DIFFERS = "DISPUTE_RETURN_POSTING_DIFFERS"
    DISPUTE_OUTDATED = "DISPUTE_OUTDATED"
    DISPUTE_STUCK = "DISPUTE_STUCK"
    DISPUTE_UNKNOWN = "DISPUTE_UNKNOWN"
    # Payouts.
    PAYOUT_POSTING_DIFFERS = "PAYOUT_POSTING_DIFFERS"
    PAYOUT_TRANSACTION_NOT_POSTED = "PAYOUT_TRANSACTION_NOT_POSTED"
    PAYOUT_OUTDATED = "PAYOUT_OUTDATED"
    PAYOUT_STUCK = "PAYOUT_STUCK"
    PAYOUT_UNKNOWN = "PAYOUT_UNKNOWN"
    # What was told, and what is to be told.
    EVENT_MISSED = "EVENT_MISSED"
    EVENT_DEAD = "EVENT_DEAD"
    EVENT_QUARANTINED = "EVENT_QUARANTINED"
    EVENT_PENDING = "EVENT_PENDING"
    OUTBOX_NOT_RELAYED = "OUTBOX_NOT_RELAYED"
    # The ledger itself.
    INVARIANT_BROKEN = "INVARIANT_BROKEN"
    CLEARING_OPEN = "CLEARING_OPEN"


@dataclass(frozen=True, slots=True)
class Meaning:
    """Why a difference matters, and what to do about it."""

    why: str
    fix: str


_LOOK_UP: Final = "Run with --fix: the provider is asked and its answer settled, as a webhook would be."
_ALARM: Final = "A person has to judge: nothing is changed."
_BY_HAND: Final = f"{_ALARM} Compare with the provider's dashboard before correcting by a reversal."
_CODE_OR_HAND: Final = (
    f"{_ALARM} Settlement writes both in one transaction, so somebody wrote past it: find out who."
)
_WORKER: Final = "See that a worker runs; it looks these up by itself. If it does, see its log for this id."

_MEANINGS: Final[dict[DifferenceCode, Meaning]] = {
    DifferenceCode.PROVIDER_SILENT: Meaning(
        "What was not compared may differ.", "Run it again once the provider answers."
    ),
    DifferenceCode.CHECK_FAILED: Meaning(
        "What was not compared may differ.", "See what is wrong with the database, then run it again."
    ),
    DifferenceCode.LINE_NOT_IN_LEDGER: Meaning(
        "Money moved at the provider that our books do not know of.", _LOOK_UP
    ),
    DifferenceCode.LINE_UNEXPLAINED: Meaning(
        "The provider's balance changed for a reason that is none of our objects.",
        f"{_ALARM} Ask the provider what it is, and post it.",
    ),
    DifferenceCode.LINE_DIFFERS: Meaning("Our books and the provider's tell two stories of one line.", _BY_HAND),
    DifferenceCode.GROUP_NOT_IN_BOOKS: Meaning(
        "Our books say that money moved at the provider, and the provider says it did not.", _BY_HAND
    ),
    DifferenceCode.BOOKS_DO_NOT_SUM: Meaning(
        "The provider's lines do not explain the provider's balance, so matching lines proves less.",
        f"{_ALARM} Run it again when little is paid; if it stays, ask the provider.",
    ),
    DifferenceCode.BALANCE_DIFFERS: Meaning(
        "What the ledger says lies at the provider is not what lies there.",
        "The differences of single lines explain it: mend those first. What is left then is for a person.",
    ),
    DifferenceCode.SETTLED_IN_OTHER_CURRENCY: Meaning(
        "The provider converted it: it waits in suspense, and what is due of it waits in clearing.",
        f"{_ALARM} Post its conversion into clearing (docs/ledger.md), and let the provider keep that currency.",
    ),
    DifferenceCode.CAPTURE_NOT_POSTED: Meaning(
        "The payer was charged, and neither the creator nor the platform got anything for it.", _CODE_OR_HAND
    ),
    DifferenceCode.CAPTURE_NOT_CAPTURED: Meaning(
        "The ledger gave a creator money that no payment brought in.", _CODE_OR_HAND
    ),
    DifferenceCode.CAPTURE_AMOUNT_DIFFERS: Meaning(
        "What was given to creator and platform is not what the payer paid.", _CODE_OR_HAND
    ),
    DifferenceCode.CHARGE_MISSING: Meaning(
        "The creator was credited with money that the provider has not accounted for.", _LOOK_UP
    ),
    DifferenceCode.PAYMENT_STATUS_DIFFERS: Meaning(
        "Payer and creator are shown something that does not follow from the facts.", _CODE_OR_HAND
    ),
    DifferenceCode.PAYMENT_EVENTS_DIFFER: Meaning(
        "Whoever follows the payment live ends up with another status than whoever reads it.", _CODE_OR_HAND
    ),
    DifferenceCode.PAYMENT_RETURNS_DIFFER: Meaning(
        "How much may still be refunded, and what the creator has left of it, is computed from a wrong sum.",
        _CODE_OR_HAND,
    ),
    DifferenceCode.SHARES_DIFFER: Meaning(
        "What each creator has of a payment for several, or gave back of it, is not what the payment says.",
        _CODE_OR_HAND,
    ),
    DifferenceCode.SHARE_POSTING_DIFFERS: Meaning(
        "A creator of a payment for several got, or gave back, another part of it than their share.",
        _CODE_OR_HAND,
    ),
    DifferenceCode.PAYMENT_OUTDATED: Meaning("The payment went on at the provider and not here.", _LOOK_UP),
    DifferenceCode.PAYMENT_STUCK: Meaning(
        "The payer waits for longer than such a payment takes, and the provider has no more to say.", _WORKER
    ),
    DifferenceCode.PAYMENT_UNKNOWN: Meaning(
        "The provider does not know a payment it once gave an id to.",
        f"{_ALARM} See that the provider's account and mode are those it was made with.",
    ),
    DifferenceCode.ITEM_MISSING: Meaning("Somebody pays for nothing that we know of.", _CODE_OR_HAND),
    DifferenceCode.ITEM_OF_OTHER_KIND: Meaning(
        "The fee and the earnings were computed for something else than what was bought.", _CODE_OR_HAND
    ),
    DifferenceCode.ITEM_CREATOR_DIFFERS: Meaning("Another creator is paid than the payer chose.", _CODE_OR_HAND),
    DifferenceCode.STOCK_NOT_RELEASED: Meaning("Something that could be sold is kept for nobody.", _CODE_OR_HAND),
    DifferenceCode.STOCK_RELEASED_WRONGLY: Meaning("Something may be sold twice.", _CODE_OR_HAND),
    DifferenceCode.STOCK_SOLD_WRONGLY: Meaning(
        "Something that could be sold is gone, and nobody paid for it.", _CODE_OR_HAND
    ),
    DifferenceCode.STOCK_LEVEL_DIFFERS: Meaning(
        "More is sold than there is, or what is there is not sold.", _CODE_OR_HAND
    ),
    DifferenceCode.EARNINGS_DIFFER: Meaning(
        "The creator is shown earnings that are not the sum of their payments.", _CODE_OR_HAND
    ),
    DifferenceCode.REFUND_POSTING_DIFFERS: Meaning(
        "The payer gets money back that nobody gave, or somebody gave what the payer does not get.", _CODE_OR_HAND
    ),
    DifferenceCode.REFUND_RETURN_POSTING_DIFFERS: Meaning(
        "A refund that failed was not given back to those who paid for it, or was without having failed.",
        _CODE_OR_HAND,
    ),
    DifferenceCode.REFUND_TRANSACTION_NOT_POSTED: Meaning(
        "The provider paid or took back a refund, and our books do not say so.", _CODE_OR_HAND
    ),
    DifferenceCode.REFUND_OUTDATED: Meaning("The refund went on at the provider and not here.", _LOOK_UP),
    DifferenceCode.REFUND_STUCK: Meaning(
        "A payer waits for their money for longer than a refund takes, and the provider has no more to say.",
        _WORKER,
    ),
    DifferenceCode.REFUND_UNKNOWN: Meaning(
        "The provider does not know a refund it once gave an id to.",
        f"{_ALARM} See that the provider's account and mode are those it was made with.",
    ),
    DifferenceCode.DISPUTE_POSTING_DIFFERS: Meaning(
        "What a payer's bank took, and what our books say it took, are two things.", _CODE_OR_HAND
    ),
    DifferenceCode.DISPUTE_RETURN_POSTING_DIFFERS: Meaning(
        "What came back of a dispute, or was written off, is not what our books say.", _CODE_OR_HAND
    ),
    DifferenceCode.DISPUTE_OUTDATED: Meaning("The dispute went on at the provider and not here.", _LOOK_UP),
    DifferenceCode.DISPUTE_STUCK: Meaning(
        "The time to answer is over, and the provider has not said how it ended.",
        "Ask the provider how it stands. Evidence that was never handed in is lost.",
    ),
    DifferenceCode.DISPUTE_UNKNOWN: Meaning(
        "The provider does not know a dispute that it told of.",
        f"{_ALARM} See that the provider's account and mode are those it was told from.",
    ),
    DifferenceCode.PAYOUT_POSTING_DIFFERS: Meaning(
        "The creator's money is not where the payout says it is.", _CODE_OR_HAND
    ),
    DifferenceCode.PAYOUT_TRANSACTION_NOT_POSTED: Meaning(
        "The provider moved a payout's money, and our books do not say so.", _CODE_OR_HAND
    ),
    DifferenceCode.PAYOUT_OUTDATED: Meaning("The payout went on at the provider and not here.", _LOOK_UP),
    DifferenceCode.PAYOUT_STUCK: Meaning(
        "A creator waits for their money for longer than this step takes, and the provider has no more to say.",
        _WORKER,
    ),
    DifferenceCode.PAYOUT_UNKNOWN: Meaning(
        "The provider does not know a payout or transfer it once gave an id to.",
        f"{_ALARM} See that the provider's account and mode are those it was made with.",
    ),
    DifferenceCode.EVENT_MISSED: Meaning(
        "The provider told something that never arrived.",
        "Run with --fix: it is stored as if it had just arrived, and the workers settle it.",
    ),
    DifferenceCode.EVENT_DEAD: Meaning(
        "What the provider told was given up, so what it says is not settled.",
        f"{_ALARM} Its error says why; once the cause is gone, let it be processed again.",
    ),
    DifferenceCode.EVENT_QUARANTINED: Meaning(
        "The provider tells this deployment of what is not its own, or in words it does not speak.",
        f"{_ALARM} Its error says why; once the settings or the provider's are right, let it be processed again.",
    ),
    DifferenceCode.EVENT_PENDING: Meaning(
        "What the provider told has waited for long and is not settled.",
        "See that a worker runs. If it does, the event's error says what it waits for.",
    ),
    DifferenceCode.OUTBOX_NOT_RELAYED: Meaning(
        "Those who follow payments live are told late.",
        "See that a web process runs, that its relay reaches the bus, and that no transaction stays open.",
    ),
    DifferenceCode.INVARIANT_BROKEN: Meaning(
        "The ledger is not sound: nothing it says of balances can be trusted until it is.",
        f"{_ALARM} Stop paying out, and see docs/ledger.md.",
    ),
    DifferenceCode.CLEARING_OPEN: Meaning(
        "Money has been on its way for longer than money takes.",
        "The other differences of the same payment say what is missing: mend those first.",
    ),
}

MEANINGS: Final[Mapping[DifferenceCode, Meaning]] = MappingProxyType(_MEANINGS)
