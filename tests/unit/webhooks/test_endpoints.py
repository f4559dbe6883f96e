from __future__ import annotations

from typing import Any

import pytest

from bridge_payments.errors import ConfigurationError
from bridge_payments.models import Event
from bridge_payments.webhooks import Endpoint, EndpointKind


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
