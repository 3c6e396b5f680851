"""What a credential may be used for. Nothing is allowed that no scope names."""

from enum import StrEnum


class Scope(StrEnum):
    """A permission carried by an access token, in its ``scope`` claim (RFC 8693, section 4.2)."""

    ACCOUNT_READ = "account:read"
    EARNINGS_READ = "earnings:read"
    CREATORS_WRITE = "creators:write"
    PRODUCTS_WRITE = "products:write"
    TIPS_WRITE = "tips:write"
    PURCHASES_WRITE = "purchases:write"
    PAYMENTS_WRITE = "payments:write"


def parse_scopes(claim: str) -> frozenset[Scope]:
    """Read a space-delimited scope claim; scopes nobody here knows are passed over."""
    known = {scope.value: scope for scope in Scope}
    return frozenset(known[word] for word in claim.split() if word in known)
