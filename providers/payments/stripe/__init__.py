"""Stripe behind the contract: separate charges and transfers, and connected accounts that we pay out."""

from providers.payments.stripe.client import API_VERSION
from providers.payments.stripe.provider import StripeProvider

__all__ = ["API_VERSION", "StripeProvider"]
