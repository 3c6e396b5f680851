from pathlib import Path

from tortoise.migrations.migration import Migration as BaseMigration
from tortoise.migrations.operations import RunSQL


class Migration(BaseMigration):
    initial = True
    operations = [  # ruff: ignore[mutable-class-default] - as Tortoise declares it
        RunSQL(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")),
    ]
