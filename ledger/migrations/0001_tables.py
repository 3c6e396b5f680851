"""The ledger's tables, assets, and the role of the application."""

from pathlib import Path

from tortoise import migrations
from tortoise.migrations.operations import RunSQL

_HERE = Path(__file__).parent


def _script(name: str) -> RunSQL:
    return RunSQL((_HERE / name).read_text(encoding="utf-8"))


class Migration(migrations.Migration):
    initial = True
    operations = [  # ruff: ignore[mutable-class-default] - as the base class declares it
        _script("0001_tables.sql"),
        _script("0001_assets.sql"),
        _script("0001_role.sql"),
    ]
