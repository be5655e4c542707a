"""Whole runs: a manifest in, a library out, on Ray with S3, in one process, and from the shell."""

from __future__ import annotations

import io
import os
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from dreamfoundry.errors import ManifestError, PriorUnavailable
from dreamfoundry.host.log_events import SWITCH
from dreamfoundry.library.library import Library
from dreamfoundry.library.views import views
from dreamfoundry.object_store.open import open_store
from dreamfoundry.run import report
from dreamfoundry.run.build import build_library
from dreamfoundry.run.report import RunReport
from dreamfoundry.run.request import RunRequest, RunResult
from dreamfoundry.run.scheduling.timeouts import Limits
from dreamfoundry.settings.export_profiles import ExportProfile
from support.log_lines import Event, events_of, names
from support.processes import actor_pid, actors, children, is_running, run_job, wait_until
from support.runs import running_build

NAMES = ["one", "two", "three", "four", "five", "six", "seven", "eight"]


def build(request: RunRequest, **kwargs: Any) -> RunResult:
    return build_library(request, io.StringIO(), **kwargs)


def job(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run_job("build_library.py", *arguments)


def events_in_logs(ray: Any, run_id: str) -> list[Event]:
    """The log events of a run in the stderr files of Ray's workers."""
    folder = Path(ray._private.worker._global_node.get_logs_dir_path())
    lines = "".join(path.read_text() for path in sorted(folder.glob("worker-*.err")))
    return [event for event in events_of(lines) if event["run_id"] == run_id]


def test_two_optimizers_build_a_manifest_into_s3_once(
    ray_cluster: Any,
    s3_url: str,
    request_of: Callable[..., RunRequest],
    tiny_profile: ExportProfile,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(SWITCH)
    prompts: list[str | None] = [f"a ball {name}" for name in NAMES]
    request = request_of(
        [*NAMES, "again"],
        [*prompts, "a ball one"],  # the last row asks for the asset of the first
        library=f"{s3_url}/balls",
        num_distill_workers=2,
        num_slots=2,
        use_ray=True,
        log_file=str(tmp_path / "events.jsonl"),
    )
    first = build(request)
    steps_of_eight = 8 * request.recipe.optimize.num_steps
    assert (first.report.status, first.report.published, first.report.num_steps) == ("complete", 9, steps_of_eight)

    library = Library(open_store(request.library))
    assert sum(outcome.state == "published" for outcome in library.outcomes()) == 8
    assert {prompt_id for prompt_id, _ in views(library)} == {*NAMES, "again"}
    assert pq.read_table(io.BytesIO(library.store.get("catalog/catalog.parquet"))).num_rows == 9
    assert b"a ball one" in library.store.get("index.html")
    assert report.from_json(RunReport, library.store.get(report.key(RunReport, first.report.run_id))) == first.report
    assert not list(library.store.list("leases/")), "decided keys need no lease"

    # the driver has its file; the workers of a Ray that was there before the run have Ray's log files only
    of_driver = events_of(Path(first.log_file).read_text())
    assert {event["run_id"] for event in of_driver} == {first.report.run_id}
    assert names(of_driver).count("asset_decided") == 8
    assert "export_stage_ended" not in names(of_driver)
    of_workers = events_in_logs(ray_cluster, first.report.run_id)
    assert {event["worker"] for event in of_workers} >= {"distiller-0", "distiller-1", "exporter-0"}
    assert names(of_workers).count("distillation_ended") == 8
    assert [event["asset_key"] for event in of_workers if event.get("stage") == "publish"] == [
        event["asset_key"] for event in of_workers if event["event"] == "export_ended"
    ]

    second = build(request)
    assert (second.report.status, second.report.skipped, second.report.num_steps) == ("complete", 9, 0)

    smaller = build(replace(request, profile=replace(tiny_profile, triangles=(200,))))
    assert (smaller.report.status, smaller.report.published, smaller.report.num_steps) == ("complete", 9, 0)


def test_killing_an_optimizer_in_the_middle_loses_no_prompt(
    ray_cluster: Any, s3_url: str, request_of: Callable[..., RunRequest]
) -> None:
    request = request_of(
        NAMES,
        library=f"{s3_url}/survivors",
        num_distill_workers=2,
        num_slots=2,
        use_ray=True,
        limits=Limits(slice_s=0.5),
    )
    recipe = replace(request.recipe, optimize=replace(request.recipe.optimize, num_steps=100))
    request = replace(request, recipe=recipe)
    store = open_store(request.library)
    with running_build(request) as run:
        wait_until(lambda: any(store.list("leases/")), "a prompt is in a slot")
        os.kill(actor_pid(ray_cluster, "distiller-0/1"), signal.SIGKILL)
        wait_until(lambda: actors(ray_cluster, "distiller-0/2"), "a fresh actor takes its place")
        report = run.result(timeout=200).report
    assert (report.status, report.published) == ("complete", 8)


def test_killing_an_exporter_takes_its_child_along_and_loses_no_prompt(
    ray_cluster: Any, request_of: Callable[..., RunRequest]
) -> None:
    request = request_of(NAMES, num_slots=4, use_ray=True)
    with running_build(request) as run:
        wait_until(lambda: actors(ray_cluster, "exporter-0/1"), "an exporter starts")
        exporter = actor_pid(ray_cluster, "exporter-0/1")
        wait_until(lambda: children(exporter, "export_process"), "it has a child")
        before = children(exporter, "export_process")
        store = open_store(request.library)
        wait_until(lambda: any(store.list("outcomes/")), "an asset is published")
        assert children(exporter, "export_process") == before, "the child serves one export after the other"
        os.kill(exporter, signal.SIGKILL)
        wait_until(lambda: not any(map(is_running, before)), "the child is gone")
        report = run.result(timeout=200).report
    assert (report.status, report.published) == ("complete", 8)


def test_a_run_that_is_stopped_ends_drained_and_the_next_one_finishes(request_of: Callable[..., RunRequest]) -> None:
    request = request_of(NAMES[:2], num_slots=1, limits=Limits(slice_s=0.0))
    store = open_store(request.library)
    stopped = build(request, should_stop=lambda: any(store.list("leases/")))
    assert (stopped.report.status, stopped.report.exit_code, stopped.report.pending) == ("drained", 75, 2)
    resumed = build(request)
    assert (resumed.report.status, resumed.report.published) == ("complete", 2)


def test_a_prompt_that_fails_is_quarantined_with_its_class_and_can_be_retried(
    request_of: Callable[..., RunRequest],
) -> None:
    request = request_of(["one"])
    nothing = replace(request.recipe.gates, min_mean_opacity=0.99)
    request = replace(request, recipe=replace(request.recipe, gates=nothing))
    failed = build(request)
    assert (failed.report.status, failed.report.exit_code) == ("partial", 3)
    assert failed.report.failure_classes == {"empty": 1}
    again = build(request)
    assert (again.report.status, again.report.skipped, again.report.num_steps) == ("partial", 1, 0)
    retried = build(replace(request, retry_class="empty"))
    assert (retried.report.quarantined, retried.report.num_steps) == (1, 2)
    (outcome,) = retried.quarantined.values()
    tried = outcome.provenance["candidates"]
    assert isinstance(tried, list)
    assert [(c["candidate"], c["num_steps"], c["verdict"]) for c in tried] == [
        (0, 1, "empty"),
        (1, 1, "empty"),
    ]
    assert (outcome.provenance["steps_spent"], outcome.provenance["step_budget"]) == (2, 10)


def test_an_outcome_says_how_many_optimizers_there_were_not_how_many_were_asked_for(
    request_of: Callable[..., RunRequest],
) -> None:
    request = request_of(["one"], num_distill_workers=3)
    nothing = replace(request.recipe.gates, min_mean_opacity=0.99)
    (outcome,) = build(replace(request, recipe=replace(request.recipe, gates=nothing))).quarantined.values()
    assert outcome.provenance["num_optimizers"] == 1


def test_bad_rows_are_refused_together_or_quarantined_on_request(request_of: Callable[..., RunRequest]) -> None:
    request = request_of(["one", "two", "three"], ["a ball", None, "  "])
    with pytest.raises(ManifestError, match=r"(?s)2 of 3 rows.*row 1 .*row 2 .*--quarantine-bad-rows"):
        build(request)
    assert not Path(request.library).exists(), "nothing was started"
    result = build(replace(request, quarantine_bad_rows=True))
    assert (result.report.published, result.report.quarantined, result.report.exit_code) == (1, 2, 3)
    assert result.report.failure_classes == {"bad_row": 2}


def test_missing_weights_say_what_to_do(request_of: Callable[..., RunRequest], tmp_path: Path) -> None:
    request = request_of(["one"])
    prior = replace(request.recipe.prior, path=str(tmp_path / "nowhere"))
    with pytest.raises(PriorUnavailable, match=r"nowhere.*bundled prior"):
        build(replace(request, recipe=replace(request.recipe, prior=prior)))


def test_the_program_refuses_words_that_toybox_does_not_know_with_exit_code_4(
    write_manifest: Callable[..., str], tmp_path: Path
) -> None:
    manifest = write_manifest(prompt_id=["good", "bad"], prompt=["a red cube", "a gren dragon"])
    done = job(manifest, str(tmp_path / "library"))
    assert done.returncode == 4
    assert "'gren' (did you mean 'green'?), 'dragon'" in done.stderr
    assert "mushroom" in done.stderr, "the vocabulary is taught"
    assert "'bad'" in done.stderr or "(bad)" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.parquet", "library"], "missing.parquet: no such file"),
        (["missing.parquet", "library", "--set", "optimize.num_step=3"], "did you mean 'num_steps'"),
        (["missing.parquet", "library", "--profile", "huge"], "must be one of preview"),
        (["missing.parquet", "library", "--slots", "0"], "at least 1"),
        (["missing.parquet", "library", "--limit", "patience=3"], "the name one of slice_s=5"),
        (["missing.parquet", "library", "--limit", "slice_s=long"], "'long' must be a number of seconds"),
        (["missing.parquet", "library", "--limit", "slice_s=-1"], "0 or more"),
    ],
)
def test_a_command_line_that_cannot_be_used_exits_with_4_and_says_why(arguments: list[str], message: str) -> None:
    done = job(*arguments)
    assert done.returncode == 4
    assert message in done.stderr


def test_an_unreachable_bucket_exits_with_1_and_says_why(s3_url: str, write_manifest: Callable[..., str]) -> None:
    manifest = write_manifest(prompt_id=["one"], prompt=["a red cube"])
    done = job(manifest, "s3://no-such-bucket/library")
    assert done.returncode == 1
    assert "no-such-bucket" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_told_at_once(
    write_manifest: Callable[..., str], ball_recipe_file: Callable[[int], str], tmp_path: Path
) -> None:
    words = [write_manifest(prompt_id=["a"], prompt=["a ball"]), str(tmp_path / "library"), "--device", "cuda"]

    done = run_job("build_library.py", *words, "--recipe", ball_recipe_file(1), "--slots", "1", RAY_ADDRESS="")

    assert done.returncode == 1
    assert "Ray sees no GPU on this machine; use --device cpu" in done.stderr
