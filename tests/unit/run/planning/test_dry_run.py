"""A dry run says what a run would find, make and cost, and leaves no trace."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dreamfoundry.errors import Stopped
from dreamfoundry.library.library import Library
from dreamfoundry.object_store.directory import DirectoryStore
from dreamfoundry.run import report
from dreamfoundry.run.messages import Failure
from dreamfoundry.run.outcomes import quarantined_outcome
from dreamfoundry.run.planning.dry_run import Forecast, describe, forecast
from dreamfoundry.run.planning.intake import check, plan
from dreamfoundry.run.progress import Progress
from dreamfoundry.run.report import RunReport
from dreamfoundry.run.request import RunRequest
from dreamfoundry.settings.export_profiles import export_profile
from dreamfoundry.settings.loading import resolve_recipe

RECIPE = resolve_recipe("toybox", ["optimize.num_steps=100", "looks.best_of=1"])
ROWS: dict[str, list[object]] = {
    "prompt_id": ["chair", "table", "stool", "bad"],
    "prompt": ["a red chair", "a blue table", "a red chair", ""],
}

RequestOf = Callable[..., RunRequest]


@pytest.fixture
def request_for(tmp_path: Path) -> RequestOf:
    """A request for rows (by default three sound ones of which two are the same, and a bad one)."""

    def request_for(columns: dict[str, list[object]] = ROWS, **settings: object) -> RunRequest:
        pq.write_table(pa.table(columns), tmp_path / "manifest.parquet")
        request = RunRequest(
            manifest=str(tmp_path / "manifest.parquet"),
            library=str(tmp_path / "library"),
            recipe=RECIPE,
            profile=export_profile("preview"),
            use_ray=False,
            is_dry=True,
        )
        return replace(request, **settings)  # type: ignore[arg-type]  # names of fields

    return request_for


def told(found: Forecast) -> dict[str, str]:
    return dict(describe(found))


def test_rows_work_and_end_are_told_and_no_library_is_made(request_for: RequestOf, tmp_path: Path) -> None:
    found = forecast(request_for(), io.StringIO())

    assert found.status == "refused"
    sentences = told(found)
    assert sentences["manifest"].endswith("4 rows, 3 prompts")
    assert "row 3 (bad): prompt = '': must not be empty" in sentences["bad row"]
    assert sentences["to make"] == "3 rows"
    assert sentences["to optimise"] == "2 fields (equal requests share one), 200 steps"
    assert "preflight" in sentences["time"]
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.parquet"]


def test_with_bad_rows_allowed_it_would_end_as_partial(request_for: RequestOf) -> None:
    assert forecast(request_for(quarantine_bad_rows=True), io.StringIO()).status == "partial"
    sound = {name: values[:3] for name, values in ROWS.items()}
    assert forecast(request_for(sound), io.StringIO()).status == "complete"


def test_what_a_library_has_is_told_and_its_bytes_stay(request_for: RequestOf, tmp_path: Path) -> None:
    request = request_for()
    library = Library(DirectoryStore(tmp_path / "library"))
    (tmp_path / "copy").mkdir()
    with_open_builds = plan(check(request, tmp_path / "copy", Progress(io.StringIO()), lambda: False))
    chair, table = with_open_builds.builds()
    library.publish(quarantined_outcome(chair, Failure("empty", "why"), 1, {}))
    library.record_field(table.field_key, library.put_blob(b"a field", "application/x-npz"))
    before = {path: path.read_bytes() for path in (tmp_path / "library").rglob("*") if path.is_file()}

    found = forecast(request, io.StringIO())

    sentences = told(found)
    assert sentences["there already"] == "2 rows, 2 of them quarantined (2 empty)"
    assert sentences["to export"].startswith("1 assets")
    assert sentences["to optimise"].endswith(" 0 steps")
    assert {path: path.read_bytes() for path in (tmp_path / "library").rglob("*") if path.is_file()} == before


def test_time_and_money_are_those_of_the_last_run_that_made_steps(request_for: RequestOf, tmp_path: Path) -> None:
    library = Library(DirectoryStore(tmp_path / "library"))
    for run_id, num_steps, useful_s in (("20250101T000000Z-a", 100, 999.0), ("20250102T000000Z-b", 1000, 360.0)):
        library.store.put(
            report.key(RunReport, run_id), report.to_json(_report(run_id, num_steps, useful_s)), report.MEDIA_TYPE
        )

    found = forecast(request_for(price_per_hour=50.0, num_distill_workers=2), io.StringIO())

    assert found.worker_s == pytest.approx(72.0), "200 steps of 0.36 s"
    assert told(found)["time"].startswith("about 0:00:36 for 2 distill workers, 0.36 s a step as in run 20250102")
    assert told(found)["time"].endswith("cost 1.00")


def test_a_report_that_cannot_be_read_is_no_reason_to_end(request_for: RequestOf, tmp_path: Path) -> None:
    DirectoryStore(tmp_path / "library").put(report.key(RunReport, "run-1"), b"{", report.MEDIA_TYPE)

    assert forecast(request_for(), io.StringIO()).pace is None


def test_the_seconds_of_an_asset_may_be_given(request_for: RequestOf) -> None:
    found = forecast(request_for(), io.StringIO(), asset_s=30.0)

    assert found.worker_s == pytest.approx(60.0)


def test_rows_in_conflict_are_told_whatever_becomes_of_bad_rows(request_for: RequestOf) -> None:
    columns: dict[str, list[object]] = {"prompt_id": ["a"] * 30, "prompt": [f"a {'red ' * n}chair" for n in range(30)]}

    found = forecast(request_for(columns, quarantine_bad_rows=True), io.StringIO())

    assert found.status == "refused"
    sentences = [text for subject, text in describe(found) if subject == "conflict"]
    assert len(sentences) == 21
    assert sentences[0] == "prompt_id 'a' stands in row 0 and row 1 with different content"
    assert sentences[-1] == "… and 9 more: --list FILE writes all of them"


def test_a_request_to_stop_ends_it(request_for: RequestOf) -> None:
    with pytest.raises(Stopped):
        forecast(request_for(), io.StringIO(), lambda: True)


def _report(run_id: str, num_steps: int, useful_s: float) -> RunReport:
    return RunReport(
        run_id=run_id,
        manifest="m",
        manifest_digest="d",
        library="l",
        status="complete",
        started_at="2025-01-01T00:00:00Z",
        finished_at="2025-01-01T01:00:00Z",
        num_rows=1,
        published=1,
        skipped=0,
        quarantined=0,
        lost_rows=0,
        pending=0,
        failure_classes={},
        timings_s={},
        num_steps=num_steps,
        optimizer_s={"useful": useful_s, "wasted": 0.0, "idle": 0.0},
    )
