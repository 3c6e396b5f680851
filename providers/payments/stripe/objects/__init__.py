"""Stripe's objects as facts. Pure functions: what is told in an event and what is looked up read alike.

A reader raises KeyError, TypeError, ValueError or OverflowError, and nothing else, when an object is malformed.
"""
