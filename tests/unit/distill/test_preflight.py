"""Before a run: what fits, as a line that is compared with what lives in memory, and one message if nothing does."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from dreamfoundry.diffusion.diffusers_prior import DiffusersPrior
from dreamfoundry.diffusion.loading import load_prior
from dreamfoundry.distill.preflight import MemoryModel, Trial, examine, known_memory
from dreamfoundry.distill.step.slot_adam import SlotAdam
from dreamfoundry.distill.successive_halving import planned_steps
from dreamfoundry.errors import DeviceUnavailable, PriorUnavailable
from dreamfoundry.nerf.field import RadianceFields
from dreamfoundry.run.messages import SlotsFit, WorkerSettings
from dreamfoundry.run.workers.distiller import load_resident_prior, open_distiller, slots_that_fit
from dreamfoundry.settings.prior import PriorConfig
from dreamfoundry.settings.prior_identity import PriorIdentity
from dreamfoundry.settings.recipe import Recipe
from support.processes import run_job

KIB = 1024


@pytest.fixture(scope="module")
def prior(ball_recipe: Recipe) -> DiffusersPrior:
    return load_prior(ball_recipe.prior, dtype=torch.float32)


def test_what_is_known_of_the_memory_is_the_size_of_the_tensors(prior: DiffusersPrior, ball_recipe: Recipe) -> None:
    fields = RadianceFields(ball_recipe.field, 3)
    adam = SlotAdam(fields.parameters(), (0.9, 0.99), 1e-8)
    gradients = {name: torch.zeros_like(tensor) for name, tensor in fields.parameters().items()}
    held = (*fields.parameters().values(), *gradients.values(), *adam._means.values(), *adam._squares.values())
    known = known_memory(prior, ball_recipe)
    assert 3 * known.per_slot_bytes == sum(tensor.numel() * tensor.element_size() for tensor in held)
    weights = [*prior._unet.parameters(), *prior._text_encoder.model.parameters()]
    assert known.fixed_bytes >= 4 * sum(weight.numel() for weight in weights) > 0


def test_a_trial_measures_at_least_what_is_known(prior: DiffusersPrior, ball_recipe: Recipe) -> None:
    fit = examine(prior, ball_recipe, "cpu", most_slots=4)
    assert [trial.num_slots for trial in fit.trials] == [1, 2, 4]
    assert fit.too_many == 0
    for trial in fit.trials:
        assert trial.peak_bytes >= known_memory(prior, ball_recipe).at(trial.num_slots)
        assert trial.step_s > 0.0
        assert trial.snapshot_s > 0.0


def test_the_line_through_two_trials_predicts_the_next(prior: DiffusersPrior, ball_recipe: Recipe) -> None:
    third = examine(prior, ball_recipe, "cpu", most_slots=4).trials[-1]
    assert third.peak_bytes == pytest.approx(third.predicted_bytes, rel=0.15)


def test_slots_that_would_not_fit_are_not_tried(prior: DiffusersPrior, ball_recipe: Recipe) -> None:
    generous = examine(prior, ball_recipe, "cpu", most_slots=4)
    usable = max(generous.trials[1].peak_bytes, generous.trials[1].predicted_bytes)
    fit = examine(prior, ball_recipe, "cpu", most_slots=4, usable_bytes=usable)
    assert [trial.num_slots for trial in fit.trials] == [1, 2]
    assert fit.too_many == 4
    assert fit.best in fit.trials


def test_a_device_that_is_too_small_for_one_slot_is_refused_with_what_it_would_take(
    prior: DiffusersPrior, ball_recipe: Recipe
) -> None:
    with pytest.raises(PriorUnavailable, match=r"not even one slot fits beside tiny-if: 0.0 GiB of cpu may be used"):
        examine(prior, ball_recipe, "cpu", most_slots=4, usable_bytes=KIB)


def test_a_number_that_somebody_names_is_tried_alone(prior: DiffusersPrior, ball_recipe: Recipe) -> None:
    fit = examine(prior, ball_recipe, "cpu", most_slots=8, num_slots=3)
    assert [trial.num_slots for trial in fit.trials] == [3]
    with pytest.raises(PriorUnavailable, match=r"3 slots do not fit beside tiny-if: .*; fewer --slots may"):
        examine(prior, ball_recipe, "cpu", most_slots=8, num_slots=3, usable_bytes=KIB)


def test_memory_that_runs_out_ends_the_search(
    prior: DiffusersPrior, ball_recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict = prior.predict_noise

    def small(noisy: torch.Tensor, timesteps: torch.Tensor, embeds: torch.Tensor) -> torch.Tensor:
        if len(noisy) > 24:  # a probe asks 24, two slots 4
            raise torch.OutOfMemoryError("tried to allocate 2.00 GiB")
        return predict(noisy, timesteps, embeds)

    monkeypatch.setattr(prior, "predict_noise", small)
    many_views = dataclasses.replace(ball_recipe, optimize=dataclasses.replace(ball_recipe.optimize, views_per_step=4))
    fit = examine(prior, many_views, "cpu", most_slots=8)
    assert [trial.num_slots for trial in fit.trials] == [1, 2]
    assert fit.too_many == 4


@pytest.fixture
def latent_recipe(ball_recipe: Recipe, tiny_stable_diffusion_folder: Path) -> Recipe:
    """A tiny prior with a VAE, four views a step."""
    prior = dataclasses.replace(ball_recipe.prior, path=str(tiny_stable_diffusion_folder))
    return dataclasses.replace(
        ball_recipe, prior=prior, optimize=dataclasses.replace(ball_recipe.optimize, views_per_step=4)
    )


def test_the_vae_keeps_the_pictures_of_a_step_where_they_fit_and_goes_through_them_at_once(
    latent_recipe: Recipe,
) -> None:
    prior = load_prior(latent_recipe.prior, dtype=torch.float32)
    fit = examine(prior, latent_recipe, "cpu", most_slots=4)
    assert [(trial.num_slots, trial.vae_rows) for trial in fit.trials] == [(1, 4), (2, 8), (4, 16)]
    assert prior.vae_rows == fit.best.vae_rows


def test_where_they_do_not_fit_the_vae_keeps_few_from_then_on_and_memory_is_a_new_line(
    latent_recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    prior = load_prior(latent_recipe.prior, dtype=torch.float32)
    encode = prior.encode_pictures
    tried = []

    def small(pictures: torch.Tensor) -> torch.Tensor:
        tried.append((len(pictures), prior.vae_rows))
        if prior.vae_rows > 4:
            raise torch.OutOfMemoryError("tried to allocate 2.00 GiB")
        return encode(pictures)

    monkeypatch.setattr(prior, "encode_pictures", small)
    fit = examine(prior, latent_recipe, "cpu", most_slots=8)
    assert [(trial.num_slots, trial.vae_rows) for trial in fit.trials] == [(1, 4), (2, 4), (4, 4), (8, 4)]
    assert [rows for _, rows in tried if rows > 4] == [8], "tried once"
    assert fit.trials[1].predicted_bytes == known_memory(prior, latent_recipe).at(2), "no line across the kink"
    assert fit.trials[3].peak_bytes == pytest.approx(fit.trials[3].predicted_bytes, rel=0.15)


def test_the_best_is_the_fastest_for_an_asset_and_hours_follow(prior: DiffusersPrior, ball_recipe: Recipe) -> None:
    fit = examine(prior, ball_recipe, "cpu", most_slots=1)
    trials = tuple(Trial(slots, 0, 0, step_s, 0.5) for slots, step_s in ((1, 1.0), (2, 1.2), (4, 2.4)))
    best = dataclasses.replace(fit, trials=trials).best
    assert best.num_slots == 2
    steps = planned_steps(ball_recipe.probes, ball_recipe.optimize.num_steps)
    assert best.asset_s(ball_recipe) == pytest.approx(steps * 0.6 + 0.5)


def test_the_model_is_a_line() -> None:
    model = MemoryModel.through(Trial(2, 0, 500, 1.0, 1.0), Trial(4, 0, 800, 1.0, 1.0))
    assert model == MemoryModel(fixed_bytes=200, per_slot_bytes=150)
    assert model.at(8) == 1400


def test_a_worker_without_the_gpu_that_it_should_have_says_so() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    with pytest.raises(DeviceUnavailable, match=r"device 'cuda' of .* cannot be used"):
        load_resident_prior(PriorConfig(), "cuda", "graphs")


def test_a_run_is_told_how_many_slots_fit(ball_recipe: Recipe) -> None:
    prior = PriorIdentity("tiny-if", "", "0" * 64, "Apache-2.0")
    settings = WorkerSettings("", ball_recipe.prior, prior, "cpu", num_threads=1)
    fit = slots_that_fit(settings, ball_recipe, most_slots=2)
    assert fit in (SlotsFit(1), SlotsFit(2))


def test_a_run_is_told_how_many_pictures_the_vae_keeps_and_its_workers_do_it(
    latent_recipe: Recipe, tmp_path: Path
) -> None:
    prior = PriorIdentity("tiny-sd", "", "0" * 64, "Apache-2.0")
    settings = WorkerSettings(str(tmp_path), latent_recipe.prior, prior, "cpu", num_threads=1)
    fit = slots_that_fit(settings, latent_recipe, most_slots=2)
    assert fit in (SlotsFit(1, vae_rows=4), SlotsFit(2, vae_rows=8))
    distiller = open_distiller(dataclasses.replace(settings, vae_rows=12))
    assert isinstance(distiller._prior, DiffusersPrior)
    assert distiller._prior.vae_rows == 12


def test_the_program_prints_a_line_per_number_of_slots(ball_recipe_file: object) -> None:
    assert callable(ball_recipe_file)
    done = run_job("preflight.py", "--recipe", ball_recipe_file(4), "--most-slots", "2")
    assert done.returncode == 0, done.stderr
    assert "tiny-if" in done.stdout
    assert "kernels   none: plain torch code serves on a CPU" in done.stdout
    assert done.stdout.count("an hour") == 2
    assert "TFLOP of the prior for a picture" in done.stdout
    assert "--slots " in done.stdout.splitlines()[-1]


def test_the_program_says_in_one_line_why_a_prior_cannot_be_used(ball_recipe_file: object) -> None:
    assert callable(ball_recipe_file)
    done = run_job("preflight.py", "--recipe", ball_recipe_file(4), "--set", f"prior.digest={'0' * 64}")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: prior.digest = ")
    assert len(done.stderr.splitlines()) == 1
