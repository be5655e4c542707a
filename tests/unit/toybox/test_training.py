"""Training of the toybox prior: deterministic, resumable, and its result loads like any prior."""

import dataclasses
from pathlib import Path

import pytest
import torch

from dreamfoundry.diffusion.prior import load_prior
from dreamfoundry.settings.distillation import CameraConfig, ShadingConfig
from dreamfoundry.settings.prior import PriorConfig, WordingConfig
from dreamfoundry.toybox.captions import color_of, held_out_pairs, kind_of
from dreamfoundry.toybox.training import Trainer, TrainingConfig, trace_library, training_batch
from dreamfoundry.toybox.training_plots import ddim_pictures

TINY = TrainingConfig(
    picture_px=8, num_steps=4, batch_size=4, views_per_kind=2, block_out_channels=(16, 32), text_width=24
)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return trace_library(TINY, CameraConfig(), WordingConfig(), tmp_path_factory.mktemp("views"))


def trained(config: TrainingConfig, library, folder: Path) -> Trainer:
    folder.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(config, ShadingConfig(), library, folder)
    trainer.run(lambda step, loss, rate: None)
    return trainer


def test_a_resumed_run_equals_an_uninterrupted_one(library, tmp_path):
    whole = trained(TINY, library, tmp_path / "whole")

    half = Trainer(TINY, ShadingConfig(), library, tmp_path)
    half.run(lambda step, loss, rate: None, until_step=2)
    resumed = trained(TINY, library, tmp_path)

    assert resumed.step == 4
    assert all(torch.equal(a, b) for a, b in zip(whole.weights, resumed.weights, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(whole.average, resumed.average, strict=True))


def test_a_checkpoint_of_another_configuration_is_refused(library, tmp_path):
    trained(TINY, library, tmp_path)

    with pytest.raises(ValueError, match="another configuration"):
        Trainer(dataclasses.replace(TINY, seed=1), ShadingConfig(), library, tmp_path)


def test_a_run_can_start_from_the_weights_of_another(library, tmp_path):
    trained(TINY, library, tmp_path / "first").export(tmp_path / "weights")
    fresh = Trainer(TINY, ShadingConfig(), library, tmp_path / "second", start_from=tmp_path / "weights")
    exported = [weight.half().float() for weight in trained(TINY, library, tmp_path / "first").average]

    assert fresh.step == 0
    assert all(torch.equal(a, b) for a, b in zip(fresh.weights, exported, strict=True))


def test_held_out_pairs_are_never_shown(library):
    config = dataclasses.replace(TINY, batch_size=64)
    captions = [caption for step in range(20) for caption in training_batch(library, config, ShadingConfig(), step)[1]]

    assert not {(color_of(caption), kind_of(caption)) for caption in captions} & held_out_pairs()


def test_batches_are_a_function_of_the_step(library):
    (first, captions), (second, same) = (training_batch(library, TINY, ShadingConfig(), 3) for _ in range(2))

    assert torch.equal(first, second) and captions == same
    assert not torch.equal(first, training_batch(library, TINY, ShadingConfig(), 4)[0])


def test_the_trained_folder_loads_as_a_prior_and_draws_pictures(library, tmp_path):
    trained(TINY, library, tmp_path).export(tmp_path / "weights")
    prior = load_prior(PriorConfig(path=str(tmp_path / "weights"), licence="Apache-2.0"))
    pictures = ddim_pictures(
        prior,
        ["a red cube, front view, white background"],
        ["white background"],
        guidance_scale=3.0,
        num_steps=2,
        seed=0,
    )

    assert pictures.shape == (1, 3, 8, 8)
    assert 0.0 <= pictures.min() and pictures.max() <= 1.0
