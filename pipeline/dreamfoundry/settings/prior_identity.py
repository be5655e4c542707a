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
    """Name that it is published under."""

    digest: str
    """SHA-256 of its file, as "sha256:…"."""

    license: str
    """SPDX id."""

    weight: float
    """Factor of the change."""


@dataclass(frozen=True)
class VaeIdentity:
    """The encoder that took the place of a prior's own."""

    STORED_NAMES: ClassVar[Mapping[str, str]] = {"license": "licence"}

    vae_id: str
    """Name that it is published under."""

    digest: str
    """SHA-256 of its weights, as "sha256:…"."""

    license: str
    """SPDX id."""


@dataclass(frozen=True)
class PriorIdentity:
    """The frozen model that guided an asset; part of the field key and of every asset."""

    STORED_NAMES: ClassVar[Mapping[str, str]] = {"license": "licence"}

    prior_id: str
    """Name that it is published under."""

    revision: str
    """Version under that name, "" where none is known."""

    digest: str
    """SHA-256 of its weights as they were published, without `loras` and with its own VAE, as "sha256:…"."""

    license: str
    """SPDX id."""

    research_only: bool = False
    """True if its licence allows no commercial use."""

    loras: tuple[LoraIdentity, ...] = ()
    """What was merged into it, in order."""

    vae: VaeIdentity | None = None
    """The encoder in place of its own, if there was one."""
