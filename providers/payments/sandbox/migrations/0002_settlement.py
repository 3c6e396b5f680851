"""A clock, an agenda, faults, and all that happens to money after it was taken: each noun in a file of its own."""

from pathlib import Path

from tortoise.migrations.migration import Migration as BaseMigration
from tortoise.migrations.operations import RunSQL

_NOUNS = (
    "clock",
    "faults",
    "agenda",
    "events",
    "requests",
    "balance",
    "payments",
    "methods",
    "charges",
    "refunds",
    "disputes",
    "accounts",
    "transfers",
    "payouts",
    "lookup",
    "due",
    "grants",
)


def _script(noun: str) -> RunSQL:
    return RunSQL(Path(__file__).with_name(f"0002_{noun}.sql").read_text(encoding="utf-8"))


class Migration(BaseMigration):
    dependencies = [("sandbox", "0001_initial")]  # ruff: ignore[mutable-class-default] - as Tortoise declares it
    operations = [_script(noun) for noun in _NOUNS]  # ruff: ignore[mutable-class-default] - as Tortoise declares it
