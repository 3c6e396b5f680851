"""``python -m app`` is ``comptoir``."""

from app.cli import main

main()
