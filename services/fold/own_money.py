"""The platform's own money with a provider: what a line of the provider's books about it posts."""

from typing import Any, Final

from ledger import Draft, chart
from providers.payments.base import BalanceEntry, BalanceKind
from services.fold.contradictions import Contradiction

OWN_MONEY: Final = frozenset(
    {
        BalanceKind.PLATFORM_PAYOUT,
        BalanceKind.PLATFORM_PAYOUT_RETURNED,
        BalanceKind.TOP_UP,
        BalanceKind.PROVIDER_FEE,
    }
)


def own_money(entry: BalanceEntry, provider: str) -> Draft | None:
    """Return what a line posts; None for one about anything else, which its object settles, or that moves nothing.

    Raises ``Contradiction`` for amounts that cannot be true of such a line.
    """
    if entry.kind not in OWN_MONEY:
        return None
    ensure_adds_up(entry)
    if moves_nothing(entry.kind, entry.net, entry.fee):
        return None
    place: dict[str, Any] = {
        "provider": provider,
        "balance_transaction": entry.id,
        "asset": entry.currency,
        "effective_at": entry.at,
    }
    match entry.kind:
        case BalanceKind.PROVIDER_FEE:
            return chart.provider_fee(**place, amount=-entry.net)
        case BalanceKind.PLATFORM_PAYOUT if entry.amount < 0:
            return chart.platform_payout(**place, amount=-entry.amount, fee=entry.fee)
        case BalanceKind.PLATFORM_PAYOUT_RETURNED if entry.amount > 0:
            return chart.platform_payout_returned(**place, amount=entry.amount, fee=entry.fee)
        case BalanceKind.TOP_UP if entry.amount:
            return chart.platform_top_up(**place, amount=entry.amount, fee=entry.fee)
        case _:
            raise Contradiction(f"The provider's line {entry.id} is a {entry.kind} of {entry.amount}.")


def ensure_adds_up(entry: BalanceEntry) -> None:
    """Raise ``Contradiction`` where a line's net is not its amount less its fee."""
    if entry.net != entry.amount - entry.fee:
        raise Contradiction(
            f"The provider's line {entry.id} nets {entry.net}, and its amount less its fee does not."
        )


def moves_nothing(kind: str, net: int, fee: int) -> bool:
    """Whether a line needs no group: of what is billed only the net counts, fee upon fee."""
    return net == 0 and (fee == 0 or kind == BalanceKind.PROVIDER_FEE)
