"""Expected failures as clients see them: part of every payload, never of the top-level errors."""

import strawberry

import core.money
from core.errors import ErrorCode, NextAction, Refused
from schema.enums import described
from schema.money import Money

ErrorCodeEnum = described(
    ErrorCode,
    "Why something was refused. A code never changes its meaning.",
    {
        ErrorCode.UNAUTHENTICATED: "No valid credential was sent, or it has expired. Sign in.",
        ErrorCode.FORBIDDEN: "The credential does not carry the scope this needs.",
        ErrorCode.NOT_FOUND: "There is no such object, or it is not yours to see.",
        ErrorCode.INPUT_INVALID: "A value is not acceptable; `path` names it and `message` says what would be.",
        ErrorCode.CARD_NUMBER_REFUSED: "A card number was sent. Send a token of the payment provider instead.",
        ErrorCode.IDEMPOTENCY_KEY_INVALID: "The idempotency key is empty, too long or, for a guest, not a UUID.",
        ErrorCode.IDEMPOTENCY_KEY_REUSED: "The key was used with other input. Use a new key for a new request.",
        ErrorCode.AMOUNT_INVALID: "The amount is not a number greater than zero.",
        ErrorCode.AMOUNT_TOO_PRECISE: "The amount has more decimals than its currency.",
        ErrorCode.AMOUNT_TOO_SMALL: "The amount is below what can be charged, or fees would leave nothing of it.",
        ErrorCode.AMOUNT_TOO_LARGE: "The amount is above what can be charged at once.",
        ErrorCode.CURRENCY_NOT_SUPPORTED: "Payments are not taken in this currency.",
        ErrorCode.CREATOR_NOT_ACTIVE: "The creator takes no payments at present.",
        ErrorCode.CREATOR_EXISTS: "The user is a creator already.",
        ErrorCode.HANDLE_TAKEN: "Another creator has this handle.",
        ErrorCode.SELF_TIP: "One cannot tip oneself.",
        ErrorCode.SELF_PURCHASE: "One cannot buy from oneself.",
        ErrorCode.PRODUCT_NOT_ACTIVE: "The product is no longer sold.",
        ErrorCode.OUT_OF_STOCK: "Nothing is left of the product.",
        ErrorCode.PAYMENT_DECLINED: "The payer's bank declined. Another method may work.",
        ErrorCode.PAYMENT_IN_PROGRESS: "The provider is being asked about this payment. Wait for its status.",
        ErrorCode.PAYMENT_NOT_CONFIRMABLE: "The payment has gone too far to be confirmed.",
        ErrorCode.PAYMENT_NOT_CANCELABLE: "The payment has gone too far to be cancelled.",
        ErrorCode.PROVIDER_UNAVAILABLE: "The payment provider did not take the request. Nothing was charged.",
        ErrorCode.LIMIT_EXCEEDED: "The operation is larger than this server allows.",
        ErrorCode.INTERNAL: "Something broke on our side. Quote `traceId` when reporting it.",
    },
)
NextActionEnum = described(
    NextAction,
    "What to do about a failure.",
    {
        NextAction.FIX_INPUT: "Change what was sent, and send it under a new key.",
        NextAction.SIGN_IN: "Sign in, or ask for a token with the scope.",
        NextAction.RETRY_SAME_KEY: "Send the same request again, under the same key.",
        NextAction.USE_NEW_KEY: "Send the request under a new key.",
        NextAction.OTHER_METHOD: "Try another payment method.",
        NextAction.WAIT: "Watch the status and try again.",
        NextAction.NONE: "Nothing that a client does will change this.",
    },
)


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


ERROR_TYPES = (InputError, InsufficientStock, PaymentDeclined, AmountOutOfRange)


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
