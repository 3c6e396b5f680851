"""``comptoir tax``: what each command prints where, what it does, and how it ends."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest
from typer.testing import CliRunner, Result

from app.cli import cli
from app.engine import open_engine
from app.settings import Settings
from core.ids import uuid7
from providers.tax.base import NO_TAX, SHIPPING, Rate, TaxQuestion
from services import taxes

Run = Callable[..., Awaitable[Result]]

HEADER = "country,region,category,name,percent,inclusive,from"


@pytest.fixture
def comptoir(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command on the test's database."""
    monkeypatch.setenv("DATABASE_URL", dsn)
    monkeypatch.setenv("COMPTOIR_STATE_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.chdir(tmp_path)

    async def run(*arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, cli, ["tax", *arguments])

    return run


@pytest.fixture
def settings(dsn: str, tmp_path: Path) -> Settings:
    """Those of a process on the test's database."""
    return Settings(database_url=dsn, state_directory=tmp_path)


async def count(owner: asyncpg.Connection) -> int:
    found: int = await owner.fetchval("select count(*) from tax_rates")
    return found


async def test_a_rate_that_is_set_is_listed_and_takes_the_place_of_the_one_before(
    comptoir: Run, owner: asyncpg.Connection
) -> None:
    first = await comptoir("set", "de", "standard", "19", "--name", "MwSt", "--from", "2020-01-01")
    second = await comptoir("set", "DE", "standard", "20.5", "--from", "2021-01-01T12:00:00+02:00")
    future = await comptoir("set", "DE", "standard", "21", "--from", "2999-01-01")
    region = await comptoir("set", "CA", "standard", "13", "--region", "ON", "--exclusive", "--name", "HST")

    assert [result.exit_code for result in (first, second, future, region)] == [0, 0, 0, 0]
    assert first.stdout == "DE standard: 19 % from 2020-01-01 00:00 UTC on.\n"
    assert region.stdout.startswith("CA-ON standard: 13 % from ")
    listed = (await comptoir("list", "--country", "de")).stdout.splitlines()
    assert [line.split() for line in listed] == [
        ["country", "region", "category", "name", "percent", "in", "prices", "from", "in", "force"],
        ["DE", "-", "standard", "MwSt", "19.00", "yes", "2020-01-01T00:00:00Z", "no"],
        ["DE", "-", "standard", "VAT", "20.50", "yes", "2021-01-01T10:00:00Z", "yes"],
        ["DE", "-", "standard", "VAT", "21.00", "yes", "2999-01-01T00:00:00Z", "no"],
    ]
    everything = (await comptoir("list")).stdout.splitlines()
    assert everything[1].split()[:6] == ["CA", "ON", "standard", "HST", "13.00", "no"]
    assert len(everything) == 5
    assert await count(owner) == 4


async def test_the_same_rate_once_more_changes_nothing_and_another_at_its_moment_is_refused(
    comptoir: Run, owner: asyncpg.Connection
) -> None:
    given = ("set", "DE", "standard", "19", "--from", "2020-01-01")
    await comptoir(*given)

    again = await comptoir(*given)
    other = await comptoir("set", "DE", "standard", "7", "--from", "2020-01-01")

    assert (again.exit_code, again.stdout) == (
        0,
        "DE standard: 19 % from 2020-01-01 00:00 UTC on, as it was already.\n",
    )
    assert other.exit_code == 1
    assert other.stderr == (
        "comptoir: DE standard has another rate from 2020-01-01 00:00 UTC on. Give a later moment to change it. "
        "Nothing was written.\n"
    )
    assert [row["basis_points"] for row in await owner.fetch("select basis_points from tax_rates")] == [1_900]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("XX", "standard", "19"), "Send the country by its two letters (ISO 3166-1), such as DE."),
        (("DE", "luxury", "19"), "A category is one of standard, reduced, books, food, digital, shipping."),
        (
            ("DE", "standard", "19,5"),
            "A rate is a percentage from 0 to 100 with at most two decimals, such as 8.1.",
        ),
        (
            ("DE", "standard", "19", "--from", "tomorrow"),
            "A moment is a day such as 2026-01-31, or 2026-01-31T12:00:00Z; UTC unless it says otherwise.",
        ),
        (("DE", "standard", "19", "--name", ""), "A tax has a name of 1 to 40 characters."),
    ],
)
async def test_what_is_no_rate_is_refused(
    comptoir: Run, owner: asyncpg.Connection, arguments: tuple[str, ...], says: str
) -> None:
    result = await comptoir("set", *arguments)

    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"comptoir: {says}\n")
    assert await count(owner) == 0


async def test_a_file_is_imported_and_what_is_there_stays(
    comptoir: Run, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    file = tmp_path / "rates.csv"
    file.write_text(f"# Ours\n{HEADER}\nDE,,standard,MwSt,19,yes,2026-01-01\nDE,,books,MwSt,7,yes,2026-01-01\n")
    await comptoir("set", "DE", "standard", "19", "--name", "MwSt", "--from", "2026-01-01")

    first = await comptoir("import", str(file))
    again = await comptoir("import", str(file))

    assert first.stdout == "Added 1 of 2 rates; the others were there already.\n"
    assert again.stdout == "Added 0 of 2 rates; the others were there already.\n"
    assert await count(owner) == 2


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            f"{HEADER}\nDE,,books,MwSt,7,yes,2026-01-01\nDE,,food,MwSt,seven,yes,2026-01-01\n".encode(),
            "Line 3: a rate is a percentage from 0 to 100 with at most two decimals, such as 8.1.",
        ),
        (
            f"{HEADER}\nDE,,books,MwSt,7,yes,2026-01-01\nDE,,standard,MwSt,7,yes,2020-01-01\n".encode(),
            "DE standard has another rate from 2020-01-01 00:00 UTC on. Give a later moment to change it.",
        ),
        (
            f"{HEADER}\nDE,,books,\xdc,7,yes,2026-01-01\n".encode("latin-1"),
            "The file is not UTF-8.",
        ),
        (b"", "There are no rates in the file."),
    ],
)
async def test_of_a_file_that_cannot_be_taken_nothing_is(
    comptoir: Run, owner: asyncpg.Connection, tmp_path: Path, content: bytes, says: str
) -> None:
    await comptoir("set", "DE", "standard", "19", "--from", "2020-01-01")
    file = tmp_path / "rates.csv"
    file.write_bytes(content)

    result = await comptoir("import", str(file))

    assert (result.exit_code, result.stdout, result.stderr) == (
        1,
        "",
        f"comptoir: {says} Nothing was written.\n",
    )
    assert await count(owner) == 1


async def test_a_file_that_is_not_there_is_said(comptoir: Run) -> None:
    result = await comptoir("import", "nowhere.csv")

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "comptoir: The file cannot be read (No such file or directory). Nothing was written.\n"


async def test_without_rates_the_list_says_so(comptoir: Run) -> None:
    result = await comptoir("list")

    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "There are none.\n")


async def test_bundled_rates_are_loaded_where_there_are_none_and_once(
    settings: Settings, dsn: str, owner: asyncpg.Connection, comptoir: Run
) -> None:
    """An operator's own rate is not covered by a bundled one that begins later."""
    await comptoir("set", "DE", "standard", "18", "--from", "2020-01-01")
    async with open_engine(settings, dsn, subscribers=False) as engine:
        added = await taxes.load_bundled(engine)
        again = await taxes.load_bundled(engine)

    assert (added, again) == (await count(owner) - 1, 0)
    rows = await owner.fetch("select basis_points from tax_rates where country = 'DE' and category = 'standard'")
    assert [row["basis_points"] for row in rows] == [1_800]
    assert await owner.fetchval("select basis_points from tax_rates where country = 'FI'") == 2_550


async def test_rates_that_are_loaded_are_in_force_at_once(settings: Settings, dsn: str) -> None:
    creator = uuid7()
    wanted = [(creator, category) for category in ("standard", "books", "exempt", SHIPPING)]
    question = TaxQuestion("DE", "", datetime(2026, 11, 22, tzinfo=UTC), wanted)
    async with open_engine(settings, dsn, subscribers=False) as engine:
        before = await engine.tax.rates(question)
        await taxes.load_bundled(engine)

        found = await engine.tax.rates(question)

    assert set(before.values()) == {NO_TAX}
    standard = Rate("MwSt", 1_900, inclusive=True)
    assert found == {
        (creator, "standard"): standard,
        (creator, "books"): Rate("MwSt", 700, inclusive=True),
        (creator, "exempt"): NO_TAX,
        (creator, SHIPPING): standard,
    }
