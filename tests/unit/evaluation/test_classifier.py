"""Classifier guidance follows its equation, and the classifier learns to name noisy toys."""

import dataclasses
from pathlib import Path

import pytest
import torch

from dreamfoundry.diffusion.analytic import AnalyticPrior
from dreamfoundry.diffusion.guidance import classifier_free_guidance
from dreamfoundry.diffusion.prior import ScorePrior
from dreamfoundry.errors import ConfigError
from dreamfoundry.evaluation.classifier import (
    ClassifierGuidedPrior,
    NoisyClassifier,
    accuracy,
    labels_of,
    train_classifier,
)
from dreamfoundry.nerf.cameras import orbit
from dreamfoundry.settings.distillation import ShadingConfig
from dreamfoundry.toybox.captions import COLORS, KINDS
from dreamfoundry.toybox.toys import toy
from dreamfoundry.toybox.training.config import TrainingConfig
from dreamfoundry.toybox.training.dataset import TracedViews
from dreamfoundry.toybox.views import ViewBuffers, trace

PX = 8
TEXTS = ["a red chair, front view, white background", "a lamp, back view, grey background", "white background"]


@pytest.fixture(scope="module")
def inner() -> AnalyticPrior:
    return AnalyticPrior(PX)


@pytest.fixture(scope="module")
def classifier(inner: AnalyticPrior) -> NoisyClassifier:
    torch.manual_seed(0)
    return NoisyClassifier(PX, inner.alphas_cumprod)


def asked(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    noisy = torch.randn(len(TEXTS), 3, PX, PX, generator=torch.Generator().manual_seed(seed))
    return noisy, torch.tensor([100, 500, 900])


def test_texts_are_read_as_labels() -> None:
    kinds, colors = list(KINDS), list(COLORS)
    expected = [
        [kinds.index("chair") + 1, colors.index("red") + 1],
        [kinds.index("lamp") + 1, 0],
        [0, 0],
        [kinds.index("sofa") + 1, 0],
    ]

    assert labels_of([*TEXTS, "a untextured red couch"]).tolist() == expected


def test_it_is_a_score_prior_with_an_identity_of_its_own(inner: AnalyticPrior, classifier: NoisyClassifier) -> None:
    prior = ClassifierGuidedPrior(inner, classifier)

    assert isinstance(prior, ScorePrior)
    assert prior.identity.digest != inner.identity.digest
    assert prior.identity.prior_id != inner.identity.prior_id


def test_the_noise_follows_dhariwal_and_nichol(inner: AnalyticPrior, classifier: NoisyClassifier) -> None:
    """Scale s of the wrapped prior is noise - s sqrt(1 - abar) grad log p, each row worked out alone."""
    prior, (noisy, timesteps) = ClassifierGuidedPrior(inner, classifier), asked()
    backgrounds = ["white background", "grey background", "white background"]
    uncond = prior.predict_noise(noisy, timesteps, prior.encode_prompts(backgrounds))
    text = prior.predict_noise(noisy, timesteps, prior.encode_prompts(TEXTS))
    guided = classifier_free_guidance(uncond, text, 5.0)

    plain = inner.predict_noise(noisy, timesteps, inner.encode_prompts(backgrounds))
    torch.testing.assert_close(uncond, plain)
    for row, (kind, color) in enumerate(labels_of(TEXTS).tolist()):
        leaf = noisy[row : row + 1].clone().requires_grad_()
        kind_logits, color_logits = classifier(leaf, timesteps[row : row + 1])
        log_p = leaf.sum() * 0.0
        if kind:
            log_p = log_p + kind_logits.softmax(dim=1)[0, kind - 1].log()
        if color:
            log_p = log_p + color_logits.softmax(dim=1)[0, color - 1].log()
        log_p.backward()
        gradient = leaf.grad
        assert gradient is not None
        spread = (1.0 - inner.alphas_cumprod[timesteps[row]]).sqrt()
        torch.testing.assert_close(guided[row], plain[row] - 5.0 * spread * gradient[0], atol=1e-5, rtol=1e-4)


VARIANCE = 0.3


class Mixture(AnalyticPrior):
    """Believes that a picture shows any kind, all alike, unless it is told which."""

    def predict_noise(self, noisy: torch.Tensor, timesteps: torch.Tensor, embeds: torch.Tensor) -> torch.Tensor:
        bayes = Bayes(self).kind_posterior(noisy, timesteps)
        each = [super(Mixture, self).predict_noise(noisy, timesteps, self._all(k, noisy)) for k in KINDS]
        return torch.einsum("bk,kbchw->bchw", bayes, torch.stack(each))

    def _all(self, kind: str, noisy: torch.Tensor) -> torch.Tensor:
        return self.encode_prompts([kind] * len(noisy))


class Bayes(NoisyClassifier):
    """The kind of the mixture that a noisy picture shows, by Bayes' rule."""

    def __init__(self, prior: AnalyticPrior) -> None:
        super().__init__(PX, prior.alphas_cumprod)
        self.means = torch.stack([prior.mean_picture(kind) * 2.0 - 1.0 for kind in KINDS])

    def forward(self, noisy: torch.Tensor, timesteps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        signal = self.alphas_cumprod[timesteps].view(-1, 1)
        away = (noisy[:, None] - signal.sqrt().view(-1, 1, 1, 1, 1) * self.means).square().sum(dim=(2, 3, 4))
        return -away / (2.0 * (signal * VARIANCE + 1.0 - signal)), torch.zeros(len(noisy), len(COLORS))

    def kind_posterior(self, noisy: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        return self(noisy, timesteps)[0].softmax(dim=1)


def test_with_the_classifier_of_bayes_scale_one_is_the_conditional_prior() -> None:
    """p(x | kind) ~ p(x) p(kind | x): the unconditional score and the classifier's make the conditional one."""
    generator = torch.Generator().manual_seed(3)
    means = {kind: 0.5 + 0.1 * torch.randn(3, PX, PX, generator=generator) for kind in KINDS}
    conditional = AnalyticPrior(PX, variance=VARIANCE, mean_pictures=means)
    mixture = Mixture(PX, variance=VARIANCE, mean_pictures=means)
    prior, (noisy, timesteps) = ClassifierGuidedPrior(mixture, Bayes(mixture)), asked(1)
    kinds = ["car", "tree", "mug"]

    found = prior.predict_noise(noisy, timesteps, prior.encode_prompts(kinds))

    expected = conditional.predict_noise(noisy, timesteps, conditional.encode_prompts(kinds))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_a_classifier_of_other_pictures_or_noise_is_refused(inner: AnalyticPrior) -> None:
    with pytest.raises(ConfigError, match="picture_px"):
        ClassifierGuidedPrior(inner, NoisyClassifier(2 * PX, inner.alphas_cumprod))
    with pytest.raises(ConfigError, match="alphas_cumprod"):
        ClassifierGuidedPrior(inner, NoisyClassifier(PX, inner.alphas_cumprod.flip(0)))


def test_a_saved_classifier_answers_alike(classifier: NoisyClassifier, tmp_path: Path) -> None:
    classifier.save(tmp_path / "classifier.safetensors")
    loaded = NoisyClassifier.load(tmp_path / "classifier.safetensors")

    assert loaded.digest() == classifier.digest()
    for found, expected in zip(loaded(*asked()), classifier(*asked()), strict=True):
        assert torch.equal(found, expected)


@pytest.fixture(scope="module")
def views() -> TracedViews:
    """Eight views around each of three simple toys."""
    kinds, azimuth_deg = ("torus", "cylinder", "dumbbell"), torch.arange(8) * 45.0
    around = orbit(azimuth_deg, torch.full((8,), 15.0), torch.full((8,), 2.5), torch.full((8,), 40.0))
    seen = [trace(toy(kind), around, PX) for kind in kinds]
    return TracedViews(
        ViewBuffers(torch.cat([view.roles for view in seen]), torch.cat([view.normals for view in seen])),
        [kind for kind in kinds for _ in range(8)],
        [("side", "side")] * 24,
        around.positions.repeat(3, 1),
    )


def test_a_short_training_beats_chance_under_noise_and_repeats_itself(views: TracedViews) -> None:
    config = TrainingConfig(picture_px=PX, batch_size=16)
    fresh = dataclasses.replace(config, batch_size=256, seed=99)

    found = accuracy(train_classifier(views, config, ShadingConfig(), 200), views, fresh, ShadingConfig())

    kind, color = found[0.3]
    assert kind > 0.5  # a third by chance
    assert color > 0.25  # a tenth by chance
    short = [train_classifier(views, config, ShadingConfig(), 2).digest() for _ in range(2)]
    assert short[0] == short[1]
