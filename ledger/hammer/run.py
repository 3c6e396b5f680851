"""A run from its beginning to its end: processes, audit, tidying up, proof."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Iterable
from pathlib import Path
from time import monotonic
from typing import Final

import asyncpg

from ledger.connections import Pool
from ledger.hammer.accounts import PROVIDER, Books
from ledger.hammer.audit import Auditor
from ledger.hammer.plan import CONNECTIONS, LOST, PATIENCE_SECONDS, HammerError, Plan, patiently
from ledger.hammer.report import Report
from ledger.hammer.tidy import tidy
from ledger.verify import Finding, verify

Say = Callable[[str], object]

_ROOT: Final = Path(__file__).resolve().parents[2]
_OWN_CONNECTIONS: Final = 2
_CONNECTIONS_LEFT: Final = """
    select current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
        - (select count(*)::int from pg_stat_activity where backend_type = 'client backend')
"""
_LAST_WORDS: Final = 2_000
_GRACE_SECONDS: Final = PATIENCE_SECONDS + 15


async def run(plan: Plan, say: Say, stop: asyncio.Event | None = None) -> tuple[Report, list[Finding]]:
    """Hammer, audit, tidy up and verify; return what was found, having said what is being done.

    The report is well if every answer was true; whether the findings are is another question. Processes that are
    killed are told of, and audited as the others are. ``stop`` ends the hammering before its time.

    Errors: HammerError, when the server stays away, or has not as many connections left as the plan wants.
    """
    try:
        return await _run(plan, say, stop or asyncio.Event())
    except LOST as error:
        raise HammerError(
            f"The database went away and did not come back ({type(error).__name__}: {error}). What was asked and "
            f"answered is logged in {plan.folder}."
        ) from error


async def _run(plan: Plan, say: Say, stop: asyncio.Event) -> tuple[Report, list[Finding]]:
    async with await plan.open_pool(_OWN_CONNECTIONS) as pool:
        await _ensure_room(plan, pool)
        books = await patiently(lambda: Books.open(pool))
        say(
            f"Processes: {plan.processes}, with {CONNECTIONS} connections each, for {plan.seconds:g} s, on "
            f"{len(books.all)} accounts of their own (provider {PROVIDER}). Seed: {plan.seed}."
        )
        report = await _hammer(plan, stop)
        say("Auditing every answer.")
        await _audit(plan, pool, books, report)
        await _tidy(plan, pool, books, report)
        for line in report.lines():
            say(line)
    say("Verifying.")
    return report, await patiently(lambda: _verify(plan))


async def _ensure_room(plan: Plan, pool: Pool) -> None:
    """Raise ``HammerError`` where the server has too few connections left, which others may need."""
    wanted = plan.processes * CONNECTIONS + _OWN_CONNECTIONS
    left: int = await patiently(lambda: pool.fetchval(_CONNECTIONS_LEFT))
    if wanted > left:
        raise HammerError(f"{plan.processes} processes want {wanted} connections, and the server has {left} left.")


async def _hammer(plan: Plan, stop: asyncio.Event) -> Report:
    """Run the processes to their end; return a report that knows which of them ended before."""
    began = monotonic()
    running = [await _start(plan, number) for number in range(plan.processes)]
    ended = asyncio.create_task(_all_ended(running))
    stopping = asyncio.create_task(stop.wait())
    try:
        either = {ended, stopping}
        await asyncio.wait(either, timeout=plan.seconds + _GRACE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        for process in running:
            if process.stdin is not None:
                process.stdin.close()
        await asyncio.wait({ended}, timeout=_GRACE_SECONDS)
        hung = [number for number, process in enumerate(running) if process.returncode is None]
    finally:
        stopping.cancel()
        for process in running:
            if process.returncode is None:
                process.kill()
        await ended
    report = Report(max(1.0, min(monotonic() - began, plan.seconds)))
    for number, process in enumerate(running):
        if number in hung:
            report.faults.append(f"process {number} did not end")
        elif process.returncode == -signal.SIGKILL:
            report.notes.append(f"Process {number} was killed; its log was audited as the others' were.")
        elif process.returncode != 0:
            said = plan.errors(number).read_text(errors="replace").strip()[-_LAST_WORDS:]
            report.faults.append(f"process {number} ended with {process.returncode}: {said}")
    return report


async def _all_ended(processes: Iterable[Process]) -> bool:
    for process in processes:
        await process.wait()
    return True


async def _start(plan: Plan, number: int) -> Process:
    with plan.errors(number).open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            # Not what the present folder has under that name, but this very package.
            "-P",
            "-m",
            "ledger.hammer",
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(_ROOT), os.environ.get("PYTHONPATH", "")])},
            stdin=PIPE,
            stdout=DEVNULL,
            stderr=errors,
            # An interrupt from the keyboard is for us, who then end them.
            start_new_session=True,
        )
    if process.stdin is not None:
        # Left open: they end when it closes, as it does however we end.
        process.stdin.write(plan.dumps(number))
    return process


async def _audit(plan: Plan, pool: Pool, books: Books, report: Report) -> None:
    auditor = Auditor(pool, plan.tenant, await patiently(lambda: books.rows(pool)), report)
    for number in range(plan.processes):
        await auditor.audit(number, plan.log(number))
    await auditor.finish()


async def _tidy(plan: Plan, pool: Pool, books: Books, report: Report) -> None:
    async def act() -> int:
        async with pool.acquire() as connection:
            return await tidy(books, plan.tenant, on=connection)

    left = await patiently(act)
    if left:
        report.notes.append(f"{left} accounts are not back at zero: another hammer is at work.")


async def _verify(plan: Plan) -> list[Finding]:
    connection = await asyncpg.connect(plan.dsn)
    try:
        return await verify(connection)
    finally:
        await connection.close()
