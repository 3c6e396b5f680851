"""What development makes for itself: the keys of its own token issuer, and its secrets."""

import base64
import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
from joserfc import jwt
from joserfc.jwk import ECKey

from core.scopes import Scope

_FILE: Final = "development.json"
_TOKEN_SECONDS: Final = 24 * 3600


@dataclass(frozen=True)
class DevelopmentSecrets:
    """The secrets of one checkout, made at first use and kept in its state folder, for its owner alone."""

    secret_key: str
    webhook_secret: str
    issuer_key: dict[str, Any]

    @classmethod
    def of(cls, directory: Path) -> "DevelopmentSecrets":
        """Read the secrets of a state folder, making them if there are none."""
        path = directory / _FILE
        if not path.exists():
            directory.mkdir(parents=True, exist_ok=True)
            _write_once(path, _made())
        return cls(**orjson.loads(path.read_bytes()))

    def public_keys(self) -> dict[str, Any]:
        """Return the issuer's public keys as a JWK Set (RFC 7517)."""
        return {"keys": [ECKey.import_key(self.issuer_key).as_dict(private=False)]}

    def token(self, *, issuer: str, audience: str, subject: str, scopes: frozenset[Scope]) -> str:
        """Return an access token for a subject, good for a day."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": issuer,
            "aud": audience,
            "sub": subject,
            "name": subject,
            "iat": now,
            "exp": now + _TOKEN_SECONDS,
            "scope": " ".join(sorted(scope.value for scope in scopes)),
        }
        key = ECKey.import_key(self.issuer_key)
        return jwt.encode({"alg": "ES256", "kid": key.kid}, claims, key, algorithms=["ES256"])


def _made() -> dict[str, Any]:
    key = ECKey.generate_key("P-256", auto_kid=True)
    return {
        "secret_key": secrets.token_urlsafe(48),
        "webhook_secret": "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode(),
        "issuer_key": key.as_dict(private=True),
    }


def _write_once(path: Path, content: dict[str, Any]) -> None:
    """Write a file that is there whole or not at all; of two processes the first one's stays."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(orjson.dumps(content))
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
