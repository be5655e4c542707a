"""The catalog: one typed row per prompt id and asset key, the same bytes for the same entries."""

import io
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dreamfoundry.library import catalog
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


def parquet(entries: Iterable[tuple[str, Outcome]]) -> bytes:
    file = io.BytesIO()
    catalog.write(entries, file)
    return file.getvalue()


def rows(data: bytes) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(io.BytesIO(data), page_checksum_verification=True).to_pylist()
    return found


def test_a_published_asset_fills_its_row() -> None:
    (row,) = rows(parquet([("row-1", published(1))]))

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
    }


def test_a_quarantined_prompt_has_a_row_with_its_reason() -> None:
    given_up = Outcome("a" * 64, "f" * 64, "row-1", "fog", "quarantined", failure_class="full", message="a shell")

    (row,) = rows(parquet([("row-1", given_up)]))

    assert (row["state"], row["failure_class"], row["message"]) == ("quarantined", "full", "a shell")
    assert [row[name] for name in ("glb_path", "glb_bytes", "triangles", "height_m", "optimize_s")] == [None] * 5


def test_an_entry_under_another_prompt_id_is_found_under_that_one() -> None:
    (row,) = rows(parquet([("row-7", published(1))]))

    assert row["prompt_id"] == "row-7"
    assert row["glb_path"] == f"assets/row-7/{1:064x}/a_red_chair.glb"
    assert row["asset_key"] == f"{1:064x}"


def test_written_group_by_group_it_has_the_bytes_of_the_table_written_at_once() -> None:
    entries = [(f"row-{number:04}", published(number)) for number in range(catalog.ROWS_PER_GROUP + 1)]
    data = parquet(entries)
    whole = pa.Table.from_pylist([catalog.row_of(outcome, prompt_id) for prompt_id, outcome in entries], catalog.SCHEMA)
    buffer = io.BytesIO()
    pq.write_table(whole, buffer, row_group_size=catalog.ROWS_PER_GROUP, **catalog.WRITER_OPTIONS)

    assert pq.ParquetFile(io.BytesIO(data)).num_row_groups == 2
    assert data == buffer.getvalue()


def test_an_empty_catalog_still_has_its_columns() -> None:
    data = parquet([])

    assert rows(data) == []
    assert pq.read_schema(pa.BufferReader(data)).names == catalog.SCHEMA.names
