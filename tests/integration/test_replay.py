"""A run without Ray, followed by its log events."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from dreamfoundry.host.log_events import SWITCH
from dreamfoundry.library.library import Library
from dreamfoundry.object_store.open import open_store
from dreamfoundry.run.build import build_library
from dreamfoundry.run.request import RunRequest
from support.log_lines import about, events_of, names

STORY = (
    "asset_queued",
    "lease_claimed",
    "field_started",
    "candidate_passed",
    "candidate_chosen",
    "distillation_ended",
    "field_stored",
    "export_started",
    "export_ended",
    "asset_decided",
)
"""Events of an asset without mishap, in their order, beside the stages of its export."""


def test_a_small_run_can_be_replayed_from_its_log(
    request_of: Callable[..., RunRequest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(SWITCH)
    request = request_of(["one", "two", "three"], num_slots=2, log_file=str(tmp_path / "events.jsonl"))
    stream = io.StringIO()
    result = build_library(request, stream)
    assert f"note: log events of this run: {request.log_file}" in stream.getvalue()
    assert result.log_file == request.log_file

    text = Path(request.log_file).read_text()
    events = events_of(text)
    assert events_of(stream.getvalue()) == events, "the stream is no terminal"
    assert {event["run_id"] for event in events} == {result.report.run_id}
    assert names(events)[0] == "run_started"
    assert names(events)[-1] == "run_ended"
    stages = [event["stage"] for event in events if event["event"] == "run_stage_ended"]
    assert stages == ["plan", "build", "publish"]

    outcomes = list(Library(open_store(request.library)).outcomes())
    assert len(outcomes) == 3
    for outcome in outcomes:
        story = about(events, outcome.asset_key, outcome.field_key)
        assert [event for event in story if event["event"] != "export_stage_ended"] == [
            *(event for name in STORY for event in story if event["event"] == name)
        ]
        assert set(names(story)) == {*STORY, "export_stage_ended"}
        assert story[0]["prompt_ids"] == [outcome.prompt_id]
        assert story[-1]["state"] == outcome.state == "published"

        timings = outcome.provenance["export_timings_s"]
        assert isinstance(timings, dict)
        exported = list(dict.fromkeys(e["stage"] for e in story if e["event"] == "export_stage_ended"))
        assert (exported[0], {*exported[1:-1]}, exported[-1]) == ("start", {*timings}, "publish")
        begun = ["mesh", "quality", "bake", "validate", "thumbnail"]
        assert [stage for stage in exported if stage in begun] == begun
        assert {event["worker"] for event in story if "worker" in event} == {"distiller-0", "exporter-0"}


def test_log_events_that_are_switched_off_leave_nothing(request_of: Callable[..., RunRequest], tmp_path: Path) -> None:
    stream = io.StringIO()
    result = build_library(request_of(["one"], log_file=str(tmp_path / "events.jsonl")), stream)

    assert result.report.status == "complete"
    assert result.log_file == ""
    assert not (tmp_path / "events.jsonl").exists()
    assert "{" not in stream.getvalue()
