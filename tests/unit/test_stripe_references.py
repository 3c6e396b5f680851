"""Names of Stripe's objects: what is ours is known by its metadata, and what is no id is never sent."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.ids import uuid7
from providers.payments.base import ProviderError, ProviderErrorCode, Subject
from providers.payments.stripe import references

OURS = UUID("01890000-0000-7000-8000-000000000000")
SINGLE = sorted(references.PREFIXES.keys() - {Subject.PAYOUT})


@pytest.mark.parametrize(
    "source",
    [
        {}, {"metadata": None}, {"metadata": []}, {"metadata": "comptoir_payment"}, {"metadata": {}},
        {"metadata": {"comptoir_payment": None}}, {"metadata": {"comptoir_payment": 1}},
        {"metadata": {"comptoir_payment": ""}}, {"metadata": {"comptoir_payment": "pay_1"}},
        {"metadata": {"comptoir_refund": str(OURS)}},
    ],
)  # fmt: skip
def test_object_of_somebody_else_is_not_ours(source: dict[str, object]) -> None:
    assert references.ours(source, references.PAYMENT) is None


def test_object_of_ours_is_known() -> None:
    assert references.ours({"metadata": {"comptoir_payment": str(OURS)}}, references.PAYMENT) == OURS


@given(
    value=st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_reading_metadata_is_total(value: object) -> None:
    assert references.ours({"metadata": value}, references.PAYMENT) is None
    assert references.ours({"metadata": {references.PAYMENT: value}}, references.PAYMENT) is None


@pytest.mark.parametrize(
    ("subject", "known"),
    [
        (Subject.PAYMENT, "pi_3Abc"), (Subject.REFUND, "re_3Abc"), (Subject.REFUND, "pyr_1Abc"),
        (Subject.DISPUTE, "dp_1Abc"), (Subject.DISPUTE, "du_1Abc"), (Subject.ACCOUNT, "acct_1Abc"),
        (Subject.TRANSFER, "tr_1Abc"), (Subject.BALANCE_ENTRY, "txn_1Abc"),
    ],
)  # fmt: skip
def test_id_of_the_right_form_is_known(subject: Subject, known: str) -> None:
    assert references.known(subject, known) == known


@pytest.mark.parametrize("subject", SINGLE)
@pytest.mark.parametrize(
    "text",
    [
        "", "{p}", "{p}a/../../v1/balance", "{p}a?limit=1", "{p}a#", "{p}a b", "{p}é", "{p}a\n", "{p}\u0661", "{p}%2e%2e",
        "{p}" + "a" * 255, "sbx_1", "ch_1", "{P}A", " {p}a",
    ],
)  # fmt: skip
def test_text_that_is_no_id_is_not_found(subject: Subject, text: str) -> None:
    prefix = references.PREFIXES[subject][0]
    with pytest.raises(ProviderError) as caught:
        references.known(subject, text.format(p=prefix, P=prefix.upper()))
    assert (caught.value.code, caught.value.ambiguous) == (ProviderErrorCode.NOT_FOUND, False)


def test_payouts_and_methods_are_named_with_their_owners() -> None:
    assert references.known_payout(references.join("acct_1", "po_2")) == ("acct_1", "po_2")
    assert references.known_method(references.join("cus_1", "pm_2")) == ("cus_1", "pm_2")


@pytest.mark.parametrize(
    "text", ["po_1", "acct_1/", "acct_1/tr_1", "acct_1/po_1/x", "/po_1", "po_1/acct_1", "acct_1\\po_1"]
)
def test_payout_without_its_account_is_not_found(text: str) -> None:
    with pytest.raises(ProviderError) as caught:
        references.known_payout(text)
    assert caught.value.code is ProviderErrorCode.NOT_FOUND
    assert references.split(text, "acct_", "po_") is None


@pytest.mark.parametrize("text", ["pm_1", "cus_1/", "cus_1/src_1", "cus_1/pm_1/x", "/pm_1", "pm_1/cus_1"])
def test_method_without_its_customer_is_not_found(text: str) -> None:
    with pytest.raises(ProviderError) as caught:
        references.known_method(text)
    assert caught.value.code is ProviderErrorCode.NOT_FOUND


def test_search_begins_an_hour_before_an_id_was_made() -> None:
    assert references.window(OURS) == datetime(2023, 6, 28, 2, 15, 47, 328_000, tzinfo=UTC)
    now = datetime.now(UTC)
    assert abs(references.window(uuid7()) - (now - timedelta(hours=1))) < timedelta(minutes=1)


def test_id_that_tells_no_time_leaves_nothing_out() -> None:
    beginning = datetime(1970, 1, 1, tzinfo=UTC)
    assert references.window(uuid4()) == beginning
    assert references.window(UUID(int=0x7 << 76)) == beginning
