"""Wrong captions cost a prior that follows its text, and cost nothing where the text is ignored."""

from collections.abc import Sequence

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from dreamfoundry.diffusion.analytic import AnalyticPrior
from dreamfoundry.diffusion.loading import load_prior
from dreamfoundry.settings.distillation import CameraConfig, ShadingConfig
from dreamfoundry.settings.prior import PriorConfig, WordingConfig
from dreamfoundry.toybox.caption_sensitivity import caption_errors
from dreamfoundry.toybox.training.config import TrainingConfig
from dreamfoundry.toybox.training.dataset import TracedViews, trace_views

CONFIG = TrainingConfig(views_per_kind=4)


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> TracedViews:
    cameras = CameraConfig(radius=(2.5, 2.6), fovy_deg=(40.0, 42.0), position_jitter=0.0, look_at_jitter=0.0)
    return trace_views(CONFIG, cameras, WordingConfig(), tmp_path_factory.mktemp("views"))


class IgnoresText(AnalyticPrior):
    """Answers every caption alike."""

    def encode_prompts(self, texts: Sequence[str]) -> Float[Tensor, "B L D"]:
        return super().encode_prompts([""] * len(texts))


def test_a_prior_that_follows_its_text_errs_least_with_the_right_caption(views: TracedViews) -> None:
    errors = caption_errors(load_prior(PriorConfig()), views, CONFIG, ShadingConfig(), num_pictures=24)

    assert errors[0.99]["right"] < 0.7 * errors[0.99]["other kind"]
    assert errors[0.99]["right"] < 0.7 * errors[0.99]["background only"]
    assert errors[0.99]["right"] < errors[0.99]["other view"]


def test_a_prior_that_ignores_its_text_errs_alike_under_every_caption(views: TracedViews) -> None:
    errors = caption_errors(IgnoresText(CONFIG.picture_px), views, CONFIG, ShadingConfig(), num_pictures=12)

    for by_caption in errors.values():
        assert torch.tensor(list(by_caption.values())).unique().numel() == 1
