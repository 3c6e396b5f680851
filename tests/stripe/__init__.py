"""The whole application on Stripe, which is a stand-in on this machine: no key, no network, no money."""
