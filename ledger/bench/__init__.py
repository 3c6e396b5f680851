"""How fast the ledger is, beside the least that any correct ledger has to do: :func:`measure`.

The caller starts a PostgreSQL for it (:class:`Place`, ``SERVER_SETTINGS``): it knows nothing of where servers
come from.
"""

from ledger.bench.errors import BenchError
from ledger.bench.place import DEFAULT, QUICK, SERVER_SETTINGS, Effort, Place
from ledger.bench.run import measure

__all__ = ["DEFAULT", "QUICK", "SERVER_SETTINGS", "BenchError", "Effort", "Place", "measure"]
