"""What a line about the platform's own money posts, for every sign its amounts can have."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import AccountKind, Line
from providers.payments.base import BalanceEntry, BalanceKind, Subject
from services.fold import OWN_MONEY, Contradiction, moves_nothing, own_money

AT = datetime(2026, 5, 4, 12, tzinfo=UTC)
units = st.integers(-10_000, 10_000)


def line(kind: BalanceKind, amount: int, fee: int = 0, currency: str = "USD") -> BalanceEntry:
    return BalanceEntry("txn_1", kind, Subject.BALANCE_ENTRY, "txn_1", amount, fee, amount - fee, currency, AT, AT)


def moved(entry: BalanceEntry, kind: AccountKind) -> int:
    """Return what a line's group adds to an account of a kind: credits less debits."""
    draft = own_money(entry, "sandbox")
    assert draft is not None
    return sum(
        each.amount if each.credit.kind is kind else -each.amount
        for each in draft.lines
        if isinstance(each, Line) and kind in {each.credit.kind, each.debit.kind}
    )


@given(st.sampled_from(sorted(OWN_MONEY)), units, units)
def test_line_moves_its_net_of_the_balance_and_its_fee_to_the_fees_or_is_refused(
    kind: BalanceKind, amount: int, fee: int
) -> None:
    entry = line(kind, amount, fee)
    wrong = {
        BalanceKind.PLATFORM_PAYOUT: amount >= 0,
        BalanceKind.PLATFORM_PAYOUT_RETURNED: amount <= 0,
        BalanceKind.TOP_UP: amount == 0,
        BalanceKind.PROVIDER_FEE: False,
    }[kind]
    if moves_nothing(kind, entry.net, fee):
        assert own_money(entry, "sandbox") is None
    elif wrong:
        with pytest.raises(Contradiction, match="txn_1"):
            own_money(entry, "sandbox")
    else:
        # What lies at the provider is below zero.
        assert moved(entry, AccountKind.BALANCE) == -entry.net
        billed = kind is BalanceKind.PROVIDER_FEE
        assert moved(entry, AccountKind.PROVIDER_FEES) == (entry.net if billed else -fee)
        assert moved(entry, AccountKind.BANK) == (0 if billed else amount)


def test_group_is_the_lines_and_happened_when_it_did() -> None:
    draft = own_money(line(BalanceKind.PLATFORM_PAYOUT, -500, 3), "sandbox")
    assert draft is not None
    assert (draft.key, draft.effective_at, draft.undoes) == ("platform_payout:sandbox:txn_1", AT, None)


@pytest.mark.parametrize("kind", sorted(set(BalanceKind) - OWN_MONEY))
def test_line_about_anything_else_posts_nothing(kind: BalanceKind) -> None:
    assert own_money(line(kind, -500, 3), "sandbox") is None


def test_line_that_does_not_add_up_is_refused() -> None:
    with pytest.raises(Contradiction, match="txn_1"):
        own_money(replace(line(BalanceKind.TOP_UP, 500), net=499), "sandbox")
