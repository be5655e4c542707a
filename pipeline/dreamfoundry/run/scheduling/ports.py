"""The sizes of a run, and the scheduler's connections to the world."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dreamfoundry.run.messages import Build, Decision
from dreamfoundry.run.scheduling.field_job import Claims
from dreamfoundry.run.scheduling.timeouts import Limits
from dreamfoundry.settings.recipe import Recipe

LOOK_AHEAD = 4096
"""Builds at hand at most; the most urgent of them come first."""


@dataclass(frozen=True)
class SchedulerConfig:
    """Sizes and timeouts of a run. `num_builds` is how many there are, of which `look_ahead` are at hand."""

    num_builds: int
    num_distill_workers: int
    num_export_workers: int
    num_slots: int
    limits: Limits = Limits()
    look_ahead: int = LOOK_AHEAD


@dataclass(frozen=True)
class SchedulerPorts:
    """The scheduler's connections to the world.

    `shape_class` names what recipes must share to run side by side in one distiller. Every end of a
    build is reported to `on_decision` once.
    """

    claims: Claims
    clock: Callable[[], float]
    shape_class: Callable[[Recipe], str]
    on_decision: Callable[[Build, Decision], None]
