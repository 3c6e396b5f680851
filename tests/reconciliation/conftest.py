"""A scene on a database of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.reconciliation.scene import Scene, open_scene


@pytest.fixture
async def scene(dsn: str, tmp_path: Path) -> AsyncIterator[Scene]:
    """People and a provider, and nothing that happened yet."""
    async with open_scene(dsn, tmp_path) as opened:
        yield opened


@pytest.fixture
async def busy(scene: Scene) -> Scene:
    """A scene in which everything happened once, and all of it was told and settled."""
    await everything(scene)
    return scene


async def everything(scene: Scene) -> None:
    """Let there be payments of every end, refunds, disputes and payouts."""
    await scene.run("update fee_rules set reserve_basis_points = 1000, reserve_delay_seconds = 86400")
    paid = await scene.tip(20_000)
    await scene.tip(1_500, "tok_declined")
    refunded = await scene.buy()
    canceled = await scene.buy(None)
    await scene.run("update products set manual_capture = true")
    reserved = await scene.buy()
    await scene.told()
    await scene.capture(reserved, 333)
    part = await scene.tip(3_000)
    failing = await scene.tip(5_000, "tok_refund_fails_later")
    for outcome in ("tok_dispute_won", "tok_dispute_lost", "tok_dispute_lost_then_won"):
        await scene.tip(2_000, outcome)
    await scene.cancel(canceled)
    await scene.later(seconds=30)
    await scene.matured()
    await scene.refund(refunded)
    await scene.refund(part, 500)
    await scene.refund(failing, 700)
    await scene.later(days=1)
    assert (await scene.row("payments", paid))["status"] == "SUCCEEDED"
    await scene.later(days=60)
    await scene.matured()
    for amount in (1_000, 4_002, 4_004):
        await scene.payout(amount)
        await scene.later(days=3)
        await scene.later(days=3)
    await scene.relayed()
    # All of it did happen.
    for table, statuses in {
        "payments": {"SUCCEEDED", "FAILED", "CANCELED", "REFUNDED", "PARTIALLY_REFUNDED", "CHARGED_BACK"},
        "refunds": {"SUCCEEDED", "FAILED"},
        "disputes": {"WON", "LOST"},
        "payouts": {"PAID", "FAILED"},
    }.items():
        rows = await scene.owner.fetch(f"select distinct status from {table}")
        assert {row["status"] for row in rows} == statuses
