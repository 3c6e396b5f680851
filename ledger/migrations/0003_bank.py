"""The platform's bank: an account of what providers paid there, and of what was paid in from there."""

from tortoise import migrations
from tortoise.migrations.operations import RunSQL

_BANK = (
    "insert into ledger.account_kind (kind, has_owner, has_provider, guarded) values ('bank', false, false, false)"
)


class Migration(migrations.Migration):
    dependencies = [("ledger", "0002_holds_and_partitions")]  # ruff: ignore[mutable-class-default] - as the base class declares it
    operations = [RunSQL(_BANK)]  # ruff: ignore[mutable-class-default] - as the base class declares it
