"""Faults of this machine, told from bugs: its disk is full, its files are used up."""

from __future__ import annotations

import errno
import platform
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from dreamfoundry.errors import MachineFault

_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE)
_SQLITE_CODES = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)


@contextmanager
def machine_faults() -> Iterator[None]:
    """Let what the system says about this machine, whatever the asset, come out as a MachineFault."""
    try:
        yield
    except OSError as error:
        if error.errno not in _ERRNOS:
            raise
        raise MachineFault(_message(error)) from error
    except sqlite3.Error as error:
        primary_code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest are details
        if primary_code not in _SQLITE_CODES:
            raise
        raise MachineFault(_message(error)) from error


def _message(error: Exception) -> str:
    folder = tempfile.gettempdir()
    return f"{error}; see that {folder} of {platform.node()} has room for temporary files"
