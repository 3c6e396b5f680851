"""What this process counts and times, for whoever watches it: the metrics that are not read from the database.

They are measured where the thing happens and shown by ``app/metrics.py``. No label ever holds an id, an amount or
anything a person sent: each has a handful of values that are known beforehand.
"""

from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

REGISTRY: Final = CollectorRegistry()

_NAMESPACE: Final = "comptoir"
_QUICK: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_OVER_A_NETWORK: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0)
_MINUTES: Final = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0)
_UNTIL_SETTLED: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0, 3600.0)

# When each series began: twice the series, and nobody asks.
disable_created_metrics()  # type: ignore[no-untyped-call] # the library leaves its type out
ProcessCollector(namespace=_NAMESPACE, registry=REGISTRY)

WEBHOOKS_RECEIVED: Final = Counter(
    "webhooks_received",
    "Webhooks that came in. Outcome: stored, or why not (unverified, too_large, unavailable).",
    ["provider", "outcome"],
    namespace=_NAMESPACE,
    registry=REGISTRY,
)
WEBHOOK_RECEIPT_SECONDS: Final = Histogram(
    "webhook_receipt_seconds",
    "From a webhook's arrival to our answer.",
    namespace=_NAMESPACE,
    registry=REGISTRY,
    buckets=_QUICK,
)
EVENTS_SETTLED: Final = Counter(
    "events_settled",
    "Attempts at settling an event of the inbox. Outcome: done, put_off (tried again), dead (waits for a person), "
    "quarantined (not for us).",
    ["outcome"],
    namespace=_NAMESPACE,
    registry=REGISTRY,
)
SETTLE_LAG_SECONDS: Final = Histogram(
    "settle_lag_seconds",
    "From a webhook's receipt to its being settled.",
    namespace=_NAMESPACE,
    registry=REGISTRY,
    buckets=_UNTIL_SETTLED,
)
PROVIDER_CALLS: Final = Counter(
    "provider_calls",
    "Calls to the payment provider. Outcome: ok, refused, ambiguous (it was lost), failed (our own error).",
    ["command", "outcome"],
    namespace=_NAMESPACE,
    registry=REGISTRY,
)
PROVIDER_CALL_SECONDS: Final = Histogram(
    "provider_call_seconds",
    "How long the payment provider took to answer.",
    ["command"],
    namespace=_NAMESPACE,
    registry=REGISTRY,
    buckets=_OVER_A_NETWORK,
)
JOBS: Final = Counter(
    "jobs",
    "Runs of background jobs. Outcome: done, retried, failed (for good), interrupted (the worker stopped).",
    ["job", "outcome"],
    namespace=_NAMESPACE,
    registry=REGISTRY,
)
JOB_SECONDS: Final = Histogram(
    "job_seconds",
    "How long a run of a background job took.",
    ["job"],
    namespace=_NAMESPACE,
    registry=REGISTRY,
    buckets=_MINUTES,
)
