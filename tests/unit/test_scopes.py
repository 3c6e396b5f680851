"""Scopes: what a claim says, and nothing it does not; what is granted without being asked for by name."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import KeySet
from typer.testing import CliRunner

from app.cli import cli
from app.settings import Settings
from core.scopes import OPERATOR_SCOPES, PERSONAL_SCOPES, Scope, parse_scopes
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


def test_scope_is_a_persons_or_an_operators() -> None:
    assert {Scope.FINANCE_READ, Scope.FINANCE_WRITE} == OPERATOR_SCOPES
    assert set(Scope) == PERSONAL_SCOPES | OPERATOR_SCOPES
    assert not PERSONAL_SCOPES & OPERATOR_SCOPES


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        ([], PERSONAL_SCOPES),
        (["--scope", "tips:write"], {Scope.TIPS_WRITE}),
        (["--scope", "finance:read"], {Scope.FINANCE_READ}),
        (["--scope", "finance:read", "--scope", "account:read"], {Scope.FINANCE_READ, Scope.ACCOUNT_READ}),
    ],
)
def test_development_token_carries_an_operators_scope_only_if_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: list[str], granted: set[Scope]
) -> None:
    monkeypatch.setenv("COMPTOIR_STATE_DIRECTORY", str(tmp_path))

    printed = CliRunner().invoke(cli, ["token", "alice", *asked])

    keys = KeySet.import_key_set(Settings().development.public_keys())
    claims = jwt.decode(printed.stdout.strip(), keys, algorithms=["ES256"]).claims
    assert claims["sub"] == "alice"
    assert parse_scopes(claims["scope"]) == granted
