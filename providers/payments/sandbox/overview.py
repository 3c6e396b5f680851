"""How things stand in the sandbox, and what its objects go by."""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from providers.payments.base import Subject

STATUS: Final = """
select clock.ahead, sandbox.now() as now,
       (select count(*) from sandbox.payment) as payments,
       (select count(*) from sandbox.refund) as refunds,
       (select count(*) from sandbox.dispute) as disputes,
       (select count(*) from sandbox.account) as accounts,
       (select count(*) from sandbox.transfer) as transfers,
       (select count(*) from sandbox.payout) as payouts,
       (select count(*) from sandbox.event) as events,
       (select count(*) from sandbox.event where next_attempt_at is not null) as events_to_send,
       (select count(*) from sandbox.event where fate in ('HELD', 'DELAYED')) as events_held,
       (select count(*) from sandbox.event where fate = 'LOST') as events_lost,
       (select coalesce(sum(remaining), 0) from sandbox.fault) as faults_armed,
       (select count(*) from sandbox.rule where active) as rules,
       (select count(*) from sandbox.agenda where done_at is null) as things_to_come,
       (select min(due_at) from sandbox.agenda where done_at is null) as next_at
  from sandbox.clock
"""
# By the provider's id or by ours; the newest when neither is given.
FIND: Final = {
    Subject.PAYMENT: """
        select id from sandbox.payment where id = $1::text or reference = $2::uuid or $3::boolean
         order by created_at desc, id desc limit 1
    """,
    Subject.REFUND: """
        select id from sandbox.refund where id = $1::text or reference = $2::uuid or $3::boolean
         order by created_at desc, id desc limit 1
    """,
    Subject.DISPUTE: """
        select id from sandbox.dispute where id = $1::text or (id = $2::uuid::text) or $3::boolean
         order by created_at desc, id desc limit 1
    """,
    Subject.ACCOUNT: """
        select id from sandbox.account where id = $1::text or creator = $2::uuid or $3::boolean
         order by created_at desc, id desc limit 1
    """,
    Subject.PAYOUT: """
        select id from sandbox.payout where id = $1::text or reference = $2::uuid or $3::boolean
         order by created_at desc, id desc limit 1
    """,
}


@dataclass(frozen=True, slots=True)
class Status:
    """How things stand in the sandbox: its clock, and how many there are of each."""

    ahead: timedelta
    now: datetime
    payments: int
    refunds: int
    disputes: int
    accounts: int
    transfers: int
    payouts: int
    events: int
    events_to_send: int
    events_held: int
    events_lost: int
    faults_armed: int
    rules: int
    things_to_come: int
    next_at: datetime | None

    def as_json(self) -> dict[str, Any]:
        """Return it as values that JSON has; ``ahead_seconds`` for ``ahead``."""
        told = asdict(self)
        ahead: timedelta = told.pop("ahead")
        return {"ahead_seconds": ahead.total_seconds(), **told}
