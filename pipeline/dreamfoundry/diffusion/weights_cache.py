"""Weights on S3: fetched once per machine, known to a driver without being fetched.

    s3://bucket/priors/sd21/model_index.json, unet/…        a folder as diffusers saves it
                            weights.sha256                  its digest, as `upload_prior` leaves it

A worker asks for `fetch_weights`: the files that count come into a folder of the cache, which appears
under its name when it is whole; whoever needs the same one meanwhile waits for it. A driver asks for
`resolve_identity`, which reads a few kilobytes: the digest is in the recipe (`prior.digest`) or in the
mirror, and workers hold the weights to it. A mirror that has changed is another folder of the cache.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path, PurePosixPath

from dreamfoundry.diffusion.weights import (
    DESCRIPTION,
    identity_with_digest,
    is_fp16_variant,
    prior_identity,
    require_digest,
    weights_digest,
)
from dreamfoundry.errors import InfrastructureError, PriorUnavailable
from dreamfoundry.object_store.open import open_store
from dreamfoundry.object_store.protocol import ObjectStore, at_once
from dreamfoundry.settings.prior import LoraConfig, PriorConfig, VaeConfig
from dreamfoundry.settings.prior_identity import PriorIdentity
from dreamfoundry.settings.values import require

DIGEST_KEY = "weights.sha256"

PARTS = ("scheduler", "tokenizer", "text_encoder", "unet", "vae")
"""What a prior is loaded from; whatever else lies in a pipeline's folder stays where it is."""

_S3 = "s3://"
_WEIGHTS = ".safetensors"
_SUFFIXES = (_WEIGHTS, ".json", ".txt", ".model")

OpenMirror = Callable[[str], ObjectStore]


def weights_cache() -> Path:
    """The folder of fetched weights on this machine: DREAMFOUNDRY_CACHE, else ~/.cache/dreamfoundry."""
    return Path(os.environ.get("DREAMFOUNDRY_CACHE") or "~/.cache/dreamfoundry").expanduser()


def fetch_weights(config: PriorConfig, cache: Path, open_mirror: OpenMirror = open_store) -> PriorConfig:
    """`config` with all paths on this machine; what is in the `cache` already is not fetched again.

    Raises PriorUnavailable when something is not there, is not what its `digest` says, or cannot be
    kept here.
    """
    config = _with_fetched_additions(config, cache, open_mirror)
    if not config.path.startswith(_S3):
        return config

    def check(folder: Path) -> None:
        require_digest("prior.digest", config.digest, weights_digest(folder), config.path)

    with _as_prior_unavailable(f"prior.path = {config.path!r}"):
        folder = _fetch(open_mirror(config.path), prior_files, check, cache)
    return replace(config, path=str(folder), prior_id=config.prior_id or _last_part(config.path))


def resolve_identity(config: PriorConfig, cache: Path, open_mirror: OpenMirror = open_store) -> PriorIdentity:
    """`prior_identity`, wherever the weights lie. Of a prior on S3 only its description is read.

    LoRAs and another VAE are small enough to be fetched. ConfigError when neither recipe nor mirror states the digest.
    """
    if not config.path.startswith(_S3):
        return prior_identity(fetch_weights(config, cache, open_mirror))

    config = _with_fetched_additions(config, cache, open_mirror)
    with tempfile.TemporaryDirectory(prefix="df-prior-") as folder:
        with _as_prior_unavailable(f"prior.path = {config.path!r}"):
            mirror = open_mirror(config.path)
            for key in filter(mirror.exists, DESCRIPTION):
                _download(mirror, key, Path(folder))
            digest = config.digest or _digest_in(mirror)
        require(
            re.fullmatch("[0-9a-f]{64}", digest) is not None,
            "prior.digest",
            digest,
            f"must be the SHA-256 of the weights in {config.path!r}, or stand in its {DIGEST_KEY}: "
            "`dreamfoundry mirror FOLDER URL` leaves both",
        )
        pinned = replace(config, digest=digest, prior_id=config.prior_id or _last_part(config.path))
        return identity_with_digest(pinned, Path(folder))


def upload_prior(folder: Path, mirror: ObjectStore) -> str:
    """Copy what counts of a diffusers `folder` into `mirror`, the digest last; returns the digest.

    ConfigError if another prior lies there: machines may be reading it.
    """
    digest = weights_digest(folder)
    require(
        _digest_in(mirror) in ("", digest),
        "mirror",
        mirror.url,
        "holds another prior: choose a place of its own for each",
    )
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    for name in prior_files(names):
        with (folder / name).open("rb") as file:
            mirror.put_file(name, file, "application/octet-stream")
    mirror.put(DIGEST_KEY, f"{digest}\n".encode(), "text/plain")
    return digest


def prior_files(names: Iterable[str]) -> list[str]:
    """The files of a diffusers folder that a prior is loaded from; an fp16 variant only where it is alone."""
    return _without_needless_variants(
        path
        for path in map(PurePosixPath, names)
        if str(path) == "model_index.json" or (len(path.parts) == 2 and path.parts[0] in PARTS)
    )


def _without_needless_variants(paths: Iterable[PurePosixPath]) -> list[str]:
    wanted = [path for path in paths if path.suffix in _SUFFIXES]
    plain = {path.parent for path in wanted if path.suffix == _WEIGHTS and not is_fp16_variant(path)}
    return [str(path) for path in wanted if not (is_fp16_variant(path) and path.parent in plain)]


def _with_fetched_additions(config: PriorConfig, cache: Path, open_mirror: OpenMirror) -> PriorConfig:
    loras = tuple(_fetch_lora(lora, cache, open_mirror) for lora in config.loras)
    return replace(config, loras=loras, vae=config.vae and _fetch_vae(config.vae, cache, open_mirror))


def _fetch_vae(config: VaeConfig, cache: Path, open_mirror: OpenMirror) -> VaeConfig:
    """The files at the top of its folder; they are compared with their digest when they are used."""
    if not config.path.startswith(_S3):
        return config

    def choose(names: Iterable[str]) -> list[str]:
        return _without_needless_variants(path for path in map(PurePosixPath, names) if len(path.parts) == 1)

    with _as_prior_unavailable(f"prior.vae.path = {config.path!r}"):
        folder = _fetch(open_mirror(config.path), choose, lambda folder: None, cache)
    return replace(config, path=str(folder), vae_id=config.vae_id or _last_part(config.path))


def _fetch_lora(config: LoraConfig, cache: Path, open_mirror: OpenMirror) -> LoraConfig:
    """Its file, or the only one in its folder; it is compared with its digest when it is used."""
    if not config.path.startswith(_S3):
        return config
    url, name = config.path, ""
    if url.endswith(_WEIGHTS):
        url, _, name = url.rpartition("/")

    def choose(names: Iterable[str]) -> list[str]:
        return [key for key in names if (key == name if name else "/" not in key and key.endswith(_WEIGHTS))]

    with _as_prior_unavailable(f"prior.loras.path = {config.path!r}"):
        folder = _fetch(open_mirror(url), choose, lambda folder: None, cache)
    return replace(config, path=str(folder / name))


def _fetch(
    mirror: ObjectStore, choose: Callable[[Iterable[str]], list[str]], check: Callable[[Path], None], cache: Path
) -> Path:
    """The folder of the cache with the chosen objects of `mirror`, which is checked before it appears."""
    stats = {stat.key: stat for stat in mirror.stats()}
    chosen = choose(stats)
    if not chosen:
        raise PriorUnavailable(f"no such files lie there ({', '.join([*stats][:3]) or 'nothing at all'})")

    # Another state of the mirror is another folder: one that a process reads from never changes.
    listing = [mirror.url, *(f"{key} {stats[key].num_bytes} {stats[key].modified_s}" for key in chosen)]
    folder = cache / sha256("\n".join(listing).encode()).hexdigest()[:24]
    cache.mkdir(parents=True, exist_ok=True)

    with _exclusively(folder.with_suffix(".lock")):
        if folder.is_dir():
            return folder

        partial = folder.with_suffix(".part")
        shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed
        try:
            for key, path in zip(chosen, at_once(lambda key: _download(mirror, key, partial), chosen), strict=True):
                if path.stat().st_size != stats[key].num_bytes:
                    raise PriorUnavailable(
                        f"{key} has {path.stat().st_size} bytes instead of {stats[key].num_bytes}: "
                        "the mirror is being changed; try again"
                    )
            check(partial)
            partial.rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return folder


@contextmanager
def _exclusively(lock: Path) -> Iterator[None]:
    """One process or thread of this machine at a time; a process that dies lets go."""
    with lock.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _download(mirror: ObjectStore, key: str, folder: Path) -> Path:
    path = folder / key
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        mirror.get_file(key, file)
    return path


def _digest_in(mirror: ObjectStore) -> str:
    """The digest that the mirror states for its weights; "" without one."""
    return mirror.get(DIGEST_KEY).decode(errors="replace").strip() if mirror.exists(DIGEST_KEY) else ""


@contextmanager
def _as_prior_unavailable(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        place = error.filename or "the cache"
        raise PriorUnavailable(
            f"{what} cannot be kept in {place}: {error.strerror or error}; DREAMFOUNDRY_CACHE names another place"
        ) from error
    except InfrastructureError as error:
        raise PriorUnavailable(f"{what} cannot be used: {error}") from error


def _last_part(url: str) -> str:
    return url.rstrip("/").rpartition("/")[2]
