"""Parts of files as HTTP asks for them: RFC 9110, section 14, for a single range of bytes."""

import re
from dataclasses import dataclass
from typing import Final

# Longer numbers than any file has bytes are still numbers; longer ones than that are nobody's.
_SPEC: Final = re.compile(r"([0-9]{1,40})-([0-9]{1,40})?|-([0-9]{1,40})")


@dataclass(frozen=True, slots=True)
class Span:
    """The bytes from ``start`` up to but without ``end``, of a file of ``size``; ``part``: by a range."""

    start: int
    end: int
    size: int
    part: bool

    @property
    def length(self) -> int:
        return self.end - self.start

    @property
    def content_range(self) -> str:
        """The value of Content-Range."""
        return f"bytes {self.start}-{self.end - 1}/{self.size}"


def span_of(asked: str | None, if_range: str | None, *, size: int, etag: str) -> Span | None:
    """Return what a request for a file of ``size`` bytes gets; None where its range is not satisfiable.

    ``asked`` is the Range header, ``if_range`` the If-Range header. What is malformed, in another unit, of several
    ranges, or of another version of the file is answered with all of it, as a server may (RFC 9110, 14.2).
    """
    whole = Span(0, size, size, part=False)
    if asked is None or (if_range is not None and if_range.strip() != etag):
        return whole
    unit, _, specs = asked.partition("=")
    found = _SPEC.fullmatch(specs.strip())
    if unit.strip().lower() != "bytes" or found is None:
        return whole
    first, last, suffix = found.groups()
    if suffix is not None:
        start, end = max(size - int(suffix), 0), size
    else:
        start, end = int(first), size if last is None else min(int(last) + 1, size)
        if last is not None and int(last) < start:
            return whole
    return Span(start, end, size, part=True) if start < size else None
