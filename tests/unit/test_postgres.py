"""The PostgreSQL launcher, with real servers in folders of their own."""

import json
import os
import shutil
import signal
import subprocess  # ruff: ignore[suspicious-subprocess-import] - kills what it starts
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.postgres import (
    Binaries,
    Cluster,
    PostgresUnavailable,
    account,
    binaries,
    folders,
    for_checkout,
)

ROOT = Path(__file__).parents[2]
FAST = {"fsync": "off", "shared_buffers": "16MB", "max_connections": "20"}
NOBODY = 65534

USER = """
import sys, time
from pathlib import Path
from app.postgres import Cluster
lease = Cluster(Path(sys.argv[1]), settings={"fsync": "off", "shared_buffers": "16MB"}).lease()
lease.ensure_database("shop")
print(lease.dsn("shop"), flush=True)
time.sleep(600)
"""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root lends the server another user")


@pytest.fixture
def directory() -> Iterator[Path]:
    with folder_of_its_own() as folder:
        yield folder


@pytest.fixture(scope="module")
def common() -> Iterator[Cluster]:
    """One cluster for the tests that leave it as it is."""
    with folder_of_its_own() as folder:
        yield Cluster(folder, settings={"work_mem": "7MB"})


@contextmanager
def folder_of_its_own(mode: int = 0o711, inside: str = "data of a shop") -> Generator[Path]:
    """A cluster's directory which, unlike pytest's, another user may pass through."""
    parent = Path(tempfile.mkdtemp(prefix="comptoir-test-", dir=folders._SHORT))
    parent.chmod(mode)
    try:
        yield parent / inside
    finally:
        Cluster(parent / inside).remove()
        shutil.rmtree(parent)


@contextmanager
def users(directory: Path, count: int) -> Generator[list[subprocess.Popen[str]]]:
    command = [sys.executable, "-c", USER, str(directory)]
    started = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    try:
        yield started
    finally:
        for user in started:
            user.kill()
            user.communicate()


def cluster(directory: Path, **settings: str) -> Cluster:
    return Cluster(directory, settings=FAST | settings)


def query(dsn: str, statement: str) -> str:
    psql = binaries.available()[0].program("psql")
    done = subprocess.run([psql, dsn, "-XtAc", statement], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def processes(directory: Path) -> tuple[int, int]:
    """The numbers of keeper and server."""
    keeper = json.loads((directory / "server.json").read_text("utf-8"))["keeper"]
    children = Path(f"/proc/{keeper}/task/{keeper}/children").read_text("utf-8").split()
    return keeper, int(children[0])


def eventually(condition: Callable[[], bool], seconds: float = 6) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def ended(process: int) -> bool:
    try:
        return "\nState:\tZ" in Path(f"/proc/{process}/status").read_text("utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return True


def fake_programs(folder: Path, version: str) -> Path:
    folder.mkdir(parents=True)
    for name in ("postgres", "initdb", "psql"):
        (folder / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n")
        (folder / name).chmod(0o755)
    return folder


def test_processes_that_start_at_once_share_one_server(directory):
    with users(directory, 6) as started:
        addresses = {user.stdout.readline().strip() for user in started}
        assert len(addresses) == 1
        assert query(addresses.pop(), "SELECT current_database()") == "shop"
        assert (directory / "postgres.log").read_text("utf-8").count("ready to accept connections") == 1


def test_server_stops_after_its_users_were_killed_and_starts_again_for_the_next(directory):
    with users(directory, 2) as started:
        for user in started:
            assert user.stdout.readline()
        numbers = processes(directory)
        started[0].kill()
        time.sleep(2)
        assert not any(ended(number) for number in numbers)
        started[1].kill()
        # The keeper has made up its mind, its server still stops: a lease waits and gets the next server.
        assert eventually(lambda: not (directory / "server.json").exists())
        with cluster(directory).lease() as lease:
            assert all(ended(number) for number in numbers)
            assert query(lease.dsn("shop"), "SELECT 1") == "1"


def test_killed_keeper_takes_the_server_with_it_and_the_data_stays(directory):
    shared = cluster(directory)
    with shared.lease() as lease:
        query(lease.dsn("postgres"), "CREATE TABLE kept AS SELECT 42 AS answer")
        keeper, server = processes(directory)
        os.kill(keeper, signal.SIGKILL)
        assert eventually(lambda: ended(keeper) and ended(server))
        with shared.lease() as second:
            assert query(second.dsn("postgres"), "SELECT answer FROM kept") == "42"


def test_server_that_ended_by_itself_is_started_again(directory):
    shared = cluster(directory)
    with shared.lease():
        keeper, server = processes(directory)
        os.kill(server, signal.SIGKILL)
        assert eventually(lambda: ended(keeper))
    # The number that the server left behind may be another process's of the same user by now.
    stale = next(directory.glob("*/data/postmaster.pid"))
    owner = stale.stat().st_uid if os.geteuid() == 0 else None
    other = subprocess.Popen(["sleep", "60"], user=owner)
    try:
        stale.write_text(stale.read_text("utf-8").replace(str(server), str(other.pid), 1))
        with shared.lease() as lease:
            assert query(lease.dsn("postgres"), "SELECT 1") == "1"
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_keeper_stops_the_server_when_told(directory):
    for number in (signal.SIGTERM, signal.SIGINT):
        with cluster(directory).lease():
            numbers = processes(directory)
            os.kill(numbers[0], number)
            assert eventually(lambda: all(map(ended, numbers)))  # ruff: ignore[function-uses-loop-variable]
        assert "database system is shut down" in (directory / "postgres.log").read_text("utf-8")
        assert not list(directory.glob("*/data/postmaster.pid"))


def test_database_is_made_once_however_many_ask(common):
    name = 'the "shop\'s" %s'
    with common.lease() as lease:
        script = f"lease.ensure_database({name!r}); lease.ensure_database({name!r})"
        setup = USER.partition("lease.ensure")[0]
        command = [sys.executable, "-c", setup + script, str(common.directory)]
        asking = [subprocess.Popen(command, cwd=ROOT) for _ in range(4)]
        assert [process.wait() for process in asking] == [0] * 4
        assert query(lease.dsn(name), "SELECT current_database()") == name
        assert query(lease.dsn(name), "SHOW server_encoding") == "UTF8"
        with pytest.raises(ValueError, match="63 bytes"):
            lease.ensure_database("é" * 32)


def test_loopback_wants_the_password_and_the_socket_is_private(common):
    with common.lease() as lease:
        address = lease.loopback_dsn("postgres")
        assert query(address, "SELECT inet_server_addr()") == "127.0.0.1"
        with pytest.raises(AssertionError, match="password authentication failed"):
            query(address.replace("comptoir:", "comptoir:x"), "SELECT 1")
        home = next(common.directory.glob("*/run")).parent
        assert [oct((home / name).stat().st_mode)[-3:] for name in ("run", "password")] == ["700", "600"]


def test_refusal_of_postgres_is_passed_on(directory):
    with pytest.raises(PostgresUnavailable, match=r"shared_buffers.*the whole log: "):
        cluster(directory, shared_buffers="plenty").lease()


def test_settings_have_defaults_and_can_be_changed(common):
    with common.lease() as lease:
        shown = "SELECT string_agg(current_setting(name), ' ' ORDER BY name) FROM pg_settings WHERE name IN "
        names = "('fsync', 'idle_in_transaction_session_timeout', 'max_connections', 'work_mem')"
        assert query(lease.dsn("postgres"), shown + names) == "on 1min 200 7MB"


def test_long_path_has_its_socket_in_a_private_folder(directory):
    with folder_of_its_own(inside="/".join(["a folder with a long name"] * 5)) as deep:
        shared = cluster(deep)
        with shared.lease() as lease:
            assert query(lease.dsn("postgres"), "SELECT 1") == "1"
            place = folders._private_name(folders._SHORT, deep)
            assert str(place) in lease.dsn("postgres")
        shared.stop()
        shared.stop()
        lease.close()
        assert not place.exists()


def test_checkout_keeps_its_data_in_var():
    assert for_checkout(Path("/some/checkout")).directory == Path("/some/checkout/var/postgres")


# Whom the server runs as.


@needs_root
def test_root_lends_the_server_another_user(common):
    directory = common.directory
    with common.lease() as lease:
        assert Path(f"/proc/{processes(directory)[1]}").stat().st_uid == NOBODY
        assert next(directory.glob("*/data")).stat().st_uid == NOBODY
        assert (directory / "postgres.log").stat().st_uid == 0
        assert query(lease.dsn("postgres"), "SELECT 1") == "1"


@needs_root
def test_plain_user_runs_the_server_as_himself_and_root_keeps_to_his_data(directory):
    stranger = account.Account(1234, 1234)
    pythons = [python for python in (sys.executable, "/usr/bin/python3") if stranger.can_execute(python)]
    programs = binaries.available()[0]
    if not pythons or not stranger.can_execute(programs.program("postgres")):
        pytest.skip("another user can execute neither this Python nor these programs")
    # The user may be unable to read this checkout, too.
    package = directory.parent / "package"
    shutil.copytree(ROOT / "app" / "postgres", package / "app" / "postgres")
    shutil.chown(directory.parent, 1234, 1234)
    script = USER.replace("time.sleep(600)", "")
    done = subprocess.run(
        [pythons[0], "-c", script, str(directory)],
        cwd=package,
        env={"PATH": os.defpath, binaries.OVERRIDE: str(programs.folder), "PYTHONDONTWRITEBYTECODE": "1"},
        user=1234,
        group=1234,
        extra_groups=[],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert next(directory.glob("*/data")).stat().st_uid == 1234
    with cluster(directory).lease() as lease:
        assert query(lease.dsn("shop"), "SELECT 1") == "1"
        assert next(directory.glob("*/data")).stat().st_uid == 1234


@needs_root
def test_directory_that_the_user_cannot_enter_moves_the_data_and_says_so(capsys):
    with folder_of_its_own(mode=0o700) as closed:
        stated = folders._private_name(folders._LASTING, closed)
        with cluster(closed).lease() as lease:
            assert query(lease.dsn("postgres"), "SELECT 1") == "1"
            assert str(stated) in lease.dsn("postgres")
            assert list(stated.glob("*/data/PG_VERSION"))
            assert closed.parent.stat().st_mode & 0o777 == 0o700
        assert f"PostgreSQL's data lives in {stated}" in capsys.readouterr().err
    assert not stated.exists()


@needs_root
def test_folder_of_somebody_else_is_refused():
    with folder_of_its_own(mode=0o700) as closed:
        stated = folders._private_name(folders._LASTING, closed)
        stated.mkdir()
        shutil.chown(stated, NOBODY)
        with pytest.raises(PostgresUnavailable, match="not a private folder of this user"):
            cluster(closed).lease()


@needs_root
def test_programs_that_the_user_cannot_execute_are_copied_once(directory, capsys, monkeypatch):
    monkeypatch.setenv(binaries.OVERRIDE, "wheel")
    try:
        wheel = binaries.available()[0]
    except PostgresUnavailable:
        pytest.skip("the wheel is not installed")
    with folder_of_its_own(mode=0o700, inside="site") as closed:
        closed.mkdir()
        package = wheel.folder.parents[1]
        for source in (package, package.with_name(f"{package.name}.libs")):
            (closed / source.name).symlink_to(source)
        hidden = Binaries(closed / wheel.folder.relative_to(package.parent), wheel.major, from_wheel=True)
        hiding = Cluster(directory, binaries=hidden, settings=FAST)
        for _ in range(2):
            with hiding.lease() as lease:
                assert query(lease.dsn("postgres"), "SELECT 1") == "1"
            hiding.stop()
        assert capsys.readouterr().err.count("PostgreSQL's programs are copied") == 1


# Which programs are found.


def test_missing_programs_are_one_sentence(monkeypatch, tmp_path):
    monkeypatch.delenv(binaries.OVERRIDE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(binaries, "_SYSTEM_FOLDERS", ())
    monkeypatch.setattr(binaries, "find_spec", lambda _: None)
    with pytest.raises(PostgresUnavailable) as refusal:
        Cluster(tmp_path / "data").lease()
    assert str(refusal.value) == (
        "No PostgreSQL 15 to 18 was found: run pip install 'comptoir[embedded]', "
        "install PostgreSQL 15 to 18, or set DATABASE_URL."
    )


@pytest.mark.parametrize("version", ["14.20", "19devel", ""])
def test_other_versions_are_passed_over(monkeypatch, tmp_path, version):
    monkeypatch.setenv(binaries.OVERRIDE, str(fake_programs(tmp_path / "bin", version)))
    with pytest.raises(PostgresUnavailable, match=f"where {binaries.OVERRIDE}={tmp_path}/bin looks"):
        binaries.available()


def test_programs_are_found_behind_links_and_newest_first(monkeypatch, tmp_path):
    monkeypatch.setenv(binaries.OVERRIDE, "system")
    monkeypatch.setattr(binaries, "_SYSTEM_FOLDERS", (f"{tmp_path}/{{}}/bin",))
    for major in (15, 17, 18):
        fake_programs(tmp_path / str(major) / "bin", f"{major}.1 (Debian)")
    path = tmp_path / "local"
    path.mkdir()
    (path / "postgres").symlink_to("../15/bin/postgres")
    monkeypatch.setenv("PATH", str(path))
    assert binaries.available() == [Binaries(tmp_path / str(major) / "bin", major) for major in (15, 18, 17)]


def test_data_that_exists_decides_the_version(directory, capsys):
    choice = [
        Binaries(fake_programs(directory.parent / str(major), f"{major}.1"), major) for major in (18, 17, 16)
    ]
    directory.mkdir()
    assert folders.settle(directory, choice)[2].major == 18
    for major in (15, 16):
        (directory / str(major) / "data").mkdir(parents=True)
        (directory / str(major) / "data" / "PG_VERSION").touch()
    assert folders.settle(directory, choice)[2].major == 16
    assert folders.settle(directory, choice[:2])[2].major == 18
    assert f"Data of PostgreSQL 15 stays unused in {directory}/15" in capsys.readouterr().err
