"""The store protocol on a directory: atomic by hard link and rename, safe between processes.

Bytes are first written and synced under `.staging/`, which no listing shows, then appear under
their name in one system call. Files are read-only, because `copy` shares them by hard link.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import io
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dreamfoundry.errors import ConfigError, ObjectCorrupt, ObjectMissing, StoreUnavailable
from dreamfoundry.object_store.protocol import CHUNK_BYTES, ObjectStat, Unfinished, fill, is_made_of, require_key

_STAGING = ".staging"
_LOCK = ".lock"
_HINTS = {
    errno.ENOSPC: "the disk is full: free some space and run again",
    errno.EDQUOT: "the quota is used up: free some space and run again",
    errno.EFBIG: "no file may be so large here: choose another disk, or raise the limit (ulimit -f)",
    errno.EACCES: "no permission: choose a directory that you may write to",
    errno.EROFS: "the file system is read-only: choose another directory",
    errno.EPERM: "the file system refuses hard links: choose a local disk or S3",
    errno.EOPNOTSUPP: "the file system has no hard links: choose a local disk or S3",
    errno.ENOTDIR: "a part of the path is a file: choose a directory",
    errno.ENAMETOOLONG: "the file system allows no such long name: shorten the prompt id or the path",
}

_OF_ONE_FILE = frozenset({errno.EIO, errno.EACCES, errno.EUCLEAN, errno.EBADMSG})
"""A bad sector, a checksum of the file system that does not fit, or a file without the right to read it."""


class DirectoryStore:
    """An `ObjectStore` in the directory `root`, which is made when it is absent, unless it is only to be read."""

    def __init__(self, root: str | Path, *, is_read_only: bool = False) -> None:
        self._root = Path(root).expanduser().resolve()
        with self._reported("the directory"):
            if is_read_only and not self._root.is_dir():
                raise ConfigError(f"library = {str(root)!r}: no such directory; is the name right?")
            if not is_read_only:
                (self._root / _STAGING).mkdir(parents=True, exist_ok=True)

    @property
    def url(self) -> str:
        return str(self._root)

    def get(self, key: str) -> bytes:
        with self._reported(key), _readable(key):
            return self._path(key).read_bytes()

    def read(self, key: str) -> tuple[bytes, str]:
        data = self.get(key)
        return data, _etag(data)

    def get_file(self, key: str, file: io.BufferedIOBase) -> None:
        with self._reported(key), _readable(key), self._path(key).open("rb") as held:
            fill(file, iter(lambda: held.read(CHUNK_BYTES), b""))

    def stat(self, key: str) -> ObjectStat | None:
        path = self._path(key)
        try:
            with self._reported(key):
                return _stat(key, path.stat()) if path.is_file() else None
        except ObjectMissing:
            return None

    def exists(self, key: str) -> bool:
        return self._path(key).is_file()

    def holds(self, key: str, data: bytes) -> bool:
        return self.holds_file(key, io.BytesIO(data))

    def holds_file(self, key: str, file: io.BufferedIOBase) -> bool:
        try:
            with self._reported(key), _readable(key), self._path(key).open("rb") as held:
                return is_made_of(file, iter(lambda: held.read(CHUNK_BYTES), b""))
        except (ObjectMissing, ObjectCorrupt):
            return False

    def create(self, key: str, data: bytes, media_type: str) -> bool:
        with self._reported(key), self._staged(io.BytesIO(data)) as staged, self._locked(fcntl.LOCK_SH):
            target = self._path(key)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(staged, target)
            except FileExistsError:
                return False
            _sync_directory(target.parent)
            return True

    def put(self, key: str, data: bytes, media_type: str) -> None:
        self.put_file(key, io.BytesIO(data), media_type)

    def put_file(self, key: str, file: io.BufferedIOBase, media_type: str) -> None:
        with self._reported(key), self._staged(file) as staged, self._locked(fcntl.LOCK_SH):
            self._rename(staged, self._path(key))

    def replace(self, key: str, data: bytes, media_type: str, expected_etag: str) -> bool:
        with self._reported(key), self._staged(io.BytesIO(data)) as staged, self._locked(fcntl.LOCK_EX):
            try:
                is_changed = self.read(key)[1] != expected_etag
            except (ObjectMissing, ObjectCorrupt):
                is_changed = True
            if is_changed:
                return False
            self._rename(staged, self._path(key))
            return True

    def copy(self, source: str, target: str) -> None:
        with self._reported(source):
            staged = self._staging_path()
            os.link(self._path(source), staged)
            try:
                os.utime(
                    staged, (self.now_s(), self.now_s())
                )  # both names share one time: the copy is new, and the source with it
                with self._locked(fcntl.LOCK_SH):
                    self._rename(staged, self._path(target))
            finally:
                staged.unlink(missing_ok=True)

    def list(self, prefix: str = "") -> Iterator[str]:
        for entry in self.stats(prefix):
            yield entry.key

    def stats(self, prefix: str = "") -> Iterator[ObjectStat]:
        folder, slash, _ = prefix.rpartition("/")
        with self._reported(prefix):
            for entry in self._walk(folder + slash):
                if entry.key.startswith(prefix):
                    yield entry

    def delete(self, key: str) -> None:
        path = self._path(key)
        with self._reported(key), self._locked(fcntl.LOCK_EX):
            path.unlink(missing_ok=True)
            for folder in path.parents:
                if folder == self._root:
                    break
                try:
                    folder.rmdir()
                except OSError:  # not empty
                    break

    def unfinished(self) -> Iterator[Unfinished]:
        if not (self._root / _STAGING).is_dir():
            return  # nothing was ever written here
        with self._reported(_STAGING), os.scandir(self._root / _STAGING) as entries:
            for entry in entries:
                if entry.name == _LOCK:
                    continue
                try:
                    yield Unfinished("", entry.name, entry.stat().st_mtime)
                except FileNotFoundError:
                    continue  # finished since

    def discard(self, unfinished: Unfinished) -> None:
        with self._reported(_STAGING):
            (self._root / _STAGING / unfinished.name).unlink(missing_ok=True)

    def now_s(self) -> float:
        return time.time()

    def _path(self, key: str) -> Path:
        return self._root / require_key(key)

    def _staging_path(self) -> Path:
        return self._root / _STAGING / uuid.uuid4().hex

    @contextmanager
    def _staged(self, source: io.BufferedIOBase) -> Iterator[Path]:
        """A synced file with the bytes of `source` that is removed afterwards (its other names stay)."""
        path = self._staging_path()
        try:
            with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o444), "wb") as file:
                source.seek(0)
                shutil.copyfileobj(source, file, CHUNK_BYTES)
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
    def _locked(self, kind: int) -> Iterator[None]:
        """Over all processes on this machine: one compare-and-swap or delete (LOCK_EX) at a time, and
        while folders are made and filled (LOCK_SH) nobody removes empty ones."""
        with open(self._root / _STAGING / _LOCK, "ab") as lock:
            fcntl.flock(lock, kind)
            yield

    def _walk(self, folder: str) -> Iterator[ObjectStat]:
        """All objects below `folder` ("" or "a/b/") in the order of their keys' bytes, as S3 lists them."""
        try:
            with os.scandir(self._root / folder) as entries:
                names = [e.name + "/" * e.is_dir() for e in entries if not e.name.startswith(".")]
        except (FileNotFoundError, NotADirectoryError):
            return
        for name in sorted(names, key=os.fsencode):
            if name.endswith("/"):
                yield from self._walk(folder + name)
                continue
            try:
                yield _stat(folder + name, os.stat(self._root / folder / name))
            except FileNotFoundError:
                continue  # deleted since

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


@contextmanager
def _readable(key: str) -> Iterator[None]:
    """Turn what keeps one file from being read, while its neighbours can be, into ObjectCorrupt."""
    try:
        yield
    except OSError as error:
        if error.errno not in _OF_ONE_FILE:
            raise
        raise ObjectCorrupt(f"{key}: cannot be read: {error.strerror}") from error


def _stat(key: str, status: os.stat_result) -> ObjectStat:
    return ObjectStat(key, status.st_size, status.st_mtime)


def _etag(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _sync_directory(folder: Path) -> None:
    """Make a new name survive a power cut, as `fsync` of the file alone does not."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
