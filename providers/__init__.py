"""Doors to the outside: one folder per kind of provider, one adapter per provider."""
