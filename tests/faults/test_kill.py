"""Kill -9 at any point, and start again: every payment is settled exactly once."""

import asyncio
import random
import secrets
import signal
from collections.abc import Awaitable, Callable
from typing import Final

import pytest

from tests.faults import places
from tests.faults.shop import Customer, audit, everything_told, open_shop, settled
from tests.support.processes import Deployment, Process
from tests.support.world import free_port

_TIPS: Final = 40
_PURCHASES: Final = 20
_KILLS: Final = 6


async def pays_for_a_purchase_and_a_tip(deployed: Deployment, creator: str, product: str) -> list[str]:
    customer = Customer(deployed)
    bought = await customer.buy(product)
    await customer.pay(bought)
    tipped = await customer.tip(creator)
    await customer.pay(tipped)
    return [bought, tipped]


async def dies(process: Process) -> None:
    assert await process.ended() == -signal.SIGKILL, process.said


@pytest.mark.parametrize("place", places.WEB)
async def test_web_killed_settles_once(deployed: Deployment, place: str) -> None:
    web = await deployed.web(fault=place)
    deployed.worker()
    creator, product = await open_shop(deployed, stock=5)

    paying = asyncio.create_task(pays_for_a_purchase_and_a_tip(deployed, creator, product))
    await dies(web)
    await web.restart()
    await deployed.hours_pass()
    payments = await paying

    await settled(deployed, *payments)
    await deployed.hours_pass()
    await everything_told(deployed)
    await audit(deployed, payments, stock=5)


@pytest.mark.parametrize("place", places.CANCEL)
async def test_web_killed_while_cancelling_gives_stock_back_once(deployed: Deployment, place: str) -> None:
    web = await deployed.web(fault=place)
    deployed.worker()
    _, product = await open_shop(deployed, stock=5)
    customer = Customer(deployed)
    payment = await customer.buy(product)
    assert await deployed.scalar("select sum(on_hand - reserved)::int from stock_levels") == 4

    cancelling = asyncio.create_task(customer.cancel(payment))
    await dies(web)
    await web.restart()
    await deployed.hours_pass()
    await cancelling

    await settled(deployed, payment, status="CANCELED")
    await everything_told(deployed)
    await audit(deployed, [], stock=5)
    assert await deployed.scalar("select sum(on_hand - reserved)::int from stock_levels") == 5


@pytest.mark.parametrize("place", places.WORKER)
async def test_worker_killed_settles_once(deployed: Deployment, place: str) -> None:
    await deployed.web()
    worker = deployed.worker(fault=place)
    creator, product = await open_shop(deployed, stock=5)

    payments = await pays_for_a_purchase_and_a_tip(deployed, creator, product)
    await dies(worker)
    await worker.restart()
    await deployed.hours_pass()

    await settled(deployed, *payments)
    await deployed.hours_pass()
    await everything_told(deployed)
    await audit(deployed, payments, stock=5)


@pytest.mark.parametrize("place", places.SWEEPER)
async def test_worker_killed_while_it_looks_up_a_payment_settles_once(deployed: Deployment, place: str) -> None:
    await deployed.web()
    nowhere = free_port()
    sweeping = deployed.worker(fault=place, deliver_to=nowhere)
    creator, product = await open_shop(deployed, stock=5)

    payments = await pays_for_a_purchase_and_a_tip(deployed, creator, product)
    await dies(sweeping)
    await sweeping.restart()
    await deployed.hours_pass()
    await settled(deployed, *payments)
    await sweeping.kill()

    deployed.worker()
    await deployed.hours_pass()
    await everything_told(deployed)
    await audit(deployed, payments, stock=5)


async def test_random_kills_of_web_and_worker_settle_sixty_payments_once(deployed: Deployment) -> None:
    seed = secrets.randbits(32)
    chance = random.Random(seed)
    web, worker = await deployed.web(), deployed.worker()
    creator, product = await open_shop(deployed, stock=_PURCHASES + 5)
    answers = 0
    progress = asyncio.Condition()

    def answered() -> None:
        nonlocal answers
        answers += 1

        async def tell() -> None:
            async with progress:
                progress.notify_all()

        telling.create_task(tell())

    places_at_once = asyncio.Semaphore(8)

    async def one(what: Callable[[Customer], Awaitable[str]]) -> str:
        async with places_at_once:
            customer = Customer(deployed, told=answered)
            payment = await what(customer)
            await customer.pay(payment)
            return payment

    async def kill_now_and_then() -> None:
        total = 2 * (_TIPS + _PURCHASES)
        for moment in sorted(chance.sample(range(5, total - 5), _KILLS)):
            async with progress:
                await progress.wait_for(lambda moment=moment: answers >= moment)
            await asyncio.sleep(chance.uniform(0, 0.02))
            victims = chance.choice([[web], [worker], [web, worker]])
            for victim in victims:
                await victim.kill()
            for victim in victims:
                await victim.restart()

    try:
        async with asyncio.TaskGroup() as telling:
            tips = [telling.create_task(one(lambda customer: customer.tip(creator))) for _ in range(_TIPS)]
            purchases = [
                telling.create_task(one(lambda customer: customer.buy(product))) for _ in range(_PURCHASES)
            ]
            killing = telling.create_task(kill_now_and_then())
        await killing
        payments = [task.result() for task in (*tips, *purchases)]
        await deployed.hours_pass()
        await settled(deployed, *payments)
        await deployed.hours_pass()
        await everything_told(deployed)
        await audit(deployed, payments, stock=_PURCHASES + 5)
        assert await deployed.count("tips") == _TIPS
        assert await deployed.count("orders") == _PURCHASES
    except BaseException as error:
        error.add_note(f"the seed was {seed}")
        raise
