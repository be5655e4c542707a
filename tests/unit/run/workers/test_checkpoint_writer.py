"""Checkpoints of a distiller: when they are written, read again, damaged or refused."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from dreamfoundry.errors import StoreUnavailable
from dreamfoundry.host.log_events import log_context
from dreamfoundry.library.checkpoints import Checkpoints
from dreamfoundry.library.library import Library
from dreamfoundry.object_store.directory import DirectoryStore
from support.log_lines import recorded_events
from support.tiny_distiller import distiller_of, one_step


def test_a_checkpoint_is_written_when_it_is_due_and_the_last_two_are_kept(tmp_path: Path) -> None:
    library = Library(DirectoryStore(tmp_path))
    distiller = distiller_of(library, checkpoint_s=0.0)
    distiller.run_slice(one_step("cube"))
    for _ in range(4):
        time.sleep(0.3)  # longer than a checkpoint may take a fiftieth of
        distiller.run_slice(one_step())
    with recorded_events() as events, log_context(worker="distiller-0"):
        distiller.hand_back()
    last = events[-1]  # the write of the slice before may end within the same block
    assert (last["event"], last["step"]) == ("checkpoint_saved", 5)
    assert last["worker"] == "distiller-0", "the thread that writes keeps the fields of the one that steps"

    names = Checkpoints(library.store).names("field-cube")
    assert [name.split("/")[-1][:7] for name in names] == ["000001-", "000001-"]
    assert names[0].split("/")[-1].startswith("000001-00000005")


def test_before_the_interval_is_over_nothing_is_written(tmp_path: Path) -> None:
    library = Library(DirectoryStore(tmp_path))
    distiller_of(library, checkpoint_s=3600.0).run_slice(one_step("cube"))
    assert list(library.store.list("checkpoints/")) == []


@pytest.mark.parametrize("damage", [b"", b"not a checkpoint"])
def test_13_a_damaged_checkpoint_is_noted_and_the_one_before_it_serves(tmp_path: Path, damage: bytes) -> None:
    library = Library(DirectoryStore(tmp_path))
    first = distiller_of(library)
    first.run_slice(one_step("cube"))
    first.hand_back()
    second = distiller_of(library)
    second.run_slice(one_step("cube", epoch=2))
    second.hand_back()
    newest = Checkpoints(library.store).names("field-cube")[0]
    library.store.put(newest, damage, "application/x-npz")

    with recorded_events() as events:
        report = distiller_of(library).run_slice(one_step("cube", epoch=3))

    assert report.steps_left == {"field-cube": 28}, "one step is lost"
    assert len(report.notes) == 1
    assert newest in report.notes[0]
    assert [(event["event"], event.get("step")) for event in events] == [
        ("checkpoint_corrupt", None),
        ("checkpoint_restored", 1),
    ]
    assert newest in events[0]["cause"]


def test_a_checkpoint_that_cannot_be_written_is_a_note_and_no_fault(tmp_path: Path) -> None:
    class FullStore(DirectoryStore):
        def put(self, key: str, data: bytes, media_type: str) -> None:
            raise StoreUnavailable("the disk is full; make room")

    distiller = distiller_of(Library(FullStore(tmp_path)))
    distiller.run_slice(one_step("cube"))
    with recorded_events() as events:
        report = distiller.hand_back()
    assert report.fault is None
    assert report.returned == {"field-cube": 29}
    assert "make room" in report.notes[0]
    assert [(event["event"], event["field_key"]) for event in events] == [("checkpoint_failed", "field-cube")]
