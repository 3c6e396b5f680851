"""Where nothing is wrong, nothing is found."""

from providers.payments.sandbox.control import SandboxControl
from services.reconciliation import Check, State
from tests.reconciliation.scene import Scene, found


async def test_nothing_at_all_differs_from_nothing(scene: Scene) -> None:
    report = await scene.reconcile()
    assert found(report) == []
    assert report.entries == 0
    assert [result.check for result in report.checks] == list(Check)


async def test_everything_that_can_happen_agrees_once_it_is_settled(busy: Scene) -> None:
    report = await busy.reconcile()
    assert [each.sentence for each in report.differences] == []
    assert report.clean
    assert report.entries > 10
    assert {result.state for result in report.checks} == {State.DONE}


async def test_payout_that_recovers_a_debt_greater_than_itself_agrees(scene: Scene) -> None:
    refunded = await scene.tip(5_000)
    await scene.tip(10_000)
    await scene.told()
    await scene.later(days=1)
    await scene.matured()
    # What was refunded meanwhile is owed when the bank sends the payout back.
    await scene.payout(14_250)
    await scene.refund(refunded)
    await SandboxControl(scene.engine.database.writer).fail_payout("latest")
    await scene.later(minutes=1)

    await scene.payout(1_000)
    await scene.told()

    recovered = "select max(amount) from ledger.movement where kind = 'payout.recovery'"
    assert await scene.owner.fetchval(recovered) == 4_750
    await scene.relayed()
    report = await scene.reconcile()
    assert [each.sentence for each in report.differences] == []
