"""A prior that knows the toys is worse off with a wrong caption; one that is deaf is not."""

import pytest
import torch

from dreamfoundry.diffusion.analytic import AnalyticPrior
from dreamfoundry.diffusion.prior import load_prior
from dreamfoundry.settings.distillation import CameraConfig, ShadingConfig
from dreamfoundry.settings.prior import PriorConfig, WordingConfig
from dreamfoundry.toybox.caption_sensitivity import caption_errors
from dreamfoundry.toybox.training import TrainingConfig, trace_library

CONFIG = TrainingConfig(views_per_kind=4)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    cameras = CameraConfig(radius=(2.5, 2.6), fovy_deg=(40.0, 42.0), position_jitter=0.0, look_at_jitter=0.0)
    return trace_library(CONFIG, cameras, WordingConfig(), tmp_path_factory.mktemp("views"))


class Deaf(AnalyticPrior):
    """Answers every caption alike."""

    def encode_prompts(self, texts):
        return super().encode_prompts([""] * len(texts))


def test_a_prior_that_listens_errs_least_with_the_right_caption(library):
    errors = caption_errors(load_prior(PriorConfig()), library, CONFIG, ShadingConfig(), num_pictures=24)

    assert errors[0.99]["right"] < 0.7 * errors[0.99]["other kind"]
    assert errors[0.99]["right"] < 0.7 * errors[0.99]["background only"]
    assert errors[0.99]["right"] < errors[0.99]["other view"]


def test_a_deaf_prior_errs_alike_whatever_it_is_told(library):
    errors = caption_errors(Deaf(CONFIG.picture_px), library, CONFIG, ShadingConfig(), num_pictures=12)

    for by_caption in errors.values():
        assert torch.tensor(list(by_caption.values())).unique().numel() == 1
