"""The README's query gives the README's answer."""

import json
import re
from pathlib import Path

from app.seed import seed
from app.settings import Settings
from tests.support.world import running_world

README = Path(__file__).parents[2] / "README.md"


async def test_query_of_the_readme_gives_its_answer_on_seeded_data(dsn: str, tmp_path: Path) -> None:
    await seed(Settings(_env_file=None, state_directory=tmp_path), dsn)
    text = README.read_text(encoding="utf-8")
    asked = re.search(r"-d '(\{\"query\":.*?\})'\n", text, re.DOTALL)
    answered = re.search(r"```json\n(.*?)\n```", text, re.DOTALL)
    assert asked is not None
    assert answered is not None

    async with running_world(dsn, worker=False, deliveries=False) as world:
        response = await world.client().post(json.loads(asked[1]))

    assert response.json() == json.loads(answered[1])
