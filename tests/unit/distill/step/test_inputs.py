"""The random decisions of a step: per slot, in agreement with what the prior is told."""

from dataclasses import dataclass

import pytest
import torch
from torch.nn.functional import interpolate

from dreamfoundry.diffusion.prompts import PromptEmbeds, ViewEmbeds, gather_embeds
from dreamfoundry.distill.step.inputs import NoiseShape, StepInputs, _by_phase, _grouped, draw_slot, step_inputs
from dreamfoundry.distill.step.render import render_step
from dreamfoundry.nerf.field import RadianceFields
from dreamfoundry.settings.field import FieldConfig
from dreamfoundry.settings.loading import with_overrides
from dreamfoundry.settings.prior import BACKGROUND_LEVELS
from dreamfoundry.settings.recipe import Recipe
from support.small_loop import all_of

RECIPE = with_overrides(
    Recipe(),
    {
        "optimize.views_per_step": 4,
        "render.image_px": 8,
        "wording.backgrounds": ["white", "grey", "black"],
        "shading.albedo_only_until_fraction": 0.0,
    },
)


SHAPE = NoiseShape(1000, (3, 8, 8))


@dataclass(frozen=True)
class SlotSeed:
    """A slot whose draws begin with a seed."""

    generator: torch.Generator
    progress: float


def slot_seed(seed: int, progress: float = 0.5) -> SlotSeed:
    return SlotSeed(torch.Generator().manual_seed(seed), progress)


def draw(*slots: SlotSeed, recipe: Recipe = RECIPE, device: str = "cpu") -> StepInputs:
    draws = [draw_slot(recipe, slot.generator, slot.progress, SHAPE) for slot in slots]
    return step_inputs(recipe, draws, all_of(len(slots)), len(EMBEDS), torch.device(device))


EMBEDS = PromptEmbeds(
    text=torch.stack(
        torch.meshgrid(torch.arange(2.0), torch.arange(8.0), torch.arange(3.0), indexing="ij"), dim=-1
    ).unsqueeze(3),
    unconditional=torch.arange(3.0)[:, None, None].expand(3, 1, 3),
).rows
"""Embeddings say what they stand for: shading, view and background as numbers."""


def embeds(step: StepInputs) -> ViewEmbeds:
    """The embeddings that the prior is told, where all slots have these."""
    num_slots = sum(batch.num_slots for batch in step.batches)
    return gather_embeds(EMBEDS.repeat(num_slots, 1, 1), step.views)


def test_the_prior_is_told_the_background_the_picture_stands_on() -> None:
    draws = draw(*(slot_seed(seed) for seed in range(20)))
    levels = torch.tensor(list(BACKGROUND_LEVELS.values()))

    told = embeds(draws)
    torch.testing.assert_close(draws.batches[0].backgrounds[:, 0], levels[told.text[:, 0, 2].long()])
    torch.testing.assert_close(told.text[:, 0, 2], told.unconditional[:, 0, 0])


def test_textureless_slots_are_told_the_textureless_wording() -> None:
    draws = draw(*(slot_seed(seed) for seed in range(40)))
    told = embeds(draws).text[:, 0, 0].reshape(40, 4)[:, 0].bool()

    assert torch.equal(told, draws.batches[0].is_textureless)
    assert draws.batches[0].is_textureless.any()
    assert not draws.batches[0].is_textureless.all()
    assert (draws.batches[0].is_lit | ~draws.batches[0].is_textureless).all()


def test_the_prior_is_told_the_view_it_sees() -> None:
    draws = draw(*(slot_seed(seed) for seed in range(40)))
    cameras_x_z = draws.batches[0].origins[:, :: 8 * 8].reshape(-1, 3)
    told = embeds(draws).text[:, 0, 1]
    from_front_deg = torch.rad2deg(torch.atan2(cameras_x_z[:, 0].abs(), cameras_x_z[:, 2]))

    assert from_front_deg[told == 0].max() < 60.0  # front, with the jitter of the position
    assert from_front_deg[told == 2].min() > 120.0  # back


ALL_AT_ONCE = with_overrides(RECIPE, {"guidance.method": "sdi", "guidance.perp_neg": True})


@pytest.mark.parametrize("recipe", [RECIPE, ALL_AT_ONCE])
def test_a_slot_draws_the_same_whatever_its_neighbours_are(recipe: Recipe) -> None:
    alone, crowded = (
        draw(slot_seed(5), recipe=recipe),
        draw(slot_seed(5), slot_seed(6), slot_seed(7, 0.0), recipe=recipe),
    )

    for name in ("origins", "directions", "jitter", "is_lit"):
        assert torch.equal(getattr(alone.batches[0], name)[0], getattr(crowded.batches[0], name)[0])
    for name in ("backgrounds", "lights"):
        assert torch.equal(getattr(alone.batches[0], name), getattr(crowded.batches[0], name)[:4])
    for name in ("noise", "timesteps", "inverted_to", "max_gradient"):
        assert torch.equal(getattr(alone.noise, name), getattr(crowded.noise, name)[:4])
    for name in ("text", "unconditional", "negatives", "negative_weights"):
        assert torch.equal(getattr(embeds(alone), name), getattr(embeds(crowded), name)[:4])


def test_progress_does_not_change_how_much_is_drawn() -> None:
    early, late = slot_seed(5, progress=0.0), slot_seed(5, progress=1.0)
    draw(early), draw(late)

    assert torch.equal(early.generator.get_state(), late.generator.get_state())


def test_azimuths_of_a_slot_are_spread_over_the_circle() -> None:
    positions = draw(slot_seed(3)).batches[0].origins[0, :: 8 * 8]
    azimuth_deg = torch.rad2deg(torch.atan2(positions[:, 0], positions[:, 2])).sort().values
    gaps_deg = torch.diff(torch.cat([azimuth_deg, azimuth_deg[:1] + 360.0]))

    assert gaps_deg.max() < 185.0


def test_an_inversion_ends_up_to_its_overshoot_above_the_timestep_and_within_the_schedule() -> None:
    recipe = with_overrides(ALL_AT_ONCE, {"guidance.inversion_overshoot": 0.05, "guidance.timestep_low": 0.5})
    asked = draw(*(slot_seed(seed) for seed in range(200)), recipe=recipe).noise
    above = asked.inverted_to - asked.timesteps
    inside = asked.timesteps < 900

    assert int(above.min()) >= 0
    assert int(above[inside].max()) in (48, 49)
    assert float(above[inside].float().mean()) == pytest.approx(24.5, abs=1.5)
    assert int(asked.inverted_to.max()) <= 999


def test_without_an_inversion_there_is_no_overshoot_to_draw() -> None:
    asked = draw(slot_seed(1)).noise

    assert torch.equal(asked.inverted_to, asked.timesteps)


def test_negatives_are_told_only_where_they_are_asked_for() -> None:
    plain, away = embeds(draw(slot_seed(1))), embeds(draw(slot_seed(1), recipe=ALL_AT_ONCE))

    assert plain.negatives.shape == (4, 0, 1, 3)
    assert plain.negative_weights.shape == (4, 0)
    assert away.negatives.shape == (4, 2, 1, 3)
    assert away.negative_weights.shape == (4, 2)


LATER = with_overrides(RECIPE, {"render.later": [{"from_fraction": 0.5, "image_px": 16, "samples_per_ray": 20}]})


def test_a_device_renders_the_slots_of_a_phase_together_and_a_cpu_one_by_one() -> None:
    slots = [slot_seed(1, 0.7), slot_seed(2, 0.1), slot_seed(3, 0.9), slot_seed(4, 0.2)]
    sizes = {
        device: [
            (batch.render.image_px, batch.num_slots) for batch in draw(*slots, recipe=LATER, device=device).batches
        ]
        for device in ("meta", "cpu")
    }
    assert sizes == {"meta": [(8, 2), (16, 2)], "cpu": [(16, 1), (8, 1), (16, 1), (8, 1)]}


def test_slots_rendered_by_phase_move_as_slots_rendered_one_by_one() -> None:
    """The way of a device, on the CPU: pictures in the order of their noise, gradients in the order of the slots."""
    field = FieldConfig(level_resolutions=(8,), hidden_width=8)
    fields = RadianceFields(field, 4)
    for slot in range(4):
        fields.init_slot(slot, torch.Generator().manual_seed(slot))
    generators = [torch.Generator().manual_seed(10 + slot) for slot in range(4)]
    draws = [
        draw_slot(LATER, generator, progress, SHAPE)
        for generator, progress in zip(generators, (0.7, 0.1, 0.9, 0.2), strict=True)
    ]

    def gradients(groups: list[list[int]]) -> tuple[torch.Tensor, ...]:
        step = _grouped(LATER, draws, groups, all_of(4), len(EMBEDS))
        rendered = render_step(fields, step, LATER, picture_px=16)
        loss = (interpolate(rendered.pictures, (8, 8), mode="area") * step.noise.noise).sum() + rendered.regularization
        return torch.autograd.grad(loss, list(fields.parameters().values()))

    by_phase = _by_phase(draws)
    assert by_phase == [[1, 3], [0, 2]]
    for together, alone in zip(gradients(by_phase), gradients([[0], [1], [2], [3]]), strict=True):
        torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-6)
