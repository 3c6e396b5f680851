"""Idempotency keys, as both versions of the API keep them."""

from dataclasses import dataclass

from .refusals import Body, Refused
from .store import Store

_DAY = 24 * 3600
_KEPT = {False: _DAY, True: 30 * _DAY}


@dataclass(frozen=True, slots=True)
class Kept:
    """What was asked with a key, and what was answered."""

    path: str
    params: object
    status: int
    body: Body
    at: int
    request: str


class Keys:
    """v1 keeps whatever was answered once it began to carry a request out; v2 keeps what succeeded.

    A key is of one account. Kept for a day (v1) and for thirty (v2).
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: dict[tuple[bool, str | None, str], Kept] = {}
        self._busy: set[tuple[bool, str | None, str]] = set()

    def begin(self, name: tuple[bool, str | None, str], path: str, params: object) -> Kept | None:
        """Return what was answered to the same request; None when it is the first. Raises Refused."""
        if name in self._busy:
            raise Refused(
                "There is currently another in-progress request using this Idempotent Key.",
                status=409,
                kind="invalid_request_error" if name[0] else "idempotency_error",
                code="idempotency_key_in_use",
                stored=False,
            )
        kept = self._kept.get(name)
        if kept is not None and self._store.clock.now - kept.at >= _KEPT[name[0]]:
            del self._kept[name]
            kept = None
        if kept is not None and (kept.path, kept.params) != (path, params):
            raise Refused(
                "Keys for idempotent requests can only be used with the same endpoint and parameters they were "
                "first used with.",
                kind="idempotency_error",
                stored=False,
            )
        if kept is None:
            self._busy.add(name)
        return kept

    def end(self, name: tuple[bool, str | None, str], kept: Kept | None) -> None:
        """Let go of a key, and keep what was answered to it, where that is kept."""
        self._busy.discard(name)
        if kept is not None and (kept.status < 300 or not name[0]):
            self._kept[name] = kept
