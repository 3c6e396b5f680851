"""Configuration: the environment, typed. ``comptoir config`` prints it with its secrets hidden."""

import re
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AliasChoices, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app import stripe_settings
from app.development import DevelopmentSecrets
from providers.storage.base import S3Options

_CREDENTIALS: Final = re.compile(r"//[^/@\s]*@")
CHECKOUT: Final = Path(__file__).resolve().parent.parent


class UnsafeSettingsError(Exception):
    """A setting that must not start; the message names it and says what to do."""


class Settings(BaseSettings):
    """Every setting of a process. In development each has a value that works; production names its own."""

    model_config = SettingsConfigDict(
        env_prefix="COMPTOIR_", env_file=".env", extra="ignore", frozen=True, populate_by_name=True
    )

    environment: Literal["development", "production"] = "development"
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on.")
    public_url: str = Field("", description="How clients reach this server; http://host:port without it.")
    database_url: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("DATABASE_URL", "database_url"),
        description="PostgreSQL; without it one is found on this machine and started.",
    )
    redis_url: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("REDIS_URL", "redis_url"),
        description="Redis, for more than one web process.",
    )
    jwt_issuer: str = Field("", description="Who issues access tokens (the `iss` claim).")
    jwt_audience: str = Field("comptoir", description="Whom access tokens are for (the `aud` claim).")
    jwks_url: str = Field("", description="Where the issuer publishes its keys.")
    secret_key: SecretStr = Field(
        SecretStr(""), description="Signs guests' payment tokens. 32 characters or more."
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Origins of browsers that may call, separated by commas."
    )
    provider: Literal["sandbox", "stripe"] = Field("sandbox", description="The payment provider.")
    sandbox_webhook_secret: SecretStr = Field(
        SecretStr(""), description="Signs the sandbox's webhooks: whsec_ and base64."
    )
    allow_sandbox: bool = Field(False, description="Let production run on the sandbox, which moves no money.")
    webhook_url: str = Field(
        "", description="Where the sandbox sends webhooks; /webhooks/sandbox here without it."
    )
    stripe_api_key: SecretStr = Field(
        SecretStr(""),
        validation_alias=AliasChoices("STRIPE_API_KEY", "stripe_api_key"),
        description="Stripe's secret or restricted key: sk_… or rk_….",
    )
    stripe_webhook_secret: SecretStr = Field(
        SecretStr(""),
        validation_alias=AliasChoices("STRIPE_WEBHOOK_SECRET", "stripe_webhook_secret"),
        description="Sign Stripe's webhooks: the whsec_… of each endpoint, separated by commas.",
    )
    stripe_api_url: str = Field(
        "",
        validation_alias=AliasChoices("STRIPE_API_URL", "stripe_api_url"),
        description="What stands in for Stripe on this machine; never in production.",
    )
    allow_stripe_test: bool = Field(
        False, description="Let production run with a test key of Stripe, which moves no money."
    )
    provider_timeout_seconds: float = Field(
        20, gt=0, description="How long a provider may take to answer; with Stripe 10 to 20."
    )
    settle_grace_seconds: float = Field(
        5, gt=0, description="How long an accepted payment may wait for its webhook."
    )
    payment_expiry_seconds: float = Field(3600, gt=0, description="After this an unpaid purchase is cancelled.")
    storage_url: str = Field(
        "", description="Where uploaded files are kept: a folder, or s3://bucket; var/files without it."
    )
    s3_endpoint: str = Field(
        "", description="Where an S3-compatible store is reached, https://…; without it, Amazon's."
    )
    s3_region: str = Field("", description="The region of the bucket.")
    s3_access_key_id: SecretStr = Field(
        SecretStr(""), description="The key of the store; without it, that of the machine's role."
    )
    s3_secret_access_key: SecretStr = Field(SecretStr(""), description="The secret of that key.")
    upload_max_bytes: int = Field(
        2 * 1024**3,
        ge=1,
        le=5 * 1024**3,
        description="How large a file to be sold may be; a store copies at most 5 GiB at once.",
    )
    metrics_token: SecretStr = Field(
        SecretStr(""),
        description="Who shows it as a bearer token may read /metrics. Production needs it for that.",
    )
    worker_metrics_port: int = Field(
        0, ge=0, le=65535, description="Port on which a worker serves /metrics; 0 for none."
    )
    state_directory: Path = Field(CHECKOUT / "var", description="Where development keeps its database and keys.")

    @model_validator(mode="before")
    @classmethod
    def _split_origins(cls, values: Any) -> Any:
        origins = values.get("cors_origins") if isinstance(values, dict) else None
        if isinstance(origins, str):
            values["cors_origins"] = tuple(part.strip() for part in origins.split(",") if part.strip())
        return values

    @property
    def is_production(self) -> bool:
        return self.environment == "production"

    @property
    def files_url(self) -> str:
        """Where uploaded files are kept."""
        return self.storage_url or str(self.state_directory / "files")

    @property
    def s3_options(self) -> S3Options:
        """How an S3-compatible store is reached."""
        return S3Options(
            endpoint=self.s3_endpoint or None,
            region=self.s3_region or None,
            access_key_id=self.s3_access_key_id.get_secret_value() or None,
            secret_access_key=self.s3_secret_access_key.get_secret_value() or None,
        )

    @property
    def own_url(self) -> str:
        """How clients reach this server, without a slash at the end."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")

    @property
    def sandbox_webhook_url(self) -> str:
        return self.webhook_url or f"http://127.0.0.1:{self.port}/webhooks/sandbox"

    @property
    def is_own_issuer(self) -> bool:
        """Whether this server issues its own access tokens: in development, unless another issuer is named."""
        return not self.is_production and not self.jwks_url

    @property
    def issuer(self) -> str:
        return self.jwt_issuer or "comptoir-development"

    @cached_property
    def development(self) -> DevelopmentSecrets:
        """The secrets of this checkout; never used in production."""
        if self.is_production:
            raise UnsafeSettingsError("Development secrets are never used in production.")
        return DevelopmentSecrets.of(self.state_directory)

    @property
    def guest_secret(self) -> str:
        return self.secret_key.get_secret_value() or self.development.secret_key

    @property
    def webhook_secrets(self) -> tuple[str, ...]:
        """The sandbox's webhook secrets, the one that signs first."""
        given = self.sandbox_webhook_secret.get_secret_value()
        if given:
            return tuple(part.strip() for part in given.split(","))
        return (self.development.webhook_secret,)

    @property
    def stripe_webhook_secrets(self) -> tuple[str, ...]:
        """The signing secrets of Stripe's endpoints: any of them may have signed."""
        return stripe_settings.webhook_secrets(self.stripe_webhook_secret.get_secret_value())

    def stripe_key_problem(self) -> str | None:
        """Return what is wrong with the key of Stripe, and with where it would be sent, in a sentence."""
        return stripe_settings.key_problem(
            self.stripe_api_key.get_secret_value(),
            production=self.is_production,
            allow_test=self.allow_stripe_test,
        ) or stripe_settings.url_problem(self.stripe_api_url, production=self.is_production)

    def stripe_problem(self) -> str | None:
        """Return why Stripe cannot be the provider with these settings, in a sentence."""
        return (
            self.stripe_key_problem()
            or stripe_settings.secrets_problem(self.stripe_webhook_secrets)
            or stripe_settings.timeout_problem(self.provider_timeout_seconds, stand_in=bool(self.stripe_api_url))
        )

    def checked(self) -> Self:
        """Return the settings, or raise ``UnsafeSettingsError`` for settings that must not start."""
        if self.is_production:
            self._check_production()
        if self.provider == "stripe" and (problem := self.stripe_problem()) is not None:
            raise UnsafeSettingsError(problem)
        return self

    def _check_production(self) -> None:
        shortest = 32
        sandbox = self.provider == "sandbox"
        needed = {
            "DATABASE_URL": self.database_url is not None,
            "COMPTOIR_PUBLIC_URL (https://…)": self.public_url.startswith("https://"),
            "COMPTOIR_JWKS_URL (https://…)": self.jwks_url.startswith("https://"),
            "COMPTOIR_JWT_ISSUER": bool(self.jwt_issuer),
            "COMPTOIR_SECRET_KEY (32 characters or more)": len(self.secret_key.get_secret_value()) >= shortest,
            "COMPTOIR_SANDBOX_WEBHOOK_SECRET": not sandbox or bool(self.sandbox_webhook_secret.get_secret_value()),
            "STRIPE_API_KEY (sk_… or rk_…)": sandbox or bool(self.stripe_api_key.get_secret_value()),
            "STRIPE_WEBHOOK_SECRET (whsec_…)": sandbox or bool(self.stripe_webhook_secrets),
        }
        missing = [name for name, given in needed.items() if not given]
        if missing:
            raise UnsafeSettingsError(f"Production needs {', '.join(missing)}. Set it in the environment.")
        token = self.metrics_token.get_secret_value()
        if token and len(token) < shortest:
            raise UnsafeSettingsError("COMPTOIR_METRICS_TOKEN must have 32 characters or more, or not be set.")
        if self.s3_endpoint and not self.s3_endpoint.startswith("https://"):
            raise UnsafeSettingsError("COMPTOIR_S3_ENDPOINT must be https://… in production: files pass over it.")
        if "*" in self.cors_origins:
            raise UnsafeSettingsError("COMPTOIR_CORS_ORIGINS must name origins in production, not *.")
        if sandbox and not self.allow_sandbox:
            raise UnsafeSettingsError(
                "COMPTOIR_PROVIDER is the sandbox, which moves no money. Set COMPTOIR_ALLOW_SANDBOX=true to run a "
                "production server on it all the same."
            )

    def redacted(self) -> dict[str, str]:
        """Return every setting as text, secrets hidden, addresses without their passwords."""
        shown: dict[str, str] = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, SecretStr):
                shown[name] = "(hidden)" if value.get_secret_value() else "(not set)"
            elif value is None or value in {"", ()}:
                shown[name] = "(not set)"
            else:
                text = ", ".join(value) if isinstance(value, tuple) else str(value)
                shown[name] = _CREDENTIALS.sub("//(hidden)@", text)
        return shown
