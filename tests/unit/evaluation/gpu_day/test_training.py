"""The training block ends in time, and what comes back are weights that load, its figures and two pictures."""

import io
import tarfile
import time
from pathlib import Path

import pytest

from dreamfoundry.diffusion.loading import load_prior
from dreamfoundry.evaluation.gpu_day.task import Figures, Task
from dreamfoundry.evaluation.gpu_day.training import training
from dreamfoundry.settings.prior import PriorConfig


@pytest.mark.slow
def test_the_weights_of_a_short_training_come_back_and_load(tmp_path: Path) -> None:
    cases: dict[str, Figures] = {}
    out = tmp_path / "out"
    out.mkdir()
    task = Task("training", "cpu", True, str(out), "", "graphs", time.time() + 9.0, (), 0)
    training(task, cases.__setitem__)

    assert cases["views"]["count"] > 0
    limit = cases["time limit"]
    assert limit["left_s"] <= cases["views"]["left_s"], "what was read and loaded before is not trained"
    assert limit["limit_s"] == pytest.approx(limit["left_s"] * 2 / 3, abs=0.2)
    assert set(cases["denoising error of these"]) == {"0.99", "0.9", "0.7", "0.5"}
    files = cases["exported"]["files"]
    assert {path.name for path in out.iterdir()} == {*files, "loss.png", "samples.png"}

    parts = b"".join((out / name).read_bytes() for name in sorted(files))
    with tarfile.open(fileobj=io.BytesIO(parts)) as tar:
        tar.extractall(tmp_path / "weights", filter="data")
    prior = load_prior(PriorConfig(path=str(tmp_path / "weights"), license="Apache-2.0"))
    assert prior.picture_px == 8
