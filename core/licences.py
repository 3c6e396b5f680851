"""The words of licence keys."""

from enum import StrEnum


class LicenceState(StrEnum):
    """Where a licence key stands."""

    AVAILABLE = "AVAILABLE"
    ASSIGNED = "ASSIGNED"
    REVOKED = "REVOKED"
