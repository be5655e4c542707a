"""Training is deterministic and resumable, and its result loads like any prior."""

import dataclasses
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from dreamfoundry.diffusion.loading import load_prior
from dreamfoundry.errors import ConfigError
from dreamfoundry.settings.distillation import CameraConfig, ShadingConfig
from dreamfoundry.settings.prior import PriorConfig, WordingConfig
from dreamfoundry.toybox.training.config import TrainingConfig
from dreamfoundry.toybox.training.dataset import TracedViews, trace_views
from dreamfoundry.toybox.training.plots import ddim_pictures
from dreamfoundry.toybox.training.prefetch import AHEAD
from dreamfoundry.toybox.training.trainer import REPORT_EVERY, Trainer

TINY = TrainingConfig(
    picture_px=8, num_steps=4, batch_size=4, views_per_kind=2, block_out_channels=(16, 32), text_width=24
)


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> TracedViews:
    return trace_views(TINY, CameraConfig(), WordingConfig(), tmp_path_factory.mktemp("views"))


def trained(config: TrainingConfig, views: TracedViews, folder: Path) -> Trainer:
    folder.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(config, ShadingConfig(), views, folder)
    trainer.run(lambda step, loss, rate: None)
    return trainer


def test_a_resumed_run_equals_an_uninterrupted_one(views: TracedViews, tmp_path: Path) -> None:
    whole = trained(TINY, views, tmp_path / "whole")

    half = Trainer(TINY, ShadingConfig(), views, tmp_path)
    half.run(lambda step, loss, rate: None, until_step=2)
    resumed = trained(TINY, views, tmp_path)

    assert resumed.step == 4
    assert all(torch.equal(a, b) for a, b in zip(whole.weights, resumed.weights, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(whole.average, resumed.average, strict=True))


def test_a_checkpoint_of_another_configuration_is_refused(views: TracedViews, tmp_path: Path) -> None:
    trained(TINY, views, tmp_path)

    with pytest.raises(ConfigError, match="is of other settings"):
        Trainer(dataclasses.replace(TINY, seed=1), ShadingConfig(), views, tmp_path)


def test_a_time_limit_ends_a_run_and_counts_what_was_trained_before(views: TracedViews, tmp_path: Path) -> None:
    config = dataclasses.replace(TINY, num_steps=1, time_limit_s=1.0)
    half = Trainer(config, ShadingConfig(), views, tmp_path)
    half.run(lambda step, loss, rate: None, until_step=2)

    started_at = time.monotonic()
    whole = trained(config, views, tmp_path)

    assert 0.0 < half.trained_s < 1.0 <= whole.trained_s
    assert whole.trained_s - half.trained_s <= time.monotonic() - started_at, "the time before counts"
    assert whole.step > 2
    assert trained(config, views, tmp_path).step <= whole.step + AHEAD, "its time is over"


def test_losses_are_of_every_step_although_they_are_read_together(views: TracedViews, tmp_path: Path) -> None:
    reports: list[tuple[int, float]] = []
    config = dataclasses.replace(TINY, num_steps=REPORT_EVERY + 3)
    trainer = Trainer(config, ShadingConfig(), views, tmp_path)
    trainer.run(lambda step, loss, rate: reports.append((step, loss)))

    assert len(trainer.losses) == REPORT_EVERY + 3
    ((step, loss),) = reports
    assert step == REPORT_EVERY
    assert loss == pytest.approx(sum(trainer.losses[:REPORT_EVERY]) / REPORT_EVERY)


class HostReads(TorchDispatchMode):
    """Counts the values that the host asks the device for."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.count = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        waits = (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default)
        self.count += func in waits
        return func(*args, **(kwargs or {}))


def test_the_host_reads_one_value_at_most_in_a_step(views: TracedViews, tmp_path: Path) -> None:
    """transformers asks whether a batch has any padding; nothing of ours asks for anything."""
    trainer = Trainer(TINY, ShadingConfig(), views, tmp_path)
    batch = trainer.batch(0)
    with HostReads() as reads:
        trainer.loss_of(batch).backward()

    assert reads.count <= 1


def test_a_run_can_start_from_the_weights_of_another(views: TracedViews, tmp_path: Path) -> None:
    trained(TINY, views, tmp_path / "first").export(tmp_path / "weights")
    fresh = Trainer(TINY, ShadingConfig(), views, tmp_path / "second", start_from=tmp_path / "weights")
    exported = [weight.half().float() for weight in trained(TINY, views, tmp_path / "first").average]

    assert fresh.step == 0
    assert all(torch.equal(a, b) for a, b in zip(fresh.weights, exported, strict=True))


def test_the_trained_folder_loads_as_a_prior_and_draws_pictures(views: TracedViews, tmp_path: Path) -> None:
    trained(TINY, views, tmp_path).export(tmp_path / "weights")
    prior = load_prior(PriorConfig(path=str(tmp_path / "weights"), license="Apache-2.0"))
    pictures = ddim_pictures(
        prior,
        ["a red cube, front view, white background"],
        ["white background"],
        guidance_scale=3.0,
        num_steps=2,
        seed=0,
    )

    assert pictures.shape == (1, 3, 8, 8)
    assert pictures.min() >= 0.0
    assert pictures.max() <= 1.0
