"""Kill -9 at any step of a refund, of evidence or of a saved method, and start again: each is done exactly once."""

import asyncio
import signal
from typing import Any

import pytest

from core.ids import Noun, encode, uuid7
from core.scopes import OPERATOR_SCOPES
from providers.payments.base import DisputeState
from providers.payments.sandbox import SandboxControl
from tests.api.shop import document
from tests.faults import refund_places
from tests.faults.shop import Customer, everything_told, settled
from tests.support.processes import Deployment, Process
from tests.support.world import eventually

_PATIENCE_SECONDS = 40


async def dies(process: Process) -> None:
    assert await process.ended() == -signal.SIGKILL, process.said


async def paid(deployed: Deployment) -> str:
    """Return a payment of 10.00 USD to a creator that is settled, matured and told of."""
    creator = await deployed.creator("fable")
    customer = Customer(deployed)
    payment = await customer.tip(creator, "10.00")
    await customer.pay(payment)
    await settled(deployed, payment)
    await everything_told(deployed)
    return payment


async def insist(deployed: Deployment, user: str, mutation: str, **given: Any) -> dict[str, Any]:
    """Send a mutation with one key until it is answered; return its payload."""
    return await Customer(deployed, user).insist(
        mutation, document(mutation), input={"idempotencyKey": str(uuid7()), **given}
    )


async def refund(deployed: Deployment, payment: str) -> dict[str, Any]:
    given = {"paymentId": payment, "amount": {"amount": "4.00", "currency": "USD"}}
    return await insist(deployed, "fable", "refundCreate", **given)


async def time_passes(deployed: Deployment) -> None:
    """Let whoever was killed be gone for all that the others know."""
    for table in ("refunds", "disputes", "payment_methods"):
        await deployed.pool.execute(f"update {table} set calling_until = now() where calling_until is not null")
    await deployed.hours_pass()


async def becomes(deployed: Deployment, sql: str, value: object) -> None:
    async def reached() -> bool:
        return bool(await deployed.scalar(sql) == value)

    await eventually(reached, _PATIENCE_SECONDS, lambda: f"never {value}: {sql}")


async def given_back_once(deployed: Deployment) -> None:
    """Check that 4.00 of 10.00 went back once, here and at the provider, and wait until all of it is told."""
    await becomes(deployed, "select string_agg(status, ' ') from refunds", "SUCCEEDED")
    await everything_told(deployed)
    assert await deployed.scalar("select string_agg(state || amount, ' ') from sandbox.refund") == "SUCCEEDED400"
    row = await deployed.pool.fetchrow("select * from payments")
    assert (row["status"], row["refunded"], row["refund_pending"]) == ("PARTIALLY_REFUNDED", 400, 0)
    assert row["returned_net"] == 380
    for group, number in (("refund:%", 1), ("refund_transaction:%", 1)):
        sql = "select count(*) from ledger.request where key like $1 and outcome = 'posted'"
        assert await deployed.scalar(sql, group) == number, group
    assert await deployed.scalar("select sum(posted) from ledger.account where kind = 'available'") == 950 - 380
    assert await deployed.scalar("select calling_until from refunds") is None
    assert await deployed.scalar("select sum(returned) from earning_days") == 380
    events = "select string_agg(status, ' ' order by sequence) from payment_events where sequence > 3"
    assert await deployed.scalar(events) == "SUCCEEDED PARTIALLY_REFUNDED"


@pytest.mark.parametrize("place", refund_places.WEB)
async def test_web_killed_while_it_refunds_gives_back_once(deployed: Deployment, place: str) -> None:
    web = await deployed.web()
    deployed.worker()
    payment = await paid(deployed)
    await web.kill()
    dying = await deployed.web(fault=place)

    refunding = asyncio.create_task(refund(deployed, payment))
    await dies(dying)
    await dying.restart()
    await time_passes(deployed)
    answer = await refunding

    assert answer["errors"] == []
    await given_back_once(deployed)


@pytest.mark.parametrize("place", refund_places.SWEEPER)
async def test_worker_killed_while_it_finishes_a_refund_gives_back_once(deployed: Deployment, place: str) -> None:
    web = await deployed.web()
    worker = deployed.worker()
    payment = await paid(deployed)
    await web.kill()
    await worker.kill()
    dying = await deployed.web(fault="refund committed, provider not called")
    refunding = asyncio.create_task(refund(deployed, payment))
    await dies(dying)
    sweeping = deployed.worker(fault=place)

    await time_passes(deployed)
    await dies(sweeping)
    await sweeping.restart()
    await time_passes(deployed)
    await dying.restart()
    answer = await refunding

    assert answer["errors"] == []
    await given_back_once(deployed)


@pytest.mark.parametrize("place", refund_places.REFUSED)
async def test_web_killed_while_a_refund_is_refused_gives_nothing_back(deployed: Deployment, place: str) -> None:
    web = await deployed.web()
    worker = deployed.worker()
    payment = await paid(deployed)
    await web.kill()
    await worker.kill()
    # The provider knows of a dispute before we do.
    await SandboxControl(deployed.pool).open_dispute(str(deployed.key(Noun.PAYMENT, payment)))
    dying = await deployed.web(fault=place)

    refunding = asyncio.create_task(refund(deployed, payment))
    await dies(dying)
    await dying.restart()
    await worker.restart()
    await time_passes(deployed)
    answer = await refunding
    await becomes(deployed, "select string_agg(status, ' ') from refunds", "FAILED")
    await everything_told(deployed)

    assert answer["errors"] == []
    row = await deployed.pool.fetchrow("select * from payments")
    assert (row["status"], row["refunded"], row["refund_pending"]) == ("DISPUTED", 0, 0)
    assert row["returned_net"] == row["net"]
    assert await deployed.count("sandbox.refund") == 0
    assert await deployed.scalar("select count(*) from ledger.request where key like 'refund:%'") == 0


async def disputed(deployed: Deployment, *, lost: bool = False) -> str:
    """Return a dispute over a paid payment, which the creator of it owes for if it was lost."""
    payment = await paid(deployed)
    if lost:
        # What was earned is gone: for all that the books know, it was never there to be taken.
        await deployed.pool.execute("update payments set matured_at = null, matures_at = now() + interval '1 day'")
    control = SandboxControl(deployed.pool)
    fact = await control.open_dispute(str(deployed.key(Noun.PAYMENT, payment)))
    if lost:
        await control.close_dispute(fact.provider_reference, DisputeState.LOST)
    await becomes(deployed, "select string_agg(status, ' ') from disputes", "LOST" if lost else "NEEDS_RESPONSE")
    return encode(Noun.DISPUTE, await deployed.scalar("select id from disputes"))


@pytest.mark.parametrize("place", refund_places.EVIDENCE)
async def test_web_killed_while_it_hands_in_evidence_does_it_once(deployed: Deployment, place: str) -> None:
    web = await deployed.web()
    deployed.worker()
    dispute = await disputed(deployed)
    await web.kill()
    dying = await deployed.web(fault=place)

    evidence = {"customerName": "Sam Supporter"}
    answering = asyncio.create_task(
        insist(deployed, "fable", "disputeAnswer", disputeId=dispute, evidence=evidence)
    )
    await dies(dying)
    await dying.restart()
    await time_passes(deployed)
    answer = await answering

    assert answer["errors"] == []
    await becomes(deployed, "select status || coalesce(calling_until::text, '') from disputes", "UNDER_REVIEW")
    assert await deployed.scalar("select evidence ->> 'customer_name' from sandbox.dispute") == "Sam Supporter"
    assert await deployed.scalar("select count(*) from sandbox.event where type = 'dispute.updated'") == 1


@pytest.mark.parametrize("place", refund_places.WRITE_OFF)
async def test_web_killed_while_it_writes_off_a_debt_bears_it_once(deployed: Deployment, place: str) -> None:
    web = await deployed.web()
    worker = deployed.worker()
    dispute = await disputed(deployed, lost=True)
    await worker.kill()
    await web.kill()
    dying = await deployed.web(fault=place)
    operator = deployed.client("operator", OPERATOR_SCOPES)
    customer = Customer(deployed)
    customer._client = operator

    given = {"idempotencyKey": "once", "disputeId": dispute}
    writing = asyncio.create_task(customer.insist("disputeWriteOff", document("disputeWriteOff"), input=given))
    await dies(dying)
    await dying.restart()
    answer = await writing

    assert answer["errors"] == []
    assert answer["dispute"]["writtenOff"] == {"amount": "9.50"}
    sql = "select count(*) from ledger.request where key like '%:written_off' and outcome = 'posted'"
    assert await deployed.scalar(sql) == 1
    assert await deployed.scalar("select posted from ledger.account where kind = 'owed'") == 0


@pytest.mark.parametrize("place", refund_places.SAVING)
async def test_web_killed_while_it_saves_a_method_saves_it_once(deployed: Deployment, place: str) -> None:
    dying = await deployed.web(fault=place)

    saving = asyncio.create_task(insist(deployed, "payer", "paymentMethodSave", method="tok_success"))
    await dies(dying)
    await dying.restart()
    await time_passes(deployed)
    answer = await saving

    assert answer["errors"] == []
    assert await deployed.count("sandbox.method") == 1
    sql = "select count(*) from payment_methods m join sandbox.method s on s.id = m.provider_reference"
    assert await deployed.scalar(sql) == 1


@pytest.mark.parametrize("place", refund_places.REMOVING)
async def test_web_killed_while_it_removes_a_method_removes_it(deployed: Deployment, place: str) -> None:
    web = await deployed.web()
    saved = await insist(deployed, "payer", "paymentMethodSave", method="tok_success")
    await web.kill()
    dying = await deployed.web(fault=place)

    method = saved["paymentMethod"]["id"]
    removing = asyncio.create_task(insist(deployed, "payer", "paymentMethodRemove", paymentMethodId=method))
    await dies(dying)
    await time_passes(deployed)
    deployed.worker()
    await dying.restart()
    answer = await removing

    assert answer["errors"] == []
    await becomes(deployed, "select detached_at is not null from payment_methods", value=True)
    assert await deployed.scalar("select detached_at is not null from sandbox.method")
