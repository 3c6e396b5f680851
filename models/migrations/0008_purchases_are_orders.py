from tortoise import migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    """What has moved to variants, stock levels and orders is not kept twice."""

    dependencies = [("models", "0007_commerce_rules")]
    operations = [
        ops.RemoveField(model_name="Product", name="stock"),
        ops.DeleteModel(name="Purchase"),
    ]
