"""An installation is told everything that is wrong with it at once, and never by printing a secret."""

from __future__ import annotations

import logging
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from bridge_payments.errors import ConfigurationError
from bridge_payments.settings import ProviderAccount, Settings, parse_accounts

SECRET = "hush-hush-hush-hush-hush-hush-hush-hush"

CONTRACT_DEFAULTS: dict[str, Any] = {
    "port": 3001,
    "environment": "development",
    "host": "0.0.0.0",
    "request_timeout": 30.0,
    "max_request_size": 1_048_576,
    "validate_content_type": True,
    "row_mode": False,
    "response_compat": "",
    "database_url": None,
    "database_pool_min": 2,
    "database_pool_max": 10,
    "default_provider": "stripe",
    "enabled_providers": (ProviderAccount(id="stripe", kind="stripe"),),
    "allow_sandbox": False,
    "inprocess_worker": True,
    "unique_reference": False,
    "guest_checkout_enabled": True,
    "guest_require_name": False,
    "guest_require_phone": False,
    "guest_max_payments_per_email": 5,
    "client_secret_max_age": 86_400,
    "client_secret_auto_cleanup": True,
    "client_secret_cleanup_interval": 3600,
    "client_secret_cleanup_on_success": True,
    "client_secret_cleanup_on_failure": False,
    "client_secret_expire": "keep",
    "cors_origins": ("http://localhost:3000",),
    "cors_credentials": True,
    "cors_max_age": 86_400,
    "rate_limit_enabled": True,
    "rate_limit_requests": None,
    "rate_limit_window": 900.0,
    "admin_user_types": ("admin",),
    "webhooks": (),
    "log_level": "info",
    "log_format": "json",
    "log_mode": False,
    "metrics_enabled": True,
    "metrics_port": None,
    "otel_enabled": False,
    "guest_allow_conversion": True,
}


def test_no_environment_is_needed() -> None:
    settings = Settings()

    assert {name: getattr(settings, name) for name in CONTRACT_DEFAULTS} == CONTRACT_DEFAULTS
    assert Settings.from_env({}) == settings


def test_variables_are_read_and_units_converted() -> None:
    settings = Settings.from_env(
        {
            "PORT": " 8080 ",
            "REQUEST_TIMEOUT": "60000",
            "RATE_LIMIT_WINDOW": "1000",
            "BRIDGE_VALIDATION_TIMEOUT": "2500",
            "CORS_ORIGINS": "https://a.example, https://b.example,",
            "ADMIN_USER_TYPES": "admin,super_admin",
            "RESPONSE_COMPAT": "flat",
            "CLIENT_SECRET_EXPIRE": "cancel",
            "LOG_LEVEL": "WARNING",
            "BRIDGE_TRUSTED_PROXIES": "10.0.0.0/8,::1",
            "MAX_REQUEST_SIZE": "",
        }
    )

    assert (settings.port, settings.request_timeout, settings.rate_limit_window) == (8080, 60.0, 1.0)
    assert settings.bridge_validation_timeout == 2.5
    assert settings.cors_origins == ("https://a.example", "https://b.example")
    assert settings.admin_user_types == ("admin", "super_admin")
    assert (settings.response_compat, settings.client_secret_expire) == ("flat", "cancel")
    assert settings.log_level == "warn"
    assert settings.trusted_proxies == ("10.0.0.0/8", "::1")
    assert settings.max_request_size == 1_048_576, "an empty variable is not set"


@pytest.mark.parametrize(
    ("word", "meaning"),
    [
        *((word, True) for word in ("true", "1", "yes", "on", "TRUE", "Yes")),
        *((word, False) for word in ("false", "0", "no", "off", "False")),
    ],
)
def test_a_switch_is_read_in_every_usual_spelling(word: str, meaning: bool) -> None:
    assert Settings.from_env({"GUEST_CHECKOUT_ENABLED": word}).guest_checkout_enabled is meaning


@pytest.mark.parametrize(
    ("names", "field", "value"),
    [
        (("DATABASE_AUTH_TOKEN", "LIBSQL_AUTH_TOKEN"), "database_auth_token", SecretStr("x")),
        (("DATABASE_POOL_MAX", "DB_MAX_CONNECTIONS"), "database_pool_max", 7),
        (("FLOWLESS_API_URL", "FLOWLESS_URL"), "flowless_api_url", "http://f"),
        (("BRIDGE_VALIDATION_SECRET", "BRIDGE_SECRET"), "bridge_validation_secret", SecretStr(SECRET)),
        (("NODE_ENV", "ENVIRONMENT"), "environment", "production"),
    ],
)
def test_older_names_are_read_and_the_first_name_wins(names: tuple[str, str], field: str, value: Any) -> None:
    text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    other = "http://other" if "url" in field else "3" * 40 if field.endswith("secret") else "3"

    for name in names:
        assert getattr(Settings.from_env({name: text}), field) == value
    assert getattr(Settings.from_env({names[0]: text, names[1]: other}), field) == value


def test_one_error_names_every_wrong_variable_and_no_value() -> None:
    wrong = {
        "PORT": SECRET,
        "REQUEST_TIMEOUT": SECRET,
        "ROW_MODE": SECRET,
        "ENABLED_PROVIDERS": f"stripe,{SECRET}!",
        "CLIENT_SECRET_EXPIRE": SECRET,
        "LOG_LEVEL": SECRET,
        "RATE_LIMIT_REQUESTS": "-3",
        "BRIDGE_SECRET": "too short",
        "TRUSTED_PROXIES": SECRET,
        "FLOWLESS_URL": SECRET,
        "WEBHOOK_1_NAME": "shop",
        "WEBHOOK_1_URL": f"ftp://{SECRET}",
        "WEBHOOK_1_EVENTS": "*",
        "WEBHOOK_1_HEADERS": f"{{{SECRET}",
        "WEBHOOK_1_RETRIES": SECRET,
        "WEBHOOK_7_SECRET": SECRET,
    }

    with pytest.raises(ConfigurationError) as caught:
        Settings.from_env(wrong)

    error = caught.value
    named = wrong.keys() - {"WEBHOOK_1_NAME", "WEBHOOK_1_EVENTS", "WEBHOOK_7_SECRET"}
    assert set(error.invalid) == named
    assert list(error.missing) == ["WEBHOOK_7_EVENTS", "WEBHOOK_7_NAME", "WEBHOOK_7_URL"]
    for text in (
        str(error),
        repr(error),
        repr(error.invalid),
        repr(error.__cause__),
        repr(error.__context__),
    ):
        assert SECRET not in text
        assert "too short" not in text


def test_no_secret_is_in_a_repr_or_a_dump() -> None:
    settings = Settings.from_env(
        {
            "DATABASE_URL": f"postgresql://bridge:{SECRET}@db/pay",
            "DATABASE_AUTH_TOKEN": SECRET,
            "BRIDGE_VALIDATION_SECRET": SECRET,
            "BRIDGE_PROXY": f"http://me:{SECRET}@proxy:3128",
            "WEBHOOK_1_NAME": "chat",
            "WEBHOOK_1_URL": f"https://hooks.slack.com/services/{SECRET}",
            "WEBHOOK_1_EVENTS": "*",
            "WEBHOOK_1_SECRET": f"whsec_{SECRET}",
            "WEBHOOK_1_HEADERS": f'{{"Authorization": "Bearer {SECRET}"}}',
        }
    )

    assert SECRET not in f"{settings!r} {settings} {settings.webhooks[0]!r}"
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value().endswith(f"{SECRET}@db/pay")


def test_settings_cannot_be_changed_and_a_typo_is_an_error() -> None:
    settings = Settings()

    with pytest.raises(ValidationError):
        settings.port = 1
    with pytest.raises(ValidationError):
        Settings(portt=1)  # type: ignore[call-arg]
    assert pickle.loads(pickle.dumps(settings)) == settings


def test_what_is_needed_is_asked_for_where_it_is_used() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings().require("database_url", "flowless_api_url", "port")

    assert list(caught.value.missing) == ["DATABASE_URL", "FLOWLESS_API_URL"]
    Settings(database_url=SecretStr("sqlite://")).require("database_url")


# --- accounts --------------------------------------------------------------------------------------


def test_accounts_have_an_id_a_kind_and_a_prefix() -> None:
    accounts = parse_accounts("stripe, paypal ,stripe_eu=stripe:EU_,backup=stripe,authorize-net")

    assert accounts == (
        ProviderAccount(id="stripe", kind="stripe"),
        ProviderAccount(id="paypal", kind="paypal"),
        ProviderAccount(id="stripe_eu", kind="stripe", prefix="EU_"),
        ProviderAccount(id="backup", kind="stripe"),
        ProviderAccount(id="authorize_net", kind="authorize_net"),
    )
    assert Settings.from_env({"ENABLED_PROVIDERS": "paypal,eu=stripe:EU_"}).enabled_providers == (
        ProviderAccount(id="paypal", kind="paypal"),
        ProviderAccount(id="eu", kind="stripe", prefix="EU_"),
    )


@pytest.mark.parametrize(
    "text", ["stripe,stripe", "a=stripe,a=paypal", "Stripe", "=stripe", "a=", "a=b:eu_", "a/b", "a b"]
)
def test_a_list_of_accounts_that_is_not_one_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="ENABLED_PROVIDERS"):
        parse_accounts(text)
    with pytest.raises(ConfigurationError, match="ENABLED_PROVIDERS"):
        Settings.from_env({"ENABLED_PROVIDERS": text})


def test_the_default_provider_must_be_enabled() -> None:
    with pytest.raises(ConfigurationError, match="DEFAULT_PAYMENT_PROVIDER"):
        Settings.from_env({"ENABLED_PROVIDERS": "paypal", "DEFAULT_PAYMENT_PROVIDER": "stripe"})

    Settings.from_env({"ENABLED_PROVIDERS": "paypal"})  # the default of the default is nobody's mistake
    chosen = Settings.from_env(
        {"ENABLED_PROVIDERS": "authorize-net", "DEFAULT_PAYMENT_PROVIDER": "authorize-net"}
    )
    assert chosen.default_provider == "authorize_net"


# --- webhooks --------------------------------------------------------------------------------------


def test_webhooks_are_read_by_number() -> None:
    settings = Settings.from_env(
        {
            "WEBHOOK_10_NAME": "last",
            "WEBHOOK_10_URL": "https://c.example/",
            "WEBHOOK_10_EVENTS": "*",
            "WEBHOOK_2_NAME": "shop",
            "WEBHOOK_2_URL": "https://shop.example/hooks",
            "WEBHOOK_2_EVENTS": "payment.*, refund.succeeded",
            "WEBHOOK_2_SECRET": "whsec_new,whsec_old",
            "WEBHOOK_2_HEADERS": '{"X-Shop": "1"}',
            "WEBHOOK_2_TIMEOUT": "5",
            "WEBHOOK_2_RETRIES": "4",
        }
    )

    shop, last = settings.webhooks
    assert (shop.name, last.name) == ("shop", "last")
    assert shop.url.get_secret_value() == "https://shop.example/hooks"
    assert shop.events == ("payment.*", "refund.succeeded")
    assert [secret.get_secret_value() for secret in shop.secrets] == ["whsec_new", "whsec_old"]
    assert (dict(shop.headers), shop.timeout, shop.retries) == ({"X-Shop": "1"}, 5.0, 4)
    assert (last.secrets, dict(last.headers), last.timeout, last.retries) == ((), {}, 30.0, None)


def test_webhooks_that_are_switched_off_need_nothing() -> None:
    off = {"EXTERNAL_WEBHOOKS_ENABLED": "false", "WEBHOOK_1_NAME": "shop", "WEBHOOK_2_URL": "nonsense"}

    assert Settings.from_env(off).webhooks == ()


def test_two_webhooks_of_one_name_would_share_their_deliveries() -> None:
    env = {
        f"WEBHOOK_{n}_{key}": value
        for n in (1, 2)
        for key, value in (("NAME", "shop"), ("URL", f"https://{n}.example/"), ("EVENTS", "*"))
    }

    with pytest.raises(ConfigurationError, match="WEBHOOK_2_NAME: is taken by WEBHOOK_1_NAME"):
        Settings.from_env(env)


# --- warnings --------------------------------------------------------------------------------------


def test_renewals_are_not_served_and_say_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "bridge_payments"):
        Settings.from_env({"RENEWALS_ENABLED": "true", "RENEWAL_DAILY_CRON": "0 2 * * *"})
    assert len(caplog.messages) == 1
    assert "RENEWALS_ENABLED" in caplog.text
    assert "never charges one" in caplog.text

    caplog.clear()
    Settings.from_env({"RENEWALS_ENABLED": "false", "RENEWAL_DAILY_CRON": "0 2 * * *"})
    assert caplog.messages == []


def test_a_variable_that_looks_like_ours_and_is_not_read_is_named(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "bridge_payments"):
        Settings.from_env(
            {"CLIENT_SECRET_MAXAGE": SECRET, "BRIDGE_TRUSTED_PROXY": SECRET, "STRIPE_SECRET_KEY": SECRET}
        )

    assert [message.split()[0] for message in caplog.messages] == [
        "BRIDGE_TRUSTED_PROXY",
        "CLIENT_SECRET_MAXAGE",
    ]
    assert SECRET not in caplog.text


def test_the_environment_is_read_from_a_mapping_and_from_nowhere_else() -> None:
    """Two accounts of a test, or two installations of one process, must not read each other's variables."""
    code = (
        "import os; os.environ.update(PORT='1', ENABLED_PROVIDERS='nonsense!')\n"
        "from bridge_payments.settings import Settings\n"
        "assert Settings() == Settings.from_env({}); print('ok')"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=root)

    assert (done.stdout, done.stderr) == ("ok\n", "")
