"""The random decisions of a step: per slot, in agreement with what the prior is told."""

import torch

from dreamfoundry.config import BACKGROUND_LEVELS, Recipe
from dreamfoundry.diffusion.prompts import PromptEmbeds
from dreamfoundry.draws import SlotChance, draw_step
from dreamfoundry.recipes import with_overrides

RECIPE = with_overrides(
    Recipe(),
    {
        "optimize.views_per_step": 4,
        "render.image_px": 8,
        "wording.backgrounds": ["white", "grey", "black"],
        "shading.albedo_only_until_fraction": 0.0,
    },
)


def chance(seed: int, progress: float = 0.5) -> SlotChance:
    """A slot whose embeddings say what they stand for: shading, view and background as numbers."""
    shading, view, background = torch.meshgrid(torch.arange(2), torch.arange(4), torch.arange(3), indexing="ij")
    text = torch.stack([shading, view, background], dim=-1).float()[:, :, :, None, :]
    unconditional = torch.arange(3).float()[:, None, None].expand(3, 1, 3)
    return SlotChance(PromptEmbeds(text, unconditional), torch.Generator().manual_seed(seed), progress)


def draw(*chances: SlotChance):
    return draw_step(RECIPE, chances, 1000, (3, 8, 8), "cpu")


def test_the_prior_is_told_the_background_the_picture_stands_on():
    draws = draw(*(chance(seed) for seed in range(20)))
    levels = torch.tensor(list(BACKGROUND_LEVELS.values()))

    torch.testing.assert_close(draws.backgrounds[:, 0], levels[draws.text_embeds[:, 0, 2].long()])
    torch.testing.assert_close(draws.text_embeds[:, 0, 2], draws.uncond_embeds[:, 0, 0])


def test_textureless_slots_are_told_the_textureless_wording():
    draws = draw(*(chance(seed) for seed in range(40)))
    told = draws.text_embeds[:, 0, 0].reshape(40, 4)[:, 0].bool()

    assert torch.equal(told, draws.is_textureless)
    assert draws.is_textureless.any() and not draws.is_textureless.all()
    assert (draws.is_lit | ~draws.is_textureless).all()


def test_the_prior_is_told_the_view_it_sees():
    draws = draw(*(chance(seed) for seed in range(40)))
    cameras_x_z = draws.origins[:, :: 8 * 8].reshape(-1, 3)
    told = draws.text_embeds[:, 0, 1]
    from_front_deg = torch.rad2deg(torch.atan2(cameras_x_z[:, 0].abs(), cameras_x_z[:, 2]))

    assert from_front_deg[told == 0].max() < 60.0  # front, with the jitter of the position
    assert from_front_deg[told == 2].min() > 120.0  # back


def test_a_slot_draws_the_same_whatever_its_neighbours_are():
    alone, crowded = draw(chance(5)), draw(chance(5), chance(6), chance(7, progress=0.0))

    for name in ("origins", "directions", "jitter", "is_lit"):
        assert torch.equal(getattr(alone, name)[0], getattr(crowded, name)[0])
    for name in ("noise", "timesteps", "backgrounds", "light_directions", "text_embeds"):
        assert torch.equal(getattr(alone, name), getattr(crowded, name)[:4])


def test_progress_does_not_change_how_much_is_drawn():
    early, late = chance(5, progress=0.0), chance(5, progress=1.0)
    draw(early), draw(late)

    assert torch.equal(early.generator.get_state(), late.generator.get_state())


def test_azimuths_of_a_slot_are_spread_over_the_circle():
    positions = draw(chance(3)).origins[0, :: 8 * 8]
    azimuth_deg = torch.rad2deg(torch.atan2(positions[:, 0], positions[:, 2])).sort().values
    gaps_deg = torch.diff(torch.cat([azimuth_deg, azimuth_deg[:1] + 360.0]))

    assert gaps_deg.max() < 185.0
