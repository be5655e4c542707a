"""A prior that knows the toys is worse off with a wrong caption; one that is deaf is not."""

import pytest
import torch

from dreamfoundry.config import CameraConfig, ShadingConfig
from dreamfoundry.toybox.ideal import IdealPrior
from dreamfoundry.toybox.listening import caption_errors
from dreamfoundry.toybox.training import TrainingConfig, trace_library

CONFIG = TrainingConfig(picture_px=8, views_per_kind=12)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return trace_library(CONFIG, CameraConfig(), tmp_path_factory.mktemp("views"))


class Deaf(IdealPrior):
    """Hears only the background of every caption."""

    def encode_prompts(self, texts):
        return super().encode_prompts([text.rsplit(", ", 1)[-1] for text in texts])


def test_a_prior_that_listens_errs_least_with_the_right_caption(library):
    prior = IdealPrior(library, ShadingConfig(), pictures_per_caption=60)
    errors = caption_errors(prior, library, CONFIG, ShadingConfig(), num_pictures=24)

    assert errors[0.99]["right"] < 0.8 * errors[0.99]["other kind"]
    assert errors[0.99]["right"] < 0.8 * errors[0.99]["background only"]


def test_a_deaf_prior_errs_alike_whatever_it_is_told(library):
    errors = caption_errors(Deaf(library, ShadingConfig()), library, CONFIG, ShadingConfig(), num_pictures=12)

    for by_caption in errors.values():
        assert torch.tensor(list(by_caption.values())).unique().numel() == 1
