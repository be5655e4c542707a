"""`dreamfoundry make`: its help names the columns of the manifest."""

from __future__ import annotations

from dreamfoundry.cli import make
from dreamfoundry.manifest.row import COLUMNS


def test_the_help_has_a_line_for_every_column_as_the_reader_knows_it() -> None:
    lines = (make.__doc__ or "").splitlines()
    for column in COLUMNS:
        kind = str(column.type).replace("item: ", "")
        assert f"  {column.name:<18}{kind:<14}{column.meaning}" in lines
