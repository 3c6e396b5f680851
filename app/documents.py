"""Documents: parsed and validated once, then taken from a bounded cache.

Validation is the first cost of a GraphQL server in Python; clients send the same few documents over and over.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    parse,
    specified_rules,
    validate,
)
from graphql.validation import NoSchemaIntrospectionCustomRule
from strawberry.extensions import MaxAliasesLimiter, QueryDepthLimiter

from app.inputs import refusal_of_document
from resolvers.fields import top_level

# The deepest operation we know of, a page of products with their creators and page information, has depth 6.
_MAXIMUM_DEPTH: Final = 12
# A dashboard asks for the earnings of a few currencies and the counts of a few lists at once.
_MAXIMUM_ALIASES: Final = 30
# GraphiQL's introspection has some 700 tokens.
MAXIMUM_TOKENS: Final = 2_000
_LARGEST_CACHED: Final = 20_000
_ERRORS_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Document:
    """A document as it was found: parsed, with what speaks against running it."""

    node: DocumentNode
    errors: tuple[GraphQLError, ...]


class Documents:
    """Parses and validates documents for a schema, remembering the latest ``size`` of them."""

    def __init__(self, *, introspection: bool, size: int = 1_000) -> None:
        limits = (
            *QueryDepthLimiter(max_depth=_MAXIMUM_DEPTH).validation_rules,
            *MaxAliasesLimiter(max_alias_count=_MAXIMUM_ALIASES).validation_rules,
        )
        hidden = () if introspection else (NoSchemaIntrospectionCustomRule,)
        self._rules = (*specified_rules, *limits, *hidden)
        self._hides_names = not introspection
        self._size = size
        self._known: OrderedDict[str, Document] = OrderedDict()
        self.hits = 0
        self.misses = 0

    def get(self, schema: GraphQLSchema, text: str) -> Document:
        """Return a document. Raises ``GraphQLSyntaxError`` for one that cannot be parsed."""
        known = self._known.get(text)
        if known is not None:
            self.hits += 1
            self._known.move_to_end(text)
            return known
        self.misses += 1
        node = parse(text, max_tokens=MAXIMUM_TOKENS)
        found = validate(schema, node, self._rules, max_errors=_ERRORS_SHOWN, hide_suggestions=self._hides_names)
        errors = tuple(found)
        refused = refusal_of_document(node)
        if refused is not None:
            errors = (top_level(refused),)
        document = Document(node, errors)
        # What is refused is not kept: only what clients really run should displace other documents.
        if not errors and len(text) <= _LARGEST_CACHED:
            self._known[text] = document
            if len(self._known) > self._size:
                self._known.popitem(last=False)
        return document
