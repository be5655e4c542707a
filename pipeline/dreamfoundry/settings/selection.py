"""Selection among candidates: mid-run evaluations (probes), gates, restarts."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from dreamfoundry.settings.values import Ramp, constant, require


@dataclass(frozen=True)
class GateConfig:
    """Limits that end a candidate, at every probe and at the end; `distill.probes` defines the scores."""

    min_mean_opacity: float = 0.02
    """Least mean opacity of the views, in [0, 1]; below it a field is empty. 0 is off."""

    max_mean_opacity: float = 0.85
    """Most mean opacity of the views, in [0, 1]; above it a field fills its box. 1 is off."""

    min_flatness_ratio: float = 0.08
    """Least ratio of smallest to middle spread of the volume, in [0, 1]; below it a field is a plate. 0 is off."""

    max_several_faces_share: float = 1.0
    """Most share, in [0, 1], of side and back views that the prior takes for the front. 1 is off."""

    min_prompt_gain: Ramp = constant(-1.0)
    """Least gain of the prompt over the unconditional wording, in [-1, 1]; a ramp, since an early field resembles
    nothing yet. -1 is off."""


@dataclass(frozen=True)
class ProbeConfig:
    """Mid-run evaluations of a field, and further candidates (`distill.successive_halving`)."""

    at: tuple[float, ...] = (0.15,)
    """Rising fractions of the steps, between 0 and 1, of the early probes; the end is always probed."""

    best_of: int = 1
    """Candidates that compete by successive halving, from 1 to 64; above 1 they need `at`."""

    max_restarts: int = 1
    """Most further candidates in place of those that a gate refused, up to 1000; 0 is off."""

    step_budget: float = 2.5
    """Steps of all candidates together, in whole runs of `optimize.num_steps`, from 1 to 1000; a restart needs a whole
    run of what is left."""

    num_views: int = 8
    """Views of a probe, evenly around, from 4 to 256."""

    timesteps: tuple[float, ...] = (0.5, 0.75)
    """Noise levels at which the prior is asked, fractions of its schedule between 0 and 1, at least one."""

    def __post_init__(self) -> None:
        require(
            all(0.0 < low < high for low, high in pairwise((*self.at, 1.0))),
            "looks.at",
            self.at,
            "must be rising fractions of the steps between 0 and 1",
        )

        require(1 <= self.best_of <= 64, "looks.best_of", self.best_of, "must be from 1 to 64")
        require(
            self.best_of == 1 or len(self.at) > 0, "looks.best_of", self.best_of, "needs looks.at: where to compare"
        )

        require(0 <= self.max_restarts <= 1000, "looks.max_restarts", self.max_restarts, "must be from 0 (off) to 1000")
        require(
            1.0 <= self.step_budget <= 1000.0,
            "looks.step_budget",
            self.step_budget,
            "must be from 1 (one whole run) to 1000",
        )

        require(
            4 <= self.num_views <= 256, "looks.num_views", self.num_views, "must be from 4 (front, sides, back) to 256"
        )
        require(
            len(self.timesteps) > 0 and all(0.0 < share < 1.0 for share in self.timesteps),
            "looks.timesteps",
            self.timesteps,
            "must be fractions of the noise schedule between 0 and 1, at least one",
        )
