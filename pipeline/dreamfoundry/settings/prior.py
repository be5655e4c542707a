"""Which frozen diffusion model guides a field, and how prompts are worded for it."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from dreamfoundry.settings.values import require


@dataclass(frozen=True)
class LoraConfig:
    """A low-rank change of a prior (LoRA, arXiv 2106.09685). `path` is a safetensors file or a folder with one,
    here or on S3.

    `weight` scales it: 1 is as it was trained, 0 nothing. `licence`, `lora_id`, `digest` and
    `research_only` are as those of a `PriorConfig`.
    """

    STORED_NAMES: ClassVar[Mapping[str, str]] = {"license": "licence"}

    path: str
    weight: float = 1.0
    lora_id: str = ""
    digest: str = ""
    license: str = ""
    research_only: bool = False

    def __post_init__(self) -> None:
        require(bool(self.path), "prior.loras.path", self.path, "must be a safetensors file, or a folder with one")
        require(
            bool(self.license.strip()),
            "prior.loras.licence",
            self.license,
            f"must name the licence of {self.path!r} as an SPDX id: it is written into every asset",
        )


@dataclass(frozen=True)
class PriorConfig:
    """The frozen diffusion model. `path` is "toybox" or a diffusers folder, here or on S3 (s3://bucket/folder).

    For any folder `licence` (an SPDX id) is required: it travels with every asset. So does
    `prior_id`, the name that the model is published under; empty takes the folder's name.
    `digest` pins the weights; empty accepts what is found and records it. `loras` are merged into
    the weights in their order.
    """

    STORED_NAMES: ClassVar[Mapping[str, str]] = {"license": "licence"}

    path: str = "toybox"
    prior_id: str = ""
    revision: str = ""
    digest: str = ""
    license: str = ""
    research_only: bool = False
    loras: tuple[LoraConfig, ...] = ()

    def __post_init__(self) -> None:
        require(bool(self.path), "prior.path", self.path, 'must be "toybox" or a diffusers folder, here or on S3')


BACKGROUND_LEVELS: Mapping[str, float] = types.MappingProxyType({"white": 1.0, "grey": 0.5, "black": 0.0})
"""The plain backgrounds that a wording may name, each with its display-referred level."""


@dataclass(frozen=True)
class WordingConfig:
    """How a prompt is worded for each view, shading and background.

    The placeholders are {prompt}, {view}, {background} and, in `unconditional` only, {negative}.
    `backgrounds` are the plain colours that the wording may name; when it is empty, backgrounds
    are random colours that the wording does not name. {view} is the one of `elevation_words` for
    the band between two `elevation_bounds_deg` that holds the camera, lowest first, the last one
    being overhead. In it {azimuth} stands for one of `azimuth_words`, which follow one another with
    the azimuth from the front around (an even number, the back half way).
    """

    text: str = "{prompt}, {view} view"
    textureless: str = "{prompt}, {view} view"
    unconditional: str = "{negative}"
    backgrounds: tuple[Literal["white", "grey", "black"], ...] = ()
    azimuth_words: tuple[str, ...] = ("front", "side", "back", "side")
    front_half_angle_deg: float = 45.0
    elevation_words: tuple[str, ...] = ("{azimuth}", "overhead")
    elevation_bounds_deg: tuple[float, ...] = (60.0,)

    def __post_init__(self) -> None:
        require(
            len(self.azimuth_words) >= 4 and len(self.azimuth_words) % 2 == 0,
            "wording.azimuth_words",
            self.azimuth_words,
            "must be an even number of words, at least 4: front first, back half way",
        )
        require(
            len(self.elevation_bounds_deg) == len(self.elevation_words) - 1 > 0
            and list(self.elevation_bounds_deg) == sorted(set(self.elevation_bounds_deg)),
            "wording.elevation_bounds_deg",
            self.elevation_bounds_deg,
            f"must rise and stand between the {len(self.elevation_words)} wording.elevation_words (at least 2)",
        )
        for key in ("text", "textureless"):
            require(
                "{prompt}" in getattr(self, key),
                f"wording.{key}",
                getattr(self, key),
                "must contain {prompt}",
            )
        require(
            0.0 < self.front_half_angle_deg < 90.0,
            "wording.front_half_angle_deg",
            self.front_half_angle_deg,
            "must be between 0 and 90 degrees",
        )
