"""What a provider's lines say beyond the payments they are for: the platform's own money, and other currencies."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

import structlog

from ledger import chart
from models.database import Connection
from providers.payments.base import BalanceEntry, ChargeFact, DisputeFact, PaymentFact, RefundFact
from services import fold
from services.fold import Contradiction, Known, ReturnFact, own_money

_NOT_DECLARED: Final = "The provider moved {}, which is no asset here: declare it first."
_DECLARED: Final = "select code from ledger.asset where code = any($1::text[])"

log = structlog.get_logger(__name__)


async def settle_own_money(
    connection: Connection, entries: Sequence[BalanceEntry], provider: str
) -> tuple[list[chart.Draft], dict[str, str]]:
    """Return what lines about the platform's own money post, and why some do not."""
    undeclared = await find_undeclared(connection, {entry.currency for entry in entries})
    drafts: list[chart.Draft] = []
    untrue: dict[str, str] = {}
    for entry in entries:
        try:
            draft = own_money(entry, provider)
        except Contradiction as contradiction:
            untrue[entry.id] = str(contradiction)
            continue
        if draft is not None and entry.currency in undeclared:
            untrue[entry.id] = _NOT_DECLARED.format(entry.currency)
        elif draft is not None:
            drafts.append(draft)
    return drafts, untrue


async def find_undeclared(connection: Connection, codes: Collection[str]) -> frozenset[str]:
    """Return those of some currencies that are no assets of ours."""
    if not codes:
        return frozenset()
    return frozenset(codes) - {row["code"] for row in await connection.fetch(_DECLARED, list(codes))}


def ensure_declared(undeclared: Iterable[str]) -> None:
    """Raise ``Contradiction`` where there is any currency that is no asset of ours."""
    for code in undeclared:
        raise Contradiction(_NOT_DECLARED.format(code))


def foreign_codes(row: Any, facts: Iterable[PaymentFact | ChargeFact | BalanceEntry | ReturnFact]) -> set[str]:
    """Return the currencies that the provider converted a payment's money into."""
    codes: set[str | None] = set()
    for fact in facts:
        match fact:
            case ChargeFact() | BalanceEntry():
                codes.add(fact.currency)
            case RefundFact():
                codes.update(move.currency for move in (fact.converted, fact.return_converted) if move)
            case DisputeFact():
                codes.update(move.currency for move in (fact.withdrawal, fact.reinstatement) if move)
    return {code for code in codes if code is not None and code != row["currency"]}


def charge(row: Any, fact: ChargeFact) -> chart.Draft:
    """Return what a charge of a payment posts; where the provider converted it, that waits in suspense."""
    posting = chart.charge if fact.currency == row["currency"] else chart.foreign_settlement
    return posting(
        provider=row["provider"],
        balance_transaction=fact.balance_transaction,
        asset=fact.currency,
        gross=fact.gross,
        provider_fee=fact.fee,
        reference=row["id"],
        effective_at=fact.at,
    )


def let_go(row: Any, entry: BalanceEntry) -> chart.Draft:
    """Return what was let go of a payment posts. Raises ``Contradiction``."""
    return fold.let_go(Known.of(row), entry, provider=row["provider"], payment=row["id"])


def raise_alarm(drafts: Iterable[tuple[Any, chart.Draft]]) -> None:
    """Say aloud which of some payments' groups go to suspense: somebody has to convert them."""
    for key, payment_id in {draft.key: row["id"] for row, draft in drafts}.items():
        if key.startswith(f"{chart.BalanceTransaction.FOREIGN_SETTLEMENT}:"):
            log.error("provider settled in another currency", payment=str(payment_id), group=key)
