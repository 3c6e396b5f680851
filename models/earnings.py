"""What creators earned, by day."""

from typing import TYPE_CHECKING, ClassVar
from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from models.fields import AmountField

if TYPE_CHECKING:
    from models.creators import Creator


class EarningDay(Model):
    """The net captured for a creator on one UTC day from one source, added up in the settling transaction.

    ``returned`` is what of that left again by refunds and disputes that stand, on whichever day it left.
    """

    id = fields.BigIntField(primary_key=True)
    creator: fields.ForeignKeyRelation["Creator"] = fields.ForeignKeyField(
        "models.Creator", related_name=False, on_delete=fields.RESTRICT
    )
    creator_id: UUID
    currency = fields.TextField()
    day = fields.DateField()
    source = fields.TextField()
    net = AmountField()
    returned = AmountField(db_default=0)
    payments = fields.IntField()

    rules: ClassVar = (
        "one_row_per_creator_day_and_source",
        "earning_source_is_known",
        "earning_net_not_negative",
        "earning_returned_not_negative",
    )

    class Meta:
        table = "earning_days"
