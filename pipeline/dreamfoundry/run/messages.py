"""Plain values between scheduler, driver and workers: keys and numbers, no bytes.

Workers answer with these and never raise: an exception of a library may not be readable in
another process, so it crosses as text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from dreamfoundry.diffusion.weights import PriorEngine
from dreamfoundry.errors import PromptFailure
from dreamfoundry.records import NO_HISTORY, BlobRef, FieldHistory, Outcome, OutcomeState, Prompt
from dreamfoundry.settings.export_profiles import ExportProfile
from dreamfoundry.settings.metadata_policy import MetadataPolicy
from dreamfoundry.settings.prior import PriorConfig
from dreamfoundry.settings.prior_identity import PriorIdentity
from dreamfoundry.settings.recipe import Recipe

WorkerKind = Literal["distiller", "exporter"]
Blame = Literal["itself", "node", "memory", "device"]
"""The culprit of a death: `node` if its machine went too, `memory` if that of the host ran out, `device` if its GPU
cannot be used or its set-up took too long."""


@dataclass(frozen=True)
class Build:
    """One asset to make, for one or more rows.

    `recipe` is the resolved one. `prompt_ids` are the rows that ask for this asset, the one of
    `prompt` first. `snapshot` is set when the field exists already: then only the export is left.
    `instead_of` is the quarantined outcome that this build tries to replace.
    """

    asset_key: str
    field_key: str
    prompt: Prompt
    prompt_ids: tuple[str, ...]
    recipe: Recipe
    profile: ExportProfile
    snapshot: BlobRef | None = None
    instead_of: Outcome | None = None


@dataclass(frozen=True)
class WorkerSettings:
    """Settings of every worker of a run, sent when it starts.

    `provenance` is recorded in each outcome; it holds the run's id and machine settings. Between two
    checkpoints of a field lie `checkpoint_s` seconds. A call waits `store_s` for a store that is away.
    With `text_encoder_on_host` the text encoder of the prior leaves its place on the GPU to slots; `vae_rows` are
    those of SlotsFit.
    With `logs_events` a worker writes log events to its stderr and, if that is given, to `log_file`.
    """

    library_url: str
    prior: PriorConfig
    prior_identity: PriorIdentity
    device: str
    num_threads: int
    checkpoint_s: float = 180.0
    store_s: float = 120.0
    prior_engine: PriorEngine = "graphs"
    text_encoder_on_host: bool = False
    vae_rows: int = 0
    metadata_policy: MetadataPolicy = MetadataPolicy()
    provenance: Mapping[str, object] = field(default_factory=dict)
    logs_events: bool = False
    log_file: str = ""


@dataclass(frozen=True)
class SlotsFit:
    """The slots that fit on a worker's device, tried out, with the text encoder on it or on the host.

    `vae_rows` are the pictures whose activations the VAE may keep, 0 for as many as it does by itself.
    """

    num_slots: int
    text_encoder_on_host: bool = False
    vae_rows: int = 0


@dataclass(frozen=True)
class Failure:
    """The reason that a prompt cannot become an asset: class and message of a PromptFailure."""

    failure_class: str
    message: str

    @staticmethod
    def of(error: PromptFailure) -> Failure:
        return Failure(error.failure_class, str(error))


@dataclass(frozen=True)
class Decision:
    """The end of a build. `is_ours` is False if another run decided it meanwhile."""

    state: OutcomeState
    failure: Failure | None = None
    is_ours: bool = True


@dataclass(frozen=True)
class Fault:
    """A fault that is not known to be the prompt's.

    `crashed`: unexpected, so the worker's state cannot be trusted and the worker is treated as
    if its process had died. `out_of_memory`: the GPU cannot hold that number of slots. `lost_snapshot`:
    the stored field of an export cannot be read, so the field has to be optimised again.
    """

    message: str
    crashed: bool = False
    out_of_memory: bool = False
    lost_snapshot: bool = False


@dataclass(frozen=True)
class FieldTask:
    """One field to optimise, from its newest checkpoint if it has one.

    `epoch` is that of its lease, `lost_snapshot` what was stored of it before and cannot be read.
    """

    prompt: Prompt
    field_key: str
    epoch: int = 1
    lost_snapshot: BlobRef | None = None


@dataclass(frozen=True)
class FinishedField:
    """A field that has left its slot: stored under `snapshot`, or ended by `failure`.

    `resumed_from_step` counts the steps of the checkpoint that it went on from, 0 without one. `kernels` says in
    words whether Triton's kernels served it.
    """

    field_key: str
    optimize_s: float
    snapshot: BlobRef | None = None
    failure: Failure | None = None
    history: FieldHistory = NO_HISTORY
    resumed_from_step: int = 0
    kernels: str = ""


@dataclass(frozen=True)
class SliceReport:
    """The work of a distiller in one slice.

    `steps_left` has the steps to the end of each field still in a slot, if nothing fails, and
    `returned` those of fields that have left their slot unfinished, with a checkpoint where one
    could be written. `saved` are the fields of which a checkpoint has been written. `num_steps`
    counts the steps of all slots within this slice; `notes` are for the operator.
    """

    steps_left: Mapping[str, int]
    finished: tuple[FinishedField, ...]
    num_steps: int
    fault: Fault | None = None
    returned: Mapping[str, int] = field(default_factory=dict)
    saved: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ExportTask:
    """One stored field to deliver. `tries` of its distillation are recorded in the outcome.

    `kernels` are those that served it in this run, "" for a field from before.
    """

    build: Build
    snapshot: BlobRef
    tries: int
    optimize_s: float
    resumed_from_step: int = 0
    kernels: str = ""


@dataclass(frozen=True)
class ExportReport:
    """The decision that now stands for an asset key, or the fault that prevented one; notes are for the operator."""

    asset_key: str
    decision: Decision | None
    fault: Fault | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Placed:
    """The process of a worker runs on `node`, and begins to load."""

    node: str


@dataclass(frozen=True)
class Ready:
    """A worker has loaded everything.

    `kernels` says in words whether Triton's kernels serve a distiller, and why not; `notes` are for the operator.
    """

    kernels: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Died:
    """A worker is gone, or never came up."""

    cause: str
    blame: Blame = "itself"


@dataclass(frozen=True)
class Answer:
    """One answer of a worker."""

    worker: str
    value: Placed | Ready | Died | SliceReport | ExportReport


@dataclass(frozen=True)
class StartWorker:
    worker: str
    kind: WorkerKind


@dataclass(frozen=True)
class KillWorker:
    """End a worker's process; no answer is expected any more."""

    worker: str
    reason: str


@dataclass(frozen=True)
class DrainNode:
    """Let nothing more be placed on `node`, and take back what runs there."""

    node: str
    cause: str


@dataclass(frozen=True)
class RunSlice:
    """Put `add` into free slots and optimise for about `max_s` seconds."""

    worker: str
    recipe: Recipe
    num_slots: int
    add: tuple[FieldTask, ...]
    max_s: float


@dataclass(frozen=True)
class HandBack:
    """Write a checkpoint of every field in the slots of `worker`, and empty them."""

    worker: str


@dataclass(frozen=True)
class Export:
    worker: str
    task: ExportTask


@dataclass(frozen=True)
class Quarantine:
    """Write the quarantined outcome of a build and answer with `decided`."""

    build: Build
    failure: Failure
    tries: int
    snapshot: BlobRef | None
    history: FieldHistory


Command = StartWorker | KillWorker | DrainNode | RunSlice | HandBack | Export | Quarantine
