"""Figures of a run for Prometheus, exported by the driver on the metrics page of its Ray node.

Only the driver exports: a page keeps the series of a process that has ended for minutes, so gauges
of workers would outlive them. No label holds a text or an id of a prompt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ray.util.metrics import Counter, Gauge

from dreamfoundry.run.messages import WorkerKind
from dreamfoundry.run.scheduling.run_stats import Status


@dataclass(frozen=True)
class Metric:
    """One figure; `label` is the name of its only label, if it has one."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    label: str = ""

    @property
    def exported_name(self) -> str:
        """The name on the metrics page, with the prefix and suffix that Ray adds."""
        return f"ray_{self.name}" + ("_total" if self.kind == "counter" else "")


PUBLISHED = Metric("dreamfoundry_published", "counter", "Assets published since the run began")
QUARANTINED = Metric("dreamfoundry_quarantined", "counter", "Assets quarantined since the run began", "failure_class")
STEPS = Metric("dreamfoundry_steps", "counter", "Optimisation steps of all slots")
DISTILLER_SECONDS = Metric(
    "dreamfoundry_optimizer_seconds",
    "counter",
    "Seconds of distill workers, each with one GPU: useful when the field is stored, wasted when it failed or was lost",
    "use",
)
BUILDS = Metric("dreamfoundry_builds", "gauge", "Assets that are not decided yet, by where they are", "state")
WORKERS = Metric("dreamfoundry_workers", "gauge", "Workers that are up", "kind")

KIND_LABELS: Mapping[WorkerKind, str] = {"distiller": "optimizer", "exporter": "exporter"}
"""Values of the label `kind`: dashboards know the distiller by an older name."""

METRICS = (PUBLISHED, QUARANTINED, STEPS, DISTILLER_SECONDS, BUILDS, WORKERS)


class FleetMetrics:
    """Turns `Status` into these figures. Make it after Ray is connected, once per run."""

    def __init__(self) -> None:
        self._gauges = {metric: Gauge(metric.name, metric.help, _labels(metric)) for metric in (BUILDS, WORKERS)}
        counters = (PUBLISHED, QUARANTINED, STEPS, DISTILLER_SECONDS)
        self._counters = {metric: Counter(metric.name, metric.help, _labels(metric)) for metric in counters}
        self._counted: dict[tuple[Metric, str], float] = {}

    def show(self, status: Status) -> None:
        """Export the status of the run now."""
        self._count(PUBLISHED, {"": status.published})
        self._count(QUARANTINED, status.failure_classes)
        self._count(STEPS, {"": status.steps_done})
        self._count(DISTILLER_SECONDS, {"useful": status.useful_s, "wasted": status.wasted_s})
        self._set(
            BUILDS,
            {
                "waiting": status.waiting,
                "optimizing": status.optimizing,
                "exporting": status.exporting,
                "elsewhere": status.delegated,
            },
        )
        self._set(WORKERS, {KIND_LABELS[kind]: number for kind, number in status.workers.items()})

    def _count(self, metric: Metric, totals: Mapping[str, int | float]) -> None:
        for value, total in totals.items():
            more = total - self._counted.get((metric, value), 0.0)
            if more > 0.0:
                self._counters[metric].inc(more, _tags(metric, value))
                self._counted[metric, value] = total

    def _set(self, metric: Metric, values: Mapping[str, int]) -> None:
        for value, number in values.items():
            self._gauges[metric].set(number, _tags(metric, value))


def _labels(metric: Metric) -> tuple[str, ...]:
    return (metric.label,) if metric.label else ()


def _tags(metric: Metric, value: str) -> dict[str, str]:
    return {metric.label: value} if metric.label else {}
