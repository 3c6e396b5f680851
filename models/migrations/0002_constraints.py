from pathlib import Path

from tortoise import migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    """Constraints, indexes, triggers and grants: all that the ORM cannot say."""

    dependencies = [("models", "0001_initial"), ("ledger", "0001_tables")]
    operations = [ops.RunSQL(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))]
