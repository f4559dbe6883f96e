"""The seam: silent in production, and every pass of it visible to whoever watches."""

from __future__ import annotations

import pytest

from bridge_payments.seam import Point, passing, watched


class Killed(BaseException):
    """What a kill at this point looks like from inside."""


def test_nobody_watches_in_production() -> None:
    passing("send", "POST /v1/refunds")  # does nothing, and asks for nothing


def test_a_watcher_sees_every_pass_in_order() -> None:
    seen: list[tuple[Point, str]] = []

    with watched(lambda point, what: seen.append((point, what))):
        passing("statement", "insert operations")
        passing("commit", "reserve")
        passing("committed", "reserve")

    assert seen == [("statement", "insert operations"), ("commit", "reserve"), ("committed", "reserve")]


def test_what_passes_after_the_block_is_not_seen() -> None:
    seen: list[Point] = []

    with watched(lambda point, what: seen.append(point)):
        passing("send", "inside")
    passing("receive", "outside")

    assert seen == ["send"]


def test_a_watcher_can_stop_the_work_at_the_nth_pass() -> None:
    passes = 0

    def kill_at_second(point: Point, what: str) -> None:
        nonlocal passes
        passes += 1
        if passes == 2:
            raise Killed

    done: list[str] = []

    def pay() -> None:
        passing("commit", "reserve")
        done.append("reserved")
        passing("send", "ask")
        done.append("asked")

    with watched(kill_at_second), pytest.raises(Killed):
        pay()

    assert done == ["reserved"]


def test_the_seam_is_silent_again_after_a_kill() -> None:
    seen: list[Point] = []

    def kill(point: Point, what: str) -> None:
        seen.append(point)
        raise Killed

    with pytest.raises(Killed), watched(kill):
        passing("commit", "reserve")
    passing("commit", "reserve")

    assert seen == ["commit"]


def test_an_inner_watcher_hands_back_to_the_outer_one() -> None:
    outer: list[str] = []
    inner: list[str] = []

    with watched(lambda point, what: outer.append(what)):
        passing("send", "1")
        with watched(lambda point, what: inner.append(what)):
            passing("send", "2")
        passing("send", "3")

    assert (outer, inner) == (["1", "3"], ["2"])
