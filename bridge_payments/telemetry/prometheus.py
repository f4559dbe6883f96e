"""Figures for Prometheus, by prometheus-client (extra ``prometheus``): counted here, shown on request."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from ..errors import MissingExtra
from .metrics import METRICS, Meters, Metric, Sample

__all__ = ["Prometheus"]

_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0)
"""Seconds; 25 is the deadline of a call to a provider."""


class Prometheus(Meters):
    """Counts for one bridge, in a registry of its own, or in a *registry* of the application.

    Where ``PROMETHEUS_MULTIPROC_DIR`` is set, as under gunicorn, the figures of all worker processes of
    this machine are shown together; those that are read on request are of the one that answers.

    Raises: MissingExtra without prometheus-client.
    """

    def __init__(self, registry: Any = None) -> None:
        try:
            import prometheus_client
        except ImportError:
            raise MissingExtra("prometheus", needed_for="metrics") from None
        self._client = prometheus_client
        self.registry: Any = registry if registry is not None else prometheus_client.CollectorRegistry()
        self._kept: dict[str, Any] = {}
        for metric in METRICS:
            if metric.kind == "histogram":
                self._kept[metric.name] = prometheus_client.Histogram(
                    metric.full_name, metric.help, metric.labels, registry=self.registry, buckets=_BUCKETS
                )
            elif metric.kind == "counter" and metric.name not in _KEPT_ELSEWHERE:
                self._kept[metric.name] = prometheus_client.Counter(
                    metric.full_name, metric.help, metric.labels, registry=self.registry
                )
        super().__init__(self)

    def add(self, metric: Metric, labels: Sequence[str]) -> None:
        """Count one."""
        self._kept[metric.name].labels(*labels).inc()

    def observe(self, metric: Metric, labels: Sequence[str], seconds: float) -> None:
        """Keep a duration."""
        self._kept[metric.name].labels(*labels).observe(seconds)

    def exposition(self, samples: Iterable[Sample] = (), *, accept: str = "") -> tuple[bytes, str]:
        """Return the text of everything, with *samples*, and its content type, as *accept* would have it."""
        from prometheus_client.exposition import choose_encoder

        client = self._client
        counted = self.registry
        if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            from prometheus_client import multiprocess

            counted = client.CollectorRegistry()
            multiprocess.MultiProcessCollector(counted)  # type: ignore[no-untyped-call]
        shown = _Shown([counted, _Read([*self.samples(), *samples])])
        encode, content_type = choose_encoder(accept)
        return encode(shown), content_type


_KEPT_ELSEWHERE: Final = frozenset({"cache_lookups"})


class _Shown:
    """Several collectors as the one registry that an encoder wants."""

    def __init__(self, parts: Sequence[Any]) -> None:
        self._parts = parts

    def collect(self) -> Iterator[Any]:
        for part in self._parts:
            yield from part.collect()


class _Read:
    """Samples that were read on request, as families."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._samples = samples

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        for metric in METRICS:
            mine = [sample for sample in self._samples if sample.metric == metric.name]
            if not mine:
                continue
            family_of = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            family = family_of(metric.full_name, metric.help, labels=metric.labels)
            for sample in mine:
                family.add_metric([sample.labels[name] for name in metric.labels], sample.value)
            yield family
