"""From a URL to a store, and from a manifest on S3 to files on this machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dreamfoundry.errors import ConfigError, ObjectMissing
from dreamfoundry.object_store.directory import DirectoryStore
from dreamfoundry.object_store.protocol import ObjectStore
from dreamfoundry.object_store.s3.retry import CHECK_TIMEOUT_S, RETRY_TIMEOUT_S
from dreamfoundry.object_store.s3.store import S3Store

_S3 = "s3://"


def open_store(
    url: str | Path,
    *,
    retry_timeout_s: float = RETRY_TIMEOUT_S,
    check_s: float = CHECK_TIMEOUT_S,
    on_wait: Callable[[str], None] | None = None,
) -> ObjectStore:
    """The store at "s3://bucket/prefix" or in a directory, which is made when it is absent.

    A call waits up to `retry_timeout_s` for an S3 that is away, the first one `check_s`: an address that
    is wrong is reported soon. `on_wait` is told of longer waits.
    Raises ConfigError for another kind of URL and StoreUnavailable, saying what to do, when the
    place cannot be used.
    """
    text = str(url)
    if text.startswith(_S3):
        bucket, _, prefix = text[len(_S3) :].partition("/")
        if not bucket:
            raise ConfigError(f"library = {text!r}: must name a bucket, as in s3://bucket/prefix")
        store = S3Store(bucket, prefix, retry_timeout_s=retry_timeout_s, on_wait=on_wait)
        store.check(check_s)
        return store
    if "://" in text:
        raise ConfigError(f"library = {text!r}: must be s3://bucket/prefix or a directory")
    return DirectoryStore(text)


def local_copy(url: str | Path, folder: Path) -> Path:
    """A path on this machine with the content of `url`.

    A local path is returned as it is. An object on S3 is written into `folder`; a prefix becomes
    a directory in it with the prefix's *.parquet objects. ObjectMissing when there is neither.
    """
    if not str(url).startswith(_S3):
        return Path(url)
    bucket, _, key = str(url)[len(_S3) :].rstrip("/").partition("/")
    folder_key, _, name = key.rpartition("/")
    # listed, not asked for by HEAD: whoever may list one prefix only is told 403 for what is absent
    store = S3Store(bucket, folder_key)
    keys = [part for part in store.list(name) if part == name or part.startswith(f"{name}/" if name else "")]
    target = folder / (name or bucket)
    if name in keys:
        with target.open("wb") as file:
            store.get_file(name, file)
        return target
    beginning = f"{name}/" if name else ""
    parts = [part for part in keys if part.endswith(".parquet") and "/" not in part[len(beginning) :]]
    if not parts:
        raise ObjectMissing(f"{str(url)!r} is neither an object nor a prefix with *.parquet objects in it")
    target.mkdir(parents=True, exist_ok=True)
    for part in parts:
        with (target / part[len(beginning) :]).open("wb") as file:
            store.get_file(part, file)
    return target
