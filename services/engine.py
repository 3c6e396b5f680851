"""What every use case works with: connections, the ledger's chart, the doors to the outside, the bus."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol, TypeVar

from core.batcher import Batcher
from ledger import Accounts
from models.database import Database
from providers.payments.base import PaymentProvider
from providers.storage.base import FileStore
from providers.tax.base import TaxCalculator
from services.bus import Bus
from services.fold import Told
from services.guests import GuestTokens
from services.links import SignedLinks

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


class Settle(Protocol):
    """Fold what the provider answered into the objects it speaks of; see ``services.settlement``."""

    def __call__(
        self,
        engine: "Engine",
        facts: Sequence[Told],
        *,
        look_up_at: datetime | None = None,
        claim: datetime | None = None,
    ) -> Awaitable[None]: ...


@dataclass(slots=True)
class Engine:
    """The parts of a running process that use cases share.

    ``settle`` is handed in because settlement knows the nouns and the nouns may not know settlement.
    ``relay_wake`` tells a relay in this process that there is something to take.
    """

    database: Database
    accounts: Accounts
    provider: PaymentProvider
    bus: Bus
    settle: Settle
    guests: GuestTokens
    links: SignedLinks
    tax: TaxCalculator
    files: FileStore
    provider_timeout: timedelta = timedelta(seconds=20)
    settle_grace: timedelta = timedelta(seconds=5)
    payment_expiry: timedelta = timedelta(hours=1)
    upload_limit: int = 2 * 1024**3
    relay_wake: Callable[[], None] = field(default=lambda: None)
    inbox_wake: Callable[[], None] = field(default=lambda: None)
    _batchers: dict[Callable[..., Any], Batcher[Any, Any]] = field(default_factory=dict)

    def batched(
        self, run: "Callable[[Engine, Sequence[ItemT]], Awaitable[Sequence[ResultT]]]"
    ) -> Batcher[ItemT, ResultT]:
        """Return this process's batcher for a statement that takes many items."""
        batcher = self._batchers.get(run)
        if batcher is None:
            batcher = self._batchers[run] = Batcher(partial(run, self))
        return batcher
