"""Where nothing is wrong, nothing is found."""

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
