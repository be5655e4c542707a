"""However a run ends, catalog and page show what it has decided."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dreamfoundry.errors import InfrastructureError
from dreamfoundry.library import catalog
from dreamfoundry.library.audit.audit import Audit
from dreamfoundry.library.library import Library
from dreamfoundry.object_store.directory import DirectoryStore
from dreamfoundry.run.messages import Answer, Export, ExportReport, Fault
from support.runs import reports
from support.tiny_night import TinyWorkers, night

ROWS = {"one": "a red mushroom", "two": "a blue rocket", "three": "a green car", "four": "a yellow chair"}


def shown(folder: Path) -> set[str]:
    """The prompt ids in the catalog, which agrees with everything else."""
    library = Library(DirectoryStore(folder / "library"))
    audit = Audit(library)
    assert list(audit.defects()) == []
    assert audit.live_runs == []
    return set(pq.read_table(io.BytesIO(library.store.get(catalog.KEY)))["prompt_id"].to_pylist())


class Broken(TinyWorkers):
    """Exports two assets; then its machine is out of order."""

    num_exported = 0

    def export(self, command: Export) -> None:
        self.num_exported += 1
        if self.num_exported <= 2:
            super().export(command)
        else:
            report = ExportReport(command.task.build.asset_key, None, fault=Fault("the disk is on fire"))
            self._answers.append(Answer(command.worker, report))


def test_a_run_that_fails_publishes_what_it_has_decided(tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match="the disk is on fire"):
        night(tmp_path, ROWS, workers=Broken)

    assert len(shown(tmp_path)) == 2
    (report,) = reports(DirectoryStore(tmp_path / "library"))
    assert (report.status, report.published, report.pending) == ("failed", 2, 2)
    assert "the disk is on fire" in report.message


class Mistaken(Broken):
    """Exports two assets; then it shows a mistake of ours."""

    def export(self, command: Export) -> None:
        if self.num_exported == 2:
            raise ZeroDivisionError
        super().export(command)


def test_a_run_that_ends_with_a_mistake_of_ours_publishes_what_it_has_decided(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        night(tmp_path, ROWS, workers=Mistaken)

    library = Library(DirectoryStore(tmp_path / "library"))
    rows = pq.read_table(io.BytesIO(library.store.get(catalog.KEY)))
    assert rows.num_rows == 2


def test_a_run_that_is_stopped_publishes_what_it_has_decided(tmp_path: Path) -> None:
    outcomes = tmp_path / "library" / "outcomes"

    ended = night(tmp_path, ROWS, should_stop=lambda: len(list(outcomes.glob("*/*.json"))) >= 2)

    assert ended.report.status == "drained"
    assert len(shown(tmp_path)) == ended.report.published >= 2
    assert ended.report.pending > 0
