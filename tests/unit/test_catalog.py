"""The catalog: one typed row per prompt id and asset key, the same bytes for the same outcomes."""

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dreamfoundry import catalog
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


def rows(data: bytes) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(io.BytesIO(data), page_checksum_verification=True).to_pylist()
    return found


def test_a_published_asset_fills_its_row() -> None:
    (row,) = rows(catalog.to_parquet([published(1)]))

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

    (row,) = rows(catalog.to_parquet([given_up]))

    assert (row["state"], row["failure_class"], row["message"]) == ("quarantined", "full", "a shell")
    assert [row[name] for name in ("glb_path", "glb_bytes", "triangles", "height_m", "optimize_s")] == [None] * 5


def test_the_order_of_the_outcomes_changes_no_byte() -> None:
    outcomes = [published(number) for number in range(5)]

    assert catalog.to_parquet(outcomes) == catalog.to_parquet(outcomes[::-1])
    assert [row["prompt_id"] for row in rows(catalog.to_parquet(outcomes[::-1]))] == [f"row-{n}" for n in range(5)]


def test_another_prompt_id_with_the_same_asset_gets_a_row_of_its_own() -> None:
    views = [("row-1", f"{1:064x}"), ("row-7", f"{1:064x}"), ("row-9", "e" * 64)]

    found = rows(catalog.to_parquet([published(1)], views))

    assert [row["prompt_id"] for row in found] == ["row-1", "row-7"]
    assert found[1]["glb_path"] == f"assets/row-7/{1:064x}/a_red_chair.glb"
    assert found[0]["asset_key"] == found[1]["asset_key"]


def test_an_empty_catalog_still_has_its_columns() -> None:
    data = catalog.to_parquet([])

    assert rows(data) == []
    assert pq.read_schema(pa.BufferReader(data)).names == catalog.SCHEMA.names
