"""A copy of a manifest that nobody else knows: what happens to the original during a run changes nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from dreamfoundry.errors import ManifestError, Stopped
from dreamfoundry.host.faults import machine_faults
from dreamfoundry.manifest.parts import names_in
from dreamfoundry.object_store.open import local_copy
from dreamfoundry.object_store.part_names import is_part
from dreamfoundry.object_store.s3.retry import RETRY_TIMEOUT_S

_BLOCK_BYTES = 2**22


def private_copy(
    url: str,
    folder: Path,
    should_stop: Callable[[], bool] = lambda: False,
    *,
    store_s: float = RETRY_TIMEOUT_S,
    on_wait: Callable[[str], None] | None = None,
) -> Path:
    """The manifest at `url` as a file or a folder in `folder`.

    Of a folder the parts are copied. Everything beside them is there by its name and kind, empty, so that a scan can
    say what it did not read. What is neither file nor folder is returned as it is, for a scan to refuse. A call waits
    up to `store_s` for an S3 that is away, and tells `on_wait`. Raises as `local_copy` does, and MachineFault where the
    disk is full.
    """
    source = local_copy(url, folder, should_stop, retry_timeout_s=store_s, on_wait=on_wait)
    if source.is_relative_to(folder) or not (source.is_file() or source.is_dir()):
        return source

    target = folder / (source.name or "manifest")
    try:
        with machine_faults():
            if source.is_file():
                _copy(source, target, should_stop)
            else:
                _copy_folder(source, target, should_stop)
    except OSError as error:
        raise ManifestError(f"{url}: cannot be read: {error.strerror}; see who may read it") from None
    return target


def _copy_folder(source: Path, target: Path, should_stop: Callable[[], bool]) -> None:
    target.mkdir()
    for name, is_folder in names_in(source):
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        original = source / name
        if is_part(name) and original.is_file():
            _copy(original, place, should_stop)
        elif original.is_symlink():
            place.symlink_to(original.absolute())  # one that leads nowhere stays so
        elif is_folder:
            place.mkdir()
        elif original.is_file():
            place.touch()
        else:
            os.mkfifo(place)


def _copy(source: Path, target: Path, should_stop: Callable[[], bool]) -> None:
    with source.open("rb") as original, target.open("xb") as copy:
        while block := original.read(_BLOCK_BYTES):
            if should_stop():
                raise Stopped("while the manifest was copied")
            copy.write(block)
