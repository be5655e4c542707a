"""The run report: one status, one code, every row counted, strict on the way back."""

from typing import Any

import pytest

from dreamfoundry.errors import ObjectCorrupt
from dreamfoundry.run.exit_codes import EXIT_CODES
from dreamfoundry.run.report import RunReport, from_json, key, run_ids, to_json


def report(**changes: Any) -> RunReport:
    values: dict[str, Any] = {
        "run_id": "r1",
        "manifest": "manifest.parquet",
        "manifest_digest": "0" * 64,
        "library": "out/demo",
        "status": "partial",
        "started_at": "2026-01-01T00:00:00Z",
        "finished_at": "2026-01-01T01:00:00Z",
        "num_rows": 10,
        "published": 6,
        "skipped": 1,
        "quarantined": 2,
        "lost_rows": 1,
        "pending": 0,
        "failure_classes": {"empty": 2},
        "timings_s": {"optimize": 3000.0},
    }
    return RunReport(**{**values, **changes})


def test_a_report_is_read_as_it_was_written() -> None:
    assert from_json(RunReport, to_json(report(message="a row group is damaged"))) == report(
        message="a row group is damaged"
    )


@pytest.mark.parametrize(("status", "exit_code"), EXIT_CODES.items())
def test_the_status_decides_the_exit_code(status: Any, exit_code: int) -> None:
    assert report(status=status).exit_code == exit_code
    assert f'"exit_code":{exit_code},'.encode() in to_json(report(status=status))


def test_only_a_run_that_published_everything_exits_with_zero() -> None:
    assert [status for status, code in EXIT_CODES.items() if code == 0] == ["complete"]


def test_a_report_whose_code_contradicts_its_status_is_refused() -> None:
    written = to_json(report()).replace(b'"exit_code":3', b'"exit_code":0')

    with pytest.raises(ObjectCorrupt, match="exit_code"):
        from_json(RunReport, written)


def test_a_report_with_an_unknown_status_is_refused() -> None:
    with pytest.raises(ObjectCorrupt, match=r"run_report\.v1\.word = 'fine'"):
        from_json(RunReport, to_json(report()).replace(b'"partial"', b'"fine"'))


def test_reports_lie_by_run() -> None:
    assert key(RunReport, "r1") == "runs/r1/report.json"


def test_runs_are_those_with_a_record_in_the_order_of_their_times() -> None:
    keys = ["runs/2026b/report.json", "runs/2026a/progress.json", "runs/2026b/progress.json", "runs/2026c/notes.txt"]

    assert run_ids(keys) == ["2026a", "2026b"]
