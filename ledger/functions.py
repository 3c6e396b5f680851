"""The ledger's SQL functions."""

from pathlib import Path

_FOLDER = Path(__file__).parent / "sql"


def functions_sql() -> str:
    """Return the script that creates or replaces every function of the ledger.

    Applied after the numbered migrations, as the owner of the schema, as often as one likes.
    """
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(_FOLDER.glob("*.sql")))
