"""``docs/sandbox.md`` names everything there is."""

import re
import tomllib
from pathlib import Path

import pytest

from providers.payments.sandbox.actions import ACTIONS
from providers.payments.sandbox.cards import (
    CARDS,
    CHARGE_AMOUNTS,
    PAYOUT_AMOUNTS,
    REFUND_AMOUNTS,
    PayoutScenario,
    RefundScenario,
    WebhookEffect,
)
from providers.payments.sandbox.control import COMMAND_EFFECTS, COMMANDS
from providers.payments.sandbox.provider import FEATURES
from providers.payments.sandbox.scripts import parse
from providers.payments.sandbox.translation import EVENT_TYPES

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "sandbox.md").read_text(encoding="utf-8")
NAMED = set(re.findall(r"`([A-Za-z0-9_.]+)`", TEXT))


@pytest.mark.parametrize(
    "names",
    [
        CARDS, EVENT_TYPES, ACTIONS, COMMANDS, COMMAND_EFFECTS, list(WebhookEffect), FEATURES,
        list(RefundScenario), list(PayoutScenario),
        {name for action in ACTIONS.values() for name in action.fields},
    ],
)  # fmt: skip
def test_everything_is_named(names: list[str]) -> None:
    assert set(map(str, names)) - NAMED == set()


def test_tokens_and_event_types_that_are_named_exist() -> None:
    assert {name for name in NAMED if name.startswith("tok_")} == set(CARDS)
    assert {
        name for name in NAMED if re.match(r"(payment|charge|refund|dispute|account|transfer|payout)\.", name)
    } == set(EVENT_TYPES)


def test_amounts_are_told_as_they_are() -> None:
    for amount, token in CHARGE_AMOUNTS.items():
        assert f"| {amount} | `{token}` |" in TEXT
    for amount in (*REFUND_AMOUNTS, *PAYOUT_AMOUNTS):
        assert f"| {amount} | " in TEXT


def test_scenario_in_the_text_can_be_played() -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    assert tomllib.loads(example)["title"] == parse(example).title
