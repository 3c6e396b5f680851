"""What the stand-in knows: objects by id, whose they are, the books of each account, and the events."""

import copy
import secrets
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from stripe import Event

from .clock import Clock
from .refusals import Body, missing
from .sdk import class_of
from .typed import violations

API_VERSION = "2026-10-28.endive"
_LETTERS = string.ascii_letters + string.digits


def stamp(moment: int) -> str:
    """Return a moment as v2 writes it."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(slots=True)
class Settings:
    """How this Stripe is set up.

    A charge costs ``fee_per_mille`` and ``fee_fixed``; its money is there after ``settles_after`` seconds.
    ``events_kept`` is for how many seconds events can be read again, None for always. ``declines_on_attach``: a card
    that declines cannot be kept either. ``lets_go_by_refund``: what is reserved and not captured is told as refunded.
    ``captures_in_two_lines``: the books then have a line of the whole charge, and one of what was let go of it.
    ``default_version`` is the account's: of the events that are listed, not of those that are sent.
    """

    api_key: str = "sk_test_standin"
    account: str = "acct_1StandInPlatform"
    fee_per_mille: int = 29
    fee_fixed: int = 30
    dispute_fee: int = 1500
    settles_after: int = 0
    events_kept: int | None = None
    declines_on_attach: bool = False
    lets_go_by_refund: bool = True
    captures_in_two_lines: bool = False
    default_version: str = API_VERSION
    # The fee of a charge is told with the next charge.updated; held back, only when it is let go.
    fees_held_back: bool = False
    # What is converted: into which currency, and for how many hundredths of it.
    settles_in: dict[str, tuple[str, int]] = field(default_factory=dict)
    longest_page: int = 100


@dataclass(slots=True)
class Row:
    """An object, whose it is (None for the platform's own), and what nobody is told of it."""

    body: Body
    account: str | None
    number: int
    hidden: dict[str, Any] = field(default_factory=dict)


class Store:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.clock = Clock()
        self.started = self.clock.now
        self.rows: dict[str, Row] = {}
        self.events: list[Body] = []
        self.mistakes: list[str] = []
        self.revoked: set[str] = set()
        self.after_answer: list[Callable[[], None]] = []
        self.views: dict[str, Callable[[Store, Body], None]] = {}
        self.platform_interval = "daily"
        self._count = 0

    def new_id(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}_1{''.join(secrets.choice(_LETTERS) for _ in range(18))}{self._count:05d}"

    def add(self, body: Body, account: str | None = None, **hidden: object) -> Body:
        self._count += 1
        self.rows[body["id"]] = Row(body, account, self._count, dict(hidden))
        return body

    def hidden(self, reference: str) -> dict[str, Any]:
        return self.rows[reference].hidden

    def get(self, kind: str, reference: str, account: str | None, param: str | None = None) -> Body:
        """Return an object that an account may see. Raises Refused."""
        row = self.rows.get(reference)
        if row is None or row.body["object"] != kind or row.account != account:
            raise missing(kind, reference, param)
        return row.body

    def all(self, kind: str, account: str | None = None) -> Iterator[Body]:
        """Yield an account's objects of a kind, the newest first."""
        mine = [row for row in self.rows.values() if row.body["object"] == kind and row.account == account]
        return (row.body for row in sorted(mine, key=lambda row: row.number, reverse=True))

    def view(self, body: Body) -> Body:
        """Return an object as it is told: a copy, with what is reckoned when it is asked for."""
        told = copy.deepcopy(body)
        if (add := self.views.get(body["object"])) is not None:
            add(self, told)
        return told

    def tell(self, kind: str, body: Body, account: str | None = None) -> None:
        """Let an event of a v1 object be told, with the object as it is now."""
        event: Body = {
            "id": self.new_id("evt"),
            "object": "event",
            "api_version": API_VERSION,
            "created": self.clock.now,
            "data": {"object": self.view(body)},
            "livemode": False,
            "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": None},
            "type": kind,
        }
        if account is not None:
            event["account"] = account
        self.check(event, Event)
        self.check(event["data"]["object"], class_of(body))
        self.add(event, account)
        self.events.append(event)

    def check(self, body: Body, kind: object, what: str = "") -> None:
        """Note what is not as the SDK has it: then it is the stand-in that lies."""
        self.mistakes += [f"{what or body.get('object')}: {each}" for each in violations(body, kind, closed=True)]
