"""Idempotency: each request's key, what it asked and how it ended."""

from typing import ClassVar

from tortoise import fields
from tortoise.models import Model


class Request(Model):
    """An operation asked for once under a principal's key. Kept for good.

    ``outcome`` holds the ids it made, or its business error: ``{"ids": {...}}`` or ``{"refused": {...}}``.
    """

    id = fields.BigIntField(primary_key=True)
    principal = fields.TextField()
    operation = fields.TextField()
    key = fields.TextField()
    body_hash = fields.BinaryField()
    outcome = fields.JSONField[dict[str, object]]()
    created_at = fields.DatetimeField()

    rules: ClassVar = ("request_key_is_unique", "request_key_is_bounded")

    class Meta:
        table = "requests"
