"""Ceilings of a device and the work of the prior: the numbers behind an efficiency."""

from __future__ import annotations

import time
from statistics import median

import torch
from torch.utils.flop_counter import FlopCounterMode

from dreamfoundry.diffusion.prior import ScorePrior

REPEATS = 7


def matmul_flop_per_s(device: str, dtype: torch.dtype, side: int) -> float:
    """Floating-point operations per second of a product of two random square matrices, the median of some."""
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    return 2.0 * side**3 / _seconds(lambda: left @ right, device)


def copy_bytes_per_s(device: str, num_bytes: int) -> float:
    """Bytes read and written per second by a copy of `num_bytes`, the median of some."""
    source = torch.randint(0, 255, (num_bytes,), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2.0 * num_bytes / _seconds(lambda: target.copy_(source), device)


def prior_flop(prior: ScorePrior, num_views: int, texts: int, image_px: int) -> float:
    """Floating-point operations of the frozen prior in a step of `num_views` pictures.

    One prediction of `texts` rows for each picture, and pictures of `image_px` to latents
    and back. The products of matrices, convolutions and attention are counted.
    """
    embeds = prior.encode_prompts(["a red ball"]).expand(num_views * texts, -1, -1)
    pictures = torch.rand(num_views, 3, image_px, image_px, device=prior.device, requires_grad=True)
    with FlopCounterMode(display=False) as counter:
        latents = prior.encode_pictures(pictures)
        torch.autograd.grad(latents.sum(), pictures)
        timesteps = torch.full((num_views * texts,), len(prior.alphas_cumprod) // 2, device=prior.device)
        with torch.no_grad():
            prior.predict_noise(latents.detach().repeat(texts, 1, 1, 1), timesteps, embeds)
    return float(counter.get_total_flops())


def _seconds(compute: object, device: str) -> float:
    assert callable(compute)
    times_s = []
    for _ in range(REPEATS):
        _wait(device)
        start = time.perf_counter()
        compute()
        _wait(device)
        times_s.append(time.perf_counter() - start)
    return median(times_s)


def _wait(device: str) -> None:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()
