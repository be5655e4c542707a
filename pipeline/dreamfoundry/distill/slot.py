"""One slot of the loop: the assignment in it, its running candidate, and the result that it leaves."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import torch

from dreamfoundry.diffusion.prompts import PromptEmbeds
from dreamfoundry.distill.checkpoint import CandidateState
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


@dataclass
class Slot:
    """State of one assignment in the loop; `step` and `generator` are those of the running candidate."""

    assignment: Assignment
    embeds: PromptEmbeds
    halving: SuccessiveHalving
    candidate: int
    generator: torch.Generator
    step: int = 0
    parked: dict[int, CandidateState] = field(default_factory=dict)
    earlier_s: float = 0.0
    started_at: float = field(default_factory=time.monotonic)

    @property
    def steps_left(self) -> int:
        """Steps to the end of the assignment if nothing fails."""
        return self.halving.steps_ahead(self.candidate, self.step)

    @property
    def optimize_s(self) -> float:
        """Seconds of the assignment in slots, here and before it was interrupted."""
        return self.earlier_s + time.monotonic() - self.started_at
