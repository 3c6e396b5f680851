"""What the platform keeps, as data."""

from typing import ClassVar

from tortoise import fields
from tortoise.models import Model

from models.fields import AmountField


class FeeRule(Model):
    """The fee of a kind of payment, by currency (NULL: any) and plan, from ``valid_from`` on.

    The latest rule that has begun is the one in force, and a rule for the currency beats one for any.
    ``percent_basis_points`` of the gross plus ``fixed`` minor units; earnings mature after
    ``maturity_delay_seconds``, and ``reserve_basis_points`` of them are kept for ``reserve_delay_seconds`` more.
    """

    id = fields.UUIDField(primary_key=True)
    kind = fields.TextField()
    currency = fields.TextField(null=True)
    plan = fields.TextField()
    percent_basis_points = fields.IntField()
    fixed = AmountField()
    maturity_delay_seconds = fields.IntField()
    reserve_basis_points = fields.IntField(db_default=0)
    reserve_delay_seconds = fields.IntField(db_default=0)
    valid_from = fields.DatetimeField()
    created_at = fields.DatetimeField()

    rules: ClassVar = (
        "one_fee_rule_per_moment",
        "fee_percent_is_sound",
        "fee_fixed_is_whole",
        "fee_kind_is_known",
        "maturity_delay_not_negative",
        "reserve_is_sound",
        "fixed_fee_has_a_currency",
        "fee_currency_is_declared",
    )

    class Meta:
        table = "fee_rules"
