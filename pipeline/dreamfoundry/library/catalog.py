"""Stage 9: outcomes become the catalog, one Parquet row per prompt id and asset key.

The catalog is a projection: rows come sorted, writer options are fixed, so building it again from
the same outcomes gives the same bytes. Columns may be added at the end, never changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from io import BufferedIOBase
from itertools import islice
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dreamfoundry.file_roles import role_of
from dreamfoundry.library.entries import Entry
from dreamfoundry.library.library import view_key
from dreamfoundry.library.rows import BAD_ROW
from dreamfoundry.records import BlobRef, Outcome

KEY = "catalog/catalog.parquet"
MEDIA_TYPE = "application/vnd.apache.parquet"

_CANDIDATE = pa.struct(
    [
        pa.field("candidate", pa.int32()),
        pa.field("num_steps", pa.int64()),
        pa.field("verdict", pa.string()),
    ]
)

_FILE = pa.struct(
    [
        pa.field("role", pa.string()),
        pa.field("level", pa.int32()),
        pa.field("path", pa.string()),
        pa.field("num_bytes", pa.int64()),
        pa.field("sha256", pa.string()),
        pa.field("media_type", pa.string()),
    ]
)

SCHEMA = pa.schema(
    [
        pa.field("prompt_id", pa.string(), nullable=False),
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("asset_key", pa.string(), nullable=False),
        pa.field("field_key", pa.string(), nullable=False),
        pa.field("state", pa.string(), nullable=False),
        pa.field("failure_class", pa.string()),
        pa.field("message", pa.string()),
        pa.field("attempts", pa.int32(), nullable=False),
        pa.field("candidate", pa.int32(), nullable=False),
        pa.field("slug", pa.string()),
        pa.field("glb_path", pa.string()),
        pa.field("glb_sha256", pa.string()),
        pa.field("glb_bytes", pa.int64()),
        pa.field("thumbnail_path", pa.string()),
        pa.field("triangles", pa.int64()),
        pa.field("height_m", pa.float64()),
        pa.field("optimize_s", pa.float64()),
        pa.field("export_s", pa.float64()),
        pa.field("run_id", pa.string()),
        pa.field("created_at", pa.string()),
        pa.field("scores", pa.map_(pa.string(), pa.float64())),
        pa.field("steps_spent", pa.int64()),
        pa.field("step_budget", pa.int64()),
        pa.field("candidates", pa.list_(pa.field("element", _CANDIDATE))),
        pa.field("tags", pa.list_(pa.field("element", pa.string()))),
        pa.field("priority", pa.int32()),
        pa.field("seed", pa.int64()),
        pa.field("negative_prompt", pa.string()),
        pa.field("budget_profile", pa.string()),
        pa.field("target_height_m", pa.float64()),
        pa.field("recipe_name", pa.string()),
        pa.field("recipe_digest", pa.string()),
        pa.field("prior_id", pa.string()),
        pa.field("is_current", pa.bool_()),
        pa.field("decided_at", pa.timestamp("us", tz="UTC")),
        pa.field("files", pa.list_(pa.field("element", _FILE))),
    ]
)
"""Paths are relative to the library; created_at is RFC 3339 text in UTC, decided_at the same as a time; null is "not
known". No type is unsigned or finer than microseconds, so that Spark reads it; docs/CATALOG.md explains the columns."""

ROWS_PER_GROUP = 2_000

WRITER_OPTIONS: Mapping[str, Any] = {
    "version": "2.6",
    "compression": "zstd",
    "compression_level": 3,
    "use_dictionary": ["state", "failure_class", "run_id"],
    "write_statistics": True,
    "write_page_checksum": True,
}
"""With these, equal rows are equal bytes."""

_THUMBNAIL = "thumbnail.png"


def write(entries: Iterable[Entry], file: BufferedIOBase) -> None:
    """Write the catalog of `entries` as Parquet; one group of rows is in memory at a time.

    They must come by ascending prompt id, then asset key.
    """
    remaining = iter(entries)
    with pq.ParquetWriter(file, SCHEMA, **WRITER_OPTIONS) as writer:
        while (group := _table(islice(remaining, ROWS_PER_GROUP))).num_rows:
            writer.write_table(group)


class CatalogEntry(NamedTuple):
    """The columns of a row that tell whether it shows what is known of its outcome and of its manifest's row."""

    prompt_id: str
    asset_key: str
    state: str
    failure_class: str
    created_at: str
    tags: tuple[str, ...]
    priority: int


def read(file: BufferedIOBase) -> Iterator[CatalogEntry]:
    """The rows of a catalog in their order; one group of them is in memory at a time.

    A catalog with other columns was written by another version: it yields no rows and will be written anew.
    """
    with pq.ParquetFile(file) as parquet:
        if not parquet.schema_arrow.equals(SCHEMA):
            return
        for batch in parquet.iter_batches(ROWS_PER_GROUP, columns=list(CatalogEntry._fields)):
            for row in batch.to_pylist():
                yield CatalogEntry(
                    row["prompt_id"],
                    row["asset_key"],
                    row["state"],
                    row["failure_class"] or "",
                    row["created_at"] or "",
                    tuple(row["tags"] or ()),
                    row["priority"] or 0,
                )


def is_whole(file: BufferedIOBase) -> bool:
    """True if every page of a catalog can be read and has its checksum."""
    try:
        with pq.ParquetFile(file, page_checksum_verification=True) as parquet:
            for _ in parquet.iter_batches(ROWS_PER_GROUP):
                pass
    except (pa.ArrowException, OSError):
        return False
    return True


def export_seconds(file: BufferedIOBase, profile: str) -> list[float]:
    """The seconds of every export of a published asset for `profile`; none from a catalog of another version."""
    with pq.ParquetFile(file) as parquet:
        if not parquet.schema_arrow.equals(SCHEMA):
            return []
        rows = parquet.read(columns=["state", "budget_profile", "export_s"])
    chosen = pc.and_(pc.equal(rows["state"], "published"), pc.equal(rows["budget_profile"], profile))
    return rows.filter(chosen)["export_s"].drop_null().to_pylist()  # type: ignore[no-any-return]


def _table(entries: Iterable[Entry]) -> pa.Table:
    return pa.Table.from_pylist([row_of(entry) for entry in entries], schema=SCHEMA)


def row_of(entry: Entry) -> dict[str, Any]:
    """The row of the catalog for an entry, by column."""
    prompt_id, outcome = entry.prompt_id, entry.outcome
    glb_name = f"{outcome.slug}.glb"
    glb: BlobRef | None = outcome.files.get(glb_name)
    folder = f"assets/{prompt_id}/{outcome.asset_key}"
    triangles = outcome.scores.get("triangles")

    return {
        "prompt_id": prompt_id,
        "prompt": outcome.prompt,
        "asset_key": outcome.asset_key,
        "field_key": outcome.field_key,
        "state": outcome.state,
        "failure_class": outcome.failure_class or None,
        "message": outcome.message or None,
        "attempts": outcome.tries,
        "candidate": outcome.candidate,
        "slug": outcome.slug or None,
        "glb_path": f"{folder}/{glb_name}" if glb is not None else None,
        "glb_sha256": glb.sha256 if glb is not None else None,
        "glb_bytes": glb.num_bytes if glb is not None else None,
        "thumbnail_path": f"{folder}/{_THUMBNAIL}" if _THUMBNAIL in outcome.files else None,
        "triangles": int(triangles) if triangles is not None else None,
        "height_m": outcome.scores.get("height_m"),
        "optimize_s": _number(outcome.provenance, "optimize_s"),
        "export_s": _number(outcome.provenance, "export_s"),
        "run_id": _text(outcome.provenance, "run_id"),
        "created_at": _text(outcome.provenance, "created_at"),
        "scores": sorted(outcome.scores.items()),
        "steps_spent": _integer(outcome.provenance, "steps_spent"),
        "step_budget": _integer(outcome.provenance, "step_budget"),
        "candidates": _candidates(outcome.provenance),
        **_columns_of_row(entry),
        **_columns_of_request(outcome),
        "is_current": entry.is_current,
        "decided_at": _time(outcome.provenance),
        "files": _files(entry),
    }


def _columns_of_row(entry: Entry) -> dict[str, Any]:
    """Tags and priority: what the manifest's row says beside its request; unknown of a row that could not be read."""
    is_bad_row = entry.outcome.failure_class == BAD_ROW
    return {
        "tags": None if is_bad_row else list(entry.tags),
        "priority": None if is_bad_row else entry.priority,
    }


def _columns_of_request(outcome: Outcome) -> dict[str, Any]:
    """The request; unknown of outcomes of versions that did not record it, and of bad rows."""
    provenance = outcome.provenance if outcome.field_key else {}
    request = _table_of(provenance, "request")
    field, asset = _table_of(request, "field"), _table_of(request, "asset")
    return {
        "seed": _integer(field, "seed"),
        "negative_prompt": _text(field, "negative_prompt"),
        "budget_profile": _text(provenance, "budget_profile"),
        "target_height_m": _number(asset, "target_height_m"),
        "recipe_name": _text(provenance, "recipe_name") or None,
        "recipe_digest": _text(provenance, "recipe_digest"),
        "prior_id": _text(_table_of(provenance, "prior"), "prior_id"),
    }


def _files(entry: Entry) -> list[dict[str, Any]]:
    """Every delivered file, by its path."""
    outcome, rows = entry.outcome, []
    for name, ref in sorted(outcome.files.items()):
        role = role_of(name, outcome.slug)
        rows.append(
            {
                "role": role.name,
                "level": role.level,
                "path": view_key(entry.prompt_id, outcome.asset_key, name),
                "num_bytes": ref.num_bytes,
                "sha256": ref.sha256,
                "media_type": ref.media_type,
            }
        )
    return rows


def _time(provenance: Mapping[str, object]) -> datetime | None:
    """The time of the decision, None where there is none that can be read."""
    try:
        moment = datetime.fromisoformat(str(provenance.get("created_at", "")))
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _table_of(values: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = values.get(name)
    return value if isinstance(value, Mapping) else {}


def _number(provenance: Mapping[str, object], name: str) -> float | None:
    value = provenance.get(name)
    return float(value) if isinstance(value, (int, float)) else None


def _integer(provenance: Mapping[str, object], name: str) -> int | None:
    value = provenance.get(name)
    return value if isinstance(value, int) else None


def _candidates(provenance: Mapping[str, object]) -> list[dict[str, Any]] | None:
    """Every candidate that was tried for the field, as the provenance lists them."""
    tried, names = provenance.get("candidates"), [field.name for field in _CANDIDATE]
    if not isinstance(tried, list):
        return None
    known = [candidate for candidate in tried if isinstance(candidate, Mapping) and candidate.keys() >= {*names}]
    return [{name: candidate[name] for name in names} for candidate in known]


def _text(provenance: Mapping[str, object], name: str) -> str | None:
    value = provenance.get(name)
    return value if isinstance(value, str) else None
