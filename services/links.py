"""Signed links: what somebody may fetch without signing in, until a moment, and nothing else."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from core.clock import now
from core.errors import ErrorCode, Refused


class SignedLinks:
    """Issues and reads the tokens of links (JWTs, HS256, RFC 7519), with a secret of the deployment's.

    ``purpose`` keeps them apart: a link to a receipt opens no download. ``base_url`` is how clients reach us.
    """

    def __init__(self, secret: str, base_url: str) -> None:
        self._key = OctKey.import_key(secret)
        self.base_url = base_url

    def issue(self, purpose: str, subject: UUID, lifetime: timedelta, **claims: str) -> tuple[str, datetime]:
        """Return a token about a subject, with ``claims`` beside it, and when it ends."""
        expires_at = (now() + lifetime).replace(microsecond=0)
        body = {"aud": f"comptoir:{purpose}", "sub": str(subject), "exp": int(expires_at.timestamp()), **claims}
        return jwt.encode({"alg": "HS256"}, body, self._key, algorithms=["HS256"]), expires_at

    def read(self, purpose: str, token: str) -> tuple[UUID, dict[str, str]]:
        """Return a token's subject and claims. Errors: LINK_INVALID."""
        try:
            claims = jwt.decode(token, self._key, algorithms=["HS256"]).claims
            valid = claims["aud"] == f"comptoir:{purpose}" and datetime.fromtimestamp(claims["exp"], UTC) > now()
            subject = UUID(claims["sub"])
        except (JoseError, KeyError, ValueError, TypeError, AttributeError, OverflowError):
            valid = False
        if not valid:
            raise invalid_link()
        return subject, {name: value for name, value in claims.items() if name not in {"aud", "sub", "exp"}}


def invalid_link() -> Refused:
    """Return the refusal of a link, in the same words whatever is wrong with it."""
    return Refused(ErrorCode.LINK_INVALID, "This link has expired or is not one of ours. Ask for a new one.")
