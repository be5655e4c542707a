"""Perp-Neg: words between views, and away from the wrong ones, each row with its own picture."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from dreamfoundry.diffusion.analytic import AnalyticPrior
from dreamfoundry.diffusion.guidance import guided_noise
from dreamfoundry.diffusion.perp_neg import perp_neg_rows, perpendicular
from dreamfoundry.diffusion.prompts import PromptEmbeds, ViewEmbeds, gather_embeds, nearest_view_rows, view_words
from dreamfoundry.settings.prior import WordingConfig

PX = 4
FOUR = WordingConfig(backgrounds=("white", "grey", "black"))
EIGHT = replace(FOUR, azimuth_words=("f", "fl", "l", "bl", "b", "br", "r", "fr"), front_half_angle_deg=22.5)


def numbered(wording: WordingConfig) -> PromptEmbeds:
    """Embeddings with a one for their view word, then shading and background as numbers."""
    words = len(view_words(wording))
    text = torch.zeros(2, words, 3, 1, words + 2)
    text[..., :words] = torch.eye(words)[None, :, None, None]
    text[..., words] = torch.arange(2.0)[:, None, None, None]
    text[..., words + 1] = torch.arange(3.0)[None, None, :, None]
    return PromptEmbeds(text, torch.arange(3.0)[:, None, None].expand(3, 1, words + 2))


def embeds_at(wording: WordingConfig, azimuth_deg: float, elevation_deg: float = 0.0) -> ViewEmbeds:
    azimuths_deg, elevations_deg = torch.tensor([azimuth_deg]), torch.tensor([elevation_deg])
    views = perp_neg_rows(azimuths_deg, elevations_deg, True, torch.tensor([2]), wording)
    return gather_embeds(numbered(wording).rows, views)


def shares(embed: torch.Tensor, wording: WordingConfig) -> dict[int, Any]:
    """Shares of the view words in an embedding."""
    words = embed.flatten()[: len(view_words(wording))]
    return {index: pytest.approx(share, abs=1e-5) for index, share in enumerate(words.tolist()) if abs(share) > 1e-6}


@pytest.mark.parametrize(
    ("azimuth_deg", "text"),
    [
        (0.0, {0: 1.0}),
        (45.0, {0: 0.5, 1: 0.5}),
        (90.0, {1: 1.0}),
        (117.0, {1: 0.7, 2: 0.3}),
        (180.0, {2: 1.0}),
        (-45.0, {0: 0.5, 3: 0.5}),
        (-90.0, {3: 1.0}),
        (252.0, {2: 0.2, 3: 0.8}),
        (-180.0, {2: 1.0}),
        (369.0, {0: 0.9, 1: 0.1}),
    ],
)
def test_the_wording_goes_smoothly_from_front_over_side_to_back(azimuth_deg: float, text: dict[int, float]) -> None:
    assert shares(embeds_at(FOUR, azimuth_deg).text, FOUR) == text
    # With eight words the same quarters are used, and the two sides are different words.
    assert shares(embeds_at(EIGHT, azimuth_deg).text, EIGHT) == {2 * index: share for index, share in text.items()}


@pytest.mark.parametrize(
    ("azimuth_deg", "negatives", "weights"),
    [
        (0.0, (0, 1), (0.0, 4 - 2.426)),  # front: not from the side
        (60.0, (0, 1), (4 * math.exp(-1 / 6) - 2.426, 4 * math.exp(-1 / 3) - 2.426)),
        (90.0, (0, 1), (4 - 2.426, 0.0)),  # side: not from the front
        (-90.0, (0, 3), (4 - 2.426, 0.0)),
        (120.0, (1, 0), (math.exp(-1 / 3) - 0.606, math.exp(-1 / 3) + 0.967)),
        (179.99, (1, 0), (1 - 0.606, 1 + 0.967)),  # back: above all not from the front
        (-179.99, (3, 0), (1 - 0.606, 1 + 0.967)),
        (-120.0, (3, 0), (math.exp(-1 / 3) - 0.606, math.exp(-1 / 3) + 0.967)),
    ],
)
def test_negatives_are_what_the_view_must_not_look_like(
    azimuth_deg: float, negatives: tuple[int, int], weights: tuple[float, float]
) -> None:
    embeds = embeds_at(FOUR, azimuth_deg)
    assert [shares(negative, FOUR) for negative in embeds.negatives[0]] == [{index: 1.0} for index in negatives]
    assert embeds.negative_weights[0].tolist() == pytest.approx(weights, abs=1e-3)


def test_seen_from_overhead_there_is_the_nearest_wording_and_no_weight_on_negatives() -> None:
    embeds = embeds_at(EIGHT, 100.0, elevation_deg=75.0)
    assert shares(embeds.text, EIGHT) == {8 + 2: 1.0}
    assert embeds.negative_weights.tolist() == [[0.0, 0.0]]


def test_below_overhead_the_wording_and_the_negatives_stay_in_their_band_of_elevations() -> None:
    heights = replace(FOUR, elevation_words=("low {azimuth}", "{azimuth}", "over"), elevation_bounds_deg=(0.0, 60.0))
    embeds = embeds_at(heights, 120.0, elevation_deg=30.0)
    assert shares(embeds.text, heights) == {4 + 1: 2 / 3, 4 + 2: 1 / 3}
    assert [shares(negative, heights) for negative in embeds.negatives[0]] == [{4 + 1: 1.0}, {4 + 0: 1.0}]


def test_shading_and_background_are_those_of_the_view() -> None:
    embeds = embeds_at(FOUR, 30.0)
    for embed in (embeds.text[0], embeds.negatives[0, 0], embeds.negatives[0, 1]):
        assert embed[0, -2:].tolist() == [1.0, 2.0]
    assert float(embeds.unconditional[0, 0, 0]) == 2.0


def test_where_a_word_is_the_view_it_equals_the_nearest_wording() -> None:
    azimuth_deg, elevation_deg = torch.tensor([0.0, 90.0, 180.0, -90.0, 20.0]), torch.tensor([0.0, 0.0, 0.0, 0.0, 70.0])
    arguments = (azimuth_deg, elevation_deg, False, torch.arange(5) % 3, EIGHT)
    smoothly, nearest = (
        gather_embeds(numbered(EIGHT).rows, rows(*arguments)) for rows in (perp_neg_rows, nearest_view_rows)
    )
    torch.testing.assert_close(smoothly.text, nearest.text)
    torch.testing.assert_close(smoothly.unconditional, nearest.unconditional)


def test_a_perpendicular_has_nothing_along_the_direction_and_completes_the_vector() -> None:
    vectors, directions = torch.randn(2, 5, 3, PX, PX).unbind(0)
    across = perpendicular(vectors, directions)
    torch.testing.assert_close((across * directions).sum(dim=(1, 2, 3)), torch.zeros(5), atol=1e-4, rtol=0)
    along = vectors - across
    cosine = torch.cosine_similarity(along.flatten(1), directions.flatten(1)).abs()
    torch.testing.assert_close(cosine, torch.ones(5), atol=1e-4, rtol=0)
    assert torch.equal(perpendicular(vectors, torch.zeros_like(directions)), vectors)


@pytest.mark.parametrize("rows", [1, 2, 4, 8])
def test_every_row_is_asked_with_its_own_picture_timestep_and_words(rows: int) -> None:
    """A loop that treats each row alone and each wording alone, with the formula written out."""
    prior = AnalyticPrior(PX, variance=0.2)

    def words(kind: str) -> torch.Tensor:
        return prior.encode_prompts([f"{kind} {row}" for row in range(rows)])

    generator = torch.Generator().manual_seed(rows)
    embeds = ViewEmbeds(
        text=words("text"),
        unconditional=words("nothing"),
        negatives=torch.stack([words("first"), words("second")], dim=1),
        negative_weights=torch.rand(rows, 2, generator=generator) * 2,
    )
    noisy = torch.randn(rows, 3, PX, PX, generator=generator)
    timesteps = torch.linspace(50, 950, rows).long()
    scale = 7.5
    before = prior.num_predictions
    together = guided_noise(prior, noisy, timesteps, embeds, scale)
    assert prior.num_predictions == before + 1

    for row in range(rows):

        def seen(words: torch.Tensor, row: int = row) -> torch.Tensor:
            return prior.predict_noise(noisy[row : row + 1], timesteps[row : row + 1], words[None]).flatten()

        uncond = seen(embeds.unconditional[row])
        towards = seen(embeds.text[row]) - uncond
        pushed = torch.zeros_like(uncond)
        for negative, weight in zip(embeds.negatives[row], embeds.negative_weights[row], strict=True):
            away = seen(negative) - uncond
            pushed += weight * (away - (away @ towards) / (towards @ towards) * towards)
        alone = uncond + scale * (towards - pushed)
        torch.testing.assert_close(together[row].flatten(), alone, rtol=1e-4, atol=1e-4)


def test_a_negative_that_agrees_with_the_text_takes_nothing_away_from_it() -> None:
    prior = AnalyticPrior(PX)
    text, uncond = prior.encode_prompts(["a ball"]), prior.encode_prompts([""])
    noisy, timesteps = torch.randn(1, 3, PX, PX), torch.tensor([500])
    agreeing = ViewEmbeds(text, uncond, torch.stack([text, uncond], dim=1), torch.tensor([[3.0, 2.0]]))
    without = ViewEmbeds(text, uncond, text[:, None][:, :0], torch.zeros(1, 0))
    torch.testing.assert_close(
        guided_noise(prior, noisy, timesteps, agreeing, 7.5), guided_noise(prior, noisy, timesteps, without, 7.5)
    )
