"""What is wrong with the settings of Stripe, in sentences that name the setting and never repeat a value. Pure."""

import ipaddress
import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit

SHORTEST_TIMEOUT: Final = timedelta(seconds=10)
LONGEST_TIMEOUT: Final = timedelta(seconds=20)

# Nothing else may get into a header, whose errors would quote it.
_KEY: Final = re.compile(r"[sr]k_(live|test)_\w{1,255}", re.ASCII)
_SECRET: Final = re.compile(r"whsec_[\w+/=-]{8,255}", re.ASCII)
_KEY_KINDS: Final = {
    "pk_": "is a publishable key, which is for pages and apps: it can ask for nothing here.",
    "whsec_": "is a webhook's signing secret: is it swapped with STRIPE_WEBHOOK_SECRET?",
    "sk_org_": "is a key of an organisation, which is for many accounts: Comptoir works for one.",
    "ek_": "is an ephemeral key, which is for one customer and expires.",
}
_WHERE: Final = "Take a secret or restricted key (sk_… or rk_…) from Stripe's dashboard: Developers, API keys."


def key_problem(key: str, *, production: bool, allow_test: bool) -> str | None:
    """Return what is wrong with STRIPE_API_KEY, or None."""
    if not key:
        return f"STRIPE_API_KEY is not set. {_WHERE}"
    for beginning, sentence in _KEY_KINDS.items():
        if key.startswith(beginning):
            return f"STRIPE_API_KEY {sentence} {_WHERE}"
    matched = _KEY.fullmatch(key)
    if matched is None:
        return (
            "STRIPE_API_KEY is not a key: those begin with sk_test_, sk_live_, rk_test_ or rk_live_ and have only "
            f"letters, digits and underscores, no blank and no quotation mark. {_WHERE}"
        )
    if production and matched[1] == "test" and not allow_test:
        return (
            "STRIPE_API_KEY is a test key, with which no money moves. Set the live key, or "
            "COMPTOIR_ALLOW_STRIPE_TEST=true to run a production server on Stripe's test mode all the same."
        )
    if not production and matched[1] == "live":
        return (
            "STRIPE_API_KEY is a live key, and COMPTOIR_ENVIRONMENT is development, which must not move real "
            "money. Set a test key (sk_test_… or rk_test_…)."
        )
    return None


def webhook_secrets(given: str) -> tuple[str, ...]:
    """Return the secrets of STRIPE_WEBHOOK_SECRET, in their order, each once."""
    return tuple(dict.fromkeys(part for part in (piece.strip() for piece in given.split(",")) if part))


def secrets_problem(secrets: Sequence[str]) -> str | None:
    """Return what is wrong with STRIPE_WEBHOOK_SECRET, or None."""
    if not secrets:
        return (
            "STRIPE_WEBHOOK_SECRET is not set: the signing secrets (whsec_…) of the webhook endpoints, separated "
            "by commas. `comptoir stripe setup` makes the endpoints and prints them."
        )
    if any(secret.startswith(("sk_", "rk_", "pk_")) for secret in secrets):
        return (
            "STRIPE_WEBHOOK_SECRET holds an API key: is it swapped with STRIPE_API_KEY? A signing secret begins "
            "with whsec_."
        )
    if any(_SECRET.fullmatch(secret) is None for secret in secrets):
        return (
            "STRIPE_WEBHOOK_SECRET holds something that is no signing secret: each begins with whsec_, and commas "
            "part them."
        )
    return None


def url_problem(url: str, *, production: bool) -> str | None:
    """Return what is wrong with STRIPE_API_URL, or None."""
    if not url:
        return None
    if production:
        return "STRIPE_API_URL is for development, where something else stands in for Stripe: do not set it."
    if not is_loopback(url):
        return (
            "STRIPE_API_URL must be an address of this machine, such as http://127.0.0.1:12111: the key is sent "
            "there. Do not set it to use Stripe itself."
        )
    return None


def timeout_problem(seconds: float, *, stand_in: bool) -> str | None:
    """Return what is wrong with COMPTOIR_PROVIDER_TIMEOUT_SECONDS where Stripe itself is asked, or None."""
    if stand_in or SHORTEST_TIMEOUT.total_seconds() <= seconds <= LONGEST_TIMEOUT.total_seconds():
        return None
    return (
        "COMPTOIR_PROVIDER_TIMEOUT_SECONDS must be from 10 to 20 with Stripe: payers wait while it is asked, and "
        "a shorter time leaves calls undecided that would have been answered."
    )


def is_loopback(url: str) -> bool:
    """Return whether an http or https address is one of this machine, without a password, query or fragment."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    if parts.scheme not in {"http", "https"} or parts.username or parts.password or parts.query or parts.fragment:
        return False
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
