"""How lists are sorted."""

from enum import StrEnum

from schema.enums import described


class CreatorSort(StrEnum):
    NEWEST = "NEWEST"
    OLDEST = "OLDEST"
    HANDLE = "HANDLE"


described(
    CreatorSort,
    "How creators are sorted.",
    {
        CreatorSort.NEWEST: "The newest first.",
        CreatorSort.OLDEST: "The oldest first.",
        CreatorSort.HANDLE: "By handle, from a to z.",
    },
)


class ProductSort(StrEnum):
    NEWEST = "NEWEST"
    OLDEST = "OLDEST"
    PRICE_LOWEST = "PRICE_LOWEST"
    PRICE_HIGHEST = "PRICE_HIGHEST"
    RELEVANCE = "RELEVANCE"


described(
    ProductSort,
    "How products are sorted. Prices compare within one currency: filter by it.",
    {
        ProductSort.NEWEST: "The newest first.",
        ProductSort.OLDEST: "The oldest first.",
        ProductSort.PRICE_LOWEST: "The cheapest first.",
        ProductSort.PRICE_HIGHEST: "The dearest first.",
        ProductSort.RELEVANCE: "What fits `where.search` best first; it has to be given.",
    },
)


class CollectionProductSort(StrEnum):
    POSITION = "POSITION"
    NEWEST = "NEWEST"
    OLDEST = "OLDEST"
    PRICE_LOWEST = "PRICE_LOWEST"
    PRICE_HIGHEST = "PRICE_HIGHEST"


described(
    CollectionProductSort,
    "How the products of a collection are sorted.",
    {
        CollectionProductSort.POSITION: "As its creator ordered them.",
        CollectionProductSort.NEWEST: "The newest first.",
        CollectionProductSort.OLDEST: "The oldest first.",
        CollectionProductSort.PRICE_LOWEST: "The cheapest first.",
        CollectionProductSort.PRICE_HIGHEST: "The dearest first.",
    },
)


class PaymentSort(StrEnum):
    NEWEST = "NEWEST"
    OLDEST = "OLDEST"


described(
    PaymentSort,
    "How payments are sorted.",
    {PaymentSort.NEWEST: "The newest first.", PaymentSort.OLDEST: "The oldest first."},
)


class TipSort(StrEnum):
    NEWEST = "NEWEST"
    OLDEST = "OLDEST"


described(
    TipSort,
    "How tips are sorted.",
    {TipSort.NEWEST: "The newest first.", TipSort.OLDEST: "The oldest first."},
)


class PayoutSort(StrEnum):
    NEWEST = "NEWEST"
    OLDEST = "OLDEST"


described(
    PayoutSort,
    "How payouts are sorted.",
    {PayoutSort.NEWEST: "The newest first.", PayoutSort.OLDEST: "The oldest first."},
)


class StockLevelSort(StrEnum):
    NEWEST = "NEWEST"
    OLDEST = "OLDEST"
    AVAILABLE_LOWEST = "AVAILABLE_LOWEST"


described(
    StockLevelSort,
    "How stock levels are sorted.",
    {
        StockLevelSort.NEWEST: "The newest first.",
        StockLevelSort.OLDEST: "The oldest first.",
        StockLevelSort.AVAILABLE_LOWEST: "Those first of which the fewest are available.",
    },
)


class ShippingZoneSort(StrEnum):
    NEWEST = "NEWEST"
    OLDEST = "OLDEST"
    NAME = "NAME"


described(
    ShippingZoneSort,
    "How shipping zones are sorted.",
    {
        ShippingZoneSort.NEWEST: "The newest first.",
        ShippingZoneSort.OLDEST: "The oldest first.",
        ShippingZoneSort.NAME: "By name, from a to z.",
    },
)


class DiscountSort(StrEnum):
    NEWEST = "NEWEST"
    OLDEST = "OLDEST"


described(
    DiscountSort,
    "How discounts are sorted.",
    {DiscountSort.NEWEST: "The newest first.", DiscountSort.OLDEST: "The oldest first."},
)


class OrderSort(StrEnum):
    NEWEST = "NEWEST"
    OLDEST = "OLDEST"


described(
    OrderSort,
    "How orders are sorted.",
    {OrderSort.NEWEST: "The newest first.", OrderSort.OLDEST: "The oldest first."},
)


class SaleSort(StrEnum):
    NEWEST = "NEWEST"
    OLDEST = "OLDEST"


described(
    SaleSort,
    "How sales are sorted.",
    {SaleSort.NEWEST: "The newest first.", SaleSort.OLDEST: "The oldest first."},
)
