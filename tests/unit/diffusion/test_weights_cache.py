"""Weights on S3 come to a machine once and whole; a driver knows them without fetching them."""

from __future__ import annotations

import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BufferedIOBase
from pathlib import Path

import pytest

from dreamfoundry.diffusion.loading import load_prior
from dreamfoundry.diffusion.weights import pin_digests, prior_identity, weights_digest
from dreamfoundry.diffusion.weights_cache import DIGEST_KEY, fetch_weights, prior_files, resolve_identity, upload_prior
from dreamfoundry.errors import ConfigError, PriorUnavailable
from dreamfoundry.object_store.directory import DirectoryStore
from dreamfoundry.settings.prior import LoraConfig, PriorConfig, VaeConfig
from support.processes import run_job

URL = "s3://shelf/priors/tiny-if"


class CountedStore(DirectoryStore):
    """A mirror that takes its time and counts what is fetched from it."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.fetched: list[str] = []

    def get_file(self, key: str, file: BufferedIOBase) -> None:
        time.sleep(0.01)
        self.fetched.append(key)
        super().get_file(key, file)


@pytest.fixture
def mirror(tmp_path: Path, tiny_deepfloyd_folder: Path) -> CountedStore:
    store = CountedStore(tmp_path / "mirror")
    upload_prior(tiny_deepfloyd_folder, store)
    return store


@pytest.fixture
def config() -> PriorConfig:
    return PriorConfig(path=URL, license="MIT")


def test_a_mirrored_prior_is_the_prior(
    s3_url: str, tiny_deepfloyd_folder: Path, tmp_path: Path, config: PriorConfig
) -> None:
    done = run_job("mirror_prior.py", str(tiny_deepfloyd_folder), f"{s3_url}/priors/tiny-if")
    digest = weights_digest(tiny_deepfloyd_folder)
    assert done.returncode == 0
    assert f'digest = "{digest}"' in done.stdout

    identity = resolve_identity(config, tmp_path / "cache")
    assert (identity.prior_id, identity.digest) == ("tiny-if", digest)
    assert not (tmp_path / "cache").exists(), "a driver fetches no weights"

    here = fetch_weights(pin_digests(config, identity), tmp_path / "cache")
    assert load_prior(here).identity == identity
    local = PriorConfig(path=str(tiny_deepfloyd_folder), license="MIT", prior_id="tiny-if")
    assert prior_identity(local) == identity, "the key does not say where the weights lay"


def test_weights_are_fetched_once_however_many_ask_at_once(
    mirror: CountedStore, tmp_path: Path, config: PriorConfig
) -> None:
    begin = threading.Barrier(4)

    def ask(_: int) -> str:
        begin.wait()
        return fetch_weights(config, tmp_path / "cache", lambda url: mirror).path

    with ThreadPoolExecutor(4) as pool:
        folders = set(pool.map(ask, range(4)))
    assert len(folders) == 1
    assert len(mirror.fetched) == len(set(mirror.fetched))
    assert "unet/config.json" in mirror.fetched
    assert not list((tmp_path / "cache").glob("*.part"))


def test_what_a_killed_process_left_is_no_folder(mirror: CountedStore, tmp_path: Path, config: PriorConfig) -> None:
    whole = Path(fetch_weights(config, tmp_path / "cache", lambda url: mirror).path)
    half = whole.with_suffix(".part")
    whole.rename(half)
    next(half.glob("unet/*.safetensors")).unlink()

    again = fetch_weights(config, tmp_path / "cache", lambda url: mirror)

    assert again.path == str(whole)
    assert not half.exists()
    load_prior(again)


def test_a_mirror_that_has_changed_is_fetched_again(mirror: CountedStore, tmp_path: Path, config: PriorConfig) -> None:
    before = fetch_weights(config, tmp_path / "cache", lambda url: mirror).path
    mirror.put("scheduler/scheduler_config.json", b"{}", "application/json")
    after = fetch_weights(config, tmp_path / "cache", lambda url: mirror).path
    assert after != before
    assert (Path(after) / "scheduler/scheduler_config.json").read_bytes() == b"{}"


def test_weights_of_another_digest_never_appear_in_the_cache(
    mirror: CountedStore, tmp_path: Path, config: PriorConfig
) -> None:
    with pytest.raises(PriorUnavailable, match=r"prior.digest = '0+', but the weights in 's3://shelf/priors/tiny-if'"):
        fetch_weights(replace(config, digest="0" * 64), tmp_path / "cache", lambda url: mirror)
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".lock"]


def test_a_file_that_is_cut_off_on_the_way_is_refused(
    mirror: CountedStore, tmp_path: Path, config: PriorConfig
) -> None:
    class Torn(CountedStore):
        def get_file(self, key: str, file: BufferedIOBase) -> None:
            super().get_file(key, file)
            file.truncate(10)

    torn = Torn(tmp_path / "mirror")
    with pytest.raises(PriorUnavailable, match=r"has 10 bytes instead of \d+.*try again"):
        fetch_weights(config, tmp_path / "cache", lambda url: torn)
    assert not [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]


def test_a_digest_in_the_recipe_goes_before_the_one_in_the_mirror(
    mirror: CountedStore, tmp_path: Path, config: PriorConfig
) -> None:
    assert resolve_identity(replace(config, digest="0" * 64), tmp_path, lambda url: mirror).digest == "0" * 64
    assert {key for key in mirror.fetched if key.endswith(".safetensors")} == set()


def test_a_mirror_without_a_digest_says_how_to_make_one(
    mirror: CountedStore, tmp_path: Path, config: PriorConfig
) -> None:
    mirror.delete(DIGEST_KEY)
    with pytest.raises(ConfigError, match=r"prior.digest = '': must be the SHA-256 .*dreamfoundry mirror"):
        resolve_identity(config, tmp_path, lambda url: mirror)


def test_a_mirrored_prior_needs_a_licence_too(mirror: CountedStore, tmp_path: Path, config: PriorConfig) -> None:
    with pytest.raises(ConfigError, match=r"prior.licence = '': must name the licence"):
        resolve_identity(replace(config, license=""), tmp_path, lambda url: mirror)


def test_an_empty_place_is_no_mirror(tmp_path: Path, config: PriorConfig) -> None:
    empty = DirectoryStore(tmp_path / "empty")
    with pytest.raises(PriorUnavailable, match=r"prior.path = 's3://.*nothing at all"):
        fetch_weights(config, tmp_path / "cache", lambda url: empty)


def test_a_cache_that_cannot_be_written_says_how_to_name_another(
    mirror: CountedStore, tmp_path: Path, config: PriorConfig
) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(PriorUnavailable, match="DREAMFOUNDRY_CACHE names another place"):
        fetch_weights(config, tmp_path / "cache", lambda url: mirror)


def test_only_what_guides_is_mirrored(tmp_path: Path, tiny_deepfloyd_folder: Path, mirror: CountedStore) -> None:
    folder = Path(shutil.copytree(tiny_deepfloyd_folder, tmp_path / "whole"))
    (folder / "safety_checker").mkdir()
    (folder / "safety_checker" / "model.safetensors").touch()
    (folder / "unet" / "diffusion_pytorch_model.bin").touch()
    (folder / "unet" / "diffusion_pytorch_model.fp16.safetensors").touch()
    again = CountedStore(tmp_path / "other")
    assert upload_prior(folder, again) == weights_digest(tiny_deepfloyd_folder)
    assert list(again.list()) == list(mirror.list())
    assert prior_files(["unet/a.fp16.safetensors"]) == ["unet/a.fp16.safetensors"], "where it is all there is"


def test_another_prior_is_not_written_over_a_mirror(mirror: CountedStore, tiny_stable_diffusion_folder: Path) -> None:
    with pytest.raises(ConfigError, match="holds another prior"):
        upload_prior(tiny_stable_diffusion_folder, mirror)


@pytest.mark.parametrize("path", ["s3://shelf/style", "s3://shelf/style/paper.safetensors"])
def test_a_lora_on_s3_is_fetched_by_driver_and_worker(tmp_path: Path, path: str) -> None:
    store = CountedStore(tmp_path / "style")
    store.put("paper.safetensors", b"weights", "application/octet-stream")
    config = PriorConfig(loras=(LoraConfig(path, license="MIT"),))

    identity = resolve_identity(config, tmp_path / "cache", lambda url: store)

    assert [lora.lora_id for lora in identity.loras] == ["paper"]
    here = fetch_weights(pin_digests(config, identity), tmp_path / "cache", lambda url: store)
    assert prior_identity(here) == identity
    assert store.fetched == ["paper.safetensors"]


def test_a_vae_on_s3_is_fetched_by_driver_and_worker(tmp_path: Path) -> None:
    store = CountedStore(tmp_path / "shelf")
    for name in ("config.json", "model.safetensors", "model.fp16.safetensors", "README.md", "other/model.safetensors"):
        store.put(name, name.encode(), "application/octet-stream")
    config = PriorConfig(vae=VaeConfig("s3://shelf/taesd", license="MIT"))

    identity = resolve_identity(config, tmp_path / "cache", lambda url: store)

    assert identity.vae is not None
    assert identity.vae.vae_id == "taesd"
    here = fetch_weights(pin_digests(config, identity), tmp_path / "cache", lambda url: store)
    assert prior_identity(here) == identity
    assert sorted(store.fetched) == ["config.json", "model.safetensors"]
