"""The name of the weights that guided an asset: part of the field key, and of every asset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class LoraIdentity:
    """A low-rank change that was merged into a prior, with its weight."""

    STORED_NAMES: ClassVar[Mapping[str, str]] = {"license": "licence"}

    lora_id: str
    digest: str
    license: str
    weight: float


@dataclass(frozen=True)
class VaeIdentity:
    """The encoder that took the place of a prior's own."""

    STORED_NAMES: ClassVar[Mapping[str, str]] = {"license": "licence"}

    vae_id: str
    digest: str
    license: str


@dataclass(frozen=True)
class PriorIdentity:
    """The frozen model that guided an asset; part of the field key and of every asset.

    `digest` is that of the prior as it was published, before `loras` were merged into it and with its own VAE.
    """

    STORED_NAMES: ClassVar[Mapping[str, str]] = {"license": "licence"}

    prior_id: str
    revision: str
    digest: str
    license: str
    research_only: bool = False
    loras: tuple[LoraIdentity, ...] = ()
    vae: VaeIdentity | None = None
