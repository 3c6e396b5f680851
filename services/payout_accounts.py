"""Payout accounts: a creator's connected account at the provider, opened once and completed there by the creator.

Where the creator goes to complete it is handed out and kept nowhere: the address is a key to the account.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import orjson
import structlog

from core.clock import now
from core.errors import ErrorCode, Refused, not_found
from core.ids import uuid7
from core.viewer import Viewer
from models.database import DATABASE_ERRORS, Transaction, fetch_one
from providers.payments import base
from services.calls import claimed_until
from services.engine import Engine
from services.fold.contradictions import Contradiction
from services.requests import Request, once
from services.return_urls import ensure_return_url

_BATCH: Final = 20
_RETRY_AFTER: Final = timedelta(seconds=10)
_COUNTRY: Final = re.compile(r"[A-Z]{2}", re.ASCII)

_IS_OWN: Final = "select exists (select from creators where id = $1 and user_id = $2)"
# The country of an account that was opened can be changed no more; of one that never was, it can. With another
# provider than before the creator begins anew: its payouts keep the name of the account they went through.
_REMEMBER: Final = """
    insert into payout_accounts as known (creator_id, provider, country, missing, created_at, updated_at)
    values ($1, $2, $3, '[]', $4, $4)
    on conflict (creator_id) do update
    set provider = excluded.provider,
        provider_reference = case when known.provider = excluded.provider then known.provider_reference end,
        ready = known.ready and known.provider = excluded.provider,
        missing = case when known.provider = excluded.provider then known.missing else '[]' end,
        told_at = case when known.provider = excluded.provider then known.told_at end,
        calling_until = case when known.provider = excluded.provider then known.calling_until end,
        country = case
            when known.provider = excluded.provider
                and (known.provider_reference is not null or known.calling_until is not null)
            then known.country
            else excluded.country
        end
    returning country
"""
_CLAIM: Final = """
    update payout_accounts set calling_until = $2
    where creator_id = $1 and (calling_until is null or calling_until <= $3)
    returning *
"""
_CLAIM_NEXT: Final = """
    with due as (
        select creator_id from payout_accounts where calling_until <= $1 and provider = $3
        order by calling_until limit 1 for no key update skip locked
    )
    update payout_accounts a set calling_until = $2 from due where a.creator_id = due.creator_id
    returning a.*
"""
_END_CALL: Final = "update payout_accounts set calling_until = $3 where creator_id = $1 and calling_until = $2"
_LOCK: Final = """
    select * from payout_accounts where creator_id = any($1::uuid[]) order by creator_id for no key update
"""
_WRITE: Final = """
    update payout_accounts
    set provider_reference = $2, ready = $3, missing = $4::jsonb, told_at = $5, updated_at = $6
    where creator_id = $1
"""
_READ: Final = "select * from payout_accounts where creator_id = any($1::uuid[])"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Onboard:
    """Open a creator's account, or go on with it. ``country`` is an ISO 3166-1 alpha-2 code."""

    creator_id: UUID
    country: str
    return_url: str
    key: str


@dataclass(frozen=True, slots=True)
class Onboarding:
    """An account's row, and where the creator goes on while anything is missing."""

    row: Any
    replayed: bool
    url: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class AccountsSettled:
    """What came of the facts about accounts: the creators who have none, and those told what cannot be true."""

    unknown: frozenset[UUID]
    contradictions: dict[UUID, str]


async def onboard(engine: Engine, viewer: Viewer, command: Onboard) -> Onboarding:
    """Open the account of a creator of the viewer's at the provider, or get a new address to complete it at.

    A repeat asks the provider again under the same key, because the address is not kept.
    Errors: NOT_FOUND, INPUT_INVALID (country, return address), PROVIDER_UNSUPPORTED, PROVIDER_UNAVAILABLE,
    IDEMPOTENCY_KEY_REUSED.
    """
    body = {"creator": command.creator_id, "country": command.country, "return": command.return_url}
    request = Request.of(viewer, "creatorOnboard", command.key, body)
    if base.Capability.PAYOUTS not in engine.provider.capabilities.features:
        raise Refused(ErrorCode.PROVIDER_UNSUPPORTED, "The payment provider in use here makes no payouts.")
    _check(command)

    async def act(transaction: Transaction) -> dict[str, UUID]:
        connection = transaction.connection
        if not await connection.fetchval(_IS_OWN, command.creator_id, viewer.user_id):
            raise not_found("creator", "creatorId")
        provider = engine.provider.name
        country = await connection.fetchval(_REMEMBER, command.creator_id, provider, command.country, now())
        if country != command.country:
            raise _another_country(country)
        return {"creator": command.creator_id, "attempt": uuid7()}

    outcome = await once(engine, request, act)
    at = now()
    # A provider may take as many requests: it is made, read, set up, and there is an address to go on at.
    lease = claimed_until(engine, at, calls=4)
    row = await engine.database.writer.fetchrow(_CLAIM, command.creator_id, lease, at)
    if row is None:
        raise _try_again("The provider is being asked about this account. Send the request again.")
    if row["country"] != command.country:
        await _end_call(engine, row, None)
        raise _another_country(row["country"])
    url = await _open(engine, row, command, outcome.ids["attempt"])
    row = await fetch_one(engine.database.reader, _READ, [command.creator_id])
    return Onboarding(row, outcome.replayed, url)


def _check(command: Onboard) -> None:
    if not _COUNTRY.fullmatch(command.country):
        raise Refused(ErrorCode.INPUT_INVALID, "Send a country as its two letters, such as FR.", path=("country",))
    ensure_return_url(command.return_url)


async def _open(engine: Engine, row: Any, command: Onboard, attempt: UUID) -> str | None:
    """Ask the provider, settle what it says, and return where the creator goes on."""
    call = base.Onboard(
        idempotency_key=f"onboard:{attempt}",
        creator=command.creator_id,
        country=command.country,
        return_url=command.return_url,
        account=row["provider_reference"],
    )
    try:
        snapshot = await engine.provider.onboard(call)
    except base.ProviderError as error:
        # Nobody knows whether it was opened where the refusal is ambiguous: it is looked up.
        # So it is where only the opening may have been taken: whose name is not known here is looked for.
        lost = row["provider_reference"] is None and error.code is not base.ProviderErrorCode.UNSUPPORTED
        await _end_call(engine, row, now() if error.ambiguous or lost else None)
        if error.code is base.ProviderErrorCode.UNSUPPORTED:
            raise Refused(
                ErrorCode.INPUT_INVALID,
                "The payment provider opens no accounts in this country.",
                path=("country",),
            ) from error
        raise _try_again("The payment provider did not take the request. Send it again.") from error
    await engine.settle(engine, [snapshot.fact], look_up_at=None)
    await _end_call(engine, row, None)
    return snapshot.onboarding_url


async def sweep(engine: Engine) -> bool:
    """Look up accounts whose opening nobody finished; tell whether there may be more.

    Run by any number of workers. One that the provider has not opened stays as it is: the creator asks again.
    """
    for _ in range(_BATCH):
        at = now()
        lease = at + engine.provider_timeout + _RETRY_AFTER
        row = await engine.database.writer.fetchrow(_CLAIM_NEXT, at, lease, engine.provider.name)
        if row is None:
            return False
        try:
            facts = await engine.provider.find(base.Subject.ACCOUNT, row["creator_id"])
            if facts:
                await engine.settle(engine, facts, look_up_at=None)
            await _end_call(engine, row, None)
        except base.ProviderError as error:
            log.warning("provider could not be asked", creator=str(row["creator_id"]), code=error.code.value)
            await _end_call(engine, row, now() + _RETRY_AFTER)
        except DATABASE_ERRORS:
            raise
        except Exception:
            # Whatever is wrong with one account, the others wait behind it.
            log.exception("payout account could not be looked up", creator=str(row["creator_id"]))
    return True


async def settle_facts(
    transaction: Transaction, facts: Sequence[base.AccountFact], at: datetime
) -> AccountsSettled:
    """Take in facts about any number of accounts in the caller's transaction; the newest wins."""
    told: defaultdict[UUID, list[base.AccountFact]] = defaultdict(list)
    for fact in facts:
        told[fact.reference].append(fact)
    if not told:
        return AccountsSettled(frozenset(), {})
    connection = transaction.connection
    rows = await connection.fetch(_LOCK, list(told))
    contradictions: dict[UUID, str] = {}
    for row in rows:
        creator_id = row["creator_id"]
        try:
            newest = _newest(row, told[creator_id])
        except Contradiction as contradiction:
            contradictions[creator_id] = str(contradiction)
            continue
        if newest is not None:
            missing = orjson.dumps(newest.missing).decode()
            await connection.execute(
                _WRITE, creator_id, newest.provider_reference, newest.ready, missing, newest.at, at
            )
    return AccountsSettled(frozenset(told) - {row["creator_id"] for row in rows}, contradictions)


def _newest(row: Any, facts: Sequence[base.AccountFact]) -> base.AccountFact | None:
    """Return the fact that says how an account stands; None if that is known. Raises ``Contradiction``."""
    references = {row["provider_reference"], *(fact.provider_reference for fact in facts)} - {None}
    if len(references) > 1:
        raise Contradiction("The provider speaks of another account than the creator's.")
    newest = max(facts, key=_told)
    if row["told_at"] is None:
        return newest
    known = (row["told_at"], row["ready"], tuple(orjson.loads(row["missing"])))
    return newest if _told(newest) > known else None


def _told(fact: base.AccountFact) -> tuple[datetime, bool, tuple[str, ...]]:
    """What a fact says, in an order: the later one counts, and of two of one instant always the same."""
    return fact.at, fact.ready, fact.missing


async def of_creators(engine: Engine, creator_ids: Sequence[UUID]) -> list[Any]:
    """Read the accounts of creators. Says nothing about who may see them."""
    return await engine.database.reader.fetch(_READ, creator_ids)


def missing_of(row: Any) -> list[str]:
    """Return what a creator has still to give, in the provider's words."""
    missing: list[str] = orjson.loads(row["missing"])
    return missing


async def _end_call(engine: Engine, row: Any, again_at: datetime | None) -> None:
    await engine.database.writer.execute(_END_CALL, row["creator_id"], row["calling_until"], again_at)


def _another_country(country: str) -> Refused:
    return Refused(
        ErrorCode.INPUT_INVALID, f"The account is one of {country}. Send that country.", path=("country",)
    )


def _try_again(message: str) -> Refused:
    return Refused(ErrorCode.PROVIDER_UNAVAILABLE, message, transient=True)
