"""Races over the public endpoint: many buyers, creators and tabs at once, judged by what the API tells."""
