"""On a GPU the peak counts what recorded graphs keep, and a shortage gives all of it back."""

from __future__ import annotations

import pytest
import torch

from dreamfoundry.diffusion.diffusers_prior import DiffusersPrior
from dreamfoundry.diffusion.networks.replay import RECORDED_AFTER_CALLS
from dreamfoundry.diffusion.random_weights import ARCHITECTURES
from dreamfoundry.distill.device import require_kernels, try_device
from dreamfoundry.distill.device_memory import is_out_of_memory, peak_memory, release_memory

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    pytest.mark.timeout(120),
]

MIB = 2**20

WORKSPACES_BYTES = 128 * MIB
"""What cuBLAS takes for each stream that it has met, for as long as the process lives."""


@pytest.fixture(scope="module")
def prior() -> DiffusersPrior:
    return ARCHITECTURES["tiny-sd21"]("cuda")


def record(prior: DiffusersPrior) -> None:
    """Make predictions until a graph of them stands."""
    embeds = prior.encode_prompts(["a ball"]).expand(8, -1, -1)
    timesteps = torch.full((8,), 500, device="cuda")
    for _ in range(RECORDED_AFTER_CALLS + 1):
        prior.predict_noise(torch.zeros(8, 4, 64, 64, device="cuda"), timesteps, embeds)


def test_what_graphs_keep_between_two_replays_counts_as_taken(prior: DiffusersPrior) -> None:
    with peak_memory("cuda", 0) as peak:
        record(prior)
        torch.cuda.empty_cache()
        kept_bytes = torch.cuda.memory_reserved()
    assert peak.num_bytes >= kept_bytes > torch.cuda.memory_allocated()


def test_46_after_a_shortage_recordings_and_blocks_are_given_back(prior: DiffusersPrior) -> None:
    release_memory(prior)
    before_bytes = torch.cuda.memory_reserved()
    record(prior)
    is_short = False
    try:
        held = torch.empty(512 * MIB, dtype=torch.uint8, device="cuda")
        torch.empty(2**50, dtype=torch.uint8, device=held.device)
    except RuntimeError as error:
        is_short = is_out_of_memory(error)
    del held
    assert is_short
    assert torch.cuda.memory_reserved() > before_bytes + 512 * MIB
    release_memory(prior)
    assert torch.cuda.memory_reserved() <= before_bytes + WORKSPACES_BYTES


def test_the_device_computes_and_its_kernels_are_named() -> None:
    assert try_device("cuda").startswith("triton ")
    require_kernels("cuda")
