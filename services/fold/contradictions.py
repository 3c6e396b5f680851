"""What cannot be true."""


class Contradiction(Exception):  # ruff: ignore[error-suffix-on-exception-name] - not a fault of the program but of what it was told
    """A fact that cannot be true of the object it names: another amount, currency or provider object."""


class Premature(Contradiction):
    """What cannot be true yet: something that came before it has still to be told."""
