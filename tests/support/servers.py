"""A Ray and an S3 server for the tests of whole runs, and a tiny recipe that makes balls.

pytest reads this file before jaxtyping can watch the package, so the package is imported inside
the fixtures only.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support.ports import free_ports, wait_for_port
from support.private_ray import private_ray

if TYPE_CHECKING:
    from dreamfoundry.settings.export_profiles import ExportProfile
    from dreamfoundry.settings.recipe import Recipe

ROOT = Path(__file__).parents[2]
BUCKET = "shelf"


@pytest.fixture(scope="session")
def environment() -> Iterator[pytest.MonkeyPatch]:
    """Variables for this process and all that it starts: no foreign Ray, no token, quiet."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv(
            "PYTHONPATH",
            os.pathsep.join([str(ROOT / "pipeline"), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]),
        )
        yield patch


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    """The address of moto, an S3 server that imitates one, in its own process; it has the bucket BUCKET."""
    import boto3

    (port,) = free_ports(1)
    server = subprocess.Popen(
        [sys.executable, "-c", "from moto.server import main; main()", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    keys = {"aws_access_key_id": "any", "aws_secret_access_key": "any", "region_name": "us-east-1"}
    try:
        wait_for_port(port, server)
        boto3.session.Session().client("s3", endpoint_url=url, **keys).create_bucket(Bucket=BUCKET)
        yield url
    finally:
        server.terminate()
        server.wait()


@pytest.fixture(scope="session")
def s3_url(environment: pytest.MonkeyPatch, moto_url: str) -> str:
    """The bucket on moto as a library's URL; every process finds the server by AWS_* variables."""
    environment.setenv("AWS_ENDPOINT_URL_S3", moto_url)
    environment.setenv("AWS_ACCESS_KEY_ID", "any")
    environment.setenv("AWS_SECRET_ACCESS_KEY", "any")
    environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return f"s3://{BUCKET}"


@pytest.fixture(scope="module")
def ray_cluster(environment: pytest.MonkeyPatch, s3_url: str) -> Iterator[Any]:
    """A private Ray with four logical processors; its workers inherit the S3 variables.

    One for each file: a process is connected to one Ray at a time, and some files need other ones.
    """
    with private_ray(num_cpus=4) as ray:
        yield ray


@pytest.fixture(scope="session")
def ball_recipe(tiny_deepfloyd_folder: Path) -> Recipe:
    """A few tiny steps with a random prior: the density keeps its first shape, a ball."""
    from dreamfoundry.settings.loading import with_overrides
    from dreamfoundry.settings.recipe import Recipe

    return with_overrides(
        Recipe(),
        {
            "prior.path": str(tiny_deepfloyd_folder),
            "prior.licence": "Apache-2.0",
            "field.level_resolutions": [8, 16],
            "field.density_blob_scale": 30.0,
            "render.image_px": 8,
            "render.samples_per_ray": 8,
            "optimize.num_steps": 4,
            "optimize.views_per_step": 1,
            "optimize.table_rate": 1e-6,
            "optimize.head_rate": 1e-6,
            "gates.min_mean_opacity": 0.0,
            "gates.max_mean_opacity": 1.0,
            "snapshot.grid_resolution": 32,
            "snapshot.num_views": 4,
            "snapshot.view_px": 32,
        },
    )


@pytest.fixture
def ball_recipe_file(ball_recipe: Recipe, tmp_path: Path) -> Callable[[int], str]:
    """Writes what differs from the defaults in `ball_recipe`, for programs; takes the number of steps."""

    def write(num_steps: int) -> str:
        optimize = ball_recipe.optimize
        path = tmp_path / "ball.toml"
        path.write_text(
            f"""
            prior = {{ path = "{ball_recipe.prior.path}", licence = "Apache-2.0" }}
            field = {{ level_resolutions = [8, 16], density_blob_scale = {ball_recipe.field.density_blob_scale} }}
            render = {{ image_px = 8, samples_per_ray = 8 }}
            gates = {{ min_mean_opacity = 0.0, max_mean_opacity = 1.0 }}
            snapshot = {{ grid_resolution = 32, num_views = 4, view_px = 32 }}
            [optimize]
            num_steps = {num_steps}
            views_per_step = 1
            table_rate = {optimize.table_lr}
            head_rate = {optimize.head_lr}
            """
        )
        return str(path)

    return write


@pytest.fixture(scope="session")
def tiny_profile() -> ExportProfile:
    from dreamfoundry.settings.export_profiles import ExportProfile

    return ExportProfile("tiny", (400,), (64,), collision_hull_vertices=16, thumbnail_px=64)


@pytest.fixture
def write_manifest(tmp_path: Path) -> Callable[..., str]:
    """Writes columns into a Parquet file and returns its path."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def write(**columns: list[Any]) -> str:
        path = tmp_path / "manifest.parquet"
        pq.write_table(pa.table(columns), path, write_page_checksum=True)
        return str(path)

    return write
