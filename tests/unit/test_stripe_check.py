"""``comptoir stripe``: endpoints are made once and told right; what is wrong is said, with what to do, and no secret."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import stripe
from click.testing import Result
from typer.testing import CliRunner

from app.cli import cli
from providers.payments.stripe import API_VERSION, translation
from providers.payments.stripe.checks import settlement_finding
from providers.payments.stripe.endpoints import EVENTS, Role, url_problem
from providers.payments.stripe.findings import Mark
from tests.support.stripe_desk import KEY, Desk, running_desk
from tests.unit.test_stripe_settings import bare_environment

__all__ = ["bare_environment"]

URL = "https://pay.example.com/webhooks/stripe"
SECRETS = ("whsec_NonesuchPlatform", "whsec_NonesuchConnected", "whsec_NonesuchAccounts")

runner = CliRunner()


@pytest.fixture
def desk(bare_environment: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """An account at Stripe with nothing set up, and the settings to reach it."""
    with running_desk() as desk:
        for name, value in {
            "COMPTOIR_PROVIDER": "stripe",
            "COMPTOIR_PUBLIC_URL": "https://pay.example.com/",
            "STRIPE_API_KEY": KEY,
            "STRIPE_WEBHOOK_SECRET": ",".join(SECRETS),
            "STRIPE_API_URL": desk.url,
        }.items():
            monkeypatch.setenv(name, value)
        yield desk
    assert desk.mistakes == []


@pytest.fixture
def ready(desk: Desk) -> Desk:
    """An account where all is set up."""
    assert run("setup").exit_code == 0
    desk.asked.clear()
    return desk


def run(*arguments: str) -> Result:
    result = runner.invoke(cli, ["stripe", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    for secret in (KEY, KEY[-6:], *SECRETS):
        assert secret not in result.output
        assert secret not in result.stderr
    return result


def wrong(result: Result) -> list[str]:
    return [line.removeprefix("✗ ") for line in result.output.splitlines() if line.startswith("✗ ")]


def test_every_event_that_is_translated_is_sent_and_no_other() -> None:
    assert set(EVENTS[Role.PLATFORM]) == set(translation.EVENT_TYPES)
    assert set(EVENTS[Role.CONNECTED]) == set(translation.PAYOUT_EVENTS)
    assert all(kind.startswith(("v2.core.account.", "v2.core.account[")) for kind in EVENTS[Role.ACCOUNTS])
    known = (Path(stripe.__file__).parent / "events" / "_event_classes.py").read_text(encoding="utf-8")
    assert all(f'"{kind}"' in known for kind in EVENTS[Role.ACCOUNTS])


def test_setup_makes_three_endpoints_and_tells_their_secrets_once(desk: Desk) -> None:
    result = run("setup")

    assert result.exit_code == 0
    assert [(each["url"], each["api_version"], each["connected"]) for each in desk.endpoints] == [
        (URL, API_VERSION, False),
        (URL, API_VERSION, True),
    ]
    assert [set(each["enabled_events"]) for each in desk.endpoints] == [
        set(EVENTS[Role.PLATFORM]),
        set(EVENTS[Role.CONNECTED]),
    ]
    (thin,) = desk.destinations
    assert (thin["event_payload"], thin["events_from"]) == ("thin", ["@accounts"])
    assert thin["webhook_endpoint"]["url"] == URL
    assert set(thin["enabled_events"]) == set(EVENTS[Role.ACCOUNTS])
    (line,) = [line for line in result.stdout.splitlines() if "whsec_" in line]
    assert re.fullmatch(r"STRIPE_WEBHOOK_SECRET=whsec_\w+,whsec_\w+,whsec_\w+", line)
    assert "only when its endpoint is made" in result.stderr


def test_setup_again_changes_nothing_and_tells_no_secret(ready: Desk) -> None:
    result = run("setup")

    assert result.exit_code == 0
    assert ready.written == []
    assert (len(ready.endpoints), len(ready.destinations)) == (2, 1)
    assert "whsec_" not in result.output
    assert "are not told again" in result.stderr


def test_setup_finds_its_endpoints_behind_many_others(ready: Desk) -> None:
    others = [
        {**ready.endpoints[0], "id": f"we_{number}", "url": f"https://{number}.example.com", "metadata": {}}
        for number in range(5)
    ]
    ready.endpoints[:0] = others
    ready.page = 2

    result = run("setup")

    assert result.exit_code == 0
    assert ready.written == []


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda each: each["enabled_events"].remove(each["enabled_events"][0]), "does not send"),
        (lambda each: each["enabled_events"].append("v1.nonesuch"), "sends what nobody reads: v1.nonesuch"),
        (lambda each: each.update(status="disabled"), "is disabled"),
    ],
    ids=["lacking", "superfluous", "disabled"],
)
@pytest.mark.parametrize("role", list(Role))
def test_endpoint_that_differs_is_told_and_set_right(
    role: Role, damage: Callable[[dict[str, Any]], None], said: str, ready: Desk
) -> None:
    (endpoint,) = [
        each for each in (*ready.endpoints, *ready.destinations) if each["metadata"]["comptoir"] == role
    ]
    damage(endpoint)

    checked = run("check")
    mended = run("setup")

    assert checked.exit_code == 1
    assert [endpoint["id"] in line and said in line for line in wrong(checked)] == [True]
    assert mended.exit_code == 0
    assert f"{endpoint['id']}, for" in mended.output
    assert "brought up to date" in mended.output
    assert "whsec_" not in mended.output
    assert (endpoint["status"], set(endpoint["enabled_events"])) == ("enabled", set(EVENTS[role]))
    assert (len(ready.endpoints), len(ready.destinations)) == (2, 1)
    assert run("check").exit_code == 0


def test_endpoint_of_another_version_is_replaced_and_left_for_a_person_to_delete(ready: Desk) -> None:
    old = ready.endpoints[0]
    old["api_version"] = "2019-01-01"

    checked = run("check")
    result = run("setup")

    assert [
        f"speaks version 2019-01-01 of the API instead of {API_VERSION}" in line for line in wrong(checked)
    ] == [True]
    assert result.exit_code == 0
    assert f"{old['id']} is there for the same: delete it" in result.output
    assert "Add it to what STRIPE_WEBHOOK_SECRET holds" in result.stderr
    assert (len(ready.endpoints), old["status"]) == (3, "enabled")
    assert [f"{old['id']} sends the platform's own events once more." in line for line in wrong(run("check"))] == [
        True
    ]
    ready.endpoints.remove(old)
    assert run("check").exit_code == 0


def test_endpoint_made_by_hand_is_taken_over(ready: Desk) -> None:
    ready.endpoints[0]["metadata"] = {}

    assert run("check").exit_code == 0
    assert run("setup").exit_code == 0

    assert len(ready.endpoints) == 2
    assert ready.endpoints[0]["metadata"] == {"comptoir": "platform"}


def test_endpoints_of_another_address_are_another_deployments(ready: Desk) -> None:
    result = run("setup", "--url", "https://staging.example.com/webhooks/stripe")

    assert result.exit_code == 0
    assert (len(ready.endpoints), len(ready.destinations)) == (4, 2)
    assert run("check").exit_code == 0


def test_secrets_told_so_far_are_not_lost_when_the_next_endpoint_fails(desk: Desk) -> None:
    desk.forbidden["/v2/core/event_destinations"] = "rak_event_destination_read"

    result = run("setup")

    assert result.exit_code == 1
    assert len(re.findall(r"whsec_\w+", result.stdout)) == 2
    assert "Give it the permission rak_event_destination_read" in result.stderr


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("http://pay.example.com/webhooks/stripe", "https addresses only"),
        ("https://127.0.0.1/webhooks/stripe", "cannot reach an address of this machine"),
        ("https://localhost:8000/webhooks/stripe", "cannot reach an address of this machine"),
        ("https://[::1]/webhooks/stripe", "cannot reach an address of this machine"),
        ("https://10.1.2.3/webhooks/stripe", "cannot reach an address of this machine"),
        ("https://pay.local/webhooks/stripe", "cannot reach an address of this machine"),
        ("pay.example.com/webhooks/stripe", "must be a whole one"),
        ("https://pay.example.com", "ends in /webhooks/stripe"),
        ("https://pay.example.com/webhooks/stripe?x=1", "no query"),
        ("https://a:b@pay.example.com/webhooks/stripe", "no password"),
        ("https://[::1/webhooks/stripe", "must be a whole one"),
    ],
)
def test_address_that_stripe_cannot_use_is_refused(
    url: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing stands in for Stripe here: nothing may be asked.
    monkeypatch.setenv("STRIPE_API_KEY", KEY)

    result = run("setup", "--url", url)

    assert result.exit_code == 2
    assert sentence in result.stderr
    assert url_problem(URL, stand_in=False) is None


def test_setup_without_a_key_says_where_keys_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIPE_API_KEY", "")

    result = run("setup", "--url", URL)

    assert result.exit_code == 1
    assert "STRIPE_API_KEY is not set" in result.stderr


def test_setup_needs_neither_a_secret_nor_the_rest_of_production(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STRIPE_WEBHOOK_SECRET")
    monkeypatch.setenv("COMPTOIR_PROVIDER", "sandbox")

    assert run("setup", "--url", URL).exit_code == 0
    assert len(desk.endpoints) == 2


def test_all_is_right_where_all_is_set_up(ready: Desk) -> None:
    ready.schedules = {"acct_1Ada": "manual"}

    result = run("check")

    assert result.exit_code == 0
    assert wrong(result) == []
    assert "The key works: account acct_1NonesuchPlatform, country US." in result.output
    assert "1 connected accounts are paid out by Comptoir alone." in result.output
    assert "Stripe is set up as it has to be." in result.output
    assert ready.written == []


def test_nothing_set_up_names_what_is_missing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STRIPE_WEBHOOK_SECRET")

    result = run("check")

    assert result.exit_code == 1
    assert wrong(result) == [
        "There is no endpoint for the platform's own events.",
        "There is no endpoint for the events of connected accounts.",
        "There is no endpoint for the thin events of Accounts v2.",
        "STRIPE_WEBHOOK_SECRET has 0 signing secrets, and 1 are needed.",
    ]
    assert result.output.count("What to do: Run `comptoir stripe setup`") == 3


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (
            lambda desk: desk.account.update(charges_enabled=False),
            "The platform's account can charge nothing yet.",
        ),
        (
            lambda desk: desk.account.update(payouts_enabled=False),
            "The platform's account can pay out nothing yet.",
        ),
        (
            lambda desk: desk.account["capabilities"].update(transfers="pending"),
            "The capability transfers is pending.",
        ),
        (
            lambda desk: desk.account["capabilities"].update(card_payments="inactive"),
            "The capability card_payments is inactive.",
        ),
        (lambda desk: setattr(desk, "live", True), "Stripe does not take the key for one of test mode."),
        (lambda desk: desk.schedules.update(acct_1Ada="daily"), "Stripe pays out by itself from acct_1Ada."),
        (
            lambda desk: desk.forbidden.update({"/v2/core/accounts": "rak_v2_accounts_read"}),
            "Reading connected accounts (Accounts v2) is not allowed to this key.",
        ),
        (
            lambda desk: desk.forbidden.update({"/v1/disputes": "rak_dispute_read"}),
            "Reading disputes is not allowed to this key.",
        ),
        (lambda desk: desk.broken.add("/v1/events"), "Reading events failed: Stripe does not answer (http_500)."),
    ],
    ids=str,
)
def test_what_is_wrong_at_stripe_is_said(damage: Callable[[Desk], None], said: str, ready: Desk) -> None:
    damage(ready)

    result = run("check")

    assert result.exit_code == 1
    assert wrong(result) == [said]
    assert "What to do: " in result.output.partition(said)[2].splitlines()[1]


def test_permission_that_is_lacking_is_named(ready: Desk) -> None:
    ready.forbidden["/v1/account"] = "rak_accounts_kyc_basic_read"

    result = run("check")

    assert wrong(result) == ["Reading the account is not allowed to this key."]
    assert "Give it the permission rak_accounts_kyc_basic_read" in result.output
    assert "There are 3 signing secrets for 3 endpoints." in result.output


@pytest.mark.parametrize(("ahead", "direction"), [(300, "behind"), (-300, "ahead of")])
def test_clock_that_differs_is_told(ahead: int, direction: str, ready: Desk) -> None:
    ready.ahead = timedelta(seconds=ahead)

    result = run("check")

    (said,) = wrong(result)
    assert re.fullmatch(rf"This machine's clock is (29|30)\d seconds {direction} Stripe's\.", said)


def test_fewer_secrets_than_endpoints_is_told(ready: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", ",".join(SECRETS[:2]))

    assert wrong(run("check")) == ["STRIPE_WEBHOOK_SECRET has 2 signing secrets, and 3 are needed."]


def test_key_that_stripe_does_not_know_ends_the_check(ready: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIPE_API_KEY", "sk_test_51SomebodyElse")

    result = run("check")

    assert result.exit_code == 1
    assert [line.startswith("Reading the account is refused by Stripe (") for line in wrong(result)] == [True]
    assert "Nothing else was looked at." in result.output
    assert "SomebodyElse" not in result.output
    assert ready.asked == []


def test_settings_that_cannot_work_are_said_and_nothing_is_asked(
    ready: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRIPE_API_KEY", SECRETS[0])
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", KEY)

    result = run("check")

    assert result.exit_code == 1
    assert [line.startswith("STRIPE_API_KEY is a webhook's signing secret") for line in wrong(result)] == [True]
    assert ready.asked == []


def test_machine_that_stripe_cannot_reach_needs_forwarding_and_a_secret(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    import app.cli_stripe

    monkeypatch.setenv("COMPTOIR_PUBLIC_URL", "")
    monkeypatch.setattr(app.cli_stripe, "_url_problem", lambda settings, url: url_problem(url, stand_in=False))

    forwarded = run("check")
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", "")
    without = run("check")

    assert forwarded.exit_code == 0
    assert "forward events with Stripe's command line" in forwarded.output
    assert wrong(without) == ["STRIPE_WEBHOOK_SECRET has 0 signing secrets, and 1 are needed."]


@pytest.mark.parametrize(
    ("settles", "declared", "mark", "said"),
    [
        ({"USD", "EUR"}, ["EUR", "USD"], Mark.RIGHT, "in every currency"),
        ({"USD"}, ["EUR", "JPY", "USD"], Mark.NOTE, "no balance in EUR, JPY."),
        ({"USD"}, [], Mark.NOTE, "not compared"),
    ],
)
def test_currencies_that_stripe_would_convert_are_noted(
    settles: set[str], declared: list[str], mark: Mark, said: str
) -> None:
    finding = settlement_finding(settles, declared)

    assert finding.mark is mark
    assert said in finding.text


@pytest.mark.parametrize("arguments", [["check", "--nonesuch"], ["setup", "nonesuch"], ["nonesuch"]])
def test_what_is_asked_wrongly_is_told(arguments: list[str]) -> None:
    result = run(*arguments)

    assert result.exit_code == 2
    assert "nonesuch" in result.stderr
