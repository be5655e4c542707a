"""Optimizer and leases of a run without Ray: what they answer when the store or a prompt misbehaves."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from dreamfoundry.cluster.claims import RunClaims
from dreamfoundry.cluster.messages import FieldTask, RunSlice
from dreamfoundry.cluster.optimizer import Optimizer
from dreamfoundry.config import Recipe
from dreamfoundry.diffusion.analytic import AnalyticPrior
from dreamfoundry.errors import StoreUnavailable
from dreamfoundry.recipes import with_overrides
from dreamfoundry.records import BlobRef, FieldSnapshot, Prompt
from dreamfoundry.store import DirectoryStore, Leases, Library

RECIPE = with_overrides(
    Recipe(),
    {
        "field.level_resolutions": [8],
        "render.image_px": 8,
        "render.samples_per_ray": 8,
        "optimize.num_steps": 2,
        "optimize.views_per_step": 1,
        "gates.min_mean_opacity": 0.0,
        "gates.max_mean_opacity": 1.0,
        "snapshot.grid_resolution": 16,
        "snapshot.num_views": 1,
        "snapshot.view_px": 16,
    },
)


class AbsentLibrary(Library):
    """A library whose blobs cannot be written while `is_away`."""

    is_away = True

    def put_blob(self, data: bytes, media_type: str) -> BlobRef:
        if self.is_away:
            raise StoreUnavailable("the disk is full; make room")
        return super().put_blob(data, media_type)


def slice_of(*names: str, num_slots: int = 2) -> RunSlice:
    tasks = tuple(FieldTask(Prompt(name, f"a {name}"), f"field-{name}") for name in names)
    return RunSlice("optimizer-0", RECIPE, num_slots, tasks, max_s=60.0)


def test_fields_end_in_the_library_and_only_keys_and_numbers_come_back(tmp_path: Path) -> None:
    library = Library(DirectoryStore(tmp_path))
    report = Optimizer(AnalyticPrior(picture_px=8), library).run_slice(slice_of("cube", "cone"))
    assert {field.field_key: field.history.steps_spent for field in report.finished} == {
        "field-cube": 2,
        "field-cone": 2,
    }
    assert (report.num_steps, report.steps_left, report.fault) == (4, {}, None)
    snapshot = library.find_field("field-cube")
    assert snapshot is not None and snapshot == report.finished[0].snapshot
    assert FieldSnapshot.from_bytes(library.get_blob(snapshot)).density.shape == (16, 16, 16)


def test_a_field_that_cannot_be_stored_is_kept_and_stored_in_a_later_slice(tmp_path: Path) -> None:
    library = AbsentLibrary(DirectoryStore(tmp_path))
    optimizer = Optimizer(AnalyticPrior(picture_px=8), library)
    first = optimizer.run_slice(slice_of("cube"))
    assert first.fault is not None and not first.fault.crashed and "make room" in first.fault.message
    assert (first.steps_left, first.finished) == ({"field-cube": 0}, ())
    library.is_away = False
    second = optimizer.run_slice(slice_of())
    assert [field.field_key for field in second.finished] == ["field-cube"]
    assert (second.num_steps, second.fault) == (0, None)


def test_a_bug_comes_back_as_text_and_names_every_field_in_the_slots(tmp_path: Path) -> None:
    optimizer = Optimizer(AnalyticPrior(picture_px=8), Library(DirectoryStore(tmp_path)))
    broken = slice_of("cube", num_slots=0)
    report = optimizer.run_slice(broken)
    assert report.fault is not None and report.fault.crashed and "more than the 0 slots" in report.fault.message
    assert report.steps_left == {"field-cube": 2}


def test_a_new_recipe_takes_over_when_the_slots_are_empty(tmp_path: Path) -> None:
    optimizer = Optimizer(AnalyticPrior(picture_px=8), Library(DirectoryStore(tmp_path)))
    optimizer.run_slice(slice_of("cube"))
    longer = with_overrides(RECIPE, {"optimize.num_steps": 3})
    task = FieldTask(Prompt("cone", "a cone"), "field-cone")
    report = optimizer.run_slice(RunSlice("optimizer-0", longer, 1, (task,), max_s=60.0))
    assert [field.history.steps_spent for field in report.finished] == [3]


def test_a_lease_is_held_against_others_while_a_run_lasts_and_keeps_its_charges_afterwards(tmp_path: Path) -> None:
    with RunClaims(str(tmp_path), "first") as ours, RunClaims(str(tmp_path), "second") as theirs:
        assert ours.claim("field") == 0
        ours.charge("field", 2)
        assert theirs.claim("field") is None
    with RunClaims(str(tmp_path), "third") as later:
        assert later.claim("field") == 2
        later.forget("field")
    assert Leases(DirectoryStore(tmp_path)).read("field") is None


def test_leases_are_renewed_while_the_driver_does_something_else(tmp_path: Path) -> None:
    ttl_s = 0.6
    with RunClaims(str(tmp_path), "first", ttl_s=ttl_s) as ours:
        ours.claim("field")
        lease = Leases(DirectoryStore(tmp_path)).read("field")
        assert lease is not None
        for _ in range(100):
            renewed = Leases(DirectoryStore(tmp_path)).read("field")
            if renewed is not None and renewed.expires_at_s > lease.expires_at_s:
                break
            time.sleep(0.05)
        else:
            pytest.fail("the lease was never renewed")
        with RunClaims(str(tmp_path), "second", ttl_s=ttl_s) as theirs:
            assert theirs.claim("field") is None
