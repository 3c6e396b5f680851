"""The inbox: what providers told us, kept as it came."""

from typing import ClassVar

from tortoise import fields
from tortoise.models import Model


class InboxEvent(Model):
    """A verified webhook. The row is the queue: workers claim what is ``PENDING`` and due.

    ``DONE`` was settled, ``DEAD`` was given up and needs a person, ``QUARANTINED`` is not for this deployment.
    While one is looked up at the provider, ``due_at`` is when it is anybody's again. ``body`` is the raw bytes
    that were signed, ``trace_id`` that of the request which brought it, or NULL when it was replayed.
    """

    id = fields.BigIntField(primary_key=True)
    provider = fields.TextField()
    event_id = fields.TextField()
    type = fields.TextField()
    body = fields.BinaryField()
    state = fields.TextField()
    attempts = fields.IntField()
    due_at = fields.DatetimeField()
    received_at = fields.DatetimeField()
    processed_at = fields.DatetimeField(null=True)
    error = fields.TextField(null=True)
    trace_id = fields.TextField(null=True)

    rules: ClassVar = ("event_is_received_once", "inbox_state_is_known")

    class Meta:
        table = "inbox_events"
