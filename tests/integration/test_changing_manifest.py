"""A manifest that is replaced while a run is at work: every asset shows what its key says."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dreamfoundry.library.audit.audit import Audit
from dreamfoundry.library.library import Library
from dreamfoundry.object_store.open import open_store
from dreamfoundry.run.build import build_library
from dreamfoundry.run.request import RunRequest

TONIGHT = {"prompt_id": ["ball", "cube"], "prompt": ["a red ball", "a blue cube"]}
TOMORROW = {"prompt_id": ["cube", "ball", "cone"], "prompt": ["a red ball", "a blue cube", "a green cone"]}

NUM_MOMENTS = 10
"""Tenths of the questions whether to stop that a run asks, from its first reading to its last stage."""

SLOW = (pytest.mark.slow, pytest.mark.timeout(1800))  # twenty runs


def parquet(columns: dict[str, list[str]]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


class At:
    """Does something when it is asked for the n-th time whether to stop, and never says yes."""

    def __init__(self, number: int, act: Callable[[], object]) -> None:
        self._number, self._act = number, act
        self.num_asked = 0

    def __call__(self) -> bool:
        self.num_asked += 1
        if self.num_asked == self._number:
            self._act()
        return False


def num_questions(request: RunRequest) -> int:
    """Questions that an undisturbed run asks."""
    counter = At(0, lambda: None)
    build_library(request, io.StringIO(), counter)
    return counter.num_asked


def require_that_all_is_true(request: RunRequest) -> None:
    """Every outcome is that of a row of tonight, under the key of its own content."""
    library = Library(open_store(request.library))
    rows = dict(zip(TONIGHT["prompt_id"], TONIGHT["prompt"], strict=True))
    outcomes = list(library.outcomes())
    assert {(outcome.prompt_id, outcome.prompt) for outcome in outcomes} == set(rows.items())
    assert [defect for defect in Audit(library).defects() if "key" in defect.problem] == []

    build_library(request, io.StringIO())
    assert list(library.outcomes()) == outcomes, "the manifest of tonight, put back, finds all as it should be"


@pytest.mark.parametrize("moments", [(0, 4), pytest.param(range(NUM_MOMENTS), marks=SLOW)], ids=str)
def test_in_a_directory(
    request_of: Callable[..., RunRequest], tmp_path: Path, moments: Sequence[int], tried: Callable[[], None]
) -> None:
    request = request_of(["x"], manifest=str(tmp_path / "tonight.parquet"))
    path = Path(request.manifest)
    path.write_bytes(parquet(TONIGHT))
    most = num_questions(replace(request, library=str(tmp_path / "undisturbed")))

    for moment in moments:
        tried()
        path.write_bytes(parquet(TONIGHT))
        later = tmp_path / "tomorrow.parquet"
        later.write_bytes(parquet(TOMORROW))
        at = At(1 + moment * (most - 1) // NUM_MOMENTS, lambda: later.replace(path))  # noqa: B023 (called before the next)
        library = str(tmp_path / f"library-{moment}")

        result = build_library(replace(request, library=library), io.StringIO(), at)

        assert not later.exists(), "it was replaced"
        assert (result.report.status, result.report.published) == ("complete", 2)
        path.write_bytes(parquet(TONIGHT))
        require_that_all_is_true(replace(request, library=library))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_on_s3(request_of: Callable[..., RunRequest], s3_url: str, tmp_path: Path, tried: Callable[[], None]) -> None:
    bucket, _, prefix = s3_url.removeprefix("s3://").partition("/")
    key = f"{prefix}/tonight.parquet".lstrip("/")
    client = boto3.client("s3")

    def put(columns: dict[str, list[str]]) -> None:
        client.put_object(Bucket=bucket, Key=key, Body=parquet(columns))

    put(TONIGHT)
    request = request_of(["x"], manifest=f"s3://{bucket}/{key}")
    most = num_questions(replace(request, library=f"{s3_url}/undisturbed"))
    for moment in range(NUM_MOMENTS):
        tried()
        put(TONIGHT)
        library = f"{s3_url}/library-{moment}"
        at = At(1 + moment * (most - 1) // NUM_MOMENTS, lambda: put(TOMORROW))

        result = build_library(replace(request, library=library), io.StringIO(), at)

        assert (result.report.status, result.report.published) == ("complete", 2)
        put(TONIGHT)
        require_that_all_is_true(replace(request, library=library))
