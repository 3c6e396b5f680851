"""Who signs in."""

from typing import ClassVar

from tortoise import fields
from tortoise.models import Model


class User(Model):
    """A person known by the subject of their identity provider; made at first sign-in."""

    id = fields.UUIDField(primary_key=True)
    issuer = fields.TextField()
    subject = fields.TextField()
    name = fields.TextField(null=True)
    created_at = fields.DatetimeField()

    rules: ClassVar = ("user_subject_is_unique", "user_subject_not_empty")

    class Meta:
        table = "users"
