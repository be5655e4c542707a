"""Ids of runs sort in the order of the runs, whatever clocks say."""

from __future__ import annotations

from pathlib import Path

import pytest

from dreamfoundry.library.library import Library
from dreamfoundry.object_store.directory import DirectoryStore
from dreamfoundry.run.run_ids import next_run_id


@pytest.mark.parametrize(
    ("last", "beginning"), [("29991231T235958Z-ffffff", "29991231T235959Z-"), ("a-name", "20"), ("", "20")]
)
def test_the_next_run_sorts_behind_the_last_one_also_where_that_had_a_clock_of_its_own(
    tmp_path: Path, last: str, beginning: str
) -> None:
    library = Library(DirectoryStore(tmp_path))
    if last:
        library.store.put(f"runs/{last}/report.json", b"{}", "application/json")

    assert next_run_id(library).startswith(beginning)
