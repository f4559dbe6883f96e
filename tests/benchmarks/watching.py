"""What an activity costs: with nobody observing, with Prometheus, with OpenTelemetry's API and no SDK."""

from __future__ import annotations

import logging
import statistics
import time

from bridge_payments.telemetry import Kind, Watch
from bridge_payments.telemetry.otel import OpenTelemetry
from bridge_payments.telemetry.prometheus import Prometheus

ROUNDS, TIMES = 7, 20_000


def once(watch: Watch) -> None:
    with watch.activity(Kind.CALL, "confirm_payment", provider="stripe", verb="confirm_payment") as seen:
        seen.outcome = "ok"


def microseconds(watch: Watch) -> float:
    found = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(TIMES):
            once(watch)
        found.append((time.process_time() - began) / TIMES * 1e6)
    return statistics.median(found)


def main() -> None:
    logging.getLogger("bridge_payments").setLevel(logging.WARNING)
    nobody, counted, traced = Watch(), Watch(), Watch()
    counted.add(Prometheus())
    traced.add(OpenTelemetry())
    for name, watch in (
        ("nobody observes", nobody),
        ("Prometheus", counted),
        ("OpenTelemetry, no SDK", traced),
    ):
        print(f"{name:24} {microseconds(watch):6.2f} µs per activity")


if __name__ == "__main__":
    main()
