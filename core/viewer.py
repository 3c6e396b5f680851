"""Who is asking."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from core.scopes import Scope


@dataclass(frozen=True, slots=True)
class Viewer:
    """The principal behind a request: a signed-in user, the holder of a payment's or a cart's token, or nobody.

    ``expires_at`` is when the credential ends; a stream that outlives it is closed.
    """

    user_id: UUID | None = None
    payment_id: UUID | None = None
    cart_id: UUID | None = None
    scopes: frozenset[Scope] = field(default_factory=frozenset)
    expires_at: datetime | None = None

    @property
    def is_signed_in(self) -> bool:
        return self.user_id is not None

    @property
    def principal(self) -> str:
        """The name under which idempotency keys are kept apart."""
        if self.user_id is not None:
            return f"user:{self.user_id}"
        if self.payment_id is not None:
            return f"payment:{self.payment_id}"
        if self.cart_id is not None:
            return f"cart:{self.cart_id}"
        return "guest"

    def may(self, scope: Scope) -> bool:
        """Return whether the credential carries a scope."""
        return scope in self.scopes


ANONYMOUS = Viewer()
