"""The words of the catalogue and of stock."""

from enum import StrEnum


class ProductState(StrEnum):
    """Whether a product is on sale."""

    DRAFT = "draft"
    ACTIVE = "active"
    ARCHIVED = "archived"


class TaxCategory(StrEnum):
    """What a product is to tax rates."""

    STANDARD = "standard"
    REDUCED = "reduced"
    BOOKS = "books"
    FOOD = "food"
    DIGITAL = "digital"
    EXEMPT = "exempt"


class LicencePolicy(StrEnum):
    """How a variant's licence keys come about."""

    POOL = "POOL"
    GENERATED = "GENERATED"


class MediaKind(StrEnum):
    """What a creator's file is for."""

    PICTURE = "PICTURE"
    DIGITAL = "DIGITAL"


class MediaState(StrEnum):
    """Whether a file is there."""

    WAITING = "WAITING"
    STORED = "STORED"


class StockMovementKind(StrEnum):
    """Why a stock level changed."""

    RECEIVED = "RECEIVED"
    ADJUSTED = "ADJUSTED"
    RESERVED = "RESERVED"
    RELEASED = "RELEASED"
    EXPIRED = "EXPIRED"
    SOLD = "SOLD"
    RETURNED = "RETURNED"
    MOVED = "MOVED"
