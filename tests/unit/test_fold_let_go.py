"""What a line about a part capture posts: what was let go, out of clearing, and nothing that cannot be true."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from ledger import Draft, Line
from providers.payments.base import BalanceEntry, BalanceKind, Subject
from services.fold import Contradiction, Known, is_let_go, let_go

AT = datetime(2026, 5, 4, 12, tzinfo=UTC)
PAYMENT = uuid4()
RESERVED = Known(gross=1250, currency="USD", manual_capture=True)
LINE = BalanceEntry(
    "txn_1", BalanceKind.CAPTURE_REVERSED, Subject.BALANCE_ENTRY, "txn_1", -750, 0, -750, "USD", AT, AT, PAYMENT
)


def posted(known: Known, entry: BalanceEntry) -> Draft:
    return let_go(known, entry, provider="stripe", payment=PAYMENT)


def moves(draft: Draft) -> list[tuple[str, str, int, object]]:
    return [
        (line.debit.kind.value, line.credit.kind.value, line.amount, line.reference)
        for line in draft.lines
        if isinstance(line, Line)
    ]


def test_what_was_let_go_leaves_clearing_and_the_balance() -> None:
    draft = posted(RESERVED, LINE)
    assert (draft.key, draft.effective_at) == ("capture_reversed:stripe:txn_1", AT)
    assert moves(draft) == [("clearing", "balance", 750, PAYMENT)]


def test_fee_that_is_given_back_for_it_comes_out_of_the_fees() -> None:
    assert moves(posted(RESERVED, replace(LINE, fee=-22, net=-728)))[1:] == [
        ("balance", "provider_fees", 22, PAYMENT)
    ]


def test_what_was_converted_waits_in_suspense() -> None:
    draft = posted(RESERVED, replace(LINE, currency="EUR", amount=-2_000, net=-2_000))
    assert draft.key == "foreign_settlement:stripe:txn_1"
    assert moves(draft) == [("suspense", "balance", 2_000, PAYMENT)]


@pytest.mark.parametrize(
    ("known", "entry"),
    [
        (RESERVED, replace(LINE, net=-749)),
        (RESERVED, replace(LINE, amount=0, net=0)),
        (RESERVED, replace(LINE, amount=750, net=750)),
        (RESERVED, replace(LINE, amount=-1250, net=-1250)),
        (replace(RESERVED, manual_capture=False), LINE),
    ],
)
def test_line_that_cannot_be_true_is_refused_and_named(known: Known, entry: BalanceEntry) -> None:
    with pytest.raises(Contradiction, match="txn_1"):
        posted(known, entry)


def test_line_is_of_a_payment_where_it_names_one() -> None:
    assert is_let_go(LINE)
    assert not is_let_go(replace(LINE, reference=None))
    assert not is_let_go(replace(LINE, kind=BalanceKind.CHARGE))
