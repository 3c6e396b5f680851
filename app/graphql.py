"""The schema: the resolvers of all nouns put together, and how an operation is run."""

from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import strawberry
import structlog
from graphql import DocumentNode, GraphQLError, GraphQLSyntaxError, StringValueNode, Visitor, visit
from strawberry.extensions import SchemaExtension
from strawberry.printer import print_schema
from strawberry.schema.config import StrawberryConfig

from app.documents import MAXIMUM_TOKENS, Document, Documents
from core.cards import holds_card_number
from core.errors import ErrorCode, Refused
from core.texts import is_storable
from models.database import DATABASE_ERRORS
from resolvers.context import Context
from resolvers.creators import (
    CreatorMutation,
    CreatorQuery,
    creator_earnings,
    creator_products,
    creator_tips,
)
from resolvers.feeds import FeedSubscription
from resolvers.fees import FeeQuery
from resolvers.fields import top_level
from resolvers.nodes import NodeQuery
from resolvers.payments import PaymentMutation, PaymentQuery, PaymentSubscription
from resolvers.products import ProductMutation, ProductQuery
from resolvers.purchases import PurchaseMutation, PurchaseQuery
from resolvers.tips import TipMutation, TipQuery
from resolvers.users import UserQuery, user_payments, user_purchases
from schema.base import bind
from schema.errors import ERROR_TYPES
from schema.scalars import SCALARS

SCHEMA_FILE: Final = Path(__file__).resolve().parent.parent / "schema" / "schema.graphql"

# A filter of filters, each a list of objects with a range of two amounts: 16 levels.
_DEEPEST_VARIABLES: Final = 32

log = structlog.get_logger(__name__)

bind("creator_tips", creator_tips)
bind("creator_products", creator_products)
bind("creator_earnings", creator_earnings)
bind("user_payments", user_payments)
bind("user_purchases", user_purchases)


@strawberry.type(description="Reading. What one may not see looks like nothing.")
class Query(UserQuery, NodeQuery, CreatorQuery, ProductQuery, PaymentQuery, TipQuery, PurchaseQuery, FeeQuery):
    pass


@strawberry.type(description="Doing. Each takes an idempotency key and answers with its objects or its errors.")
class Mutation(CreatorMutation, ProductMutation, TipMutation, PurchaseMutation, PaymentMutation):
    pass


@strawberry.type(description="Watching: a snapshot, then every change, in order and none missing.")
class Subscription(PaymentSubscription, FeedSubscription):
    pass


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


class _Operation(SchemaExtension):
    """Around every operation: its own context, cached documents, no card numbers, errors made fit to show."""

    async def on_operation(self) -> AsyncIterator[None]:
        context: Context = self.execution_context.context.for_operation()
        self.execution_context.context = context
        yield
        result = self.execution_context.result
        if result is not None and result.errors:
            result.errors = _shown(result.errors, context)

    def on_parse(self) -> Iterator[None]:
        execution = self.execution_context
        schema = execution.schema
        assert isinstance(schema, ComptoirSchema)  # ruff: ignore[assert] - this extension belongs to that schema
        text = execution.query or ""
        try:
            document = schema.documents.get(schema._schema, text)  # ruff: ignore[private-member-access] - not offered otherwise
        except GraphQLSyntaxError:
            # It is parsed once more, where the error is expected: raised here it would end a socket's operation
            # without a word.
            execution.parse_options = {"max_tokens": MAXIMUM_TOKENS}
        else:
            execution.graphql_document = document.node
            self._errors = _refusals(document, text, execution.variables) or list(document.errors)
        yield

    def on_validate(self) -> Iterator[None]:
        # An empty list says that validation was done and found nothing.
        self.execution_context.pre_execution_errors = self._errors
        yield

    async def on_stream_result(self, result: Any) -> AsyncIterator[None]:
        if result.errors:
            result.errors = _shown(result.errors, self.execution_context.context)
        yield

    def get_results(self) -> dict[str, Any]:
        replayed = self.execution_context.context.replayed
        return {} if replayed is None else {"idempotency": {"replayed": replayed}}


def _refusals(document: Document, text: str, variables: object) -> list[GraphQLError]:
    """Return what speaks against an operation whatever it asks for, in its document or its variables."""
    if _nests_deeper(variables, _DEEPEST_VARIABLES):
        refused = Refused(ErrorCode.LIMIT_EXCEEDED, "The variables are nested too deeply.")
    elif document.holds_card_number or (variables and holds_card_number(variables)):
        refused = Refused(
            ErrorCode.CARD_NUMBER_REFUSED,
            "This looks like a card number. Card numbers are never sent here: send the token that the payment "
            "provider gave for the card.",
        )
    elif _holds_unstorable_literal(document.node, text) or _holds_unstorable(variables):
        refused = Refused(ErrorCode.INPUT_INVALID, "A text holds a character that cannot be stored. Remove it.")
    else:
        return []
    return [top_level(refused)]


def _nests_deeper(value: object, levels: int) -> bool:
    # Level by level: a function that calls itself ends where Python's stack does.
    level = [value]
    for _ in range(levels):
        level = [
            item
            for outer in level
            if isinstance(outer, (dict, list))
            for item in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return any(isinstance(item, (dict, list)) for item in level)


class _UnstorableLiterals(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.found = False

    def enter_string_value(self, node: StringValueNode, *_: object) -> None:
        self.found = self.found or not is_storable(node.value)


def _holds_unstorable_literal(document: DocumentNode, text: str) -> bool:
    # Hardly any document escapes a character or holds NUL, so hardly any is walked.
    if "\\u" not in text and "\0" not in text:
        return False
    literals = _UnstorableLiterals()
    visit(document, literals)
    return literals.found


def _holds_unstorable(value: object) -> bool:
    if isinstance(value, str):
        return not is_storable(value)
    if isinstance(value, dict):
        return any(_holds_unstorable(key) or _holds_unstorable(item) for key, item in value.items())
    if isinstance(value, list):
        return any(_holds_unstorable(item) for item in value)
    return False


def _shown(errors: Iterable[GraphQLError], context: Context) -> list[GraphQLError]:
    return [shown(error, context.trace_id) for error in errors]


def shown(error: GraphQLError, trace_id: str) -> GraphQLError:
    """Return an error as a client may see it: expected ones as they are, others masked, with a trace id."""
    original = error.original_error
    while isinstance(original, GraphQLError) and original.original_error is not None:
        original = original.original_error
    if isinstance(original, Refused):
        refused = top_level(original)
        return GraphQLError(refused.message, nodes=error.nodes, path=error.path, extensions=refused.extensions)
    if original is None or isinstance(original, GraphQLError):
        code = (error.extensions or {}).get("code", ErrorCode.INPUT_INVALID.value)
        return GraphQLError(
            error.message,
            nodes=error.nodes,
            source=error.source,
            positions=error.positions,
            path=error.path,
            extensions={"code": code},
        )
    trace = None if isinstance(original, DATABASE_ERRORS) else original
    kind = type(original).__name__
    log.error("operation failed", trace_id=trace_id, path=error.path, error=kind, exc_info=trace)
    return GraphQLError(
        "Something broke on our side. Quote the trace id when reporting it.",
        nodes=error.nodes,
        path=error.path,
        extensions={"code": ErrorCode.INTERNAL.value, "traceId": trace_id},
    )


def printed_schema() -> str:
    """Return the contract as text, as it is kept in ``schema/schema.graphql``."""
    return print_schema(ComptoirSchema(introspection=True)) + "\n"
