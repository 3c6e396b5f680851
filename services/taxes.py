"""Taxes: keeping the built-in table of rates.

A rate is never changed: one that is valid from a later moment takes its place, so that what was sold before can be
explained.
"""

from collections.abc import Sequence
from importlib.resources import files
from typing import Final

from core.clock import now
from core.ids import uuid7
from models.database import Connection, PoolOrConnection
from providers.tax.table import TaxTable
from services.engine import Engine
from services.tax_rates import RatesInvalidError, TableRate, parse

_LIST: Final = """
    select country, region, category, name, basis_points, inclusive, valid_from from tax_rates
    where $1::text is null or country = $1 order by country, region, category, valid_from
"""
# With $10 only where there is no rate yet for the country, region and category.
_ADD: Final = """
    insert into tax_rates (id, country, region, category, name, basis_points, inclusive, valid_from, created_at)
    select r.id, r.country, r.region, r.category, r.name, r.basis_points, r.inclusive, r.valid_from, $9
    from unnest(
            $1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::int[], $7::bool[], $8::timestamptz[])
        r (id, country, region, category, name, basis_points, inclusive, valid_from)
    where not ($10 and exists (
        select from tax_rates t where t.country = r.country and t.region = r.region and t.category = r.category))
    on conflict on constraint one_tax_rate_per_moment do nothing
    returning id
"""


async def listed(db: PoolOrConnection, country: str | None = None) -> list[TableRate]:
    """Return the table, or a country's part of it, by country, region, category and moment."""
    return [TableRate(**row) for row in await db.fetch(_LIST, country)]


async def add(rates: Sequence[TableRate], *, on: Connection) -> int:
    """Add rates to the table and return how many are new. All of them or, raising ``RatesInvalidError``, none.

    One that is there already is passed over, unless it says something else: then a later moment has to be chosen.
    """
    async with on.transaction():
        added = await _add(rates, on, only_missing=False)
        # The insertion has waited for whoever adds the same, so that theirs is read here.
        known = {rate.key: rate for rate in await listed(on)}
        for rate in rates:
            if known[rate.key] != rate:
                raise RatesInvalidError(
                    f"{_spoken(rate)} has another rate from {rate.valid_from:%Y-%m-%d %H:%M} UTC on. "
                    "Give a later moment to change it."
                )
    return added


async def load_bundled(engine: Engine) -> int:
    """Add the rates that come with the program where there are none for a country's category; return how many."""
    rates = parse(files("providers.tax").joinpath("rates.csv").read_text(encoding="utf-8"))
    async with engine.database.transaction() as transaction:
        added = await _add(rates, transaction.connection, only_missing=True)
    forget(engine)
    return added


def forget(engine: Engine) -> None:
    """Let this process read the table anew; others do within a minute."""
    if isinstance(engine.tax, TaxTable):
        engine.tax.forget()


async def _add(rates: Sequence[TableRate], on: Connection, *, only_missing: bool) -> int:
    rows = await on.fetch(
        _ADD,
        [uuid7() for _ in rates],
        [rate.country for rate in rates],
        [rate.region for rate in rates],
        [rate.category for rate in rates],
        [rate.name for rate in rates],
        [rate.basis_points for rate in rates],
        [rate.inclusive for rate in rates],
        [rate.valid_from for rate in rates],
        now(),
        only_missing,
    )
    return len(rows)


def _spoken(rate: TableRate) -> str:
    place = f"{rate.country}-{rate.region}" if rate.region else rate.country
    return f"{place} {rate.category}"
