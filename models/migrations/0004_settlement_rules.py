from pathlib import Path

from tortoise import migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    """Constraints, indexes, triggers and grants of refunds, disputes, payouts and what surrounds them."""

    dependencies = [("models", "0003_settlement"), ("ledger", "0001_tables")]
    operations = [ops.RunSQL(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))]
