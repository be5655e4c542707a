"""A dry run says what a run would find, make and cost, and leaves no trace."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from dreamfoundry.errors import Stopped
from dreamfoundry.library.library import Library
from dreamfoundry.library.projections import rebuild
from dreamfoundry.object_store.directory import DirectoryStore
from dreamfoundry.records import Outcome
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


def _leave(folder: Path, run_id: str, num_steps: int, useful_s: float, published: int = 20) -> None:
    written = report.to_json(_report(run_id, num_steps, useful_s, published))
    DirectoryStore(folder / "library").put(report.key(RunReport, run_id), written, report.MEDIA_TYPE)


def test_time_and_money_are_those_of_the_last_run_that_made_steps(request_for: RequestOf, tmp_path: Path) -> None:
    _leave(tmp_path, "20250101T000000Z-a", 100, 999.0)
    _leave(tmp_path, "20250102T000000Z-b", 1000, 360.0)

    found = forecast(request_for(price_per_hour=50.0, num_distill_workers=2), io.StringIO())

    assert found.optimize_s == pytest.approx(72.0), "200 steps of 0.36 s"
    assert told(found)["time"].startswith(
        "about 0:00:36 for 2 distill workers; 0.36 s a step as in run 20250102T000000Z-b, which made 20 assets in 1,000"
    )
    assert told(found)["time"].endswith("not known yet; cost 1.00 without exports")


@pytest.mark.parametrize("published", [1, 3, 7])
def test_a_run_of_few_assets_is_no_measure(request_for: RequestOf, tmp_path: Path, published: int) -> None:
    _leave(tmp_path, "20250102T000000Z-b", 1000, 360.0, published)

    found = forecast(request_for(price_per_hour=50.0), io.StringIO())

    assert found.pace is None
    assert f"not known ({published} assets in a run at most, and 8 are needed to tell)" in told(found)["time"]
    assert "--asset-s" in told(found)["time"]
    assert "cost" not in told(found)["time"]

    _leave(tmp_path, "20250101T000000Z-a", 100, 36.0)
    assert "as in run 20250101" in told(forecast(request_for(), io.StringIO()))["time"]


def _with_exports(folder: Path, num_assets: int, export_s: float, profile: str = "preview") -> None:
    """A library with a catalog of published assets."""
    library = Library(DirectoryStore(folder / "library"))
    for number in range(num_assets):
        key = f"{number:064x}"
        provenance = {"export_s": export_s, "budget_profile": profile, "created_at": "2025-01-01T00:00:00Z"}
        library.publish(Outcome(key, key, f"p{number}", "a hat", "published", provenance=provenance))
    rebuild(library)


def test_exports_are_timed_and_priced_too(request_for: RequestOf, tmp_path: Path) -> None:
    _with_exports(tmp_path, 9, 1800.0)
    request = request_for(price_per_hour=3.0, num_distill_workers=1, num_export_workers=2)
    (tmp_path / "copy").mkdir()
    library = Library(DirectoryStore(tmp_path / "library"))
    for build in plan(check(request, tmp_path / "copy", Progress(io.StringIO()), lambda: False)).builds():
        library.record_field(build.field_key, library.put_blob(b"a field", "application/x-npz"))

    found = forecast(request, io.StringIO())

    assert (found.remaining.num_exports, found.remaining.num_steps) == (2, 0)
    assert told(found)["time"] == (
        "exports about 0:30:00 for 2 export workers; 1.8e+03 s each, the median of 9 for preview in this library; "
        "loading comes on top; cost 1.50"
    )


@pytest.mark.parametrize(("num_assets", "profile"), [(7, "preview"), (20, "game_hero")])
def test_too_few_exports_of_the_profile_are_no_measure(
    request_for: RequestOf, tmp_path: Path, num_assets: int, profile: str
) -> None:
    _with_exports(tmp_path, num_assets, 1800.0, profile)

    found = forecast(request_for(), io.StringIO(), asset_s=30.0)

    assert found.exports is None
    assert "exports come on top" in told(found)["time"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_foreseen(request_for: RequestOf) -> None:
    found = forecast(request_for(device="cuda", quarantine_bad_rows=True), io.StringIO())

    assert found.status == "failed"
    assert "this machine has no GPU; use --device cpu" in told(found)["device"]
    assert forecast(request_for(device="cuda"), io.StringIO()).status == "refused"


def test_a_report_that_cannot_be_read_is_no_reason_to_end(request_for: RequestOf, tmp_path: Path) -> None:
    DirectoryStore(tmp_path / "library").put(report.key(RunReport, "run-1"), b"{", report.MEDIA_TYPE)

    assert forecast(request_for(), io.StringIO()).pace is None


def test_the_seconds_of_an_asset_may_be_given(request_for: RequestOf) -> None:
    found = forecast(request_for(), io.StringIO(), asset_s=30.0)

    assert found.optimize_s == pytest.approx(60.0)


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


def _report(run_id: str, num_steps: int, useful_s: float, published: int) -> RunReport:
    return RunReport(
        run_id=run_id,
        manifest="m",
        manifest_digest="d",
        library="l",
        status="complete",
        started_at="2025-01-01T00:00:00Z",
        finished_at="2025-01-01T01:00:00Z",
        num_rows=published,
        published=published,
        skipped=0,
        quarantined=0,
        lost_rows=0,
        pending=0,
        failure_classes={},
        timings_s={},
        num_steps=num_steps,
        optimizer_s={"useful": useful_s, "wasted": 0.0, "idle": 0.0},
    )
