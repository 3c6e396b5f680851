from pathlib import Path

from tortoise import migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    """Where events of the inbox stand that are not for this deployment."""

    dependencies = [("models", "0004_settlement_rules")]
    operations = [ops.RunSQL(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))]
