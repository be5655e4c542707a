"""A distiller without Ray: its answers when the store, a prompt or the GPU misbehaves."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from dreamfoundry.diffusion.analytic import AnalyticPrior
from dreamfoundry.errors import DeviceUnavailable, StoreUnavailable
from dreamfoundry.library.library import Library
from dreamfoundry.object_store.directory import DirectoryStore
from dreamfoundry.records import BlobRef, FieldSnapshot, Prompt
from dreamfoundry.run.messages import FieldTask, Ready, RunSlice
from dreamfoundry.run.workers.distiller import Distiller, load_resident_prior
from dreamfoundry.settings.loading import with_overrides
from dreamfoundry.settings.prior import PriorConfig
from support.tiny_distiller import RECIPE, distiller_of, long_slice, one_step, slice_of, snapshot_bytes


class AbsentLibrary(Library):
    """A library whose blobs cannot be written while `is_away`."""

    is_away = True

    def put_blob(self, data: bytes, media_type: str) -> BlobRef:
        if self.is_away:
            raise StoreUnavailable("the disk is full; make room")
        return super().put_blob(data, media_type)


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


class SmallGpu(AnalyticPrior):
    """Has memory for so many pictures at once, and raises `shortage` for more.

    `held_at_release` are the tensors of the step that failed that were alive when its memory was to be given back.
    """

    def __init__(self, most_pictures: int, shortage: type[Exception] = torch.OutOfMemoryError) -> None:
        super().__init__(picture_px=8)
        self.most_pictures = most_pictures
        self.shortage = shortage
        self.activations: list[weakref.ref[Tensor]] = []
        self.held_at_release: list[Tensor] = []
        self.num_releases = 0

    def predict_noise(self, noisy: Tensor, timesteps: Tensor, embeds: Tensor) -> Tensor:
        if len(noisy) > self.most_pictures:
            activation = noisy + 0.0  # held by this frame, and so by the traceback
            self.activations.append(weakref.ref(activation))
            raise self.shortage("tried to allocate 2.00 GiB")
        return super().predict_noise(noisy, timesteps, embeds)

    def forget_shapes(self) -> None:
        self.num_releases += 1
        self.held_at_release += [tensor for ref in self.activations if (tensor := ref()) is not None]


def test_a_gpu_that_is_too_small_for_all_slots_gives_the_fields_back(tmp_path: Path) -> None:
    report = distiller_of(Library(DirectoryStore(tmp_path)), prior=SmallGpu(0)).run_slice(long_slice("cube", "cone"))
    assert report.fault is not None
    assert report.fault.out_of_memory
    assert not report.fault.crashed
    assert set(report.returned) == {"field-cube", "field-cone"}
    assert report.finished == ()


class CublasShortage(RuntimeError):
    """The words of cuBLAS, whatever the argument."""

    def __str__(self) -> str:
        return "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"


@pytest.mark.parametrize("shortage", [torch.OutOfMemoryError, CublasShortage])
def test_46_memory_is_given_back_when_nothing_holds_the_step_that_failed_and_half_the_slots_go_on(
    shortage: type[Exception], tmp_path: Path
) -> None:
    prior = SmallGpu(2, shortage)
    distiller = distiller_of(Library(DirectoryStore(tmp_path)), prior=prior)
    report = distiller.run_slice(slice_of("cube", "cone"))
    assert report.fault is not None
    assert report.fault.out_of_memory
    assert (prior.num_releases, len(prior.activations), prior.held_at_release) == (1, 1, [])
    assert distiller.run_slice(slice_of("cube", num_slots=1)).fault is None


def test_a_field_that_does_not_fit_alone_ends_as_gpu_memory(tmp_path: Path) -> None:
    distiller = distiller_of(Library(DirectoryStore(tmp_path)), prior=SmallGpu(0))
    report = distiller.run_slice(long_slice("cube", num_slots=1))
    assert report.fault is None
    assert report.finished[0].failure is not None
    assert report.finished[0].failure.failure_class == "gpu_memory"
    assert "2.00 GiB" in report.finished[0].failure.message


def test_a_distiller_says_which_kernels_serve_it_when_it_is_ready_and_with_every_field(tmp_path: Path) -> None:
    distiller = distiller_of(Library(DirectoryStore(tmp_path)))
    report = distiller.run_slice(slice_of("cube"))
    words = "none: plain torch code serves on a CPU"
    assert distiller.ready() == Ready(words), "no note: a CPU has no kernels to miss"
    assert [field.kernels for field in report.finished] == [words]


def test_a_card_that_is_too_full_for_the_prior_is_the_fault_of_its_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_prior(*arguments: Any, **settings: Any) -> Any:
        raise torch.OutOfMemoryError("tried to allocate 1.70 GiB")

    monkeypatch.setattr("dreamfoundry.run.workers.distiller.load_prior", load_prior)
    with pytest.raises(DeviceUnavailable, match=r"does not fit into what is free on 'cpu': tried to allocate 1.70 GiB"):
        load_resident_prior(PriorConfig(), "cpu", "eager")
