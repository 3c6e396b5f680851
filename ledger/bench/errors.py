"""What ends a benchmark without figures."""


class BenchError(Exception):
    """Something could not be measured, or what was measured was done wrongly."""
