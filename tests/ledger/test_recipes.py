"""The recipes in docs/ledger.md do what they say."""

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

import ledger
from ledger import chart

DOCUMENT = Path(__file__).parents[2] / "docs" / "ledger.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")

PART = re.compile(r"^### (?P<title>.+)$|^```python\n(?P<code>(?s:.*?))^```$|^→ (?P<balances>.+)$", re.MULTILINE)
BALANCE = re.compile(r"`([^`]+)` (-?\d+)")
EVENTS = sorted(
    name for name in chart.__all__
    if inspect.isfunction(event := getattr(chart, name)) and inspect.signature(event).return_annotation is chart.Draft
)  # fmt: skip


@dataclass
class Step:
    """A block of code, where it stands, and the balances that it says it changes."""

    code: str
    line: int
    balances: dict[str, int] | None = None


@dataclass
class Recipe:
    title: str
    steps: list[Step]


def section(heading: str) -> tuple[str, int]:
    """A section of the document, and the number of lines before it."""
    start = TEXT.index(f"\n## {heading}\n") + 1
    end = TEXT.find("\n## ", start)
    return TEXT[start : None if end == -1 else end], TEXT.count("\n", 0, start)


def read() -> Iterator[Recipe]:
    """The recipes; the first one is what they share."""
    text, before = section("Recipes")
    recipe = Recipe("what they share", [])
    for part in PART.finditer(text):
        if part["title"]:
            yield recipe
            recipe = Recipe(part["title"], [])
        elif part["code"]:
            recipe.steps.append(Step(part["code"], before + text.count("\n", 0, part.start("code"))))
        else:
            step = recipe.steps[-1]
            assert step.balances is None, part[0]
            step.balances = {name: int(amount) for name, amount in BALANCE.findall(part["balances"])}
    yield recipe


SHARED, *RECIPES = read()


async def run(step: Step, names: dict[str, Any]) -> None:
    """Run a block that may await, as it stands in the document, and with its lines in a traceback."""
    code = compile(
        "\n" * step.line + step.code, DOCUMENT, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True
    )
    awaitable = eval(code, names)  # ruff: ignore[suspicious-eval-usage] - our own document
    if awaitable is not None:
        await awaitable


async def balances(connection: asyncpg.Connection, names: dict[str, Any]) -> dict[str, int]:
    """Every balance in the books, by the names that the recipes give the accounts."""
    people = {value: name for name, value in names.items() if isinstance(value, UUID)}
    rows = await connection.fetch(
        "select account.id, owner, provider, account.kind, asset.code as asset"
        " from ledger.account join ledger.asset on asset.id = asset_id where stripe_of is null"
    )
    found = await ledger.balances([row["id"] for row in rows], on=connection)
    named = {}
    for row in rows:
        who = row["provider"] or (people[row["owner"]] if row["owner"] else "creator")
        asset = None if row["asset"] == "USD" else row["asset"]
        name = ":".join(filter(None, [None if who == "creator" else who, row["kind"], asset]))
        balance = found[row["id"]]
        named[name] = balance.posted
        named[f"{name} held"] = balance.held
    return named


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.title)
async def test_recipe_leaves_the_balances_it_states(
    recipe: Recipe, pool: asyncpg.Pool, connection: asyncpg.Connection
) -> None:
    """And the fixture proves the books afterwards."""
    names: dict[str, Any] = {"connection": connection, "pool": pool}
    for step in SHARED.steps:
        await run(step, names)
    expected: dict[str, int] = {}
    for step in recipe.steps:
        await run(step, names)
        assert step.balances, f"line {step.line}: what does this leave?"
        expected |= step.balances
        assert other_than_zero(await balances(connection, names)) == other_than_zero(expected), recipe.title


def other_than_zero(amounts: dict[str, int]) -> dict[str, int]:
    return {name: amount for name, amount in amounts.items() if amount}


def test_every_event_has_a_recipe_and_a_row_in_the_chart() -> None:
    recipes, _ = section("Recipes")
    accounts, _ = section("Accounts")
    assert len(EVENTS) > 20
    for event in EVENTS:
        assert f"chart.{event}(" in recipes, event
        assert f"| `chart.{event}` |" in accounts, event


def test_every_kind_of_account_is_in_the_chart() -> None:
    accounts, _ = section("Accounts")
    for kind in ledger.AccountKind:
        assert f"`{kind}`" in accounts, kind
