"""Log events: one line of JSON each, in a file, on a stream, or nowhere."""

from __future__ import annotations

import contextvars
import io
import json
import logging
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dreamfoundry.host.log_events import SWITCH, is_enabled, log_context, log_event, recording, start_recording
from support.log_lines import recorded_events

LOG = logging.getLogger("dreamfoundry.tests")


def test_an_event_is_one_line_of_json_with_time_level_logger_and_fields(tmp_path: Path) -> None:
    file = tmp_path / "new" / "events.jsonl"
    with recording(file):
        log_event(LOG, "field_stored", asset_key="ab", field_key=None, seconds=1.23456, keys=("a", "b"))
        log_event(LOG, "worker_died", logging.WARNING, cause="two\nlines", path=tmp_path)

    first, second = map(json.loads, file.read_text().splitlines())
    assert first.pop("at").endswith("Z")
    assert first == {
        "level": "info",
        "logger": "dreamfoundry.tests",
        "event": "field_stored",
        "asset_key": "ab",
        "seconds": 1.235,
        "keys": ["a", "b"],
    }
    assert (second["level"], second["cause"], second["path"]) == ("warning", "two\nlines", str(tmp_path))


def test_fields_come_from_process_thread_and_event_the_nearest_wins() -> None:
    stream = io.StringIO()
    end = start_recording(stream=stream, fields={"run_id": "r", "worker": "distiller-0", "step": 0})
    with log_context(worker="distiller-1", step=1), ThreadPoolExecutor(1) as pool:
        log_event(LOG, "one", step=2)
        pool.submit(contextvars.copy_context().run, log_event, LOG, "two").result()
    log_event(LOG, "three")
    end()
    log_event(LOG, "after the end")

    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["event"], line["run_id"], line["worker"], line["step"]) for line in lines] == [
        ("one", "r", "distiller-1", 2),
        ("two", "r", "distiller-1", 1),
        ("three", "r", "distiller-0", 0),
    ]


def test_plain_logging_calls_are_events_too() -> None:
    with recorded_events() as events:
        LOG.info("store_retry", extra={"event_fields": {"key": "k"}})
        try:
            raise ValueError("why")
        except ValueError:
            LOG.exception("fault")

    assert (events[0]["event"], events[0]["key"]) == ("store_retry", "k")
    assert "ValueError: why" in events[1]["traceback"]


def test_without_recording_nothing_is_written_even_by_a_fresh_process() -> None:
    program = (
        "import logging; from dreamfoundry.host.log_events import log_event; "
        "log_event(logging.getLogger('dreamfoundry.x'), 'warned', logging.ERROR)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert (done.stdout, done.stderr) == ("", "")


def test_two_recordings_append_to_one_file(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    for number in range(2):
        with recording(file):
            log_event(LOG, "run_started", number=number)

    assert [json.loads(line)["number"] for line in file.read_text().splitlines()] == [0, 1]


@pytest.mark.parametrize("num_events", [1, 3, 10_000])
def test_a_full_disk_costs_the_events_and_one_line(num_events: int, capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    with recording(Path("/dev/full"), stream):
        for number in range(num_events):
            log_event(LOG, "tick", number=number)

    assert capsys.readouterr().err == "warning: no more log events in /dev/full: No space left on device\n"
    assert len(stream.getvalue().splitlines()) == num_events


def test_a_recording_without_events_leaves_no_file(tmp_path: Path) -> None:
    with recording(tmp_path / "events.jsonl"):
        pass

    assert list(tmp_path.iterdir()) == []


def test_the_root_logger_of_the_program_does_not_repeat_events(caplog: pytest.LogCaptureFixture) -> None:
    with recorded_events() as events:
        log_event(LOG, "once")

    assert len(events) == 1
    assert caplog.records == []


def test_the_environment_switches_events_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, "off")
    assert not is_enabled()
    monkeypatch.delenv(SWITCH)
    assert is_enabled()
