"""Records of a run in its library: how far it is, and in the end how it ended, with every row accounted for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, TypeVar

from dreamfoundry.errors import ObjectMissing
from dreamfoundry.library import record_json
from dreamfoundry.run.exit_codes import EXIT_CODES, RunStatus

MEDIA_TYPE = "application/json"


@dataclass(frozen=True)
class RunReport:
    """The end of one run; the row counts add up to `num_rows` unless the run was refused.

    `published` and `quarantined` are rows decided by this run, `skipped` rows that were decided
    before, `lost_rows` rows in damaged bytes, `pending` rows that nobody decided. Times are RFC
    3339 in UTC. `failure_classes` counts quarantined rows by class, `timings_s` is by stage.
    `num_steps` were made in all slots. `optimizer_s` has the seconds for which distillers were held:
    "useful", "wasted" and "idle". `cost` is their price at `price_per_hour`, in its currency.
    """

    STORED_NAMES: ClassVar[Mapping[str, str]] = {"status": "word"}

    run_id: str
    manifest: str
    manifest_digest: str
    library: str
    status: RunStatus
    exit_code: int = field(init=False)
    started_at: str
    finished_at: str
    num_rows: int
    published: int
    skipped: int
    quarantined: int
    lost_rows: int
    pending: int
    failure_classes: Mapping[str, int]
    timings_s: Mapping[str, float]
    num_steps: int = 0
    optimizer_s: Mapping[str, float] = field(default_factory=dict)
    price_per_hour: float = 0.0
    cost: float = field(init=False)
    message: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "exit_code", EXIT_CODES[self.status])
        object.__setattr__(self, "cost", cost(self.optimizer_s, self.price_per_hour))


@dataclass(frozen=True)
class RunProgress:
    """State of a run at `at`, written before its first worker starts, and now and then while workers are up.

    Without a report beside it, the run is still running or was killed. Assets are counted, not rows.
    """

    run_id: str
    manifest: str
    started_at: str
    at: str
    num_builds: int
    published: int
    quarantined: int
    num_steps: int
    optimizer_s: Mapping[str, float]
    price_per_hour: float
    eta_s: float | None = None


def cost(optimizer_s: Mapping[str, float], price_per_hour: float) -> float:
    """Price of the seconds for which distillers were held, in the currency of `price_per_hour`."""
    return math.fsum(optimizer_s.values()) / 3600.0 * price_per_hour


RunRecord = RunProgress | RunReport

_NAMES: Mapping[type[RunRecord], str] = {RunProgress: "progress", RunReport: "report"}

T = TypeVar("T", RunProgress, RunReport)


def key(kind: type[RunRecord], run_id: str) -> str:
    """Key of the record of this kind in the library of the run."""
    return f"runs/{run_id}/{_NAMES[kind]}.json"


def run_ids(keys: Iterable[str]) -> list[str]:
    """Runs with a record among `keys` of a library, the earliest first: a run id begins with its time."""
    endings = tuple(f"/{name}.json" for name in _NAMES.values())
    return sorted({name.split("/")[1] for name in keys if name.endswith(endings)})


def schema(kind: type[RunRecord]) -> str:
    """Name and version of what is written."""
    return f"run_{_NAMES[kind]}.v1"


def to_json(record: RunRecord) -> bytes:
    """Canonical JSON."""
    return record_json.to_json(record, schema(type(record)))


def from_json(kind: type[T], data: bytes) -> T:
    """The record that `to_json` wrote; ObjectCorrupt for anything else."""
    return record_json.from_json(kind, schema(kind), data)


def parse(key: str, data: bytes) -> RunRecord:
    """The record in the bytes of `key`; ObjectCorrupt."""
    if key.endswith(f"/{_NAMES[RunReport]}.json"):
        return from_json(RunReport, data)
    return from_json(RunProgress, data)


def latest(get: Callable[[str], bytes], run_id: str) -> RunProgress | RunReport:
    """The report of a run, or its last progress while there is none. `get` reads a key of the library."""
    try:
        return from_json(RunReport, get(key(RunReport, run_id)))
    except ObjectMissing:
        return from_json(RunProgress, get(key(RunProgress, run_id)))
