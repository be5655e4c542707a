"""Batches are a function of the step and never show a held-out pair."""

import dataclasses
from pathlib import Path

import pytest
import torch

from dreamfoundry.settings.distillation import CameraConfig, ShadingConfig
from dreamfoundry.settings.prior import WordingConfig
from dreamfoundry.toybox.captions import color_of, held_out_pairs, kind_of
from dreamfoundry.toybox.training.config import TrainingConfig
from dreamfoundry.toybox.training.dataset import TracedViews, draw_batch, draw_pictures, trace_views, training_batch

TINY = TrainingConfig(picture_px=8, batch_size=4, views_per_kind=2)


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> TracedViews:
    return trace_views(TINY, CameraConfig(), WordingConfig(), tmp_path_factory.mktemp("views"))


def test_held_out_pairs_are_never_shown(views: TracedViews) -> None:
    config = dataclasses.replace(TINY, batch_size=64)
    captions = [caption for step in range(20) for caption in training_batch(views, config, ShadingConfig(), step)[1]]

    assert not {(color_of(caption), kind_of(caption)) for caption in captions} & held_out_pairs()


def test_batches_are_a_function_of_the_step(views: TracedViews) -> None:
    (first, captions), (second, same) = (training_batch(views, TINY, ShadingConfig(), 3) for _ in range(2))

    assert torch.equal(first, second)
    assert captions == same
    assert not torch.equal(first, training_batch(views, TINY, ShadingConfig(), 4)[0])


def test_traced_views_are_read_again_from_their_folder_and_named_in_another_wording(tmp_path: Path) -> None:
    traced = trace_views(TINY, CameraConfig(), WordingConfig(), tmp_path)
    wording = dataclasses.replace(WordingConfig(), azimuth_words=("frontal", "flank", "rear", "flank"))

    again = trace_views(TINY, CameraConfig(), wording, tmp_path)

    assert torch.equal(traced.buffers.roles, again.buffers.roles)
    assert torch.equal(traced.buffers.normals, again.buffers.normals)
    assert traced.kinds == again.kinds
    assert [plain for plain, _ in again.views] == [plain for plain, _ in traced.views]
    assert {words for _, words in again.views} <= {"frontal", "flank", "rear", "overhead"}


def test_the_one_file_of_traced_views_is_small_and_serves_another_folder(tmp_path: Path) -> None:
    traced = trace_views(TINY, CameraConfig(), WordingConfig(), tmp_path / "here")
    (file,) = (tmp_path / "here").iterdir()
    (tmp_path / "there").mkdir()
    file.rename(tmp_path / "there" / file.name)

    again = trace_views(TINY, CameraConfig(), WordingConfig(), tmp_path / "there")

    assert not any((tmp_path / "here").iterdir()), "nothing was traced anew"
    assert torch.equal(traced.camera_positions, again.camera_positions)
    in_memory = traced.buffers.roles.nbytes + traced.buffers.normals.nbytes
    assert (tmp_path / "there" / file.name).stat().st_size < 0.5 * in_memory


def test_pictures_of_draws_are_those_of_the_batch(views: TracedViews) -> None:
    draws = draw_batch(views, TINY, ShadingConfig(), 3)
    pictures, captions = training_batch(views, TINY, ShadingConfig(), 3)

    assert captions == draws.captions
    assert torch.equal(draw_pictures(views.buffers, draws), pictures)
