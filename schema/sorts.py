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


described(
    ProductSort,
    "How products are sorted. Prices compare within one currency: filter by it.",
    {
        ProductSort.NEWEST: "The newest first.",
        ProductSort.OLDEST: "The oldest first.",
        ProductSort.PRICE_LOWEST: "The cheapest first.",
        ProductSort.PRICE_HIGHEST: "The dearest first.",
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
