"""Taxes: the door to whoever knows which rates apply."""
