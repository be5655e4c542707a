"""Training data: views traced once, coloured and lit anew for every step.

Dimension key:  N views · B pictures of a batch · H pixels per side
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from dreamfoundry.diffusion.prompts import view_index, view_words
from dreamfoundry.nerf.cameras import Cameras, sample_cameras
from dreamfoundry.nerf.shading import sample_lights
from dreamfoundry.settings.distillation import CameraConfig, ShadingConfig
from dreamfoundry.settings.prior import BACKGROUND_LEVELS, WordingConfig
from dreamfoundry.toybox.captions import COLORS, KINDS, held_out_pairs, training_caption
from dreamfoundry.toybox.parts import ROLES
from dreamfoundry.toybox.toys import role_palette, toy
from dreamfoundry.toybox.training.config import TrainingConfig
from dreamfoundry.toybox.views import ViewBuffers, shade, trace

PLAIN_VIEWS = 0.15
"""Share of the captions that name the view by the four words of the default wording."""


@dataclass(frozen=True)
class TracedViews:
    """Traced views of every kind and the words for each: the whole training set but its colours.

    `views` names each view twice: in the default wording and in that of the recipe.
    """

    buffers: ViewBuffers
    kinds: list[str]
    views: list[tuple[str, str]]
    camera_positions: Float[Tensor, "N 3"]


@dataclass(frozen=True)
class PictureDraws:
    """Everything random of a batch of pictures, on the host: a few numbers for each, and its caption."""

    view_indices: Int[Tensor, " B"]
    palettes: Float[Tensor, "B roles 3"]
    light_directions: Float[Tensor, "B 3"]
    ambient_ratios: Float[Tensor, " B"]
    backgrounds: Float[Tensor, " B"]
    captions: list[str]


def trace_views(config: TrainingConfig, cameras: CameraConfig, wording: WordingConfig, folder: Path) -> TracedViews:
    """Trace `views_per_kind` views of every kind, or read them from an earlier run in `folder`.

    They are one compressed file there, an eighth of their size in memory, which may be brought from another machine.
    """
    cached = folder / views_file(config)
    if not cached.exists():
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f"partial-{cached.name}"
        np.savez_compressed(partial, **_trace_all(config, cameras))
        partial.replace(cached)
    return read_views(cached, wording)


def read_views(path: Path, wording: WordingConfig) -> TracedViews:
    """Traced views of the file that `trace_views` has written, here or elsewhere."""
    with np.load(path) as file:
        data = {name: torch.from_numpy(file[name]) for name in file.files if name != "kinds"}
        kinds = file["kinds"].tolist()

    # words are not cached: another wording of the recipe must not need another tracing
    names = []
    for each in (WordingConfig(), wording):
        words = view_words(each)
        names.append([words[index] for index in view_index(data["azimuth_deg"], data["elevation_deg"], each)])
    return TracedViews(
        ViewBuffers(data["roles"], data["normals"]),
        kinds,
        list(zip(*names, strict=True)),
        data["camera_positions"],
    )


def views_file(config: TrainingConfig) -> str:
    """Name of the file of traced views."""
    return f"views-{config.picture_px}px-{config.views_per_kind}.npz"


def _trace_all(config: TrainingConfig, cameras: CameraConfig) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(config.seed)
    kinds: list[str] = []
    batches: list[tuple[ViewBuffers, Cameras]] = []
    for kind in KINDS:
        for start in range(0, config.views_per_kind, 16):
            batch = sample_cameras(cameras, min(16, config.views_per_kind - start), generator)
            batches.append((trace(toy(kind), batch, config.picture_px), batch))
            kinds += [kind] * len(batch.fovy_deg)

    tensors = {
        "roles": torch.cat([buffers.roles for buffers, _ in batches]),
        "normals": torch.cat([buffers.normals for buffers, _ in batches]),
        "camera_positions": torch.cat([batch.positions for _, batch in batches]),
        "azimuth_deg": torch.cat([batch.azimuth_deg for _, batch in batches]),
        "elevation_deg": torch.cat([batch.elevation_deg for _, batch in batches]),
    }
    return {"kinds": np.array(kinds), **{name: tensor.numpy() for name, tensor in tensors.items()}}


def training_batch(
    views: TracedViews, config: TrainingConfig, shading: ShadingConfig, step: int
) -> tuple[Float[Tensor, "B 3 H H"], list[str]]:
    """Pictures in [-1, 1] and their captions; a function of the step alone, so runs can resume."""
    draws = draw_batch(views, config, shading, step)
    return draw_pictures(views.buffers, draws), draws.captions


def draw_batch(views: TracedViews, config: TrainingConfig, shading: ShadingConfig, step: int) -> PictureDraws:
    """View, colour, light and caption of every picture of a step."""
    rng = random.Random(f"{config.seed}/{step}")
    generator = torch.Generator().manual_seed(rng.getrandbits(63))
    samples = [_sample(views, rng) for _ in range(config.batch_size)]

    chosen = torch.tensor([sample.view_index for sample in samples])
    return PictureDraws(
        view_indices=chosen,
        palettes=torch.stack([sample.palette for sample in samples]),
        light_directions=normalize(sample_lights(views.camera_positions[chosen], shading, generator), dim=-1),
        ambient_ratios=torch.tensor([sample.ambient_ratio for sample in samples]),
        backgrounds=torch.tensor([sample.background for sample in samples]),
        captions=[sample.caption for sample in samples],
    )


def draw_pictures(buffers: ViewBuffers, draws: PictureDraws) -> Float[Tensor, "B 3 H H"]:
    """Pictures in [-1, 1] on the device of `buffers`, where nothing has to be waited for."""
    device = buffers.roles.device
    chosen = to_device(draws.view_indices, device)
    pictures = shade(
        ViewBuffers(buffers.roles[chosen], buffers.normals[chosen]),
        to_device(draws.palettes, device),
        to_device(draws.light_directions, device),
        to_device(draws.ambient_ratios, device),
        to_device(draws.backgrounds, device),
    )
    return pictures * 2 - 1


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """`tensor` on `device`; to a GPU by a copy that the host does not wait for."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


@dataclass(frozen=True)
class _Sample:
    """One training picture before it is shaded. `background` is a grey level in [0, 1]."""

    view_index: int
    palette: Float[Tensor, "roles 3"]
    ambient_ratio: float
    background: float
    caption: str


def _sample(views: TracedViews, rng: random.Random) -> _Sample:
    """Draw view, colour, light and caption. The order of the draws is part of the trained weights."""
    index = rng.randrange(len(views.kinds))
    kind = views.kinds[index]
    held_out = held_out_pairs()
    color = rng.choice([color for color in COLORS if (color, kind) not in held_out])
    background = rng.choice(list(BACKGROUND_LEVELS))
    textureless = rng.random() < 0.08

    palette = torch.full((len(ROLES), 3), 0.8) if textureless else role_palette(color)
    ambient_ratio = _lit(rng) if textureless else sample_ambient_ratio(rng)
    view = views.views[index][rng.random() > PLAIN_VIEWS]
    caption = training_caption(color, kind, view, background, textureless=textureless, rng=rng)
    return _Sample(index, palette, ambient_ratio, BACKGROUND_LEVELS[background], caption)


def sample_ambient_ratio(rng: random.Random) -> float:
    """Light of one picture: 35 % show the albedo alone (1), the others are lit."""
    return 1.0 if rng.random() < 0.35 else _lit(rng)


def _lit(rng: random.Random) -> float:
    return rng.uniform(0.3, 0.6)
