"""Before a run: does the prior work on this device, how many slots fit beside it, and how long will it take?

    prior = load_prior(recipe.prior, device=device)
    fit = examine(prior, recipe, device, most_slots=32)
    fit.best.num_slots

Memory is a line, bytes(K) = fixed + K per slot, as long as the VAE goes one way (`_Search`). What is known before
any step is its lower bound: the weights of the prior, and of each slot its parameters, gradients and moments. What
activations add is measured: every number of slots is tried only if the line through the two before it says that
it fits, and what it then takes is compared with that.

Measured is the peak over steps of every render phase, a probe and a snapshot, as `device_memory` counts it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from statistics import median

import torch

from dreamfoundry.diffusion.diffusers_prior import DiffusersPrior
from dreamfoundry.diffusion.networks.vae_encoder import VAE_ROWS
from dreamfoundry.distill.device_memory import is_out_of_memory, peak_memory, release_memory, usable_memory_bytes
from dreamfoundry.distill.loop import SlotBatch
from dreamfoundry.distill.probes import probe_field
from dreamfoundry.distill.slot import Assignment
from dreamfoundry.distill.successive_halving import planned_steps
from dreamfoundry.errors import PriorUnavailable
from dreamfoundry.nerf.field import RadianceFields
from dreamfoundry.nerf.snapshot import take_snapshot
from dreamfoundry.records import Prompt
from dreamfoundry.settings.recipe import Recipe

SLOT_SIZES = (1, 2, 4, 8, 16, 32)
"""The numbers of slots that are tried: few, so that shapes are few."""

PROMPT = "a red chair"
"""Words that every prior knows, the toybox too."""

TIMED_STEPS = 3
WARM_UP_STEPS = {"cuda": 4, "cpu": 1}
"""Steps of each render phase before the timed ones: kernels are chosen and graphs recorded in the first few."""

GIB = 2**30


@dataclass(frozen=True)
class MemoryModel:
    """bytes(K) = fixed + K per slot."""

    fixed_bytes: int
    per_slot_bytes: int

    def at(self, num_slots: int) -> int:
        return self.fixed_bytes + num_slots * self.per_slot_bytes

    @classmethod
    def through(cls, first: Trial, second: Trial) -> MemoryModel:
        """The line through two measured peaks."""
        per_slot = (second.peak_bytes - first.peak_bytes) / (second.num_slots - first.num_slots)
        return cls(round(first.peak_bytes - first.num_slots * per_slot), round(per_slot))


@dataclass(frozen=True)
class Trial:
    """A measurement of K slots: the peak predicted and measured, seconds of a mean step and of one snapshot.

    `vae_rows` are the pictures whose activations the VAE kept, 0 without one.
    """

    num_slots: int
    predicted_bytes: int
    peak_bytes: int
    step_s: float
    snapshot_s: float
    vae_rows: int = 0

    def asset_s(self, recipe: Recipe) -> float:
        """Seconds of a distill worker per asset if no candidate fails; exports run beside it."""
        steps = planned_steps(recipe.probes, recipe.optimize.num_steps)
        return steps * self.step_s / self.num_slots + self.snapshot_s


@dataclass(frozen=True)
class Fit:
    """Result of `examine`. `usable_bytes` is the part of the device that a run may take.

    `too_many` is the number of slots that did not fit any more, 0 if there was none.
    """

    trials: tuple[Trial, ...]
    model: MemoryModel
    usable_bytes: int
    text_encoder_on_host: bool
    too_many: int

    @property
    def best(self) -> Trial:
        """The trial with the shortest step per asset; of equals the one with fewer slots."""
        return min(self.trials, key=lambda trial: (trial.step_s / trial.num_slots, trial.num_slots))


def known_memory(prior: DiffusersPrior, recipe: Recipe) -> MemoryModel:
    """The part of the memory that needs no measurement: a lower bound for any number of slots."""
    one = RadianceFields(recipe.field, 1, device="meta")
    parameters = sum(tensor.nbytes for tensor in one.parameters().values())
    return MemoryModel(prior.num_bytes, 4 * parameters)  # gradient and two moments are as large as they


def examine(
    prior: DiffusersPrior,
    recipe: Recipe,
    device: str,
    *,
    most_slots: int,
    num_slots: int = 0,
    usable_bytes: int | None = None,
) -> Fit:
    """Try 1, 2, 4 … up to `most_slots` slots (or the next larger size) as long as they fit; or `num_slots` alone.

    `usable_bytes` is measured where it is not given. The text encoder goes to the host where that
    lets more slots fit, and the VAE takes the pictures of a step in one pass where its activations fit; `prior`
    stays as the best trial had it. PriorUnavailable, with what would work, if not even the first number fits.
    """
    usable = usable_memory_bytes(device) if usable_bytes is None else usable_bytes
    search = _Search(prior, recipe, device, usable)
    trials: list[Trial] = []
    too_many = 0
    sizes = (num_slots,) if num_slots else SLOT_SIZES
    for size in sizes:
        if trials and trials[-1].num_slots >= most_slots:
            break
        trial = search.try_slots(size)
        if trial is None:
            too_many = size
            break
        trials.append(trial)

    if not trials:
        room = f"beside {prior.identity.prior_id}: {usable / GIB:.1f} GiB of {device} may be used"
        if too_many > 1:
            raise PriorUnavailable(f"{too_many} slots do not fit {room}; fewer --slots may")
        raise PriorUnavailable(
            f"not even one slot fits {room}, and weights and one field alone take {search.model.at(1) / GIB:.1f} GiB; "
            "a smaller render.image_px, field or prior would fit, or a larger device"
        )
    fit = Fit(tuple(trials), search.model, usable, prior.is_text_encoder_parked, too_many)
    adapt(prior, text_encoder_on_host=fit.text_encoder_on_host, vae_rows=fit.best.vae_rows)
    return fit


def adapt(prior: DiffusersPrior, *, text_encoder_on_host: bool, vae_rows: int) -> None:
    """Bring a prior into the form of a trial; with `vae_rows` 0 its VAE keeps as many pictures as it does by itself."""
    if text_encoder_on_host:
        prior.park_text_encoder()
    if vae_rows:
        prior.vae_rows = vae_rows


class _Search:
    """Trials of more and more slots. `model` predicts the memory of the next one.

    Memory is a line only among trials that pass the VAE in one way: with the activations of all pictures kept, which is
    a fifth faster and takes more for each picture, or, once these do not fit, with those of VAE_ROWS at a time.
    """

    def __init__(self, prior: DiffusersPrior, recipe: Recipe, device: str, usable_bytes: int) -> None:
        self._prior, self._recipe, self._device, self._usable_bytes = prior, recipe, device, usable_bytes
        self._keeps_activations = True
        self._start_line()

    def _start_line(self) -> None:
        self.model = known_memory(self._prior, self._recipe)
        self._before: Trial | None = None

    def try_slots(self, num_slots: int) -> Trial | None:
        """A trial in the faster way that fits; None if neither does."""
        num_pictures = num_slots * self._recipe.optimize.views_per_step
        has_choice = self._prior.vae_rows > 0 and num_pictures > VAE_ROWS
        if self._keeps_activations:
            self._prior.vae_rows = max(VAE_ROWS, num_pictures)
            trial = self._try(num_slots)
            if trial is not None or not has_choice:
                return trial
            self._keeps_activations = False
            self._start_line()
        self._prior.vae_rows = VAE_ROWS
        return self._try(num_slots)

    def _try(self, num_slots: int) -> Trial | None:
        prior, parkable = self._prior, self._prior.parkable_bytes

        # texts are encoded once per asset, so their encoder is the cheapest to move to the host
        if self.model.at(num_slots) > self._usable_bytes >= self.model.at(num_slots) - parkable:
            self.model = MemoryModel(self.model.fixed_bytes - parkable, self.model.per_slot_bytes)
            if self._before is not None:
                self._before = replace(self._before, peak_bytes=self._before.peak_bytes - parkable)
            prior.park_text_encoder()
        if self.model.at(num_slots) > self._usable_bytes:
            return None

        trial = _measure_if_it_fits(prior, self._recipe, self._device, num_slots, self.model.at(num_slots))
        release_memory(prior)
        if trial is None:
            return None

        # one trial gives the fixed part; only two give a slope beyond what was known before
        if self._before is not None:
            self.model = MemoryModel.through(self._before, trial)
        else:
            self.model = MemoryModel(
                trial.peak_bytes - num_slots * self.model.per_slot_bytes, self.model.per_slot_bytes
            )
        self._before = trial
        return trial


def _measure_if_it_fits(
    prior: DiffusersPrior, recipe: Recipe, device: str, num_slots: int, predicted_bytes: int
) -> Trial | None:
    """A trial, or None where memory runs out in it."""
    try:
        return _measure(prior, recipe, device, num_slots, predicted_bytes)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return None


def _measure(prior: DiffusersPrior, recipe: Recipe, device: str, num_slots: int, predicted_bytes: int) -> Trial:
    kind = torch.device(device).type
    with peak_memory(device, prior.num_bytes) as peak:
        batch = SlotBatch(prior, recipe, num_slots, device)
        for index in range(num_slots):
            batch.admit(Assignment(Prompt(f"preflight-{index}", PROMPT), f"preflight-{index}"))
        for _, step in _phases(recipe):
            _steps_s(batch, step, WARM_UP_STEPS[kind], device)
        slot = batch.slots[0]
        assert slot is not None
        probe_field(prior, batch.fields, 0, slot.embeds, recipe, seed=0)
        started_s = time.perf_counter()
        take_snapshot(batch.fields, 0, recipe.render.at(1.0), recipe.snapshot, recipe.cameras)
        snapshot_s = time.perf_counter() - started_s
    step_s = sum(share * median(_steps_s(batch, step, TIMED_STEPS, device)) for share, step in _phases(recipe))
    return Trial(num_slots, predicted_bytes, peak.num_bytes, step_s, snapshot_s, prior.vae_rows)


def _phases(recipe: Recipe) -> list[tuple[float, int]]:
    """(share of all steps, a step in its middle) of each render phase."""
    total = recipe.optimize.num_steps
    return [(end - start, int((start + end) / 2 * total)) for start, end in recipe.render.spans]


def _steps_s(batch: SlotBatch, step: int, num_steps: int, device: str) -> list[float]:
    """Seconds of each of some steps, every slot being at `step` of its run."""
    times_s = []
    for _ in range(num_steps):
        for slot in batch.slots:
            assert slot is not None
            slot.step = step
        started_s = time.perf_counter()
        batch.step()
        if torch.device(device).type == "cuda":
            torch.cuda.synchronize(device)
        times_s.append(time.perf_counter() - started_s)
    return times_s
