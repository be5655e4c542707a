"""The catalog: one typed row per prompt id and asset key, the same bytes for the same entries."""

import io
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dreamfoundry.library import catalog
from dreamfoundry.library.catalog import CatalogEntry
from dreamfoundry.library.entries import Entry
from dreamfoundry.records import BlobRef, Outcome


def published(number: int, **changes: Any) -> Outcome:
    values: dict[str, Any] = {
        "asset_key": f"{number:064x}",
        "field_key": "f" * 64,
        "prompt_id": f"row-{number}",
        "prompt": "a red chair",
        "state": "published",
        "slug": "a_red_chair",
        "files": {
            "a_red_chair.glb": BlobRef("a" * 64, 1200, "model/gltf-binary"),
            "a_red_chair_collision.glb": BlobRef("b" * 64, 200, "model/gltf-binary"),
            "thumbnail.png": BlobRef("c" * 64, 300, "image/png"),
        },
        "scores": {"triangles": 8000.0, "height_m": 1.5, "silhouette_iou": 0.9},
        "provenance": {
            "optimize_s": 60,
            "export_s": 2.5,
            "run_id": "r1",
            "created_at": "2026-01-01T00:00:00Z",
            "steps_spent": 230,
            "step_budget": 500,
            "candidates": [
                {"candidate": 0, "num_steps": 30, "verdict": "flat", "scores": {"flatness_ratio": 0.04}},
                {"candidate": 1, "num_steps": 200, "verdict": "chosen", "scores": {}},
            ],
        },
    }

    return Outcome(**{**values, **changes})


def parquet(entries: Iterable[Entry]) -> bytes:
    file = io.BytesIO()
    catalog.write(entries, file)
    return file.getvalue()


def rows(data: bytes) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(io.BytesIO(data), page_checksum_verification=True).to_pylist()
    return found


def test_a_published_asset_fills_its_row() -> None:
    (row,) = rows(parquet([Entry("row-1", published(1))]))

    folder = f"assets/row-1/{1:064x}"
    assert row == {
        "prompt_id": "row-1",
        "prompt": "a red chair",
        "asset_key": f"{1:064x}",
        "field_key": "f" * 64,
        "state": "published",
        "failure_class": None,
        "message": None,
        "attempts": 1,
        "candidate": 0,
        "slug": "a_red_chair",
        "glb_path": f"{folder}/a_red_chair.glb",
        "glb_sha256": "a" * 64,
        "glb_bytes": 1200,
        "thumbnail_path": f"{folder}/thumbnail.png",
        "triangles": 8000,
        "height_m": 1.5,
        "optimize_s": 60.0,
        "export_s": 2.5,
        "run_id": "r1",
        "created_at": "2026-01-01T00:00:00Z",
        "scores": [("height_m", 1.5), ("silhouette_iou", 0.9), ("triangles", 8000.0)],
        "steps_spent": 230,
        "step_budget": 500,
        "candidates": [
            {"candidate": 0, "num_steps": 30, "verdict": "flat"},
            {"candidate": 1, "num_steps": 200, "verdict": "chosen"},
        ],
        "tags": [],
        "priority": 0,
        "seed": None,
        "negative_prompt": None,
        "budget_profile": None,
        "target_height_m": None,
        "recipe_name": None,
        "recipe_digest": None,
        "prior_id": None,
        "is_current": False,
        "decided_at": datetime(2026, 1, 1, tzinfo=UTC),
        "files": [
            delivered(folder, "a_red_chair.glb", "level", 0, "a", 1200),
            delivered(folder, "a_red_chair_collision.glb", "collision", None, "b", 200),
            delivered(folder, "thumbnail.png", "thumbnail", None, "c", 300),
        ],
    }


def delivered(folder: str, name: str, role: str, level: int | None, digit: str, num_bytes: int) -> dict[str, Any]:
    return {
        "role": role,
        "level": level,
        "path": f"{folder}/{name}",
        "num_bytes": num_bytes,
        "sha256": digit * 64,
        "media_type": "image/png" if name.endswith("png") else "model/gltf-binary",
    }


def test_a_row_says_what_was_asked_for_and_with_which_words() -> None:
    asked = {"seed": 2**63 - 1, "negative_prompt": "blurry", "prompt": "a red chair"}
    provenance = {
        "request": {"field": asked, "asset": {"target_height_m": 0.9}},
        "recipe_name": "toybox",
        "recipe_digest": "e" * 64,
        "budget_profile": "mobile",
        "prior": {"prior_id": "dreamfoundry/toybox"},
    }

    (row,) = rows(parquet([Entry("row-1", published(1, provenance=provenance), ("wood", "old, or so"), -2, True)]))

    assert (row["tags"], row["priority"], row["is_current"]) == (["wood", "old, or so"], -2, True)
    assert (row["seed"], row["negative_prompt"], row["target_height_m"]) == (2**63 - 1, "blurry", 0.9)
    assert (row["budget_profile"], row["recipe_name"], row["recipe_digest"]) == ("mobile", "toybox", "e" * 64)
    assert row["prior_id"] == "dreamfoundry/toybox"


def test_what_is_not_known_of_a_bad_row_is_null() -> None:
    bad = Outcome(
        "a" * 64, "", "row-1", "fog", "quarantined", failure_class="bad_row", provenance={"prior": {"prior_id": "x"}}
    )

    (row,) = rows(parquet([Entry("row-1", bad)]))

    unknown = ("tags", "priority", "seed", "negative_prompt", "budget_profile", "recipe_digest", "prior_id")
    assert [row[name] for name in unknown] == [None] * len(unknown)
    assert (row["prompt"], row["files"], row["is_current"]) == ("fog", [], False)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-01T00:00:00Z", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01T02:00:00+02:00", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01", datetime(2026, 1, 1, tzinfo=UTC)),
        ("yesterday", None),
        ("", None),
    ],
)
def test_the_time_of_a_decision_is_a_time_where_it_can_be_read(text: str, moment: datetime | None) -> None:
    (row,) = rows(parquet([Entry("row-1", published(1, provenance={"created_at": text}))]))

    assert row["decided_at"] == moment


def test_requests_of_another_make_leave_their_columns_empty() -> None:
    for request in ("text", 3, None, {"field": "text"}, {"field": {"seed": "seven"}, "asset": []}):
        (row,) = rows(parquet([Entry("row-1", published(1, provenance={"request": request}))]))
        assert (row["seed"], row["negative_prompt"], row["target_height_m"]) == (None, None, None)


def test_a_catalog_is_read_as_it_was_written_and_one_with_other_columns_not_at_all() -> None:
    entries = [Entry("row-1", published(1), ("wood",), 3), Entry("row-2", published(2, state="quarantined"))]
    found = list(catalog.read(io.BytesIO(parquet(entries))))
    assert found == [
        CatalogEntry("row-1", f"{1:064x}", "published", "", "2026-01-01T00:00:00Z", ("wood",), 3),
        CatalogEntry("row-2", f"{2:064x}", "quarantined", "", "2026-01-01T00:00:00Z", (), 0),
    ]

    older = io.BytesIO()
    pq.write_table(pq.read_table(io.BytesIO(parquet(entries))).drop_columns(["tags", "files"]), older)
    assert list(catalog.read(older)) == []


def test_no_column_is_of_a_type_that_spark_refuses() -> None:
    """Unsigned integers and nanoseconds."""
    file = pq.ParquetFile(io.BytesIO(parquet([Entry("row-1", published(1))])))
    kinds = [str(file.schema.column(number).logical_type) for number in range(len(file.schema))]

    assert not [kind for kind in kinds if "isSigned=false" in kind or "nanoseconds" in kind]
    assert any("microseconds" in kind for kind in kinds)


def test_a_quarantined_prompt_has_a_row_with_its_reason() -> None:
    given_up = Outcome("a" * 64, "f" * 64, "row-1", "fog", "quarantined", failure_class="full", message="a shell")

    (row,) = rows(parquet([Entry("row-1", given_up)]))

    assert (row["state"], row["failure_class"], row["message"]) == ("quarantined", "full", "a shell")
    assert [row[name] for name in ("glb_path", "glb_bytes", "triangles", "height_m", "optimize_s")] == [None] * 5


def test_an_entry_under_another_prompt_id_is_found_under_that_one() -> None:
    (row,) = rows(parquet([Entry("row-7", published(1))]))

    assert row["prompt_id"] == "row-7"
    assert row["glb_path"] == f"assets/row-7/{1:064x}/a_red_chair.glb"
    assert row["asset_key"] == f"{1:064x}"


def test_written_group_by_group_it_has_the_bytes_of_the_table_written_at_once() -> None:
    entries = [Entry(f"row-{number:04}", published(number)) for number in range(catalog.ROWS_PER_GROUP + 1)]
    data = parquet(entries)
    whole = pa.Table.from_pylist([catalog.row_of(entry) for entry in entries], catalog.SCHEMA)
    buffer = io.BytesIO()
    pq.write_table(whole, buffer, row_group_size=catalog.ROWS_PER_GROUP, **catalog.WRITER_OPTIONS)

    assert pq.ParquetFile(io.BytesIO(data)).num_row_groups == 2
    assert data == buffer.getvalue()


def test_an_empty_catalog_still_has_its_columns() -> None:
    data = parquet([])

    assert rows(data) == []
    assert pq.read_schema(pa.BufferReader(data)).names == catalog.SCHEMA.names
