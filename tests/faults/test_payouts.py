"""Kill -9 at any step of a payout, and start again: it is paid, or given back, exactly once."""

import asyncio
import signal
from datetime import timedelta
from typing import Any

import httpx
import pytest

from app.client import GraphQLFailed
from core.clock import now
from core.ids import Noun, uuid7
from providers.payments.sandbox import SandboxControl
from services import jobs
from services.jobs import Job
from tests.faults import payout_places
from tests.faults.shop import Customer, settled
from tests.support.payouts import ONBOARD, REQUEST, SCHEDULE
from tests.support.processes import Deployment, Process
from tests.support.world import eventually

_PATIENCE_SECONDS = 40
_NET = 9_500


class Case:
    """A creator with 95.00 USD available, seen from outside and from the database's owner."""

    def __init__(self, deployed: Deployment, creator: str) -> None:
        self.deployed = deployed
        self.creator = creator
        self.control = SandboxControl(deployed.pool)

    async def request(self, amount: str = "20.00") -> str:
        """Ask for a payout until it is answered; return its id."""
        given = {"creatorId": self.creator, "amount": {"amount": amount, "currency": "USD"}}
        return str((await self._insist("payoutRequest", REQUEST, given))["payout"]["id"])

    async def onboard(self) -> dict[str, Any]:
        """Open the account until it is answered; return the payload."""
        given = {"creatorId": self.creator, "country": "ZZ", "returnUrl": "https://front.test/back"}
        return await self._insist("creatorOnboard", ONBOARD, given)

    async def schedule(self) -> None:
        """Have it all paid out daily, from an hour ago on."""
        await self._insist(
            "payoutScheduleSet", SCHEDULE, {"creatorId": self.creator, "currency": "USD", "interval": "DAILY"}
        )
        await self.deployed.pool.execute("update payout_schedules set next_at = $1", now() - timedelta(hours=1))

    async def _insist(self, name: str, query: str, given: dict[str, Any]) -> dict[str, Any]:
        client = self.deployed.client_of("fable")
        values = {"idempotencyKey": str(uuid7()), **given}
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while True:
                try:
                    payload: dict[str, Any] = (await client.run(query, input=values))[name]
                except (httpx.TransportError, GraphQLFailed):
                    await asyncio.sleep(0.05)
                    continue
                if not payload["errors"]:
                    return payload
                assert {error["code"] for error in payload["errors"]} == {"PROVIDER_UNAVAILABLE"}
                await asyncio.sleep(0.05)

    async def hours_pass(self) -> None:
        """Let whatever waits for a later moment be due now; nobody may be working on it."""
        await self.deployed.hours_pass()
        # A job whose worker is gone goes back to the queue.
        await self.deployed.pool.execute(
            "update jobs.pgqueuer set heartbeat = now() - interval '1 hour' where status = 'picked'"
        )
        for table in ("payouts", "payout_accounts"):
            await self.deployed.pool.execute(
                f"update {table} set calling_until = now() where calling_until is not null"
            )

    async def until(self, sql: str, value: Any) -> None:
        """Wait until a query gives a value."""

        async def reached() -> bool:
            return bool(await self.deployed.scalar(sql) == value)

        await eventually(reached, _PATIENCE_SECONDS, lambda: f"never {value}: {sql}\n{self.deployed.report}")

    async def on_its_way(self) -> None:
        """Wait until the provider has the payout and all that it answered is settled."""
        await self.until("select count(*) from payouts where provider_reference is not null and step is null", 1)

    async def everything_told(self) -> None:
        """Wait until the provider has told everything and all of it is settled."""
        await self.until("select count(*) from sandbox.event where next_attempt_at is not null", 0)
        await self.until("select count(*) from inbox_events where state <> 'DONE'", 0)

    async def is_paid(self, amount: int) -> None:
        """Have the provider pay it, and check that it was paid once, with every trace of it in the books once."""
        await self.on_its_way()
        await self.control.pay_payout("latest")
        await self.until("select status from payouts", "PAID")
        await self.everything_told()
        await self._audit(["REQUESTED", "TRANSFERRED", "PAID"], {"payout": 1, "transfer": 1, ":paid": 1})
        assert await self._balances() == {"available": _NET - amount, "payout": 0, "connected": 0}

    async def is_given_back(self) -> None:
        """Check that its money is the creator's again and the transfer was taken back once."""
        await self.until("select status from payouts", "FAILED")
        await self.until("select reversal_transaction is not null and step is null from payouts", True)
        await self.everything_told()
        keys = {"payout": 1, "transfer": 1, ":failed": 1, "transfer_reversed": 1}
        await self._audit(["REQUESTED", "TRANSFERRED", "FAILED"], keys)
        assert await self._balances() == {"available": _NET, "payout": 0, "connected": 0}

    async def _audit(self, statuses: list[str], keys: dict[str, int]) -> None:
        row = (await self.deployed.pool.fetch("select * from payouts"))[0]
        assert (row["reconciling"], row["step"]) == (False, None)
        events = await self.deployed.pool.fetch("select * from payout_events order by sequence")
        assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
        assert [event["status"] for event in events if event["status"] != "RECONCILING"] == statuses
        for table in ("payouts", "sandbox.transfer", "sandbox.payout"):
            assert await self.deployed.count(table) == 1, table
        payout = str(row["id"])
        expected = {
            f"payout:{payout}{suffix}" for suffix in ("", ":paid", ":failed") if not suffix or suffix in keys
        }
        found = await self.deployed.pool.fetch("select key from ledger.request where key like 'payout:%'")
        assert {record["key"] for record in found} == expected
        for prefix in ("transfer", "transfer_reversed"):
            sql = "select count(*) from ledger.request where key like $1"
            assert await self.deployed.scalar(sql, f"{prefix}:%") == keys.get(prefix, 0), prefix

    async def _balances(self) -> dict[str, int]:
        sql = "select coalesce(sum(posted), 0)::bigint from ledger.account where kind = $1"
        return {kind: await self.deployed.scalar(sql, kind) for kind in ("available", "payout", "connected")}


async def a_case(deployed: Deployment, *, account: bool = True) -> Case:
    """Earn 95.00 USD with a worker that then is no more, and open the account."""
    worker = deployed.worker()
    creator = await deployed.creator("fable")
    customer = Customer(deployed)
    payment = await customer.tip(creator, "100.00")
    await customer.pay(payment)
    await settled(deployed, payment)
    case = Case(deployed, creator)
    await case.until("select count(*) from payments where matured_at is null", 0)
    if account:
        assert (await case.onboard())["payoutAccount"]["ready"] is True
    await case.everything_told()
    await worker.kill()
    return case


async def dies(process: Process) -> None:
    assert await process.ended() == -signal.SIGKILL, process.said


@pytest.mark.parametrize("place", payout_places.WEB)
async def test_web_killed_makes_one_payout(deployed: Deployment, place: str) -> None:
    web = await deployed.web()
    case = await a_case(deployed)
    await web.stop()
    faulty = await deployed.web(fault=place)

    asking = asyncio.create_task(case.request())
    await dies(faulty)
    await faulty.restart()
    payout = await asking

    deployed.worker()
    await case.is_paid(2_000)
    assert await deployed.scalar("select id from payouts") == deployed.key(Noun.PAYOUT, payout)


@pytest.mark.parametrize("place", payout_places.ACCOUNT)
async def test_web_killed_while_it_opens_an_account_opens_one(deployed: Deployment, place: str) -> None:
    web = await deployed.web()
    case = await a_case(deployed, account=False)
    await web.stop()
    faulty = await deployed.web(fault=place)

    opening = asyncio.create_task(case.onboard())
    await dies(faulty)
    await case.hours_pass()
    await faulty.restart()

    assert (await opening)["payoutAccount"]["ready"] is True
    assert await deployed.count("sandbox.account") == await deployed.count("payout_accounts") == 1


@pytest.mark.parametrize("place", payout_places.WORKER)
async def test_worker_killed_pays_once(deployed: Deployment, place: str) -> None:
    await deployed.web()
    case = await a_case(deployed)
    worker = deployed.worker(fault=place)

    await case.request()
    await dies(worker)
    await case.hours_pass()
    await worker.restart()

    await case.is_paid(2_000)


@pytest.mark.parametrize("place", payout_places.END)
@pytest.mark.parametrize("end", ["PAID", "FAILED"])
async def test_worker_killed_while_it_settles_the_end_settles_it_once(
    deployed: Deployment, end: str, place: str
) -> None:
    await deployed.web()
    case = await a_case(deployed)
    worker = deployed.worker()
    await case.request()
    await case.on_its_way()
    await worker.kill()
    worker = deployed.worker(fault=place)

    await (case.control.pay_payout if end == "PAID" else case.control.fail_payout)("latest")
    await dies(worker)
    await case.hours_pass()
    await worker.restart()

    if end == "PAID":
        await case.until("select status from payouts", "PAID")
        await case.everything_told()
        await case._audit(["REQUESTED", "TRANSFERRED", "PAID"], {"transfer": 1, ":paid": 1})
    else:
        await case.is_given_back()


@pytest.mark.parametrize("place", payout_places.FAILURE)
async def test_worker_killed_while_it_takes_a_transfer_back_gives_back_once(
    deployed: Deployment, place: str
) -> None:
    await deployed.web()
    case = await a_case(deployed)
    worker = deployed.worker(fault=place)
    await case.request()
    await case.on_its_way()

    await case.control.fail_payout("latest")
    await dies(worker)
    await case.hours_pass()
    await worker.restart()

    await case.is_given_back()


@pytest.mark.parametrize("place", payout_places.SCHEDULE)
async def test_worker_killed_while_it_runs_a_schedule_pays_once(deployed: Deployment, place: str) -> None:
    await deployed.web()
    case = await a_case(deployed)
    await case.schedule()
    worker = deployed.worker(fault=place)

    await _run_schedules(deployed)
    await dies(worker)
    await case.hours_pass()
    await worker.restart()
    await _run_schedules(deployed)
    await case.until("select count(*) from payout_schedules where next_at <= now()", 0)

    await case.is_paid(_NET)
    assert await deployed.scalar("select origin from payouts") == "SCHEDULED"


async def _run_schedules(deployed: Deployment) -> None:
    async with deployed.pool.acquire() as connection, connection.transaction():
        await jobs.enqueue(connection, Job.RUN_PAYOUT_SCHEDULES)
