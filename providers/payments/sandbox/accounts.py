"""Connected accounts at the sandbox, and the creator's own step on the onboarding page."""

from dataclasses import dataclass
from typing import Final

from core.ids import uuid7
from providers.payments.base import AccountFact, AccountSnapshot, Onboard
from providers.payments.sandbox import store
from providers.payments.sandbox.desk import Desk, known_form
from providers.payments.sandbox.translation import account_fact

READY_AT_ONCE: Final = "ZZ"
READY_LATER: Final = "ZY"

SET_READY: Final = "select * from sandbox.set_account_ready($1::text, $2::boolean)"

_ONBOARD: Final = """
select * from sandbox.onboard(
    $1::text, $2::text, $3::uuid, $4::text, $5::text, $6::text, $7::interval, $8::text)
"""
_READ: Final = """
select sandbox.account_object(account)::text as object, return_url from sandbox.account where id = $1::text
"""
_READINESS: Final = {READY_AT_ONCE: "AT_ONCE", READY_LATER: "LATER"}


@dataclass(frozen=True, slots=True)
class Onboarding:
    """An account as its onboarding page shows it, and where that page sends the creator afterwards."""

    fact: AccountFact
    return_url: str


class Accounts(Desk):
    """The part of the provider that opens accounts for creators."""

    async def onboard(self, command: Onboard) -> AccountSnapshot:
        """Open a creator's account, or give another link to go on with the one there is.

        The country ZZ is ready at once, ZY by itself after a while; both are nobody's. Errors: MISCONFIGURED
        (the key was used for something else, or the account has another country), UNAVAILABLE.
        """
        source = await store.ask_object(
            self._pool,
            _ONBOARD,
            command.idempotency_key,
            f"sba_{uuid7().hex}",
            command.creator,
            command.country,
            command.return_url,
            _READINESS.get(command.country, "ASKED"),
            self._processing_time,
            f"{self._public_url}/sandbox/onboarding",
        )
        return AccountSnapshot(account_fact(source["account"]), source["onboarding_url"])

    # The creator's side, for the onboarding page ----------------------------------------------------------

    async def onboarding(self, provider_reference: str) -> Onboarding:
        """Return what the onboarding page of an account shows. Errors: NOT_FOUND, UNAVAILABLE."""
        reference = _account(provider_reference)
        rows = await store.ask_all(self._pool, _READ, reference, changes=False)
        if not rows:
            raise store.not_found("account_not_found")
        return Onboarding(account_fact(store.decoded(rows[0]["object"])), rows[0]["return_url"])

    async def complete_onboarding(self, provider_reference: str) -> AccountFact:
        """Give what is missing of an account. Giving it again changes nothing. Errors: NOT_FOUND, UNAVAILABLE."""
        source = await store.ask_object(self._pool, SET_READY, _account(provider_reference), True)
        return account_fact(source)


def _account(provider_reference: str) -> str:
    return known_form(provider_reference, "sba_", "account_not_found")
