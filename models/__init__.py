"""Tables, one file per aggregate.

Each model names its CHECK and UNIQUE rules in ``rules``; the rules themselves are SQL in the migrations,
because the ORM drops check constraints when it creates a table. A test compares the two with the database.
"""

from models.carts import Cart, CartLine
from models.creators import Creator
from models.discounts import Discount, UsageCounter
from models.disputes import Dispute
from models.earnings import EarningDay
from models.fees import FeeRule
from models.functions import functions_sql
from models.licences import LicenceActivation, LicenceKey
from models.media import MediaFile, ProductMedia, VariantFile
from models.methods import PaymentMethod
from models.orders import (
    AccessGrant,
    Download,
    Fulfilment,
    FulfilmentLine,
    Order,
    OrderCounter,
    OrderDiscount,
    OrderEvent,
    OrderLine,
    OrderPart,
    OrderRefundItem,
    OrderReturn,
    OrderReturnLine,
)
from models.outbox import CreatorFeed, OutboxEvent, RelayPosition
from models.payments import Payment, PaymentEvent, PaymentShare, ReturnShare
from models.payouts import Payout, PayoutAccount, PayoutEvent, PayoutSchedule
from models.products import Collection, CollectionProduct, Product, ProductVariant, VariantPrice
from models.reconciliation import Reconciliation
from models.refunds import Refund
from models.requests import Request
from models.shipping import ShippingMethod, ShippingRate, ShippingZone
from models.stock import StockLevel, StockLocation, StockMovement, StockReservation
from models.taxes import TaxRate
from models.tips import Tip
from models.users import User
from models.webhooks import InboxEvent

__all__ = [
    "AccessGrant",
    "Cart",
    "CartLine",
    "Collection",
    "CollectionProduct",
    "Creator",
    "CreatorFeed",
    "Discount",
    "Dispute",
    "Download",
    "EarningDay",
    "FeeRule",
    "Fulfilment",
    "FulfilmentLine",
    "InboxEvent",
    "LicenceActivation",
    "LicenceKey",
    "MediaFile",
    "Order",
    "OrderCounter",
    "OrderDiscount",
    "OrderEvent",
    "OrderLine",
    "OrderPart",
    "OrderRefundItem",
    "OrderReturn",
    "OrderReturnLine",
    "OutboxEvent",
    "Payment",
    "PaymentEvent",
    "PaymentMethod",
    "PaymentShare",
    "Payout",
    "PayoutAccount",
    "PayoutEvent",
    "PayoutSchedule",
    "Product",
    "ProductMedia",
    "ProductVariant",
    "Reconciliation",
    "Refund",
    "RelayPosition",
    "Request",
    "ReturnShare",
    "ShippingMethod",
    "ShippingRate",
    "ShippingZone",
    "StockLevel",
    "StockLocation",
    "StockMovement",
    "StockReservation",
    "TaxRate",
    "Tip",
    "UsageCounter",
    "User",
    "VariantFile",
    "VariantPrice",
    "functions_sql",
]
