"""The sandbox provider: what holds of every provider, and what is its own."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import asyncpg
import orjson
import pytest

from core.ids import uuid7
from providers.payments.base import (
    CancelPayment,
    Capability,
    ChargeFact,
    ConfirmPayment,
    CreatePayment,
    Event,
    Onboard,
    PaymentFact,
    ProviderAction,
    ProviderError,
    ProviderErrorCode,
    ProviderState,
    SaveMethod,
    Subject,
    Transfer,
)
from providers.payments.sandbox import CARDS, SandboxProvider
from providers.payments.sandbox.provider import FEATURES

from . import conformance
from .conformance import fetched, first, refusal
from .sandboxes import SECRET, confirmed, created, paid_out, refunded, sandbox

_NONE = "0" * 32
DECLINES = {
    "tok_declined": ProviderErrorCode.DECLINED,
    "tok_insufficient_funds": ProviderErrorCode.INSUFFICIENT_FUNDS,
    "tok_expired_card": ProviderErrorCode.CARD_EXPIRED,
    "tok_stolen_card": ProviderErrorCode.DECLINED,
    "tok_fraud_suspected": ProviderErrorCode.DECLINED,
}


class _Levers:
    def __init__(self, provider: SandboxProvider) -> None:
        self._control = provider.control()

    async def pass_time(self, by: timedelta) -> None:
        await self._control.advance(by)

    async def open_dispute(self, payment: PaymentFact) -> str:
        return (await self._control.open_dispute(payment.provider_reference)).provider_reference

    async def make_ready(self, account: str) -> None:
        await self._control.make_account_ready(account)


def methods_of(provider: SandboxProvider) -> conformance.Methods:
    return conformance.Methods(
        succeeds="tok_success",
        authenticates="tok_3ds",
        unknown="4242424242424242",
        declines=DECLINES,
        unknown_objects={
            Subject.PAYMENT: f"sbx_{_NONE}",
            Subject.REFUND: f"sbr_{_NONE}",
            Subject.DISPUTE: f"sbd_{_NONE}",
            Subject.ACCOUNT: f"sba_{_NONE}",
            Subject.TRANSFER: f"sbt_{_NONE}",
            Subject.PAYOUT: f"sbp_{_NONE}",
        },
        unknown_method=f"sbm_{_NONE}",
        levers=_Levers(provider),
    )


def _is_for(check: conformance.Check, features: frozenset[Capability]) -> bool:
    return check.needs <= features and not check.lacks & features


@pytest.mark.parametrize(
    "check",
    [check for check in conformance.CHECKS if _is_for(check, FEATURES)],
    ids=lambda check: check.run.__name__,
)
async def test_conforms(check: conformance.Check, provider: SandboxProvider) -> None:
    await check.run(provider, methods_of(provider))


async def _events(pool: asyncpg.Pool, payment: PaymentFact) -> list[Event]:
    rows = await pool.fetch(
        "select id, type, body from sandbox.event where payment_id = $1 order by created_at",
        payment.provider_reference,
    )
    return [Event(row["id"], row["type"], orjson.loads(row["body"])) for row in rows]


# Stories --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "types"),
    [
        ("tok_success", ["payment.succeeded", "charge.updated"]),
        ("tok_timeout", ["payment.succeeded", "charge.updated"]),
        ("tok_3ds", ["payment.requires_action"]),
        ("tok_processing", ["payment.processing"]),
        *((token, ["payment.failed"]) for token in DECLINES),
    ],
)
async def test_each_token_has_its_events(
    token: str, types: list[str], provider: SandboxProvider, pool: asyncpg.Pool
) -> None:
    payment = await created(provider)
    try:
        await confirmed(provider, payment, token)
    except ProviderError:
        assert token in {*DECLINES, "tok_timeout"}
    events = await _events(pool, payment)
    assert [event.type for event in events] == types
    assert provider.translate(events[0]) == (await fetched(provider, payment),)


def test_every_token_is_tested() -> None:
    here = {*DECLINES, "tok_success", "tok_3ds", "tok_processing", "tok_timeout"}
    scenarios = {"tok_amount", "tok_refund_pending", "tok_refund_fails", "tok_refund_fails_later"}
    disputes = {"tok_dispute", "tok_dispute_won", "tok_dispute_lost", "tok_dispute_lost_then_won"}
    faults = {f"tok_webhooks_{word}" for word in ("duplicated", "delayed", "reordered", "lost")}
    assert set(CARDS) == here | scenarios | disputes | faults


async def test_moments_of_a_payment_strictly_increase_even_when_the_clock_goes_back(
    provider: SandboxProvider, pool: asyncpg.Pool
) -> None:
    payment = await created(provider)
    ahead = await pool.fetchval(
        "update sandbox.payment set changed_at = now() + interval '1 hour' returning changed_at"
    )
    facts = []
    for number, token in enumerate(["tok_declined", "tok_3ds", "tok_expired_card", "tok_success"]):
        try:
            facts.append(await confirmed(provider, payment, token, key=str(number)))
        except ProviderError as error:
            facts.append(error.fact)
    events = await _events(pool, payment)
    told = [fact for event in events for fact in provider.translate(event)]
    assert told[:-1] == facts
    moments = [fact.at for fact in told]
    assert moments[0] > ahead
    assert len(set(moments)) == 5
    assert moments == sorted(moments)
    assert [datetime.fromisoformat(str(event.body["created"])) for event in events] == moments


async def test_success_states_its_charge(provider: SandboxProvider, pool: asyncpg.Pool) -> None:
    payment = await created(provider)
    charged = await confirmed(provider, payment, "tok_success")
    _, event = await _events(pool, payment)
    (charge,) = provider.translate(event)
    assert isinstance(charge, ChargeFact)
    assert (charge.reference, charge.gross, charge.fee) == (payment.reference, 1250, 66)
    assert (charge.currency, charge.available_on) == ("USD", charged.at)
    assert event.body["livemode"] is False


@pytest.mark.parametrize(
    ("amount", "fee"),
    [
        (1, 1),
        (30, 30),
        (31, 31),
        (32, 31),
        (50, 31),
        (51, 31),
        (52, 32),
        (500, 45),
        (1000, 59),
        (99_999_999, 2_900_030),
    ],
)
async def test_fee_is_rounded_half_up_and_never_above_gross(
    amount: int, fee: int, provider: SandboxProvider, pool: asyncpg.Pool
) -> None:
    payment = await created(provider, amount)
    await confirmed(provider, payment, "tok_success")
    (charge,) = provider.translate((await _events(pool, payment))[1])
    assert isinstance(charge, ChargeFact)
    assert (charge.gross, charge.fee) == (amount, fee)


@pytest.mark.parametrize("token", ["tok_stolen_card", "tok_fraud_suspected"])
async def test_stolen_and_suspected_cards_look_like_any_decline(
    token: str, provider: SandboxProvider, pool: asyncpg.Pool
) -> None:
    payment = await created(provider)
    error = await refusal(confirmed(provider, payment, token))
    assert (error.code, error.decline_code) == (ProviderErrorCode.DECLINED, "DECLINED")
    assert error.provider_code not in {None, "generic_decline"}
    (event,) = await _events(pool, payment)
    assert str(error.provider_code) not in str(event.body)


async def test_lost_answer_took_effect_and_the_same_key_learns_it(provider: SandboxProvider) -> None:
    payment = await created(provider)
    error = await refusal(confirmed(provider, payment, "tok_timeout"))
    assert (error.code, error.action) == (ProviderErrorCode.UNAVAILABLE, ProviderAction.SAME_KEY)
    assert (error.ambiguous, error.fact) == (True, None)
    charged = first(await provider.find(Subject.PAYMENT, payment.reference))
    assert charged.state is ProviderState.SUCCEEDED
    assert await confirmed(provider, payment, "tok_timeout") == charged


async def test_processing_payment_can_neither_be_confirmed_nor_canceled(provider: SandboxProvider) -> None:
    payment = await created(provider)
    processing = await confirmed(provider, payment, "tok_processing")
    assert processing.state is ProviderState.PROCESSING
    for call in (
        confirmed(provider, payment, "tok_success", key="2"),
        provider.cancel(CancelPayment("cancel", payment.provider_reference)),
    ):
        error = await refusal(call)
        assert (error.code, error.fact) == (ProviderErrorCode.STATE_CONFLICT, processing)


async def test_payer_who_left_3ds_may_pay_with_another_card(provider: SandboxProvider, pool: asyncpg.Pool) -> None:
    payment = await created(provider)
    waiting = await confirmed(provider, payment, "tok_3ds")
    assert waiting.action_url == f"https://pay.example/sandbox/3ds/{payment.provider_reference}"
    charged = await confirmed(provider, payment, "tok_success", key="2")
    assert (charged.state, charged.action_url) == (ProviderState.SUCCEEDED, None)
    late = (await provider.authenticate(payment.provider_reference, accepted=True)).fact
    assert late == charged
    assert await pool.fetchval("select count(*) from sandbox.event where type = 'charge.updated'") == 1


# Keys -----------------------------------------------------------------------------------------------------


async def test_one_payment_per_reference_whatever_the_key(provider: SandboxProvider, pool: asyncpg.Pool) -> None:
    command = CreatePayment("first", uuid7(), 1250, "USD", "A tip")
    commands = [replace(command, idempotency_key=f"key {number}") for number in range(8)]
    answers = await asyncio.gather(*(provider.create_payment(command) for command in commands))
    assert len(set(answers)) == 1
    error = await refusal(provider.create_payment(replace(command, idempotency_key="other", amount=1)))
    assert (error.code, error.provider_code) == (ProviderErrorCode.MISCONFIGURED, "reference_reused")
    assert await pool.fetchval("select count(*) from sandbox.payment") == 1


async def test_creating_again_answers_what_creating_did(provider: SandboxProvider) -> None:
    command = CreatePayment("first", uuid7(), 1250, "USD", "A tip")
    payment = await provider.create_payment(command)
    await confirmed(provider, payment, "tok_success")
    assert await provider.create_payment(command) == payment


async def test_a_key_belongs_to_one_command(provider: SandboxProvider, pool: asyncpg.Pool) -> None:
    payment = await created(provider)
    reference = payment.provider_reference
    create_key = f"create:{payment.reference}"
    calls = [
        provider.confirm_payment(ConfirmPayment(create_key, reference, "tok_success")),
        provider.cancel(CancelPayment(create_key, reference)),
    ]
    await refusal(confirmed(provider, payment, "tok_declined"))
    used = f"confirm:{payment.reference}:1"
    calls += [
        provider.confirm_payment(ConfirmPayment(used, reference, "tok_success")),
        provider.cancel(CancelPayment(used, reference)),
        provider.create_payment(CreatePayment(used, uuid7(), 1, "USD", "A tip")),
    ]
    for call in calls:
        error = await refusal(call)
        assert (error.code, error.provider_code) == (ProviderErrorCode.MISCONFIGURED, "idempotency_key_reused")
    assert len(await _events(pool, payment)) == 1


async def test_a_key_sent_for_two_payments_at_once_charges_one(
    provider: SandboxProvider, pool: asyncpg.Pool
) -> None:
    payments = [await created(provider) for _ in range(8)]
    outcomes = await asyncio.gather(
        *(
            provider.confirm_payment(ConfirmPayment("key", payment.provider_reference, "tok_success"))
            for payment in payments
        ),
        return_exceptions=True,
    )
    errors = [outcome for outcome in outcomes if isinstance(outcome, ProviderError)]
    assert {(error.code, error.ambiguous) for error in errors} == {(ProviderErrorCode.MISCONFIGURED, False)}
    assert len(errors) == 7
    assert await pool.fetchval("select count(*) from sandbox.payment where state = 'SUCCEEDED'") == 1
    assert await pool.fetchval("select count(*) from sandbox.event") == 2


async def test_two_cards_at_once_charge_once(provider: SandboxProvider, pool: asyncpg.Pool) -> None:
    tokens = ["tok_success", "tok_3ds", "tok_processing", "tok_declined", "tok_timeout", "tok_success"]
    for _ in range(10):
        payment = await created(provider)
        await asyncio.gather(
            *(confirmed(provider, payment, token, key=str(n)) for n, token in enumerate(tokens)),
            return_exceptions=True,
        )
        charges = [event for event in await _events(pool, payment) if event.type == "charge.updated"]
        state = (await fetched(provider, payment)).state
        assert len(charges) == (state is ProviderState.SUCCEEDED)
        assert state in {ProviderState.SUCCEEDED, ProviderState.PROCESSING}


# The database ---------------------------------------------------------------------------------------------


async def test_each_command_is_one_statement(dsn: str) -> None:
    statements: list[str] = []

    async def log(connection: asyncpg.Connection) -> None:
        connection.add_query_logger(lambda record: statements.append(record.query))

    async def leave_as_it_is(connection: asyncpg.Connection) -> None:
        pass

    async with asyncpg.create_pool(dsn, min_size=1, max_size=1, init=log, reset=leave_as_it_is) as pool:
        provider = sandbox(pool)
        await created(provider)  # on a new connection asyncpg asks for the types of arrays, once
        statements.clear()
        payment, other = await created(provider), await created(provider)
        assert len(statements) == 2
        await confirmed(provider, payment, "tok_success")
        await provider.cancel(CancelPayment("cancel", other.provider_reference))
        await fetched(provider, payment)
        await provider.find(Subject.PAYMENT, payment.reference)
        await refusal(confirmed(provider, payment, "4242424242424242", key="2"))
        assert len(statements) == 6


async def test_each_command_that_moves_money_on_is_one_statement_too(dsn: str) -> None:
    statements: list[str] = []

    async def log(connection: asyncpg.Connection) -> None:
        connection.add_query_logger(lambda record: statements.append(record.query))

    async def leave_as_it_is(connection: asyncpg.Connection) -> None:
        pass

    async with asyncpg.create_pool(dsn, min_size=1, max_size=1, init=log, reset=leave_as_it_is) as pool:
        provider = sandbox(pool)
        saved = await provider.save_method(SaveMethod("save", uuid7(), "tok_success"))
        payment = await created(provider, 10_000)
        await provider.onboard(Onboard("warm", uuid7(), "ZZ", "https://creators.example"))
        statements.clear()
        await provider.confirm_payment(
            ConfirmPayment("saved", payment.provider_reference, saved.provider_reference, saved=True)
        )
        await refunded(provider, payment, 4003)
        account = (await provider.onboard(Onboard("o", uuid7(), "ZZ", "https://creators.example"))).fact
        await provider.transfer(Transfer("t", uuid7(), account.provider_reference, 500, "USD"))
        await paid_out(provider, account, 500)
        await provider.fetch(Subject.PAYMENT, payment.provider_reference)
        await provider.balances()
        assert len(statements) == 7


async def test_unreachable_database_leaves_commands_ambiguous_and_reads_for_later(dsn: str) -> None:
    nowhere = dsn.replace("host=", "host=/nowhere")
    async with asyncpg.create_pool(nowhere, min_size=0, max_size=1) as pool:
        provider = sandbox(pool)
        error = await refusal(created(provider))
        assert (error.code, error.ambiguous) == (ProviderErrorCode.UNAVAILABLE, True)
        assert error.action is ProviderAction.SAME_KEY
        error = await refusal(provider.find(Subject.PAYMENT, uuid7()))
        assert (error.code, error.ambiguous) == (ProviderErrorCode.UNAVAILABLE, False)
        assert error.action is ProviderAction.LATER


@pytest.mark.parametrize(
    "trouble",
    [
        asyncpg.AdminShutdownError("57P01"),
        asyncpg.ConnectionDoesNotExistError("08003"),
        asyncpg.InterfaceError("closing"),
        asyncpg.InternalClientError("another operation is in progress"),
        ConnectionResetError(),
        TimeoutError(),
    ],
    ids=lambda trouble: type(trouble).__name__,
)
async def test_database_trouble_midway_leaves_a_command_ambiguous(trouble: Exception) -> None:
    class Pool:
        async def fetch(self, *arguments: object) -> None:
            raise trouble

    command = ConfirmPayment("key", f"sbx_{_NONE}", "tok_success")
    error = await refusal(sandbox(Pool()).confirm_payment(command))
    assert (error.code, error.ambiguous) == (ProviderErrorCode.UNAVAILABLE, True)


async def test_database_without_the_migrations_wants_its_configuration_fixed(dsn: str) -> None:
    async with asyncpg.create_pool(dsn, database="postgres", min_size=0) as pool:
        error = await refusal(created(sandbox(pool)))
        assert (error.code, error.action) == (ProviderErrorCode.MISCONFIGURED, ProviderAction.FIX_CONFIG)


@pytest.mark.parametrize("text", ["\x00", "\ud800"])
async def test_text_that_postgresql_cannot_hold_is_refused_for_good(text: str, provider: SandboxProvider) -> None:
    command = CreatePayment("key", uuid7(), 1250, "USD", text)
    error = await refusal(provider.create_payment(command))
    assert (error.code, error.action, error.ambiguous) == (
        ProviderErrorCode.MISCONFIGURED,
        ProviderAction.NEVER,
        False,
    )
    assert (await refusal(provider.fetch(Subject.PAYMENT, text))).code is ProviderErrorCode.NOT_FOUND


@pytest.mark.parametrize("key", ["", "k" * 256])
async def test_key_that_is_none_is_refused(key: str, provider: SandboxProvider) -> None:
    error = await refusal(provider.create_payment(CreatePayment(key, uuid7(), 1250, "USD", "A tip")))
    assert (error.code, error.provider_code) == (ProviderErrorCode.MISCONFIGURED, "create_key_named")
    payment = await created(provider)
    error = await refusal(provider.confirm_payment(ConfirmPayment(key, payment.provider_reference, "tok_success")))
    assert (error.code, error.provider_code) == (ProviderErrorCode.MISCONFIGURED, "key_named")
    assert await fetched(provider, payment) == payment


async def test_the_application_role_suffices_and_may_delete_nothing(dsn: str) -> None:
    async with asyncpg.create_pool(dsn, min_size=1, max_size=1, server_settings={"role": "comptoir_app"}) as pool:
        provider = sandbox(pool)
        await confirmed(provider, await created(provider), "tok_success")
        waiting = await confirmed(provider, await created(provider), "tok_3ds")
        await provider.authenticate(waiting.provider_reference, accepted=False)
        canceled = await provider.cancel(CancelPayment("key", waiting.provider_reference))
        assert canceled.state is ProviderState.CANCELED
        claimed = await pool.fetch("select * from sandbox.claim_events(10, interval '1 minute')")
        assert len(claimed) == 5
        for table in ("payment", "request", "event", "refund", "dispute", "payout", "balance_transaction"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await pool.execute(f"delete from sandbox.{table}")


@pytest.mark.parametrize(
    "secrets", [[], "whsec_" + "A" * 32, ["whsec_"], ["whsec_short"], ["whsec_ÿ"], [SECRET, SECRET[6:]]]
)
def test_malformed_secrets_are_refused_without_repeating_them(secrets: list[str]) -> None:
    with pytest.raises(ValueError, match="secret") as caught:
        SandboxProvider(None, webhook_secrets=secrets, public_url="https://pay.example", currencies=["USD"])
    assert SECRET[6:] not in str(caught.value)


async def test_payments_created_at_once_go_together_and_each_gets_its_own_answer(pool: asyncpg.Pool) -> None:
    provider = sandbox(pool)
    first = await created(provider)
    again = CreatePayment("again", first.reference, first.amount + 1, first.currency, "another amount")

    answers = await asyncio.gather(
        *(created(provider) for _ in range(20)), provider.create_payment(again), return_exceptions=True
    )

    assert len({answer.provider_reference for answer in answers[:20]}) == 20
    assert isinstance(answers[20], ProviderError)
    assert answers[20].provider_code == "reference_reused"
