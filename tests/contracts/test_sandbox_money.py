"""smoke"""
from datetime import timedelta
from core.ids import uuid7
from providers.payments.base import *
from providers.payments.sandbox import SandboxControl
from .sandboxes import confirmed, created
from .conformance import refusal, fetched

async def test_smoke(provider, pool):
    control = SandboxControl(pool)
    p = await created(provider, 20000)
    await confirmed(provider, p, "tok_success")
    r = await provider.refund(Refund("r1", uuid7(), p.provider_reference, 4001, RefundReason.OTHER))
    print(r)
    print(await control.status())
    print(await control.advance(timedelta(minutes=2)))
    print(await provider.fetch(Subject.PAYMENT, p.provider_reference))
    d = await control.open_dispute("latest", 5000)
    print(d)
    print(await provider.answer_dispute(AnswerDispute("a1", d.provider_reference, {"uncategorized_text": "winning_evidence"})))
    await control.advance(timedelta(minutes=2))
    print(await provider.fetch(Subject.DISPUTE, d.provider_reference))
    acc = await provider.onboard(Onboard("o1", uuid7(), "ZZ", "https://x.example"))
    print(acc)
    acc2 = await provider.onboard(Onboard("o2", uuid7(), "DE", "https://x.example"))
    print(acc2)
    print(await provider.balances())
    t = await provider.transfer(Transfer("t1", uuid7(), acc.fact.provider_reference, 4000, "USD"))
    print(t, await provider.balances())
    po = await provider.payout(Payout("p1", uuid7(), acc.fact.provider_reference, 3000, "USD"))
    print(po)
    await control.advance(timedelta(days=1))
    print(await provider.fetch(Subject.PAYOUT, po.provider_reference))
    e = await refusal(provider.reverse_transfer(ReverseTransfer("rt", t.provider_reference)))
    print(repr(e), e.fact)
    await control.fail_payout("latest")
    print(await provider.reverse_transfer(ReverseTransfer("rt", t.provider_reference)))
    async for entry in provider.balance_entries(p.at): print(entry)
    async for ev in provider.events(p.at): print(ev, provider.translate(ev))
    m = await provider.save_method(SaveMethod("m1", uuid7(), "tok_3ds"))
    print(m)
    p = await created(provider)
    e = await refusal(provider.confirm_payment(ConfirmPayment("c9", p.provider_reference, m.provider_reference, off_session=True)))
    print(repr(e), e.action, e.fact)
    print(await provider.confirm_payment(ConfirmPayment("c10", p.provider_reference, m.provider_reference)))
    await provider.detach_method(DetachMethod("d", m.provider_reference))
    e = await refusal(provider.confirm_payment(ConfirmPayment("c19", p.provider_reference, m.provider_reference, off_session=True)))
    print(repr(e))
