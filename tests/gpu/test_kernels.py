"""Kernels as CUDA runs them, against their twins on the CPU; the interpreter's tests are in tests/unit."""

from collections.abc import Iterable

import pytest
import torch

from dreamfoundry.diffusion.analytic import AnalyticPrior
from dreamfoundry.distill.loop import SlotBatch
from dreamfoundry.distill.slot import Assignment
from dreamfoundry.distill.step.replay import StepGraphs, StepReplay
from dreamfoundry.nerf.kernels.availability import has_kernels
from dreamfoundry.records import Prompt
from dreamfoundry.settings.loading import with_overrides
from dreamfoundry.settings.recipe import Recipe
from support.kernel_cases import (
    adam_sides,
    compositing_pairs,
    hash_encoding_pairs,
    hash_inputs,
    ray_inputs,
    shared_gradient_pairs,
)

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

SINGLE = torch.float32


@pytest.fixture(autouse=True)
def built_kernels() -> None:
    """Only here, where there is a device, is it known whether kernels can be built."""
    if not has_kernels(torch.device("cuda")):
        pytest.skip("Triton cannot build kernels here")


def require_close(pairs: Iterable[tuple[torch.Tensor, torch.Tensor]], rtol: float = 1e-4, atol: float = 1e-5) -> None:
    for actual, expected in pairs:
        torch.testing.assert_close(actual, expected, rtol=rtol, atol=atol, equal_nan=True)


@pytest.mark.parametrize(("num_slots", "num_points", "features"), [(1, 1000, 2), (3, 4099, 2), (2, 333, 3)])
def test_hash_encoding_and_its_gradient_equal_the_twin(num_slots: int, num_points: int, features: int) -> None:
    grid, (table, points) = hash_inputs(num_slots, num_points, SINGLE, features)
    # A few hundred points add to one row, in whatever order: their sum is good to fewer digits.
    require_close(hash_encoding_pairs(grid, table, points, "cuda"), rtol=1e-3, atol=1e-3)


def test_two_readings_of_a_table_share_the_sum_of_their_gradients() -> None:
    grid, (table, points) = hash_inputs(3, 4099, SINGLE)
    require_close(shared_gradient_pairs(grid, table, points, "cuda"), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("num_slots", "num_rays", "num_samples"), [(1, 5, 4), (3, 100, 13), (2, 50, 64), (1, 7, 600)])
def test_compositing_and_its_gradients_equal_the_twin(num_slots: int, num_rays: int, num_samples: int) -> None:
    require_close(compositing_pairs(ray_inputs(num_slots, num_rays, num_samples, SINGLE), "cuda"))


@pytest.mark.parametrize("num_slots", [1, 4])
def test_adam_equals_the_twin_also_when_slots_start_apart(num_slots: int) -> None:
    require_close(zip(*adam_sides(num_slots, SINGLE, "cuda"), strict=True))


def test_a_nan_stays_in_its_slot() -> None:
    kernel, _ = adam_sides(3, SINGLE, "cuda", poisoned=1)
    clean, _ = adam_sides(3, SINGLE, "cuda")
    assert all(torch.equal(a[[0, 2]], b[[0, 2]]) for a, b in zip(kernel, clean, strict=True))
    grid, (table, points) = hash_inputs(2, 300, SINGLE)
    table[0] = points[0] = float("nan")
    features, gradient = (pair[0] for pair in hash_encoding_pairs(grid, table, points, "cuda"))
    assert features[0].isnan().any()
    assert features[1].isfinite().all()
    assert gradient[1].isfinite().all()


def test_what_a_slot_reads_sees_and_learns_is_the_same_alone_and_among_16() -> None:
    grid, (table, points) = hash_inputs(16, 700, SINGLE)
    together = [pair[0] for pair in hash_encoding_pairs(grid, table, points, "cuda")]
    alone = [pair[0] for pair in hash_encoding_pairs(grid, table[:1], points[:1], "cuda")]
    assert torch.equal(together[0][:1], alone[0])  # gradients were asked for with other draws
    inputs = ray_inputs(16, 30, 24, SINGLE)
    together = [pair[0] for pair in compositing_pairs(inputs, "cuda")]
    alone = [pair[0] for pair in compositing_pairs(tuple(one[:1] for one in inputs), "cuda")]
    assert all(torch.equal(many[:1], one) for many, one in zip(together[:3], alone[:3], strict=True))


HASHED = with_overrides(
    Recipe(),
    {
        "field.encoding": "hash",
        "field.hash_grid.num_levels": 4,
        "field.hash_grid.entries_per_level": 4096,
        "field.hash_grid.finest_resolution": 64,
        "field.occupancy_resolution": 16,
        "optimize.num_steps": 20,
        "optimize.views_per_step": 2,
        "render.image_px": 16,
        "render.samples_per_ray": 12,
    },
)


@pytest.mark.parametrize("encoding", ["dense", "hash"])
def test_the_loop_on_cuda_follows_the_one_on_the_cpu(encoding: str) -> None:
    """Three whole steps with kernels for all that has one."""
    recipe = with_overrides(
        Recipe(),
        {
            "field.encoding": encoding,
            "field.level_resolutions": [8],
            "field.hash_grid.num_levels": 4,
            "field.hash_grid.entries_per_level": 4096,
            "field.hash_grid.finest_resolution": 64,
            "optimize.num_steps": 5,
            "optimize.views_per_step": 2,
            "render.image_px": 16,
            "render.samples_per_ray": 12,
        },
    )

    on_cuda, on_cpu = (densities(batch_on(device, recipe, num_steps=3)) for device in ("cuda", "cpu"))
    require_alike(on_cuda, on_cpu)


@pytest.mark.parametrize("later", [[], [{"from_fraction": 0.5, "image_px": 32, "samples_per_ray": 16}]])
def test_within_a_step_the_host_never_waits_for_the_device(later: list[dict[str, float]]) -> None:
    recipe = with_overrides(HASHED, {"render.later": later})
    batch = batch_on("cuda", recipe, num_steps=2)  # kernels are built in the first ones
    assert batch.slots[0] is not None
    batch.slots[0].step = 15  # in the later phase, and with the step its occupancy is due
    torch.cuda.set_sync_debug_mode("error")
    try:
        batch.step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_recorded_steps_follow_steps_that_are_not() -> None:
    recipe = with_overrides(HASHED, {"shading.lit_probability": 0.0})
    recorded, expected = (batch_on("cuda", recipe, num_steps=8, recorder=recorder) for recorder in (StepGraphs(), None))
    assert isinstance(recorded._around_prior, StepReplay)
    assert len(recorded._around_prior._made) == 1
    require_alike(densities(recorded), densities(expected))


def batch_on(device: str, recipe: Recipe, num_steps: int, recorder: StepGraphs | None = None) -> SlotBatch:
    """Two slots after their first steps."""
    batch = SlotBatch(AnalyticPrior(device=device), recipe, 2, device=device, recorder=recorder)
    for name in ("red", "blue"):
        batch.admit(Assignment(Prompt(name, f"a {name} ball"), f"key of {name}"))
    for _ in range(num_steps):
        batch.step()
    return batch


def densities(batch: SlotBatch) -> torch.Tensor:
    return batch.fields.density(batch.fields.grid(9).expand(2, -1, -1)).detach().cpu()


def require_alike(actual: torch.Tensor, expected: torch.Tensor) -> None:
    """Alike in the mean: an epsilon of 1e-15 lets Adam turn the sign of a rounding error into a whole step."""
    assert (actual - expected).abs().mean() <= 2e-2 * expected.abs().mean()
