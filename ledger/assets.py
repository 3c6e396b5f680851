"""Assets: what amounts are amounts of."""

from dataclasses import dataclass

import asyncpg

from ledger.connections import Connection


@dataclass(frozen=True, slots=True)
class Asset:
    """A declared asset. Its smallest unit is 10 ** -scale of the main one; the scale never changes."""

    id: int
    code: str
    scale: int
    kind: str


class AssetMismatchError(RuntimeError):
    """An asset of that code is declared, with another scale or of another kind."""


async def declare_asset(code: str, scale: int, kind: str, *, on: Connection) -> Asset:
    """Declare an asset, so that accounts can be opened in it, and return it; once declared, it never changes.

    ``code`` is 2 to 12 upper-case letters and digits, ``scale`` 0 to 30, ``kind`` fiat, token or points.
    Errors: AssetMismatchError; ValueError for what cannot be declared.
    """
    try:
        row = await on.fetchrow("select * from ledger.declare_asset($1, $2, $3)", code, scale, kind)
    except (asyncpg.CheckViolationError, asyncpg.NumericValueOutOfRangeError) as error:
        rule = getattr(error, "constraint_name", None) or "scale_is_known"
        raise ValueError(f"{code} cannot be declared: {rule}.") from error
    if row is None:
        raise LookupError("a function that always gives a row gave none")
    asset = Asset(*row)
    if (asset.scale, asset.kind) != (scale, kind):
        raise AssetMismatchError(f"{code} is declared with scale {asset.scale} as {asset.kind}.")
    return asset


async def assets(*, on: Connection) -> dict[str, Asset]:
    """Return every declared asset by its code. For currencies these are ISO 4217's codes and minor units."""
    rows = await on.fetch("select id, code, scale, kind from ledger.asset order by code")
    return {row["code"]: Asset(*row) for row in rows}
