"""Stripes, holds, reversals, the history of accounts, and movements in partitions by month."""

from pathlib import Path

from tortoise import migrations
from tortoise.migrations.operations import RunSQL


class Migration(migrations.Migration):
    dependencies = [("ledger", "0001_tables")]  # ruff: ignore[mutable-class-default] - as the base class declares it
    operations = [  # ruff: ignore[mutable-class-default] - as the base class declares it
        RunSQL(Path(__file__).with_name("0002_tables.sql").read_text(encoding="utf-8")),
    ]
