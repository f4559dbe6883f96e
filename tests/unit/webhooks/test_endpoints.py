from __future__ import annotations

from typing import Any

import pytest

from bridge_payments.errors import ConfigurationError
from bridge_payments.models import Event
from bridge_payments.settings import Settings
from bridge_payments.webhooks import (
    DEFAULT_SCHEDULE,
    Endpoint,
    EndpointKind,
    endpoints_from_settings,
    new_signing_secret,
)

OLD, NEW = new_signing_secret(), new_signing_secret()


def handler(event: Event) -> None: ...


def endpoint(**changes: Any) -> Endpoint:
    return Endpoint(
        **({"name": "shop", "url": "https://shop.example/hooks", "events": ("payment.*",)} | changes)
    )


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("https://shop.example/hooks", EndpointKind.GENERIC),
        ("https://hooks.slack.com/services/T/B/x", EndpointKind.SLACK),
        ("https://discord.com/api/webhooks/1/x", EndpointKind.DISCORD),
        ("https://ptb.discord.com/api/webhooks/1/x", EndpointKind.DISCORD),
        ("https://discordapp.com/api/webhooks/1/x", EndpointKind.DISCORD),
        ("https://discord.com.attacker.example/x", EndpointKind.GENERIC),
        ("https://notdiscord.com/x", EndpointKind.GENERIC),
    ],
)
def test_the_format_follows_from_the_address(url: str, kind: EndpointKind) -> None:
    assert endpoint(url=url).kind is kind


def test_the_format_can_be_said() -> None:
    assert endpoint(url="https://chat.example/x", kind=EndpointKind.SLACK).kind is EndpointKind.SLACK
    assert endpoint(url=None, handler=handler).kind is EndpointKind.CALLABLE


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"events": ()}, "events"),
        ({"events": (" ",)}, "events"),
        ({"url": "ftp://shop.example/"}, "url"),
        ({"url": "https:///nohost"}, "url"),
        ({"url": "https://[half"}, "url"),
        ({"url": "https://user:hush@shop.example/"}, "url"),
        ({"url": None}, "url"),
        ({"handler": handler}, "url"),
        ({"kind": EndpointKind.CALLABLE}, "kind"),
        ({"secrets": ("whsec_???",)}, "secrets"),
        ({"headers": {"webhook-id": "mine"}}, "headers"),
        ({"headers": {"Content-Length": "5"}}, "headers"),
        ({"headers": {"x": "a\r\nb: c"}}, "headers"),
        ({"timeout_seconds": 0}, "timeout_seconds"),
        ({"schedule": ()}, "schedule"),
        ({"concurrency": 0}, "concurrency"),
    ],
)
def test_a_wrong_endpoint_is_refused_at_start_and_the_field_named(
    changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        endpoint(**changes)
    assert field in refused.value.invalid


def test_nothing_secret_is_in_the_repr_or_in_an_error() -> None:
    secretive = endpoint(
        url="https://hooks.slack.com/services/SECRETPATH",
        secrets=("SECRETKEY-SECRETKEY-SECRETKEY",),
        headers={"authorization": "Bearer SECRETTOKEN"},
    )
    assert "SECRET" not in repr(secretive)
    assert secretive.host == "hooks.slack.com"
    with pytest.raises(ConfigurationError) as refused:
        endpoint(url="ftp://SECRET", secrets=("whsec_SECRET!",), headers={"x": "SECRET\n"})
    assert "SECRET" not in str(refused.value)


def settings(**env: str) -> Settings:
    shop = {"NAME": "shop", "URL": "https://shop.example/", "EVENTS": "payment.*"}
    return Settings.from_env({f"WEBHOOK_1_{name}": value for name, value in shop.items()} | env)


def test_the_variables_of_the_contract_become_endpoints() -> None:
    one, two = endpoints_from_settings(
        settings(
            WEBHOOK_1_SECRET=f"{OLD},{NEW}",
            WEBHOOK_1_HEADERS='{"X-Shop": "7"}',
            WEBHOOK_1_TIMEOUT="9",
            WEBHOOK_1_RETRIES="3",
            WEBHOOK_2_NAME="chat",
            WEBHOOK_2_URL="https://hooks.slack.com/services/x",
            WEBHOOK_2_EVENTS="payment.success, refund.*",
        )
    )
    assert (one.name, one.url, one.events) == ("shop", "https://shop.example/", ("payment.*",))
    assert one.secrets == (OLD, NEW)
    assert one.headers == {"X-Shop": "7"}
    assert one.timeout_seconds == 9
    assert one.schedule == (0.0, 5.0, 300.0)
    assert (two.kind, two.events) == (EndpointKind.SLACK, ("payment.success", "refund.*"))
    assert two.schedule == DEFAULT_SCHEDULE


def test_webhooks_that_are_switched_off_are_not_sent() -> None:
    assert endpoints_from_settings(settings(EXTERNAL_WEBHOOKS_ENABLED="false")) == ()


def test_a_secret_that_cannot_be_used_stops_the_start_and_stays_unsaid() -> None:
    with pytest.raises(ConfigurationError) as refused:
        endpoints_from_settings(settings(WEBHOOK_1_SECRET="whsec_%%%"))
    assert "secrets" in refused.value.invalid
    assert "%%%" not in str(refused.value)
