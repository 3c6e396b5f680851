"""Settings: production says what it lacks and does not start; secrets are never shown."""

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from app.settings import Settings, UnsafeSettingsError

SECRET = "a secret of exactly 32 characters"
PRODUCTION: dict[str, Any] = {
    "environment": "production",
    "database_url": "postgresql://comptoir:hunter2@db.test/comptoir",
    "public_url": "https://pay.test",
    "jwks_url": "https://id.test/jwks.json",
    "jwt_issuer": "https://id.test",
    "secret_key": SECRET,
    "sandbox_webhook_secret": "whsec_c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0",
    "allow_sandbox": True,
}


pytestmark = pytest.mark.usefixtures("bare_environment")


@pytest.fixture
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what the environment of the run says."""
    for name in list(os.environ):
        if name.startswith("COMPTOIR_") or name in {"DATABASE_URL", "REDIS_URL"}:
            monkeypatch.delenv(name)


def _settings(**given: Any) -> Settings:
    return Settings(_env_file=None, **given)


def test_safe_production_starts() -> None:
    settings = _settings(**PRODUCTION)

    assert settings.checked() is settings
    assert settings.is_production
    assert not settings.is_own_issuer


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ({"database_url": None}, ["DATABASE_URL"]),
        ({"public_url": ""}, ["COMPTOIR_PUBLIC_URL"]),
        ({"public_url": "http://pay.test"}, ["COMPTOIR_PUBLIC_URL"]),
        ({"jwks_url": ""}, ["COMPTOIR_JWKS_URL"]),
        ({"jwks_url": "http://id.test/jwks.json"}, ["COMPTOIR_JWKS_URL"]),
        ({"jwt_issuer": ""}, ["COMPTOIR_JWT_ISSUER"]),
        ({"secret_key": ""}, ["COMPTOIR_SECRET_KEY"]),
        ({"secret_key": "x" * 31}, ["COMPTOIR_SECRET_KEY"]),
        ({"sandbox_webhook_secret": ""}, ["COMPTOIR_SANDBOX_WEBHOOK_SECRET"]),
        ({"cors_origins": ("https://a.test", "*")}, ["COMPTOIR_CORS_ORIGINS"]),
        ({"allow_sandbox": False}, ["COMPTOIR_ALLOW_SANDBOX"]),
        ({"metrics_token": "x" * 31}, ["COMPTOIR_METRICS_TOKEN"]),
        ({"jwt_issuer": "", "database_url": None}, ["COMPTOIR_JWT_ISSUER", "DATABASE_URL"]),
    ],
    ids=str,
)
def test_unsafe_production_does_not_start_and_names_what_it_lacks(
    changed: dict[str, Any], names: list[str]
) -> None:
    with pytest.raises(UnsafeSettingsError) as unsafe:
        _settings(**{**PRODUCTION, **changed}).checked()

    text = str(unsafe.value)
    assert all(name in text for name in names)
    assert not any(secret in text for secret in (SECRET, "hunter2", "whsec_"))


def test_bare_production_names_all_it_lacks() -> None:
    with pytest.raises(UnsafeSettingsError) as unsafe:
        _settings(environment="production").checked()

    for name in ("DATABASE_URL", "PUBLIC_URL", "JWKS_URL", "JWT_ISSUER", "SECRET_KEY", "SANDBOX_WEBHOOK_SECRET"):
        assert name in str(unsafe.value)


def test_production_never_falls_back_on_development_secrets(tmp_path: Path) -> None:
    settings = _settings(environment="production", state_directory=tmp_path)

    for read in (lambda: settings.guest_secret, lambda: settings.webhook_secrets, lambda: settings.development):
        with pytest.raises(UnsafeSettingsError):
            read()
    assert list(tmp_path.iterdir()) == []


def test_development_needs_nothing_and_keeps_its_secrets(tmp_path: Path) -> None:
    settings = _settings(state_directory=tmp_path)

    assert settings.checked() is settings
    assert settings.is_own_issuer
    again = _settings(state_directory=tmp_path)
    assert again.guest_secret == settings.guest_secret
    assert again.webhook_secrets == settings.webhook_secrets
    assert again.development.public_keys() == settings.development.public_keys()
    assert [path.stat().st_mode & 0o777 for path in tmp_path.iterdir()] == [0o600]
    assert "d" not in settings.development.public_keys()["keys"][0]


def test_secrets_are_hidden_wherever_settings_are_shown() -> None:
    settings = _settings(**PRODUCTION, redis_url="redis://:hunter3@redis.test/0")
    secrets = (SECRET, "hunter2", "hunter3", "c2VjcmV0")

    for shown in (str(settings.redacted()), repr(settings), str(settings), settings.model_dump_json()):
        assert not any(secret in shown for secret in secrets)
    redacted = settings.redacted()
    assert set(redacted) == set(Settings.model_fields)
    assert {name for name, text in redacted.items() if text == "(hidden)"} == {
        "database_url",
        "redis_url",
        "secret_key",
        "sandbox_webhook_secret",
    }
    assert redacted["public_url"] == "https://pay.test"
    assert redacted["cors_origins"] == "(not set)"


def test_setting_out_of_bounds_is_refused() -> None:
    for given in ({"port": 70_000}, {"port": -1}, {"environment": "staging"}, {"provider_timeout_seconds": 0}):
        with pytest.raises(ValidationError):
            _settings(**given)


def test_environment_is_read_with_its_prefix_and_origins_are_parted_by_commas(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COMPTOIR_PORT", "8123")
    monkeypatch.setenv("COMPTOIR_CORS_ORIGINS", "https://a.test, https://b.test,,")
    monkeypatch.setenv("DATABASE_URL", "postgresql://db.test/x")

    settings = _settings()

    assert settings.port == 8123
    assert settings.cors_origins == ("https://a.test", "https://b.test")
    assert settings.database_url is not None
    assert settings.own_url == "http://127.0.0.1:8123"
    assert settings.sandbox_webhook_url == "http://127.0.0.1:8123/webhooks/sandbox"
