"""What a run leaves about itself: that it has begun, and in the end how, with every row accounted for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from dreamfoundry.record_json import from_json as record_from_json
from dreamfoundry.record_json import to_json as record_to_json

REPORT_SCHEMA = "run_report.v1"
START_SCHEMA = "run_start.v1"
MEDIA_TYPE = "application/json"

ExitWord = Literal["complete", "failed", "partial", "refused", "drained", "delegated"]

EXIT_CODES: Mapping[ExitWord, int] = {
    "complete": 0,
    "failed": 1,
    "partial": 3,
    "refused": 4,
    "drained": 75,
    "delegated": 75,
}
"""complete: every row is published. failed: infrastructure or a bug. partial: some rows are
quarantined or lost. refused: manifest or configuration, nothing was started. drained: stopped on
request, run again. delegated: what is left is in the hands of another run; run again to see."""


@dataclass(frozen=True)
class RunReport:
    """The end of one run; the row counts add up to `num_rows` unless the run was refused.

    `published` and `quarantined` are rows decided by this run, `skipped` rows that were decided
    before, `lost_rows` rows in damaged bytes, `pending` rows that nobody decided. Times are RFC
    3339 in UTC. `failure_classes` counts quarantined rows by class, `timings_s` is by stage.
    """

    run_id: str
    manifest: str
    manifest_digest: str
    library: str
    word: ExitWord
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
    message: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "exit_code", EXIT_CODES[self.word])


@dataclass(frozen=True)
class RunStart:
    """Written before the first worker of a run starts. Without a report beside it, the run goes on or was killed."""

    run_id: str
    manifest: str
    started_at: str
    num_rows: int
    num_builds: int


def start_key(run_id: str) -> str:
    """Where a run says that it has begun."""
    return f"runs/{run_id}/start.json"


def start_to_json(start: RunStart) -> bytes:
    """Canonical JSON (schema run_start.v1)."""
    return record_to_json(start, START_SCHEMA)


def start_from_json(data: bytes) -> RunStart:
    """The start that `start_to_json` wrote; ObjectCorrupt for anything else."""
    return record_from_json(RunStart, START_SCHEMA, data)


def report_key(run_id: str) -> str:
    """Where the report of a run lies in the library."""
    return f"runs/{run_id}/report.json"


def to_json(report: RunReport) -> bytes:
    """Canonical JSON (schema run_report.v1)."""
    return record_to_json(report, REPORT_SCHEMA)


def from_json(data: bytes) -> RunReport:
    """The report that `to_json` wrote; ObjectCorrupt for anything else."""
    return record_from_json(RunReport, REPORT_SCHEMA, data)
