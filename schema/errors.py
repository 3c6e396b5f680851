"""Expected failures as clients see them: part of every payload, never of the top-level errors."""

from datetime import datetime

import strawberry

import core.money
from core.errors import Refused
from schema.enums import ErrorCode, NextAction
from schema.money import Money


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
    PaymentDeclined,
    AmountOutOfRange,
    InsufficientBalance,
    PayoutBelowMinimum,
    RefundTooLarge,
    DisputeResponseLate,
)


def user_error(refused: Refused) -> UserError:
    """Return a refusal as the type that carries its data."""
    code, message, data = refused.code, refused.message, refused.data
    path = ["input", *refused.path] if refused.path else None
    action = code.next_action
    if code is ErrorCode.OUT_OF_STOCK:
        return InsufficientStock(
            code=code, message=message, path=path, next_action=action, available=data["available"]
        )
    if code is ErrorCode.PAYMENT_DECLINED:
        return PaymentDeclined(
            code=code, message=message, path=path, next_action=action, decline_code=data["decline_code"]
        )
    if code is ErrorCode.REFUND_TOO_LARGE:
        refundable = Money.of(core.money.money(data["refundable"], data["currency"]))
        return RefundTooLarge(code=code, message=message, path=path, next_action=action, refundable=refundable)
    if code is ErrorCode.DISPUTE_RESPONSE_LATE:
        until = datetime.fromisoformat(data["respondBy"])
        return DisputeResponseLate(code=code, message=message, path=path, next_action=action, respond_by=until)
    if code is ErrorCode.INSUFFICIENT_BALANCE:
        available = Money.of(core.money.money(data["available"], data["currency"]))
        return InsufficientBalance(code=code, message=message, path=path, next_action=action, available=available)
    if code is ErrorCode.PAYOUT_BELOW_MINIMUM:
        least = Money.of(core.money.money(data["minimum"], data["currency"]))
        return PayoutBelowMinimum(code=code, message=message, path=path, next_action=action, minimum=least)
    if "minimum" in data:
        return AmountOutOfRange(
            code=code,
            message=message,
            path=path,
            next_action=action,
            minimum=Money.of(core.money.money(data["minimum"], data["currency"])),
            maximum=Money.of(core.money.money(data["maximum"], data["currency"])),
        )
    return InputError(code=code, message=message, path=path, next_action=action)


@strawberry.interface(description="What a mutation answers: its objects, or what stood in the way.")
class Payload:
    errors: list[UserError] = strawberry.field(
        description="Empty when it was done. Objects may come with errors: a declined payment is still a payment.",
        default_factory=list,
    )
