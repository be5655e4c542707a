"""The store protocol on a directory: atomic by hard link and rename, safe between processes.

Bytes are first written and synced under `.staging/`, which no listing shows, then appear under
their name in one system call. Files are read-only, because `copy` shares them by hard link.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dreamfoundry.errors import ObjectMissing, StoreUnavailable

_STAGING = ".staging"
_HINTS = {
    errno.ENOSPC: "the disk is full: free some space and run again",
    errno.EDQUOT: "the quota is used up: free some space and run again",
    errno.EACCES: "no permission: choose a directory that you may write to",
    errno.EROFS: "the file system is read-only: choose another directory",
    errno.EPERM: "the file system refuses hard links: choose a local disk or S3",
    errno.EOPNOTSUPP: "the file system has no hard links: choose a local disk or S3",
    errno.ENOTDIR: "a part of the path is a file: choose a directory",
}


class DirectoryStore:
    """An `ObjectStore` in the directory `root`, which is made when it is absent."""

    def __init__(self, root: str | Path) -> None:
        self._root = Path(root).expanduser().resolve()
        with self._reported("the directory"):
            (self._root / _STAGING).mkdir(parents=True, exist_ok=True)

    @property
    def url(self) -> str:
        return str(self._root)

    def get(self, key: str) -> bytes:
        with self._reported(key):
            return self._path(key).read_bytes()

    def read(self, key: str) -> tuple[bytes, str]:
        data = self.get(key)
        return data, _etag(data)

    def etag(self, key: str) -> str | None:
        try:
            return self.read(key)[1]
        except ObjectMissing:
            return None

    def exists(self, key: str) -> bool:
        return self._path(key).is_file()

    def create(self, key: str, data: bytes, media_type: str) -> bool:
        with self._reported(key), self._staged(data) as staged:
            target = self._path(key)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(staged, target)
            except FileExistsError:
                return False
            _sync_directory(target.parent)
            return True

    def put(self, key: str, data: bytes, media_type: str) -> None:
        with self._reported(key), self._staged(data) as staged:
            self._rename(staged, self._path(key))

    def replace(self, key: str, data: bytes, media_type: str, expected_etag: str) -> bool:
        with self._reported(key), self._staged(data) as staged, self._locked():
            if self.etag(key) != expected_etag:
                return False
            self._rename(staged, self._path(key))
            return True

    def copy(self, source: str, target: str) -> None:
        with self._reported(source):
            staged = self._staging_path()
            os.link(self._path(source), staged)
            try:
                self._rename(staged, self._path(target))
            finally:
                staged.unlink(missing_ok=True)

    def list(self, prefix: str = "") -> Iterator[str]:
        folder, slash, _ = prefix.rpartition("/")
        for key in self._walk(folder + slash):
            if key.startswith(prefix):
                yield key

    def delete(self, key: str) -> None:
        with self._reported(key), self._locked():
            self._path(key).unlink(missing_ok=True)

    def now_s(self) -> float:
        return time.time()

    def _path(self, key: str) -> Path:
        """The file of `key`. Refuses what would leave the directory or hide in it."""
        if not all(part and not part.startswith(".") for part in key.split("/")):
            raise ValueError(f"key {key!r}: its parts must not be empty or start with a dot")
        return self._root / key

    def _staging_path(self) -> Path:
        return self._root / _STAGING / uuid.uuid4().hex

    @contextmanager
    def _staged(self, data: bytes) -> Iterator[Path]:
        """A synced file with `data` that is removed afterwards (its other names stay)."""
        path = self._staging_path()
        try:
            with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o444), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            yield path
        finally:
            path.unlink(missing_ok=True)

    def _rename(self, staged: Path, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(staged, target)
        _sync_directory(target.parent)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Only one compare-and-swap or delete at a time, over all processes on this machine."""
        with open(self._root / _STAGING / ".lock", "ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _walk(self, folder: str) -> Iterator[str]:
        """All keys below `folder` ("" or "a/b/") in the order of their bytes, as S3 lists them."""
        try:
            with os.scandir(self._root / folder) as entries:
                names = [e.name + "/" * e.is_dir() for e in entries if not e.name.startswith(".")]
        except (FileNotFoundError, NotADirectoryError):
            return
        for name in sorted(names, key=os.fsencode):
            if name.endswith("/"):
                yield from self._walk(folder + name)
            else:
                yield folder + name

    @contextmanager
    def _reported(self, key: str) -> Iterator[None]:
        """Turn errors of the system into ours, which say what to do."""
        try:
            yield
        except (FileNotFoundError, IsADirectoryError):
            raise ObjectMissing(f"{key!r} is not in the library {self.url}") from None
        except OSError as error:
            hint = _HINTS.get(error.errno or 0, "see that the directory can be read and written")
            raise StoreUnavailable(f"library {self.url}: {key}: {error.strerror or error}; {hint}") from error


def _etag(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _sync_directory(folder: Path) -> None:
    """Make a new name survive a power cut, as `fsync` of the file alone does not."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
