"""When a candidate is evaluated, what ends it, and how many there may be."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from dreamfoundry.settings.values import Ramp, constant, require


@dataclass(frozen=True)
class GateConfig:
    """What ends a candidate, at every look and in the end; `distill.probes` defines the scores.

    Mean opacity is that of the views, in [0, 1]. `min_prompt_gain` is a ramp over the run, since
    an early field resembles nothing yet; -1 switches it off, and 0 and 1 the two before it.
    """

    min_mean_opacity: float = 0.02
    max_mean_opacity: float = 0.85
    min_flatness_ratio: float = 0.08
    max_several_faces_share: float = 1.0
    min_prompt_gain: Ramp = constant(-1.0)


@dataclass(frozen=True)
class ProbeConfig:
    """When a field is looked at while it is made, and what may follow (`distill.successive_halving`).

    `at` are fractions of the steps; the end is always looked at. `best_of` candidates race by
    successive halving; up to `max_restarts` more replace candidates that a gate refused, as long
    as `step_budget` (in whole runs of the prompt, all candidates together) allows a whole run.
    A look pictures the field from `num_views` sides and asks the prior at `timesteps`, fractions
    of its noise schedule.
    """

    at: tuple[float, ...] = (0.15,)
    best_of: int = 1
    max_restarts: int = 1
    step_budget: float = 2.5
    num_views: int = 8
    timesteps: tuple[float, ...] = (0.5, 0.75)

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
        require(self.max_restarts >= 0, "looks.max_restarts", self.max_restarts, "must be 0 (off) or more")
        require(self.step_budget >= 1.0, "looks.step_budget", self.step_budget, "must be at least 1, one whole run")
        require(self.num_views >= 4, "looks.num_views", self.num_views, "must be at least 4: front, sides and back")
        require(
            len(self.timesteps) > 0 and all(0.0 < share < 1.0 for share in self.timesteps),
            "looks.timesteps",
            self.timesteps,
            "must be fractions of the noise schedule between 0 and 1, at least one",
        )
