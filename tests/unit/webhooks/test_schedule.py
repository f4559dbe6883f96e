from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from random import Random

import pytest

from bridge_payments.webhooks.schedule import (
    DEFAULT_SCHEDULE,
    MAX_RETRY_AFTER,
    next_delay,
    read_retry_after,
    schedule_of,
)

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def test_the_promise_is_eight_tries_in_27_h_35_m_05_s() -> None:
    assert len(DEFAULT_SCHEDULE) == 8
    assert timedelta(seconds=sum(DEFAULT_SCHEDULE)) == timedelta(hours=27, minutes=35, seconds=5)


@pytest.mark.parametrize(
    ("length", "tries"), [(1, (0.0,)), (3, (0.0, 5.0, 300.0)), (8, DEFAULT_SCHEDULE), (0, (0.0,))]
)
def test_a_configured_number_of_retries_is_the_length_of_the_schedule(
    length: int, tries: tuple[float, ...]
) -> None:
    assert schedule_of(length) == tries


def test_a_longer_schedule_repeats_the_last_wait() -> None:
    assert schedule_of(10) == (*DEFAULT_SCHEDULE, 36000.0, 36000.0)


def test_waits_are_spread_by_a_fifth_and_differ() -> None:
    random = Random(1)
    waits = {next_delay(DEFAULT_SCHEDULE, attempts=2, retry_after=None, random=random) for _ in range(200)}
    assert len(waits) == 200
    assert 240 <= min(w for w in waits if w) < 250
    assert 350 < max(w for w in waits if w) <= 360


def test_after_the_last_try_a_delivery_is_given_up_whatever_the_subscriber_wishes() -> None:
    assert next_delay((0.0, 5.0), attempts=2, retry_after=None, random=Random(1)) is None
    assert next_delay((0.0, 5.0), attempts=2, retry_after=60, random=Random(1)) is None
    assert next_delay((0.0, 5.0), attempts=9, retry_after=None, random=Random(1)) is None


def test_a_subscriber_can_make_us_wait_longer_but_neither_shorter_nor_for_ever() -> None:
    wait = lambda after: next_delay((0.0, 100.0), attempts=1, retry_after=after, random=Random(1))  # noqa: E731
    assert wait(1000.0) == 1000.0
    assert wait(0.0) == wait(None)
    assert wait(10**9) == MAX_RETRY_AFTER


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("0.65", 0.65),
        (format_datetime(NOW + timedelta(minutes=10), usegmt=True), 600.0),
        ("Sun, 01 Mar 2026 12:00:30 GMT", 30.0),
        ("Sun, 01 Mar 2026 13:00:30 +0100", 30.0),
        ("Sunday, 01-Mar-26 12:01:00 GMT", 60.0),
        (format_datetime(NOW - timedelta(days=1), usegmt=True), 0.0),
        ("99999999999", MAX_RETRY_AFTER),
        ("Fri, 31 Dec 2099 23:59:59 GMT", MAX_RETRY_AFTER),
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("9" * 5000, None),
        ("1e9", None),
        (".", None),
    ],
)
def test_retry_after_is_read_in_seconds_and_as_a_date(header: str | None, seconds: float | None) -> None:
    assert read_retry_after(header, now=NOW) == seconds
