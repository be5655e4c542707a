"""Loss curve and sample grid of a training run.

Dimension key:  B pictures · H pixels per side
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageDraw
from torch import Tensor

from dreamfoundry.diffusion.guidance import classifier_free_guidance
from dreamfoundry.diffusion.noising import add_noise, clean_part, noise_part
from dreamfoundry.diffusion.prior import ScorePrior
from dreamfoundry.records import VIEWS
from dreamfoundry.settings.prior import BACKGROUND_LEVELS
from dreamfoundry.toybox.captions import COLORS, KINDS, held_out_pairs


@torch.no_grad()
def ddim_pictures(
    prior: ScorePrior,
    texts: Sequence[str],
    unconditional_texts: Sequence[str],
    *,
    guidance_scale: float,
    num_steps: int,
    seed: int,
) -> Float[Tensor, "B 3 H H"]:
    """Deterministic sampling (Song et al. 2021, eq. 12 with eta = 0); pictures in [0, 1] on the host.

    The noise at the start is a function of `seed`, on every device.
    """
    generator = torch.Generator().manual_seed(seed)
    text_embeds, uncond_embeds = prior.encode_prompts(texts), prior.encode_prompts(unconditional_texts)
    sample = torch.randn(len(texts), 3, prior.picture_px, prior.picture_px, generator=generator).to(prior.device)

    last = len(prior.alphas_cumprod) - 1
    schedule = torch.linspace(last, 0, num_steps + 1).round().long().to(prior.device)
    for now, following in itertools.pairwise(schedule):
        timesteps = now.repeat(2 * len(texts))
        both = prior.predict_noise(torch.cat([sample, sample]), timesteps, torch.cat([uncond_embeds, text_embeds]))
        uncond_noise, text_noise = both.chunk(2)
        noise = classifier_free_guidance(uncond_noise, text_noise, guidance_scale)
        abar, next_abar = (prior.alphas_cumprod[timestep].expand(len(texts)) for timestep in (now, following))
        clean = clean_part(sample, noise, abar).clamp(-1.0, 1.0)
        sample = add_noise(clean, noise_part(sample, clean, abar), next_abar)
    return (sample.clamp(-1.0, 1.0).cpu() + 1.0) / 2.0


def sample_grid(prior: ScorePrior, *, guidance_scale: float = 3.0, num_steps: int = 30) -> Image.Image:
    """Samples of every kind from four views, with changing colours and backgrounds; held-out pairs have a red label."""
    colors, backgrounds = list(COLORS), list(BACKGROUND_LEVELS)
    cell, label = 2 * prior.picture_px, 14
    sheet = Image.new("RGB", (6 * (4 * cell + 8), -(-len(KINDS) // 6) * (cell + label)), "white")
    draw = ImageDraw.Draw(sheet)

    for index, kind in enumerate(KINDS):
        color, background = colors[index % len(colors)], backgrounds[index % len(backgrounds)]
        texts = [f"a {color} {kind}, {view} view, {background} background" for view in VIEWS]
        plain = [f"{background} background"] * len(VIEWS)
        samples = ddim_pictures(prior, texts, plain, guidance_scale=guidance_scale, num_steps=num_steps, seed=index)

        strip = (torch.cat(list(samples), dim=2).permute(1, 2, 0).numpy() * 255).astype(np.uint8)
        x, y = index % 6 * (4 * cell + 8), index // 6 * (cell + label)
        sheet.paste(Image.fromarray(strip).resize((4 * cell, cell), Image.Resampling.NEAREST), (x, y + label))
        ink = "red" if (color, kind) in held_out_pairs() else "black"
        draw.text((x + 2, y + 1), f"{color} {kind}", fill=ink)
    return sheet


def loss_plot(losses: Sequence[float], width_px: int = 720, height_px: int = 320, window: int = 100) -> Image.Image:
    """The loss per step and its running mean on a logarithmic axis."""
    sheet = Image.new("RGB", (width_px, height_px), "white")
    if len(losses) < window:
        return sheet
    draw = ImageDraw.Draw(sheet)

    mean = np.convolve(losses, np.ones(window) / window, mode="valid")
    low, high = np.log10(min(losses)), np.log10(max(losses))

    def points(values: Sequence[float], first_step: int) -> list[tuple[float, float]]:
        steps = first_step + np.arange(len(values))
        x = 50 + steps / len(losses) * (width_px - 60)
        y = 10 + (high - np.log10(values)) / max(high - low, 1e-6) * (height_px - 40)
        return list(zip(x.tolist(), y.tolist(), strict=True))

    draw.line(points(losses, 0), fill=(205, 215, 235))
    draw.line(points(mean.tolist(), window - 1), fill=(30, 60, 160), width=2)

    for level in (digit * 10.0**exponent for exponent in range(-6, 3) for digit in (1, 2, 3, 5)):
        if low < np.log10(level) < high:
            draw.text((4, points([level], 0)[0][1] - 6), f"{level:g}", fill="black")
    draw.text((50, height_px - 18), f"{len(losses)} steps; blue: mean of {window}", fill="black")
    return sheet
