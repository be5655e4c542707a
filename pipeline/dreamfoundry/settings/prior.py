"""The frozen diffusion model of a run, its LoRAs, and the wording of prompts for it."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from dreamfoundry.settings.values import require


@dataclass(frozen=True)
class LoraConfig:
    """A low-rank change of a prior (LoRA, arXiv 2106.09685)."""

    STORED_NAMES: ClassVar[Mapping[str, str]] = {"license": "licence"}

    path: str
    """A safetensors file, or a folder with one, here or on S3."""

    weight: float = 1.0
    """Scale of the change: 1 is as it was trained, 0 nothing."""

    lora_id: str = ""
    """Name that the LoRA is published under; empty takes the name of the file."""

    digest: str = ""
    """Pins the file; empty accepts what is there and records its digest."""

    license: str = ""
    """SPDX id, required: it is written into every asset."""

    research_only: bool = False
    """Marks every asset as for research only, whatever the owner of the run says."""

    def __post_init__(self) -> None:
        require(bool(self.path), "prior.loras.path", self.path, "must be a safetensors file, or a folder with one")
        require(
            bool(self.license.strip()),
            "prior.loras.licence",
            self.license,
            f"must name the licence of {self.path!r} as an SPDX id: it is written into every asset",
        )


@dataclass(frozen=True)
class VaeConfig:
    """A small encoder in place of the prior's own: an AutoencoderTiny of diffusers (TAESD) for the same latents."""

    STORED_NAMES: ClassVar[Mapping[str, str]] = {"license": "licence"}

    path: str
    """A folder with its config.json and weights, here or on S3."""

    vae_id: str = ""
    """Name that it is published under; empty takes the folder's name."""

    digest: str = ""
    """Pins the weights; empty accepts what is there and records its digest."""

    license: str = ""
    """SPDX id, required: it is written into every asset."""

    research_only: bool = False
    """Marks every asset as for research only, whatever the owner of the run says."""

    def __post_init__(self) -> None:
        require(bool(self.path), "prior.vae.path", self.path, "must be a folder with an AutoencoderTiny, here or on S3")
        require(
            bool(self.license.strip()),
            "prior.vae.licence",
            self.license,
            f"must name the licence of {self.path!r} as an SPDX id: it is written into every asset",
        )


@dataclass(frozen=True)
class PriorConfig:
    """The frozen diffusion model. No key is in the recipe's digest: assets are keyed by the identity of the weights."""

    STORED_NAMES: ClassVar[Mapping[str, str]] = {"license": "licence"}

    path: str = "toybox"
    """The bundled prior, "toybox", or a diffusers folder, here or on S3 (s3://bucket/folder)."""

    prior_id: str = ""
    """Name that the model is published under, in every asset; empty takes the folder's name."""

    revision: str = ""
    """Revision of the published model, in every asset."""

    digest: str = ""
    """Pins the weights; empty accepts what is there and records its digest."""

    license: str = ""
    """SPDX id, required for a folder: it is written into every asset. Not for the toybox, which has its own."""

    research_only: bool = False
    """Marks every asset as for research only; required for DeepFloyd IF."""

    loras: tuple[LoraConfig, ...] = ()
    """Merged into the weights in their order."""

    vae: VaeConfig | None = None
    """Encodes pictures in place of the prior's own VAE, for a small part of the time; its gradient is another."""

    def __post_init__(self) -> None:
        require(bool(self.path), "prior.path", self.path, 'must be "toybox" or a diffusers folder, here or on S3')


BACKGROUND_LEVELS: Mapping[str, float] = types.MappingProxyType({"white": 1.0, "grey": 0.5, "black": 0.0})
"""The plain backgrounds that a wording may name, each with its display-referred level."""


@dataclass(frozen=True)
class WordingConfig:
    """Wording of a prompt for each view, shading and background; placeholders stand in braces."""

    text: str = "{prompt}, {view} view"
    """Wording of textured renders, with {prompt} and, if wanted, {view} and {background}."""

    textureless: str = "{prompt}, {view} view"
    """Wording of textureless renders, with the same placeholders."""

    unconditional: str = "{negative}"
    """Wording that guidance leads away from; {negative} is the prompt's negative text, {background} works too."""

    backgrounds: tuple[Literal["white", "grey", "black"], ...] = ()
    """Plain backgrounds, drawn for each view and named by {background}; empty: random colours that no wording names."""

    azimuth_words: tuple[str, ...] = ("front", "side", "back", "side")
    """Words around the object from the front on, an even number of at least 4 with the back half way; the default is
    DreamFusion's."""

    front_half_angle_deg: float = 45.0
    """Azimuth up to which a view is a front, in (0, 90); the back is as wide."""

    elevation_words: tuple[str, ...] = ("{azimuth}", "overhead")
    """Values of {view} by band of elevation, lowest first and overhead last; {azimuth} is one of `azimuth_words`."""

    elevation_bounds_deg: tuple[float, ...] = (60.0,)
    """Rising elevations between the bands, one fewer than `elevation_words`."""

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
