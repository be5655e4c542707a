"""What a run works on: a field, with every build that needs it, and whether it is this run's."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from dreamfoundry.distill.successive_halving import planned_steps
from dreamfoundry.records import NO_HISTORY, BlobRef, FieldHistory
from dreamfoundry.run.messages import Build, Decision, FinishedField
from dreamfoundry.settings.recipe import Recipe


@dataclass(eq=False)
class FieldJob:
    """One field, with its builds that have not ended.

    `rank` orders the queue: higher priority first, then the order of the rows. `deaths` are the
    charged ones; a suspect has been in a worker that died, and is run alone. `spent_s` is its share
    of the distillers' time since it last started over, `saved_s` how much of that its newest
    checkpoint holds. `has_waited` for another run's lease: it does so once.
    """

    key: str
    recipe: Recipe
    shape_class: str
    rank: tuple[int, int]
    builds: list[Build]
    snapshot: BlobRef | None = None
    history: FieldHistory = NO_HISTORY
    deaths: int = 0
    epoch: int = 1
    optimize_s: float = 0.0
    resumed_from_step: int = 0
    spent_s: float = 0.0
    saved_s: float = 0.0
    is_suspect: bool = False
    is_claimed: bool = False
    has_waited: bool = False
    steps_left: int = field(init=False)

    def __post_init__(self) -> None:
        self.start_over()

    def start_over(self) -> None:
        """All steps are ahead again, unless the field is stored."""
        looks, num_steps = self.recipe.looks, self.recipe.optimize.num_steps
        self.steps_left = 0 if self.snapshot is not None else planned_steps(looks, num_steps)

    def end(self, finished: FinishedField) -> None:
        """The field has left its slot, stored or failed."""
        self.snapshot, self.history = finished.snapshot, finished.history
        self.optimize_s, self.resumed_from_step = finished.optimize_s, finished.resumed_from_step
        self.steps_left = 0


@dataclass(frozen=True)
class Claim:
    """A field is ours: charged deaths so far, and the epoch that tells this ownership from earlier ones."""

    deaths: int
    epoch: int


@runtime_checkable
class Claims(Protocol):
    """What the scheduler asks about other runs that work on the same library."""

    def claim(self, field_key: str) -> Claim | None:
        """Make a field ours; None while a live run elsewhere owns it."""

    def lost(self) -> Collection[str]:
        """Fields that were ours and are somebody else's since this was asked last."""

    def charge(self, field_key: str, deaths: int) -> None:
        """Record the charged deaths durably."""

    def forget(self, field_key: str) -> None:
        """Every build of the field is decided."""

    def standing(self, asset_key: str) -> Decision | None:
        """What the outcome that exists now says, if there is one."""
