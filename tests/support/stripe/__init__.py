"""A stand-in for Stripe, for tests: its API over HTTP on loopback, strict about what it is asked and what it says."""

from .faults import Fault, Plan
from .server import Seen
from .stand_in import StandIn, running_stand_in
from .store import API_VERSION, Settings

__all__ = ["API_VERSION", "Fault", "Plan", "Seen", "Settings", "StandIn", "running_stand_in"]
