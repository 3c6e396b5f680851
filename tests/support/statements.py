"""Which of the statements a process sends are a use case's own."""

from typing import Final

# The driver asks once per connection what types there are, and the sandbox is a provider in the same database, whose
# clock is looked at now and then.
_OTHERS: Final = ("sandbox.", "typeinfo_tree", "set_config('jit'")


def is_own(sql: str) -> bool:
    """Return whether a statement is neither the driver's nor the sandbox's."""
    return not any(mark in sql for mark in _OTHERS)
