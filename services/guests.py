"""Guests: who pays without signing in holds the payment's own token, good for that payment and nothing else."""

from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from core.clock import now
from core.viewer import Viewer

_AUDIENCE: Final = "comptoir:payment"
_LIFETIME: Final = timedelta(days=1)


class GuestTokens:
    """Issues and reads payment tokens (JWTs, HS256, RFC 7519), with a secret of the deployment's."""

    def __init__(self, secret: str) -> None:
        self._key = OctKey.import_key(secret)

    def issue(self, payment_id: UUID) -> str:
        """Return a token for a payment, good for a day."""
        expires_at = now() + _LIFETIME
        claims = {"aud": _AUDIENCE, "sub": str(payment_id), "exp": int(expires_at.timestamp())}
        return jwt.encode({"alg": "HS256"}, claims, self._key, algorithms=["HS256"])

    def read(self, token: str) -> Viewer | None:
        """Return the viewer a payment token makes, or None when it is not one, or no longer."""
        try:
            claims = jwt.decode(token, self._key, algorithms=["HS256"]).claims
            expires_at = datetime.fromtimestamp(claims["exp"], UTC)
            if claims["aud"] != _AUDIENCE or expires_at <= now():
                return None
            return Viewer(payment_id=UUID(claims["sub"]), expires_at=expires_at)
        except (JoseError, KeyError, ValueError, TypeError, AttributeError, OverflowError):
            return None
