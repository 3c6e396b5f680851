"""What `make bench-…` runs: measurements of the whole system on a PostgreSQL of its own."""
