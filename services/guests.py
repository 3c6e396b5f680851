"""Guests: who buys or pays without signing in holds a token of the cart or the payment, good for nothing else."""

from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from core.clock import now
from core.viewer import Viewer

_PAYMENT: Final = "comptoir:payment"
_CART: Final = "comptoir:cart"
_PAYMENT_LIFETIME: Final = timedelta(days=1)
_CART_LIFETIME: Final = timedelta(days=30)


class GuestTokens:
    """Issues and reads tokens of payments and carts (JWTs, HS256, RFC 7519), with a secret of the deployment's."""

    def __init__(self, secret: str) -> None:
        self._key = OctKey.import_key(secret)

    def issue(self, payment_id: UUID) -> str:
        """Return a token for a payment, good for a day."""
        return self._issue(_PAYMENT, payment_id, _PAYMENT_LIFETIME)

    def issue_for_cart(self, cart_id: UUID) -> str:
        """Return a token for a cart and what is ordered with it, good for thirty days."""
        return self._issue(_CART, cart_id, _CART_LIFETIME)

    def read(self, token: str) -> Viewer | None:
        """Return the viewer a token makes, or None when it is not one of these, or no longer."""
        try:
            claims = jwt.decode(token, self._key, algorithms=["HS256"]).claims
            expires_at = datetime.fromtimestamp(claims["exp"], UTC)
            subject = UUID(claims["sub"])
            if expires_at <= now():
                return None
            if claims["aud"] == _PAYMENT:
                return Viewer(payment_id=subject, expires_at=expires_at)
            return Viewer(cart_id=subject, expires_at=expires_at) if claims["aud"] == _CART else None
        except (JoseError, KeyError, ValueError, TypeError, AttributeError, OverflowError):
            return None

    def _issue(self, audience: str, subject: UUID, lifetime: timedelta) -> str:
        claims = {"aud": audience, "sub": str(subject), "exp": int((now() + lifetime).timestamp())}
        return jwt.encode({"alg": "HS256"}, claims, self._key, algorithms=["HS256"])
