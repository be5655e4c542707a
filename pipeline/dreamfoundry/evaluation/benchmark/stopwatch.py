"""Time of a step by part: the frozen prior, the optimizer, and the rest (field and renderer).

On a GPU the host runs ahead, so moments are events in the stream and are read once per step; on a
CPU they are readings of a clock.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from dreamfoundry.diffusion.prior import ScorePrior

Moment = Any
"""A reading of the clock in seconds, or an event in the stream."""


class Stopwatch:
    """Adds up the seconds of named parts of a step."""

    def __init__(self, device: str) -> None:
        self._is_cuda = torch.device(device).type == "cuda"
        self._spans: list[tuple[str, Moment, Moment]] = []

    def now(self) -> Moment:
        """This moment in the order of the work submitted to the device."""
        if not self._is_cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def add(self, part: str, start: Moment, end: Moment) -> None:
        """Count the time between two moments for `part`."""
        self._spans.append((part, start, end))

    def around(self, part: str, compute: Callable[[Tensor], object] | None) -> Callable[[Tensor], object] | None:
        """`compute`, counted for `part`; None if there is none."""
        if compute is None:
            return None

        def timed(value: Tensor) -> object:
            start = self.now()
            result = compute(value)
            self.add(part, start, self.now())
            return result

        return timed

    def take(self) -> Mapping[str, float]:
        """Seconds by part since the last call; waits for the device."""
        if self._is_cuda:
            torch.cuda.synchronize()
        seconds: dict[str, float] = defaultdict(float)
        for part, start, end in self._spans:
            seconds[part] += start.elapsed_time(end) / 1000.0 if self._is_cuda else end - start
        self._spans.clear()
        return seconds


class WatchedPrior:
    """A prior whose calls are timed as "prior": predictions, and the way to the latents and back."""

    def __init__(self, prior: ScorePrior, watch: Stopwatch) -> None:
        self._prior, self._watch = prior, watch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._prior, name)

    def predict_noise(self, *arguments: Tensor) -> Tensor:
        start = self._watch.now()
        noise = self._prior.predict_noise(*arguments)
        self._watch.add("prior", start, self._watch.now())
        return noise

    def encode_pictures(self, pictures: Tensor) -> Tensor:
        watch, start = self._watch, self._watch.now()
        latents = self._prior.encode_pictures(pictures)
        watch.add("prior", start, watch.now())
        if pictures.requires_grad:
            starts: list[Moment] = []
            latents.register_hook(lambda gradient: starts.append(watch.now()))
            pictures.register_hook(lambda gradient: watch.add("prior", starts.pop(), watch.now()))
        return latents


class WatchedOptimizer:
    """An optimizer whose steps are timed as "optimizer"."""

    def __init__(self, optimizer: Any, watch: Stopwatch) -> None:
        self._optimizer, self._watch = optimizer, watch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._optimizer, name)

    def step(self, *arguments: Any) -> None:
        start = self._watch.now()
        self._optimizer.step(*arguments)
        self._watch.add("optimizer", start, self._watch.now())
