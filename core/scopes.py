"""What a credential may be used for. Nothing is allowed that no scope names."""

from enum import StrEnum
from typing import Final


class Scope(StrEnum):
    """A permission carried by an access token, in its ``scope`` claim (RFC 8693, section 4.2)."""

    ACCOUNT_READ = "account:read"
    EARNINGS_READ = "earnings:read"
    FINANCE_READ = "finance:read"
    FINANCE_WRITE = "finance:write"
    CREATORS_WRITE = "creators:write"
    PRODUCTS_WRITE = "products:write"
    TIPS_WRITE = "tips:write"
    PURCHASES_WRITE = "purchases:write"
    SALES_READ = "sales:read"
    SALES_WRITE = "sales:write"
    PAYMENTS_WRITE = "payments:write"
    REFUNDS_WRITE = "refunds:write"
    DISPUTES_WRITE = "disputes:write"
    PAYOUTS_WRITE = "payouts:write"


OPERATOR_SCOPES: Final = frozenset({Scope.FINANCE_READ, Scope.FINANCE_WRITE})
"""Those that show or touch what belongs to others: for the platform's own staff, never granted unless
asked for by name."""
PERSONAL_SCOPES: Final = frozenset(Scope) - OPERATOR_SCOPES
"""Those a person needs for what is their own."""


def parse_scopes(claim: str) -> frozenset[Scope]:
    """Read a space-delimited scope claim; scopes nobody here knows are passed over."""
    known = {scope.value: scope for scope in Scope}
    return frozenset(known[word] for word in claim.split() if word in known)
