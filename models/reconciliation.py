"""Reconciliations: what comparing the provider, the ledger and the business found."""

from typing import Any, ClassVar

from tortoise import fields
from tortoise.models import Model


class Reconciliation(Model):
    """One comparison. ``entries`` lines of the provider's books were read from ``since`` on.

    ``differences`` were found, of which ``mended`` were mended at once; ``findings`` says what each was, without
    personal data.
    """

    id = fields.BigIntField(primary_key=True)
    provider = fields.TextField()
    since = fields.DatetimeField()
    started_at = fields.DatetimeField()
    finished_at = fields.DatetimeField()
    entries = fields.IntField()
    differences = fields.IntField()
    mended = fields.IntField()
    findings: fields.JSONField[Any] = fields.JSONField()

    rules: ClassVar = ("reconciliation_counts_are_sound",)

    class Meta:
        table = "reconciliations"
