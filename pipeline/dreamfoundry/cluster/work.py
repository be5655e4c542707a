"""What the scheduler keeps books on: fields, workers, and the queue of fields that wait."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from dreamfoundry.candidates import planned_steps
from dreamfoundry.cluster.messages import Build, Decision, WorkerKind
from dreamfoundry.config import Recipe
from dreamfoundry.records import NO_HISTORY, BlobRef, FieldHistory


@dataclass(frozen=True)
class Limits:
    """Patience, in seconds. A worker that does not answer within its limit is killed.

    `drain_s` is what a run takes at most from a request to stop to its end. A field whose run has
    died without notice is free for others after `lease_s`; between two checkpoints lie `checkpoint_s`.
    While the store is away for up to `store_s` the run waits, and no prompt is charged for it.
    """

    slice_s: float = 5.0
    setup_limit_s: float = 900.0
    slice_limit_s: float = 600.0
    export_limit_s: float = 1200.0
    lease_s: float = 120.0
    drain_s: float = 90.0
    checkpoint_s: float = 180.0
    store_s: float = 600.0


@dataclass(frozen=True)
class Status:
    """Counts of builds by state, and steps of all slots, for the progress display and the metrics.

    `failure_classes` counts the quarantined ones by class, `workers` those that are up by kind.
    `useful_s` and `wasted_s` are seconds of optimizers: for fields that were stored, and for those
    that failed or were lost with a worker. What is in the slots counts as neither yet.
    """

    num_builds: int
    published: int
    quarantined: int
    waiting: int
    optimizing: int
    exporting: int
    delegated: int
    steps_done: int
    steps_left: int
    failure_classes: Mapping[str, int] = field(default_factory=dict)
    workers: Mapping[str, int] = field(default_factory=dict)
    useful_s: float = 0.0
    wasted_s: float = 0.0


@dataclass(frozen=True)
class Claim:
    """A field is ours: charged deaths so far, and the epoch that tells this ownership from earlier ones."""

    deaths: int
    epoch: int


@runtime_checkable
class Claims(Protocol):
    """What the scheduler asks about other runs that work on the same library."""

    def claim(self, field_key: str) -> Claim | None:
        """Make a field ours; None while a live run elsewhere owns it."""

    def lost(self) -> Collection[str]:
        """Fields that were ours and are somebody else's since this was asked last."""

    def charge(self, field_key: str, deaths: int) -> None:
        """Record the charged deaths durably."""

    def forget(self, field_key: str) -> None:
        """Every build of the field is decided."""

    def standing(self, asset_key: str) -> Decision | None:
        """What the outcome that exists now says, if there is one."""


@dataclass(eq=False)
class FieldWork:
    """One field, with every build that needs it.

    `rank` orders the queue: higher priority first, then the order of the rows. `deaths` are the
    charged ones. `spent_s` is its share of the optimizers' time since it last started over.
    `retry_at_s` is set once a claim was refused.
    """

    key: str
    recipe: Recipe
    shape_class: str
    rank: tuple[int, int]
    builds: list[Build]
    snapshot: BlobRef | None = None
    history: FieldHistory = NO_HISTORY
    deaths: int = 0
    epoch: int = 1
    optimize_s: float = 0.0
    resumed_from_step: int = 0
    spent_s: float = 0.0
    saved_s: float = 0.0
    is_suspect: bool = False
    is_claimed: bool = False
    retry_at_s: float | None = None
    steps_left: int = field(init=False)

    def __post_init__(self) -> None:
        self.start_over()

    def start_over(self) -> None:
        """All steps are ahead again, unless the field is stored."""
        looks, num_steps = self.recipe.looks, self.recipe.optimize.num_steps
        self.steps_left = 0 if self.snapshot is not None else planned_steps(looks, num_steps)


@dataclass(eq=False)
class Worker:
    """One place where a process runs; processes come and go, the place stays.

    `is_leaving` while the machine of its process is about to go.
    """

    name: str
    kind: WorkerKind
    state: Literal["absent", "starting", "idle", "busy", "retired"] = "absent"
    since_s: float = 0.0
    faults: int = 0
    shape_class: str = ""
    num_slots: int = 0
    is_leaving: bool = False
    fields: dict[str, FieldWork] = field(default_factory=dict)
    build: Build | None = None

    @property
    def has_room(self) -> bool:
        """Whether an optimizer could take a field; an empty one may change its number of slots."""
        return not self.fields or len(self.fields) < self.num_slots


class FieldQueue:
    """Fields that wait for a slot: by shape class and rank, suspects apart."""

    def __init__(self) -> None:
        self._heaps: dict[str, list[tuple[tuple[int, int], FieldWork]]] = {}
        self._suspects: deque[FieldWork] = deque()

    def __len__(self) -> int:
        return len(self._suspects) + sum(map(len, self._heaps.values()))

    def push(self, work: FieldWork) -> None:
        """Let a field wait."""
        if work.is_suspect:
            self._suspects.append(work)
        else:
            heapq.heappush(self._heaps.setdefault(work.shape_class, []), (work.rank, work))

    def best_shape(self, current: str) -> str | None:
        """The class whose next field is the most urgent; `current` wins a tie of priority."""
        heads = {shape: heap[0][0] for shape, heap in self._heaps.items() if heap}
        return min(heads, key=lambda shape: (heads[shape][0], shape != current, heads[shape][1]), default=None)

    def pop(self, shape_class: str) -> FieldWork | None:
        heap = self._heaps.get(shape_class)
        return heapq.heappop(heap)[1] if heap else None

    def pop_suspect(self) -> FieldWork | None:
        return self._suspects.popleft() if self._suspects else None
