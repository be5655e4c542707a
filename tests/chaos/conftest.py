"""Drivers as processes of their own for the chaos tests.

pytest may read this file before jaxtyping can watch the package, so night.py, which imports it, is
imported inside the fixture only.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def start(ray_cluster: Any, ball_recipe_file: Callable[[int], str]) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts drivers on the shared Ray, whose fields take so many steps; kills what is left of them."""
    from support.runs import running_driver

    address = ray_cluster.get_runtime_context().gcs_address
    with ExitStack() as stack:

        def start(manifest: str, library: Path | str, num_steps: int, *more: str) -> subprocess.Popen[str]:
            driver = running_driver(manifest, library, ball_recipe_file(num_steps), *more, RAY_ADDRESS=address)
            return stack.enter_context(driver)

        yield start
