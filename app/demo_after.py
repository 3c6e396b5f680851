"""What comes after a payment, played by the same headless client: a refund, a dispute, and a payout."""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any, Final

import httpx

from app.client import Client
from app.demo_steps import CREATOR, expect, step, until
from core.ids import uuid7

_PATIENCE_SECONDS: Final = 20

_REFUND: Final = """
mutation ($payment: ID!, $key: String!) {
  refundCreate(input: {
    idempotencyKey: $key, paymentId: $payment, amount: {amount: "4.00", currency: USD}, reason: OTHER
  }) { refund { status amount { formatted } } errors { code message } }
}
"""
_STATUS: Final = """
subscription ($payment: ID!, $after: String) {
  paymentStatus(paymentId: $payment, after: $after) { kind cursor event { status } payment { status } }
}
"""
_CURSOR: Final = "query ($payment: ID!) { payment(id: $payment) { cursor } }"
_ONBOARD: Final = """
mutation ($creator: ID!, $key: String!) {
  creatorOnboard(input: {
    idempotencyKey: $key, creatorId: $creator, country: "DE", returnUrl: "https://studio.example/payouts"
  }) { payoutAccount { ready missing } onboardingUrl errors { code message } }
}
"""
_MONEY: Final = """
query ($handle: String!) {
  creator(handle: $handle) {
    payoutAccount { ready }
    earnings(currency: USD) { pending { amount } available { amount } inPayout { amount } owed { amount } }
    disputes(first: 1) { nodes { id status } }
  }
}
"""
_PAY_OUT: Final = """
mutation ($creator: ID!, $key: String!, $amount: Decimal!) {
  payoutRequest(input: {idempotencyKey: $key, creatorId: $creator, amount: {amount: $amount, currency: USD}}) {
    payout { id status } errors { code message }
  }
}
"""
_PAYOUT: Final = "query ($id: ID!) { payout(id: $id) { status events { status } } }"
_ANSWER: Final = """
mutation ($dispute: ID!, $key: String!) {
  disputeAnswer(input: {
    idempotencyKey: $key, disputeId: $dispute, evidence: {uncategorizedText: "winning_evidence"}
  }) { dispute { status } errors { code message } }
}
"""


class After:
    """The second chapter. It moves the sandbox's clock, so it is played on a server of its own alone."""

    def __init__(self, url: str, creator: Client, creator_id: str) -> None:
        self._url = url
        self._creator = creator
        self._creator_id = creator_id

    async def tell(self, supporter: Client, payment: str) -> None:
        """Go on with a purchase that was paid."""
        await self._refund(supporter, payment)
        await self._dispute(supporter, payment)
        await self._pay_out()

    async def _refund(self, supporter: Client, payment: str) -> None:
        with step("The creator gives a part of it back, and the buyer sees it") as said:
            cursor = (await supporter.run(_CURSOR, payment=payment))["payment"]["cursor"]
            async with supporter.socket() as socket:
                status = await socket.subscribe(_STATUS, payment=payment, after=cursor)
                answer = await self._creator.run(_REFUND, payment=payment, key=str(uuid7()))
                refund = answer["refundCreate"]
                expect(not refund["errors"], f"The refund was refused: {refund['errors']}.")
                await until(status, "PARTIALLY_REFUNDED")
            said.append(refund["refund"]["amount"]["formatted"])

    async def _dispute(self, supporter: Client, payment: str) -> None:
        with step("The buyer's bank disputes it, the creator answers, and wins") as said:
            cursor = (await supporter.run(_CURSOR, payment=payment))["payment"]["cursor"]
            async with supporter.socket() as socket:
                status = await socket.subscribe(_STATUS, payment=payment, after=cursor)
                await self._control("dispute", payment="latest")
                seen, _ = await until(status, "DISPUTED")
                dispute = (await self._money())["disputes"]["nodes"][0]["id"]
                answered = (await self._creator.run(_ANSWER, dispute=dispute, key=str(uuid7())))["disputeAnswer"]
                expect(not answered["errors"], f"The evidence was refused: {answered['errors']}.")
                won, _ = await until(status, "PARTIALLY_REFUNDED")
            said.append(" → ".join([*seen, *won]))

    async def _pay_out(self) -> None:
        with step("The creator opens an account for payouts") as said:
            answer = await self._creator.run(_ONBOARD, creator=self._creator_id, key=str(uuid7()))
            onboarding = answer["creatorOnboard"]
            expect(not onboarding["errors"], f"It was refused: {onboarding['errors']}.")
            async with httpx.AsyncClient() as browser:
                await browser.post(onboarding["onboardingUrl"], data={"decision": "complete"})
            await self._until("the account never became ready", lambda money: money["payoutAccount"]["ready"])
            said.append("ready")
        with step("A month goes by, and the earnings are available") as said:
            await self._control("advance", by="31d")
            money = await self._until("nothing became available", lambda money: not _amount(money, "pending"))
            said.append(f"{_amount(money, 'available')} USD")
        with step("They are paid out") as said:
            answer = await self._creator.run(
                _PAY_OUT, creator=self._creator_id, key=str(uuid7()), amount=str(_amount(money, "available"))
            )
            asked = answer["payoutRequest"]
            expect(not asked["errors"], f"The payout was refused: {asked['errors']}.")
            payout = await self._paid(asked["payout"]["id"])
            said.append(" → ".join(event["status"] for event in payout["events"]))

    async def _paid(self, payout_id: str) -> dict[str, Any]:
        async def look() -> dict[str, Any] | None:
            payout: dict[str, Any] = (await self._creator.run(_PAYOUT, id=payout_id))["payout"]
            return payout if payout["status"] == "PAID" else None

        return await _until("the payout was never paid", look)

    async def _until(self, complaint: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        async def look() -> dict[str, Any] | None:
            money = await self._money()
            return money if holds(money) else None

        return await _until(complaint, look)

    async def _money(self) -> dict[str, Any]:
        money: dict[str, Any] = (await self._creator.run(_MONEY, handle=CREATOR))["creator"]
        return money

    async def _control(self, action: str, **fields: str) -> None:
        async with httpx.AsyncClient(timeout=_PATIENCE_SECONDS) as client:
            answer = await client.post(f"{self._url}/sandbox/control/{action}", json=fields)
        expect(answer.is_success, f"The sandbox would not {action}: {answer.text}")


def _amount(money: dict[str, Any], name: str) -> Decimal:
    return Decimal(money["earnings"][name]["amount"])


async def _until(complaint: str, look: Callable[[], Awaitable[dict[str, Any] | None]]) -> dict[str, Any]:
    """Look again and again until something is found."""
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while True:
            found = await look()
            if found is not None:
                return found
            await asyncio.sleep(0.05)
    raise AssertionError(complaint)
