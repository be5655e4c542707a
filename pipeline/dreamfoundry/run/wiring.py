"""The parts of a run, connected: workers, their settings, slots, scheduler, metrics."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dreamfoundry.diffusion.weights import pin_digests
from dreamfoundry.errors import ObjectMissing
from dreamfoundry.identity import recipe_digest
from dreamfoundry.run.default_workers import cores_here
from dreamfoundry.run.driver import Workers, drive
from dreamfoundry.run.lease_keeper import LeaseKeeper
from dreamfoundry.run.messages import Build, Decision, Quarantine, SlotsFit, WorkerSettings
from dreamfoundry.run.outcomes import checked_builds, decision_of, publish, quarantined_outcome, request_provenance
from dreamfoundry.run.planning.plan import Plan
from dreamfoundry.run.ray.session import ray_session
from dreamfoundry.run.request import RunRequest
from dreamfoundry.run.run_records import RunContext, RunRecords, provenance
from dreamfoundry.run.scheduling.ports import SchedulerConfig, SchedulerPorts
from dreamfoundry.run.scheduling.run_stats import Status
from dreamfoundry.run.scheduling.scheduler import Scheduler
from dreamfoundry.run.scheduling.supervision import MAX_FAULTS
from dreamfoundry.settings.recipe import Recipe

MAX_DEFAULT_SLOTS = 4
"""Slots of a distill worker on a CPU when the request names no number."""

OpenWorkers = Callable[[WorkerSettings, str], Workers]
"""Makes the workers of a run from their settings and the run's id."""

SlotsThatFit = Callable[[WorkerSettings, Recipe, int, int], SlotsFit]
"""Tries out the number of slots of a worker, up to a limit, or one number where it is not 0."""


def build_assets(
    context: RunContext, plan: Plan, records: RunRecords, open_workers: OpenWorkers, should_stop: Callable[[], bool]
) -> int:
    """Build every open asset of `plan`; returns the number of builds left to other runs."""
    request = context.request
    num_distill_workers = min(request.num_distill_workers, plan.num_builds)
    settings = _worker_settings(context, num_distill_workers)

    with _workers_session(request):
        slots = _choose_slots(context, records, settings, -(-plan.num_builds // num_distill_workers))
        settings = dataclasses.replace(
            settings,
            text_encoder_on_host=slots.text_encoder_on_host,
            vae_rows=slots.vae_rows,
            provenance=provenance(context, num_distill_workers, slots.num_slots),
        )
        config = SchedulerConfig(
            num_builds=plan.num_builds,
            num_distill_workers=num_distill_workers,
            num_export_workers=min(request.num_export_workers, plan.num_builds),
            num_slots=min(slots.num_slots, plan.num_builds),  # more would only take memory
            limits=request.limits,
        )
        return _drive(context, plan, records, config, open_workers(settings, context.run_id), should_stop)


def _drive(
    context: RunContext,
    plan: Plan,
    records: RunRecords,
    config: SchedulerConfig,
    workers: Workers,
    should_stop: Callable[[], bool],
) -> int:
    limits, policy = context.request.limits, context.request.metadata_policy
    run_provenance = provenance(context, config.num_distill_workers, config.num_slots)

    def quarantine(command: Quarantine) -> Decision:
        build = command.build
        known = {**run_provenance, **request_provenance(build, context.prior, policy)}
        outcome = quarantined_outcome(build, command.failure, command.tries, known, command.snapshot, command.history)
        try:
            standing = publish(context.library, outcome, build.instead_of)
        except ObjectMissing:  # the field is lost, and the reason is not
            standing = publish(context.library, dataclasses.replace(outcome, snapshot=None), build.instead_of)
        return decision_of(standing, context.run_id)

    def on_decision(build: Build, decision: Decision) -> None:
        failure_class = decision.failure.failure_class if decision.failure is not None else ""
        plan.decide(build.asset_key, decision.state, failure_class, is_ours=decision.is_ours)

    export_metrics = _metrics(context.request)

    def on_status(status: Status) -> None:
        context.progress.show(status)
        export_metrics(status)
        records.update(status)
        records.note_unreadable()

    url = context.library.store.url
    with LeaseKeeper(url, context.run_id, limits.lease_s, limits.store_s, context.unreadable) as claims:
        ports = SchedulerPorts(claims, time.monotonic, recipe_digest, on_decision)
        scheduler = Scheduler(checked_builds(plan.builds(), context.prior, policy), config, ports)
        try:
            drive(
                scheduler,
                workers,
                quarantine=quarantine,
                on_status=on_status,
                on_note=records.note,
                should_stop=should_stop,
            )
        finally:
            context.progress.close()
            records.note_status(scheduler.status())
    return scheduler.num_delegated


def open_workers_for(request: RunRequest) -> OpenWorkers:
    """The workers of this request: Ray actors, or this process itself."""
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


def _worker_settings(context: RunContext, num_distill_workers: int) -> WorkerSettings:
    request = context.request
    return WorkerSettings(
        library_url=context.library.store.url,
        prior=pin_digests(request.recipe.prior, context.prior),
        prior_identity=context.prior,
        device=request.device,
        prior_engine=request.prior_engine,
        checkpoint_s=request.limits.checkpoint_s,
        store_s=request.limits.store_s / MAX_FAULTS,  # as many waits in a row retire a worker
        num_threads=max(1, cores_here() // num_distill_workers),
        metadata_policy=request.metadata_policy,
        logs_events=request.logs_events,
        # on other machines the file would be another one: there, events are in Ray's logs only
        log_file=os.path.abspath(request.log_file) if request.logs_events and request.has_own_ray else "",
    )


def _choose_slots(context: RunContext, records: RunRecords, settings: WorkerSettings, most_slots: int) -> SlotsFit:
    """The number of the request; else on a GPU the fastest there, on a CPU up to MAX_DEFAULT_SLOTS.

    On a GPU that of the request is tried out too: what fits beside so many slots decides where the text
    encoder waits and what the VAE keeps.
    """
    request = context.request
    if not request.device.startswith("cuda"):
        return SlotsFit(request.num_slots or min(MAX_DEFAULT_SLOTS, most_slots))
    with records.stage("preflight"):
        fit = _slots_that_fit_for(request)(settings, request.recipe, most_slots, request.num_slots)
    context.progress.note(f"{fit.num_slots} slots for each distill worker")
    return fit


def _metrics(request: RunRequest) -> Callable[[Status], None]:
    """A function that exports each status to Prometheus; without Ray there is no page for it."""
    if not request.use_ray:
        return lambda status: None
    from dreamfoundry.run.ray.metrics import FleetMetrics  # brings ray

    return FleetMetrics().show


@contextmanager
def _workers_session(request: RunRequest) -> Iterator[None]:
    if not request.use_ray:
        yield
        return
    num_cpus = request.num_distill_workers + request.num_export_workers
    with ray_session(num_cpus, needs_gpu=request.device.startswith("cuda")):
        yield
