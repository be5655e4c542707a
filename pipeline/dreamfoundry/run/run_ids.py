"""Ids of runs: the time of their beginning and some random digits, so that they sort in the order of the runs."""

from __future__ import annotations

import secrets
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from dreamfoundry.library.library import RUNS, Library
from dreamfoundry.run.report import run_ids

_TIME = "%Y%m%dT%H%M%SZ"


def next_run_id(library: Library) -> str:
    """An id that sorts behind those of all runs so far, whatever the clocks of their machines said.

    Of several records about one row that of the last run counts.
    """
    began = datetime.now(UTC)
    with suppress(ValueError, IndexError):  # no run yet, or one whose id is no time
        last = run_ids(library.store.list(RUNS))[-1].partition("-")[0]
        began = max(began, datetime.strptime(last, _TIME).replace(tzinfo=UTC) + timedelta(seconds=1))
    return f"{began.strftime(_TIME)}-{secrets.token_hex(3)}"
