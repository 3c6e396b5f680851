"""Accounts of the books: a creator's own, and for finance every one."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import strawberry

from core import ids
from core.ids import Noun
from core.money import Money as Amount
from core.scopes import Scope
from core.viewer import Viewer
from ledger import AccountSpec
from ledger.chart import CREATOR_KINDS
from resolvers.context import Info
from resolvers.fields import query
from resolvers.pages import connection, in_utc, page_query
from schema.accounts import Account, AccountKind, Counterparty, CreatorAccountKind, StatementLine
from schema.connections import Connection, PageArguments
from schema.creators import Creator
from schema.money import Money
from schema.scalars import BigInt, CurrencyCode
from services import accounts
from services.engine import Engine

_OWNERS = (Noun.CREATOR, Noun.USER)


@strawberry.type
class AccountQuery:
    @query(
        description="Any account of the books, for finance; null for anybody else, and where there is nobody to "
        "have it. Creators find theirs at `Creator.account`.",
        scope=Scope.FINANCE_READ,
    )
    async def account(
        self,
        info: Info,
        kind: Annotated[AccountKind, strawberry.argument(description="What kind of account.")],
        currency: Annotated[CurrencyCode, strawberry.argument(description="In which currency.")],
        owner: Annotated[
            strawberry.ID | None,
            strawberry.argument(description="Whose, if it is a creator's (their id) or a wallet (the user's id)."),
        ] = None,
        provider: Annotated[
            str | None, strawberry.argument(description="With which payment provider, if it is with one.")
        ] = None,
    ) -> Account | None:
        if not info.context.viewer.may(Scope.FINANCE_READ):
            return None
        key = None if owner is None else _owner_key(owner)
        if owner is not None and key is None:
            return None
        return await _account(info, accounts.named(kind.value, currency, key, provider))


async def creator_account(creator: Creator, info: Info, kind: CreatorAccountKind, currency: str) -> Account | None:
    """Return a creator's account, to that creator."""
    viewer = info.context.viewer
    if viewer.user_id != creator.user_key or not viewer.may(Scope.EARNINGS_READ):
        return None
    return await _account(info, accounts.named(kind.value, currency, creator.key, None))


async def account_statement(
    account: Account, info: Info, page: PageArguments, since: datetime | None, until: datetime | None
) -> Connection[StatementLine]:
    """Return a page of the statement of an account, which only those have before them who may see it."""
    found: accounts.Account = account.key
    for_finance = info.context.viewer.may(Scope.FINANCE_READ)
    lines = await accounts.statement(
        info.context.engine,
        found,
        page_query(page),
        None if since is None else in_utc(since, "from"),
        None if until is None else in_utc(until, "to"),
    )
    return connection(lines, lambda line: _line(found, line, for_finance=for_finance))


def _owner_key(owner: str) -> UUID | None:
    noun = ids.noun_of(owner)
    return ids.decode(noun, owner) if noun in _OWNERS else None


async def _account(info: Info, spec: AccountSpec) -> Account | None:
    # Those that an operation asks for side by side are read by one statement, and so at one moment.
    found = await info.context.loaders.batched(_read, spec)
    return None if found is None else _shown(found)


async def _read(engine: Engine, _: Viewer, specs: Sequence[AccountSpec]) -> list[accounts.Account | None]:
    return await accounts.read(engine, specs)


def _shown(found: accounts.Account) -> Account:
    spec = found.spec
    return Account(
        key=found,
        kind=AccountKind(spec.kind),
        currency=CurrencyCode(spec.asset),
        owner=_owner(spec.kind, spec.owner),
        provider=spec.provider,
        posted=Money.of(found.posted),
        held=Money.of(found.held),
        available=Money.of(found.available),
        version=BigInt(found.version),
    )


def _line(account: accounts.Account, line: accounts.Line, *, for_finance: bool) -> StatementLine:
    entry, currency = line.entry, account.posted.currency
    # Nobody's id is shown to anybody but themselves: not who is on the other side, not what they paid for.
    own = account.spec.owner is not None and account.spec.owner == line.owner
    about_own = account.spec.owner is not None and account.spec.owner == line.creator_id
    return StatementLine(
        version=BigInt(entry.version),
        kind=entry.kind,
        amount=Money.of(Amount(entry.amount, currency)),
        balance=Money.of(Amount(entry.balance, currency)),
        counterparty=Counterparty(
            kind=AccountKind(line.kind),
            owner=_owner(line.kind, line.owner) if own or for_finance else None,
            provider=line.provider if for_finance else None,
        ),
        reference=_reference(line) if about_own or for_finance else None,
        posted_at=entry.posted_at,
        effective_at=entry.effective_at,
    )


def _owner(kind: Any, owner: UUID | None) -> strawberry.ID | None:
    if owner is None or kind == AccountKind.GIFT_CARD:
        return None
    return strawberry.ID(ids.encode(Noun.CREATOR if kind in CREATOR_KINDS else Noun.USER, owner))


def _reference(line: accounts.Line) -> strawberry.ID | None:
    if line.tip_id is not None:
        return strawberry.ID(ids.encode(Noun.TIP, line.tip_id))
    if line.order_id is not None and line.is_purchase:
        return strawberry.ID(ids.encode(Noun.PURCHASE, line.order_id))
    if line.sale_id is not None:
        return strawberry.ID(ids.encode(Noun.SALE, line.sale_id))
    return None if line.order_id is None else strawberry.ID(ids.encode(Noun.ORDER, line.order_id))
