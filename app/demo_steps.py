"""How the story is told: a line for each step, and a sentence for each surprise."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from rich.console import Console

from app.client import Stream

CREATOR: Final = "nonesuch_ceramics"

out: Final = Console(highlight=False)


class Surprise(Exception):  # ruff: ignore[error-suffix-on-exception-name] - what the story calls it
    """Something went otherwise than the story says."""


@contextmanager
def step(sentence: str) -> Generator[list[str], None, None]:
    """Print a line for a step with the time it took; what is appended is printed behind it."""
    began = time.perf_counter()
    said: list[str] = []
    try:
        yield said
    except BaseException:
        out.print(f"[red]✗[/] {sentence}")
        raise
    milliseconds = (time.perf_counter() - began) * 1000
    detail = f" [dim]{' '.join(said)}[/]" if said else ""
    out.print(f"[green]✓[/] {sentence}{detail} [dim]({milliseconds:.0f} ms)[/]", soft_wrap=True)


def expect(condition: bool, message: str) -> None:
    if not condition:
        raise Surprise(message)


async def until(stream: Stream, status: str) -> tuple[list[str], str]:
    """Read a stream until a status comes; return the statuses seen and the last cursor."""
    seen: list[str] = []
    while True:
        message = (await stream.next())["paymentStatus"]
        seen.append(message["event"]["status"])
        if seen[-1] == status:
            return seen, message["cursor"]
