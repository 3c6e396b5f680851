"""Who is paid."""

from typing import TYPE_CHECKING, ClassVar
from uuid import UUID

from tortoise import fields
from tortoise.models import Model

if TYPE_CHECKING:
    from models.users import User


class Creator(Model):
    """A user who receives money. ``plan`` chooses the fee rules; only an ``active`` one can be paid."""

    id = fields.UUIDField(primary_key=True)
    user: fields.ForeignKeyRelation["User"] = fields.ForeignKeyField(
        "models.User", related_name=False, on_delete=fields.RESTRICT
    )
    user_id: UUID
    handle = fields.TextField()
    display_name = fields.TextField()
    bio = fields.TextField(null=True)
    plan = fields.TextField()
    state = fields.TextField()
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    rules: ClassVar = (
        "one_creator_per_user",
        "handle_is_unique",
        "handle_is_well_formed",
        "creator_state_is_known",
        "display_name_not_empty",
    )

    class Meta:
        table = "creators"
