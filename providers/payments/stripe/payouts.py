"""Transfers to connected accounts, and payouts from there to banks, at Stripe."""

from typing import Final

from providers.payments.base import (
    Capabilities,
    Payout,
    PayoutFact,
    ProviderError,
    ProviderErrorCode,
    ReverseTransfer,
    Subject,
    Transfer,
    TransferFact,
    unsupported,
)
from providers.payments.stripe import amounts, reading, references
from providers.payments.stripe.client import Answer, Client
from providers.payments.stripe.errors import readable
from providers.payments.stripe.objects import fields
from providers.payments.stripe.objects.accounts import account_fact
from providers.payments.stripe.objects.fields import Source
from providers.payments.stripe.objects.payouts import payout_fact, transfer_fact
from providers.payments.stripe.refusals import is_unclear, told_with

# What Stripe may say of an account that it would not pay: that it has no balance, no capability, no access to it.
_OF_THE_ACCOUNT: Final = frozenset(
    (ProviderErrorCode.ACCOUNT_NOT_READY, ProviderErrorCode.BALANCE_INSUFFICIENT, ProviderErrorCode.MISCONFIGURED)
)
_OF_THE_TRANSFER: Final = frozenset(
    (ProviderErrorCode.MISCONFIGURED, ProviderErrorCode.STATE_CONFLICT, ProviderErrorCode.BALANCE_INSUFFICIENT)
)


def group(reference: object) -> str:
    """Return the transfer group of a payout of ours: what finds its transfer, exactly."""
    return f"payout_{reference}"


class Payouts:
    """The part of the provider that passes money on."""

    client: Client
    capabilities: Capabilities

    async def transfer(self, command: Transfer) -> TransferFact:
        """Move money from our balance to an account, once per reference.

        Errors: UNSUPPORTED (the currency), AMOUNT_INVALID, ACCOUNT_NOT_READY (with the account's fact),
        BALANCE_INSUFFICIENT, NOT_FOUND, MISCONFIGURED (the reference was used for something else), UNAVAILABLE.
        """
        account, amount = self._checked(command)
        params = {
            "amount": amount,
            "currency": command.currency.lower(),
            "destination": account,
            "transfer_group": group(command.reference),
            "metadata": {references.TRANSFER: str(command.reference)},
        }
        try:
            answer = await self.client.ask(
                self.client.stripe.v1.transfers.create_async, params=params, key=f"transfer:{command.reference}"
            )
        except ProviderError as error:
            # That our own balance is too low says nothing of the account.
            if error.code is ProviderErrorCode.BALANCE_INSUFFICIENT:
                raise
            raise await self._account_refused(error, account) from None
        return _transferred(answer.body, answer, writes=True)

    async def reverse_transfer(self, command: ReverseTransfer) -> TransferFact:
        """Take all of a transfer back.

        Errors: STATE_CONFLICT (it was taken back before; with the fact), BALANCE_INSUFFICIENT (the account no
        longer holds it; with the fact), NOT_FOUND, MISCONFIGURED (the key was used for something else),
        UNAVAILABLE.
        """
        transfer = references.known(Subject.TRANSFER, command.provider_reference)
        try:
            answer = await self.client.ask(
                self.client.stripe.v1.transfers.reversals.create_async,
                transfer,
                params={"expand": ["transfer"]},
                key=command.idempotency_key,
            )
        except ProviderError as error:
            raise await self._reversal_refused(error, transfer) from None
        with readable(writes=True):
            # Told within its reversal, the transfer may still be the one before it.
            before = fields.inner(answer.body, "transfer")
            whole = {**before, "reversed": True, "reversals": {"data": [answer.body]}}
        return _transferred(whole, answer, writes=True)

    async def payout(self, command: Payout) -> PayoutFact:
        """Send money from an account to its bank, once per reference.

        Errors: UNSUPPORTED (the currency, or an instant payout to this bank), AMOUNT_INVALID, ACCOUNT_NOT_READY
        (with the account's fact), BALANCE_INSUFFICIENT (of the account), NOT_FOUND, MISCONFIGURED (the reference
        was used for something else), UNAVAILABLE.
        """
        account, amount = self._checked(command)
        params = {
            "amount": amount,
            "currency": command.currency.lower(),
            "method": "instant" if command.instant else "standard",
            "metadata": {references.PAYOUT: str(command.reference)},
        }
        try:
            answer = await self.client.ask(
                self.client.stripe.v1.payouts.create_async,
                params=params,
                key=f"payout:{command.reference}",
                account=account,
            )
        except ProviderError as error:
            if command.instant and (error.provider_code or "").startswith("instant_payouts_"):
                raise unsupported("instant_payout") from None
            raise await self._account_refused(error, account) from None
        with readable(writes=True):
            fact = payout_fact(answer.body, account, answer.at)
            if fact is None:
                raise KeyError(references.PAYOUT)
            return fact

    def _checked(self, command: Transfer | Payout) -> tuple[str, int]:
        """Return the account and the amount as Stripe writes it, or refuse what can be refused without asking."""
        amount = amounts.to_stripe(command.amount, command.currency)
        if command.currency not in self.capabilities.currencies:
            raise unsupported("currency")
        return references.known(Subject.ACCOUNT, command.account), amount

    async def _account_refused(self, error: ProviderError, account: str) -> ProviderError:
        """Return the refusal in the contract's words, judged by the account as it is now."""
        if not is_unclear(error, _OF_THE_ACCOUNT):
            return error
        try:
            answer = await reading.account(self.client, account)
            with readable(writes=False):
                fact = account_fact(answer.body, answer.at)
        except ProviderError as other:
            return other if other.code is ProviderErrorCode.NOT_FOUND else error
        if fact is None:
            return references.not_found("account")
        if error.code is not ProviderErrorCode.ACCOUNT_NOT_READY and fact.ready:
            return error
        return told_with(error, ProviderErrorCode.ACCOUNT_NOT_READY, fact)

    async def _reversal_refused(self, error: ProviderError, transfer: str) -> ProviderError:
        """Return why a transfer was not taken back: Stripe has no code for one that was before."""
        if not is_unclear(error, _OF_THE_TRANSFER):
            return error
        try:
            answer = await reading.transfer(self.client, transfer)
            fact = _transferred(answer.body, answer, writes=False)
            if fact.reversal_transaction is not None:
                return told_with(error, ProviderErrorCode.STATE_CONFLICT, fact)
            if error.code is ProviderErrorCode.BALANCE_INSUFFICIENT or not await self._holds(fact):
                return told_with(error, ProviderErrorCode.BALANCE_INSUFFICIENT, fact)
        except ProviderError:
            return error
        return error

    async def _holds(self, transfer: TransferFact) -> bool:
        """Return whether an account still holds as much as a transfer brought it."""
        answer = await self.client.ask(self.client.stripe.v1.balance.retrieve_async, account=transfer.account)
        with readable(writes=False):
            there = [
                amounts.from_stripe(fields.whole(part, "amount"), transfer.currency)
                for part in fields.items(answer.body, "available")
                if fields.currency(part) == transfer.currency
            ]
        return sum(there) >= transfer.amount


def _transferred(transfer: Source, answer: Answer, *, writes: bool) -> TransferFact:
    with readable(writes=writes):
        fact = transfer_fact(transfer, answer.at)
        if fact is None:
            raise KeyError(references.TRANSFER)
        return fact
