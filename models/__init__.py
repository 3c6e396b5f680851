"""Tables, one file per aggregate.

Each model names its CHECK and UNIQUE rules in ``rules``; the rules themselves are SQL in the migrations,
because the ORM drops check constraints when it creates a table. A test compares the two with the database.
"""

from models.creators import Creator
from models.earnings import EarningDay
from models.fees import FeeRule
from models.functions import functions_sql
from models.outbox import CreatorFeed, OutboxEvent, RelayPosition
from models.payments import Payment, PaymentEvent
from models.products import Product
from models.purchases import Purchase
from models.requests import Request
from models.tips import Tip
from models.users import User
from models.webhooks import InboxEvent

__all__ = [
    "Creator",
    "CreatorFeed",
    "EarningDay",
    "FeeRule",
    "InboxEvent",
    "OutboxEvent",
    "Payment",
    "PaymentEvent",
    "Product",
    "Purchase",
    "RelayPosition",
    "Request",
    "Tip",
    "User",
    "functions_sql",
]
