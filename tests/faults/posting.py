"""A process that posts and is killed before it hears the answer, and the wire on which that happens.

As a program, it reads what to post from standard input and says of each call that it was answered.
"""

import asyncio
import json
import signal
import sys
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import asyncpg

import ledger
from ledger import Group, Movement

_CHUNK = 1 << 16
_CHECKOUT = Path(__file__).parents[2]


def groups_of(order: dict[str, object], keys: Sequence[str]) -> list[Group]:
    """What a process posts under keys."""
    debit, credit = int(str(order["debit"])), int(str(order["credit"]))
    return [Group(key, (Movement(debit, credit, 100, "test"),)) for key in keys]


async def post(order: dict[str, object], calls: Sequence[Sequence[str]]) -> None:
    """Make the calls one after the other, each a commit; say so when one is answered."""
    connection = await asyncpg.connect(str(order["dsn"]), server_settings={"role": str(order["role"])})
    for keys in calls:
        async with connection.transaction() if order["in_transaction"] else nullcontext():
            await ledger.post(groups_of(order, keys), on=connection)
        print(json.dumps(keys), flush=True)  # ruff: ignore[print] - its answer
    await connection.close()


@dataclass
class Wire:
    """Leads to the database. When ``marker`` comes by on its way there, ``victim`` dies, and hears no answer.

    ``sent_on``: the marker still arrives, and the server does what it was told.
    """

    dsn: str
    marker: bytes
    sent_on: bool
    victim: asyncio.subprocess.Process | None = None
    cut: asyncio.Event = field(default_factory=asyncio.Event)

    def kill(self) -> None:
        assert self.victim is not None
        self.victim.send_signal(signal.SIGKILL)
        self.cut.set()


@asynccontextmanager
async def wire(dsn: str, folder: Path, *, marker: bytes, sent_on: bool) -> AsyncIterator[Wire]:
    """Open a wire to the database of an address with a Unix socket."""
    query = parse_qs(urlsplit(dsn).query)
    name = f".s.PGSQL.{query['port'][0]}"
    opened = Wire(dsn.replace(f"host={quote(query['host'][0])}", f"host={quote(str(folder))}"), marker, sent_on)
    assert opened.dsn != dsn

    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(str(Path(query["host"][0], name)))
        with suppress(ConnectionError):
            await asyncio.gather(_send_on(reader, back, opened), _send_back(there, writer, opened))
        for end in (back, writer):
            end.close()

    server = await asyncio.start_unix_server(serve, folder / name)
    try:
        yield opened
    finally:
        server.close()


async def _send_on(reader: StreamReader, writer: StreamWriter, through: Wire) -> None:
    while data := await reader.read(_CHUNK):
        if through.marker in data:
            if not through.sent_on:
                through.kill()
                break
            # No answer comes back from now on; the victim dies once the server has had time to write one.
            through.cut.set()
            writer.write(data)
            await asyncio.sleep(0.3)
            through.kill()
            break
        writer.write(data)
    writer.close()


async def _send_back(reader: StreamReader, writer: StreamWriter, through: Wire) -> None:
    while data := await reader.read(_CHUNK):
        if not through.cut.is_set():
            writer.write(data)
    writer.close()


async def run_until_killed(through: Wire, order: dict[str, object], calls: Sequence[Sequence[str]]) -> list[str]:
    """Have a process post through a wire until it is killed; return the keys that it had answers for."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.faults.posting",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=_CHECKOUT,
    )
    through.victim = process
    told = json.dumps({**order, "dsn": through.dsn, "calls": calls}).encode()
    answers, _ = await asyncio.wait_for(process.communicate(told), 20)
    assert process.returncode == -signal.SIGKILL
    return [key for line in answers.splitlines() for key in json.loads(line)]


def main() -> None:
    order = json.load(sys.stdin)
    asyncio.run(post(order, order["calls"]))


if __name__ == "__main__":
    main()
