"""Scenario files: read as a whole before anything happens, then taken step by step."""

from pathlib import Path

import asyncpg
import pytest

from providers.payments.base import DisputeFact, DisputeState, RefundFact, RefundState, Subject
from providers.payments.sandbox import SandboxControl, SandboxProvider
from providers.payments.sandbox.actions import ACTIONS, Kind, duration
from providers.payments.sandbox.scripts import STEPS, ScriptError, parse, play

from .receiver import Receiver, receiving
from .sandboxes import charged, types_of
from .test_sandbox_delivery import delivering

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "sandbox"


async def played(text: str, control: SandboxControl, **variables: str) -> list[str]:
    told: list[str] = []
    await play(parse(text), control, variables, told.append)
    return told


def script(*steps: str) -> str:
    return 'title = "A test"\n' + "\n".join(f"[[step]]\n{step}" for step in steps)


async def test_example_of_a_refund_that_fails(
    provider: SandboxProvider, control: SandboxControl, pool: asyncpg.Pool
) -> None:
    payment = await charged(provider)
    text = (EXAMPLES / "refund-that-fails.toml").read_text()
    told = await played(text, control, payment=str(payment.reference))
    assert [line.partition(".")[0] for line in told] == ["1", "2", "3", "4"]
    assert told[3] == "4. The bank gives the money back."
    (refund,) = [
        fact for fact in await facts(provider, payment.provider_reference) if isinstance(fact, RefundFact)
    ]
    assert (refund.amount, refund.state) == (100, RefundState.FAILED)
    assert await pool.fetchval("select copies from sandbox.event where type = 'refund.failed'") == 2


async def test_example_of_a_dispute_won_on_appeal(
    provider: SandboxProvider, control: SandboxControl, pool: asyncpg.Pool
) -> None:
    payment = await charged(provider)
    text = (EXAMPLES / "dispute-won-on-appeal.toml").read_text()
    await played(text, control, payment="latest")
    (dispute,) = [
        fact for fact in await facts(provider, payment.provider_reference) if isinstance(fact, DisputeFact)
    ]
    assert (dispute.state, dispute.reason) == (DisputeState.WON, "product_not_received")
    assert (await types_of(pool))[2:] == [
        "dispute.created",
        "dispute.funds_withdrawn",
        "dispute.closed",
        "dispute.closed",
        "dispute.funds_reinstated",
    ]


async def facts(provider: SandboxProvider, payment: str) -> list[object]:
    return list(await provider.fetch(Subject.PAYMENT, payment))


def test_every_example_is_tested() -> None:
    assert {path.name for path in EXAMPLES.iterdir()} == {
        "refund-that-fails.toml",
        "dispute-won-on-appeal.toml",
    }


async def test_steps_are_taken_in_their_order_with_variables_of_any_kind(
    provider: SandboxProvider, control: SandboxControl
) -> None:
    await charged(provider)
    text = script(
        'do = "arm"\ntarget = "REFUND"\neffect = "$how"',
        'do = "reset"',
        'do = "refund"\npayment = "latest"\namount = "$amount"',
        'do = "advance"\nby = "$far"',
        'do = "wait"\nfor = 0',
    )
    assert parse(text).variables == {"how", "amount", "far"}
    told = await played(text, control, how="UNAVAILABLE", amount="250", far="1d12h")
    assert len(told) == 5
    status = await control.status()
    assert (status.refunds, status.faults_armed, status.ahead.total_seconds()) == (1, 0, 36 * 3600)


async def test_waiting_is_over_once_everything_is_delivered(
    provider: SandboxProvider, control: SandboxControl, pool: asyncpg.Pool
) -> None:
    await charged(provider)
    waits = script('do = "wait"\nwithin = 0')
    with pytest.raises(ScriptError, match="step 1: Events are still waiting"):
        await played(waits, control)
    async with receiving(Receiver()) as receiver, delivering(pool, receiver.url):
        await played(script('do = "wait"'), control)
        assert len(receiver.received) == 2


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("title = \n", "This is not TOML: .*line 1"),
        ("", "Line 1: a script begins with title"),
        ("title = 1", "Line 1: a script begins with title"),
        ('title = "x"', "from 1 to 1000 steps"),
        ('title = "x"\nstep = 1', "from 1 to 1000 steps"),
        ('title = "x"\nstep = [1]', "Step 1: a step is a table"),
        ('title = "x"\nauthor = "y"\n[[step]]\ndo = "reset"', "no author"),
        (script('say = "x"'), "Line 2, step 1: do is one of advance, "),
        (script('do = "reset"', 'do = "pay"'), "Line 4, step 2: do is one of advance, "),
        (script('do = "reset"\nsay = 1'), "Line 2, step 1: say is text"),
        (script('do = "advance"'), "Line 2, step 1: The field by is missing"),
        (script('do = "advance"\nby = "soon"'), "Line 2, step 1: A duration is written as 7d"),
        (script('do = "advance"\nby = "1d"\nslowly = true'), "Line 2, step 1: There is no field slowly; there is: by"),
        (script('do = "refund"\npayment = "x"\namount = 1.5'), "The field amount is a whole number"),
        (script('do = "refund"\npayment = "x"\namount = true'), "The field amount is a whole number"),
        (script('do = "refund"\npayment = "x"\namount = -1'), "The field amount is a whole number"),
        (script('do = "refund"\npayment = ""\namount = 1'), "The field payment is text"),
        (script('do = "arm"\ntarget = "WEATHER"\neffect = "LOSE"'), "The field target is one of EVENT, CREATE"),
        (script("do = ['reset']"), "do is one of"),
    ],
)  # fmt: skip
def test_script_that_cannot_be_read_says_where_and_why(text: str, why: str) -> None:
    with pytest.raises(ScriptError, match=why):
        parse(text)


async def test_script_stops_at_the_step_that_is_refused_and_says_which(
    provider: SandboxProvider, control: SandboxControl
) -> None:
    await charged(provider)
    text = script(
        'do = "advance"\nby = "1h"',
        'do = "fail_refund"\nrefund = "latest"',
        'do = "advance"\nby = "1h"',
    )
    with pytest.raises(ScriptError, match=r"Line 5, step 2: the sandbox refuses \(NOT_FOUND, refund_not_found\)"):
        await played(text, control)
    assert (await control.status()).ahead.total_seconds() == 3600
    arms = script('do = "arm"\ntarget = "EVENT"\neffect = "UNAVAILABLE"')
    with pytest.raises(ScriptError, match="step 1: The effect is one of DUPLICATE"):
        await played(arms, control)


async def test_variables_are_all_given_and_all_known_before_the_first_step(control: SandboxControl) -> None:
    text = script('do = "advance"\nby = "$far"')
    with pytest.raises(ScriptError, match=r"Say what \$far is"):
        await played(text, control)
    with pytest.raises(ScriptError, match=r"The script has no \$near"):
        await played(text, control, far="1d", near="1s")
    with pytest.raises(ScriptError, match="step 1: A duration"):
        await played(text, control, far="soon")
    assert (await control.status()).ahead.total_seconds() == 0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("7d", 604_800), ("2h30m", 9_000), ("90s", 90), ("1w1d", 691_200), (0, 0), (45, 45)],
)
def test_durations(text: object, seconds: int) -> None:
    assert duration(text).total_seconds() == seconds


@pytest.mark.parametrize(
    "text",
    ["", "d", "7", "7 d", "-1d", "1.5h", "7D", True, None, -1, 1.5, "1d\n", "9999999999d", "999999999w", "٣d"],
)
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="A duration is written as"):
        duration(text)


def test_every_action_is_a_step_and_required_fields_come_with_a_summary() -> None:
    assert set(STEPS) == {*ACTIONS, "wait"}
    for action in STEPS.values():
        assert action.summary.endswith(".")
        assert all(field.summary.endswith(".") for field in action.fields.values())
        assert all(field.kind is Kind.TEXT for field in action.fields.values() if field.choices)
