"""An exporter that dies before one of its writes, as if the machine had lost its power.

    PYTHONPATH=tests python -m support.mortal_exporter LIBRARY NUM_WRITES

The exporter and the library are the real ones; its stages answer at once. The process kills itself
before write number NUM_WRITES (from 0), or ends well if there are not so many.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any, cast

from dreamfoundry.library.library import Library
from dreamfoundry.object_store.open import open_store
from dreamfoundry.object_store.protocol import ObjectStore
from dreamfoundry.records import Prompt
from dreamfoundry.run.messages import ExportTask, WorkerSettings
from dreamfoundry.run.workers.export_process import ExportProcess
from dreamfoundry.run.workers.exporter import Exporter
from dreamfoundry.settings.prior import PriorConfig
from support.real_builds import PRIOR, real_build
from support.stubs import InstantStages, snapshot

WRITES = ("create", "put", "replace", "copy", "delete")
BUILD = real_build(Prompt("one", "a ball"), "two")


class MortalStore:
    """A store whose process dies before one of its writes."""

    def __init__(self, store: ObjectStore, num_writes: int) -> None:
        self._store, self._num_writes = store, num_writes

    def __getattr__(self, name: str) -> Any:
        if name in WRITES:
            if self._num_writes == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            self._num_writes -= 1
        return getattr(self._store, name)


def main() -> None:
    url, num_writes = sys.argv[1], int(sys.argv[2])
    store = open_store(url)
    ref = Library(store).put_blob(snapshot().to_bytes(), "application/x-npz")
    settings = WorkerSettings(url, PriorConfig(), PRIOR, "cpu", 1)
    library = Library(cast(ObjectStore, MortalStore(store, num_writes)))
    report = Exporter(library, settings, cast(ExportProcess, InstantStages())).export(ExportTask(BUILD, ref, 1, 1.0))
    assert report.decision is not None, report
    assert report.decision.state == "published", report


if __name__ == "__main__":
    main()
