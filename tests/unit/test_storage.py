"""Where files are kept: a folder and an S3-compatible store keep to the same contract."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from app.settings import Settings, UnsafeSettingsError
from providers.storage.base import S3Options, StorageError
from providers.storage.objects import ObjectStore
from tests.support.s3 import ACCESS_KEY, Bucket, running_bucket

SECRET = "a-secret-nobody-knows"
# More than obstore sends at once, so that it comes in parts.
LARGE = bytes(range(256)) * 4096 * 12


@dataclass
class Kept:
    """A store, with what stands behind it: a folder, or a bucket."""

    store: ObjectStore
    folder: Path
    bucket: Bucket | None = None

    def names(self) -> set[str]:
        """Return what is kept, whoever put it there."""
        if self.bucket is not None:
            return set(self.bucket.objects)
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file()}


@pytest_asyncio.fixture(params=["folder", "bucket"])
async def kept(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Kept]:
    if request.param == "folder":
        yield Kept(ObjectStore.at(str(tmp_path / "not yet there")), tmp_path / "not yet there")
        return
    async with running_bucket() as (endpoint, bucket):
        store = ObjectStore.at("s3://bucket", S3Options(endpoint, "nowhere-1", ACCESS_KEY, SECRET))
        yield Kept(store, tmp_path, bucket)


async def chunks(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def whole(store: ObjectStore, key: str, start: int, end: int) -> bytes:
    return b"".join([piece async for piece in store.read(key, start, end)])


@pytest.mark.parametrize("data", [b"", b"x", LARGE], ids=["empty", "small", "large"])
async def test_what_is_kept_is_read_back(kept: Kept, data: bytes) -> None:
    size = 100_003
    await kept.store.put("a/file", chunks(*(data[at : at + size] for at in range(0, len(data), size))))

    assert kept.names() == {"a/file"}
    assert await whole(kept.store, "a/file", 0, len(data)) == data


async def test_parts_are_read_alone(kept: Kept) -> None:
    await kept.store.put("file", chunks(LARGE))

    for start, end in ((0, 1), (5, 5), (1_048_575, 1_048_577), (len(LARGE) - 1, len(LARGE)), (7, len(LARGE) - 7)):
        assert await whole(kept.store, "file", start, end) == LARGE[start:end]


async def test_what_breaks_off_is_not_kept(kept: Kept) -> None:
    async def breaking() -> AsyncIterator[bytes]:
        for at in range(0, len(LARGE), 1_000_000):
            if at > len(LARGE) * 3 // 4:
                raise RuntimeError("it broke off")
            yield LARGE[at : at + 1_000_000]

    with pytest.raises(Exception, match=r"it broke off|could not be kept"):
        await kept.store.put("file", breaking())

    assert not any(name == "file" for name in kept.names())
    with pytest.raises(StorageError):
        await whole(kept.store, "file", 0, 1)


async def test_file_kept_under_the_key_of_another_takes_its_place(kept: Kept) -> None:
    await kept.store.put("file", chunks(b"first"))
    await kept.store.put("file", chunks(b"other"))

    assert await whole(kept.store, "file", 0, 5) == b"other"


async def test_file_is_moved_over_another(kept: Kept) -> None:
    await kept.store.put("from", chunks(b"moved"))
    await kept.store.put("to", chunks(b"there"))

    await kept.store.move("from", "to")

    assert kept.names() == {"to"}
    assert await whole(kept.store, "to", 0, 5) == b"moved"
    with pytest.raises(StorageError):
        await kept.store.move("from", "to")


async def test_forgotten_file_is_gone_and_forgetting_it_again_does_no_harm(kept: Kept) -> None:
    await kept.store.put("file", chunks(b"x"))

    await kept.store.delete("file")
    await kept.store.delete("file")

    assert kept.names() == set()
    with pytest.raises(StorageError):
        await whole(kept.store, "file", 0, 1)
    await kept.store.close()


async def test_key_leads_to_nowhere_outside(kept: Kept) -> None:
    for key in ("../outside", "a/../../outside"):
        with pytest.raises(Exception, match=r"could not be kept|path"):
            await kept.store.put(key, chunks(b"x"))

    assert kept.names() == set()


async def test_store_that_refuses_is_an_error_of_the_store(tmp_path: Path) -> None:
    async with running_bucket() as (endpoint, bucket):
        store = ObjectStore.at("s3://bucket", S3Options(endpoint, "nowhere-1", "another-key", SECRET))
        for act in (
            lambda: store.put("file", chunks(b"x")),
            lambda: whole(store, "file", 0, 1),
            lambda: store.move("file", "to"),
        ):
            with pytest.raises(StorageError) as caught:
                await act()
            assert SECRET not in str(caught.value)

        assert bucket.objects == {}


# Settings ---------------------------------------------------------------------------------------------------

PRODUCTION = {
    "environment": "production",
    "database_url": "postgresql://db.test/comptoir",
    "public_url": "https://shop.test",
    "jwks_url": "https://login.test/jwks.json",
    "jwt_issuer": "https://login.test",
    "secret_key": "x" * 32,
    "sandbox_webhook_secret": "whsec_eA==",
    "allow_sandbox": True,
}


def test_keys_of_a_store_are_never_shown() -> None:
    settings = Settings(_env_file=None, s3_access_key_id=ACCESS_KEY, s3_secret_access_key=SECRET)

    shown = settings.redacted()

    assert shown["s3_secret_access_key"] == shown["s3_access_key_id"] == "(hidden)"
    for text in (str(shown), repr(settings), repr(settings.s3_options)):
        assert SECRET not in text
        assert ACCESS_KEY not in text
    assert settings.s3_options.secret_access_key == SECRET


def test_production_sends_files_over_tls_alone() -> None:
    with pytest.raises(UnsafeSettingsError, match="COMPTOIR_S3_ENDPOINT"):
        Settings(_env_file=None, **PRODUCTION, s3_endpoint="http://files.test").checked()

    Settings(_env_file=None, **PRODUCTION, s3_endpoint="https://files.test").checked()
    Settings(_env_file=None, s3_endpoint="http://127.0.0.1:9000").checked()


@pytest.mark.parametrize("size", [0, 5 * 1024**3 + 1])
def test_upload_limit_is_one_a_store_can_keep(size: int) -> None:
    with pytest.raises(ValueError, match="upload_max_bytes"):
        Settings(_env_file=None, upload_max_bytes=size)
