"""A field with every build that needs it, as one run works on it; and the port to other runs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from dreamfoundry.distill.successive_halving import planned_steps
from dreamfoundry.records import NO_HISTORY, BlobRef, FieldHistory
from dreamfoundry.run.messages import Build, Decision, FinishedField
from dreamfoundry.settings.recipe import Recipe


@dataclass(frozen=True)
class Claim:
    """A field is ours: charged deaths so far, and the epoch that tells this ownership from earlier ones."""

    deaths: int
    epoch: int


@dataclass(eq=False)
class FieldJob:
    """One field with its open builds. Changes only by its own methods:

        waiting ──claim──> claimed ──(in a slot: spend, advance, keep)──> finish ──> stored | failed
           ^  │               │ │
           │  └──postpone     │ └──lose_lease──> waiting for the lease of another run, once
           │                  │
           ├──────────────────┘ handed back by a worker that drains: goes on from its checkpoint
           └── start_over ───── its worker died: back to its checkpoint, together with others
               suspect          ... or to be run alone; `charge` counts a death while alone

    `rank` orders the queue: higher priority first, then the order of the rows. `spent_s` is its share
    of the distillers' time since it last started over, `saved_s` the part of that in its newest
    checkpoint. `has_waited` for another run's lease, and has a `lost_snapshot`: each happens once.
    """

    key: str
    recipe: Recipe
    shape_class: str
    rank: tuple[int, int]
    builds: list[Build]
    snapshot: BlobRef | None = None
    lost_snapshot: BlobRef | None = None
    history: FieldHistory = NO_HISTORY
    deaths: int = 0
    epoch: int = 1
    optimize_s: float = 0.0
    resumed_from_step: int = 0
    kernels: str = ""
    spent_s: float = 0.0
    saved_s: float = 0.0
    is_suspect: bool = False
    is_claimed: bool = False
    has_waited: bool = False
    steps_left: int = field(init=False)

    def __post_init__(self) -> None:
        self.start_over()

    @property
    def asset_keys(self) -> list[str]:
        """Asset keys of the open builds, for log events."""
        return [build.asset_key for build in self.builds]

    def add_build(self, build: Build, rank: tuple[int, int]) -> None:
        """Serve one more build; the field becomes as urgent as the most urgent of them."""
        self.builds.append(build)
        self.rank = min(self.rank, rank)

    def drop_build(self, build: Build) -> None:
        """Forget a build that has ended."""
        self.builds.remove(build)

    def claim(self, claim: Claim) -> None:
        """Become this run's own. Deaths never fall: some may be known here and not yet elsewhere."""
        self.is_claimed, self.epoch = True, claim.epoch
        self.deaths = max(self.deaths, claim.deaths)

    def lose_lease(self) -> None:
        """Belong to another run from now on."""
        self.is_claimed = False

    def postpone(self) -> None:
        """Wait for the lease of another run."""
        self.has_waited = True

    def suspect(self) -> None:
        """Ask to be run alone: its worker died, and this field may be the reason."""
        self.is_suspect = True

    def charge(self) -> int:
        """Count a death that only this field can have caused; returns all of them."""
        self.deaths += 1
        return self.deaths

    def spend(self, seconds: float) -> None:
        """Add to the worker time since it last started over."""
        self.spent_s += seconds

    def advance(self, steps_left: int) -> None:
        """Note the steps still ahead, as its worker counts them."""
        self.steps_left = steps_left

    def keep(self) -> None:
        """A checkpoint holds all that was done so far."""
        self.saved_s = self.spent_s

    def roll_back(self) -> float:
        """Return to the newest checkpoint; returns the seconds that are lost."""
        lost_s = self.spent_s - self.saved_s
        self.spent_s = self.saved_s
        return lost_s

    def start_over(self) -> None:
        """Have all steps ahead again, unless the field is stored."""
        probes, num_steps = self.recipe.probes, self.recipe.optimize.num_steps
        self.steps_left = 0 if self.snapshot is not None else planned_steps(probes, num_steps)

    def lose_snapshot(self) -> None:
        """Have to be optimised again: what was stored cannot be read."""
        self.lost_snapshot, self.snapshot = self.snapshot, None
        self.start_over()

    def finish(self, finished: FinishedField) -> float:
        """Leave the slot, stored or failed; returns the seconds that were spent."""
        self.snapshot, self.history = finished.snapshot, finished.history
        self.optimize_s, self.resumed_from_step = finished.optimize_s, finished.resumed_from_step
        self.kernels = finished.kernels
        self.steps_left = 0
        spent_s, self.spent_s, self.saved_s = self.spent_s, 0.0, 0.0
        return spent_s


@runtime_checkable
class Claims(Protocol):
    """The scheduler's port to other runs that work on the same library."""

    def claim(self, field_key: str) -> Claim | None:
        """Make a field ours; None while a live run elsewhere owns it."""

    def lost(self) -> Collection[str]:
        """Fields that were ours and became somebody else's since the last call."""

    def charge(self, field_key: str, deaths: int) -> None:
        """Record the charged deaths durably."""

    def forget(self, field_key: str) -> None:
        """Every build of the field is decided."""

    def standing(self, asset_key: str) -> Decision | None:
        """The decision of the outcome that exists now, if there is one."""
