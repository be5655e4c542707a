"""The request and the result of a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

from dreamfoundry.diffusion.weights import PriorEngine
from dreamfoundry.host.log_events import is_enabled
from dreamfoundry.records import Outcome
from dreamfoundry.run.default_workers import default_num_distill_workers, default_num_export_workers
from dreamfoundry.run.ray.session import joins_a_ray
from dreamfoundry.run.report import RunReport
from dreamfoundry.run.scheduling.timeouts import Limits
from dreamfoundry.settings.export_profiles import ExportProfile
from dreamfoundry.settings.metadata_policy import MetadataPolicy
from dreamfoundry.settings.recipe import Recipe


@dataclass(frozen=True)
class RunRequest:
    """The inputs of a run: manifest, library, recipe, workers and limits.

    `num_slots` 0 chooses: on a GPU what is fastest there, tried out first, on a CPU a small number,
    and never more than there are prompts. `num_distill_workers` 0 and `num_export_workers` 0 are the
    numbers of `default_workers`.

    `retry_class` is the class of quarantined outcomes to try again, "all" for every one.
    Without `use_ray` everything runs in this process, one call at a time. `price_per_hour` is that
    of one distill worker with its machine, in any currency. `is_dry` is for `run.planning.dry_run`: bad rows are
    told, not refused, and nothing is written. `recipe_name` is for the catalog. Log events go to the end of `log_file`,
    and to the run's stream where that is no terminal; nowhere if `log_file` is empty or the
    environment has switched them off.
    """

    manifest: str
    library: str
    recipe: Recipe
    profile: ExportProfile
    metadata_policy: MetadataPolicy = MetadataPolicy()
    num_distill_workers: int = 0
    num_export_workers: int = 0
    num_slots: int = 0
    device: str = "cpu"
    prior_engine: PriorEngine = "graphs"
    retry_class: str = ""
    quarantine_bad_rows: bool = False
    use_ray: bool = True
    limits: Limits = Limits()
    price_per_hour: float = 0.0
    is_dry: bool = False
    recipe_name: str = ""
    log_file: str = ""

    @property
    def has_own_ray(self) -> bool:
        """True if the run starts a Ray of its own, on this machine."""
        return self.use_ray and not joins_a_ray()

    @property
    def logs_events(self) -> bool:
        """True if driver and workers write log events."""
        return bool(self.log_file) and is_enabled()

    def with_workers(self) -> RunRequest:
        """The same request with numbers of workers in place of zeros."""
        num_distill_workers = self.num_distill_workers or default_num_distill_workers(
            self.device, self.recipe.prior.path, has_own_ray=self.has_own_ray
        )
        num_export_workers = self.num_export_workers or default_num_export_workers(
            num_distill_workers, has_own_ray=self.has_own_ray
        )
        return dataclasses.replace(self, num_distill_workers=num_distill_workers, num_export_workers=num_export_workers)


@dataclass(frozen=True)
class RunResult:
    """The report as written, the outcomes of the first quarantined rows by prompt id, and the log file, if any."""

    report: RunReport
    quarantined: Mapping[str, Outcome] = field(default_factory=dict)
    log_file: str = ""
