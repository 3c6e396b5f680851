"""How the ORM and its migrations are set up."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

MIGRATED_APPS = {
    "ledger": {"models": ["ledger"], "migrations": "ledger.migrations"},
    "sandbox": {
        "models": ["providers.payments.sandbox"],
        "migrations": "providers.payments.sandbox.migrations",
    },
    "jobs": {"models": ["models.jobs"], "migrations": "models.jobs.migrations"},
    "models": {"models": ["models"], "migrations": "models.migrations"},
}
"""Every package with tables of its own, in the order their migrations depend on each other."""


def _credentials(dsn: str, *, read_only: bool, role: str | None) -> dict[str, Any]:
    """Take a PostgreSQL URI apart for the ORM, which does not read a socket folder from one."""
    parts = urlsplit(dsn)
    query = parse_qs(parts.query)
    settings = {"application_name": "comptoir"}
    if read_only:
        settings["default_transaction_read_only"] = "on"
    if role is not None:
        settings["role"] = role
    return {
        "engine": "tortoise.backends.asyncpg",
        "credentials": {
            "host": query.get("host", [parts.hostname])[0],
            "port": int(query.get("port", [str(parts.port or 5432)])[0]),
            "user": unquote(parts.username or query.get("user", [""])[0]) or None,
            "password": unquote(parts.password) if parts.password else None,
            "database": parts.path.lstrip("/"),
            "minsize": 0,
            "maxsize": 4,
            "server_settings": settings,
        },
    }


def orm_config(dsn: str, *, role: str) -> dict[str, Any]:
    """Return the ORM's configuration for the application's role on a database's URI.

    ``default`` can only read, so that a write that was not handed its transaction fails loudly.
    """
    return _config(dsn, {"models": MIGRATED_APPS["models"]}, "default", role)


def migration_config(dsn: str) -> dict[str, Any]:
    """Return the configuration for migrating all there is, as the database's owner."""
    return _config(dsn, MIGRATED_APPS, "write", None)


def _config(dsn: str, apps: Mapping[str, Any], connection: str, role: str | None) -> dict[str, Any]:
    return {
        "connections": {
            "default": _credentials(dsn, read_only=True, role=role),
            "write": _credentials(dsn, read_only=False, role=role),
        },
        "apps": {label: {**app, "default_connection": connection} for label, app in apps.items()},
        "use_tz": True,
        "timezone": "UTC",
    }
