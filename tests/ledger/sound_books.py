"""Books with something of everything in them, and nothing wrong."""

import asyncio
from datetime import timedelta
from fractions import Fraction
from uuid import UUID, uuid4

import asyncpg

import ledger
from core.clock import now
from ledger import AccountKind, Accounts, Draft, Group, Hold, Line, Operation, Posted, Recovery, Reversal, chart
from tests.ledger.ledger_helpers import CLEARING, do, group, opened, pending, posted, wallet

SANDBOX = {"provider": "sandbox", "asset": "USD"}


class Books:
    """A creator, and a way to post events on one connection."""

    def __init__(self, connection: asyncpg.Connection, accounts: Accounts) -> None:
        self.connection = connection
        self.accounts = accounts
        self.creator = uuid4()

    async def post(self, *drafts: Draft) -> Posted:
        """Post events, one after the other, and return what became of the last one."""
        for draft in drafts:
            (group,) = await self.accounts.groups([draft], on=self.connection)
            (outcome,) = await ledger.post([group], on=self.connection)
            assert isinstance(outcome, Posted), outcome
        return outcome

    async def operate(self, key: str, *operations: Operation) -> None:
        assert isinstance(await do(self.connection, *operations, key=key), Posted), key


async def keep(connection: asyncpg.Connection, pool: asyncpg.Pool) -> None:
    """Make them, on a connection and, for other stripes, on those of a pool."""
    books = Books(connection, Accounts(pool))
    await _tips(books)
    await asyncio.gather(*(_tip_elsewhere(books, pool, f"txn_{number}") for number in range(3, 8)))
    await _sent_back(books)
    await _converted(books)
    await _own_money(books)
    await _held(books)
    await _accounts_changed(books)
    await _nothing_moved(books)


async def _tips(books: Books) -> None:
    for number in range(3):
        names = {"payment": uuid4(), "creator_id": books.creator, "asset": "USD"}
        await books.post(
            chart.capture(**names, provider="sandbox", net=85, fee=10, tax=5),
            chart.charge(**SANDBOX, balance_transaction=f"txn_{number}", gross=100, provider_fee=3),
            chart.earning(**names, net=85, reserve=5),
        )


async def _tip_elsewhere(books: Books, pool: asyncpg.Pool, transaction: str) -> None:
    async with pool.acquire() as connection:
        elsewhere = Books(connection, books.accounts)
        await elsewhere.post(
            chart.capture(payment=uuid4(), creator_id=elsewhere.creator, **SANDBOX, net=85, fee=10, tax=5),
            chart.charge(**SANDBOX, balance_transaction=transaction, gross=100, provider_fee=3),
        )


async def _sent_back(books: Books) -> None:
    """A refund that failed, a dispute won, a transfer reversed, a movement in part, and what was a mistake."""
    refund, dispute, payout = uuid4(), uuid4(), uuid4()
    split = chart.Split(net=85, fee=10, tax=5)
    returns = [chart.Return(books.creator, split, taken_from=AccountKind.AVAILABLE)]
    await books.post(
        chart.refund(refund=refund, **SANDBOX, returns=returns),
        chart.refund_transaction(**SANDBOX, balance_transaction="txn_refund", amount=100),
        chart.refund_failed(refund=refund),
        chart.refund_returned(
            provider="sandbox", balance_transaction="txn_returned", refund_transaction="txn_refund"
        ),
        chart.dispute_withdrawn(
            dispute=dispute,
            **SANDBOX,
            balance_transaction="txn_withdrawn",
            returns=returns,
            withdrawn=104,
            dispute_fee=15,
        ),
        chart.dispute_won(
            dispute=dispute,
            **SANDBOX,
            balance_transaction="txn_won",
            withdrawal="txn_withdrawn",
            fee_kept=15,
            difference=1,
        ),
        chart.payout_asked(payout=payout, creator_id=books.creator, asset="USD", amount=50),
        chart.payout_transferred(payout=payout, **SANDBOX, balance_transaction="txn_transfer", amount=50),
        chart.payout_failed(payout=payout, creator_id=books.creator, **SANDBOX, amount=50),
        chart.transfer_reversed(provider="sandbox", balance_transaction="txn_back", transfer="txn_transfer"),
    )
    mistake = await books.post(
        chart.foreign_settlement(**SANDBOX, balance_transaction="txn_0", gross=100, provider_fee=3)
    )
    assert isinstance(await ledger.reverse("correction", mistake.group_id, on=books.connection), Posted)

    source, person = await opened(books.connection, CLEARING, wallet())
    gift = await posted(books.connection, ledger.Movement(source, person, 30, "gift"), key="gift")
    for key in ("gift_back_1", "gift_back_2"):
        await books.operate(key, Reversal(gift.movements[0].id, 10, "gift.reversed"))
    back = await posted(books.connection, Reversal(gift.movements[0].id, None, "gift.reversed"), key="gift_back_3")
    await books.operate("gift_again", Reversal(back.movements[0].id, None, "gift.back.reversed"))


async def _converted(books: Books) -> None:
    """From dollars to euros, twice, the second time undone; and what a provider settled in euros, to dollars."""
    dollars, euros = (chart.wallet(asset, uuid4()) for asset in ("USD", "EUR"))
    quote = chart.quote_conversion(
        999, rate=Fraction("0.92"), margin=Fraction("0.01"), sold_scale=2, bought_scale=2
    )
    settled = chart.quote_conversion(920, rate=Fraction("1.087"), sold_scale=2, bought_scale=2)
    conversion = UUID(int=1)
    undone = await books.post(
        chart.foreign_settlement(
            provider="sandbox", balance_transaction="txn_euros", asset="EUR", gross=920, provider_fee=40
        ),
        chart.conversion(
            conversion=uuid4(), sell=chart.platform(AccountKind.SUSPENSE, "EUR"), buy=CLEARING, quote=settled
        ),
        Draft.of("top_up", Line(CLEARING, dollars, 2000, "top_up")),
        chart.conversion(conversion=conversion, sell=dollars, buy=euros, quote=quote),
        chart.conversion(conversion=uuid4(), sell=dollars, buy=euros, quote=quote),
    )
    assert isinstance(await ledger.reverse("conversion undone", undone.group_id, on=books.connection), Posted)


async def _own_money(books: Books) -> None:
    """The platform's own with a provider, what was let go of a charge, and a dispute in another currency."""
    split = chart.Split(net=85, fee=10, tax=5)
    returns = [chart.Return(books.creator, split, taken_from=AccountKind.AVAILABLE)]
    dispute, euros = uuid4(), {"provider": "sandbox", "asset": "EUR", "fees_to": AccountKind.DISPUTE_FEES}
    await books.post(
        chart.platform_top_up(**SANDBOX, balance_transaction="txn_top_up", amount=500, fee=2),
        chart.platform_payout(**SANDBOX, balance_transaction="txn_payout", amount=300, fee=1),
        chart.platform_payout_returned(**SANDBOX, balance_transaction="txn_payout_back", amount=300, fee=-1),
        chart.provider_fee(**SANDBOX, balance_transaction="txn_bill", amount=25),
        chart.charge(**SANDBOX, balance_transaction="txn_reserved", gross=100, provider_fee=3),
        chart.capture_reversed(**SANDBOX, balance_transaction="txn_let_go", amount=100, provider_fee=-2),
        chart.provider_fee(**SANDBOX, balance_transaction="txn_bill_back", amount=-5),
        chart.dispute_taken(dispute=dispute, **SANDBOX, returns=returns, amount=100),
        chart.foreign_settlement(**euros, balance_transaction="txn_taken", gross=-92, provider_fee=15),
        chart.dispute_given_back(dispute=dispute),
        chart.foreign_settlement(**euros, balance_transaction="txn_given", gross=90, provider_fee=-15),
    )


async def _held(books: Books) -> None:
    """Holds in every state there is, each with its entries in a group of its own."""
    payer, payee = wallet(), pending()
    source, debit, credit = await opened(books.connection, CLEARING, payer, payee)
    for limit in (10, 20):
        await books.operate(f"filled:{limit}", ledger.Movement(source, debit, 500, "top_up"))
        await ledger.set_credit_limit(debit, limit, on=books.connection)

    async def placed(name: str, expires_in: timedelta | None = None) -> UUID:
        hold = uuid4()
        expires_at = None if expires_in is None else now() + expires_in
        await books.operate(f"hold:{name}", Hold(hold, debit, credit, 50, name, expires_at=expires_at))
        return hold

    await placed("untouched", timedelta(days=1))
    hold = await placed("open")
    await books.operate("increment:open", ledger.Increment(hold, 20))
    await books.operate("capture:open", ledger.Capture(hold, 30, "captured"))
    await books.operate("release:open", ledger.Release(hold, 10))
    hold = await placed("captured", timedelta(days=1))
    for number in range(3):
        await books.operate(f"capture:captured:{number}", ledger.Capture(hold, [20, 20, None][number], "captured"))
    hold = await placed("final")
    await books.operate("capture:final", ledger.Capture(hold, 40, "captured", final=True))
    hold = await placed("released")
    await books.operate("release:released", ledger.Release(hold))
    hold = await placed("captured and released")
    await books.operate("capture and release", ledger.Capture(hold, 10, "captured"), ledger.Release(hold))
    hold = await placed("expired", timedelta(milliseconds=300))
    await books.operate("capture:expired", ledger.Capture(hold, 5, "captured"))
    await asyncio.sleep(0.3)
    assert await ledger.expire_holds(on=books.connection) == 1
    refused = await do(books.connection, ledger.Capture(hold, 5, "captured"), key="refused:expired")
    assert refused == ledger.Refused(ledger.Refusal.HOLD_ENDED, account=debit)


async def _accounts_changed(books: Books) -> None:
    """One that was overdrawn under a limit that is lower now, one that is closed, one that was for a while."""
    limited, closed, reopened = wallet(), wallet(), wallet()
    former = chart.with_provider(AccountKind.CLEARING, "USD", "former")
    source, *ids = await opened(books.connection, CLEARING, limited, closed, reopened, former)
    on = books.connection
    overdrawn, *emptied, striped = ids
    await books.operate("limit:1", ledger.Movement(source, overdrawn, 20, "test"))
    await ledger.set_credit_limit(overdrawn, 100, on=on)
    await books.operate("limit:2", ledger.Movement(overdrawn, source, 100, "test"))
    await books.operate("limit:3", ledger.Movement(source, overdrawn, 60, "test"))
    await ledger.set_credit_limit(overdrawn, 30, on=on)
    await books.operate("limit:4", ledger.Movement(overdrawn, source, 10, "test"))
    for account in emptied:
        await books.operate(f"fill:{account}", ledger.Movement(source, account, 20, "test"))
        await books.operate(f"empty:{account}", ledger.Movement(account, source, 20, "test"))
        await ledger.close_account(account, on=on)
    await ledger.reopen_account(emptied[1], on=on)
    await books.operate("reopened", ledger.Movement(source, emptied[1], 5, "test"))
    await ledger.close_account(striped, on=on)


async def _nothing_moved(books: Books) -> None:
    """A debt that was to be recovered and is none, and what was refused."""
    person, other, source = await opened(books.connection, wallet(), pending(), CLEARING)
    await books.operate("nothing to recover", Recovery(person, other, "test"))
    refused: list[Group] = [group((person, source, 10_000), key="refused")]
    assert not isinstance((await ledger.post(refused, on=books.connection))[0], Posted)
