"""The schema: the resolvers of all nouns put together, and how an operation is run."""

from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import strawberry
from graphql import ExecutionResult, GraphQLError, GraphQLSyntaxError, OperationType, execute, get_operation_ast
from strawberry.execution import optimized_is_awaitable
from strawberry.extensions import SchemaExtension
from strawberry.printer import print_schema
from strawberry.schema.config import StrawberryConfig

from app.documents import MAXIMUM_TOKENS, Document, Documents
from app.errors import shown
from app.inputs import refusal_of_variables
from resolvers.accounts import AccountQuery, account_statement, creator_account
from resolvers.carts import CartMutation, CartQuery
from resolvers.checkouts import CheckoutMutation
from resolvers.collections import CollectionMutation, CollectionQuery, collection_products
from resolvers.context import Context
from resolvers.creators import (
    CreatorMutation,
    CreatorQuery,
    creator_earnings,
    creator_products,
    creator_tips,
)
from resolvers.discounts import DiscountMutation, creator_discounts
from resolvers.disputes import DisputeMutation, DisputeQuery, creator_disputes
from resolvers.downloads import DownloadMutation
from resolvers.feeds import FeedSubscription
from resolvers.fees import FeeQuery
from resolvers.fields import top_level
from resolvers.fulfilments import FulfilmentMutation
from resolvers.licences import LicenceMutation, LicenceQuery, variant_licence_keys
from resolvers.media import MediaMutation
from resolvers.methods import PaymentMethodMutation, user_methods
from resolvers.nodes import NodeQuery
from resolvers.order_returns import OrderReturnMutation
from resolvers.orders import OrderMutation, OrderQuery, OrderSubscription, user_orders
from resolvers.payments import PaymentMutation, PaymentQuery, PaymentSubscription
from resolvers.payouts import (
    PayoutMutation,
    PayoutQuery,
    creator_payout_account,
    creator_payout_schedule,
    creator_payouts,
)
from resolvers.products import ProductMutation, ProductQuery
from resolvers.purchases import PurchaseMutation, PurchaseQuery
from resolvers.refunds import RefundMutation, RefundQuery, creator_refunds
from resolvers.sales import SaleMutation, SaleQuery, creator_sales
from resolvers.shipping import ShippingMutation, creator_shipping_zones
from resolvers.stock import StockMutation, creator_stock_levels, creator_stock_locations, stock_level_movements
from resolvers.tips import TipMutation, TipQuery
from resolvers.users import UserQuery, user_payments, user_purchases
from resolvers.variants import VariantMutation
from schema.base import bind
from schema.errors import ERROR_TYPES
from schema.scalars import SCALARS

SCHEMA_FILE: Final = Path(__file__).resolve().parent.parent / "schema" / "schema.graphql"

bind("creator_tips", creator_tips)
bind("creator_products", creator_products)
bind("collection_products", collection_products)
bind("creator_earnings", creator_earnings)
bind("creator_account", creator_account)
bind("creator_payouts", creator_payouts)
bind("creator_payout_account", creator_payout_account)
bind("creator_payout_schedule", creator_payout_schedule)
bind("creator_refunds", creator_refunds)
bind("creator_disputes", creator_disputes)
bind("account_statement", account_statement)
bind("creator_shipping_zones", creator_shipping_zones)
bind("creator_discounts", creator_discounts)
bind("user_payments", user_payments)
bind("user_purchases", user_purchases)
bind("user_methods", user_methods)
bind("variant_licence_keys", variant_licence_keys)
bind("user_orders", user_orders)
bind("creator_sales", creator_sales)
bind("creator_stock_locations", creator_stock_locations)
bind("creator_stock_levels", creator_stock_levels)
bind("stock_level_movements", stock_level_movements)


@strawberry.type(description="Reading. What one may not see looks like nothing.")
class Query(
    UserQuery,
    NodeQuery,
    CreatorQuery,
    ProductQuery,
    CollectionQuery,
    PaymentQuery,
    TipQuery,
    PurchaseQuery,
    FeeQuery,
    AccountQuery,
    PayoutQuery,
    RefundQuery,
    DisputeQuery,
    LicenceQuery,
    CartQuery,
    OrderQuery,
    SaleQuery,
):
    pass


@strawberry.type(description="Doing. Each takes an idempotency key and answers with its objects or its errors.")
class Mutation(
    CreatorMutation,
    ProductMutation,
    VariantMutation,
    CollectionMutation,
    MediaMutation,
    TipMutation,
    PurchaseMutation,
    PaymentMutation,
    PaymentMethodMutation,
    RefundMutation,
    DisputeMutation,
    PayoutMutation,
    DownloadMutation,
    LicenceMutation,
    StockMutation,
    CartMutation,
    CheckoutMutation,
    ShippingMutation,
    DiscountMutation,
    OrderMutation,
    SaleMutation,
    FulfilmentMutation,
    OrderReturnMutation,
):
    pass


@strawberry.type(description="Watching: a snapshot, then every change, in order and none missing.")
class Subscription(PaymentSubscription, OrderSubscription, FeedSubscription):
    pass


@dataclass(frozen=True, slots=True)
class Answer:
    """How an operation ended. ``is_request_error``: it was not run at all, so there is no data to speak of."""

    data: dict[str, Any] | None
    errors: list[GraphQLError]
    extensions: dict[str, Any]
    is_request_error: bool = False

    @classmethod
    def refused(cls, *errors: GraphQLError) -> "Answer":
        """Return the answer to what is not run."""
        return cls(None, list(errors), {}, is_request_error=True)


class NotAllowedError(Exception):
    """An operation of a type that this way of asking does not allow."""

    def __init__(self, operation: OperationType) -> None:
        super().__init__(operation.value)
        self.operation = operation


class ComptoirSchema(strawberry.Schema):
    """The schema with its cache of documents."""

    def __init__(self, *, introspection: bool) -> None:
        self.documents = Documents(introspection=introspection)
        super().__init__(
            Query,
            Mutation,
            Subscription,
            types=ERROR_TYPES,
            extensions=[_Operation],
            config=StrawberryConfig(scalar_map=SCALARS, disable_field_suggestions=not introspection),  # type: ignore[arg-type] # scalars are typed where they are defined
        )

    def process_errors(self, errors: list[GraphQLError], execution_context: Any = None) -> None:
        """Leave logging to where errors are shown, which knows what was expected."""

    def document(self, text: str, variables: object) -> Document:
        """Return a document with all that speaks against running it. Raises ``GraphQLSyntaxError``."""
        found = self.documents.get(self._schema, text)
        refused = None if found.errors else refusal_of_variables(variables)
        return found if refused is None else Document(found.node, (top_level(refused),))

    async def answer(
        self,
        text: str,
        variables: dict[str, Any] | None,
        operation_name: str | None,
        context: Context,
        allowed: frozenset[OperationType],
    ) -> Answer:
        """Run a query or a mutation. Raises ``NotAllowedError``.

        Straight on the executor: the extensions that Strawberry runs around an operation cost a tenth of a
        tip, and all that ours does for a stream is done here in plain sight.
        """
        try:
            document = self.document(text, variables)
        except GraphQLSyntaxError as error:
            return Answer.refused(shown(error, context.trace_id))
        if document.errors:
            return Answer.refused(*(shown(error, context.trace_id) for error in document.errors))
        operation = get_operation_ast(document.node, operation_name)
        if operation is None:
            return Answer.refused(shown(GraphQLError("Say in operationName which operation to run."), ""))
        if operation.operation not in allowed:
            raise NotAllowedError(operation.operation)
        running = execute(
            self._schema,
            document.node,
            context_value=context,
            variable_values=variables,
            operation_name=operation_name,
            is_awaitable=optimized_is_awaitable,  # type: ignore[arg-type] # a TypeGuard in all but name
            executor_class=self.execution_context_class,
            hide_suggestions=self.config.disable_field_suggestions,
        )
        result = running if isinstance(running, ExecutionResult) else await running
        errors = [shown(error, context.trace_id) for error in result.errors or ()]
        if result.data is None and all(error.path is None for error in errors):
            return Answer.refused(*errors)
        return Answer(result.data, errors, _extensions(context))


class _Operation(SchemaExtension):
    """Around every operation of a socket: its own context, cached documents, errors made fit to show."""

    async def on_operation(self) -> AsyncIterator[None]:
        self.execution_context.context = self.execution_context.context.for_operation()
        yield
        result = self.execution_context.result
        if result is not None and result.errors:
            result.errors = self._shown(result.errors)

    def on_parse(self) -> Iterator[None]:
        execution = self.execution_context
        schema = execution.schema
        assert isinstance(schema, ComptoirSchema)  # ruff: ignore[assert] - this extension belongs to that schema
        try:
            document = schema.document(execution.query or "", execution.variables)
        except GraphQLSyntaxError:
            # It is parsed once more, where the error is expected: raised here it would end a socket's operation
            # without a word.
            execution.parse_options = {"max_tokens": MAXIMUM_TOKENS}
        else:
            execution.graphql_document = document.node
            self._errors = list(document.errors)
        yield

    def on_validate(self) -> Iterator[None]:
        # An empty list says that validation was done and found nothing.
        self.execution_context.pre_execution_errors = self._errors
        yield

    async def on_stream_result(self, result: Any) -> AsyncIterator[None]:
        if result.errors:
            result.errors = self._shown(result.errors)
        yield

    def get_results(self) -> dict[str, Any]:
        return _extensions(self.execution_context.context)

    def _shown(self, errors: Iterable[GraphQLError]) -> list[GraphQLError]:
        return [shown(error, self.execution_context.context.trace_id) for error in errors]


def _extensions(context: Context) -> dict[str, Any]:
    return {} if context.replayed is None else {"idempotency": {"replayed": context.replayed}}


def printed_schema() -> str:
    """Return the contract as text, as it is kept in ``schema/schema.graphql``."""
    return print_schema(ComptoirSchema(introspection=True)) + "\n"
