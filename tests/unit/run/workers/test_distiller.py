"""Distiller and leases of a run without Ray: what they answer when the store or a prompt misbehaves."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from dreamfoundry.asset.export import export_asset
from dreamfoundry.diffusion.analytic import AnalyticPrior
from dreamfoundry.errors import StoreUnavailable
from dreamfoundry.library.checkpoints import Checkpoints
from dreamfoundry.library.leases import Leases
from dreamfoundry.library.library import Library
from dreamfoundry.object_store.directory import DirectoryStore
from dreamfoundry.records import AssetBundle, BlobRef, FieldSnapshot, PriorIdentity, Prompt
from dreamfoundry.run.lease_keeper import LeaseKeeper
from dreamfoundry.run.messages import Build, Decision, ExportTask, Failure, FieldTask, RunSlice, WorkerSettings
from dreamfoundry.run.outcomes import quarantined_outcome
from dreamfoundry.run.scheduling.field_job import Claim
from dreamfoundry.run.workers.distiller import Distiller
from dreamfoundry.run.workers.export_process import Exported, ExportProcess
from dreamfoundry.run.workers.exporter import Exporter
from dreamfoundry.settings.export_profiles import ExportProfile
from dreamfoundry.settings.loading import with_overrides
from dreamfoundry.settings.metadata_policy import MetadataPolicy
from dreamfoundry.settings.prior import PriorConfig
from dreamfoundry.settings.recipe import Recipe
from support.stubs import InstantStages, snapshot

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
    return RunSlice("distiller-0", RECIPE, num_slots, tasks, max_s=60.0)


def test_fields_end_in_the_library_and_only_keys_and_numbers_come_back(tmp_path: Path) -> None:
    library = Library(DirectoryStore(tmp_path))
    report = Distiller(AnalyticPrior(picture_px=8), library).run_slice(slice_of("cube", "cone"))
    assert {field.field_key: field.history.steps_spent for field in report.finished} == {
        "field-cube": 2,
        "field-cone": 2,
    }
    assert (report.num_steps, report.steps_left, report.fault) == (4, {}, None)
    snapshot = library.find_field("field-cube")
    assert snapshot is not None
    assert snapshot == report.finished[0].snapshot
    assert FieldSnapshot.from_bytes(library.get_blob(snapshot)).density.shape == (16, 16, 16)


def test_a_field_that_cannot_be_stored_is_kept_and_stored_in_a_later_slice(tmp_path: Path) -> None:
    library = AbsentLibrary(DirectoryStore(tmp_path))
    distiller = Distiller(AnalyticPrior(picture_px=8), library)
    first = distiller.run_slice(slice_of("cube"))
    assert first.fault is not None
    assert not first.fault.crashed
    assert "make room" in first.fault.message
    assert (first.steps_left, first.finished) == ({"field-cube": 0}, ())
    library.is_away = False
    second = distiller.run_slice(slice_of())
    assert [field.field_key for field in second.finished] == ["field-cube"]
    assert (second.num_steps, second.fault) == (0, None)


def test_a_bug_comes_back_as_text_and_names_every_field_in_the_slots(tmp_path: Path) -> None:
    distiller = Distiller(AnalyticPrior(picture_px=8), Library(DirectoryStore(tmp_path)))
    broken = slice_of("cube", num_slots=0)
    report = distiller.run_slice(broken)
    assert report.fault is not None
    assert report.fault.crashed
    assert "more than the 0 slots" in report.fault.message
    assert report.steps_left == {"field-cube": 2}


def test_a_new_recipe_takes_over_when_the_slots_are_empty(tmp_path: Path) -> None:
    distiller = Distiller(AnalyticPrior(picture_px=8), Library(DirectoryStore(tmp_path)))
    distiller.run_slice(slice_of("cube"))
    longer = with_overrides(RECIPE, {"optimize.num_steps": 3})
    task = FieldTask(Prompt("cone", "a cone"), "field-cone")
    report = distiller.run_slice(RunSlice("distiller-0", longer, 1, (task,), max_s=60.0))
    assert [field.history.steps_spent for field in report.finished] == [3]


def test_a_lease_is_held_against_others_while_a_run_lasts_and_keeps_its_charges_afterwards(tmp_path: Path) -> None:
    url = str(tmp_path)
    with LeaseKeeper(url, "first", ttl_s=60.0) as ours, LeaseKeeper(url, "second", ttl_s=60.0) as theirs:
        assert ours.claim("field") == Claim(deaths=0, epoch=1)
        ours.charge("field", 2)
        assert theirs.claim("field") is None
    with LeaseKeeper(str(tmp_path), "third", ttl_s=60.0) as later:
        assert later.claim("field") == Claim(deaths=2, epoch=2)
        later.forget("field")
    assert Leases(DirectoryStore(tmp_path)).read("field") is None


def test_leases_are_renewed_while_the_driver_does_something_else(tmp_path: Path) -> None:
    ttl_s = 0.6
    with LeaseKeeper(str(tmp_path), "first", ttl_s=ttl_s) as ours:
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
        with LeaseKeeper(str(tmp_path), "second", ttl_s=ttl_s) as theirs:
            assert theirs.claim("field") is None


LONGER = with_overrides(RECIPE, {"optimize.num_steps": 30})


def long_slice(*names: str, epoch: int = 1, max_s: float = 60.0, num_slots: int = 2) -> RunSlice:
    tasks = tuple(FieldTask(Prompt(name, f"a {name}"), f"field-{name}", epoch) for name in names)
    return RunSlice("distiller-0", LONGER, num_slots, tasks, max_s)


def one_step(*names: str, epoch: int = 1) -> RunSlice:
    return long_slice(*names, epoch=epoch, max_s=0.0)


def distiller_of(library: Library, checkpoint_s: float = float("inf"), prior: AnalyticPrior | None = None) -> Distiller:
    return Distiller(prior or AnalyticPrior(picture_px=8), library, checkpoint_s=checkpoint_s)


def snapshot_bytes(library: Library, field_key: str) -> bytes:
    ref = library.find_field(field_key)
    assert ref is not None
    return library.get_blob(ref)


def test_11_fields_that_were_handed_back_end_with_the_same_bits_in_another_optimizer(tmp_path: Path) -> None:
    straight = Library(DirectoryStore(tmp_path / "straight"))
    distiller_of(straight).run_slice(long_slice("cube", "cone"))
    library = Library(DirectoryStore(tmp_path / "interrupted"))
    first, second = distiller_of(library), distiller_of(library)
    first.run_slice(one_step("cube", "cone"))
    for _ in range(3):
        first.run_slice(one_step())

    report = first.hand_back()
    assert (report.returned, report.steps_left) == ({"field-cube": 26, "field-cone": 26}, {})
    resumed = second.run_slice(long_slice("cube", "cone", epoch=2))

    assert resumed.num_steps == 2 * 26, "no step is made twice"
    for key in ("field-cube", "field-cone"):
        assert snapshot_bytes(library, key) == snapshot_bytes(straight, key)


def test_a_checkpoint_is_written_when_it_is_due_and_the_last_two_are_kept(tmp_path: Path) -> None:
    library = Library(DirectoryStore(tmp_path))
    distiller = distiller_of(library, checkpoint_s=0.0)
    distiller.run_slice(one_step("cube"))
    for _ in range(4):
        time.sleep(0.3)  # longer than a checkpoint may take a fiftieth of
        distiller.run_slice(one_step())
    distiller.hand_back()

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

    report = distiller_of(library).run_slice(one_step("cube", epoch=3))

    assert report.steps_left == {"field-cube": 28}, "one step is lost"
    assert len(report.notes) == 1
    assert newest in report.notes[0]


def test_a_checkpoint_that_cannot_be_written_is_a_note_and_no_fault(tmp_path: Path) -> None:
    class FullStore(DirectoryStore):
        def put(self, key: str, data: bytes, media_type: str) -> None:
            raise StoreUnavailable("the disk is full; make room")

    distiller = distiller_of(Library(FullStore(tmp_path)))
    distiller.run_slice(one_step("cube"))
    report = distiller.hand_back()
    assert report.fault is None
    assert report.returned == {"field-cube": 29}
    assert "make room" in report.notes[0]


class SmallGpu(AnalyticPrior):
    """Has memory for so many pictures at once."""

    def __init__(self, most_pictures: int) -> None:
        super().__init__(picture_px=8)
        self.most_pictures = most_pictures

    def predict_noise(self, noisy: Tensor, timesteps: Tensor, embeds: Tensor) -> Tensor:
        if len(noisy) > self.most_pictures:
            raise torch.OutOfMemoryError("tried to allocate 2.00 GiB")
        return super().predict_noise(noisy, timesteps, embeds)


def test_a_gpu_that_is_too_small_for_all_slots_gives_the_fields_back(tmp_path: Path) -> None:
    report = distiller_of(Library(DirectoryStore(tmp_path)), prior=SmallGpu(0)).run_slice(long_slice("cube", "cone"))
    assert report.fault is not None
    assert report.fault.out_of_memory
    assert not report.fault.crashed
    assert set(report.returned) == {"field-cube", "field-cone"}
    assert report.finished == ()


def test_a_field_that_does_not_fit_alone_ends_as_gpu_memory(tmp_path: Path) -> None:
    distiller = distiller_of(Library(DirectoryStore(tmp_path)), prior=SmallGpu(0))
    report = distiller.run_slice(long_slice("cube", num_slots=1))
    assert report.fault is None
    assert report.finished[0].failure is not None
    assert report.finished[0].failure.failure_class == "gpu_memory"
    assert "2.00 GiB" in report.finished[0].failure.message


def test_a_decided_field_leaves_neither_lease_nor_checkpoint(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    Checkpoints(store).save("field", 1, 5, b"any")
    with LeaseKeeper(str(tmp_path), "first", ttl_s=60.0) as ours:
        ours.claim("field")
        ours.forget("field")
    assert list(store.list()) == []


def test_a_run_learns_that_somebody_else_has_taken_its_field(tmp_path: Path) -> None:
    asleep = LeaseKeeper(str(tmp_path), "asleep", ttl_s=0.0)  # never entered: nothing renews
    asleep.claim("field")
    with LeaseKeeper(str(tmp_path), "awake", ttl_s=60.0) as awake:
        assert awake.claim("field") == Claim(deaths=0, epoch=2)
        asleep.charge("field", 1)
        assert set(asleep.lost()) == {"field"}
        assert set(asleep.lost()) == set()


def test_what_another_run_gave_up_is_known_with_its_class(tmp_path: Path) -> None:
    library = Library(DirectoryStore(tmp_path))
    build = Build("ab" * 32, "cd" * 32, Prompt("one", "a ball"), ("one",), RECIPE, ExportProfile())
    claims = LeaseKeeper(str(tmp_path), "ours", ttl_s=60.0)
    assert claims.standing(build.asset_key) is None

    library.publish(quarantined_outcome(build, Failure("flat", "thin as paper"), 1, {}))
    assert claims.standing(build.asset_key) == Decision("quarantined", Failure("flat", "thin as paper"), is_ours=False)


class InstantProcess(InstantStages, ExportProcess):
    """The child process of an exporter, without a process."""


def test_an_exporter_says_whether_the_outcome_that_stands_is_of_its_run(tmp_path: Path) -> None:
    library = Library(DirectoryStore(tmp_path))
    ref = library.put_blob(snapshot().to_bytes(), "application/x-npz")
    build = Build("ab" * 32, "cd" * 32, Prompt("one", "a ball"), ("one",), RECIPE, ExportProfile())
    prior = PriorIdentity("stub", "1", "0" * 64, "Apache-2.0")

    def export(run_id: str) -> Decision | None:
        settings = WorkerSettings("", PriorConfig(), prior, "cpu", 1, provenance={"run_id": run_id})
        return Exporter(library, settings, InstantProcess(export_asset)).export(ExportTask(build, ref, 1, 1.0)).decision

    assert export("first") == Decision("published")
    assert export("second") == Decision("published", is_ours=False)
    assert export("first") == Decision("published"), "an exporter before it has died without an answer"


class RecordingProcess(InstantProcess):
    """Writes down what the files are to say."""

    def export(self, *arguments: Any) -> Exported:
        return Exported(AssetBundle("a", {"asset.json": json.dumps(arguments[-1]).encode()}, (), {}, {}), tries=1)


def test_what_the_files_of_an_exporter_say_follows_the_policy_of_its_run(tmp_path: Path) -> None:
    library = Library(DirectoryStore(tmp_path))
    ref = library.put_blob(snapshot().to_bytes(), "application/x-npz")
    build = Build("ab" * 32, "cd" * 32, Prompt("one", "a ball"), ("one",), RECIPE, ExportProfile())
    prior = PriorIdentity("stub", "1", "0" * 64, "Apache-2.0")
    policy = MetadataPolicy(embed_prompt=False, asset_license="CC0-1.0")
    settings = WorkerSettings("", PriorConfig(), prior, "cpu", 1, metadata_policy=policy)

    Exporter(library, settings, RecordingProcess(export_asset)).export(ExportTask(build, ref, 1, 1.0))

    outcome = library.get_outcome(build.asset_key)
    assert outcome is not None
    told = json.loads(library.get_blob(outcome.files["asset.json"]))
    assert told["asset_license"] == "CC0-1.0"
    assert "prompt" not in told
    assert "a ball" not in json.dumps(told)
