"""Disputes: what a payer's bank takes back, and what becomes of it.

A dispute that is lost moves nothing: the money left when it was withdrawn, and from then on nobody expects it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from ledger.chart.drafts import Draft, Line, signed_line
from ledger.chart.refunds import Return, return_lines
from ledger.chart.specs import AccountKind, AccountSpec, creator, platform, with_provider
from ledger.chart.transactions import BalanceTransaction


def dispute_withdrawn(
    *,
    dispute: UUID,
    provider: str,
    balance_transaction: str,
    asset: str,
    returns: Sequence[Return],
    withdrawn: int,
    dispute_fee: int,
    effective_at: datetime | None = None,
) -> Draft:
    """Return the group of a dispute's withdrawal, with the provider's fee for it.

    ``returns`` say what of each earning is disputed, ``withdrawn`` what the provider took for that: the two
    differ where it converted at another day's rate, and the difference is the platform's. Amounts are in the
    asset's smallest unit.
    """
    balance = with_provider(AccountKind.BALANCE, asset, provider)
    clearing = with_provider(AccountKind.CLEARING, asset, provider)
    difference = withdrawn - sum(part.split.gross for part in returns)
    return Draft.of(
        BalanceTransaction.DISPUTE_WITHDRAWN.key(provider, balance_transaction),
        *return_lines(returns, provider=provider, asset=asset, event="dispute", reference=dispute),
        _loss(difference, clearing, asset, "dispute.difference", dispute),
        Line(clearing, balance, withdrawn, "dispute.withdrawn", dispute),
        Line(platform(AccountKind.DISPUTE_FEES, asset), balance, dispute_fee, "dispute.provider_fee", dispute),
        effective_at=effective_at,
    )


def dispute_taken(
    *,
    dispute: UUID,
    provider: str,
    asset: str,
    returns: Sequence[Return],
    amount: int,
    effective_at: datetime | None = None,
) -> Draft:
    """Return the group of a withdrawal that the provider made in another currency, without the provider's line.

    That line is a :func:`foreign_settlement`, and clearing holds what is disputed until somebody converts.
    ``returns`` say what of each earning is disputed and ``amount`` all that is, in the asset's smallest unit: the
    platform bears what was not there any more.
    """
    clearing = with_provider(AccountKind.CLEARING, asset, provider)
    beyond = amount - sum(part.split.gross for part in returns)
    return Draft.of(
        _taken(dispute),
        *return_lines(returns, provider=provider, asset=asset, event="dispute", reference=dispute),
        _loss(beyond, clearing, asset, "dispute.difference", dispute),
        effective_at=effective_at,
    )


def dispute_given_back(*, dispute: UUID, effective_at: datetime | None = None) -> Draft:
    """Return the group of a dispute that was won, where :func:`dispute_taken` had taken it: it is sent back."""
    return Draft.undoing(
        _taken(dispute),
        f"{_taken(dispute)}:undone",
        kind="dispute.given_back",
        reference=dispute,
        effective_at=effective_at,
    )


def dispute_won(
    *,
    dispute: UUID,
    provider: str,
    balance_transaction: str,
    withdrawal: str,
    asset: str,
    fee_kept: int = 0,
    difference: int = 0,
    effective_at: datetime | None = None,
) -> Draft:
    """Return the group of a dispute that was won, also if it had been lost before: all of it comes back.

    ``withdrawal`` is the balance transaction that had taken it. ``fee_kept`` is what the provider keeps of its
    fee all the same, and ``difference`` how much less it gave back than it had withdrawn (negative: more),
    where it converted at another day's rate; both in the asset's smallest unit.
    """
    balance = with_provider(AccountKind.BALANCE, asset, provider)
    return Draft.undoing(
        BalanceTransaction.DISPUTE_WITHDRAWN.key(provider, withdrawal),
        BalanceTransaction.DISPUTE_WON.key(provider, balance_transaction),
        Line(platform(AccountKind.DISPUTE_FEES, asset), balance, fee_kept, "dispute.provider_fee", dispute),
        _loss(difference, balance, asset, "dispute.difference", dispute),
        kind="dispute.won",
        reference=dispute,
        effective_at=effective_at,
    )


def dispute_written_off(
    *,
    dispute: UUID,
    asset: str,
    debts: Mapping[UUID, int],
    effective_at: datetime | None = None,
) -> Draft:
    """Return the group of debts that the platform bears itself, because the creators will not pay them.

    ``debts`` are what each creator still owes for the dispute, in the asset's smallest unit; usually there is one.
    """
    return Draft.of(
        _written_off(dispute),
        *(
            Line(
                platform(AccountKind.CHARGEBACKS, asset),
                creator(AccountKind.OWED, asset, creator_id),
                amount,
                "dispute.written_off",
                dispute,
            )
            for creator_id, amount in debts.items()
        ),
        effective_at=effective_at,
    )


def write_off_undone(*, dispute: UUID, effective_at: datetime | None = None) -> Draft:
    """Return the group that takes back a write-off: the dispute was won on appeal, so nothing is owed for it."""
    return Draft.undoing(
        _written_off(dispute),
        f"{_written_off(dispute)}:undone",
        kind="dispute.write_off_undone",
        reference=dispute,
        effective_at=effective_at,
    )


def _taken(dispute: UUID) -> str:
    return f"dispute:{dispute}:taken"


def _written_off(dispute: UUID) -> str:
    return f"dispute:{dispute}:written_off"


def _loss(amount: int, to: AccountSpec, asset: str, kind: str, reference: UUID) -> Line:
    """Return the line by which the platform bears a loss, or keeps it if it is a gain."""
    return signed_line(platform(AccountKind.CHARGEBACKS, asset), to, amount, kind, reference)
