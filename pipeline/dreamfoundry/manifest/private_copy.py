"""A copy of a manifest that nobody else knows: what happens to the original during a run changes nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from dreamfoundry.errors import ManifestError, Stopped
from dreamfoundry.host.faults import machine_faults
from dreamfoundry.object_store.open import local_copy
from dreamfoundry.object_store.part_names import is_part, partition_key

_BLOCK_BYTES = 2**22


def private_copy(url: str, folder: Path, should_stop: Callable[[], bool] = lambda: False) -> Path:
    """The manifest at `url` as a file or a folder in `folder`.

    Of a folder the parts are copied. Everything beside them is there by its name, empty, so that a scan can say what
    it did not read. What is neither file nor folder is returned as it is, for a scan to refuse. Raises as `local_copy`
    does, and MachineFault where the disk is full.
    """
    source = local_copy(url, folder, should_stop)
    if source.is_relative_to(folder) or not (source.is_file() or source.is_dir()):
        return source

    copier = _Copier(should_stop)
    target = folder / (source.name or "manifest")
    try:
        with machine_faults():
            if source.is_file():
                copier.copy(source, target)
            else:
                copier.copy_folder(source, target)
    except OSError as error:
        raise ManifestError(f"{url}: cannot be read: {error.strerror}; see who may read it") from None
    return target


class _Copier:
    def __init__(self, should_stop: Callable[[], bool]) -> None:
        self._should_stop = should_stop

    def copy_folder(self, source: Path, target: Path, prefix: str = "") -> None:
        target.mkdir()
        for entry in sorted(os.scandir(source), key=lambda entry: entry.name):
            name = f"{prefix}{entry.name}"
            if entry.is_dir() and partition_key(entry.name):
                self.copy_folder(Path(entry.path), target / entry.name, f"{name}/")
            elif entry.is_dir():
                (target / entry.name).mkdir()
            elif is_part(name) and entry.is_file():
                self.copy(Path(entry.path), target / entry.name)
            else:
                (target / entry.name).touch()

    def copy(self, source: Path, target: Path) -> None:
        with source.open("rb") as original, target.open("xb") as copy:
            while block := original.read(_BLOCK_BYTES):
                if self._should_stop():
                    raise Stopped("while the manifest was copied")
                copy.write(block)
