"""The table of retries in docs/RUNBOOK.md: its numbers are the constants, and no constant is missing."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dreamfoundry.asset.surface.decimate import TRIES
from dreamfoundry.run.scheduling.timeouts import Limits

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "pipeline" / "dreamfoundry"

CONSTANT = re.compile(
    r"^(\w*(?:RETRY|TIMEOUT|WAIT|PAUSE|SILENCE|LIMIT|WARN_AFTER)\w*_S|(?:\w+_)?(?:TRIES|DEATHS|FAULTS))\b.* = ",
    re.MULTILINE,
)
"""Names of constants that say how often something is tried again, or for how long it is waited for."""

NO_RETRIES = {"slice_s", "progress_s"}
"""Limits of a run that are intervals of work which has not failed."""


def table() -> str:
    """The rows of the table."""
    section = (ROOT / "docs" / "RUNBOOK.md").read_text(encoding="utf-8").split("\n## Every retry\n")[1]
    return "\n".join(line for line in section.split("\n## ")[0].splitlines() if line.startswith("| "))


def numbers() -> dict[str, float]:
    """The number of each constant, by its dotted name, as the table has it."""
    return {name: float(value) for name, value in re.findall(r"`([\w.]+) = ([\d.]+)`", table())}


def constants() -> Iterator[str]:
    """Dotted names of all constants of the package that belong into the table."""
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        for name in CONSTANT.findall(path.read_text(encoding="utf-8")):
            yield f"{module}.{name}"
    for limit in dataclasses.fields(Limits):
        if limit.name not in NO_RETRIES:
            yield f"run.scheduling.timeouts.Limits.{limit.name}"


def value_of(name: str) -> Any:
    """The value of a dotted name below the package."""
    parts = name.split(".")
    modules = [".".join(["dreamfoundry", *parts[:count]]) for count in range(1, len(parts))]
    module = next(path for path in reversed(modules) if _is_module(path))
    value: Any = importlib.import_module(module)
    for part in parts[module.count(".") :]:
        value = getattr(value, part)
    return value


def _is_module(path: str) -> bool:
    try:
        return importlib.util.find_spec(path) is not None
    except ModuleNotFoundError:
        return False


@pytest.mark.parametrize("name", sorted(numbers()))
def test_each_number_of_the_table_is_that_of_its_constant(name: str) -> None:
    assert numbers()[name] == value_of(name)


def test_the_table_has_every_constant_of_its_kind() -> None:
    named = {*numbers(), *re.findall(r"`([\w.]+)`, \d+ entries", table())}

    assert set(constants()) - named == set()
    assert len(named) >= 35


def test_the_same_name_has_one_number_and_each_row_five_cells() -> None:
    pairs = set(re.findall(r"`([\w.]+) = ([\d.]+)`", table()))
    rows = [line.strip("|").split("|") for line in table().splitlines()]

    assert len(pairs) == len(numbers())
    assert {len(cells) for cells in rows} == {5}


def test_decimation_has_as_many_tries_as_the_table_says() -> None:
    assert f"`asset.surface.decimate.TRIES`, {len(TRIES)} entries" in table()
