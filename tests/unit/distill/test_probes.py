"""A probe of a field: scores that move the right way, and the gate that each of them can close."""

from dataclasses import replace

import pytest
import torch

from dreamfoundry.diffusion.analytic import AnalyticPrior
from dreamfoundry.diffusion.networks.replay import ReplayByShape
from dreamfoundry.diffusion.prompts import encode
from dreamfoundry.distill.probes import _pictures, flatness_ratio, gate_candidate, probe_field
from dreamfoundry.nerf.field import RadianceFields
from dreamfoundry.nerf.snapshot import REFERENCE_ELEVATIONS_DEG, reference_cameras
from dreamfoundry.records import Prompt
from dreamfoundry.settings.loading import with_overrides
from dreamfoundry.settings.recipe import Recipe
from dreamfoundry.settings.selection import GateConfig
from dreamfoundry.settings.values import Ramp
from support.recorders import PlaceRecorder

RECIPE = with_overrides(
    Recipe(),
    {
        "wording.backgrounds": ["white"],
        "wording.text": "{prompt}, {view} view",
        "render.image_px": 16,
        "render.samples_per_ray": 24,
        "field.level_resolutions": [16],
        "shading.lit_probability": 0.0,
        "cameras.radius": [2.5, 2.5],
        "cameras.fovy_deg": [45.0, 45.0],
    },
)
GOOD = {"mean_opacity": 0.3, "flatness_ratio": 0.6, "prompt_gain": 0.2, "several_faces_share": 0.0}


class Solid(RadianceFields):
    """Opaque red inside a box of these half sides."""

    def __init__(self, half_x: float, half_y: float, half_z: float) -> None:
        super().__init__(RECIPE.field, 1)
        self.half_sides = torch.tensor([half_x, half_y, half_z])

    def density(self, points: torch.Tensor) -> torch.Tensor:
        return torch.where((points.abs() <= self.half_sides).all(dim=-1), 200.0, 0.0)

    def query(self, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.density(points), torch.tensor([0.9, 0.1, 0.1]).expand(*points.shape)


def pictures_of(solid: Solid) -> torch.Tensor:
    return _pictures(solid, reference_cameras(RECIPE.cameras, 8), RECIPE)[0]


def probe(solid: Solid, prior: AnalyticPrior) -> dict[str, float]:
    return probe_field(prior, solid, 0, encode(prior, Prompt("p", "a box"), RECIPE.wording), RECIPE, seed=3)


class RecordedPrior(AnalyticPrior):
    """Predicts as a prior on a GPU does."""

    def __init__(self) -> None:
        super().__init__()
        self.recorder = PlaceRecorder()
        self._replay = ReplayByShape(super().predict_noise, self.recorder)

    def predict_noise(self, noisy: torch.Tensor, timesteps: torch.Tensor, embeds: torch.Tensor) -> torch.Tensor:
        return self._replay(noisy, timesteps, embeds)


def test_a_probe_leaves_no_recording_of_its_pictures_and_says_the_same() -> None:
    prior = RecordedPrior()
    for _ in range(3):
        assert probe(Solid(0.5, 0.5, 0.5), prior) == probe(Solid(0.5, 0.5, 0.5), AnalyticPrior())
    assert prior.recorder.shapes == []


def test_a_ball_like_volume_is_not_flat_and_a_plate_is() -> None:
    assert flatness_ratio(Solid(0.5, 0.5, 0.5)) == pytest.approx(1.0, abs=0.02)
    assert flatness_ratio(Solid(0.8, 0.8, 0.04)) < 0.08
    assert flatness_ratio(Solid(0.8, 0.3, 0.3)) == pytest.approx(1.0, abs=0.02)  # a pole is no plate
    assert flatness_ratio(Solid(0.0, 0.0, 0.0)) < 1.01


def test_an_empty_volume_has_no_opacity_and_a_full_one_much() -> None:
    prior = AnalyticPrior()
    assert probe(Solid(-1.0, -1.0, -1.0), prior)["mean_opacity"] == 0.0
    assert probe(Solid(0.7, 0.7, 0.7), prior)["mean_opacity"] > probe(Solid(0.3, 0.3, 0.3), prior)["mean_opacity"] > 0.0


def test_the_prompt_explains_pictures_of_what_it_names_and_not_of_something_else() -> None:
    box, rod = Solid(0.5, 0.5, 0.5), Solid(0.1, 0.9, 0.1)
    front, side = pictures_of(box)[0], pictures_of(box)[2]
    words = {"front": front, "back": front, "side": side}
    prior = AnalyticPrior(mean_pictures={f"a box, {view} view": picture for view, picture in words.items()})

    assert probe(box, prior)["prompt_gain"] > 0.5 > probe(rod, prior)["prompt_gain"]
    assert -1.0 <= probe(rod, prior)["prompt_gain"] <= 1.0


def test_views_that_pass_for_the_front_are_counted() -> None:
    box = Solid(0.5, 0.5, 0.5)
    front, grey = pictures_of(box)[0], torch.full((3, 16, 16), 0.5)
    janus = AnalyticPrior(
        mean_pictures={"a box, front view": front, "a box, back view": grey, "a box, side view": grey}
    )
    same = AnalyticPrior(mean_pictures={f"a box, {view} view": front for view in ("front", "side", "back")})

    assert probe(box, janus)["several_faces_share"] == 1.0
    assert probe(box, same)["several_faces_share"] == 0.0


def test_a_view_passes_for_the_front_as_it_is_seen_from_the_same_height() -> None:
    box = Solid(0.5, 0.5, 0.5)
    recipe = with_overrides(
        RECIPE,
        {
            "wording.elevation_words": ["low {azimuth}", "high {azimuth}", "overhead"],
            "wording.elevation_bounds_deg": [sum(REFERENCE_ELEVATIONS_DEG) / 2, 80.0],
        },
    )
    high, grey = pictures_of(box)[1], torch.full((3, 16, 16), 0.5)
    prior = AnalyticPrior(
        mean_pictures={"a box, high front view": high}
        | {f"a box, high {side} view": grey for side in ("side", "back")}
        | {f"a box, low {side} view": grey for side in ("front", "side", "back")}
    )
    scores = probe_field(prior, box, 0, encode(prior, Prompt("p", "a box"), recipe.wording), recipe, seed=3)

    num_high, num_elsewhere = 2, 5  # of eight views; the other three are in front
    assert scores["several_faces_share"] == pytest.approx(num_high / num_elsewhere)


def test_the_same_seed_asks_the_same_question() -> None:
    box, prior = Solid(0.5, 0.5, 0.5), AnalyticPrior()
    assert probe(box, prior) == probe(box, prior)


def test_a_field_that_passes_every_gate_goes_on() -> None:
    assert gate_candidate(GOOD, GateConfig(), 0.15) is None


@pytest.mark.parametrize(
    ("gates", "scores", "failure_class"),
    [
        (GateConfig(), {"mean_opacity": 0.001}, "empty"),
        (GateConfig(), {"mean_opacity": 0.99}, "full"),
        (GateConfig(), {"flatness_ratio": 0.01}, "flat"),
        (GateConfig(max_several_faces_share=0.5), {"several_faces_share": 0.75}, "several_faces"),
        (GateConfig(min_prompt_gain=Ramp(0.1, 0.3)), {"prompt_gain": 0.1}, "off_prompt"),
        (GateConfig(), {"prompt_gain": float("nan")}, "diverged"),
    ],
)
def test_a_score_beyond_its_gate_ends_the_candidate_and_says_which(
    gates: GateConfig, scores: dict[str, float], failure_class: str
) -> None:
    failure = gate_candidate(GOOD | scores, gates, 0.15)

    assert failure is not None
    assert failure.failure_class == failure_class
    assert next(iter(scores)) in str(failure)
    assert "15%" in str(failure)


def test_a_gate_that_rises_over_the_run_lets_early_fields_pass() -> None:
    gates = replace(GateConfig(), min_prompt_gain=Ramp(0.0, 0.3))

    assert gate_candidate(GOOD | {"prompt_gain": 0.1}, gates, 0.15) is None
    assert gate_candidate(GOOD | {"prompt_gain": 0.1}, gates, 1.0) is not None
