"""Tax rates: the built-in table of the tax calculator."""

from typing import ClassVar

from tortoise import fields
from tortoise.models import Model


class TaxRate(Model):
    """A tax on sales to a country, or to a region of it, from a moment on.

    ``basis_points``: 1,950 is 19.5 %. ``inclusive``: prices shown to buyers there contain it. ``category`` is the
    products' ``tax_category``, or ``shipping``; ``region`` is a subdivision's code, empty for all of the country.
    """

    id = fields.UUIDField(primary_key=True)
    country = fields.TextField()
    region = fields.TextField(db_default="")
    category = fields.TextField()
    name = fields.TextField()
    basis_points = fields.IntField()
    inclusive = fields.BooleanField()
    valid_from = fields.DatetimeField()
    created_at = fields.DatetimeField()

    rules: ClassVar = (
        "one_tax_rate_per_moment",
        "tax_rate_is_sound",
        "tax_country_is_a_code",
        "tax_rate_category_is_known",
    )

    class Meta:
        table = "tax_rates"
