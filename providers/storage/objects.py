"""Files through obstore: a folder of this machine, or a bucket of an S3-compatible store."""

from collections.abc import AsyncIterable, AsyncIterator
from datetime import timedelta
from typing import Any, Final

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store

from providers.storage.base import S3Options, StorageError

_CHUNK: Final = 1024 * 1024


_AS_FOUND: Final = S3Options()


class ObjectStore:
    """A file store on any store obstore knows."""

    def __init__(self, store: LocalStore | S3Store) -> None:
        self._store: Any = store

    @classmethod
    def at(cls, url: str, options: S3Options = _AS_FOUND) -> "ObjectStore":
        """Return the store at ``s3://bucket/prefix``, or in a folder, which is made if it is not there."""
        if not url.startswith("s3://"):
            return cls(LocalStore(url.removeprefix("file://"), mkdir=True))
        given = {
            "endpoint": options.endpoint,
            "region": options.region,
            "access_key_id": options.access_key_id,
            "secret_access_key": options.secret_access_key,
        }
        plain = (options.endpoint or "").startswith("http://")
        return cls(
            S3Store.from_url(
                url,
                config={name: value for name, value in given.items() if value is not None},  # type: ignore[arg-type, unused-ignore] # as S3Config has them
                client_options={"allow_http": plain, "timeout": "60s", "connect_timeout": "5s"},
                retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=30)},
            )
        )

    async def put(self, key: str, chunks: AsyncIterable[bytes]) -> None:
        """Keep a file under a key; it is there whole or not at all."""
        try:
            await obstore.put_async(self._store, key, chunks)
        except (BaseError, OSError) as error:
            raise StorageError(f"The file could not be kept ({type(error).__name__}).") from error

    async def read(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Yield the bytes from ``start`` up to but without ``end``."""
        try:
            for at in range(start, end, _CHUNK):
                piece = await obstore.get_range_async(self._store, key, start=at, end=min(at + _CHUNK, end))
                yield bytes(piece)
        except (BaseError, OSError) as error:
            raise StorageError(f"The file could not be read ({type(error).__name__}).") from error

    async def move(self, key: str, to: str) -> None:
        """Keep a file under another key, in place of what was there."""
        try:
            await obstore.rename_async(self._store, key, to)
        except (BaseError, OSError) as error:
            raise StorageError(f"The file could not be moved ({type(error).__name__}).") from error

    async def delete(self, key: str) -> None:
        """Forget a file; one that is not there is forgotten already."""
        try:
            await obstore.delete_async(self._store, key)
        except FileNotFoundError:
            return
        except (BaseError, OSError) as error:
            raise StorageError(f"The file could not be deleted ({type(error).__name__}).") from error

    async def close(self) -> None:
        """Nothing is held open."""
