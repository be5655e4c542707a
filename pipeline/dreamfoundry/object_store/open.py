"""From a URL to a store, and from a manifest on S3 to files on this machine."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from dreamfoundry.errors import ConfigError, ManifestError, Stopped, StoreUnavailable
from dreamfoundry.object_store.directory import DirectoryStore
from dreamfoundry.object_store.part_names import is_marker, is_part, partition_key
from dreamfoundry.object_store.protocol import ObjectStore
from dreamfoundry.object_store.s3.faults import NO_BUCKET, advice
from dreamfoundry.object_store.s3.retry import CHECK_TIMEOUT_S, RETRY_TIMEOUT_S
from dreamfoundry.object_store.s3.store import S3Store

_S3 = "s3://"
_MAX_OTHER_NAMES = 1000
_LISTEN_S = 0.5


def open_store(
    url: str | Path,
    *,
    retry_timeout_s: float = RETRY_TIMEOUT_S,
    check_s: float = CHECK_TIMEOUT_S,
    on_wait: Callable[[str], None] | None = None,
    is_read_only: bool = False,
) -> ObjectStore:
    """The store at "s3://bucket/prefix" or in a directory, which is made when it is absent.

    A call waits up to `retry_timeout_s` for an S3 that is away, the first one `check_s`: an address that
    is wrong is reported soon. `on_wait` is told of longer waits. With `is_read_only` nothing is made.
    Raises ConfigError for another kind of URL, and for an absent directory that is only to be read;
    StoreUnavailable, saying what to do, when the place cannot be used.
    """
    text = str(url)
    if not text.strip():
        raise ConfigError(
            f"library = {text!r}: must be s3://bucket/prefix or a directory (an unset variable of the shell?)"
        )
    if text.startswith(_S3):
        bucket, _, prefix = text[len(_S3) :].partition("/")
        if not bucket:
            raise ConfigError(f"library = {text!r}: must name a bucket, as in s3://bucket/prefix")
        store = S3Store(bucket, prefix, retry_timeout_s=retry_timeout_s, on_wait=on_wait)
        store.check(check_s)
        return store
    if "://" in text:
        raise ConfigError(f"library = {text!r}: must be s3://bucket/prefix or a directory")
    return DirectoryStore(text, is_read_only=is_read_only)


def local_copy(
    url: str | Path,
    folder: Path,
    should_stop: Callable[[], bool] = lambda: False,
    *,
    retry_timeout_s: float = RETRY_TIMEOUT_S,
    on_wait: Callable[[str], None] | None = None,
) -> Path:
    """A path on this machine with the manifest at `url`: a path, file:///path, or s3://bucket/key.

    What is local is returned where it lies. An object on S3 is written into `folder`; a prefix becomes a directory
    in it with the prefix's parts, and an empty file or folder for each other name, so that a reader can name what it
    leaves out. A call waits for an S3 that is away, and tells `on_wait`, as in `open_store`. Raises ManifestError for
    an address that leads to no manifest, StoreUnavailable with the address in its message, and Stopped soon after
    `should_stop` is true, also while it waits.
    """
    text = str(url)
    if not text.strip():
        raise ManifestError(f"manifest = {text!r}: must be a path or s3://bucket/key (an unset variable of the shell?)")
    if not _is_unicode(text):
        raise ManifestError(f"manifest = {text!r}: must be a name in UTF-8; rename the file or folder")
    if text.startswith("file:"):
        return _path_of_file_url(text)
    if text.startswith(_S3):
        pause = partial(_pause, should_stop)
        store, name = _store_above(text, retry_timeout_s=retry_timeout_s, on_wait=on_wait, sleep=pause)
        target = folder / (name or "manifest")
        return _copy_from_s3(text, store, name, target, should_stop)

    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", text)
    if scheme is None:
        return Path(url)
    remedy = f"write s3{text[len(scheme[1]) :]}" if scheme[1].lower() in ("s3", "s3a", "s3n") else "copy it there first"
    raise ManifestError(f"manifest = {text!r}: must be a path or s3://bucket/key; {remedy}")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _path_of_file_url(url: str) -> Path:
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        raise ManifestError(f"manifest = {url!r}: must be file:///path with a whole path, or a path without file:")
    return Path(unquote(parts.path))


def _store_above(url: str, **settings: Any) -> tuple[S3Store, str]:
    """The store that has the last name of `url`, and that name, "" for a bucket as a whole. It is known to answer."""
    bucket, _, key = url[len(_S3) :].rstrip("/").partition("/")
    if not bucket:
        raise ManifestError(f"manifest = {url!r}: must name a bucket, as in s3://bucket/tonight.parquet")
    folder_key, _, name = key.rpartition("/")
    store = S3Store(bucket, folder_key, **settings)
    try:
        store.check(min(CHECK_TIMEOUT_S, settings["retry_timeout_s"]), name)
    except StoreUnavailable as error:
        raise at_address(f"manifest {url}", error) from None
    return store, name


def _pause(should_stop: Callable[[], bool], pause_s: float) -> None:
    end_s = time.monotonic() + pause_s
    while (left_s := end_s - time.monotonic()) > 0.0:
        if should_stop():
            raise Stopped("while the manifest was copied")
        time.sleep(min(left_s, _LISTEN_S))


def _copy_from_s3(url: str, store: S3Store, name: str, target: Path, should_stop: Callable[[], bool]) -> Path:
    try:
        names = _names_at(store, name)
        if names is None:
            with target.open("wb") as file:
                store.get_file(name, file)
            return target

        if not any(map(is_part, names)):
            beside = f" (it holds {', '.join(sorted({_first_folder(other) for other in names})[:3])})" if names else ""
            raise ManifestError(f"{url!r} is neither an object nor a prefix with *.parquet objects in it{beside}")
        target.mkdir(parents=True, exist_ok=True)
        for part in filter(is_part, names):
            if should_stop():
                raise Stopped("while the manifest was copied")
            (target / part).parent.mkdir(parents=True, exist_ok=True)
            with (target / part).open("wb") as file:
                store.get_file(f"{name}/{part}" if name else part, file)
    except StoreUnavailable as error:
        raise at_address(f"manifest {url}", error) from None
    except ValueError as error:  # a name that begins with a dot, or with control characters
        raise ManifestError(f"manifest = {url!r}: {error}") from None
    _leave_names(target, names)
    return target


def _names_at(store: S3Store, name: str) -> list[str] | None:
    """Names below the prefix `name`, relative to it; None if `name` is an object itself."""
    # listed, not asked for by HEAD: whoever may list one prefix only is told 403 for what is absent
    beginning = f"{name}/" if name else ""
    names = []
    for key in store.list(name):
        if key == name:
            return None
        if key.startswith(beginning) and key != beginning:
            names.append(key[len(beginning) :])
    return names


def _leave_names(target: Path, names: list[str]) -> None:
    """Empty files and folders in `target` for the first of those `names` that are no parts."""
    others = dict.fromkeys(_first_folder(name) for name in names if not (is_part(name) or is_marker(name)))
    for name in list(others)[:_MAX_OTHER_NAMES]:
        if {"", ".", ".."} & set(name.rstrip("/").split("/")):
            continue
        place = target / name
        with suppress(OSError):  # a name that this disk cannot hold is only not mentioned
            (place if name.endswith("/") else place.parent).mkdir(parents=True, exist_ok=True)
            if not name.endswith("/"):
                place.touch()


def _first_folder(name: str) -> str:
    """`name` up to the first folder in it that is no partition, with a slash; a name without one as it is."""
    folders = name.split("/")[:-1]
    stop = next((at for at, folder in enumerate(folders, 1) if not partition_key(folder)), 0)
    return "/".join(folders[:stop]) + "/" if stop else name


def at_address(address: str, error: StoreUnavailable) -> ManifestError | StoreUnavailable:
    """The fault of a store in words about what is at `address`; bad input where its bucket does not exist."""
    cause = error.__cause__
    if not isinstance(cause, Exception):
        return StoreUnavailable(f"{address}: {error}")
    message = f"{address}: {cause}; {advice(cause)}"
    return ManifestError(message) if advice(cause) == NO_BUCKET else StoreUnavailable(message)
