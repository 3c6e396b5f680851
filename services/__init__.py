"""Use cases, one file per noun: the only place that opens transactions."""
