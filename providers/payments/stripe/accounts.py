"""Connected accounts at Stripe: recipients of transfers, of version 2 of its API."""

from typing import Any, Final

from providers.payments.base import (
    AccountFact,
    AccountSnapshot,
    Capabilities,
    Onboard,
    ProviderAction,
    ProviderError,
    ProviderErrorCode,
    Subject,
    unsupported,
)
from providers.payments.stripe import reading, references
from providers.payments.stripe.client import Client
from providers.payments.stripe.errors import readable
from providers.payments.stripe.objects import fields
from providers.payments.stripe.objects.accounts import INCLUDED, account_fact, country

# Stripe pays out nothing by itself: what leaves an account is a payout of ours.
_PAID_OUT_BY_HAND: Final = {"payments": {"payouts": {"schedule": {"interval": "manual"}}}}


class Accounts:
    """The part of the provider that opens accounts for creators."""

    client: Client
    capabilities: Capabilities

    async def onboard(self, command: Onboard) -> AccountSnapshot:
        """Open a creator's account, once per creator, or give another link to go on with the one there is.

        The link is Stripe's own page, good for one visit and some minutes. Errors: UNSUPPORTED (no accounts are
        opened in the country), MISCONFIGURED (the account has another country), NOT_FOUND (``account`` is none of
        this creator's), UNAVAILABLE.
        """
        name = await self._opened(command) if command.account is None else command.account
        name = references.known(Subject.ACCOUNT, name)
        answer = await reading.account(self.client, name)
        with readable(writes=False):
            fact = account_fact(answer.body, answer.at)
            where = country(answer.body)
        if fact is None or fact.reference != command.creator:
            raise references.not_found("account")
        if where is not None and where != command.country.upper():
            raise ProviderError(
                ProviderErrorCode.MISCONFIGURED, ProviderAction.NEVER, provider_code="account_has_another_country"
            )
        return AccountSnapshot(fact, await self._link(command, fact))

    async def _opened(self, command: Onboard) -> str:
        """Open the account unless it is open; return its name. How it stands is read: this may be told again."""
        transfers = {"stripe_balance": {"stripe_transfers": {"requested": True}}}
        params: dict[str, Any] = {
            "configuration": {"recipient": {"capabilities": transfers}},
            "dashboard": "express",
            "defaults": {"responsibilities": {"fees_collector": "application", "losses_collector": "application"}},
            "identity": {"country": command.country},
            "include": list(INCLUDED),
            "metadata": {references.CREATOR: str(command.creator)},
        }
        try:
            answer = await self.client.ask(
                self.client.stripe.v2.core.accounts.create_async, params=params, key=f"account:{command.creator}"
            )
        except ProviderError as error:
            if error.code is ProviderErrorCode.MISCONFIGURED and "country" in (error.provider_code or ""):
                raise unsupported("country") from error
            raise
        with readable(writes=True):
            return fields.text(answer.body, "id")

    async def _link(self, command: Onboard, fact: AccountFact) -> str | None:
        """Return where the creator goes on while anything is missing; see to it that nothing is paid out before.

        With each link, not once: an account whose opening was cut off in the middle must not be forgotten.
        """
        if fact.ready and not fact.missing:
            return None
        await self.client.ask(
            self.client.stripe.v1.balance_settings.update_async,
            params=_PAID_OUT_BY_HAND,
            key=f"{command.idempotency_key}:settings",
            account=fact.provider_reference,
        )
        pages = {"refresh_url": command.return_url, "return_url": command.return_url}
        answer = await self.client.ask(
            self.client.stripe.v2.core.account_links.create_async,
            params={
                "account": fact.provider_reference,
                "use_case": {"type": "account_onboarding", "account_onboarding": pages},
            },
            key=f"{command.idempotency_key}:link",
        )
        with readable(writes=True):
            return fields.text(answer.body, "url")
