"""The main loop: K slots share one prior, each slot distils one prompt into one field.

    batch = SlotBatch(prior, recipe, num_slots=4)
    batch.admit(Assignment(prompt, field_key))
    while batch.num_live:
        batch.step()                      # one render, ONE prior call, one update for all slots
        for result in batch.harvest():    # finished and failed slots; their places are free again
            ...

Lifetimes: the prior outlives the batch; fields, moments, embeddings and generators live as long as
an assignment; cameras, rays and noise as long as a step.

Dimension key:  K slots · V views per slot · B = K V views, slot-major · H pixels per side · R = V H H rays
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dreamfoundry.config import Recipe
from dreamfoundry.diffusion.guidance import distill, draw_noise, draw_timesteps, sds_gradient
from dreamfoundry.diffusion.prior import ScorePrior
from dreamfoundry.diffusion.prompts import PromptEmbeds, encode, view_index
from dreamfoundry.errors import EmptyField, FullField, OptimizationDiverged, PromptFailure
from dreamfoundry.identity import seed_for
from dreamfoundry.nerf import regularizers
from dreamfoundry.nerf.adam import SlotAdam, clip_slots, slot_gradient_norms
from dreamfoundry.nerf.cameras import Cameras, rays, sample_cameras
from dreamfoundry.nerf.field import RadianceFields
from dreamfoundry.nerf.render import Rendering, over, render
from dreamfoundry.nerf.shading import (
    ALBEDO,
    TEXTURELESS,
    draw_shading,
    lambertian,
    sample_light_directions,
)
from dreamfoundry.nerf.snapshot import take_snapshot
from dreamfoundry.records import FieldSnapshot, Prompt

HEALTH_CHECK_STEPS = 10
"""Steps between two looks at the health flags; each look copies K numbers to the host."""

BACKGROUND_LEVELS = {"white": 1.0, "grey": 0.5, "black": 0.0}


@dataclass(frozen=True)
class Assignment:
    """One prompt to distil. `candidate` counts quality restarts and changes every draw."""

    prompt: Prompt
    field_key: str
    candidate: int = 0


@dataclass(frozen=True)
class OptimizedField:
    """What came of an assignment: a snapshot, or the failure that ends it."""

    assignment: Assignment
    snapshot: FieldSnapshot | None
    failure: PromptFailure | None
    num_steps: int
    optimize_s: float


@dataclass
class Slot:
    """One asset while it is being made."""

    assignment: Assignment
    embeds: PromptEmbeds
    generator: torch.Generator
    started_at: float = field(default_factory=time.monotonic)
    step: int = 0


@dataclass(frozen=True)
class StepViews:
    """What one step looks at, for all slots."""

    cameras: Cameras
    light_directions: Float[Tensor, "B 3"]
    backgrounds: Float[Tensor, "B 3"]
    jitter: Float[Tensor, "K R 1"]
    is_lit: Bool[Tensor, " K"]
    is_textureless: Bool[Tensor, " K"]
    text_embeds: Float[Tensor, "B L D"]
    uncond_embeds: Float[Tensor, "B L D"]
    timesteps: Int[Tensor, " B"]
    noise: Float[Tensor, "B C h w"]


class SlotBatch:
    """K slots under one recipe and one prior; K = 1 is the ordinary case.

    A step always computes K slots; free ones are rendered along with the others and masked out of
    the update, so shapes never change and a slot's numbers do not depend on its neighbours.
    """

    def __init__(self, prior: ScorePrior, recipe: Recipe, num_slots: int, device: str = "cpu") -> None:
        self.prior, self.recipe, self.device = prior, recipe, device
        self.slots: list[Slot | None] = [None] * num_slots
        self.fields = RadianceFields(recipe.field, num_slots, device=device)
        self.adam = SlotAdam(self.fields.parameters(), recipe.optimize.betas, recipe.optimize.eps)
        self.healthy = torch.ones(num_slots, dtype=torch.bool, device=device)
        with torch.no_grad():
            probe = torch.zeros(1, 3, recipe.render.image_px, recipe.render.image_px, device=device)
            _, channels, height, width = prior.to_noise_space(probe).shape
        self.noise_shape = (channels, height, width)

    @property
    def num_live(self) -> int:
        return sum(slot is not None for slot in self.slots)

    @property
    def num_free(self) -> int:
        return len(self.slots) - self.num_live

    def admit(self, assignment: Assignment) -> None:
        """Start an assignment in a free slot. Raises PromptFailure if its text cannot be encoded."""
        index = self.slots.index(None)
        embeds = encode(self.prior, assignment.prompt, self.recipe.wording)
        self.fields.init_slot(index, self._generator(assignment, "field"))
        self.adam.init_slot(index)
        self.healthy[index] = True
        self.slots[index] = Slot(assignment, embeds, self._generator(assignment, "steps"))

    def step(self) -> None:
        """One optimisation step of every live slot: render, ask the prior, update."""
        if not self.num_live:
            raise RuntimeError("SlotBatch.step() needs at least one live slot: admit an assignment first")
        views = self._draw_views()
        origins, directions = self._rays(views.cameras)
        needs_light = bool(views.is_lit.any())  # drawn on the host: no synchronisation
        rendering = render(
            self.fields,
            origins,
            directions,
            views.jitter,
            self.recipe.render,
            with_normals=needs_light or self._weighs_normals,
        )
        noise_space = self.prior.to_noise_space(self._pictures(rendering, views))
        gradient = sds_gradient(
            self.prior,
            noise_space.detach(),
            views.text_embeds,
            views.uncond_embeds,
            views.timesteps,
            views.noise,
            self.recipe.guidance,
        )
        elements_per_slot = gradient.numel() / len(self.slots)
        loss = distill(noise_space, gradient) / elements_per_slot
        loss = loss + self._regularizers(rendering, directions).sum()
        self._update(loss)
        for slot in self.slots:
            if slot is not None:
                slot.step += 1

    def harvest(self) -> list[OptimizedField]:
        """Take out the slots that are done or have failed; their places are free afterwards."""
        results = []
        num_steps = self.recipe.optimize.num_steps
        looked = None
        for index, slot in enumerate(self.slots):
            if slot is None or (slot.step % HEALTH_CHECK_STEPS and slot.step < num_steps):
                continue
            looked = self.healthy.tolist() if looked is None else looked
            if not looked[index]:
                failure = OptimizationDiverged(
                    f"a gradient of {slot.assignment.prompt.prompt_id!r} was not finite before step {slot.step}"
                )
                results.append(self._release(index, None, failure))
            elif slot.step >= num_steps:
                results.append(self._finish(index))
        return results

    def progress(self) -> list[tuple[str, int]]:
        """(prompt_id, steps done) of every live slot."""
        return [(slot.assignment.prompt.prompt_id, slot.step) for slot in self.slots if slot is not None]

    def _finish(self, index: int) -> OptimizedField:
        recipe = self.recipe
        snapshot = take_snapshot(self.fields, index, recipe.render, recipe.snapshot, recipe.cameras)
        mean_opacity = float(snapshot.view_opacity.mean()) / 255.0
        failure: PromptFailure | None = None
        if not mean_opacity >= recipe.gates.min_mean_opacity:
            failure = EmptyField(f"mean opacity {mean_opacity:.3f} is below {recipe.gates.min_mean_opacity}")
        elif mean_opacity > recipe.gates.max_mean_opacity:
            failure = FullField(f"mean opacity {mean_opacity:.3f} is above {recipe.gates.max_mean_opacity}")
        return self._release(index, snapshot if failure is None else None, failure)

    def _release(self, index: int, snapshot: FieldSnapshot | None, failure: PromptFailure | None) -> OptimizedField:
        slot = self.slots[index]
        if slot is None:
            raise RuntimeError(f"slot {index} is already free")
        self.slots[index] = None
        return OptimizedField(slot.assignment, snapshot, failure, slot.step, time.monotonic() - slot.started_at)

    def _generator(self, assignment: Assignment, purpose: str) -> torch.Generator:
        seed = seed_for(assignment.field_key, assignment.candidate, purpose)
        return torch.Generator().manual_seed(seed)

    def _slot_progress(self, slot: Slot) -> float:
        return slot.step / max(1, self.recipe.optimize.num_steps - 1)

    def _draw_views(self) -> StepViews:
        """Every random decision of the step, each slot from its own generator."""
        padding = next(slot for slot in self.slots if slot is not None)
        idle = torch.Generator()
        draws = [
            self._draw_slot(slot or padding, slot.generator if slot else idle.manual_seed(0)) for slot in self.slots
        ]
        generators = [slot.generator if slot else idle for slot in self.slots]
        progress = [self._slot_progress(slot or padding) for slot in self.slots]
        views = self.recipe.optimize.views_per_step
        timesteps = draw_timesteps(generators, progress, views, self.recipe.guidance, len(self.prior.alphas_cumprod))
        noise = draw_noise(generators, views, self.noise_shape)

        def together(name: str) -> Tensor:
            return torch.cat([draw[name] for draw in draws]).to(self.device)

        return StepViews(
            cameras=Cameras(
                *(
                    torch.cat([draw[name] for draw in draws])
                    for name in ("camera_to_world", "fovy_deg", "azimuth_deg", "elevation_deg")
                )
            ),
            light_directions=together("light_directions"),
            backgrounds=together("backgrounds"),
            jitter=together("jitter"),
            is_lit=torch.cat([draw["shading"] for draw in draws]) != ALBEDO,
            is_textureless=torch.cat([draw["shading"] for draw in draws]) == TEXTURELESS,
            text_embeds=together("text_embeds"),
            uncond_embeds=together("uncond_embeds"),
            timesteps=timesteps.to(self.device),
            noise=noise.to(self.device),
        )

    def _draw_slot(self, slot: Slot, generator: torch.Generator) -> dict[str, Tensor]:
        recipe = self.recipe
        views, image_px = recipe.optimize.views_per_step, recipe.render.image_px
        cameras = sample_cameras(recipe.cameras, views, generator)
        shading = draw_shading(recipe.shading, self._slot_progress(slot), generator)
        names = recipe.wording.backgrounds
        if names:
            which = torch.randint(len(names), (views,), generator=generator)
            levels = torch.tensor([BACKGROUND_LEVELS[name] for name in names])
            backgrounds = levels[which][:, None].expand(views, 3)
        else:
            which = torch.zeros(views, dtype=torch.long)
            backgrounds = torch.rand(views, 3, generator=generator)
        view = view_index(cameras.azimuth_deg, cameras.elevation_deg, recipe.wording)
        return {
            "camera_to_world": cameras.camera_to_world,
            "fovy_deg": cameras.fovy_deg,
            "azimuth_deg": cameras.azimuth_deg,
            "elevation_deg": cameras.elevation_deg,
            "light_directions": sample_light_directions(cameras.positions, recipe.shading, generator),
            "shading": torch.tensor([shading]),
            "backgrounds": backgrounds,
            "jitter": torch.rand(1, views * image_px * image_px, 1, generator=generator),
            "text_embeds": slot.embeds.text[int(shading == TEXTURELESS), view, which],
            "uncond_embeds": slot.embeds.unconditional[which],
        }

    def _rays(self, cameras: Cameras) -> tuple[Float[Tensor, "K R 3"], Float[Tensor, "K R 3"]]:
        shape = (len(self.slots), -1, 3)
        origins, directions = rays(cameras, self.recipe.render.image_px)
        return origins.reshape(shape).to(self.device), directions.reshape(shape).to(self.device)

    def _pictures(self, rendering: Rendering, views: StepViews) -> Float[Tensor, "B 3 H H"]:
        """Each slot's rendering in the shading it drew, over its backgrounds, in [0, 1]."""
        num_slots, num_rays = rendering.opacity.shape
        per_view = num_rays // self.recipe.optimize.views_per_step
        background = views.backgrounds.repeat_interleave(per_view, dim=0).reshape(num_slots, num_rays, 3)
        surface = rendering.albedo
        if rendering.normals is not None:
            white = rendering.opacity[..., None].expand_as(surface)
            surface = torch.where(views.is_textureless.to(self.device)[:, None, None], white, surface)
            light = views.light_directions.repeat_interleave(per_view, dim=0).reshape(num_slots, num_rays, 3)
            brightness = lambertian(rendering.normals, light, self.recipe.shading.ambient_ratio)
            surface = surface * torch.where(views.is_lit.to(self.device)[:, None, None], brightness, 1.0)
        pictures = over(surface, rendering.opacity, background)
        image_px = self.recipe.render.image_px
        return pictures.reshape(-1, image_px, image_px, 3).permute(0, 3, 1, 2)

    @property
    def _weighs_normals(self) -> bool:
        losses = self.recipe.losses
        return any(ramp.start or ramp.end for ramp in (losses.orientation, losses.smoothness))

    def _regularizers(self, rendering: Rendering, directions: Float[Tensor, "K R 3"]) -> Float[Tensor, " K"]:
        """The weighted sum of regularisers, one number per slot."""
        losses, opacity = self.recipe.losses, rendering.opacity
        progress = [self._slot_progress(slot) if slot else 0.0 for slot in self.slots]

        def weight(name: str) -> Tensor:
            return torch.tensor([getattr(losses, name).at(share) for share in progress], device=self.device)

        total = (
            weight("opacity") * regularizers.opacity_penalty(opacity)
            + weight("sparsity") * regularizers.sparsity(opacity)
            + weight("entropy") * regularizers.binary_entropy(opacity)
        )
        if rendering.normals is not None:
            normals = rendering.normals
            total = total + weight("orientation") * regularizers.orientation(normals, directions, opacity)
            image_px = self.recipe.render.image_px
            total = total + weight("smoothness") * regularizers.normal_smoothness(normals, opacity, image_px)
        return total

    def _update(self, loss: Float[Tensor, ""]) -> None:
        """Clip each slot's gradient and step it; a slot with a gradient that is not finite stops here."""
        parameters = self.fields.parameters()
        gradients = dict(zip(parameters, torch.autograd.grad(loss, list(parameters.values())), strict=True))
        norms = slot_gradient_norms(gradients)
        occupied = torch.tensor([slot is not None for slot in self.slots], device=self.device)
        self.healthy &= torch.isfinite(norms) | ~occupied
        rates = torch.tensor([self._rate_share(slot) for slot in self.slots], device=self.device)
        optimize = self.recipe.optimize
        self.adam.step(
            clip_slots(gradients, norms, optimize.max_grad_norm),
            {name: rates * (optimize.table_rate if name == "table" else optimize.head_rate) for name in parameters},
            occupied & self.healthy,
        )

    def _rate_share(self, slot: Slot | None) -> float:
        """Linear warm-up from 0, then a cosine down to `final_rate_share`."""
        if slot is None:
            return 0.0
        optimize, progress = self.recipe.optimize, self._slot_progress(slot)
        if progress < optimize.warmup_fraction:
            return (slot.step + 1) / max(1.0, optimize.warmup_fraction * optimize.num_steps + 1)
        share = (progress - optimize.warmup_fraction) / max(1e-9, 1.0 - optimize.warmup_fraction)
        cosine = 0.5 * (1.0 + float(torch.cos(torch.tensor(torch.pi * share))))
        return optimize.final_rate_share + (1.0 - optimize.final_rate_share) * cosine


def optimize_all(
    prior: ScorePrior, recipe: Recipe, assignments: Iterable[Assignment], num_slots: int, device: str = "cpu"
) -> Iterator[OptimizedField]:
    """Distil every assignment on this process, K at a time, each slot refilled as soon as it is free."""
    batch = SlotBatch(prior, recipe, num_slots, device)
    waiting = iter(assignments)
    exhausted = False
    while True:
        while batch.num_free and not exhausted:
            assignment = next(waiting, None)
            if assignment is None:
                exhausted = True
                break
            try:
                batch.admit(assignment)
            except PromptFailure as failure:
                yield OptimizedField(assignment, None, failure, 0, 0.0)
        if not batch.num_live:
            return
        batch.step()
        yield from batch.harvest()
