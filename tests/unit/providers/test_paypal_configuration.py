"""An account from its environment: what is missing or wrong is told by name, and no value is repeated."""

from __future__ import annotations

from typing import Any

import pytest

from bridge_payments.errors import ConfigurationError, InvalidRequest
from bridge_payments.models import Money
from bridge_payments.providers import registry
from bridge_payments.providers.base import Capability, PaymentProvider
from bridge_payments.providers.paypal import PayPalProvider
from bridge_payments.settings import parse_accounts
from bridge_payments.transport import Transport

ENV = {
    "PAYPAL_CLIENT_ID": "the-id",
    "PAYPAL_CLIENT_SECRET": "the-hush-secret",
    "PAYPAL_WEBHOOK_ID": "8PT597110X687430L",
}


def build(**more: str) -> PayPalProvider:
    return PayPalProvider.from_env({**ENV, **more}, transport=Transport())


@pytest.mark.parametrize(
    ("env", "live"),
    [
        ({}, False),
        ({"PAYPAL_ENVIRONMENT": "sandbox"}, False),
        ({"PAYPAL_MODE": "sandbox"}, False),
        ({"PAYPAL_ENVIRONMENT": "LIVE"}, True),
        ({"PAYPAL_MODE": "live"}, True),
        ({"PAYPAL_MODE": "production", "PAYPAL_ENVIRONMENT": "live"}, True),
        ({"PAYPAL_MODE": "", "PAYPAL_ENVIRONMENT": "live"}, True),
    ],
)
def test_the_mode_is_said_under_either_name_and_is_the_sandbox_without_a_word(
    env: dict[str, str], live: bool
) -> None:
    assert build(**env).livemode is live


@pytest.mark.parametrize(
    ("env", "named"),
    [
        ({"PAYPAL_MODE": "test"}, "PAYPAL_MODE"),
        ({"PAYPAL_ENVIRONMENT": "yes"}, "PAYPAL_ENVIRONMENT"),
        ({"PAYPAL_ENVIRONMENT": "live", "PAYPAL_MODE": "sandbox"}, "PAYPAL_MODE"),
        ({"PAYPAL_API_BASE": "http://127.0.0.1:1", "PAYPAL_MODE": "live"}, "PAYPAL_API_BASE"),
        ({"PAYPAL_API_BASE": "http://paypal.example"}, "PAYPAL_API_BASE"),
        ({"PAYPAL_API_BASE": "paypal"}, "PAYPAL_API_BASE"),
        ({"PAYPAL_CLIENT_SECRET": "two hush words"}, "PAYPAL_CLIENT_SECRET"),
        ({"PAYPAL_CLIENT_ID": "a\nb"}, "PAYPAL_CLIENT_ID"),
        ({"PAYPAL_WEBHOOK_ID": "A,,B"}, "PAYPAL_WEBHOOK_ID"),
        ({"PAYPAL_WEBHOOK_VERIFICATION": "never"}, "PAYPAL_WEBHOOK_VERIFICATION"),
    ],
)
def test_what_is_wrong_is_named_and_not_repeated(env: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        build(**env)
    assert named in wrong.value.invalid
    assert "hush" not in str(wrong.value)


@pytest.mark.parametrize("name", list(ENV))
def test_what_is_missing_is_named(name: str) -> None:
    with pytest.raises(ConfigurationError) as missing:
        build(**{name: " "})
    assert missing.value.missing == [name]


def test_several_accounts_read_their_own_variables() -> None:
    env = {**ENV, "EU_PAYPAL_CLIENT_ID": "eu", "EU_PAYPAL_CLIENT_SECRET": "s", "EU_PAYPAL_MODE": "live"}
    accounts = parse_accounts("paypal,paypal_eu=paypal:EU_")
    with pytest.raises(ConfigurationError) as missing:
        registry.build(accounts, env, transport=Transport())
    assert missing.value.missing == ["EU_PAYPAL_WEBHOOK_ID"]
    built = registry.build(accounts, {**env, "EU_PAYPAL_WEBHOOK_ID": "W"}, transport=Transport())
    assert (built["paypal"].livemode, built["paypal_eu"].livemode) == (False, True)
    assert built["paypal_eu"].publishable == {"client_id": "eu"}


def test_what_it_claims_is_what_it_does() -> None:
    claimed: type[PaymentProvider] = registry.load("paypal")
    verbs: dict[Any, bool] = {
        "confirm_payment": True, "capture_payment": True, "cancel_payment": True, "refund_payment": True,
        "update_payment_intent": False,
    }  # fmt: skip
    for name, has in verbs.items():
        assert (getattr(claimed, name) is not getattr(PaymentProvider, name)) is has, name
    assert claimed.supports(Capability.MANUAL_CAPTURE)
    assert claimed.supports(Capability.PARTIAL_REFUND)
    assert not claimed.supports(Capability.MULTI_CAPTURE)
    assert not claimed.supports(Capability.CLIENT_SECRET), "an order number in a URL is no secret"


def test_an_amount_is_refused_before_anything_is_written() -> None:
    account = build()
    account.check_amount(Money(1, "USD"))
    for wrong in (Money(0, "USD"), Money(-1, "USD"), Money(150, "HUF"), Money(100, "KWD")):
        with pytest.raises(InvalidRequest):
            account.check_amount(wrong)
