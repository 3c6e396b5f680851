"""A reconciliation: compared, mended where that is safe and asked for, compared again, and recorded."""

from datetime import datetime, timedelta
from typing import Any, Final

import orjson
import structlog

from services.engine import Engine
from services.reconciliation import mending
from services.reconciliation.comparing import Tell, compare
from services.reconciliation.frame import Limits
from services.reconciliation.report import Check, Report

GRACE: Final = timedelta(minutes=5)
"""What is younger is not judged: the other side may be on its way."""

_RECORD: Final = """
    insert into reconciliations
        (provider, since, started_at, finished_at, entries, differences, mended, findings)
    values ($1, $2, $3, $4, $5, $6, $7, $8::jsonb)
"""

log = structlog.get_logger(__name__)


async def run(
    engine: Engine,
    *,
    since: datetime | None = None,
    mend: bool = False,
    tell: Tell | None = None,
    grace: timedelta = GRACE,
    limits: Limits | None = None,
) -> Report:
    """Compare the provider, the ledger and the business, and record what was found.

    ``since`` leaves out what is older; without it all there is is compared. ``mend`` looks up at the provider
    what can be mended by that and settles it, then compares again: what is gone counts as mended. ``tell`` hears
    of each check as it begins. ``grace`` is how old something has to be to be judged.

    A provider that does not answer is a difference of the checks that needed it. Raises asyncpg's or OS errors
    when the database goes away; then nothing is recorded.
    """
    chosen = limits or Limits()
    say = tell or _say_nothing
    report = await compare(engine, since=since, grace=grace, limits=chosen, tell=say)
    if mend and any(difference.safe for difference in report.differences):
        failures = await _mend_all(engine, report)
        again = await compare(engine, since=since, grace=grace, limits=chosen, tell=say)
        report = again.mended_from(report, failures)
    await _record(engine, report)
    level = log.info if report.clean else log.warning
    level("reconciled", entries=report.entries, differences=report.standing, mended=report.mended)
    return report


async def _mend_all(engine: Engine, report: Report) -> dict[Any, str]:
    """Apply every safe remedy; return why each may not have helped, by what is the same in the next comparison."""
    return {
        difference.key: await mending.mend(engine, difference)
        for difference in report.differences
        if difference.safe
    }


async def _record(engine: Engine, report: Report) -> None:
    findings = [result.as_json() for result in report.checks if result.differences or result.note]
    await engine.database.writer.execute(
        _RECORD,
        report.provider,
        report.since,
        report.started_at,
        report.finished_at,
        report.entries,
        report.found,
        report.mended,
        orjson.dumps(findings).decode(),
    )


def _say_nothing(_: Check) -> None:
    pass
