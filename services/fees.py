"""What the platform keeps of a payment: rules that are data, applied by the database's ``fee_split``."""

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from core.clock import now
from core.errors import ErrorCode, Refused, not_found
from core.money import Money
from core.payments import PaymentKind
from models.database import fetch_one
from services.engine import Engine

_QUOTE: Final = """
    select c.id is not null as creator_found, s.*
    from (select 1) one
    left join creators c on c.id = $1
    left join lateral fee_split($2, $3, c.plan, $4, $5) s on true
"""


@dataclass(frozen=True, slots=True)
class Quote:
    """How a gross amount would be split now. All amounts in the gross's currency; net + fee + tax = gross."""

    gross: Money
    percent_basis_points: int
    fixed_fee: Money
    fee: Money
    tax: Money
    net: Money


async def quote(engine: Engine, kind: PaymentKind, creator_id: UUID, gross: Money) -> Quote:
    """Return what a payment to a creator would cost, as it will stand on their statement.

    Errors: NOT_FOUND, CURRENCY_NOT_SUPPORTED, AMOUNT_TOO_SMALL, AMOUNT_TOO_LARGE.
    """
    ensure_chargeable(engine, gross)
    row = await fetch_one(
        engine.database.reader, _QUOTE, creator_id, kind.value, gross.currency.code, gross.minor, now()
    )
    if not row["creator_found"]:
        raise not_found("creator", "creatorId")
    ensure_split(row)

    def amount(column: str) -> Money:
        return Money(int(row[column]), gross.currency)

    return Quote(
        gross=gross,
        percent_basis_points=row["percent_basis_points"],
        fixed_fee=amount("fixed"),
        fee=amount("fee"),
        tax=amount("tax"),
        net=amount("net"),
    )


def ensure_chargeable(engine: Engine, amount: Money) -> None:
    """Refuse what the provider could not charge: CURRENCY_NOT_SUPPORTED, AMOUNT_TOO_SMALL, AMOUNT_TOO_LARGE."""
    limits = engine.provider.capabilities.currencies.get(amount.currency.code)
    if limits is None:
        raise currency_not_supported()
    smallest, largest = limits
    data = {"minimum": smallest, "maximum": largest, "currency": amount.currency.code}
    if amount.minor > largest:
        limit = Money(largest, amount.currency)
        raise Refused(
            ErrorCode.AMOUNT_TOO_LARGE,
            f"At most {limit.amount} {limit.currency.code} can be paid at once.",
            path=("amount", "amount"),
            data=data,
        )
    if amount.minor < smallest:
        raise Refused(
            ErrorCode.AMOUNT_TOO_SMALL,
            f"At least {Money(smallest, amount.currency).amount} {amount.currency.code} has to be paid.",
            path=("amount", "amount"),
            data=data,
        )


def ensure_split(row: Any) -> None:
    """Refuse a split that no rule speaks of, or that leaves nothing to the creator."""
    if row is None or row["rule_id"] is None:
        raise currency_not_supported()
    if row["net"] < 1:
        raise amount_too_small()


def currency_not_supported() -> Refused:
    """Return the refusal of a currency that nothing can be paid in."""
    return Refused(
        ErrorCode.CURRENCY_NOT_SUPPORTED,
        "Payments are not taken in this currency. Use one that the creator's other prices are in.",
        path=("amount", "currency"),
    )


def amount_too_small() -> Refused:
    """Return the refusal of an amount the fees would eat up."""
    return Refused(
        ErrorCode.AMOUNT_TOO_SMALL,
        "The fees would leave nothing for the creator. Send a larger amount.",
        path=("amount", "amount"),
    )
