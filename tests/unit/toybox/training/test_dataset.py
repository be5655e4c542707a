"""Batches are a function of the step and never show a held-out pair."""

import dataclasses
from pathlib import Path

import pytest
import torch

from dreamfoundry.settings.distillation import CameraConfig, ShadingConfig
from dreamfoundry.settings.prior import WordingConfig
from dreamfoundry.toybox.captions import color_of, held_out_pairs, kind_of
from dreamfoundry.toybox.training.config import TrainingConfig
from dreamfoundry.toybox.training.dataset import TracedViews, trace_views, training_batch

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
    assert [plain for plain, _ in again.views] == [plain for plain, _ in traced.views]
    assert {words for _, words in again.views} <= {"frontal", "flank", "rear", "overhead"}
