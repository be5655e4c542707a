"""Perp-Neg: negative view prompts, projected so that they cannot cancel the positive one.

Prompted with "back view", a prior likes to paint a face all the same. Armandpour et al. (arXiv 2304.04968)
let the wording go smoothly from front over side to back with the azimuth, and push away from two
wordings that the view must not look like. A share of either half of the circle decides how hard:

    front half, share 1 at the front, 0 at the side:  share front + (1 - share) side,
        away from front by f_fs(share) and from side by f_sf(1 - share)
    back half, share 1 at the side, 0 at the back:    share side + (1 - share) back,
        away from side by f_sb(share) and from front by f_fsb(share)

with f(x) = a exp(-b x) + c. Only the part of a negative that is perpendicular to the direction of
the text counts, so that a negative which agrees with the text takes nothing away from it. From
overhead a view has the wording nearest to it, and its negatives weigh nothing.

Dimension key:  B rows · N = 2 negatives · C channels · h, w of the latents
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dreamfoundry.diffusion.prompts import (
    ViewRows,
    elevation_band,
    from_front_deg,
    text_row,
    unconditional_row,
    view_index,
)
from dreamfoundry.settings.prior import WordingConfig

F_FS = F_SF = (4.0, 0.5, -2.426)
F_SB = (1.0, 0.5, -0.606)
F_FSB = (1.0, 0.5, 0.967)
"""(a, b, c) of the decays, as threestudio has them: a wording weighs nothing where it is the view."""

SMALLEST_SQUARE = 1e-12
"""A direction whose square is below this is none: nothing lies along it."""


def perp_neg_rows(
    azimuth_deg: Float[Tensor, " B"],
    elevation_deg: Float[Tensor, " B"],
    textureless: bool,
    background: Int[Tensor, " B"],
    wording: WordingConfig,
) -> ViewRows:
    """The rows of view wordings to interpolate between, and of two negatives, for B cameras.

    `background` is as in `prompts.nearest_view_rows`. The sides are the words a quarter and three
    quarters around, which may differ: the number of `wording.azimuth_words` must be a multiple of 4
    (`settings.recipe.Recipe` checks it).
    """
    quarter = len(wording.azimuth_words) // 4
    away_deg = from_front_deg(azimuth_deg)
    towards_front = 1.0 - away_deg.abs() / 90.0  # 1 at the front, 0 at the sides, -1 at the back
    in_front_half = towards_front >= 0.0
    share = torch.where(in_front_half, towards_front, 1.0 + towards_front)

    # a quarter of the circle lies between two words; `other` is the end of the half that is not looked towards
    front = torch.zeros_like(background)
    side = torch.where(away_deg < 0.0, 3 * quarter, quarter)
    nearer = torch.where(in_front_half, front, side)
    farther = torch.where(in_front_half, side, 2 * quarter)
    other = torch.where(in_front_half, side, front)
    weights = torch.stack(
        [
            torch.where(in_front_half, _decay(F_FS, share), _decay(F_SB, share)),
            torch.where(in_front_half, _decay(F_SF, 1.0 - share), _decay(F_FSB, share)),
        ],
        dim=1,
    )

    # from overhead there is one word all around, so nothing to interpolate and nothing to push away from
    band = elevation_band(elevation_deg, wording)
    overhead = band == len(wording.elevation_words) - 1
    nearest = view_index(azimuth_deg, elevation_deg, wording)

    def row_of(view: Int[Tensor, " B"]) -> Int[Tensor, " B"]:
        return text_row(textureless, view, background, wording)

    # the words of the band that the camera is in
    first = len(wording.azimuth_words) * band
    rows = [
        unconditional_row(background, wording),
        row_of(torch.where(overhead, nearest, first + farther)),
        row_of(torch.where(overhead, nearest, first + nearer)),
        row_of(first + nearer),
        row_of(first + other),
    ]
    return ViewRows(torch.stack(rows, dim=1), share, torch.where(overhead[:, None], 0.0, weights))


def apply_perp_neg(
    noise_pred_text: Float[Tensor, "B C h w"],
    noise_pred_uncond: Float[Tensor, "B C h w"],
    noise_pred_negatives: Float[Tensor, "N B C h w"],
    weights: Float[Tensor, "B N"],
) -> Float[Tensor, "B C h w"]:
    """The prediction for the text, moved away from what is special about each negative:

    text - sum_i weight_i perpendicular(negative_i - uncond, text - uncond),  every row by itself.
    """
    towards_text = noise_pred_text - noise_pred_uncond
    for noise_pred_negative, weight in zip(noise_pred_negatives, weights.unbind(dim=1), strict=True):
        special = perpendicular(noise_pred_negative - noise_pred_uncond, towards_text)
        noise_pred_text = noise_pred_text - weight.view(-1, 1, 1, 1) * special
    return noise_pred_text


def perpendicular(vectors: Float[Tensor, "B C h w"], directions: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
    """Each row of `vectors` without its component along the same row of `directions`."""
    along = (vectors * directions).sum(dim=(1, 2, 3), keepdim=True)
    square = directions.square().sum(dim=(1, 2, 3), keepdim=True).clamp(min=SMALLEST_SQUARE)
    return vectors - along / square * directions


def _decay(coefficients: tuple[float, float, float], share: Float[Tensor, " B"]) -> Float[Tensor, " B"]:
    a, b, c = coefficients
    return a * torch.exp(-b * share) + c
