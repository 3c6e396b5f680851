"""Expected failures as clients see them: part of every payload, never of the top-level errors."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import strawberry

import core.money
from core.errors import Refused
from core.ids import Noun, encode
from schema.enums import DiscountReason, ErrorCode, NextAction
from schema.money import Money


@strawberry.type(description="What is wrong with one field of an address.")
class AddressFault:
    field: str = strawberry.field(description="The field, such as `postalCode`.")
    reason: str = strawberry.field(description="REQUIRED or INVALID.")


@strawberry.interface(description="An expected failure.")
class UserError:
    code: ErrorCode = strawberry.field(description="The reason, for machines.")
    message: str = strawberry.field(description="The reason, for people.")
    path: list[str] | None = strawberry.field(description="The input field it speaks of, from `input` down.")
    next_action: NextAction = strawberry.field(description="What to do about it.")


@strawberry.type(description="A failure that needs no more data than every failure has.")
class InputError(UserError):
    pass


@strawberry.type(description="There is not enough left of a product.")
class InsufficientStock(UserError):  # ruff: ignore[error-suffix-on-exception-name] - a type of the contract, not an exception
    available: int = strawberry.field(description="How many are left.")
    variant_id: strawberry.ID | None = strawberry.field(
        description="Of which variant, where several were asked for."
    )


@strawberry.type(description="It does not cost any more what was expected.")
class PriceChanged(UserError):  # ruff: ignore[error-suffix-on-exception-name] - a type of the contract, not an exception
    now: Money = strawberry.field(description="What it costs now.")


@strawberry.type(description="A discount is not given.")
class DiscountRejected(UserError):  # ruff: ignore[error-suffix-on-exception-name] - a type of the contract, not an exception
    discount_code: str | None = strawberry.field(description="Its code; null for one that is given without.")
    reason: DiscountReason = strawberry.field(description="Why.")


@strawberry.type(description="One buyer may not have that many.")
class BuyerLimitExceeded(UserError):  # ruff: ignore[error-suffix-on-exception-name] - a type of the contract, not an exception
    left: int = strawberry.field(description="How many more this buyer may have.")
    variant_id: strawberry.ID | None = strawberry.field(description="Of which variant's product.")


@strawberry.type(description="It is not sold yet.")
class NotReleased(UserError):  # ruff: ignore[error-suffix-on-exception-name] - a type of the contract, not an exception
    releases_at: datetime = strawberry.field(description="From when on it is sold.")


@strawberry.type(description="An address is not one of its country.")
class AddressInvalid(UserError):  # ruff: ignore[error-suffix-on-exception-name] - a type of the contract, not an exception
    fields: list[AddressFault] = strawberry.field(description="What is wrong with it.")


@strawberry.type(description="A cart that an order was made of.")
class CartCheckedOut(UserError):  # ruff: ignore[error-suffix-on-exception-name] - a type of the contract, not an exception
    order_id: strawberry.ID = strawberry.field(description="The order: pay it, or cancel it to change the cart.")


@strawberry.type(description="More was named than there is of a line.")
class QuantityTooLarge(UserError):  # ruff: ignore[error-suffix-on-exception-name] - a type of the contract, not an exception
    available: int = strawberry.field(description="How many there are.")


@strawberry.type(description="A payer's bank declined.")
class PaymentDeclined(UserError):  # ruff: ignore[error-suffix-on-exception-name] - a type of the contract, not an exception
    decline_code: str = strawberry.field(
        description="Why, as far as the payer may know: INSUFFICIENT_FUNDS, CARD_EXPIRED, "
        "AUTHENTICATION_FAILED or DECLINED."
    )


@strawberry.type(description="An amount outside what can be charged at once.")
class AmountOutOfRange(UserError):  # ruff: ignore[error-suffix-on-exception-name] - a type of the contract, not an exception
    minimum: Money = strawberry.field(description="The smallest amount that can be charged.")
    maximum: Money = strawberry.field(description="The largest amount that can be charged at once.")


@strawberry.type(description="More was to be given back than is left of a payment.")
class RefundTooLarge(UserError):  # ruff: ignore[error-suffix-on-exception-name] - a type of the contract, not an exception
    refundable: Money = strawberry.field(description="What is left of the payment.")


@strawberry.type(description="Evidence came too late.")
class DisputeResponseLate(UserError):  # ruff: ignore[error-suffix-on-exception-name] - a type of the contract, not an exception
    respond_by: datetime = strawberry.field(description="Until when evidence was taken.")


@strawberry.type(description="More was to be paid out than is available.")
class InsufficientBalance(UserError):  # ruff: ignore[error-suffix-on-exception-name] - a type of the contract, not an exception
    available: Money = strawberry.field(description="What is available.")


@strawberry.type(description="Less was to be paid out than is paid out at once.")
class PayoutBelowMinimum(UserError):  # ruff: ignore[error-suffix-on-exception-name] - a type of the contract, not an exception
    minimum: Money = strawberry.field(description="The smallest payout.")


ERROR_TYPES = (
    InputError,
    InsufficientStock,
    PriceChanged,
    DiscountRejected,
    BuyerLimitExceeded,
    NotReleased,
    AddressInvalid,
    CartCheckedOut,
    QuantityTooLarge,
    PaymentDeclined,
    AmountOutOfRange,
    InsufficientBalance,
    PayoutBelowMinimum,
    RefundTooLarge,
    DisputeResponseLate,
)


def user_error(refused: Refused) -> UserError:
    """Return a refusal as the type that carries its data."""
    typed = _TYPED.get(refused.code, InputError)
    if typed is InputError and "minimum" in refused.data:
        typed = AmountOutOfRange
    common: dict[str, Any] = {
        "code": refused.code,
        "message": refused.message,
        "path": ["input", *refused.path] if refused.path else None,
        "next_action": refused.code.next_action,
    }
    return typed(**common, **_DATA[typed](refused.data) if typed in _DATA else {})


def _money(data: Mapping[str, Any], name: str) -> Money:
    return Money.of(core.money.money(data[name], data["currency"]))


def _variant(data: Mapping[str, Any]) -> strawberry.ID | None:
    return strawberry.ID(encode(Noun.VARIANT, UUID(data["variant"]))) if data.get("variant") else None


_TYPED: Final[Mapping[ErrorCode, type[UserError]]] = {
    ErrorCode.OUT_OF_STOCK: InsufficientStock,
    ErrorCode.RESERVATION_EXPIRED: InsufficientStock,
    ErrorCode.PRICE_CHANGED: PriceChanged,
    ErrorCode.DISCOUNT_REJECTED: DiscountRejected,
    ErrorCode.BUYER_LIMIT_EXCEEDED: BuyerLimitExceeded,
    ErrorCode.NOT_RELEASED: NotReleased,
    ErrorCode.ADDRESS_INVALID: AddressInvalid,
    ErrorCode.CART_CHECKED_OUT: CartCheckedOut,
    ErrorCode.QUANTITY_TOO_LARGE: QuantityTooLarge,
    ErrorCode.PAYMENT_DECLINED: PaymentDeclined,
    ErrorCode.REFUND_TOO_LARGE: RefundTooLarge,
    ErrorCode.DISPUTE_RESPONSE_LATE: DisputeResponseLate,
    ErrorCode.INSUFFICIENT_BALANCE: InsufficientBalance,
    ErrorCode.PAYOUT_BELOW_MINIMUM: PayoutBelowMinimum,
}
# What each type has beside what every failure has, read from a refusal's data (which is JSON: it may be stored).
_DATA: Final[Mapping[type[UserError], Callable[[Mapping[str, Any]], dict[str, Any]]]] = {
    InsufficientStock: lambda data: {"available": data["available"], "variant_id": _variant(data)},
    PriceChanged: lambda data: {"now": _money(data, "now")},
    DiscountRejected: lambda data: {
        "discount_code": data["discountCode"],
        "reason": DiscountReason(data["reason"]),
    },
    BuyerLimitExceeded: lambda data: {"left": data["left"], "variant_id": _variant(data)},
    NotReleased: lambda data: {"releases_at": datetime.fromisoformat(data["releasesAt"])},
    AddressInvalid: lambda data: {"fields": [AddressFault(**fault) for fault in data["fields"]]},
    CartCheckedOut: lambda data: {"order_id": strawberry.ID(encode(Noun.ORDER, UUID(data["order"])))},
    QuantityTooLarge: lambda data: {"available": data["available"]},
    PaymentDeclined: lambda data: {"decline_code": data["decline_code"]},
    RefundTooLarge: lambda data: {"refundable": _money(data, "refundable")},
    DisputeResponseLate: lambda data: {"respond_by": datetime.fromisoformat(data["respondBy"])},
    InsufficientBalance: lambda data: {"available": _money(data, "available")},
    PayoutBelowMinimum: lambda data: {"minimum": _money(data, "minimum")},
    AmountOutOfRange: lambda data: {"minimum": _money(data, "minimum"), "maximum": _money(data, "maximum")},
}


@strawberry.interface(description="What a mutation answers: its objects, or what stood in the way.")
class Payload:
    errors: list[UserError] = strawberry.field(
        description="Empty when it was done. Objects may come with errors: a declined payment is still a payment.",
        default_factory=list,
    )
