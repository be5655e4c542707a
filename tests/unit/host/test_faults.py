"""A full disk is told from a bug, whoever noticed it."""

from __future__ import annotations

import errno
import sqlite3
import tempfile
from pathlib import Path

import pytest

from dreamfoundry.errors import MachineFault
from dreamfoundry.host.faults import machine_faults


def test_34_a_temporary_table_that_finds_no_room_is_a_fault_of_the_machine() -> None:
    table = sqlite3.connect("")
    table.execute("PRAGMA max_page_count = 4")
    table.execute("CREATE TABLE t (data BLOB)")

    with pytest.raises(MachineFault, match=f"full; see that {tempfile.gettempdir()} of .* has room"), machine_faults():
        table.execute("INSERT INTO t VALUES (zeroblob(100000))")


def test_a_mistake_in_a_query_stays_a_bug() -> None:
    with pytest.raises(sqlite3.OperationalError, match="no such table"), machine_faults():
        sqlite3.connect("").execute("SELECT * FROM absent")


def test_34_a_full_disk_is_a_fault_of_the_machine() -> None:
    with pytest.raises(MachineFault, match="No space left"), machine_faults():
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_file_that_is_not_there_stays_a_bug() -> None:
    with pytest.raises(FileNotFoundError), machine_faults():
        Path("/nowhere/at/all").read_bytes()
