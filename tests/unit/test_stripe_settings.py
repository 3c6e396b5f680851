"""Settings of Stripe: what cannot work or must not be is refused at the start, in a sentence, without its value."""

import os
from typing import Any

import pytest
from typer.testing import CliRunner

from app.cli import cli
from app.settings import Settings, UnsafeSettingsError
from tests.unit.test_settings import PRODUCTION

runner = CliRunner()

TEST_KEY = "sk_test_51Nonesuch0123456789"
LIVE_KEY = "rk_live_51Nonesuch0123456789"
SECRET = "whsec_Nonesuch0123456789"
STRIPE: dict[str, Any] = {
    "provider": "stripe",
    "stripe_api_key": TEST_KEY,
    "stripe_webhook_secret": SECRET,
}
LIVE: dict[str, Any] = {
    **{name: value for name, value in PRODUCTION.items() if "sandbox" not in name},
    **STRIPE,
    "stripe_api_key": LIVE_KEY,
}


pytestmark = pytest.mark.usefixtures("bare_environment")


@pytest.fixture
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what the environment of the run says."""
    for name in list(os.environ):
        if name.startswith(("COMPTOIR_", "STRIPE_")) or name in {"DATABASE_URL", "REDIS_URL"}:
            monkeypatch.delenv(name)


def _settings(**given: Any) -> Settings:
    return Settings(_env_file=None, **given)


def _refusal(**given: Any) -> str:
    with pytest.raises(UnsafeSettingsError) as unsafe:
        _settings(**given).checked()
    text = str(unsafe.value)
    assert "Nonesuch" not in text
    return text


@pytest.mark.parametrize("key", [TEST_KEY, TEST_KEY.replace("sk_", "rk_")])
def test_development_runs_on_a_test_key(key: str) -> None:
    settings = _settings(**{**STRIPE, "stripe_api_key": key})

    assert settings.checked() is settings
    assert settings.stripe_webhook_secrets == (SECRET,)


def test_production_runs_on_a_live_key_and_needs_nothing_of_the_sandbox() -> None:
    settings = _settings(**LIVE)

    assert settings.checked() is settings
    assert settings.is_production


def test_environment_names_the_provider_and_its_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPTOIR_PROVIDER", "stripe")
    monkeypatch.setenv("STRIPE_API_KEY", TEST_KEY)
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", f"{SECRET}a, {SECRET}b,,{SECRET}a,")

    settings = _settings().checked()

    assert settings.provider == "stripe"
    assert settings.stripe_api_key.get_secret_value() == TEST_KEY
    assert settings.stripe_webhook_secrets == (f"{SECRET}a", f"{SECRET}b")
    assert not settings.stripe_api_url


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"stripe_api_key": ""}, "STRIPE_API_KEY is not set."),
        ({"stripe_webhook_secret": ""}, "STRIPE_WEBHOOK_SECRET is not set:"),
        ({"stripe_webhook_secret": " , ,"}, "STRIPE_WEBHOOK_SECRET is not set:"),
        ({"stripe_api_key": "pk_test_51Nonesuch"}, "STRIPE_API_KEY is a publishable key"),
        ({"stripe_api_key": SECRET}, "STRIPE_API_KEY is a webhook's signing secret: is it swapped"),
        ({"stripe_webhook_secret": TEST_KEY}, "STRIPE_WEBHOOK_SECRET holds an API key: is it swapped"),
        (
            {"stripe_webhook_secret": f"{SECRET},{LIVE_KEY}"},
            "STRIPE_WEBHOOK_SECRET holds an API key: is it swapped",
        ),
        (
            {"stripe_webhook_secret": f"{SECRET},Nonesuch"},
            "STRIPE_WEBHOOK_SECRET holds something that is no signing",
        ),
        (
            {"stripe_webhook_secret": f"{SECRET};{SECRET}"},
            "STRIPE_WEBHOOK_SECRET holds something that is no signing",
        ),
        ({"stripe_webhook_secret": "whsec_"}, "STRIPE_WEBHOOK_SECRET holds something that is no signing"),
        ({"stripe_api_key": "sk_org_live_Nonesuch"}, "STRIPE_API_KEY is a key of an organisation"),
        ({"stripe_api_key": "ek_test_Nonesuch"}, "STRIPE_API_KEY is an ephemeral key"),
        ({"stripe_api_key": "Nonesuch"}, "STRIPE_API_KEY is not a key:"),
        ({"stripe_api_key": "sk_test_"}, "STRIPE_API_KEY is not a key:"),
        ({"stripe_api_key": f"{TEST_KEY}\n"}, "STRIPE_API_KEY is not a key:"),
        ({"stripe_api_key": f"'{TEST_KEY}'"}, "STRIPE_API_KEY is not a key:"),
        ({"stripe_api_key": f"{TEST_KEY}é"}, "STRIPE_API_KEY is not a key:"),
        ({"stripe_api_key": LIVE_KEY}, "STRIPE_API_KEY is a live key, and COMPTOIR_ENVIRONMENT is development"),
        ({"stripe_api_url": "https://api.example.com"}, "STRIPE_API_URL must be an address of this machine"),
        ({"stripe_api_url": "http://10.0.0.1:12111"}, "STRIPE_API_URL must be an address of this machine"),
        (
            {"stripe_api_url": "http://127.0.0.1@api.example.com"},
            "STRIPE_API_URL must be an address of this machine",
        ),
        ({"stripe_api_url": "http://localhost.example.com"}, "STRIPE_API_URL must be an address of this machine"),
        ({"stripe_api_url": "http://127.0.0.1:x"}, "STRIPE_API_URL must be an address of this machine"),
        ({"stripe_api_url": "ftp://127.0.0.1"}, "STRIPE_API_URL must be an address of this machine"),
        ({"provider_timeout_seconds": 9.9}, "COMPTOIR_PROVIDER_TIMEOUT_SECONDS must be from 10 to 20"),
        ({"provider_timeout_seconds": 21}, "COMPTOIR_PROVIDER_TIMEOUT_SECONDS must be from 10 to 20"),
    ],
    ids=str,
)
def test_what_cannot_work_is_refused_in_development_too(changed: dict[str, Any], sentence: str) -> None:
    assert _refusal(**{**STRIPE, **changed}).startswith(sentence)


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"stripe_api_key": ""}, "STRIPE_API_KEY"),
        ({"stripe_webhook_secret": ""}, "STRIPE_WEBHOOK_SECRET"),
        ({"stripe_api_key": TEST_KEY}, "COMPTOIR_ALLOW_STRIPE_TEST"),
        ({"stripe_api_url": "http://127.0.0.1:12111"}, "STRIPE_API_URL"),
        ({"public_url": "http://pay.test"}, "COMPTOIR_PUBLIC_URL"),
        ({"provider_timeout_seconds": 5}, "COMPTOIR_PROVIDER_TIMEOUT_SECONDS"),
    ],
    ids=str,
)
def test_unsafe_production_is_refused(changed: dict[str, Any], name: str) -> None:
    assert name in _refusal(**{**LIVE, **changed})


def test_production_that_lacks_everything_names_what_stripe_needs_and_not_what_the_sandbox_does() -> None:
    text = _refusal(environment="production", provider="stripe")

    assert "STRIPE_API_KEY" in text
    assert "STRIPE_WEBHOOK_SECRET" in text
    assert "SANDBOX" not in text


def test_production_runs_in_test_mode_only_if_that_is_meant() -> None:
    settings = _settings(**{**LIVE, "stripe_api_key": TEST_KEY, "allow_stripe_test": True})

    assert settings.checked() is settings


def test_live_key_never_runs_in_development_whatever_is_allowed() -> None:
    allowed = {"allow_stripe_test": True, "stripe_api_url": "http://127.0.0.1:12111"}

    assert "live key" in _refusal(**{**STRIPE, **allowed, "stripe_api_key": LIVE_KEY})


@pytest.mark.parametrize("url", ["http://127.0.0.1:12111", "https://localhost", "http://[::1]:12111/"])
def test_stand_in_on_this_machine_may_answer_as_fast_as_it_likes(url: str) -> None:
    settings = _settings(**STRIPE, stripe_api_url=url, provider_timeout_seconds=1)

    assert settings.checked() is settings


def test_sandbox_does_not_mind_what_is_set_for_stripe() -> None:
    settings = _settings(stripe_api_key="pk_live_x", stripe_webhook_secret="x", provider_timeout_seconds=1)

    assert settings.checked().provider == "sandbox"


def test_secrets_of_stripe_are_hidden_wherever_settings_are_shown() -> None:
    settings = _settings(**STRIPE, stripe_api_url="http://127.0.0.1:12111")

    for shown in (str(settings.redacted()), repr(settings), str(settings), settings.model_dump_json()):
        assert "Nonesuch" not in shown
    assert settings.redacted()["stripe_api_key"] == "(hidden)"
    assert settings.redacted()["stripe_webhook_secret"] == "(hidden)"
    assert settings.redacted()["stripe_api_url"] == "http://127.0.0.1:12111"


def test_config_shows_the_settings_and_says_that_they_may_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPTOIR_PROVIDER", "stripe")
    monkeypatch.setenv("STRIPE_API_KEY", SECRET)
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", TEST_KEY)

    result = runner.invoke(cli, ["config"])

    assert isinstance(result.exception, UnsafeSettingsError)
    assert "stripe_webhook_secret" in result.output
    assert "Nonesuch" not in result.output
    assert "Nonesuch" not in str(result.exception)


@pytest.mark.parametrize("command", [["status"], ["advance", "1d"]])
def test_sandbox_is_not_driven_where_stripe_is_the_provider(
    command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMPTOIR_PROVIDER", "stripe")
    monkeypatch.setenv("STRIPE_API_KEY", TEST_KEY)
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", SECRET)

    result = runner.invoke(cli, ["sandbox", *command])

    assert result.exit_code == 1
    assert "The provider is not the sandbox but stripe (COMPTOIR_PROVIDER)" in result.stderr


def test_story_is_not_played_against_a_server_on_stripe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPTOIR_PROVIDER", "stripe")

    result = runner.invoke(cli, ["demo", "--url", "http://127.0.0.1:9"])

    assert result.exit_code == 1
    assert "The story pays with cards of the sandbox" in result.output
