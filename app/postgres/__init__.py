"""PostgreSQL for a checkout that has none: found, started, shared and stopped without any set-up.

``for_checkout(root).lease()`` is all that most callers need. Synchronous, Python's library only.
"""

from app.postgres.binaries import Binaries
from app.postgres.cluster import Cluster, Lease, for_checkout
from app.postgres.errors import PostgresUnavailable

__all__ = ["Binaries", "Cluster", "Lease", "PostgresUnavailable", "for_checkout"]
