"""Customers who do not give up, and an auditor who looks at everything afterwards."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import httpx

from app.client import GraphQLFailed
from core.ids import Noun, uuid7
from tests.support.processes import Deployment, Process
from tests.support.world import BUY, CANCEL, CONFIRM, TIP, eventually

_PATIENCE_SECONDS: Final = 40
_PAUSE_SECONDS: Final = 0.05
# Not RECONCILING: looked up, the confirmation may turn out never to have happened.
_TAKEN: Final = {"PROCESSING", "SUCCEEDED"}

# A broken connection, a masked error and a refusal that says "later" are all answered by asking again.
_AGAIN: Final = {"PAYMENT_IN_PROGRESS", "PROVIDER_UNAVAILABLE"}


class Customer:
    """Somebody who pays once and, whatever happens on the way, sends the same again with the same key."""

    def __init__(
        self,
        deployment: Deployment,
        user: str = "payer",
        *,
        at: Process | None = None,
        told: Callable[[], None] = lambda: None,
    ) -> None:
        self._client = deployment.client_of(user, at)
        self._told = told

    async def tip(self, creator: str, amount: str = "5.00") -> str:
        """Tip and return the payment's id."""
        key = str(uuid7())
        data = await self.insist(
            "tipCreate", TIP, creator=creator, key=key, amount=amount, currency="USD", message=None
        )
        return str(data["payment"]["id"])

    async def buy(self, product: str) -> str:
        """Buy and return the payment's id."""
        data = await self.insist("purchaseCreate", BUY, product=product, key=str(uuid7()))
        return str(data["payment"]["id"])

    async def pay(self, payment: str, method: str = "tok_success") -> None:
        """Confirm until the payment is on its way. A new key is for a confirmation known not to have happened."""
        key = str(uuid7())
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while True:
                data = await self.insist("paymentConfirm", CONFIRM, payment=payment, key=key, method=method)
                errors = {error["code"] for error in data["errors"]}
                if errors == {"PAYMENT_NOT_CONFIRMABLE"} or (data["payment"] or {}).get("status") in _TAKEN:
                    return
                assert errors <= {"PAYMENT_IN_PROGRESS"}, data
                if not errors:
                    key = str(uuid7())
                await asyncio.sleep(_PAUSE_SECONDS)

    async def cancel(self, payment: str) -> None:
        """Cancel until the payment is cancelled."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while True:
                data = await self.insist("paymentCancel", CANCEL, payment=payment, key=str(uuid7()))
                if {error["code"] for error in data["errors"]} == {"PAYMENT_NOT_CANCELABLE"}:
                    return
                if (data["payment"] or {}).get("status") == "CANCELED":
                    return
                await asyncio.sleep(_PAUSE_SECONDS)

    async def insist(self, name: str, query: str, **variables: Any) -> dict[str, Any]:
        """Send a mutation until it is answered; return its payload."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while True:
                try:
                    payload: dict[str, Any] = (await self._client.run(query, **variables))[name]
                except (httpx.TransportError, GraphQLFailed):
                    await asyncio.sleep(_PAUSE_SECONDS)
                    continue
                self._told()
                if not {error["code"] for error in payload["errors"]} & _AGAIN or name == "paymentConfirm":
                    return payload
                await asyncio.sleep(_PAUSE_SECONDS)


async def open_shop(deployment: Deployment, stock: int | None = None) -> tuple[str, str]:
    """Make a creator and a product through a web process that runs; return their ids."""
    creator = await deployment.creator("fable")
    return creator, await deployment.product("fable", creator, "10.00", "USD", stock)


async def settled(deployment: Deployment, *payments: str, status: str = "SUCCEEDED") -> None:
    """Wait until payments have a status."""
    keys = [deployment.key(Noun.PAYMENT, payment) for payment in payments]

    async def reached() -> bool:
        sql = "select count(*) from payments where id = any($1::uuid[]) and status = $2"
        return bool(await deployment.scalar(sql, keys, status) == len(set(keys)))

    await eventually(reached, _PATIENCE_SECONDS, lambda: f"not all became {status}")


async def everything_told(deployment: Deployment) -> None:
    """Wait until the provider has told everything, all is settled and matured, and all of it was relayed."""
    for sql in (
        "select count(*) from sandbox.event where next_attempt_at is not null",
        "select count(*) from inbox_events where state <> 'DONE'",
        "select count(*) from payments where status = 'SUCCEEDED' and matured_at is null",
    ):
        await _empty(deployment, sql)
    await relayed(deployment)


async def relayed(deployment: Deployment) -> None:
    """Wait until the relay has handed over all there is."""
    await _empty(deployment, "select count(*) from outbox_events where position is null")
    await _empty(deployment, "select assigned - published from relay_position")


async def _empty(deployment: Deployment, sql: str) -> None:
    async def nothing_left() -> bool:
        return bool(await deployment.scalar(sql) == 0)

    await eventually(nothing_left, _PATIENCE_SECONDS, lambda: f"there is still some: {sql}")


async def audit(deployment: Deployment, payments: list[str], *, stock: int | None = None) -> None:
    """Check that each payment was settled once: one capture, one charge, its net earned, its events in order."""
    fetch: Callable[..., Awaitable[Any]] = deployment.pool.fetch
    keys = sorted(deployment.key(Noun.PAYMENT, payment) for payment in payments)
    rows = await fetch("select * from payments order by id")
    assert [row["id"] for row in rows if row["status"] == "SUCCEEDED"] == keys
    assert {row["status"] for row in rows} <= {"SUCCEEDED", "CANCELED"}
    assert all(row["captured"] == row["gross"] for row in rows if row["status"] == "SUCCEEDED")
    assert all(row["calling_until"] is None and not row["reconciling"] for row in rows)

    for group, number in (("capture", len(keys)), ("charge", len(keys)), ("earning", len(keys))):
        sql = "select count(*) from ledger.request where key like $1 and outcome = 'posted'"
        assert await deployment.scalar(sql, f"{group}:%") == number, group
    captures = {
        record["key"] for record in await fetch("select key from ledger.request where key like 'capture:%'")
    }
    assert captures == {f"capture:{key}" for key in keys}

    net = sum(row["net"] for row in rows if row["status"] == "SUCCEEDED")
    sql = "select coalesce(sum(posted), 0) from ledger.account where owner is not null and kind = $1"
    assert await deployment.scalar(sql, "pending") == 0
    assert await deployment.scalar(sql, "available") == net
    days = (
        await fetch(
            "select coalesce(sum(net), 0) as net, coalesce(sum(payments), 0) as payments from earning_days"
        )
    )[0]
    assert (days["net"], days["payments"]) == (net, len(keys))
    sql = (
        "select coalesce(sum(abs(total)), 0) from (select sum(posted) as total from ledger.account"
        " where kind = 'clearing' group by coalesce(stripe_of, id)) as whole"
    )
    assert await deployment.scalar(sql) == 0

    await _audit_events(fetch, len(keys))
    if stock is not None:
        sold = await deployment.scalar(
            "select coalesce(sum(quantity), 0)::int from stock_reservations where state = 'TAKEN'"
        )
        on_hand, reserved = (await fetch("select sum(on_hand)::int, sum(reserved)::int from stock_levels"))[0]
        assert (on_hand, reserved) == (stock - sold, 0)
    # Every payment of a purchase has its order, and every paid order its number, without gaps.
    assert (
        await deployment.scalar(
            "select count(*) from payments p full join orders o on o.payment_id = p.id"
            " where (p.kind = 'purchase' or p.id is null) and (o.id is null or p.id is null)"
            " and coalesce(o.total, 1) <> 0"
        )
        == 0
    )
    numbers = [row["number"] for row in await fetch("select number from orders where number is not null")]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))


async def _audit_events(fetch: Callable[..., Awaitable[Any]], succeeded: int) -> None:
    """Events are numbered without gaps and tell no status twice in a row; each but the first left once."""
    events = await fetch("select payment_id, sequence, status from payment_events order by payment_id, sequence")
    by_payment: dict[Any, list[str]] = {}
    for event in events:
        told = by_payment.setdefault(event["payment_id"], [])
        assert event["sequence"] == len(told) + 1
        assert not told or told[-1] != event["status"], told
        told.append(event["status"])
    ends = [told[-1] for told in by_payment.values()]
    assert ends.count("SUCCEEDED") == succeeded
    assert sum(told.count("SUCCEEDED") for told in by_payment.values()) == succeeded
    leaving = await fetch(
        "select payment_id, sequence, status from outbox_events where payment_id is not null"
        " order by payment_id, sequence"
    )
    assert [tuple(row) for row in leaving] == [tuple(row) for row in events if row["sequence"] > 1]
    offsets = await fetch("select creator_offset from outbox_events where in_activity order by creator_offset")
    assert [row["creator_offset"] for row in offsets] == list(range(1, succeeded + 1))
