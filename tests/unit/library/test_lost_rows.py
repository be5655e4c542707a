"""Rows that could not be read, remembered until a run reads everything."""

import io
from pathlib import Path

import pytest

from dreamfoundry.library import contact_sheet
from dreamfoundry.library.audit.audit import Audit
from dreamfoundry.library.library import Library
from dreamfoundry.library.lost_rows import NONE_LOST, LostRowsRecord, record_lost_rows, recorded_lost_rows
from dreamfoundry.library.projections import publish_projections, rebuild
from dreamfoundry.object_store.directory import DirectoryStore
from dreamfoundry.records import LostRows

LOST = LostRowsRecord("night.parquet", (LostRows("part-1.parquet", 1, 100, 199, "CRC <mismatch>"),))


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(DirectoryStore(tmp_path))


def page(library: Library) -> str:
    return library.store.get(contact_sheet.KEY).decode()


def test_the_newest_record_counts_and_what_is_not_new_is_not_written(library: Library) -> None:
    assert recorded_lost_rows(library) == NONE_LOST
    assert not record_lost_rows(library, "run-1", LostRowsRecord("night.parquet", ()))
    assert record_lost_rows(library, "run-2", LOST)
    assert not record_lost_rows(library, "run-3", LOST)
    assert recorded_lost_rows(library) == LOST
    assert record_lost_rows(library, "run-4", LostRowsRecord("night.parquet", ()))
    assert recorded_lost_rows(library).ranges == ()
    assert list(library.store.list("lost_rows/")) == ["lost_rows/run-2.json", "lost_rows/run-4.json"]


def test_the_page_names_them_and_a_rebuild_writes_the_same_page(library: Library) -> None:
    record_lost_rows(library, "run-1", LOST)
    publish_projections(library, "run-1", [])

    shown = page(library)
    assert "100 rows of night.parquet could not be read" in shown
    assert "part-1.parquet, row group 1, rows 100 to 199: CRC &lt;mismatch&gt;" in shown
    assert list(Audit(library).defects()) == []
    rebuild(library)
    assert page(library) == shown


def test_they_go_with_the_next_run_that_reads_everything(library: Library) -> None:
    record_lost_rows(library, "run-1", LOST)
    publish_projections(library, "run-1", [])
    record_lost_rows(library, "run-2", LostRowsRecord("night.parquet", ()))
    publish_projections(library, "run-2", [])

    assert "could not be read" not in page(library)
    assert list(Audit(library).defects()) == []


def test_a_record_that_cannot_be_read_is_a_defect_with_its_name(library: Library) -> None:
    publish_projections(library, "run-1", [])
    library.store.put("lost_rows/run-1.json", b"{}", "application/json")

    assert "lost_rows/run-1.json" in {defect.key for defect in Audit(library).defects()}


def test_of_many_row_groups_a_page_names_twenty(library: Library) -> None:
    ranges = tuple(LostRows("p.parquet", group, group, group, "CRC") for group in range(50))
    file = io.BytesIO()
    contact_sheet.write(
        [],
        file,
        num_published=0,
        num_quarantined=0,
        catalog_key="c",
        catalog_digest="d",
        lost=LostRowsRecord("m", ranges),
    )

    assert file.getvalue().decode().count("row group ") == 20
    assert "… and 30 more row groups" in file.getvalue().decode()
