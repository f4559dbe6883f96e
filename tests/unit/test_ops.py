"""What is shipped for those on duty: the dashboard and the alert rules ask for figures that exist."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge_payments.telemetry.metrics import METRICS

yaml = pytest.importorskip("yaml")

OPS = Path(__file__).parents[2] / "ops"
DASHBOARD = OPS / "grafana-dashboard.json"
ALERTS = OPS / "prometheus-alerts.yml"
ALERT_TESTS = OPS / "prometheus-alerts.test.yml"
TELEMETRY = OPS.parent / "docs" / "guides" / "telemetry.md"

PUBLISHED = {
    "bridge_payments_uptime_seconds",
    "bridge_payments_memory_usage_bytes",
    "bridge_payments_database_records_total",
    "bridge_payments_provider_health",
    "bridge_payments_provider_latency_ms",
}
"""The names of the published contract."""
REFUSED = {"bridge_payments_database_records_total"}

SERIES = {
    name: metric
    for metric in METRICS
    for name in (
        [f"{metric.full_name}{suffix}" for suffix in ("_bucket", "_count", "_sum")]
        if metric.kind == "histogram"
        else [metric.full_name]
    )
}
OF_THE_SCRAPE = {"job", "instance", "le"}


def rules() -> list[dict[str, str]]:
    found: list[dict[str, str]] = yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]
    return found


def queries() -> Iterator[tuple[str, str]]:
    board = json.loads(DASHBOARD.read_text())
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            yield f"panel {panel['title']}", target["expr"]
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            yield f"variable {variable['name']}", variable["query"]["query"]
    for rule in rules():
        yield f"alert {rule['alert']}", rule["expr"]


QUERIES = list(queries())


@pytest.mark.parametrize(("where", "query"), QUERIES, ids=[where for where, _ in QUERIES])
def test_every_query_asks_for_figures_and_labels_that_exist(where: str, query: str) -> None:
    named = re.findall(r"bridge_payments_\w+", query)
    assert named
    assert set(named) <= SERIES.keys()

    known = OF_THE_SCRAPE | {label for name in named for label in SERIES[name].labels}
    grouped = {label for group in re.findall(r"by \(([^)]*)\)", query) for label in re.split(r",\s*", group)}
    matched = set(re.findall(r"[{,](\w+)(?:=~|!=|!~|=)", query))
    assert grouped | matched <= known
    assert query.count("(") == query.count(")")
    assert query.count("{") == query.count("}")


def test_the_four_figures_that_everybody_asks_for_are_on_the_first_screen() -> None:
    titles = [panel["title"] for panel in json.loads(DASHBOARD.read_text())["panels"][1:5]]

    assert titles == ["Payment success, 1 h", "Webhook delivery, 1 h", "Response time, p95", "Cache hits"]


def test_a_published_name_is_served_or_its_page_says_why_not() -> None:
    assert {metric.full_name for metric in METRICS} & PUBLISHED == PUBLISHED - REFUSED
    refused = TELEMETRY.read_text().partition("**One name of the published contract is not served**")[2]
    for name in REFUSED:
        assert name in refused.partition("\n\n")[0]


def test_the_rules_own_tests_make_every_alert_speak_and_be_silent() -> None:
    """`promtool test rules` runs them; no Python package does."""
    quiet, bad = yaml.safe_load(ALERT_TESTS.read_text())["tests"]
    [silent] = quiet["promql_expr_test"]
    assert (silent["expr"], silent["exp_samples"]) == ('ALERTS{alertstate="firing"}', [])
    [spoken] = bad["promql_expr_test"]
    named = {re.sub(r'{alertname="(\w+)"}', r"\1", each["labels"]) for each in spoken["exp_samples"]}
    assert named == {rule["alert"] for rule in rules()}
    series = [one["series"] for test in (quiet, bad) for one in test["input_series"]]
    assert {re.split(r"{", one)[0] for one in series} <= SERIES.keys()


def test_every_alert_says_how_bad_it_is_and_what_to_do() -> None:
    for rule in rules():
        assert re.fullmatch(r"BridgePayments[A-Za-z]+", rule["alert"])
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"]
    assert "oldest_unknown_operation_seconds" in rules()[0]["expr"]
