"""Enums of the core, described for the contract: every module of the contract takes them from here."""

from collections.abc import Mapping
from enum import Enum
from typing import Any

import strawberry

from core.catalogue import LicencePolicy, MediaKind, MediaState, ProductState, StockMovementKind, TaxCategory
from core.discounts import DiscountKind, DiscountPeriod, DiscountReason
from core.disputes import DisputeNextAction, DisputeStatus
from core.errors import ErrorCode, NextAction
from core.orders import OrderEventKind, OrderStatus, ReturnStatus
from core.payments import PaymentKind, PaymentNextAction, PaymentStatus
from core.payouts import PayoutInterval, PayoutStatus
from core.refunds import RefundReason, RefundStatus
from core.scopes import Scope

__all__ = [
    "DiscountKind",
    "DiscountPeriod",
    "DiscountReason",
    "DisputeNextAction",
    "DisputeStatus",
    "ErrorCode",
    "LicencePolicy",
    "MediaKind",
    "MediaState",
    "NextAction",
    "OrderEventKind",
    "OrderStatus",
    "PaymentKind",
    "PaymentNextAction",
    "PaymentStatus",
    "PayoutInterval",
    "PayoutStatus",
    "ProductState",
    "RefundReason",
    "RefundStatus",
    "ReturnStatus",
    "Scope",
    "StockMovementKind",
    "TaxCategory",
    "described",
]


def described(enum: type[Enum], description: str, values: Mapping[Any, str]) -> Any:
    """Make an enum part of the contract, with a sentence for each of its values."""
    decorated = strawberry.enum(enum, description=description)
    for value in decorated.__strawberry_definition__.values:  # type: ignore[attr-defined] # added by enum()
        value.description = values[enum[value.name]]
    return decorated


described(
    Scope,
    "A permission carried by an access token.",
    {
        Scope.ACCOUNT_READ: "Read one's own payments, tips and purchases.",
        Scope.EARNINGS_READ: "Read what one earns as a creator: earnings, tips received, activity.",
        Scope.FINANCE_READ: "Read every account of the books. For the platform's finance staff alone.",
        Scope.FINANCE_WRITE: "Refund, answer and write off for anybody. For the platform's finance staff alone.",
        Scope.CREATORS_WRITE: "Become a creator and change one's profile.",
        Scope.PRODUCTS_WRITE: "Offer, change and archive products.",
        Scope.TIPS_WRITE: "Give tips.",
        Scope.PURCHASES_WRITE: "Buy products.",
        Scope.SALES_READ: "See what you sold, and to whom it goes.",
        Scope.SALES_WRITE: "Send, cancel and give back what you sold.",
        Scope.PAYMENTS_WRITE: "Confirm, cancel and capture one's own payments, and save payment methods.",
        Scope.REFUNDS_WRITE: "Give back what one was paid as a creator.",
        Scope.DISPUTES_WRITE: "Answer disputes over what one was paid as a creator.",
        Scope.PAYOUTS_WRITE: "Open an account for payouts, ask for payouts and schedule them.",
    },
)
described(
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
        ErrorCode.VARIANT_NOT_AVAILABLE: "A variant is not sold any more, or not in this currency.",
        ErrorCode.NOT_RELEASED: "It is not sold yet; `releasesAt` says from when on.",
        ErrorCode.PRICE_CHANGED: "It no longer costs what was expected; `now` says what it does.",
        ErrorCode.CURRENCY_MIXED: "Everything in a cart is bought in one currency.",
        ErrorCode.BUYER_LIMIT_EXCEEDED: "One buyer may not have that many; `left` says how many more.",
        ErrorCode.DISCOUNT_REJECTED: "A discount is not given; `reason` says why.",
        ErrorCode.ADDRESS_INVALID: "An address is not one of its country; `fields` names what is wrong with it.",
        ErrorCode.ADDRESS_NEEDED: "Send the address first: it decides on shipping and tax.",
        ErrorCode.EMAIL_NEEDED: "Guests leave an email address with their order.",
        ErrorCode.SHIPPING_UNAVAILABLE: "Not shipped there, or not like this. See the cart's `shippingOptions`.",
        ErrorCode.CART_EMPTY: "There is nothing in the cart.",
        ErrorCode.CART_CHECKED_OUT: "An order was made of the cart: pay it, or cancel it to change the cart.",
        ErrorCode.CAPTURE_MIXED: "What is only reserved at first is bought alone, or with more of its creator.",
        ErrorCode.RESERVATION_EXPIRED: "What was kept for the order is kept no longer and sold out. Order again.",
        ErrorCode.ORDER_NOT_CANCELABLE: "The order is paid, or was cancelled before.",
        ErrorCode.ORDER_NOT_PAID: "The order is not paid, so nothing can be sent or given back.",
        ErrorCode.QUANTITY_TOO_LARGE: "More was named than there is of a line; `available` says how many are.",
        ErrorCode.RETURN_CLOSED: "The return was received, declined or cancelled before.",
        ErrorCode.ACCESS_REVOKED: "The purchase was given back, so its downloads and keys no longer work.",
        ErrorCode.DOWNLOAD_LIMIT_REACHED: "The file was downloaded as often as it may be.",
        ErrorCode.LINK_INVALID: "The link is not one of ours, or it has expired. Ask for a new one.",
        ErrorCode.LICENCE_INVALID: "There is no such licence key, or it no longer counts.",
        ErrorCode.LICENCE_ACTIVATIONS_EXHAUSTED: "The key is in use at as many places as may be. Deactivate one.",
        ErrorCode.MEDIA_INVALID: "The file is not what it is said to be, or of a kind that is not taken.",
        ErrorCode.MEDIA_TOO_LARGE: "The file is larger than what is taken.",
        ErrorCode.NAME_TAKEN: "Another object of the same kind has this name or code.",
        ErrorCode.PAYMENT_DECLINED: "The payer's bank declined. Another method may work.",
        ErrorCode.PAYMENT_IN_PROGRESS: "The provider is being asked about this payment. Wait for its status.",
        ErrorCode.PAYMENT_NOT_CONFIRMABLE: "The payment has gone too far to be confirmed.",
        ErrorCode.PAYMENT_NOT_CANCELABLE: "The payment has gone too far to be cancelled.",
        ErrorCode.PAYMENT_NOT_CAPTURABLE: "The payment reserves nothing that could be captured.",
        ErrorCode.CAPTURE_EXPIRED: "The reservation lapsed before it was captured. The payer has to pay anew.",
        ErrorCode.PAYMENT_NOT_REFUNDABLE: "Nothing of the payment can be given back: see its status.",
        ErrorCode.REFUND_TOO_LARGE: "More than what is left of the payment.",
        ErrorCode.METHOD_NOT_SAVED: "The provider does not keep this method for later.",
        ErrorCode.DISPUTE_CLOSED: "The dispute is decided, or evidence was handed in already.",
        ErrorCode.DISPUTE_RESPONSE_LATE: "Evidence is no longer taken: the time for it is over.",
        ErrorCode.NOTHING_TO_WRITE_OFF: "The creator owes nothing for this dispute.",
        ErrorCode.INSUFFICIENT_BALANCE: "More than what is available.",
        ErrorCode.PAYOUT_BELOW_MINIMUM: "Less than the smallest payout.",
        ErrorCode.PAYOUT_ACCOUNT_NOT_READY: "The creator has no account to be paid out to: see `creatorOnboard`.",
        ErrorCode.PROVIDER_UNSUPPORTED: "The payment provider of this server cannot do that.",
        ErrorCode.PROVIDER_UNAVAILABLE: "The payment provider did not take the request. Nothing was charged.",
        ErrorCode.LIMIT_EXCEEDED: "The operation is larger than this server allows.",
        ErrorCode.INTERNAL: "Something broke on our side. Quote `traceId` when reporting it.",
    },
)
described(
    NextAction,
    "What to do about a failure.",
    {
        NextAction.FIX_INPUT: "Change what was sent, and send it under a new key.",
        NextAction.SIGN_IN: "Sign in, or ask for a token with the scope.",
        NextAction.RETRY_SAME_KEY: "Send the same request again, under the same key.",
        NextAction.USE_NEW_KEY: "Send the request under a new key.",
        NextAction.OTHER_METHOD: "Try another payment method.",
        NextAction.ONBOARD: "Send the creator through `creatorOnboard`.",
        NextAction.REVIEW_CART: "Read the cart again, show it to the buyer, and send what they then agree to.",
        NextAction.WAIT: "Watch the status and try again.",
        NextAction.NONE: "Nothing that a client does will change this.",
    },
)
described(
    PaymentKind,
    "What a payment is for.",
    {PaymentKind.TIP: "A tip.", PaymentKind.PURCHASE: "A purchase."},
)
described(
    PaymentStatus,
    "Where a payment stands.",
    {
        PaymentStatus.CREATED: "Being made known to the provider.",
        PaymentStatus.PENDING: "Waits to be confirmed with a payment method.",
        PaymentStatus.REQUIRES_ACTION: "Waits for the payer to authenticate; see `nextAction.url`.",
        PaymentStatus.PROCESSING: "Accepted by the provider; being settled.",
        PaymentStatus.AUTHORIZED: "Reserved on the payer's side; not captured.",
        PaymentStatus.SUCCEEDED: "Captured and in the books.",
        PaymentStatus.FAILED: "Declined. It can be confirmed again with another method.",
        PaymentStatus.CANCELED: "Cancelled; nothing was charged. Final.",
        PaymentStatus.RECONCILING: "The provider did not answer; what happened is being looked up.",
        PaymentStatus.PARTIALLY_REFUNDED: "A part of what was captured went back to the payer.",
        PaymentStatus.REFUNDED: "All that was captured went back to the payer.",
        PaymentStatus.DISPUTED: "The payer's bank took it back for now; the dispute is open.",
        PaymentStatus.CHARGED_BACK: "The payer's bank took it back and the dispute was lost.",
    },
)
described(
    PaymentNextAction,
    "What the payer's client does next.",
    {
        PaymentNextAction.CONFIRM: "Confirm it with a payment method.",
        PaymentNextAction.AUTHENTICATE: "Send the payer to `url`.",
        PaymentNextAction.OTHER_METHOD: "Confirm it with another payment method.",
        PaymentNextAction.WAIT: "Nothing; a change of status will come.",
        PaymentNextAction.NONE: "Nothing; it has ended.",
    },
)
described(
    RefundReason,
    "Why money goes back.",
    {
        RefundReason.REQUESTED_BY_CUSTOMER: "The payer asked for it.",
        RefundReason.DUPLICATE: "It was paid twice.",
        RefundReason.FRAUDULENT: "Somebody else paid with the payer's card.",
        RefundReason.OTHER: "Another reason; also that of a refund made at the provider itself.",
    },
)
described(
    RefundStatus,
    "Where a refund stands.",
    {
        RefundStatus.CREATED: "Being handed to the provider.",
        RefundStatus.RECONCILING: "The provider did not answer; what happened is being looked up.",
        RefundStatus.PENDING: "Accepted by the provider; the money is on its way.",
        RefundStatus.SUCCEEDED: "The payer has the money. It can still fail.",
        RefundStatus.FAILED: "The money could not be given back; everybody has again what they had.",
        RefundStatus.CANCELED: "Cancelled; nothing was given back.",
    },
)
described(
    DisputeStatus,
    "Where a dispute stands.",
    {
        DisputeStatus.NEEDS_RESPONSE: "The money was taken back; evidence may change that.",
        DisputeStatus.UNDER_REVIEW: "Evidence was handed in and is being looked at.",
        DisputeStatus.LOST: "The payer's bank kept the money. It can still be won on appeal.",
        DisputeStatus.WON: "The money came back.",
    },
)
described(
    DisputeNextAction,
    "What the creator does next about a dispute.",
    {
        DisputeNextAction.ANSWER: "Give evidence, before `respondBy`.",
        DisputeNextAction.WAIT: "Nothing; it is being decided, or evidence is on its way.",
        DisputeNextAction.NONE: "Nothing; it is decided, or the time for evidence is over.",
    },
)
described(
    PayoutStatus,
    "Where a payout stands.",
    {
        PayoutStatus.REQUESTED: "Being handed to the provider; its money is no longer available.",
        PayoutStatus.ON_HOLD: "Waits until the creator's open disputes are decided.",
        PayoutStatus.RECONCILING: "The provider did not answer; what happened is being looked up.",
        PayoutStatus.TRANSFERRED: "On the creator's account with the provider.",
        PayoutStatus.IN_TRANSIT: "On its way to the bank.",
        PayoutStatus.PAID: "At the bank. It can still fail.",
        PayoutStatus.FAILED: "Not paid; the money is available again.",
        PayoutStatus.CANCELED: "Cancelled; the money is available again.",
    },
)
described(
    PayoutInterval,
    "How often money is paid out by itself.",
    {
        PayoutInterval.MANUAL: "Never: only when it is asked for.",
        PayoutInterval.DAILY: "Every day.",
        PayoutInterval.WEEKLY: "Once a week.",
        PayoutInterval.MONTHLY: "Once a month.",
    },
)
described(
    ProductState,
    "Whether a product is on sale.",
    {
        ProductState.DRAFT: "Being prepared; only its creator sees it.",
        ProductState.ACTIVE: "On sale, from `releasesAt` on where that is set.",
        ProductState.ARCHIVED: "No longer on sale. What was sold stays sold.",
    },
)
described(
    TaxCategory,
    "What a product is to tax rates.",
    {
        TaxCategory.STANDARD: "What no other category names.",
        TaxCategory.REDUCED: "What a country taxes at its reduced rate.",
        TaxCategory.BOOKS: "Books and newspapers.",
        TaxCategory.FOOD: "Food.",
        TaxCategory.DIGITAL: "Files, keys and services delivered electronically.",
        TaxCategory.EXEMPT: "Not taxed.",
    },
)
described(
    MediaKind,
    "What a creator's file is for.",
    {
        MediaKind.PICTURE: "To be shown to everybody: PNG, JPEG, WebP, GIF or AVIF, at most 20 MiB.",
        MediaKind.DIGITAL: "To be sold as a download, to those who bought it.",
    },
)
described(
    MediaState,
    "Whether a file is there.",
    {MediaState.WAITING: "Not all of it has arrived yet.", MediaState.STORED: "It is there, whole."},
)
described(
    LicencePolicy,
    "How a variant's licence keys come about.",
    {
        LicencePolicy.POOL: "From keys that its creator uploads; there are as many to sell as are in the pool.",
        LicencePolicy.GENERATED: "Made when one is sold.",
    },
)
described(
    StockMovementKind,
    "Why a stock level changed.",
    {
        StockMovementKind.RECEIVED: "More came in.",
        StockMovementKind.ADJUSTED: "It was counted and set.",
        StockMovementKind.RESERVED: "Kept for an order that is being paid.",
        StockMovementKind.RELEASED: "No longer kept: the order was cancelled.",
        StockMovementKind.EXPIRED: "No longer kept: the order was not paid in time.",
        StockMovementKind.SOLD: "An order was paid.",
        StockMovementKind.RETURNED: "Sold ones were put back.",
        StockMovementKind.MOVED: "Moved to or from another location.",
    },
)
described(
    DiscountKind,
    "What a discount takes off.",
    {
        DiscountKind.PERCENT: "A percentage off each line it applies to.",
        DiscountKind.FIXED: "An amount off all lines it applies to together.",
        DiscountKind.FREE_SHIPPING: "The price of shipping.",
    },
)
described(
    DiscountPeriod,
    "The time a limit is counted in, in UTC.",
    {
        DiscountPeriod.DAY: "A calendar day.",
        DiscountPeriod.WEEK: "A week from Monday.",
        DiscountPeriod.MONTH: "A calendar month.",
    },
)
described(
    DiscountReason,
    "Why a discount is not given.",
    {
        DiscountReason.UNKNOWN: "There is no such code for anything in the cart.",
        DiscountReason.NOT_STARTED: "It is not given yet.",
        DiscountReason.ENDED: "It is not given any more.",
        DiscountReason.USED_UP: "It was used as often as it may be.",
        DiscountReason.BUYER_LIMIT: "This buyer used it as often as one may.",
        DiscountReason.PERIOD_LIMIT: "It was used as often as it may be in this period.",
        DiscountReason.BELOW_MINIMUM: "There is not enough in the cart for it.",
        DiscountReason.OTHER_CURRENCY: "It is given in another currency.",
        DiscountReason.NOT_APPLICABLE: "It applies to nothing in the cart.",
    },
)
described(
    OrderStatus,
    "Where an order stands.",
    {
        OrderStatus.PENDING: "It waits for its payment.",
        OrderStatus.PAID: "Paid; nothing of it was sent yet.",
        OrderStatus.PARTIALLY_FULFILLED: "A part of it was sent or handed over.",
        OrderStatus.FULFILLED: "All of it was sent or handed over.",
        OrderStatus.CANCELED: "Cancelled before it was paid.",
        OrderStatus.REFUNDED: "Given back in full.",
        OrderStatus.CHARGED_BACK: "The buyer's bank took the payment back.",
    },
)
described(
    OrderEventKind,
    "What became of an order.",
    {
        OrderEventKind.CREATED: "It was made, and what it needs was reserved.",
        OrderEventKind.PAID: "Its payment succeeded, and it got its number.",
        OrderEventKind.CANCELED: "It was cancelled, or not paid in time.",
        OrderEventKind.PARTIALLY_FULFILLED: "Something of it was sent or handed over.",
        OrderEventKind.FULFILLED: "The last of it was sent or handed over.",
        OrderEventKind.LINES_CANCELED: "Something of it will not be sent, and is given back.",
        OrderEventKind.STOCK_LOST: "Something was sold out when the payment arrived, and is given back.",
        OrderEventKind.TRACKING_CHANGED: "A parcel can be followed.",
        OrderEventKind.RETURN_REQUESTED: "The buyer wants to send something back.",
        OrderEventKind.RETURN_RECEIVED: "What was sent back arrived.",
        OrderEventKind.RETURN_DECLINED: "The creator does not take something back.",
        OrderEventKind.RETURN_CANCELED: "The buyer keeps it after all.",
        OrderEventKind.REFUND_STARTED: "Money is on its way back.",
        OrderEventKind.REFUND_FAILED: "Money could not be given back.",
        OrderEventKind.PARTIALLY_REFUNDED: "A part of the money is back.",
        OrderEventKind.REFUNDED: "All of the money is back.",
        OrderEventKind.REFUND_UNDONE: "A refund failed after all of the money seemed back.",
        OrderEventKind.CHARGED_BACK: "The buyer's bank took the payment back; downloads and keys stopped.",
        OrderEventKind.CHARGEBACK_UNDONE: "The dispute was won; downloads and keys work again.",
    },
)
described(
    ReturnStatus,
    "Where the return of goods stands.",
    {
        ReturnStatus.REQUESTED: "The buyer asked; the goods are not back.",
        ReturnStatus.RECEIVED: "The goods are back.",
        ReturnStatus.DECLINED: "The creator does not take them back.",
        ReturnStatus.CANCELED: "The buyer keeps them.",
    },
)
