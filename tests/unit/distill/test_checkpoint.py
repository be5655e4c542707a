"""Checkpoints: an interrupted assignment makes the same bits, and a wrong file does nothing."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import numpy as np
import pytest

from dreamfoundry.diffusion.analytic import AnalyticPrior
from dreamfoundry.distill.checkpoint import Checkpoint
from dreamfoundry.distill.loop import SlotBatch
from dreamfoundry.distill.slot import Assignment, OptimizedField
from dreamfoundry.errors import FlatField, ObjectCorrupt, PromptFailure, prompt_failure
from dreamfoundry.records import Prompt
from dreamfoundry.settings.loading import with_overrides
from dreamfoundry.settings.recipe import Recipe

RECIPE = with_overrides(
    Recipe(),
    {
        "field.level_resolutions": [8],
        "render.image_px": 8,
        "render.samples_per_ray": 8,
        "optimize.num_steps": 12,
        "optimize.views_per_step": 1,
        "gates.min_mean_opacity": 0.0,
        "gates.max_mean_opacity": 1.0,
        "gates.min_flatness_ratio": 0.0,
        "gates.max_several_faces_share": 1.0,
        "gates.min_prompt_gain": -1.0,
        "looks.at": [0.25, 0.5],
        "looks.best_of": 3,
        "looks.step_budget": 3.0,
        "snapshot.grid_resolution": 16,
        "snapshot.num_views": 1,
        "snapshot.view_px": 16,
    },
)
RED, BLUE = (Assignment(Prompt(name, f"a {name} ball"), f"field-{name}") for name in ("red", "blue"))


def batch_with(*assignments: tuple[Assignment, Checkpoint | None]) -> SlotBatch:
    batch = SlotBatch(AnalyticPrior(picture_px=8), RECIPE, 2)
    for assignment, checkpoint in assignments:
        batch.admit(assignment, checkpoint)
    return batch


def run_to_the_end(batch: SlotBatch) -> dict[str, OptimizedField]:
    results: list[OptimizedField] = []
    while batch.num_live:
        batch.step()
        results += batch.harvest()
    return {result.assignment.field_key: result for result in results}


def checkpoint_after(num_steps: int) -> Checkpoint:
    batch = batch_with((RED, None), (BLUE, None))
    for _ in range(num_steps):
        batch.step()
        batch.harvest()
    checkpoint = batch.checkpoint(0)
    assert checkpoint is not None
    return checkpoint


@pytest.mark.parametrize("num_steps", [0, 1, 3, 8, 20])
def test_11_an_interrupted_assignment_ends_with_the_bits_of_an_uninterrupted_one(num_steps: int) -> None:
    uninterrupted = run_to_the_end(batch_with((RED, None), (BLUE, None)))["field-red"]
    data = checkpoint_after(num_steps).to_bytes()
    resumed = run_to_the_end(batch_with((RED, Checkpoint.from_bytes(data, "field-red")), (BLUE, None)))["field-red"]

    assert resumed.snapshot is not None
    assert uninterrupted.snapshot is not None
    assert resumed.snapshot.to_bytes() == uninterrupted.snapshot.to_bytes()
    assert resumed.history == uninterrupted.history


def test_a_checkpoint_knows_its_steps_and_the_time_it_took() -> None:
    checkpoint = checkpoint_after(8)

    assert checkpoint.num_steps == 8
    assert len(checkpoint.states) == 3, "two parked candidates and the one that runs"
    assert checkpoint.optimize_s > 0.0
    slot = batch_with((RED, checkpoint)).slots[0]
    assert slot is not None
    assert slot.optimize_s >= checkpoint.optimize_s


def test_a_free_slot_and_one_that_diverged_have_no_checkpoint() -> None:
    batch = batch_with((RED, None))
    batch.healthy[0] = False

    assert batch.checkpoint(0) is None
    assert batch.checkpoint(1) is None


def test_the_failure_of_an_earlier_candidate_survives() -> None:
    checkpoint = checkpoint_after(8)
    checkpoint.candidates[0].failure = FlatField("thin as paper")
    failure = Checkpoint.from_bytes(checkpoint.to_bytes(), "field-red").candidates[0].failure

    assert type(failure) is FlatField
    assert str(failure) == "thin as paper"


@pytest.mark.parametrize("kind", PromptFailure.__subclasses__())
def test_every_class_of_failure_is_known_by_its_word(kind: type[PromptFailure]) -> None:
    assert type(prompt_failure(kind.failure_class, "why")) is kind


def test_14_another_field_or_format_is_refused_by_name() -> None:
    data = checkpoint_after(1).to_bytes()

    with pytest.raises(ObjectCorrupt, match="field-red"):
        Checkpoint.from_bytes(data, "field-green")
    with pytest.raises(ObjectCorrupt, match=r"checkpoint.v0"):
        Checkpoint.from_bytes(in_format("checkpoint.v0", data), "field-red")


def in_format(name: str, data: bytes) -> bytes:
    """The same checkpoint as another version of the program would have labelled it."""
    with np.load(io.BytesIO(data)) as file:
        arrays = dict(file)
    arrays["header"] = np.str_(str(arrays["header"]).replace("checkpoint.v1", name))
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_13_a_truncated_file_is_refused(share: float) -> None:
    data = checkpoint_after(1).to_bytes()

    with pytest.raises(ObjectCorrupt, match="cannot be read"):
        Checkpoint.from_bytes(data[: int(len(data) * share)], "field-red")


def test_a_file_without_its_tensors_is_refused() -> None:
    header = '{"format": "checkpoint.v1", "field_key": "field-red", "candidate": 0, "optimize_s": 1.0, "runners": []}'
    buffer = io.BytesIO()
    np.savez(buffer, header=np.str_(header))

    with pytest.raises(ObjectCorrupt, match="no state of candidate 0"):
        Checkpoint.from_bytes(buffer.getvalue(), "field-red")


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.path,))


def test_a_file_from_elsewhere_is_never_unpickled(tmp_path: Path) -> None:
    trace = tmp_path / "exploded"
    buffer = io.BytesIO()
    np.savez(buffer, header=np.array([Bomb(trace)], dtype=object))

    for data in (buffer.getvalue(), pickle.dumps(Bomb(trace))):
        with pytest.raises(ObjectCorrupt):
            Checkpoint.from_bytes(data, "field-red")
    assert not trace.exists()
