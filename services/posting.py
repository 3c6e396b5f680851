"""Posting: what a transaction has to tell the ledger, as the last thing it does."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import ledger
from ledger import AccountKind, chart
from models.database import Connection
from services.engine import Engine


@dataclass(frozen=True, slots=True)
class GaveBack:
    """A refund or a dispute that gave money back to a creator, who may owe nothing any more.

    ``share`` is whose it is of a payment for several creators.
    """

    by: UUID
    creator_id: UUID
    asset: str
    share: UUID | None = None


class LedgerRefusedError(Exception):
    """The ledger refused what a provider reported as done: books and provider disagree."""


async def post(
    engine: Engine, connection: Connection, drafts: Sequence[chart.Draft], gave_back: Sequence[GaveBack] = ()
) -> None:
    """Post what has happened; the last thing a transaction does. Raises ``LedgerRefusedError``."""
    wave: list[chart.Draft] = []
    keys: set[str] = set()
    for draft in drafts:
        if draft.undoes in keys:
            # What is undone has to be there first.
            await _post(engine, connection, wave)
            wave, keys = [], set()
        wave.append(draft)
        keys.add(draft.key)
    await _post(engine, connection, wave)
    if gave_back:
        await _let_go_of_paid_debts(engine, connection, gave_back)


async def _post(engine: Engine, connection: Connection, drafts: Sequence[chart.Draft]) -> None:
    if not drafts:
        return
    groups = await engine.accounts.groups(drafts, on=connection)
    outcomes = await ledger.post(groups, on=connection)
    for draft, outcome in zip(drafts, outcomes, strict=True):
        if isinstance(outcome, ledger.Refused):
            raise LedgerRefusedError(f"{draft.key}: {outcome.code}")


async def _let_go_of_paid_debts(engine: Engine, connection: Connection, gave_back: Sequence[GaveBack]) -> None:
    """Make available what stands above zero of debts that turned out to be none."""
    specs = [chart.creator(AccountKind.OWED, back.asset, back.creator_id) for back in gave_back]
    ids = await ledger.find(specs, on=connection)
    balances = await ledger.balances(list(set(ids.values())), on=connection)
    drafts = []
    for back, spec in zip(gave_back, specs, strict=True):
        over = balances[ids[spec]].posted if spec in ids else 0
        if over > 0:
            drafts.append(
                chart.overpaid_debt(
                    returned_by=back.by,
                    creator_id=back.creator_id,
                    asset=back.asset,
                    amount=over,
                    share=back.share,
                )
            )
            del ids[spec]  # once is enough, whichever of several gave it back
    await _post(engine, connection, drafts)
