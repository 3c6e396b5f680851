"""A process of the hammer, started by :func:`ledger.hammer.run`."""

from ledger.hammer.process import main

main()
