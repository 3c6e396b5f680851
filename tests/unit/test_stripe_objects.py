"""Stripe's refunds, disputes, accounts, transfers, payouts and books as facts."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from core.ids import uuid7
from providers.payments.base import (
    BalanceKind,
    BalanceMove,
    DisputeState,
    PayoutState,
    RefundState,
    Subject,
)
from providers.payments.stripe.objects import books
from providers.payments.stripe.objects.accounts import account_fact, country
from providers.payments.stripe.objects.disputes import dispute_fact
from providers.payments.stripe.objects.fields import MALFORMED
from providers.payments.stripe.objects.payouts import payout_fact, transfer_fact
from providers.payments.stripe.objects.refunds import lets_go, refund_fact

MADE = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
LATER = MADE + timedelta(days=3)
NOW = MADE + timedelta(days=9)
PAYMENT, OWN = uuid7(), uuid7()


def seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def line(amount: int, *, fee: int = 0, currency: str = "usd", at: datetime = MADE, **more: Any) -> dict[str, Any]:
    return {
        "id": "txn_1",
        "object": "balance_transaction",
        "amount": amount,
        "fee": fee,
        "net": amount - fee,
        "currency": currency,
        "created": seconds(at),
        "available_on": seconds(at + timedelta(days=2)),
        "reporting_category": "charge",
        "type": "charge",
        **more,
    }


def refund(**more: Any) -> dict[str, Any]:
    return {
        "id": "re_1",
        "object": "refund",
        "amount": 500,
        "currency": "usd",
        "created": seconds(MADE),
        "status": "succeeded",
        "metadata": {"comptoir_refund": str(OWN), "comptoir_payment": str(PAYMENT)},
        "payment_intent": "pi_1",
        "balance_transaction": "txn_1",
        "failure_balance_transaction": None,
        **more,
    }


def dispute(**more: Any) -> dict[str, Any]:
    return {
        "id": "du_1",
        "object": "dispute",
        "amount": 1250,
        "currency": "usd",
        "created": seconds(MADE),
        "status": "needs_response",
        "reason": "fraudulent",
        "evidence_details": {"due_by": seconds(LATER), "submission_count": 0},
        "balance_transactions": [line(-1250, fee=1500, id="txn_taken")],
        **more,
    }


def account(**more: Any) -> dict[str, Any]:
    return {
        "id": "acct_1",
        "object": "v2.core.account",
        "created": "2026-11-02T12:00:00.000Z",
        "metadata": {"comptoir_creator": str(OWN)},
        "identity": {"country": "DE"},
        "configuration": {"recipient": {"capabilities": capabilities("restricted")}},
        "requirements": {"entries": [entry("identity.individual.address"), entry("defaults.payout_method")]},
        **more,
    }


def capabilities(transfers: str, payouts: str | None = None) -> dict[str, Any]:
    told: dict[str, Any] = {"stripe_transfers": {"status": transfers, "status_details": []}}
    if payouts is not None:
        told["payouts"] = {"status": payouts, "status_details": []}
    return {"stripe_balance": told}


def entry(description: str, *, due: str = "currently_due", whose: str = "user") -> dict[str, Any]:
    return {"description": description, "awaiting_action_from": whose, "minimum_deadline": {"status": due}}


def transfer(**more: Any) -> dict[str, Any]:
    return {
        "id": "tr_1",
        "object": "transfer",
        "amount": 3000,
        "amount_reversed": 0,
        "currency": "usd",
        "created": seconds(MADE),
        "destination": "acct_1",
        "metadata": {"comptoir_transfer": str(OWN)},
        "balance_transaction": "txn_out",
        "reversed": False,
        "reversals": {"object": "list", "data": []},
        **more,
    }


def reversal(name: str, at: datetime) -> dict[str, Any]:
    return {"id": "trr_1", "object": "transfer_reversal", "created": seconds(at), "balance_transaction": name}


def payout(**more: Any) -> dict[str, Any]:
    return {
        "id": "po_1",
        "object": "payout",
        "amount": 2000,
        "currency": "usd",
        "created": seconds(MADE),
        "arrival_date": seconds(LATER),
        "automatic": False,
        "status": "in_transit",
        "failure_code": None,
        "failure_balance_transaction": None,
        "metadata": {"comptoir_payout": str(OWN)},
        **more,
    }


class TestRefunds:
    def test_refund_is_of_when_it_was_made_and_names_its_line(self) -> None:
        fact = refund_fact(refund(), NOW, PAYMENT)
        assert (fact.payment, fact.reference, fact.provider_reference) == (PAYMENT, OWN, "re_1")
        assert (fact.state, fact.at) == (RefundState.SUCCEEDED, MADE)
        assert (fact.amount, fact.currency, fact.failure_code) == (500, "USD", None)
        assert (fact.balance_transaction, fact.return_transaction) == ("txn_1", None)
        assert (fact.converted, fact.return_converted) == (None, None)

    @pytest.mark.parametrize(
        ("status", "state"),
        [
            ("pending", RefundState.PENDING),
            ("requires_action", RefundState.PENDING),
            ("succeeded", RefundState.SUCCEEDED),
            ("canceled", RefundState.CANCELED),
            ("failed", RefundState.FAILED),
        ],
    )
    def test_every_status_is_a_state(self, status: str, state: RefundState) -> None:
        assert refund_fact(refund(status=status), NOW, PAYMENT).state is state

    def test_failed_refund_is_of_when_its_money_came_back(self) -> None:
        back = line(500, id="txn_back", at=LATER)
        told = refund(status="failed", failure_reason="unknown", failure_balance_transaction=back)
        fact = refund_fact(told, NOW, PAYMENT)
        assert (fact.at, fact.failure_code, fact.return_transaction) == (LATER, "unknown", "txn_back")

    def test_failed_refund_is_of_now_when_its_line_is_not_told(self) -> None:
        told = refund(status="failed", failure_reason="unknown", failure_balance_transaction="txn_back")
        fact = refund_fact(told, NOW, PAYMENT)
        assert (fact.at, fact.return_transaction) == (NOW, "txn_back")

    def test_what_was_converted_is_told_in_the_currency_of_the_books(self) -> None:
        told = refund(
            status="failed",
            balance_transaction=line(-460, currency="eur"),
            failure_balance_transaction=line(455, fee=0, currency="eur", id="txn_back"),
        )
        fact = refund_fact(told, NOW, PAYMENT)
        assert fact.converted == BalanceMove("txn_1", 460, 0, "EUR")
        assert fact.return_converted == BalanceMove("txn_back", 455, 0, "EUR")
        assert (fact.amount, fact.currency) == (500, "USD")

    def test_line_in_the_same_currency_converts_nothing(self) -> None:
        assert refund_fact(refund(balance_transaction=line(-500)), NOW, PAYMENT).converted is None

    def test_refund_made_in_the_dashboard_has_no_reference_of_ours(self) -> None:
        assert refund_fact(refund(metadata={}), NOW, PAYMENT).reference is None

    @pytest.mark.parametrize(
        "told",
        [
            {"reason": "expired_uncaptured_charge"},
            {"balance_transaction": None},
            {"balance_transaction": line(-750, reporting_category="partial_capture_reversal")},
        ],
    )
    def test_what_only_lets_go_of_an_authorisation_is_no_refund(self, told: dict[str, Any]) -> None:
        assert lets_go(refund(metadata={}) | told)
        assert not lets_go(refund() | told)

    @pytest.mark.parametrize(
        "told",
        [
            {"reason": "duplicate"},
            {"status": "pending", "balance_transaction": None},
            {"balance_transaction": line(-500, reporting_category="refund")},
        ],
    )
    def test_what_was_refunded_in_the_dashboard_is_a_refund(self, told: dict[str, Any]) -> None:
        assert not lets_go(refund(metadata={}) | told)

    def test_amounts_written_with_decimals_that_are_none_are_read_without(self) -> None:
        assert refund_fact(refund(amount=50_000, currency="isk"), NOW, PAYMENT).amount == 500
        with pytest.raises(ValueError, match="parts"):
            refund_fact(refund(amount=50_050, currency="isk"), NOW, PAYMENT)


class TestDisputes:
    def test_open_dispute_took_its_money_and_a_fee(self) -> None:
        fact = dispute_fact(dispute(), NOW, PAYMENT)
        assert (fact.payment, fact.provider_reference, fact.reason) == (PAYMENT, "du_1", "fraudulent")
        assert (fact.state, fact.at, fact.respond_by) == (DisputeState.NEEDS_RESPONSE, MADE, LATER)
        assert (fact.amount, fact.currency) == (1250, "USD")
        assert fact.withdrawal == BalanceMove("txn_taken", 1250, 1500)
        assert fact.reinstatement is None

    def test_won_dispute_is_of_when_its_money_came_back_with_what_of_the_fee_did(self) -> None:
        lines = [line(1250, fee=-1500, id="txn_back", at=LATER), line(-1250, fee=1500, id="txn_taken")]
        fact = dispute_fact(dispute(status="won", balance_transactions=lines), NOW, PAYMENT)
        assert (fact.state, fact.at) == (DisputeState.WON, LATER)
        assert fact.withdrawal == BalanceMove("txn_taken", 1250, 1500)
        assert fact.reinstatement == BalanceMove("txn_back", 1250, 1500)

    @pytest.mark.parametrize(
        ("status", "state"),
        [
            ("warning_needs_response", DisputeState.NEEDS_RESPONSE),
            ("warning_under_review", DisputeState.UNDER_REVIEW),
            ("warning_closed", DisputeState.WON),
            ("under_review", DisputeState.UNDER_REVIEW),
            ("lost", DisputeState.LOST),
            ("appeal_needs_response", DisputeState.LOST),
            ("appeal_under_review", DisputeState.LOST),
        ],
    )
    def test_every_other_status_is_a_state(self, status: str, state: DisputeState) -> None:
        assert dispute_fact(dispute(status=status), NOW, PAYMENT).state is state

    def test_prevented_dispute_is_lost_when_money_was_taken_for_it_and_won_otherwise(self) -> None:
        assert dispute_fact(dispute(status="prevented"), NOW, PAYMENT).state is DisputeState.LOST
        nothing = dispute(status="prevented", balance_transactions=[])
        assert dispute_fact(nothing, NOW, PAYMENT).state is DisputeState.WON

    def test_what_was_converted_names_its_currency(self) -> None:
        lines = [line(-1150, fee=1380, currency="eur", id="txn_taken")]
        fact = dispute_fact(dispute(balance_transactions=lines), NOW, PAYMENT)
        assert fact.withdrawal == BalanceMove("txn_taken", 1150, 1380, "EUR")

    def test_inquiry_without_money_or_date_is_read(self) -> None:
        told = dispute(status="warning_needs_response", balance_transactions=[], evidence_details={"due_by": None})
        fact = dispute_fact(told, NOW, PAYMENT)
        assert (fact.withdrawal, fact.respond_by) == (None, None)


class TestAccounts:
    def test_account_is_not_ready_and_names_what_is_due_from_the_creator(self) -> None:
        entries = [
            entry("identity.individual.address"),
            entry("defaults.payout_method", due="past_due"),
            entry("identity.individual.address"),
            entry("identity.individual.phone", due="eventually_due"),
            entry("identity.individual.documents", whose="stripe"),
        ]
        fact = account_fact(account(requirements={"entries": entries}), NOW)
        assert fact is not None
        assert (fact.reference, fact.provider_reference, fact.at) == (OWN, "acct_1", NOW)
        assert not fact.ready
        assert fact.missing == ("identity.individual.address", "defaults.payout_method")

    @pytest.mark.parametrize(
        ("transfers", "payouts", "ready"),
        [
            ("active", None, True),
            ("active", "active", True),
            ("active", "pending", False),
            ("pending", "active", False),
            ("rejected", None, False),
        ],
    )
    def test_account_is_ready_once_it_can_receive_and_pay_out(
        self, transfers: str, payouts: str | None, ready: bool
    ) -> None:
        told = account(configuration={"recipient": {"capabilities": capabilities(transfers, payouts)}})
        fact = account_fact(told, NOW)
        assert fact is not None
        assert fact.ready is ready

    @pytest.mark.parametrize(
        "configuration", [None, {}, {"recipient": None}, {"recipient": {"capabilities": None}}]
    )
    def test_account_that_tells_of_no_capability_is_not_ready(self, configuration: object) -> None:
        fact = account_fact(account(configuration=configuration, requirements=None), NOW)
        assert fact is not None
        assert (fact.ready, fact.missing) == (False, ())

    def test_closed_account_is_not_ready(self) -> None:
        told = account(configuration={"recipient": {"capabilities": capabilities("active")}}, closed=True)
        fact = account_fact(told, NOW)
        assert fact is not None
        assert not fact.ready

    def test_account_that_is_none_of_ours_states_nothing(self) -> None:
        assert account_fact(account(metadata={}), NOW) is None
        assert account_fact(account(metadata={"comptoir_creator": "somebody"}), NOW) is None

    def test_country_is_read_in_capitals(self) -> None:
        assert country(account(identity={"country": "fr"})) == "FR"
        assert country(account(identity=None)) is None


class TestTransfers:
    def test_transfer_keeps_its_own_time(self) -> None:
        fact = transfer_fact(transfer(), NOW)
        assert fact is not None
        assert (fact.reference, fact.provider_reference, fact.account) == (OWN, "tr_1", "acct_1")
        assert (fact.at, fact.amount, fact.currency) == (MADE, 3000, "USD")
        assert (fact.balance_transaction, fact.reversal_transaction) == ("txn_out", None)

    def test_transfer_taken_back_is_of_when_the_last_of_it_was(self) -> None:
        parts = {"data": [reversal("txn_last", LATER), reversal("txn_first", MADE)]}
        fact = transfer_fact(transfer(reversed=True, amount_reversed=3000, reversals=parts), NOW)
        assert fact is not None
        assert (fact.at, fact.reversal_transaction) == (LATER, "txn_last")

    def test_transfer_taken_back_in_part_stands(self) -> None:
        told = transfer(amount_reversed=1000, reversals={"data": [reversal("txn_first", LATER)]})
        fact = transfer_fact(told, NOW)
        assert fact is not None
        assert (fact.at, fact.reversal_transaction) == (MADE, None)

    def test_transfer_taken_back_without_a_word_of_how_is_malformed(self) -> None:
        with pytest.raises(MALFORMED):
            transfer_fact(transfer(reversed=True), NOW)

    def test_transfer_that_is_none_of_ours_states_nothing(self) -> None:
        assert transfer_fact(transfer(metadata={}), NOW) is None


class TestPayouts:
    def test_payout_is_named_with_its_account(self) -> None:
        fact = payout_fact(payout(), "acct_1", NOW)
        assert fact is not None
        assert (fact.reference, fact.provider_reference, fact.account) == (OWN, "acct_1/po_1", "acct_1")
        assert (fact.state, fact.at, fact.arrives_at) == (PayoutState.IN_TRANSIT, MADE, LATER)
        assert (fact.amount, fact.currency, fact.failure_code) == (2000, "USD", None)

    @pytest.mark.parametrize(
        ("now", "at"),
        [(NOW, LATER), (MADE + timedelta(days=1), MADE + timedelta(days=1))],
        ids=["on time", "early"],
    )
    def test_paid_payout_is_of_the_day_it_arrived(self, now: datetime, at: datetime) -> None:
        fact = payout_fact(payout(status="paid"), "acct_1", now)
        assert fact is not None
        assert (fact.state, fact.at) == (PayoutState.PAID, at)

    def test_failed_payout_is_of_when_its_money_came_back(self) -> None:
        told = payout(
            status="failed", failure_code="account_closed", failure_balance_transaction=line(2000, at=NOW)
        )
        fact = payout_fact(told, "acct_1", NOW + timedelta(days=1))
        assert fact is not None
        assert (fact.state, fact.at, fact.failure_code) == (PayoutState.FAILED, NOW, "account_closed")

    def test_canceled_payout_whose_line_is_not_told_is_of_now(self) -> None:
        fact = payout_fact(payout(status="canceled", failure_balance_transaction="txn_back"), "acct_1", NOW)
        assert fact is not None
        assert (fact.state, fact.at) == (PayoutState.CANCELED, NOW)

    def test_payout_that_stripe_or_the_creator_made_states_nothing(self) -> None:
        assert payout_fact(payout(automatic=True), "acct_1", NOW) is None
        assert payout_fact(payout(metadata={}), "acct_1", NOW) is None


OURS = {"comptoir_payment": str(PAYMENT)}
CHARGE = {"id": "ch_1", "object": "charge", "payment_intent": "pi_1", "metadata": OURS}
INTENT = {"id": "pi_1", "object": "payment_intent", "metadata": OURS}
SOURCES: dict[BalanceKind, tuple[str, dict[str, Any]]] = {
    BalanceKind.CHARGE: ("charge", CHARGE),
    BalanceKind.REFUND: ("refund", refund()),
    BalanceKind.REFUND_RETURNED: ("refund_failure", refund(metadata={}, payment_intent=INTENT)),
    BalanceKind.DISPUTE_WITHDRAWN: ("dispute", dispute(payment_intent=INTENT)),
    BalanceKind.DISPUTE_WON: ("dispute_reversal", dispute(payment_intent=INTENT)),
}


class TestBooks:
    def test_line_of_a_charge_names_the_payment(self) -> None:
        told = line(1250, fee=66, source=CHARGE)
        assert books.balance_entry(told) == books.BalanceEntry(
            id="txn_1",
            kind=BalanceKind.CHARGE,
            subject=Subject.PAYMENT,
            provider_reference="pi_1",
            amount=1250,
            fee=66,
            net=1184,
            currency="USD",
            at=MADE,
            available_on=MADE + timedelta(days=2),
        )

    @pytest.mark.parametrize("kind", SOURCES)
    def test_line_about_a_payment_of_ours_names_it(self, kind: BalanceKind) -> None:
        category, source = SOURCES[kind]
        told = books.balance_entry(line(-1, type="adjustment", reporting_category=category, source=source))
        assert (told.kind, told.subject, told.provider_reference) == (kind, Subject.PAYMENT, "pi_1")

    @pytest.mark.parametrize("kind", SOURCES)
    def test_line_about_a_payment_of_others_names_nothing(self, kind: BalanceKind) -> None:
        category, source = SOURCES[kind]
        theirs = source | {"metadata": {}, "payment_intent": INTENT | {"metadata": {}}}
        told = books.balance_entry(line(-1, reporting_category=category, source=theirs))
        assert (told.kind, told.subject, told.provider_reference) == (BalanceKind.OTHER, None, None)

    @pytest.mark.parametrize(
        ("kind", "category", "source"),
        [
            (BalanceKind.TRANSFER, "transfer", transfer()),
            (BalanceKind.TRANSFER_REVERSED, "transfer_reversal", transfer()),
            (
                BalanceKind.TRANSFER_REVERSED,
                "transfer_reversal",
                reversal("txn_1", MADE) | {"transfer": transfer()},
            ),
        ],
    )
    def test_line_about_a_transfer_names_it(
        self, kind: BalanceKind, category: str, source: dict[str, Any]
    ) -> None:
        told = books.balance_entry(line(-3000, reporting_category=category, source=source))
        assert (told.kind, told.subject, told.provider_reference) == (kind, Subject.TRANSFER, "tr_1")

    def test_line_about_a_transfer_made_by_hand_names_nothing(self) -> None:
        told = books.balance_entry(line(-1, reporting_category="transfer", source=transfer(metadata={})))
        assert (told.kind, told.subject) == (BalanceKind.OTHER, None)

    @pytest.mark.parametrize(
        ("category", "amount", "kind"),
        [
            ("payout", -900, BalanceKind.PLATFORM_PAYOUT),
            ("payout", 900, BalanceKind.TOP_UP),
            ("payout_reversal", 900, BalanceKind.PLATFORM_PAYOUT_RETURNED),
            ("payout_reversal", -900, BalanceKind.TOP_UP),
            ("topup", 900, BalanceKind.TOP_UP),
            ("topup_reversal", -900, BalanceKind.TOP_UP),
            ("fee", -900, BalanceKind.PROVIDER_FEE),
            ("network_cost", -900, BalanceKind.PROVIDER_FEE),
        ],
    )
    def test_line_that_is_the_platforms_own_is_to_be_looked_up_itself(
        self, category: str, amount: int, kind: BalanceKind
    ) -> None:
        told = books.balance_entry(line(amount, reporting_category=category, source=None))
        assert (told.kind, told.subject, told.provider_reference) == (kind, Subject.BALANCE_ENTRY, "txn_1")

    @pytest.mark.parametrize(
        "source", [refund(metadata={}, payment_intent=INTENT), CHARGE, refund(metadata=OURS)], ids=str
    )
    def test_line_of_what_was_let_go_is_a_fact_of_our_payment(self, source: dict[str, Any]) -> None:
        told = line(-750, type="refund", reporting_category="partial_capture_reversal", source=source)
        entry = books.balance_entry(told)
        assert (entry.kind, entry.subject, entry.provider_reference) == (
            BalanceKind.CAPTURE_REVERSED,
            Subject.BALANCE_ENTRY,
            "txn_1",
        )
        assert (entry.amount, entry.net, entry.reference) == (-750, -750, PAYMENT)
        assert books.capture_reversed(told, PAYMENT) == entry

    @pytest.mark.parametrize("source", [None, refund(metadata={}), INTENT | {"metadata": {}}], ids=str)
    def test_line_of_what_was_let_go_of_others_names_nothing(self, source: dict[str, Any] | None) -> None:
        told = line(-750, type="refund", reporting_category="partial_capture_reversal", source=source)
        entry = books.balance_entry(told)
        assert (entry.kind, entry.subject, entry.reference) == (BalanceKind.OTHER, None, None)

    @pytest.mark.parametrize("category", ["charge_failure", "something_new"])
    def test_line_of_another_category_is_told_as_other(self, category: str) -> None:
        told = books.balance_entry(line(-750, type="refund", reporting_category=category, source=CHARGE))
        assert (told.kind, told.subject, told.net) == (BalanceKind.OTHER, None, -750)

    @pytest.mark.parametrize(
        ("category", "source", "asked"),
        [
            ("charge", CHARGE | {"metadata": {}}, None),
            ("refund", refund(), None),
            ("refund", refund(metadata={}), ("payment_intent", "pi_1")),
            ("refund", refund(metadata={}, payment_intent=None), None),
            ("partial_capture_reversal", refund(metadata={}), ("payment_intent", "pi_1")),
            ("partial_capture_reversal", CHARGE, None),
            ("dispute", dispute(payment_intent="pi_1"), ("payment_intent", "pi_1")),
            ("dispute", dispute(payment_intent=INTENT), None),
            ("transfer_reversal", reversal("txn_1", MADE) | {"transfer": "tr_1"}, ("transfer", "tr_1")),
            ("transfer_reversal", transfer(), None),
            ("payout", payout(), None),
        ],
    )
    def test_what_a_source_does_not_tell_is_asked_for(
        self, category: str, source: dict[str, Any], asked: tuple[str, str] | None
    ) -> None:
        assert books.unclear(line(-1, reporting_category=category, source=source)) == asked


READERS: list[tuple[Callable[[dict[str, Any]], object], dict[str, Any]]] = [
    (lambda told: refund_fact(told, NOW, PAYMENT), refund()),
    (lambda told: dispute_fact(told, NOW, PAYMENT), dispute()),
    (lambda told: account_fact(told, NOW), account()),
    (lambda told: transfer_fact(told, NOW), transfer()),
    (lambda told: payout_fact(told, "acct_1", NOW), payout()),
    (books.balance_entry, line(1250, source=CHARGE)),
]
WRONG: list[object] = [None, True, -1, 2**64, 1.5, "", "nonsense", [], [None], {}, b"", UUID(int=0)]


@pytest.mark.parametrize("reader", READERS, ids=["refund", "dispute", "account", "transfer", "payout", "line"])
def test_reader_of_a_malformed_object_raises_nothing_unforeseen(
    reader: tuple[Callable[[dict[str, Any]], object], dict[str, Any]],
) -> None:
    read, whole = reader
    read(whole)
    refused = 0
    for name in whole:
        for value in (*WRONG, ...):
            told = {**whole, name: value}
            if value is ...:
                del told[name]
            try:
                read(told)
            except MALFORMED:
                refused += 1
    assert refused >= len(WRONG)
