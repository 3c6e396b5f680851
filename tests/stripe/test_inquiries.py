"""A dispute that is but an inquiry: the charge does not say that there is one."""

from tests.stripe.desk import Desk


async def test_dispute_of_a_charge_that_is_not_called_disputed_is_known(desk: Desk) -> None:
    payment = await desk.paid("10.00")
    desk.stripe.open_dispute(await desk.intent(payment))
    (charge,) = desk.objects("charge")
    charge["disputed"] = False
    await desk.tell()
    assert await desk.world.status(payment) == "DISPUTED"
    assert await desk.world.scalar("select status from disputes") == "NEEDS_RESPONSE"
    await desk.prove()
