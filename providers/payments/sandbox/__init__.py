"""The sandbox: a deterministic payment provider behind the contract, the default when there are no keys."""

from providers.payments.sandbox.cards import CARDS
from providers.payments.sandbox.connections import http_client
from providers.payments.sandbox.control import SandboxControl
from providers.payments.sandbox.delivery import deliver
from providers.payments.sandbox.pages import routes
from providers.payments.sandbox.provider import SandboxProvider

__all__ = ["CARDS", "SandboxControl", "SandboxProvider", "deliver", "http_client", "routes"]
