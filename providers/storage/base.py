"""The contract of a file store: bytes under a key, streamed in and out."""

from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass, field
from typing import Protocol


class StorageError(Exception):
    """The store could not be reached, or has not got what was asked for."""


@dataclass(frozen=True, slots=True)
class S3Options:
    """How an S3-compatible store is reached; what is None is found as Amazon's own tools find it."""

    endpoint: str | None = None
    region: str | None = None
    access_key_id: str | None = field(default=None, repr=False)
    secret_access_key: str | None = field(default=None, repr=False)


class FileStore(Protocol):
    """Keeps files, on this machine or in an S3-compatible store. Raises ``StorageError``."""

    async def put(self, key: str, chunks: AsyncIterable[bytes]) -> None:
        """Keep a file under a key; it is there whole or, on any error, not at all."""
        ...

    def read(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Yield the bytes from ``start`` up to but without ``end``."""
        ...

    async def move(self, key: str, to: str) -> None:
        """Keep a file under another key, in place of what was there."""
        ...

    async def delete(self, key: str) -> None:
        """Forget a file; one that is not there is forgotten already."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
