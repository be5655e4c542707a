"""One run: a manifest and a library go in, a report comes out, and the library has changed.

    check the rows -> plan -> drive the workers -> catalog, contact sheet, report

Nothing is started before the whole manifest has been checked. torch is never imported here.
"""

from __future__ import annotations

import dataclasses
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from dreamfoundry.diffusion.weights import PriorEngine, pin_digests
from dreamfoundry.diffusion.weights_cache import resolve_identity, weights_cache
from dreamfoundry.errors import InfrastructureError, ManifestError, ObjectMissing
from dreamfoundry.host.faults import machine_faults
from dreamfoundry.identity import recipe_digest
from dreamfoundry.library.library import Library
from dreamfoundry.library.projections import publish_projections
from dreamfoundry.manifest.reader import ManifestReport, read_prompts, scan
from dreamfoundry.object_store.open import local_copy, open_store
from dreamfoundry.object_store.protocol import ObjectStore
from dreamfoundry.records import Outcome, PriorIdentity
from dreamfoundry.run import report
from dreamfoundry.run.default_workers import cores_here, default_num_distill_workers, default_num_export_workers
from dreamfoundry.run.driver import Workers, drive
from dreamfoundry.run.exit_codes import RunStatus
from dreamfoundry.run.lease_keeper import LeaseKeeper
from dreamfoundry.run.messages import Build, Decision, Quarantine, SlotsFit, WorkerSettings
from dreamfoundry.run.outcomes import BAD_ROW, bad_row_outcome, decision_of, now_text, publish, quarantined_outcome
from dreamfoundry.run.plan import Plan, Tally, prompt_check, vocabulary_hint
from dreamfoundry.run.progress import Progress, TextStream
from dreamfoundry.run.ray.session import joins_a_ray, ray_session
from dreamfoundry.run.report import RunProgress, RunRecord, RunReport
from dreamfoundry.run.scheduling.ports import SchedulerConfig, SchedulerPorts
from dreamfoundry.run.scheduling.run_stats import Status
from dreamfoundry.run.scheduling.scheduler import Scheduler
from dreamfoundry.run.scheduling.supervision import MAX_FAULTS
from dreamfoundry.run.scheduling.timeouts import Limits
from dreamfoundry.serialization import to_plain
from dreamfoundry.settings.export_profiles import ExportProfile
from dreamfoundry.settings.metadata_policy import MetadataPolicy
from dreamfoundry.settings.recipe import Recipe

MAX_DEFAULT_SLOTS = 4

MAX_NAMED = 20
"""Quarantined rows that a result names; the catalog names all."""


@dataclass(frozen=True)
class RunRequest:
    """What is asked of a run. `num_slots` 0 chooses: on a GPU what is fastest there, tried out first,
    on a CPU up to MAX_DEFAULT_SLOTS, and never more than there are prompts. `num_distill_workers` 0
    and `num_export_workers` 0 are what `default_workers` says.

    `retry_class` is the class of quarantined outcomes to try again, "all" for every one.
    Without `use_ray` everything runs in this process, one call at a time. `price_per_hour` is that
    of one distiller with its machine, in any currency.
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


@dataclass(frozen=True)
class RunResult:
    """The report that was written, and why the first MAX_NAMED rows are quarantined."""

    report: RunReport
    quarantined: Mapping[str, Outcome] = field(default_factory=dict)


OpenWorkers = Callable[[WorkerSettings, str], Workers]
"""Makes the workers of a run from what they are told and the run's id."""


SlotsThatFit = Callable[[WorkerSettings, Recipe, int], SlotsFit]
"""Tries out how many slots a worker should have, up to a number."""


def build_library(
    request: RunRequest,
    stream: TextStream,
    should_stop: Callable[[], bool] = lambda: False,
    open_workers: OpenWorkers | None = None,
) -> RunResult:
    """Build what `request` asks for; progress goes to `stream`.

    Raises InputError before anything is written, InfrastructureError when the run cannot go on
    (its report says "failed"). After `should_stop` the run ends as "drained". `open_workers` is for
    other workers than the real ones.
    """
    request = _with_crew(request)
    with tempfile.TemporaryDirectory(prefix="df-manifest-") as folder:
        manifest = _local_manifest(request.manifest, Path(folder))
        run = _Run.begin(request, manifest, stream, open_workers or _open_workers_for(request))
        try:
            with machine_faults():
                return run.carry_out(should_stop)
        except InfrastructureError as error:
            run.report_failure(str(error))
            raise


def _with_crew(request: RunRequest) -> RunRequest:
    has_own_ray = request.use_ray and not joins_a_ray()
    num_distill_workers = request.num_distill_workers or default_num_distill_workers(
        request.device, request.recipe.prior.path, has_own_ray=has_own_ray
    )
    num_export_workers = request.num_export_workers or default_num_export_workers(
        num_distill_workers, has_own_ray=has_own_ray
    )
    return dataclasses.replace(request, num_distill_workers=num_distill_workers, num_export_workers=num_export_workers)


def _open_workers_for(request: RunRequest) -> OpenWorkers:
    if request.use_ray:
        return _open_ray_workers
    from dreamfoundry.run.workers.local import LocalWorkers  # brings torch

    return lambda settings, run_id: LocalWorkers(settings)


def _open_ray_workers(settings: WorkerSettings, run_id: str) -> Workers:
    from dreamfoundry.run.ray.workers import RayWorkers  # brings ray, once its environment is set

    return RayWorkers(settings, run_id)


def _slots_that_fit_for(request: RunRequest) -> SlotsThatFit:
    if request.use_ray:
        from dreamfoundry.run.ray import workers  # brings ray

        return workers.slots_that_fit
    from dreamfoundry.run.workers import distiller  # brings torch

    return distiller.slots_that_fit


def _local_manifest(url: str, folder: Path) -> Path:
    try:
        return local_copy(url, folder)
    except ObjectMissing as error:
        raise ManifestError(str(error)) from None


def _refuse_bad_rows(found: ManifestReport, request: RunRequest) -> None:
    if not found.row_errors or request.quarantine_bad_rows:
        return
    lines = [f"{len(found.row_errors)} of {found.num_rows} rows of {request.manifest} cannot be used:"]
    lines += [f"  {error}" for error in found.row_errors]
    if any("toybox" in str(error) for error in found.row_errors):
        lines.append(vocabulary_hint(request.recipe))
    lines.append("mend them, or run with --quarantine-bad-rows to record them as quarantined and build the rest")
    raise ManifestError("\n".join(lines))


@dataclass
class _Run:
    request: RunRequest
    manifest: Path
    found: ManifestReport
    prior: PriorIdentity
    library: Library
    stream: TextStream
    progress: Progress
    open_workers: OpenWorkers
    run_id: str
    started_at: str
    timings_s: dict[str, float] = field(default_factory=dict)
    status: Status = Status(0)
    plan: Plan | None = None

    @staticmethod
    def begin(request: RunRequest, manifest: Path, stream: TextStream, open_workers: OpenWorkers) -> _Run:
        """Check everything that can be checked without starting anything."""
        started_at, started_s = now_text(), time.monotonic()
        prior = resolve_identity(request.recipe.prior, weights_cache())
        found = scan(manifest, prompt_check(request.recipe), request.recipe)
        _refuse_bad_rows(found, request)
        for warning in found.warnings:
            stream.write(f"warning: {warning}\n")
        if found.ignored_columns:
            stream.write(f"columns that are not read: {', '.join(found.ignored_columns)}\n")
        progress = Progress(stream)
        library = Library(open_store(request.library, retry_timeout_s=request.limits.store_s, on_wait=progress.note))
        run_id = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
        timings_s = {"scan": time.monotonic() - started_s}
        return _Run(
            request, manifest, found, prior, library, stream, progress, open_workers, run_id, started_at, timings_s
        )

    def carry_out(self, should_stop: Callable[[], bool]) -> RunResult:
        """Plan, build, publish the projections."""
        request = self.request
        bad_rows = [
            publish(self.library, bad_row_outcome(error, self.found.digest, self._provenance()), None)
            for error in self.found.row_errors
        ]
        with self._stage("plan"):
            self.plan = plan = Plan(
                lambda: read_prompts(self.manifest, self.found.skip_rows, request.recipe),
                self.library,
                recipe=request.recipe,
                profile=request.profile,
                prior=self.prior,
                metadata_policy=request.metadata_policy,
                retry_class=request.retry_class,
            )
        num_builds, num_delegated = plan.num_builds, 0
        if num_builds:
            self._write_progress(Status(num_builds, waiting=num_builds))
            with self._stage("build"):
                num_delegated = self._drive(plan, num_builds, should_stop)
        if not plan.is_shown():
            with self._stage("publish"):
                publish_projections(self.library, self.run_id, plan.rows())
        tally = plan.tally()
        status = self._status(tally, bad_rows, num_delegated)
        summary = self._summary(status, "", tally, bad_rows)
        self._write(self.library.store, summary)
        named = {outcome.prompt_id: outcome for outcome in bad_rows[:MAX_NAMED]}
        for prompt_id, asset_key in plan.quarantined_rows(MAX_NAMED - len(named)):
            if outcome := self.library.get_outcome(asset_key):
                named[prompt_id] = outcome
        return RunResult(summary, named)

    def _drive(self, plan: Plan, num_builds: int, should_stop: Callable[[], bool]) -> int:
        """Build what is open in `plan`; returns the number of builds that are left to other runs."""
        request = self.request
        num_distill_workers = min(request.num_distill_workers, num_builds)
        settings = WorkerSettings(
            library_url=self.library.store.url,
            prior=pin_digests(request.recipe.prior, self.prior),
            prior_identity=self.prior,
            device=request.device,
            prior_engine=request.prior_engine,
            checkpoint_s=request.limits.checkpoint_s,
            store_s=request.limits.store_s / MAX_FAULTS,  # so many waits in a row retire a worker
            num_threads=max(1, cores_here() // num_distill_workers),
            metadata_policy=request.metadata_policy,
        )
        with self._workers_session():
            slots = self._slots(settings, -(-num_builds // num_distill_workers))
            settings = dataclasses.replace(
                settings,
                text_encoder_on_host=slots.text_encoder_on_host,
                provenance=self._provenance(num_distill_workers, slots.num_slots),
            )
            return self._drive_workers(plan, num_builds, num_distill_workers, slots.num_slots, settings, should_stop)

    def _slots(self, settings: WorkerSettings, most_slots: int) -> SlotsFit:
        """As many as were asked for; else on a GPU what is fastest there, on a CPU up to MAX_DEFAULT_SLOTS."""
        request = self.request
        if request.num_slots or not request.device.startswith("cuda"):
            return SlotsFit(request.num_slots or min(MAX_DEFAULT_SLOTS, most_slots))
        with self._stage("preflight"):
            fit = _slots_that_fit_for(request)(settings, request.recipe, most_slots)
        self.progress.note(f"{fit.num_slots} slots for each distiller")
        return fit

    def _drive_workers(
        self,
        plan: Plan,
        num_builds: int,
        num_distill_workers: int,
        num_slots: int,
        settings: WorkerSettings,
        should_stop: Callable[[], bool],
    ) -> int:
        request = self.request

        def quarantine(command: Quarantine) -> Decision:
            build = command.build
            outcome = quarantined_outcome(
                build, command.failure, command.tries, settings.provenance, command.snapshot, command.history
            )
            return decision_of(publish(self.library, outcome, build.instead_of), self.run_id)

        def take_note(build: Build, decision: Decision) -> None:
            failure_class = decision.failure.failure_class if decision.failure is not None else ""
            plan.decide(build.asset_key, decision.state, failure_class, is_ours=decision.is_ours)

        with self._claims() as claims:
            config = SchedulerConfig(
                num_builds=num_builds,
                num_distill_workers=num_distill_workers,
                num_export_workers=min(request.num_export_workers, num_builds),
                num_slots=num_slots,
                limits=request.limits,
            )
            ports = SchedulerPorts(claims, time.monotonic, recipe_digest, take_note)
            scheduler = Scheduler(plan.builds(), config, ports)
            workers = self.open_workers(settings, self.run_id)
            show_metrics = self._metrics()

            told_s = time.monotonic()

            def on_status(status: Status) -> None:
                nonlocal told_s
                self.progress.show(status)
                show_metrics(status)
                if time.monotonic() - told_s >= request.limits.progress_s:
                    self._write_progress(status)
                    told_s = time.monotonic()

            try:
                drive(
                    scheduler,
                    workers,
                    quarantine=quarantine,
                    on_status=on_status,
                    on_note=self.progress.note,
                    should_stop=should_stop,
                )
            finally:
                self.progress.close()
                self.status = scheduler.status()
        return scheduler.num_delegated

    def _claims(self) -> LeaseKeeper:
        limits = self.request.limits
        return LeaseKeeper(self.library.store.url, self.run_id, limits.lease_s, limits.store_s)

    def _metrics(self) -> Callable[[Status], None]:
        """What is called with each status for the sake of Prometheus; without Ray there is no page for it."""
        if not self.request.use_ray:
            return lambda status: None
        from dreamfoundry.run.ray.metrics import FleetMetrics  # brings ray

        return FleetMetrics().show

    @contextmanager
    def _workers_session(self) -> Iterator[None]:
        if not self.request.use_ray:
            yield
            return
        with ray_session(num_cpus=self.request.num_distill_workers + self.request.num_export_workers):
            yield

    def _status(self, tally: Tally, bad_rows: list[Outcome], num_delegated: int) -> RunStatus:
        if tally.pending:
            return "delegated" if num_delegated else "drained"
        return "partial" if tally.failure_classes or bad_rows or self.found.lost else "complete"

    def report_failure(self, message: str) -> None:
        """Leave a report that says why the run ended early, if the store can still be reached."""
        rows_at_hand = self.found.num_rows - self.found.num_lost_rows
        tally = self.plan.tally() if self.plan is not None else Tally(0, 0, 0, rows_at_hand, {})
        summary = self._summary("failed", message, tally)
        try:  # a store that is away has been waited for
            self._write(open_store(self.request.library, retry_timeout_s=5.0), summary)
        except InfrastructureError:
            self.stream.write("the run report could not be written either\n")

    def _summary(self, status: RunStatus, message: str, tally: Tally, bad_rows: Sequence[Outcome] = ()) -> RunReport:
        request = self.request
        bad = {BAD_ROW: len(bad_rows)} if bad_rows else {}
        return RunReport(
            run_id=self.run_id,
            manifest=request.manifest,
            manifest_digest=self.found.digest,
            library=request.library,
            status=status,
            started_at=self.started_at,
            finished_at=now_text(),
            num_rows=self.found.num_rows,
            published=tally.published,
            skipped=tally.skipped + (len(self.found.repeated_rows) if self.plan is not None else 0),
            quarantined=tally.quarantined + len(bad_rows),
            lost_rows=self.found.num_lost_rows,
            pending=tally.pending,
            failure_classes={**tally.failure_classes, **bad},
            timings_s=dict(self.timings_s),
            num_steps=self.status.steps_done,
            optimizer_s=self.status.optimizer_s,
            price_per_hour=request.price_per_hour,
            message=message,
        )

    def _write_progress(self, status: Status) -> None:
        progress = RunProgress(
            run_id=self.run_id,
            manifest=self.request.manifest,
            started_at=self.started_at,
            at=now_text(),
            num_builds=status.num_builds,
            published=status.published,
            quarantined=status.quarantined,
            num_steps=status.steps_done,
            optimizer_s=status.optimizer_s,
            price_per_hour=self.request.price_per_hour,
            eta_s=self.progress.eta_s(status),
        )
        self._write(self.library.store, progress)

    def _write(self, store: ObjectStore, record: RunRecord) -> None:
        store.put(report.key(type(record), self.run_id), report.to_json(record), report.MEDIA_TYPE)

    def _provenance(self, num_distill_workers: int = 0, num_slots: int = 0) -> dict[str, object]:
        """What every outcome of this run records beside its timings."""
        request = self.request
        return {
            "run_id": self.run_id,
            "manifest": request.manifest,
            "manifest_digest": self.found.digest,
            "device": request.device,
            "num_slots": num_slots,
            "num_optimizers": num_distill_workers,
            "prior": to_plain(self.prior),
        }

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        started_s = time.monotonic()
        try:
            yield
        finally:
            self.timings_s[name] = time.monotonic() - started_s
