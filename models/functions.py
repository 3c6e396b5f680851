"""The functions of the business tables."""

from pathlib import Path


def functions_sql() -> str:
    """Return the functions' SQL, to be applied after every migration run; they replace themselves."""
    return Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
