import asyncio, time
import pytest
from tests.faults.shop import *
from tests.faults.test_kill import *
async def test_prof(deployed):
    t=time.perf_counter()
    def lap(x):
        nonlocal t
        n=time.perf_counter(); print(f"{x}: {n-t:.2f}"); t=n
    web = await deployed.web(); lap("web")
    deployed.worker(); lap("worker")
    creator, product = await open_shop(deployed, stock=5); lap("shop")
    p = await pays_for_a_purchase_and_a_tip(deployed, creator, product); lap("pay")
    await settled(deployed,*p); lap("settled")
    await everything_told(deployed); lap("told")
    await audit(deployed,p,stock=5); lap("audit")
    await web.kill(); await web.restart(); lap("restart")
