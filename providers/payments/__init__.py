"""Payment providers behind one contract: see ``base``."""
