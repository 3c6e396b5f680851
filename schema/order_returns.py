"""Returns: goods on their way back to the creator who sent them."""

from datetime import datetime
from uuid import UUID

import strawberry

from schema.base import Node, edge
from schema.enums import ReturnStatus
from schema.errors import Payload
from schema.orders import OrderLine, OrderLineQuantityInput
from schema.refunds import Refund


@strawberry.type(description="So many of a line.")
class OrderReturnLine:
    line_key: strawberry.Private[UUID]
    quantity: int = strawberry.field(description="How many.")
    line: OrderLine | None = edge("order_lines", key=lambda each: each.line_key, description="Of which line.")


@strawberry.type(description="Goods that a buyer sends back to one creator. Seen by the two of them.")
class OrderReturn(Node):
    key: strawberry.Private[UUID]
    status: ReturnStatus = strawberry.field(description="Where it stands.")
    reason: str | None = strawberry.field(description="Why, in the buyer's words.")
    lines: list[OrderReturnLine] = strawberry.field(description="What comes back.")
    created_at: datetime = strawberry.field(description="When it was asked for.")
    status_changed_at: datetime = strawberry.field(description="When it came to its status.")


@strawberry.input(description="Ask to send back what was shipped to you.")
class OrderReturnRequestInput:
    idempotency_key: str = strawberry.field(
        description="Sent again with the same key it happens once. Without signing in: a random UUID."
    )
    order_id: strawberry.ID = strawberry.field(description="Of which order.")
    lines: list[OrderLineQuantityInput] | None = strawberry.field(
        default=None, description="How many of which lines; everything that was shipped, if it is left out."
    )
    reason: str | None = strawberry.field(default=None, description="Why, up to 500 characters.")


@strawberry.input(description="Say that goods came back to you.")
class OrderReturnReceiveInput:
    idempotency_key: str = strawberry.field(description="Sent again with the same key it happens once.")
    return_id: strawberry.ID = strawberry.field(description="Which return.")
    restock: bool = strawberry.field(default=True, description="Whether they can be sold once more.")
    refund: bool = strawberry.field(default=True, description="Whether what was paid for them goes back.")


@strawberry.input(description="Do not take goods back.")
class OrderReturnDeclineInput:
    idempotency_key: str = strawberry.field(description="Sent again with the same key it happens once.")
    return_id: strawberry.ID = strawberry.field(description="Which return.")


@strawberry.input(description="Keep goods after all.")
class OrderReturnCancelInput:
    idempotency_key: str = strawberry.field(
        description="Sent again with the same key it happens once. Without signing in: a random UUID."
    )
    return_id: strawberry.ID = strawberry.field(description="Which return.")


@strawberry.type(description="The returns that were asked for.")
class OrderReturnRequestPayload(Payload):
    order_returns: list[OrderReturn] | None = strawberry.field(
        default=None, description="One for each creator whose goods they are."
    )


@strawberry.type(description="The return, which arrived.")
class OrderReturnReceivePayload(Payload):
    order_return: OrderReturn | None = strawberry.field(default=None, description="The return as it is now.")
    refund: Refund | None = strawberry.field(
        default=None, description="The money on its way back; null where none goes back."
    )


@strawberry.type(description="The return, which was declined.")
class OrderReturnDeclinePayload(Payload):
    order_return: OrderReturn | None = strawberry.field(default=None, description="The return as it is now.")


@strawberry.type(description="The return, which was cancelled.")
class OrderReturnCancelPayload(Payload):
    order_return: OrderReturn | None = strawberry.field(default=None, description="The return as it is now.")
