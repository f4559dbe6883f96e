from __future__ import annotations

import pytest

from bridge_payments.webhooks.patterns import matches


@pytest.mark.parametrize(
    ("pattern", "event_type"),
    [
        ("*", "payment.success"),
        ("payment.*", "payment.requires_action"),
        ("payment.success", "payment.success"),
        ("payment.succeeded", "payment.success"),
        ("refund.success", "refund.succeeded"),
        ("payment.cancelled", "payment.canceled"),
        ("*.canceled", "subscription.cancelled"),
        ("*.failed", "refund.failed"),
        ("payment.succ*", "payment.success"),
    ],
)
def test_an_endpoint_hears_what_it_asked_for_in_either_spelling(pattern: str, event_type: str) -> None:
    assert matches([pattern], event_type)


@pytest.mark.parametrize(
    ("pattern", "event_type"),
    [
        ("payment.success", "payment.failed"),
        ("payment.*", "refund.created"),
        ("refund.*", "payment.refunded"),
        ("payment", "payment.success"),
        ("payment.success", "payment.success.extra"),
        ("", "payment.success"),
    ],
)
def test_an_endpoint_does_not_hear_what_it_did_not_ask_for(pattern: str, event_type: str) -> None:
    assert not matches([pattern], event_type)


def test_one_of_several_patterns_is_enough() -> None:
    assert matches(["refund.*", "payment.failed"], "payment.failed")
    assert not matches([], "payment.failed")
