"""Every kind of difference: planted, found, explained, and mended or left alone."""

import pytest

import ledger
from services.reconciliation import Check, DifferenceCode
from tests.reconciliation import faults_of_books, faults_of_payments, faults_of_returns
from tests.reconciliation.faults import FAULTS, Fault
from tests.reconciliation.scene import Scene, found

assert FAULTS, (faults_of_books, faults_of_payments, faults_of_returns)
SAFE = sorted(code for code, fault in FAULTS.items() if fault.safe)
UNSAFE = sorted(code for code, fault in FAULTS.items() if not fault.safe)


def test_every_code_has_a_fault() -> None:
    # What an invariant that takes too long says is planted in a test of its own.
    assert set(DifferenceCode) - set(FAULTS) == {DifferenceCode.CHECK_FAILED}


async def planted(scene: Scene, code: DifferenceCode) -> tuple[Fault, str]:
    """Plant a fault and see it found under its code, explained, and nothing changed by looking for it."""
    fault = FAULTS[code]
    about = await fault.plant(scene)
    if code is not DifferenceCode.OUTBOX_NOT_RELAYED:
        await scene.relayed()
    before = await scene.state()

    report = await scene.reconcile(limits=fault.limits)

    mine = [each for each in report.differences if (each.code, each.about.id) == (code, about)]
    assert len(mine) == 1, found(report)
    assert {each.code for each in report.differences} == {code} | fault.also
    assert mine[0].safe is fault.safe
    for sentence in (mine[0].sentence, mine[0].why, mine[0].fix):
        assert sentence.endswith(".")
        assert "None" not in sentence
    assert not report.clean
    assert not any(each.mended for each in report.differences)
    assert await scene.state() == before
    return fault, about


@pytest.mark.parametrize("code", SAFE)
async def test_safe_fault_is_found_and_mended_once_and_for_all(scene: Scene, code: DifferenceCode) -> None:
    fault, about = await planted(scene, code)

    report = await scene.reconcile(mend=True, limits=fault.limits)

    assert (code, about) in [(each.code, each.about.id) for each in report.differences if each.mended]
    assert found(report) == []
    assert report.clean
    assert report.mended == report.found > 0
    # What was only stored is settled by the workers.
    await scene.settled()
    assert (await scene.reconcile(limits=fault.limits)).differences == ()
    async with scene.engine.database.reader.acquire() as connection:
        assert [each for each in await ledger.verify(connection) if each.status is ledger.Status.BROKEN] == []
    mended = await scene.state()
    assert (await scene.reconcile(mend=True, limits=fault.limits)).mended == 0
    assert await scene.state() == mended


@pytest.mark.parametrize("code", UNSAFE)
async def test_fault_for_a_person_is_found_and_left_as_it_is(scene: Scene, code: DifferenceCode) -> None:
    fault, about = await planted(scene, code)
    before = await scene.state()

    report = await scene.reconcile(mend=True, limits=fault.limits)

    assert (code.value, about) in found(report)
    assert report.mended == 0
    assert not report.clean
    assert await scene.state() == before


async def test_invariant_that_takes_too_long_is_not_taken_for_sound(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def late(*_: object, **__: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(ledger, "verify", late)
    report = await scene.reconcile()
    (difference,) = report.differences
    assert difference.code is DifferenceCode.CHECK_FAILED
    assert report.result(Check.LEDGER).differences == (difference,)
    assert not report.result(Check.LEDGER).ran
    assert not report.clean
