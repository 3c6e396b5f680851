"""Column types the ORM does not know."""

from decimal import Decimal
from typing import Any
from uuid import UUID

from tortoise import fields
from tortoise.fields.base import Field


class AmountField(fields.DecimalField[Decimal]):  # type: ignore[type-arg,unused-ignore]
    """An amount in the smallest unit of its row's currency: numeric(38,0), as in the ledger."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("max_digits", 38)
        kwargs.setdefault("decimal_places", 0)
        super().__init__(**kwargs)


class TransactionIdField(Field[int], int):
    """The id of the transaction that wrote a row (xid8). Set by the database, compared there, never read."""

    SQL_TYPE = "xid8"


class TextArrayField(Field[list[str]], list[str]):  # type: ignore[misc] # as Tortoise declares its own fields
    """A list of texts: text[]."""

    SQL_TYPE = "text[]"


class UUIDArrayField(Field[list[UUID]], list[UUID]):  # type: ignore[misc] # as Tortoise declares its own fields
    """A list of ids: uuid[]."""

    SQL_TYPE = "uuid[]"


class SearchField(Field[str], str):  # type: ignore[misc] # as Tortoise declares its own fields
    """What full-text search reads (tsvector). Made by the database, searched there, never read."""

    __slots__ = ()
    SQL_TYPE = "tsvector"
