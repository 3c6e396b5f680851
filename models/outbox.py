"""The outbox: what must leave, written by the transaction that caused it."""

from typing import ClassVar

from tortoise import fields
from tortoise.models import Model

from models.fields import TransactionIdField


class OutboxEvent(Model):
    """A payment's or an order's change on its way to subscribers; ``payment_id`` or ``order_id`` says of which.

    A payment for several creators has a row for each of them.
    ``transaction_id`` is the writer's; the relay gives ``position`` (dense over all rows) and
    ``creator_offset`` (dense per creator, only for what belongs in the creator's activity) to rows that no
    open transaction can precede.
    """

    id = fields.BigIntField(primary_key=True)
    transaction_id = TransactionIdField()
    payment_id = fields.UUIDField(null=True)
    order_id = fields.UUIDField(null=True)
    sequence = fields.IntField()
    status = fields.TextField()
    reason = fields.TextField(null=True)
    at = fields.DatetimeField()
    creator_id = fields.UUIDField(null=True)
    in_activity = fields.BooleanField()
    position = fields.BigIntField(null=True)
    creator_offset = fields.BigIntField(null=True)

    rules: ClassVar = (
        "outbox_position_is_unique",
        "creator_offset_is_unique",
        "only_activity_has_an_offset",
        "outbox_is_of_one_thing",
        "activity_is_somebodys",
    )

    class Meta:
        table = "outbox_events"


class CreatorFeed(Model):
    """The last offset given in a creator's activity."""

    creator_id = fields.UUIDField(primary_key=True)
    last_offset = fields.BigIntField()

    rules: ClassVar = ("feed_offset_is_positive",)

    class Meta:
        table = "creator_feeds"


class RelayPosition(Model):
    """How far the relay has come: a single row. ``assigned`` positions given, ``published`` handed over."""

    id = fields.IntField(primary_key=True, generated=False)
    assigned = fields.BigIntField()
    published = fields.BigIntField()

    rules: ClassVar = ("one_relay_position", "published_within_assigned")

    class Meta:
        table = "relay_position"
