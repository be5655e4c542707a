"""The code writes and reads what the frozen files in schemas/ say, and nothing else."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dreamfoundry.library import catalog
from dreamfoundry.library.entries import Entry
from dreamfoundry.library.library import outcome_to_json
from dreamfoundry.library.record_json import json_schema
from dreamfoundry.manifest.row import COLUMNS
from dreamfoundry.records import BlobRef, Outcome
from dreamfoundry.run import report

SCHEMAS = Path(__file__).parents[2] / "schemas"


def manifest_schema() -> dict[str, Any]:
    columns = [
        {"name": column.name, "type": str(column.type), "required": column.required, "meaning": column.meaning}
        for column in COLUMNS
    ]
    return {"schema": "manifest.v1", "format": "Parquet", "columns": columns}


def catalog_schema() -> dict[str, Any]:
    columns = [{"name": field.name, "type": str(field.type), "nullable": field.nullable} for field in catalog.SCHEMA]
    return {"schema": "catalog.v1", "format": "Parquet", "columns": columns}


GENERATED: dict[str, Callable[[], dict[str, Any]]] = {
    "manifest.v1.json": manifest_schema,
    "catalog.v1.json": catalog_schema,
    "outcome.v1.schema.json": lambda: json_schema(Outcome, "outcome.v1"),
    "run_progress.v1.schema.json": lambda: json_schema(report.RunProgress, "run_progress.v1"),
    "run_report.v1.schema.json": lambda: json_schema(report.RunReport, "run_report.v1"),
}


@pytest.mark.parametrize("name", GENERATED)
def test_the_code_still_speaks_the_frozen_version(name: str) -> None:
    frozen = (SCHEMAS / name).read_text(encoding="utf-8")
    generated = json.dumps(GENERATED[name](), indent=2) + "\n"

    assert frozen == generated, f"{name} and the code differ; schemas/README.md says what may change. Now:\n{generated}"


def test_a_written_outcome_fits_its_schema() -> None:
    blob = BlobRef("0" * 64, 12, "model/gltf-binary")
    written = outcome_to_json(
        Outcome("ab" * 32, "cd" * 32, "row-1", "a red chair", "published", files={"a.glb": blob}, snapshot=blob)
    )

    jsonschema.validate(json.loads(written), json.loads((SCHEMAS / "outcome.v1.schema.json").read_text()))


def test_an_outcome_with_an_unknown_state_does_not_fit_its_schema() -> None:
    values = json.loads(outcome_to_json(Outcome("ab" * 32, "cd" * 32, "row-1", "a red chair", "published")))
    schema = json.loads((SCHEMAS / "outcome.v1.schema.json").read_text())

    with pytest.raises(jsonschema.ValidationError, match="lost"):
        jsonschema.validate({**values, "state": "lost"}, schema)


def test_a_written_catalog_has_the_columns_of_its_schema() -> None:
    file = io.BytesIO()
    catalog.write([Entry("row-1", Outcome("ab" * 32, "cd" * 32, "row-1", "a red chair", "quarantined"))], file)
    frozen = json.loads((SCHEMAS / "catalog.v1.json").read_text())

    found = pq.read_schema(pa.BufferReader(file.getvalue()))
    assert [(field.name, str(field.type).replace(" ('scores')", "")) for field in found] == [
        (column["name"], column["type"]) for column in frozen["columns"]
    ]
