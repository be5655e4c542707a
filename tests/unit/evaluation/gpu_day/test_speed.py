"""Blocks of many cases cost nothing but the cases that are measured."""

import time

import pytest

from dreamfoundry.evaluation.gpu_day import speed
from dreamfoundry.evaluation.gpu_day.task import Emit, Figures, Task


@pytest.mark.parametrize(("block", "num_cases"), [("step_table", 8), ("switches", 10)])
def test_a_block_without_time_names_its_cases_and_makes_no_prior(block: str, num_cases: int) -> None:
    """Of real size: a single prior would take minutes here."""
    found: dict[str, Figures] = {}
    emit: Emit = found.__setitem__
    started_at = time.monotonic()
    getattr(speed, block)(Task(block, "cpu", False, "", "", "eager", time.time() - 3.0, (), 0), emit)

    assert list(found.values()) == [{"left_out": "0 s were left"}] * num_cases
    assert time.monotonic() - started_at < 5.0
