"""Who is asking: bearer tokens checked against the issuer's published keys (RFC 6750, RFC 7519, RFC 7517)."""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

import httpx
import structlog
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from core.errors import ErrorCode, Refused
from core.scopes import parse_scopes
from core.texts import is_storable
from core.viewer import ANONYMOUS, Viewer
from services import users
from services.engine import Engine
from services.guests import GuestTokens

_ALGORITHMS: Final = ["ES256", "RS256", "PS256", "Ed25519", "EdDSA"]
_CACHED_TOKENS: Final = 10_000
_REFETCH_AFTER_SECONDS: Final = 30.0
_LEEWAY_SECONDS: Final = 30
_LONGEST_TOKEN: Final = 8_192
_LONGEST_SUBJECT: Final = 255

log = structlog.get_logger(__name__)

FetchKeys = Callable[[], Awaitable[dict[str, Any]]]


def fetch_from(url: str) -> FetchKeys:
    """Return how an issuer's key set is fetched from its address."""

    async def fetch() -> dict[str, Any]:
        async with httpx.AsyncClient(timeout=10) as client:
            response = await client.get(url)
            response.raise_for_status()
            keys: dict[str, Any] = response.json()
            return keys

    return fetch


class Authenticator:
    """Turns an Authorization header into a viewer, and remembers tokens it has verified until they end."""

    def __init__(self, engine: Engine, *, issuer: str, audience: str, fetch_keys: FetchKeys) -> None:
        self._engine = engine
        self._guests: GuestTokens = engine.guests
        self._fetch_keys = fetch_keys
        self._keys: KeySet | None = None
        self._fetched_at = float("-inf")
        self._fetching = asyncio.Lock()
        self._verified: OrderedDict[bytes, Viewer] = OrderedDict()
        self._claims = jwt.JWTClaimsRegistry(
            leeway=_LEEWAY_SECONDS,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
            sub={"essential": True},
        )
        self._issuer = issuer

    async def viewer(self, authorization: str | None) -> Viewer:
        """Return who a header speaks for; nobody, if there is none. Errors: UNAUTHENTICATED."""
        if authorization is None or not authorization.strip():
            return ANONYMOUS
        scheme, _, token = authorization.strip().partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token or len(token) > _LONGEST_TOKEN or not token.isascii():
            raise _unauthenticated("Send the access token as: Authorization: Bearer TOKEN.")
        digest = hashlib.sha256(token.encode()).digest()
        known = self._verified.get(digest)
        if known is not None and known.expires_at is not None and known.expires_at > datetime.now(UTC):
            self._verified.move_to_end(digest)
            return known
        viewer = self._guests.read(token) or await self._signed_in(token)
        self._verified[digest] = viewer
        if len(self._verified) > _CACHED_TOKENS:
            self._verified.popitem(last=False)
        return viewer

    async def _signed_in(self, token: str) -> Viewer:
        claims = await self._verify(token)
        subject = claims["sub"]
        if not isinstance(subject, str) or not 1 <= len(subject) <= _LONGEST_SUBJECT or not is_storable(subject):
            raise _unauthenticated("The access token names no subject.")
        name = claims.get("name")
        scope = claims.get("scope")
        user_id = await users.sign_in(self._engine, self._issuer, subject, name if isinstance(name, str) else None)
        return Viewer(
            user_id=user_id,
            scopes=parse_scopes(scope) if isinstance(scope, str) else frozenset(),
            expires_at=datetime.fromtimestamp(claims["exp"], UTC),
        )

    async def _verify(self, token: str) -> dict[str, Any]:
        try:
            key_id = jws.extract_compact(token.encode()).headers().get("kid")
            keys = await self._key_set(key_id)
            decoded = jwt.decode(token, keys, algorithms=_ALGORITHMS)
            self._claims.validate(decoded.claims)
            datetime.fromtimestamp(decoded.claims["exp"], UTC)
        except (JoseError, ValueError, TypeError, KeyError, OverflowError) as error:
            # The reason stays with us: it helps who forges more than who signs in.
            log.info("access token refused", reason=type(error).__name__)
            raise _unauthenticated("The access token is not valid, or no longer. Sign in again.") from None
        return decoded.claims

    async def _key_set(self, key_id: str | None) -> KeySet:
        """Return the issuer's keys, fetched again for a key nobody knows yet, but not for everyone who asks."""
        async with self._fetching:
            known = self._keys
            if known is not None and (key_id is None or any(key.kid == key_id for key in known.keys)):
                return known
            if known is not None and time.monotonic() - self._fetched_at < _REFETCH_AFTER_SECONDS:
                return known
            self._fetched_at = time.monotonic()
            try:
                self._keys = KeySet.import_key_set(await self._fetch_keys())  # type: ignore[arg-type] # checked there
            except (httpx.HTTPError, ValueError) as error:
                log.warning("issuer's keys could not be fetched", error=type(error).__name__)
                if known is None:
                    raise Refused(
                        ErrorCode.UNAUTHENTICATED,
                        "Sign-in is not possible at present: the issuer's keys cannot be read. Try again.",
                    ) from None
                return known
            return self._keys


def _unauthenticated(message: str) -> Refused:
    return Refused(ErrorCode.UNAUTHENTICATED, message)
