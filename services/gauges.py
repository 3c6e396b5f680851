"""What stands in the database that somebody should know of: how much waits, for how long, and what went wrong.

It is read in one statement, of which each part reads an index of just the rows that are counted, so that it costs
the same however long the history is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from core.clock import now
from core.payouts import PayoutStatus
from models.database import PoolOrConnection
from services.jobs import Job

_STATEMENT_SECONDS: Final = 5

# Times are those of the business ($1), but the queue's, which are PostgreSQL's.
_READ: Final = """
    select 'inbox_events' as name, 'pending' as label, count(*)::float8 as value
    from inbox_events where state = 'PENDING'
    union all
    select v.name, v.label, d.number
    from (select count(*)::float8 as number from inbox_events where state = 'DEAD') d,
        (values ('inbox_events', 'dead'), ('dead_letters', null)) as v (name, label)
    union all
    select 'inbox_events', 'quarantined', count(*) from inbox_events where state = 'QUARANTINED'
    union all
    select 'inbox_oldest_seconds', null, extract(epoch from $1 - min(received_at))
    from inbox_events where state = 'PENDING'
    union all
    select 'outbox_waiting_events', null, count(*) from outbox_events where position is null
    union all
    select 'outbox_oldest_seconds', null, extract(epoch from $1 - min(at))
    from outbox_events where position is null
    union all
    select 'payments_unfinished', null, count(*) from payments where calling_until is not null
    union all
    select 'payments_unfinished_oldest_seconds', null, extract(epoch from $1 - min(created_at))
    from payments where calling_until is not null
    union all
    select 'payments_reconciling', null, count(*) from payments where calling_until is not null and reconciling
    union all
    select 'charges_missing', null, count(*) from payments
    where available_on is null and succeeded_at is not null and succeeded_at < $1 - interval '1 hour'
    union all
    select 'refunds_unfinished', null, count(*) from refunds where calling_until is not null
    union all
    select 'payouts_unfinished', lower(status), count(*)
    from payouts where status not in ('PAID', 'FAILED', 'CANCELED') group by status
    union all
    select 'payouts_unfinished_oldest_seconds', null, extract(epoch from $1 - min(created_at))
    from payouts where status not in ('PAID', 'FAILED', 'CANCELED')
    union all
    select 'disputes_open', null, count(*) from disputes where status in ('NEEDS_RESPONSE', 'UNDER_REVIEW')
    union all
    select 'stock_levels_low', null, count(*)
    from stock_levels s join stock_locations l on l.id = s.location_id
    where s.low_since is not null and l.state = 'active'
    union all
    select 'jobs_waiting', entrypoint, count(*) from jobs.pgqueuer
    where status in ('queued', 'picked') group by entrypoint
    union all
    select 'jobs_oldest_seconds', null, extract(epoch from clock_timestamp() - min(created)) from jobs.pgqueuer
    where status in ('queued', 'picked')
    union all
    (
        select v.name, null, v.value
        from (select * from reconciliations order by id desc limit 1) r, lateral (values
            ('reconciliation_differences', r.differences::float8),
            ('reconciliation_unmended', (r.differences - r.mended)::float8),
            ('reconciliation_age_seconds', extract(epoch from $1 - r.finished_at)::float8)
        ) as v (name, value)
    )
"""


@dataclass(frozen=True, slots=True)
class Gauge:
    """A number read from the database. ``values`` are those of its ``label``; without any there is one number.

    ``always``: where nothing is found it is 0, and otherwise it is not known.
    """

    name: str
    help: str
    label: str | None = None
    values: tuple[str, ...] = ()
    always: bool = True


_FINISHED: Final = frozenset({PayoutStatus.PAID, PayoutStatus.FAILED, PayoutStatus.CANCELED})

GAUGES: Final = (
    Gauge(
        "inbox_events",
        "Webhooks that are not settled, by where they stand.",
        "state",
        ("pending", "dead", "quarantined"),
    ),
    Gauge("dead_letters", "Webhooks that were given up and wait for a person."),
    Gauge("inbox_oldest_seconds", "Age of the oldest webhook that is still to be settled."),
    Gauge("outbox_waiting_events", "Changes of status that the relay has not handed over."),
    Gauge("outbox_oldest_seconds", "Age of the oldest of them: how far the relay is behind."),
    Gauge("payments_unfinished", "Payments of which the provider is still to say how they go on."),
    Gauge("payments_unfinished_oldest_seconds", "Age of the oldest of them."),
    Gauge("payments_reconciling", "Payments whose call to the provider was not answered."),
    Gauge("charges_missing", "Payments that succeeded an hour ago or longer and whose charge was never told."),
    Gauge("refunds_unfinished", "Refunds of which the provider is still to say how they end."),
    Gauge(
        "payouts_unfinished",
        "Payouts on their way, by where they stand.",
        "status",
        tuple(status.value.lower() for status in PayoutStatus if status not in _FINISHED),
    ),
    Gauge("payouts_unfinished_oldest_seconds", "Age of the oldest payout on its way."),
    Gauge("disputes_open", "Disputes that are not decided."),
    Gauge("stock_levels_low", "Stock levels with no more left to sell than their creator calls low."),
    Gauge("jobs_waiting", "Background jobs that wait or run.", "job", tuple(job.value for job in Job)),
    Gauge("jobs_oldest_seconds", "Age of the oldest background job that waits or runs."),
    Gauge("reconciliation_differences", "Differences that the last reconciliation found.", always=False),
    Gauge("reconciliation_unmended", "Those of them that it could not mend.", always=False),
    Gauge("reconciliation_age_seconds", "Time since the last reconciliation ended.", always=False),
)

Values = Mapping[tuple[str, str | None], float]


async def read(on: PoolOrConnection) -> Values:
    """Return every gauge's number, by its name and the value of its label. What is not known is not there."""
    found: dict[tuple[str, str | None], float] = {}
    for gauge in GAUGES:
        if gauge.always:
            found.update(dict.fromkeys([(gauge.name, value) for value in gauge.values or (None,)], 0.0))
    rows = await on.fetch(_READ, now(), timeout=_STATEMENT_SECONDS)
    found.update({(row["name"], row["label"]): row["value"] for row in rows if row["value"] is not None})
    return found
