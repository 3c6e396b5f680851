"""An account whose default version of the API is not ours: what is asked for again heals all the same."""

from datetime import timedelta

from core import clock
from services import inbox
from tests.stripe.desk import ASKS, open_desk
from tests.support.stripe import Settings


async def test_lost_day_is_healed_by_a_replay_in_another_version(dsn: str) -> None:
    async with open_desk(dsn, Settings(default_version="2019-12-03")) as desk:
        await desk.with_money("100.00")
        begin = desk.stripe.store.clock.moment - timedelta(seconds=5)
        payment, refunded, disputed, canceled = [await desk.tip() for _ in range(4)]
        for each in (payment, refunded, disputed):
            await desk.confirm(each)
        await desk.confirm(canceled, ASKS)
        await desk.dashboard(f"payment_intents/{await desk.intent(canceled)}/cancel")
        await desk.dashboard("refunds", payment_intent=await desk.intent(refunded))
        desk.stripe.close_dispute(desk.stripe.open_dispute(await desk.intent(disputed)), won=False)
        desk.stripe.platform_payout(500)
        desk.tell_nobody()
        assert await desk.world.status(payment) == "PROCESSING"

        await desk.caught_up()
        assert await inbox.replay(desk.engine, min(begin, clock.wall())) > 0
        await desk.settle()
        assert [await desk.world.status(each) for each in (payment, refunded, disputed, canceled)] == [
            "SUCCEEDED",
            "REFUNDED",
            "CHARGED_BACK",
            "CANCELED",
        ]
        assert await desk.held("bank") == -500
        assert (await desk.states("QUARANTINED"), await desk.states("DEAD")) == (0, 0)
        await desk.prove()
        assert await inbox.replay(desk.engine, min(begin, clock.wall())) == 0


async def test_webhook_in_another_version_is_still_set_aside(dsn: str) -> None:
    async with open_desk(dsn) as desk:
        payment = await desk.tip()
        await desk.confirm(payment)
        for event in desk.sent():
            assert await desk.post({**event, "api_version": "2019-12-03"}) == 200
        await desk.settle()
        assert await desk.states("QUARANTINED") > 0
        assert await desk.world.status(payment) == "PROCESSING"


async def test_webhook_that_claims_to_be_asked_for_is_refused(dsn: str) -> None:
    async with open_desk(dsn) as desk:
        payment = await desk.tip()
        await desk.confirm(payment)
        for event in desk.sent():
            assert await desk.post({**event, "api_version": "2019-12-03", "comptoir": "asked_for"}) == 400
        assert await desk.world.scalar("select count(*) from inbox_events") == 0
        assert await desk.world.status(payment) == "PROCESSING"
