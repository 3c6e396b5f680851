"""The adapter of Stripe does what every provider must, on a stand-in and by what was recorded."""

import pytest

from tests.support.stripe import running_stand_in
from tests.support.stripe.methods import methods_of

from . import conformance
from .first_told import as_first_told
from .recordings import CHECKS, FOLDER, path_of, play
from .stripes import stripe_at


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.run.__name__)
async def test_conforms_on_the_stand_in(check: conformance.Check) -> None:
    async with running_stand_in() as stand_in, stripe_at(stand_in.url) as provider:
        await check.run(as_first_told(provider), methods_of(stand_in))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.run.__name__)
async def test_conforms_by_what_was_recorded(check: conformance.Check) -> None:
    player = await play(check)
    assert player.strays == []
    assert player.left() == []


def test_every_recording_is_of_a_check() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {path_of(check).name for check in CHECKS}
