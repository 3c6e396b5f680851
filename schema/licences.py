"""Licence keys: what a buyer types into an application, and what that application asks."""

from datetime import datetime

import strawberry

from core.licences import LicenceState
from schema.base import Node
from schema.enums import described
from schema.errors import Payload

__all__ = ["LicenceKey", "LicenceState", "LicenceStatus"]

described(
    LicenceState,
    "Where a licence key stands.",
    {
        LicenceState.AVAILABLE: "In the pool: not sold yet.",
        LicenceState.ASSIGNED: "Sold, and good.",
        LicenceState.REVOKED: "No longer good: it was replaced, or the purchase was given back.",
    },
)


@strawberry.type(description="A licence key. Seen by who bought it, and in part by who sells it.")
class LicenceKey(Node):
    key: str | None = strawberry.field(description="The key itself. Null unless you bought it.")
    last_four: str = strawberry.field(description="Its last four characters, to tell it from others.")
    state: LicenceState = strawberry.field(description="Where it stands.")
    activations: int = strawberry.field(description="At how many places it is in use.")
    activation_limit: int | None = strawberry.field(
        description="At how many places it may be in use at once; null is without limit."
    )
    created_at: datetime = strawberry.field(description="When it was uploaded or made.")


@strawberry.type(description="What an application may know of a licence key that was typed into it.")
class LicenceStatus:
    valid: bool = strawberry.field(description="Whether it is good at present.")
    state: LicenceState = strawberry.field(description="Where it stands: ASSIGNED, or REVOKED.")
    activations: int = strawberry.field(description="At how many places it is in use.")
    activation_limit: int | None = strawberry.field(
        description="At how many places it may be in use at once; null is without limit."
    )
    instance_active: bool = strawberry.field(
        description="Whether it is in use at the instance that was asked for."
    )


@strawberry.input(description="Put licence keys into the pool of a variant of yours.")
class LicenceKeysUploadInput:
    idempotency_key: str = strawberry.field(description="Sent again with the same key it happens once.")
    variant_id: strawberry.ID = strawberry.field(description="Whose pool: its licencePolicy is POOL.")
    keys: list[str] = strawberry.field(
        description="1 to 1,000 keys of 1 to 500 printable characters. What the pool has already is passed over."
    )


@strawberry.type(description="What became of the keys. Each that was added is one more to sell.")
class LicenceKeysUploadPayload(Payload):
    added: int | None = strawberry.field(default=None, description="How many were put into the pool.")
    skipped: int | None = strawberry.field(default=None, description="How many it had already.")


@strawberry.input(description="Take a licence key into use at a place.")
class LicenceKeyActivateInput:
    idempotency_key: str = strawberry.field(
        description="Sent again with the same key it happens once. Without signing in: a random UUID."
    )
    key: str = strawberry.field(description="The licence key.")
    instance: str = strawberry.field(
        description="A name for the place, 1 to 200 characters: always the same one for the same place."
    )


@strawberry.type(description="The licence key as it is now.")
class LicenceKeyActivatePayload(Payload):
    licence: LicenceStatus | None = strawberry.field(default=None, description="The licence key.")


@strawberry.input(description="Take a licence key out of use at a place.")
class LicenceKeyDeactivateInput:
    idempotency_key: str = strawberry.field(
        description="Sent again with the same key it happens once. Without signing in: a random UUID."
    )
    key: str = strawberry.field(description="The licence key.")
    instance: str = strawberry.field(description="The name of the place.")


@strawberry.type(description="The licence key as it is now.")
class LicenceKeyDeactivatePayload(Payload):
    licence: LicenceStatus | None = strawberry.field(default=None, description="The licence key.")


@strawberry.input(description="Replace a licence key that got around.")
class LicenceKeyRotateInput:
    idempotency_key: str = strawberry.field(
        description="Sent again with the same key it happens once. Without signing in: a random UUID."
    )
    licence_id: strawberry.ID = strawberry.field(description="A key that you bought, or that you sold.")


@strawberry.type(description="The licence key that counts from now on.")
class LicenceKeyRotatePayload(Payload):
    licence: LicenceKey | None = strawberry.field(default=None, description="The new one.")
