"""The figures of a run for Prometheus: what Ray's page shows, and that dashboards and alerts ask for nothing else."""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dreamfoundry.run.ray.metrics import METRICS, FleetMetrics
from dreamfoundry.run.scheduling.run_stats import Status
from support.ports import free_ports
from support.private_ray import private_ray

INFRA = Path(__file__).parents[2] / "infra"
NAME = re.compile(r"\bray_dreamfoundry_\w+")
SELECTOR = re.compile(r"(ray_dreamfoundry_\w+)\{(\w+)")
GROUPING = re.compile(r"by \((\w+)\) \((?:rate\()?(ray_dreamfoundry_\w+)")


def expressions() -> list[str]:
    """Everything that dashboards and alerts ask Prometheus."""
    found = [
        target["expr"]
        for file in (INFRA / "dashboards").glob("*.json")
        for panel in json.loads(file.read_text(encoding="utf-8"))["panels"]
        for target in panel["targets"]
    ]
    for file in (INFRA / "alerts").glob("*.yml"):
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]:
            found += [rule["expr"] for rule in group["rules"]]
    return found


def test_dashboards_and_alerts_ask_for_what_is_exported_and_leave_nothing_out() -> None:
    asked = {name for expression in expressions() for name in NAME.findall(expression)}
    assert asked == {metric.exported_name for metric in METRICS}


def test_dashboards_and_alerts_use_the_labels_that_there_are() -> None:
    text = "\n".join(expressions())
    used = set(SELECTOR.findall(text)) | {(name, label) for label, name in GROUPING.findall(text)}
    assert used == {(metric.exported_name, metric.label) for metric in METRICS if metric.label}


def test_every_alert_says_what_to_do() -> None:
    for file in (INFRA / "alerts").glob("*.yml"):
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]:
            for rule in group["rules"]:
                assert rule["labels"]["severity"] in ("page", "ticket")
                assert set(rule["annotations"]) == {"summary", "action"}


@pytest.fixture(scope="module")
def page_url(environment: pytest.MonkeyPatch) -> Iterator[str]:
    """The metrics page of a private Ray, to which this process is connected."""
    (port,) = free_ports(1)
    with private_ray(num_cpus=1, _metrics_export_port=port):
        yield f"http://127.0.0.1:{port}/metrics"


def status(**changes: Any) -> Status:
    counts = {"published": 2, "quarantined": 1, "waiting": 4, "optimizing": 3, "exporting": 1, "delegated": 0}
    return Status(**{"num_builds": 11, **counts, "steps_done": 70, "steps_left": 5, **changes})


LINE = re.compile(r"^(ray_dreamfoundry_\w+)\{(.*)\} (\S+)$", re.MULTILINE)


def series(url: str) -> dict[tuple[str, str], float]:
    """Our series on the page: by name and value of our label ("" without one). None before there is a page."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            page = answer.read().decode()
    except urllib.error.URLError:  # Ray serves it from a process that starts in its own time
        return {}
    found = {}
    for name, labels, value in LINE.findall(page):
        label = next(metric.label for metric in METRICS if metric.exported_name == name)
        own = re.search(rf'\b{label}="([^"]*)"', labels) if label else None
        found[name, own[1] if own else ""] = float(value)
    return found


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_37_the_page_of_a_ray_node_shows_the_figures_of_the_driver(page_url: str) -> None:
    metrics = FleetMetrics()
    metrics.show(status(failure_classes={"empty": 1}, useful_s=20.0, wasted_s=3.5, workers={"distiller": 2}))
    metrics.show(status(published=5, steps_done=100, failure_classes={"empty": 1}, useful_s=50.0, wasted_s=3.5))
    expected = {
        ("ray_dreamfoundry_published_total", ""): 5.0,
        ("ray_dreamfoundry_quarantined_total", "empty"): 1.0,
        ("ray_dreamfoundry_steps_total", ""): 100.0,
        ("ray_dreamfoundry_optimizer_seconds_total", "useful"): 50.0,
        ("ray_dreamfoundry_optimizer_seconds_total", "wasted"): 3.5,
        ("ray_dreamfoundry_builds", "waiting"): 4.0,
        ("ray_dreamfoundry_builds", "optimizing"): 3.0,
        ("ray_dreamfoundry_builds", "exporting"): 1.0,
        ("ray_dreamfoundry_builds", "elsewhere"): 0.0,
        ("ray_dreamfoundry_workers", "optimizer"): 2.0,
    }

    end_s = time.monotonic() + 120.0
    shown: dict[tuple[str, str], float] = {}
    while shown != expected and time.monotonic() < end_s:
        time.sleep(1.0)
        shown = series(page_url)
    assert shown == expected
