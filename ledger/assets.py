"""Assets: what amounts are amounts of."""

from dataclasses import dataclass

from ledger.connections import Connection


@dataclass(frozen=True, slots=True)
class Asset:
    """A declared asset. Its smallest unit is 10 ** -scale of the main one; the scale never changes."""

    id: int
    code: str
    scale: int
    kind: str


async def assets(*, on: Connection) -> dict[str, Asset]:
    """Return every declared asset by its code. For currencies these are ISO 4217's codes and minor units."""
    rows = await on.fetch("select id, code, scale, kind from ledger.asset order by code")
    return {row["code"]: Asset(*row) for row in rows}
