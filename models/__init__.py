"""Tables, one file per aggregate.

Each model names its CHECK and UNIQUE rules in ``rules``; the rules themselves are SQL in the migrations,
because the ORM drops check constraints when it creates a table. A test compares the two with the database.
"""

from models.creators import Creator
from models.disputes import Dispute
from models.earnings import EarningDay
from models.fees import FeeRule
from models.functions import functions_sql
from models.methods import PaymentMethod
from models.outbox import CreatorFeed, OutboxEvent, RelayPosition
from models.payments import Payment, PaymentEvent
from models.payouts import Payout, PayoutAccount, PayoutEvent, PayoutSchedule
from models.products import Product
from models.purchases import Purchase
from models.reconciliation import Reconciliation
from models.refunds import Refund
from models.requests import Request
from models.tips import Tip
from models.users import User
from models.webhooks import InboxEvent

__all__ = [
    "Creator",
    "CreatorFeed",
    "Dispute",
    "EarningDay",
    "FeeRule",
    "InboxEvent",
    "OutboxEvent",
    "Payment",
    "PaymentEvent",
    "PaymentMethod",
    "Payout",
    "PayoutAccount",
    "PayoutEvent",
    "PayoutSchedule",
    "Product",
    "Purchase",
    "Reconciliation",
    "Refund",
    "RelayPosition",
    "Request",
    "Tip",
    "User",
    "functions_sql",
]
