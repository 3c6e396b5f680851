"""docs/reconciliation.md says of every check and of every code what they are."""

from app.settings import CHECKOUT
from services.reconciliation import COMPARED, MEANINGS, Check, DifferenceCode
from tests.reconciliation import faults_of_books, faults_of_payments, faults_of_returns
from tests.reconciliation.faults import FAULTS

assert FAULTS, (faults_of_books, faults_of_payments, faults_of_returns)
PAGE = (CHECKOUT / "docs" / "reconciliation.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table under a heading, without its own two lines."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    table = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def test_every_check_has_its_row_in_order() -> None:
    assert [row[0].strip("`") for row in rows("What is compared with what")] == [check.value for check in Check]
    assert set(COMPARED) == set(Check)


def test_every_code_has_its_row_and_says_truly_whether_it_is_mended() -> None:
    told = {row[0].strip("`"): row[2] for row in rows("Every code")}
    assert list(told) == [code.value for code in DifferenceCode]
    expected = {code.value: "yes" if code in FAULTS and FAULTS[code].safe else "no" for code in DifferenceCode}
    assert told == expected


def test_every_code_has_a_meaning_that_says_how_it_is_mended() -> None:
    assert set(MEANINGS) == set(DifferenceCode)
    for code, meaning in MEANINGS.items():
        assert meaning.why.endswith(".")
        assert meaning.fix.endswith(".")
        assert bool(r"--fix" in meaning.fix) is (code in FAULTS and FAULTS[code].safe)
