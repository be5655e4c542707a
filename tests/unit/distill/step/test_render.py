"""The pictures of a step: each slot in its own shading, over its own backgrounds, with its own weights of losses."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from dreamfoundry.distill.step.inputs import RenderBatch
from dreamfoundry.distill.step.render import pictures, regularization
from dreamfoundry.nerf.render import Rendering
from dreamfoundry.settings.field import RenderConfig
from dreamfoundry.settings.loading import with_overrides
from dreamfoundry.settings.recipe import Recipe

RECIPE = with_overrides(Recipe(), {"optimize.views_per_step": 1, "shading.ambient_ratio": 0.25})
ALBEDO = torch.tensor([0.8, 0.4, 0.2])
BACKGROUND = torch.tensor([0.0, 0.5, 1.0])
IMAGE_PX = 8
TOWARDS_CAMERA = torch.tensor([0.0, 0.0, 1.0])


def rendering(num_slots: int, opacity: float) -> Rendering:
    """A wall that faces +Z, in premultiplied ALBEDO."""
    shape = (num_slots, IMAGE_PX**2)
    return Rendering(
        albedo=(opacity * ALBEDO).expand(*shape, 3),
        opacity=torch.full(shape, opacity),
        depth=torch.full(shape, 2.0),
        normals=TOWARDS_CAMERA.expand(*shape, 3),
    )


def batch_of(is_lit: list[bool], is_textureless: list[bool]) -> RenderBatch:
    """Cameras on +Z, each with its light behind the wall, which then has ambient light only; of the losses, only
    opacity weighs, twice the number of its slot."""
    num_slots = len(is_lit)
    shape = (num_slots, IMAGE_PX**2, 3)
    return RenderBatch(
        render=dataclasses.replace(RenderConfig(), image_px=IMAGE_PX),
        origins=(2.0 * TOWARDS_CAMERA).expand(shape),
        directions=(-TOWARDS_CAMERA).expand(shape),
        jitter=torch.full((*shape[:2], 1), 0.5),
        lights=(-9.0 * TOWARDS_CAMERA).expand(num_slots, 3),
        backgrounds=BACKGROUND.expand(num_slots, 3),
        is_lit=torch.tensor(is_lit),
        is_textureless=torch.tensor(is_textureless),
        with_normals=any(is_lit),
        loss_weights=torch.tensor([[2.0 * slot, 0.0, 0.0, 0.0, 0.0] for slot in range(num_slots)]),
    )


def pixel(picture: Tensor) -> Tensor:
    return picture[:, 0, 0]


def test_each_slot_has_its_own_shading() -> None:
    batch = batch_of(is_lit=[False, True, True], is_textureless=[False, False, True])
    albedo, lit, textureless = pictures(batch, rendering(3, opacity=1.0), RECIPE)

    torch.testing.assert_close(pixel(albedo), ALBEDO)
    torch.testing.assert_close(pixel(lit), 0.25 * ALBEDO)
    torch.testing.assert_close(pixel(textureless), torch.full((3,), 0.25))


def test_a_background_shows_as_far_as_the_field_is_transparent() -> None:
    (picture,) = pictures(batch_of([False], [False]), rendering(1, opacity=0.75), RECIPE)

    torch.testing.assert_close(pixel(picture), 0.75 * ALBEDO + 0.25 * BACKGROUND)


def test_losses_weigh_by_the_weights_of_each_slot() -> None:
    none, some, more = regularization(batch_of([False] * 3, [False] * 3), rendering(3, 0.5))

    assert none == 0.0
    assert some > 0.0
    assert more == 2.0 * some
