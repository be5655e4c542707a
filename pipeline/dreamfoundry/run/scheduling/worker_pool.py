"""The workers of a run: places for processes, their contents, and their capacity."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from dreamfoundry.run.messages import Build, WorkerKind
from dreamfoundry.run.scheduling.field_job import FieldJob
from dreamfoundry.run.scheduling.timeouts import Limits


@dataclass(eq=False)
class Worker:
    """One place for a process; processes come and go, the place stays until it is retired.

        absent ──start──> starting ──ready──> idle <──answer── busy
           ^                 │                 │ └──────work────^ │
           └─────vanish──────┴──── vanish ─────┴───── vanish ─────┘       any ──retire──> retired

    A distiller has `fields` in its slots, an exporter a `build`. `since_s` is the time of its last
    command. `num_faults` counts faults in a row. `is_leaving` while the machine of its process is
    about to go. `node` is the machine of its process, "" where that is not known.
    """

    name: str
    kind: WorkerKind
    state: Literal["absent", "starting", "idle", "busy", "retired"] = "absent"
    since_s: float = 0.0
    num_faults: int = 0
    shape_class: str = ""
    num_slots: int = 0
    is_leaving: bool = False
    node: str = ""
    fields: dict[str, FieldJob] = field(default_factory=dict)
    build: Build | None = None

    @property
    def has_room(self) -> bool:
        """True if a distiller could take a field; an empty one may change its number of slots."""
        return not self.fields or len(self.fields) < self.num_slots

    def start(self) -> None:
        """Get a process, which loads prior or exporter."""
        self.state = "starting"

    def place(self, node: str) -> None:
        """Have its process on `node`."""
        self.node = node

    def ready(self) -> None:
        """Have loaded everything."""
        self.state = "idle"

    def command(self, now_s: float) -> None:
        """Note the time of a command: its answer is waited for from now on."""
        self.since_s = now_s

    def mark_busy(self, build: Build | None = None) -> None:
        """Be busy: with the fields in the slots, or with the export of `build`."""
        self.state, self.build = "busy", build

    def answer(self) -> None:
        """Be idle again; an export is over, fields stay in their slots."""
        self.state, self.build = "idle", None

    def reshape(self, shape_class: str, num_slots: int) -> None:
        """Take fields of another shape class; only while the slots are empty."""
        self.shape_class, self.num_slots = shape_class, num_slots

    def admit(self, job: FieldJob) -> None:
        """Put a field into a free slot."""
        self.fields[job.key] = job

    def release(self, field_key: str) -> FieldJob:
        """Take a field out of its slot."""
        return self.fields.pop(field_key)

    def spend(self, now_s: float) -> None:
        """Divide the time since the last command among the fields in the slots."""
        for job in self.fields.values():
            job.spend((now_s - self.since_s) / len(self.fields))

    def empty(self) -> list[FieldJob]:
        """Lose everything inside; returns the fields."""
        fields = list(self.fields.values())
        self.fields, self.build, self.is_leaving = {}, None, False
        return fields

    def vanish(self) -> None:
        """Have no process any more; a retired place stays retired."""
        if self.state != "retired":
            self.state = "absent"
        self.is_leaving, self.node = False, ""

    def retire(self) -> None:
        """Never get a process again."""
        self.state = "retired"

    def leave(self) -> None:
        """The machine of the process, if there is one, is about to go."""
        self.is_leaving = self.state not in ("absent", "retired")

    def count_fault(self) -> int:
        """Count a fault that is no prompt's; returns the faults in a row."""
        self.num_faults += 1
        return self.num_faults

    def recover(self) -> None:
        """A good answer ends a row of faults."""
        self.num_faults = 0

    def limit_s(self, limits: Limits) -> float:
        """Seconds its answer may take; infinity while none is due."""
        if self.state == "starting":
            return limits.setup_limit_s
        if self.state == "busy":
            return limits.slice_limit_s if self.kind == "distiller" else limits.export_limit_s
        return float("inf")


class WorkerPool:
    """All workers. A distiller has `num_slots` slots, or fewer where memory was short."""

    def __init__(self, *, num_distill_workers: int, num_export_workers: int, num_slots: int) -> None:
        workers = [Worker(f"distiller-{n}", "distiller") for n in range(num_distill_workers)]
        workers += [Worker(f"exporter-{n}", "exporter") for n in range(num_export_workers)]
        self._workers = {worker.name: worker for worker in workers}
        self._num_slots = num_slots
        self._most_slots: dict[str, int] = {}  # by shape class, where memory was short

    def __getitem__(self, name: str) -> Worker:
        return self._workers[name]

    def __iter__(self) -> Iterator[Worker]:
        return iter(self._workers.values())

    @property
    def is_at_rest(self) -> bool:
        """Nothing is under way."""
        return all(worker.state != "busy" and not worker.fields for worker in self)

    def of(self, kind: WorkerKind) -> list[Worker]:
        return [worker for worker in self if worker.kind == kind]

    def is_retired(self, kind: WorkerKind) -> bool:
        """No place of this kind is left."""
        return all(worker.state == "retired" for worker in self.of(kind))

    def num_up(self, kind: WorkerKind) -> int:
        """Workers that have a process, ready or not."""
        return sum(worker.state not in ("absent", "retired") for worker in self.of(kind))

    def num_free(self, kind: WorkerKind) -> int:
        """Workers without work, now or as soon as they have started."""
        return sum(worker.state in ("starting", "idle") and not worker.fields for worker in self.of(kind))

    def num_slots_for(self, shape_class: str) -> int:
        return self._most_slots.get(shape_class, self._num_slots)

    def even_share(self, num_waiting: int) -> int:
        """Fields for each distiller with room, if the waiting ones and theirs were divided evenly."""
        up = [worker for worker in self.of("distiller") if worker.state in ("starting", "idle", "busy")]
        sharing = [worker for worker in up if worker.has_room]
        return -(-(num_waiting + sum(len(worker.fields) for worker in sharing)) // len(sharing))

    def reduce_capacity(self, worker: Worker) -> bool:
        """Halve the slots, or retire one exporter, where memory was short. False if that is impossible."""
        if worker.kind == "distiller":
            self._most_slots[worker.shape_class] = max(1, worker.num_slots // 2)
            return worker.num_slots > 1
        if all(other.state == "retired" for other in self.of("exporter") if other is not worker):
            return False
        worker.retire()
        return True
