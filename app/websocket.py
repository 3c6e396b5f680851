"""GraphQL over WebSocket: the subprotocol ``graphql-transport-ws``, and no other."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson
import structlog
from starlette.requests import Request
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.exceptions import ConnectionRejectionError
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL

from app.auth import Authenticator
from app.graphql import ComptoirSchema
from app.http import trace_id
from core.errors import Refused
from resolvers.context import Context
from services.engine import Engine

_SUBSCRIPTIONS_PER_CONNECTION: Final = 100
_FORBIDDEN: Final = 4403


class SocketContext(Context):
    """The context of a connection; each of its operations has one of its own made from it."""

    socket: WebSocket
    ending: asyncio.TimerHandle | None = None


class SubscriptionEndpoint(GraphQL[SocketContext, None]):
    """The ASGI application at ``/graphql`` for WebSocket.

    The credential comes with ``connection_init``, as ``{"Authorization": "Bearer …"}``. When it ends, the
    connection is closed with 4403. A browser's origin has to be this server's own or in the allow list.
    """

    def __init__(
        self, schema: ComptoirSchema, engine: Engine, authenticator: Authenticator, origins: Sequence[str]
    ) -> None:
        super().__init__(
            schema,
            graphql_ide=None,
            subscription_protocols=(GRAPHQL_TRANSPORT_WS_PROTOCOL,),
            connection_init_wait_timeout=timedelta(seconds=10),
            max_subscriptions_per_connection=_SUBSCRIPTIONS_PER_CONNECTION,
            allowed_origins=origins,
        )
        self._engine = engine
        self._authenticator = authenticator

    async def get_context(self, request: Request | WebSocket, response: Any) -> SocketContext:
        """Return the context of a connection, nobody's until ``connection_init``."""
        context = SocketContext(self._engine, trace_id=trace_id(request))
        context.socket = response
        # The connection has a task of its own, and what it starts inherits this.
        structlog.contextvars.bind_contextvars(trace_id=context.trace_id)
        return context

    async def on_ws_connect(self, context: SocketContext) -> Any:
        """Authenticate a connection by what came with ``connection_init``, and see to its end."""
        given = context.connection_params or {}
        authorization = given.get("Authorization", given.get("authorization"))
        try:
            if authorization is not None and not isinstance(authorization, str):
                raise ConnectionRejectionError
            context.viewer = await self._authenticator.viewer(authorization)
        except Refused:
            raise ConnectionRejectionError from None
        context.forget()
        if context.viewer.expires_at is not None:
            seconds = (context.viewer.expires_at - datetime.now(UTC)).total_seconds()
            context.ending = asyncio.get_running_loop().call_later(
                min(seconds, 7 * 24 * 3600), _end, context.socket
            )
        return await super().on_ws_connect(context)

    def encode_json(self, data: object) -> str:
        """Encode a message as text: bytes would become binary frames, which clients refuse."""
        return orjson.dumps(data).decode()

    def decode_json(self, data: str | bytes) -> object:
        """Decode a message of the protocol. Raises a ``json.JSONDecodeError`` for all else: closed with 4400."""
        message = orjson.loads(data)
        fit = isinstance(message, dict) and isinstance(message.get("id", ""), str)
        if not fit or (message.get("type") == "subscribe" and not _is_operation(message.get("payload"))):
            raise orjson.JSONDecodeError("not a message of graphql-transport-ws", "", 0)
        return message


def _is_operation(payload: object) -> bool:
    return (
        isinstance(payload, dict)
        and isinstance(payload.get("query"), str)
        and isinstance(payload.get("variables"), dict | None)
        and isinstance(payload.get("operationName"), str | None)
    )


_closing: set[asyncio.Task[None]] = set()


def _end(socket: WebSocket) -> None:
    task = asyncio.get_running_loop().create_task(_close(socket))
    _closing.add(task)
    task.add_done_callback(_closing.discard)


async def _close(socket: WebSocket) -> None:
    try:
        await socket.close(code=_FORBIDDEN, reason="The access token has expired")
    except RuntimeError:
        return  # the client was faster
