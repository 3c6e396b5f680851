"""Scopes: what a claim says, and nothing it does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.scopes import Scope, parse_scopes
from core.viewer import ANONYMOUS, Viewer


@given(st.sets(st.sampled_from(Scope)))
def test_claim_says_exactly_the_scopes_in_it(scopes: set[Scope]) -> None:
    assert parse_scopes(" ".join(scope.value for scope in scopes)) == scopes


@pytest.mark.parametrize(
    "claim",
    [
        "",
        " ",
        "*",
        "TIPS:WRITE",
        "tips",
        "tips:",
        "tips:writ",
        "tips:write,payments:write",
        "tips: write",
        "admin",
    ],
)
def test_claim_of_no_scope_says_nothing(claim: str) -> None:
    assert parse_scopes(claim) == frozenset()


def test_unknown_words_are_passed_over_and_space_of_any_width_parts() -> None:
    assert parse_scopes("openid  tips:write\tprofile account:read tips:write") == {
        Scope.TIPS_WRITE,
        Scope.ACCOUNT_READ,
    }


@given(st.text())
def test_any_claim_is_read(claim: str) -> None:
    assert parse_scopes(claim) <= set(Scope)


def test_nobody_may_anything() -> None:
    assert not any(ANONYMOUS.may(scope) for scope in Scope)
    assert not ANONYMOUS.is_signed_in


@given(st.sets(st.sampled_from(Scope)), st.sampled_from(Scope))
def test_viewer_may_what_the_scopes_say(scopes: set[Scope], scope: Scope) -> None:
    assert Viewer(scopes=frozenset(scopes)).may(scope) == (scope in scopes)
