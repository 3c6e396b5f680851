"""What the launcher raises."""


class PostgresUnavailable(Exception):  # ruff: ignore[error-suffix-on-exception-name] - read in an except clause, it says what is the matter
    """No PostgreSQL could be found or started. Its text is one sentence for a person."""
