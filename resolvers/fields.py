"""Root fields, typed: each states who may use it, and turns what a service refuses into its payload."""

import functools
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Annotated, Any, Concatenate, Final, ParamSpec, TypeVar
from uuid import UUID

import strawberry
from graphql import GraphQLError

from core import ids
from core.cursors import encode_cursor
from core.errors import ErrorCode, Refused, not_found
from core.ids import Noun
from core.scopes import Scope
from core.viewer import Viewer
from resolvers.context import Info
from schema.base import access, computed
from schema.errors import Payload, user_error
from services.bus import Lagged
from services.feeds import FeedItem

P = ParamSpec("P")
T = TypeVar("T")
InputT = TypeVar("InputT")
PayloadT = TypeVar("PayloadT", bound=Payload)

Id = Annotated[strawberry.ID, strawberry.argument(description="Its id.")]
_INPUT: Final = strawberry.argument(description="What to do, and under which key.")


def query(*, description: str, scope: Scope | None = None, guests: bool = False) -> Callable[[Callable[P, T]], T]:
    """Declare a query. With a scope, the field itself says nothing to those without it."""
    return computed(description=description, directives=access(scope, guests=guests) if scope else ())


def mutation(
    *, description: str, scope: Scope, payload: type[PayloadT], guests: bool = False, operators: bool = False
) -> Callable[[Callable[[Any, Info, InputT], Awaitable[PayloadT]]], PayloadT]:
    """Declare a mutation: it needs the scope, or ``guests`` or ``operators`` may use it too.

    A refusal becomes its payload.
    """

    def decorate(resolve: Callable[[Any, Info, InputT], Awaitable[PayloadT]]) -> PayloadT:
        resolve.__annotations__["input"] = Annotated[resolve.__annotations__["input"], _INPUT]

        @functools.wraps(resolve)
        async def guarded(self: Any, info: Info, input: InputT) -> PayloadT:  # ruff: ignore[builtin-argument-shadowing] - the contract's name
            try:
                _ensure_may(info.context.viewer, scope, guests=guests, operators=operators)
                return await resolve(self, info, input)
            except Refused as refused:
                return payload(errors=[user_error(refused)])

        field: PayloadT = strawberry.mutation(
            resolver=guarded,
            description=description,
            directives=access(scope, guests=guests, operators=operators),
        )
        return field

    return decorate


def subscription(
    *, description: str, scope: Scope, guests: bool = False
) -> Callable[
    [Callable[Concatenate[Any, Info, P], AsyncIterator[T]]],
    Callable[Concatenate[Any, Info, P], AsyncIterator[T]],
]:
    """Declare a subscription."""
    decorate: Callable[
        [Callable[Concatenate[Any, Info, P], AsyncIterator[T]]],
        Callable[Concatenate[Any, Info, P], AsyncIterator[T]],
    ] = strawberry.subscription(description=description, directives=access(scope, guests=guests))
    return decorate


def _ensure_may(viewer: Viewer, scope: Scope, *, guests: bool, operators: bool) -> None:
    if guests and not viewer.is_signed_in:
        return
    if not viewer.is_signed_in:
        raise Refused(ErrorCode.UNAUTHENTICATED, "Sign in: send an access token with the request.")
    if not viewer.may(scope) and not (operators and viewer.may(Scope.FINANCE_WRITE)):
        raise Refused(
            ErrorCode.FORBIDDEN, f"The access token lacks the scope {scope.value}. Ask for one that has it."
        )


def id_of(noun: Noun, text: str, *path: str) -> Any:
    """Return the UUID behind an id a client sent. Errors: NOT_FOUND, as for one that isn't there."""
    value = ids.decode(noun, text)
    if value is None:
        raise not_found(noun.name.lower().replace("_", " "), *path)
    return value


async def stream(
    feed: AsyncGenerator[FeedItem, None], key: UUID, show: Callable[[FeedItem], Awaitable[T]]
) -> AsyncIterator[T]:
    """Show a feed's items one by one; a client that lags is told from where it may resume."""
    async with aclosing(feed):
        try:
            async for item in feed:
                yield await show(item)  # ruff: ignore[yield-in-context-manager-in-async-generator] - graphql-core closes it
        except Lagged as lagged:
            cursor = encode_cursor(key, lagged.cursor or 0)
            refused = Refused(
                ErrorCode.LIMIT_EXCEEDED,
                "The client did not keep up and was cut off. Subscribe again with the cursor.",
                data={"resumeAfter": cursor},
            )
            raise top_level(refused) from None


def top_level(refused: Refused) -> GraphQLError:
    """Return a refusal as an error of a query or a subscription, which have no payload to carry it."""
    return GraphQLError(
        refused.message,
        extensions={
            "code": refused.code.value,
            "nextAction": refused.code.next_action.value,
            **refused.data,
        },
        original_error=refused,
    )
