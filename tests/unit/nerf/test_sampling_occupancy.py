"""Rays take their samples where there is something, in static shapes; the grid that says where belongs to a slot."""

import dataclasses

import pytest
import torch

from dreamfoundry.diffusion.analytic import AnalyticPrior
from dreamfoundry.distill.loop import OCCUPANCY_STEPS, SlotBatch
from dreamfoundry.distill.slot import Assignment
from dreamfoundry.errors import ConfigError
from dreamfoundry.identity import recipe_digest
from dreamfoundry.nerf.cameras import orbit, rays
from dreamfoundry.nerf.field import OCCUPANCY_DECAY, RadianceFields
from dreamfoundry.nerf.render import render
from dreamfoundry.nerf.sampling import guided_samples, sphere_interval, stratified_samples
from dreamfoundry.records import Prompt
from dreamfoundry.settings.field import FieldConfig, RenderConfig
from dreamfoundry.settings.loading import with_overrides
from dreamfoundry.settings.recipe import Recipe

SMALL_BALL = FieldConfig(level_resolutions=(8,), density_blob_scale=60.0, density_blob_radius=0.2)


def some_rays(num_slots: int = 2, fovy_deg: float = 50.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Unit rays of two pictures of 12 pixels a side; the outer ones miss the sphere."""
    radius, fovy = torch.full((2,), 2.6), torch.full((2,), fovy_deg)
    cameras = orbit(torch.tensor([0.0, 130.0]), torch.tensor([10.0, 40.0]), radius, fovy)
    origins, directions = (part.reshape(1, -1, 3).expand(num_slots, -1, -1) for part in rays(cameras, 12))
    return origins, directions


def balls(num_slots: int = 2, cells: int = 24) -> RadianceFields:
    fields = RadianceFields(dataclasses.replace(SMALL_BALL, occupancy_resolution=cells), num_slots)
    for slot in range(num_slots):
        fields.init_slot(slot, torch.Generator().manual_seed(slot))
    return fields


@pytest.mark.parametrize("level", [0.0, 0.4, 1.0])
def test_where_all_cells_are_alike_samples_are_those_of_equal_bins(level: float) -> None:
    origins, directions = (part.double() for part in some_rays())
    uniforms = torch.rand(2, origins.shape[1], 1, dtype=torch.float64)
    occupancy = torch.full((2, 8, 8, 8), level, dtype=torch.float64)
    guided = guided_samples(origins, directions, uniforms, 20, 1.0, occupancy)
    even = stratified_samples(origins, directions, uniforms, 20, 1.0)
    for name in ("points", "distances", "deltas"):
        torch.testing.assert_close(getattr(guided, name), getattr(even, name))


def test_bins_fill_the_chord_and_hold_their_samples_in_order() -> None:
    origins, directions = some_rays()
    uniforms = torch.rand(2, origins.shape[1], 10)
    samples = guided_samples(origins, directions, uniforms, 10, 1.0, torch.rand(2, 8, 8, 8).round())
    near, far = sphere_interval(origins, directions, 1.0)
    torch.testing.assert_close(samples.deltas.sum(dim=-1), far - near, atol=1e-5, rtol=0.0)
    ends = near.unsqueeze(-1) + samples.deltas.cumsum(dim=-1)
    assert (samples.deltas >= 0.0).all()
    assert (samples.distances <= ends + 1e-5).all()
    assert (samples.distances >= ends - samples.deltas - 1e-5).all()


def test_a_small_ball_is_seen_better_with_the_same_number_of_samples() -> None:
    guided, even = balls(), RadianceFields(SMALL_BALL, 2)
    for slot in range(2):
        even.load_slot(slot, guided.slot_state(slot))
    for _ in range(60):
        guided.update_occupancy([0, 1])
    origins, directions = some_rays(fovy_deg=15.0)
    middle = torch.full_like(origins[..., :1], 0.5)

    def opacity(fields: RadianceFields, samples: int) -> torch.Tensor:
        config = RenderConfig(samples_per_ray=samples)
        return render(fields, origins, directions, middle, config, with_normals=False).opacity.detach()

    truth = opacity(even, 1024)
    few, few_guided = opacity(even, 6), opacity(guided, 6)
    assert truth.max() > 0.9
    assert (few_guided - truth).abs().mean() < 0.2 * (few - truth).abs().mean()


def test_a_grid_follows_its_field_and_forgets_slowly_and_only_where_it_is_due() -> None:
    fields = balls(cells=16)
    assert fields.occupancy is not None
    fields.update_occupancy([0])
    first, other = fields.occupancy
    assert first[8, 8, 8] > OCCUPANCY_DECAY, "the middle of the ball stops nearly every ray"
    assert float(first[0, 0, 0]) == pytest.approx(OCCUPANCY_DECAY), "a corner is empty"
    assert (other == 1.0).all()
    fields.init_slot(0, torch.Generator())
    assert (fields.occupancy[0] == 1.0).all(), "the next field has everything before it"


RECIPE = with_overrides(
    Recipe(),
    {
        "optimize.num_steps": 3 * OCCUPANCY_STEPS,
        "optimize.views_per_step": 1,
        "render.image_px": 12,
        "render.samples_per_ray": 8,
        "field.level_resolutions": [8],
        "field.hidden_width": 8,
        "field.occupancy_resolution": 8,
    },
)


def assignment(name: str) -> Assignment:
    return Assignment(Prompt(name, f"a {name} ball"), name)


def batch_of(names: list[str], late: int = 0) -> SlotBatch:
    batch = SlotBatch(AnalyticPrior(), RECIPE, 2)
    for index, name in enumerate(names):
        batch.admit(assignment(name))
        slot = batch.slots[index]
        assert slot is not None
        slot.step = late if index else 0
    return batch


def after(batch: SlotBatch, steps: int) -> dict[str, torch.Tensor]:
    for _ in range(steps):
        batch.step()
    return batch.fields.slot_state(0)


def test_a_slot_does_not_depend_on_when_its_neighbours_look_again() -> None:
    steps = OCCUPANCY_STEPS + 4
    alone, beside = after(batch_of(["red"]), steps), after(batch_of(["red", "blue"], late=7), steps)
    assert alone["occupancy"].min() < 1.0
    assert all(torch.equal(alone[name], beside[name]) for name in alone)


def test_a_field_that_goes_on_from_a_checkpoint_has_its_grid_and_every_bit() -> None:
    whole = batch_of(["red"])
    after(whole, OCCUPANCY_STEPS + 2)
    checkpoint = whole.checkpoint(0)
    resumed = SlotBatch(AnalyticPrior(), RECIPE, 2)
    resumed.admit(assignment("red"), checkpoint)
    expected, found = after(whole, OCCUPANCY_STEPS), after(resumed, OCCUPANCY_STEPS)
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_a_grid_that_is_off_leaves_keys_as_they_were_and_one_that_is_on_does_not() -> None:
    off = with_overrides(RECIPE, {"field.occupancy_resolution": 0})
    assert recipe_digest(off) != recipe_digest(RECIPE)
    with pytest.raises(ConfigError, match=r"field.occupancy_resolution = 3: must be 0 \(off\) or cells per side"):
        with_overrides(RECIPE, {"field.occupancy_resolution": 3})
