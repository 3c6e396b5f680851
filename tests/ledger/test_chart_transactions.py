"""Each balance transaction of a provider has its group, and nothing else touches the provider's balance."""

import pytest

from ledger import AccountKind, AccountSpec, Draft
from ledger.chart import BALANCE_MOVEMENTS, BalanceTransaction, Line
from tests.ledger.chart_events import EVENTS, REVERSALS, withdrawn, won

DRAFTS = [
    *(draft for draft, _, _ in [*EVENTS, *REVERSALS]),
    *(withdrawn(amount) for amount in (490, 510)),
    *(won(fee_kept=1500, difference=difference) for difference in (-10, 10)),
]
BY_KEY = {draft.key: draft for draft in DRAFTS}


def on_balance(draft: Draft) -> set[tuple[AccountSpec, AccountSpec]]:
    """The movements (debit, credit) of a draft that touch a provider's balance, those it sends back included."""
    own = {(line.debit, line.credit) for line in draft.lines if isinstance(line, Line)}
    undone = {(credit, debit) for debit, credit in on_balance(BY_KEY[draft.undoes])} if draft.undoes else set()
    return {pair for pair in own | undone if AccountKind.BALANCE in {spec.kind for spec in pair}}


@pytest.mark.parametrize("draft", DRAFTS, ids=lambda draft: draft.key)
def test_group_touches_a_providers_balance_as_its_key_says(draft: Draft) -> None:
    prefix = draft.key.split(":")[0]
    movements = on_balance(draft)
    if prefix in set(BalanceTransaction):
        _, provider, _ = draft.key.split(":")
        kinds = {(debit.kind, credit.kind) for debit, credit in movements}
        assert kinds
        assert kinds <= BALANCE_MOVEMENTS[BalanceTransaction(prefix)]
        assert {spec.provider for pair in movements for spec in pair} <= {provider, None}
    else:
        assert movements == set()


def test_every_movement_that_is_allowed_happens() -> None:
    happens = {
        transaction: {
            (debit.kind, credit.kind)
            for draft in DRAFTS
            if draft.key.split(":")[0] == transaction
            for debit, credit in on_balance(draft)
        }
        for transaction in BalanceTransaction
    }
    assert happens == dict(BALANCE_MOVEMENTS)
