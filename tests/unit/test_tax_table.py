"""The built-in tax table: which rate is in force, and what its files may say."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any
from uuid import UUID

import pytest

from providers.tax.base import NO_TAX, SHIPPING, Rate, TaxQuestion
from providers.tax.table import TaxTable
from services.tax_rates import COLUMNS, RatesInvalidError, TableRate, parse

AT = datetime(2026, 6, 1, tzinfo=UTC)
CREATOR = UUID(int=1)
HEADER = ",".join(COLUMNS)
ROW = "DE,,standard,MwSt,19,yes,2026-01-01"


class Rows:
    """A database that has these rates, and counts how often it is read."""

    def __init__(self, *rows: tuple[str, str, str, int, datetime]) -> None:
        self.rows = list(rows)
        self.reads = 0

    async def fetch(self, query: str, *args: Any) -> Sequence[Any]:
        self.reads += 1
        names = ("country", "region", "category", "basis_points", "valid_from")
        return [{**dict(zip(names, row, strict=True)), "name": "VAT", "inclusive": True} for row in self.rows]


async def points(table: TaxTable, country: str, category: str, region: str = "", at: datetime = AT) -> int:
    found = await table.rates(TaxQuestion(country, region, at, [(CREATOR, category)]))
    return found[CREATOR, category].basis_points


LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


async def test_a_category_without_a_rate_has_the_standard_one_and_exempt_has_none() -> None:
    table = TaxTable(Rows(("DE", "", "standard", 1_900, LONG_AGO), ("DE", "", "books", 700, LONG_AGO)))

    assert await points(table, "DE", "books") == 700
    for category in ("standard", "reduced", "food", "digital", SHIPPING):
        assert await points(table, "DE", category) == 1_900
    question = TaxQuestion("DE", "", AT, [(CREATOR, "exempt"), (CREATOR, "books")])
    assert await table.rates(question) == {
        (CREATOR, "exempt"): NO_TAX,
        (CREATOR, "books"): Rate("VAT", 700, inclusive=True),
    }


async def test_a_country_without_rates_is_not_taxed() -> None:
    table = TaxTable(Rows(("DE", "", "standard", 1_900, LONG_AGO)))

    found = await table.rates(TaxQuestion("FR", "", AT, [(CREATOR, "standard")]))

    assert found == {(CREATOR, "standard"): NO_TAX}


async def test_the_rate_of_a_region_comes_before_that_of_its_country() -> None:
    table = TaxTable(
        Rows(
            ("CA", "", "standard", 500, LONG_AGO),
            ("CA", "", "books", 0, LONG_AGO),
            ("CA", "ON", "standard", 1_300, LONG_AGO),
        )
    )

    assert await points(table, "CA", "standard", "ON") == 1_300
    assert await points(table, "CA", "standard", "BC") == 500
    # Any rate of the region does, before the country's of the same category.
    assert await points(table, "CA", "books", "ON") == 1_300
    assert await points(table, "CA", "books", "BC") == 0


async def test_the_latest_rate_that_has_begun_is_in_force() -> None:
    change = datetime(2026, 7, 1, tzinfo=UTC)
    table = TaxTable(Rows(("DE", "", "standard", 1_600, change), ("DE", "", "standard", 1_900, LONG_AGO)))

    assert await points(table, "DE", "standard", at=change - timedelta(microseconds=1)) == 1_900
    assert await points(table, "DE", "standard", at=change) == 1_600
    assert await points(table, "DE", "standard", at=LONG_AGO - timedelta(days=1)) == 0


async def test_the_table_is_read_once_a_minute_or_when_told() -> None:
    clock = [1_000.0]
    rows = Rows(("DE", "", "standard", 1_900, LONG_AGO))
    table = TaxTable(rows, lambda: clock[0])
    assert await points(table, "DE", "standard") == await points(table, "DE", "books") == 1_900
    assert rows.reads == 1

    rows.rows = [("DE", "", "standard", 2_000, LONG_AGO)]
    clock[0] += 60.0
    assert await points(table, "DE", "standard") == 1_900
    clock[0] += 0.1
    assert await points(table, "DE", "standard") == 2_000
    rows.rows = []
    table.forget()
    assert await points(table, "DE", "standard") == 0
    assert rows.reads == 3


# Files ------------------------------------------------------------------------------------------------------


def test_a_file_is_read_with_what_people_put_into_it() -> None:
    text = (
        f"\ufeff# Ours\r\n\r\n{HEADER}\r\n{ROW}\r\n"
        'ch, ,books,"MWST",2.6,YES,2026-01-01T00:00:00+01:00\n'
        "CA,BC,shipping,GST,5.00,no,2026-02-01\n"
    )

    assert parse(text) == [
        TableRate("DE", "", "standard", "MwSt", 1_900, True, datetime(2026, 1, 1, tzinfo=UTC)),
        TableRate("CH", "", "books", "MWST", 260, True, datetime(2025, 12, 31, 23, tzinfo=UTC)),
        TableRate("CA", "BC", "shipping", "GST", 500, False, datetime(2026, 2, 1, tzinfo=UTC)),
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "There are no rates in the file."),
        (f"{HEADER}\n# nothing\n", "There are no rates in the file."),
        (ROW, f"Line 1: the columns are {HEADER}."),
        (f"{HEADER}\n{ROW}\nDE,,books\n", "Line 3: there are 7 columns, not 3."),
        (f'{HEADER}\n"DE,,standard\n', "Line 2: it is not CSV (unexpected end of data)."),
        (
            f"{HEADER}\n\n{ROW.replace('DE', 'EU')}",
            "Line 3: send the country by its two letters (ISO 3166-1), such as DE.",
        ),
        (
            f"{HEADER}\n{ROW.replace('standard', 'exempt')}",
            "Line 2: a category is one of standard, reduced, books, food, digital, shipping.",
        ),
        (f"{HEADER}\n{ROW.replace('MwSt', '')}", "Line 2: a tax has a name of 1 to 40 characters."),
        *(
            (
                f"{HEADER}\n{ROW.replace('19', percent)}",
                "Line 2: a rate is a percentage from 0 to 100 with at most two decimals, such as 8.1.",
            )
            for percent in ("-1", "100.01", "8.123", "a fifth", "NaN", "Infinity", "", "1e999999")
        ),
        (f"{HEADER}\n{ROW.replace('yes', 'perhaps')}", "Line 2: inclusive is yes or no."),
        (
            f"{HEADER}\n{ROW.replace('2026-01-01', '31.12.2026')}",
            "Line 2: a moment is a day such as 2026-01-31, or 2026-01-31T12:00:00Z; UTC unless it says otherwise.",
        ),
        (f"{HEADER}\n{ROW}\n{ROW.replace('19', '7')}", "Line 3: it is for the same as line 2."),
        (
            f"{HEADER}\n{ROW.replace('DE,', 'DE,' + 'x' * 61)}",
            "Line 2: a region is named as addresses name it, such as BC, with at most 60 characters.",
        ),
    ],
)
def test_a_file_that_cannot_be_taken_names_the_line(text: str, says: str) -> None:
    with pytest.raises(RatesInvalidError) as refusal:
        parse(text)

    assert str(refusal.value) == says


def test_the_rates_that_come_with_the_program_are_sound() -> None:
    rates = parse(files("providers.tax").joinpath("rates.csv").read_text(encoding="utf-8"))

    standard = {rate.country for rate in rates if rate.category == "standard"}
    union = "AT BE BG HR CY CZ DE DK EE ES FI FR GR HU IE IT LT LU LV MT NL PL PT RO SE SI SK"
    assert standard == {*union.split(), "GB", "CH", "NO", "JP", "AU", "NZ", "KR", "CA"}
    assert {rate.country for rate in rates} == standard, "what has another rate has a standard one"
    assert [rate.country for rate in rates if not rate.inclusive] == ["CA"]
    assert all(rate.valid_from == datetime(2026, 1, 1, tzinfo=UTC) for rate in rates)
    by_place = {(rate.country, rate.category): rate.basis_points for rate in rates}
    assert all(points <= by_place[country, "standard"] for (country, _), points in by_place.items())
    assert (by_place["DE", "standard"], by_place["CH", "standard"], by_place["FI", "standard"]) == (
        1_900,
        810,
        2_550,
    )
