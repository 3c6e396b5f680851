from pathlib import Path

from tortoise import migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    """Rules, indexes and grants of commerce; every product gets its variant, and every purchase becomes an order."""

    dependencies = [("models", "0006_commerce"), ("ledger", "0001_tables")]
    operations = [ops.RunSQL(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))]
