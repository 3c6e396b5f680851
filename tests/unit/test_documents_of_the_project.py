"""What the project says of itself is true."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXCERPT = re.compile(r"```python\n# (?P<file>\S+)\n(?P<code>.*?)```", re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


def test_excerpts_in_contributing_stand_in_the_code() -> None:
    excerpts = list(EXCERPT.finditer((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")))
    assert len(excerpts) >= 4
    for excerpt in excerpts:
        code = (ROOT / excerpt["file"]).read_text(encoding="utf-8")
        normal = re.sub(r"\s+", " ", code)
        for line in excerpt["code"].splitlines():
            if line.strip() not in {"", "..."}:
                assert re.sub(r"\s+", " ", line.strip()) in normal, (excerpt["file"], line)


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", *(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))]
)
def test_links_lead_somewhere(page: str) -> None:
    path = ROOT / page
    for target in LINK.findall(path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target


def test_every_decision_is_listed() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = (folder / "README.md").read_text(encoding="utf-8")
    for record in folder.glob("0*.md"):
        assert f"({record.name})" in listed
