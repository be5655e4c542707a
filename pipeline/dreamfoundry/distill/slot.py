"""One slot of the loop: the assignment in it, its running candidate, and the result that it leaves."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from dreamfoundry.diffusion.prompts import PromptEmbeds
from dreamfoundry.distill.checkpoint import CandidateState
from dreamfoundry.distill.step.inputs import SlotDraw
from dreamfoundry.distill.successive_halving import SuccessiveHalving
from dreamfoundry.errors import PromptFailure
from dreamfoundry.records import FieldHistory, FieldSnapshot, Prompt


@dataclass(frozen=True)
class Assignment:
    """One prompt to distil; the key and a candidate's number decide every draw."""

    prompt: Prompt
    field_key: str


@dataclass(frozen=True)
class OptimizedField:
    """End of an assignment: a snapshot, or the failure that ended it, and the history of all candidates."""

    assignment: Assignment
    snapshot: FieldSnapshot | None
    failure: PromptFailure | None
    history: FieldHistory
    optimize_s: float


Draw = Callable[[torch.Generator, int], SlotDraw]
"""Draws the inputs of a step from a generator."""


@dataclass(frozen=True)
class DrawnAhead:
    """The draws of a step before their time, and the generator as they left it."""

    step: int
    draw: SlotDraw
    generator: torch.Generator


@dataclass
class Slot:
    """State of one assignment in the loop; `step` and `generator` are those of the running candidate.

    `generator` stands before the draws of `step`, also where they are made ahead: what is made ahead can be
    dropped at any time, and a checkpoint does not see it.
    """

    assignment: Assignment
    embeds: PromptEmbeds
    halving: SuccessiveHalving
    candidate: int
    generator: torch.Generator
    step: int = 0
    parked: dict[int, CandidateState] = field(default_factory=dict)
    earlier_s: float = 0.0
    started_at: float = field(default_factory=time.monotonic)
    ahead: DrawnAhead | None = None

    def draw_ahead(self, draw: Draw) -> None:
        """Make the draws of the coming step now."""
        generator = self.generator.clone_state()
        self.ahead = DrawnAhead(self.step, draw(generator, self.step), generator)

    def take_draw(self, draw: Draw) -> SlotDraw:
        """The draws of this step; the generator moves on."""
        if self.ahead is None or self.ahead.step != self.step:
            self.draw_ahead(draw)
        assert self.ahead is not None
        taken, self.ahead = self.ahead, None
        self.generator = taken.generator
        return taken.draw

    @property
    def steps_left(self) -> int:
        """Steps to the end of the assignment if nothing fails."""
        return self.halving.steps_ahead(self.candidate, self.step)

    @property
    def optimize_s(self) -> float:
        """Seconds of the assignment in slots, here and before it was interrupted."""
        return self.earlier_s + time.monotonic() - self.started_at
