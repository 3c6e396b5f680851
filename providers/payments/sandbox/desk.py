"""What every part of the sandbox provider works with."""

import re
from datetime import timedelta
from typing import Final

import asyncpg

from providers.payments.sandbox import store

_ID: Final = re.compile(r"(sbx|sbm|sbr|sbd|sba|sbt|sbp)_[0-9a-f]{32}", re.ASCII)


class Desk:
    """The database, where payers and creators reach the sandbox's pages, and how long what takes time takes."""

    _pool: "asyncpg.Pool[asyncpg.Record]"
    _public_url: str
    _processing_time: timedelta


def has_form(provider_reference: str, prefix: str) -> bool:
    """Return whether an id could be one of ours; what cannot be is not worth a round trip."""
    return bool(_ID.fullmatch(provider_reference)) and provider_reference.startswith(prefix)


def known_form(provider_reference: str, prefix: str, otherwise: str) -> str:
    """Return an id when it could be one of ours.

    Raises ProviderError NOT_FOUND with ``otherwise`` as the provider's word.
    """
    if not has_form(provider_reference, prefix):
        raise store.not_found(otherwise)
    return provider_reference
