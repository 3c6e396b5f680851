"""Faults: for each kind of difference one way to cause exactly that."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

from core import ids
from core.ids import Noun
from services.reconciliation import DifferenceCode, Limits
from tests.reconciliation.scene import Scene

Plant = Callable[[Scene], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong. ``plant`` makes it so and returns the id that the difference is about.

    ``also`` are the codes of other differences that it has to have as well; ``safe``: it can be mended.
    """

    plant: Plant
    also: frozenset[DifferenceCode]
    safe: bool
    limits: Limits


FAULTS: dict[DifferenceCode, Fault] = {}


def fault(
    code: DifferenceCode, *also: DifferenceCode, safe: bool = False, limits: Limits | None = None
) -> Callable[[Plant], Plant]:
    """Register what plants a fault."""

    def register(plant: Plant) -> Plant:
        assert code not in FAULTS
        FAULTS[code] = Fault(plant, frozenset(also), safe, limits or Limits())
        return plant

    return register


async def paid(scene: Scene, amount: int = 1_000, method: str = "tok_success") -> UUID:
    """Pay a tip and let it be told; return the payment."""
    payment = await scene.tip(amount, method)
    await scene.told()
    return payment


def pay(key: UUID) -> str:
    """Return a payment's id."""
    return ids.encode(Noun.PAYMENT, key)
