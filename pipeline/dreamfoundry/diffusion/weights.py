"""The folder and the identity of a prior, without torch: the driver needs it for its keys.

A prior is a folder in diffusers format: `model_index.json` names the parts, each part has a
subfolder with its configuration and its safetensors. Only the parts that guide an optimisation
count: `unet`, `text_encoder` and, for a latent prior, `vae`. Safety checkers, watermarkers and
upscalers that happen to lie beside them are neither loaded nor part of the digest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path, PurePath
from typing import Any, Literal

from dreamfoundry.errors import ConfigError, PriorUnavailable
from dreamfoundry.settings.prior import LoraConfig, PriorConfig, VaeConfig
from dreamfoundry.settings.prior_identity import LoraIdentity, PriorIdentity, VaeIdentity
from dreamfoundry.settings.values import require

PriorEngine = Literal["eager", "graphs", "compiled"]
"""Execution of a prior on a GPU: kernel by kernel; recorded once per shape and replayed (`networks.replay`); or that
with its transformer blocks and the VAE encoder compiled first, which takes minutes. On a CPU always the first."""

TOYBOX = "toybox"
"""The `PriorConfig.path` of the prior that is bundled with the package."""

TOYBOX_ID = "dreamfoundry/toybox"
TOYBOX_LICENSE = "Apache-2.0"


@dataclass(frozen=True)
class BundledPrior:
    """A prior that comes with the package, and facts about it that a run plans with.

    `peak_bytes` is the host memory to plan for one distill worker on a CPU: with four slots the
    toybox peaks at 0.9 GiB (docs/benchmarks), the rest is room. A `has_closed_vocabulary` prior
    was trained on the words of `toybox.captions` only; any other prior takes any words.
    """

    peak_bytes: int
    has_closed_vocabulary: bool


def bundled_prior(path: str) -> BundledPrior | None:
    """The bundled prior that a `PriorConfig.path` names; None for a folder of weights."""
    return BundledPrior(peak_bytes=3 * 2**29, has_closed_vocabulary=True) if path == TOYBOX else None


DESCRIPTION = ("model_index.json", "text_encoder/config.json")
"""The small files that say what kind of model a folder holds."""

_T5_XXL_WIDTH = 4096
_CHUNK_BYTES = 1 << 20
_REMEDY = 'copy it there (from a mirror, say), or run with the bundled prior: prior.path = "toybox"'


def prior_folder(config: PriorConfig) -> Path:
    """The folder of the weights; PriorUnavailable if no diffusers pipeline lies there."""
    if config.path == TOYBOX:
        folder = Path(str(resources.files("dreamfoundry").joinpath("toybox", "weights")))
    else:
        folder = Path(config.path).expanduser()
    if not (folder / "model_index.json").is_file():
        raise PriorUnavailable(
            f"prior.path = {config.path!r}: no diffusers pipeline lies there ({folder / 'model_index.json'} "
            f"is missing); {_REMEDY}"
        )
    return folder


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in `path`; PriorUnavailable if there is none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PriorUnavailable(f"{path} of the prior cannot be read: {error}; {_REMEDY}") from None
    if not isinstance(value, dict):
        raise PriorUnavailable(f"{path} of the prior is no JSON object; {_REMEDY}")
    return value


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The safetensors that are loaded, sorted: of each part the plain ones, else its fp16 variant."""
    parts = ["text_encoder", "unet"]
    if read_json(folder / "model_index.json").get("vae"):
        parts.append("vae")
    return tuple(path for part in parts for path in part_files(folder / part))


def part_files(part: Path) -> tuple[Path, ...]:
    """The safetensors of one part, sorted by name; PriorUnavailable if it has none."""
    files = sorted(part.glob("*.safetensors"))
    plain = [path for path in files if not is_fp16_variant(path)]
    if not files:
        raise PriorUnavailable(f"{part} of the prior holds no safetensors; {_REMEDY}")
    return tuple(plain or files)


def is_fp16_variant(path: PurePath) -> bool:
    """True for a file of the fp16 variant of a part (`model.fp16.safetensors`)."""
    return ".fp16" in path.name


def weights_digest(folder: Path) -> str:
    """SHA-256 over part, name and content of the weight files: 64 hex characters."""
    return _digest_of(weight_files(folder), folder)


def _digest_of(files: Iterable[Path], folder: Path) -> str:
    whole = hashlib.sha256()
    for path in files:
        whole.update(f"{path.relative_to(folder).as_posix()}\0{_file_digest(path)}\n".encode())
    return whole.hexdigest()


def prior_identity(config: PriorConfig) -> PriorIdentity:
    """The identity of the prior of `config`. Reads every weight file once.

    ConfigError without a licence, or for DeepFloyd IF without `research_only`; PriorUnavailable
    if weights or LoRAs are missing or their digest is not the configured one.
    """
    folder = prior_folder(config)
    digest = weights_digest(folder)
    require_digest("prior.digest", config.digest, digest, config.path)
    return identity_with_digest(replace(config, digest=digest), folder)


def identity_with_digest(config: PriorConfig, folder: Path) -> PriorIdentity:
    """As `prior_identity`, by the digest that `config` states: of the prior's `folder` only DESCRIPTION is read."""
    if config.path == TOYBOX:
        require(
            config.license in ("", TOYBOX_LICENSE) and config.prior_id in ("", TOYBOX_ID),
            "prior.licence, prior.prior_id",
            (config.license, config.prior_id),
            f"must be left out for the bundled prior, which is {TOYBOX_ID!r} under {TOYBOX_LICENSE}",
        )
        prior_id, license = TOYBOX_ID, TOYBOX_LICENSE
    else:
        require(
            bool(config.license.strip()),
            "prior.licence",
            config.license,
            f"must name the licence of {config.path!r} as an SPDX id "
            '(licence = "Apache-2.0" or "LicenseRef-…"): it is written into every asset',
        )
        _refuse_silent_research_weights(config, folder)
        prior_id, license = config.prior_id or folder.resolve().name, config.license

    # One part that is for research only makes the whole so.
    additions: list[LoraConfig | VaeConfig] = [*config.loras, *([config.vae] if config.vae else [])]
    research_only = config.research_only or any(addition.research_only for addition in additions)
    loras = tuple(map(_lora_identity, config.loras))
    vae = _vae_identity(config.vae) if config.vae else None
    return PriorIdentity(prior_id, config.revision, config.digest, license, research_only, loras, vae)


def pin_digests(config: PriorConfig, identity: PriorIdentity) -> PriorConfig:
    """`config` as all other processes need it: with the digests of `identity`."""
    loras = tuple(replace(lora, digest=named.digest) for lora, named in zip(config.loras, identity.loras, strict=True))
    vae = replace(config.vae, digest=identity.vae.digest) if config.vae and identity.vae else None
    return replace(config, digest=identity.digest, loras=loras, vae=vae)


def lora_file(config: LoraConfig) -> Path:
    """The one safetensors file that `config` names; PriorUnavailable if it is not there, or not the only one."""
    path = Path(config.path).expanduser()
    files = sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
    if len(files) != 1 or not files[0].is_file():
        names = ", ".join(file.name for file in files) if path.is_dir() else ""
        raise PriorUnavailable(
            f"prior.loras.path = {config.path!r}: must be a safetensors file, or a folder with exactly one"
            + (f" (here: {names})" if names else "")
        )
    return files[0]


def _lora_identity(config: LoraConfig) -> LoraIdentity:
    file = lora_file(config)
    digest = _file_digest(file)
    require_digest("prior.loras.digest", config.digest, digest, config.path)
    return LoraIdentity(config.lora_id or file.stem, digest, config.license, config.weight)


def vae_folder(config: VaeConfig) -> Path:
    """The folder of an encoder; PriorUnavailable if none lies there."""
    folder = Path(config.path).expanduser()
    if not (folder / "config.json").is_file():
        raise PriorUnavailable(
            f"prior.vae.path = {config.path!r}: no encoder lies there ({folder / 'config.json'} is missing); copy an "
            "AutoencoderTiny of diffusers there, or leave prior.vae out for the prior's own VAE"
        )
    return folder


def _vae_identity(config: VaeConfig) -> VaeIdentity:
    folder = vae_folder(config)
    digest = _digest_of(part_files(folder), folder)
    require_digest("prior.vae.digest", config.digest, digest, config.path)
    return VaeIdentity(config.vae_id or folder.resolve().name, digest, config.license)


def require_digest(key: str, expected: str, actual: str, path: str) -> None:
    """Raise PriorUnavailable unless the `actual` digest in `path` is the `expected` one, if there is one."""
    if expected and expected != actual:
        raise PriorUnavailable(
            f"{key} = {expected!r}, but the weights in {path!r} have {actual!r}; "
            "restore the weights, or accept these by that digest (their assets get other keys)"
        )


def _refuse_silent_research_weights(config: PriorConfig, folder: Path) -> None:
    """DeepFloyd IF is licensed for research only: the run has to say that it knows."""
    class_name = str(read_json(folder / "model_index.json").get("_class_name", ""))
    width = read_json(folder / "text_encoder" / "config.json").get("d_model", 0)
    is_deepfloyd = class_name.startswith("IF") and int(width) >= _T5_XXL_WIDTH
    if (is_deepfloyd or "deepfloyd" in config.license.lower()) and not config.research_only:
        raise ConfigError(
            f"prior.path = {config.path!r} is DeepFloyd IF, licensed for research only: set "
            "prior.research_only = true (every asset will say so) or use another prior"
        )


def _file_digest(path: Path) -> str:
    content = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            content.update(chunk)
    return content.hexdigest()
