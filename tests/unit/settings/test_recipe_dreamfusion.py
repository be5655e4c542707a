"""The preset `dreamfusion` draws and schedules what the paper states (arXiv 2209.14988, 3.2 and A.2).

Distributions are compared with the stated ones by the largest distance between the cumulative
shares (Kolmogorov and Smirnov); for n draws 1.95 / sqrt(n) is exceeded once in a thousand seeds,
and the seeds are fixed. Where it is not plain, a near miss shows that another one would be noticed.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from dreamfoundry.diffusion.analytic import AnalyticPrior
from dreamfoundry.diffusion.guidance import classifier_free_guidance, draw_timesteps, sds_weight
from dreamfoundry.diffusion.prompts import view_index, view_texts
from dreamfoundry.distill.lr_schedule import lr_multiplier
from dreamfoundry.nerf.cameras import Cameras, orbit_positions, sample_cameras
from dreamfoundry.nerf.field import RadianceFields, level_shares
from dreamfoundry.nerf.regularizers import opacity_penalty
from dreamfoundry.nerf.shading import ALBEDO, LIT, TEXTURELESS, draw_shading, lambertian, sample_lights
from dreamfoundry.records import Prompt
from dreamfoundry.settings.loading import bundled_recipe
from dreamfoundry.settings.values import Ramp

RECIPE = bundled_recipe("dreamfusion")
NUM_DRAWS = 20_000
NUM_STEPS = 15_000


def at_step(step: int) -> float:
    """The progress of a slot at `step`."""
    return step / (NUM_STEPS - 1)


def distance(draws: Tensor, cumulative: Callable[[Tensor], Tensor]) -> float:
    """The largest difference between the share of draws below a value and what it should be."""
    values = draws.double().sort().values
    stated = cumulative(values)
    below = torch.arange(len(values) + 1) / len(values)
    return float(torch.maximum((below[1:] - stated).abs(), (below[:-1] - stated).abs()).max())


def distance_to_draws(draws: Tensor, others: Tensor) -> float:
    """The same with a distribution that is only known by as many draws from it."""
    ordered = others.double().sort().values
    return distance(draws, lambda values: torch.searchsorted(ordered, values) / len(ordered))


def uniform(low: float, high: float) -> Callable[[Tensor], Tensor]:
    return lambda values: ((values - low) / (high - low)).clamp(0.0, 1.0)


def normal(deviation: float) -> Callable[[Tensor], Tensor]:
    return lambda values: 0.5 * (1.0 + torch.erf(values / deviation / math.sqrt(2.0)))


def mixed(elevation_deg: Tensor, area_share: float = 0.5) -> Tensor:
    """Half uniform in the angle over [-10, 90] degrees, half uniform in the area of the sphere there."""
    low = math.sin(math.radians(-10.0))
    by_area = (torch.sin(torch.deg2rad(elevation_deg)) - low) / (1.0 - low)
    return area_share * by_area + (1.0 - area_share) * (elevation_deg + 10.0) / 100.0


LIMIT = 1.95 / math.sqrt(NUM_DRAWS)
LIMIT_OF_DRAWS = LIMIT * math.sqrt(2.0)


@pytest.fixture(scope="module")
def cameras() -> Cameras:
    return sample_cameras(RECIPE.cameras, NUM_DRAWS, torch.Generator().manual_seed(0))


def level_cameras(seed: int, **jitter: float) -> Cameras:
    """Cameras on the horizon at distance 1.25 with no jitter but the one that is named."""
    still: dict[str, Any] = {"position_jitter": 0.0, "look_at_jitter": 0.0, "up_jitter": 0.0, **jitter}
    config = dataclasses.replace(RECIPE.cameras, elevation_deg=(0.0, 1e-6), radius=(1.25, 1.25), **still)
    return sample_cameras(config, NUM_DRAWS, torch.Generator().manual_seed(seed))


def test_elevations_are_half_uniform_in_angle_and_half_in_area(cameras: Cameras) -> None:
    assert distance(cameras.elevation_deg, mixed) < LIMIT
    assert distance(cameras.elevation_deg, lambda values: mixed(values, 0.4)) > LIMIT


def test_azimuths_are_uniform_all_around_over_steps_of_four_views() -> None:
    generator = torch.Generator().manual_seed(1)
    azimuth_deg = torch.cat([sample_cameras(RECIPE.cameras, 4, generator).azimuth_deg for _ in range(500)])
    assert distance(azimuth_deg, uniform(-180.0, 180.0)) < 1.95 / math.sqrt(2000)
    assert distance(azimuth_deg, uniform(-155.0, 205.0)) > 1.95 / math.sqrt(2000)


def test_distances_are_uniform_from_1_to_1_5() -> None:
    still = dataclasses.replace(RECIPE.cameras, position_jitter=0.0)
    positions = sample_cameras(still, NUM_DRAWS, torch.Generator().manual_seed(1)).positions
    assert distance(positions.norm(dim=-1), uniform(1.0, 1.5)) < LIMIT


def test_the_focal_length_is_uniform_from_0_7_to_1_35_picture_widths(cameras: Cameras) -> None:
    focal = 0.5 / torch.tan(torch.deg2rad(cameras.fovy_deg) / 2.0)
    assert distance(focal, uniform(0.7, 1.35)) < LIMIT
    assert distance(cameras.fovy_deg, uniform(40.65, 71.08)) > LIMIT  # not the field of view


def test_positions_are_jittered_uniformly_by_up_to_0_1() -> None:
    cameras = level_cameras(2, position_jitter=RECIPE.cameras.position_jitter)
    orbit = orbit_positions(cameras.azimuth_deg, cameras.elevation_deg, torch.full((NUM_DRAWS,), 1.25))
    jitter = (cameras.positions - orbit).unbind(dim=-1)
    assert all(distance(axis, uniform(-0.1, 0.1)) < LIMIT for axis in jitter)
    assert float(torch.corrcoef(torch.stack(jitter)).triu(1).abs().max()) < 0.03


def test_cameras_look_at_a_point_that_is_normal_by_0_2() -> None:
    """The slope of the axis of view is the height of the point over its distance in the horizontal."""
    forward = -level_cameras(3, look_at_jitter=RECIPE.cameras.look_at_jitter).camera_to_world[:, :3, 2]
    slope = forward[:, 1] / forward[:, [0, 2]].norm(dim=-1)

    def stated(deviation: float) -> Tensor:
        height, across, along = deviation * torch.randn(3, NUM_DRAWS, generator=torch.Generator().manual_seed(4))
        return height / torch.hypot(across, 1.25 - along)

    assert distance_to_draws(slope, stated(0.2)) < LIMIT_OF_DRAWS < distance_to_draws(slope, stated(0.17))


def test_the_up_vector_is_normal_by_0_02() -> None:
    """Seen from the horizon a camera is rolled by the sideways part of its up vector."""
    right = level_cameras(5, up_jitter=RECIPE.cameras.up_jitter).camera_to_world[:, :3, 0]
    sideways = right[:, 1] / right[:, [0, 2]].norm(dim=-1)
    assert distance(sideways, normal(0.02)) < LIMIT < distance(sideways, normal(0.0215))


def test_lights_stand_in_the_direction_of_a_draw_around_the_camera_at_0_8_to_1_5() -> None:
    camera = torch.tensor([0.0, 0.0, 1.25]).expand(NUM_DRAWS, 3)
    lights = sample_lights(camera, RECIPE.shading, torch.Generator().manual_seed(6))
    assert RECIPE.shading.light == "point"
    assert distance(lights.norm(dim=-1), uniform(0.8, 1.5)) < LIMIT
    cosine = lights[:, 2] / lights.norm(dim=-1)

    def stated(deviation: float) -> Tensor:
        draws = camera + deviation * torch.randn(NUM_DRAWS, 3, generator=torch.Generator().manual_seed(7))
        return draws[:, 2] / draws.norm(dim=-1)

    assert distance_to_draws(cosine, stated(1.0)) < LIMIT_OF_DRAWS < distance_to_draws(cosine, stated(0.9))


def test_the_first_thousand_steps_are_albedo_and_then_shadings_are_25_and_twice_37_5_percent() -> None:
    generator = torch.Generator().manual_seed(8)

    def shares(step: int, num_draws: int) -> list[float]:
        drawn = torch.tensor([draw_shading(RECIPE.shading, at_step(step), generator) for _ in range(num_draws)])
        return [float((drawn == kind).float().mean()) for kind in (ALBEDO, LIT, TEXTURELESS)]

    assert shares(0, 100) == shares(999, 100) == [1.0, 0.0, 0.0]
    for step in (1000, NUM_STEPS - 1):
        assert shares(step, NUM_DRAWS) == pytest.approx([0.25, 0.375, 0.375], abs=0.011)


def test_light_is_a_tenth_ambient_and_nine_tenths_diffuse() -> None:
    normals, ratio = torch.tensor([[0.0, 0.0, 1.0]]), RECIPE.shading.ambient_ratio
    assert lambertian(normals, normals, ratio).item() == pytest.approx(1.0)
    assert lambertian(normals, -normals, ratio).item() == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("azimuth_deg", "elevation_deg", "text"),
    [
        (0.0, 0.0, "a fox, front view"),
        (44.9, 60.0, "a fox, front view"),
        (45.1, 0.0, "a fox, side view"),
        (-90.0, -10.0, "a fox, side view"),
        (134.9, 0.0, "a fox, side view"),
        (135.1, 0.0, "a fox, back view"),
        (-135.1, 0.0, "a fox, back view"),
        (0.0, 60.1, "a fox, overhead view"),
        (180.0, 90.0, "a fox, overhead view"),
    ],
)
def test_a_view_is_worded_by_its_quadrant_and_overhead_above_60_degrees(
    azimuth_deg: float, elevation_deg: float, text: str
) -> None:
    told = view_texts(Prompt("fox", "a fox"), RECIPE.wording)
    index = int(view_index(torch.tensor([azimuth_deg]), torch.tensor([elevation_deg]), RECIPE.wording))
    assert [told.text[shading][index][0] for shading in range(2)] == [text, text]
    assert told.unconditional == ("",)


def test_guidance_is_plain_score_distillation_with_omega_100() -> None:
    guidance = RECIPE.guidance
    assert (guidance.method, guidance.rescale, guidance.perp_neg) == ("sds", 0.0, False)
    assert guidance.gradient_clip.at(0.0) == guidance.gradient_clip.at(1.0) == 0.0
    uncond, text = torch.randn(2, 1, 3, 4, 4, dtype=torch.float64).unbind(0)
    omega = 100.0
    torch.testing.assert_close(
        classifier_free_guidance(uncond, text, guidance.guidance_scale), (1.0 + omega) * text - omega * uncond
    )


@pytest.mark.parametrize("step", [0, NUM_STEPS - 1])
def test_timesteps_are_uniform_from_0_02_to_0_98_throughout(step: int) -> None:
    generator = torch.Generator().manual_seed(9)
    drawn = draw_timesteps(generator, at_step(step), NUM_DRAWS, RECIPE.guidance, 1000)
    assert (int(drawn.min()), int(drawn.max())) == (20, 980)
    # Whole numbers: the distribution is that of a uniform draw from [19.5, 980.5], rounded.
    assert distance(drawn + torch.rand(NUM_DRAWS, generator=generator) - 0.5, uniform(19.5, 980.5)) < LIMIT


def test_a_timestep_weighs_its_noise_variance() -> None:
    abar = AnalyticPrior().alphas_cumprod
    assert torch.equal(sds_weight(abar, RECIPE.guidance.weighting), 1.0 - abar)


def test_the_density_starts_as_a_gaussian_blob_of_5_and_0_2_and_ends_at_1_4() -> None:
    field = dataclasses.replace(RECIPE.field, level_resolutions=(4,))
    fields = RadianceFields(field, 1)
    fields.init_slot(0, torch.Generator().manual_seed(0))
    points = torch.tensor([[[0.0, 0.0, 0.0], [0.2, 0.0, 0.0], [0.0, 0.0, 0.7], [0.0, 1.39, 0.0], [0.0, 1.41, 0.0]]])
    stated = [math.exp(5.0 * math.exp(-(radius**2) / (2.0 * 0.2**2))) for radius in (0.0, 0.2, 0.7, 1.39)]
    assert fields.density(points)[0].tolist() == pytest.approx([*stated, 0.0], rel=1e-3)


def test_detail_fades_in_over_the_first_5000_steps() -> None:
    halfway, done = (level_shares(RECIPE.field, at_step(step)) for step in (2500, 5000))
    assert level_shares(RECIPE.field, 0.0) == [1.0, 0.0, 0.0]
    assert halfway == pytest.approx([1.0, 1.0, 0.0], abs=0.01)
    assert level_shares(RECIPE.field, at_step(4950))[2] < 1.0
    assert done == [1.0, 1.0, 1.0]


def test_the_orientation_loss_rises_from_1e_4_to_1e_2_over_5000_steps_and_the_opacity_stays_at_1e_3() -> None:
    losses = RECIPE.losses
    assert [losses.orientation.at(at_step(step)) for step in (0, 2500, 5000, NUM_STEPS - 1)] == pytest.approx(
        [1e-4, 5.05e-3, 1e-2, 1e-2], rel=1e-3
    )
    assert losses.opacity == Ramp(1e-3, 1e-3)
    assert losses.sparsity == losses.entropy == losses.smoothness == Ramp(0.0, 0.0)
    assert float(opacity_penalty(torch.tensor([[0.5]]))) == pytest.approx(math.sqrt(0.5**2 + 0.01))


def test_rates_warm_up_for_3000_of_15000_steps_and_fall_along_a_cosine_to_a_hundredth() -> None:
    def share(step: int) -> float:
        return lr_multiplier(RECIPE.optimize, step)

    assert RECIPE.optimize.num_steps == NUM_STEPS
    assert RECIPE.optimize.views_per_step == 4
    assert share(0) < 1e-3
    assert share(1499) == pytest.approx(0.5, abs=1e-3)
    assert share(2999) == pytest.approx(1.0, abs=1e-3)
    assert share(3000) == pytest.approx(1.0, abs=1e-6)
    assert share(9000) == pytest.approx(0.505, abs=1e-3)  # half way down to 0.01
    assert share(NUM_STEPS - 1) == pytest.approx(1e-6 / 1e-4)


def test_pictures_have_64_pixels_a_side_on_backgrounds_that_the_prompt_does_not_name() -> None:
    assert RECIPE.render.image_px == 64
    assert RECIPE.wording.backgrounds == ()
