"""Which candidate of a prompt runs next: successive halving with restarts, under a step budget.

    halving = SuccessiveHalving(recipe.probes, num_steps)
    candidate = halving.start()
    while True:
        step = halving.next_look(candidate)      # ... optimise the candidate up to there, look at it
        move = halving.looked(candidate, step, scores, failure)
        ...                                   # Run(candidate) | Finish(candidate) | GiveUp(failure)

A prompt has one slot. Its candidates run one after another to the first look, where they are
parked; the better half goes on to the next one (Jamieson & Talwalkar, arXiv 1502.07943), and one
of them to the end. Those left behind stay parked: they step in when a better one fails. Pure
bookkeeping: nothing here knows what a field or a picture is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from dreamfoundry.errors import PromptFailure
from dreamfoundry.records import CandidateResult, FieldHistory
from dreamfoundry.settings.selection import ProbeConfig

MERIT = "prompt_gain"
"""The score that candidates are compared by."""


@dataclass(frozen=True)
class Run:
    """Optimise this candidate up to its next look: the same one, a parked one, or a new one."""

    candidate: int


@dataclass(frozen=True)
class Finish:
    """This candidate is done and is the one."""

    candidate: int


@dataclass(frozen=True)
class GiveUp:
    """No candidate is left and none may be started; `failure` is that of the last one."""

    failure: PromptFailure


Move = Run | Finish | GiveUp


@dataclass
class Runner:
    """One candidate: how far it got at its last look, and what was seen of it."""

    candidate: int
    step: int = 0
    num_looks: int = 0
    scores: Mapping[str, float] | None = None
    failure: PromptFailure | None = None


class SuccessiveHalving:
    """The candidates of one prompt; candidate numbers count from 0 and are never used twice.

    Interrupted, it goes on from its `runners`.
    """

    def __init__(self, probes: ProbeConfig, num_steps: int, runners: Iterable[Runner] = ()) -> None:
        self._probes = probes
        self.look_steps = look_steps(probes, num_steps)
        self._num_steps = num_steps
        self.step_budget = round(probes.step_budget * num_steps)
        self._runners = [replace(runner) for runner in runners]

    @property
    def runners(self) -> tuple[Runner, ...]:
        """Copies of all candidates as they stand."""
        return tuple(map(replace, self._runners))

    def start(self) -> int:
        """The first candidate."""
        return self._new().candidate

    def next_look(self, candidate: int) -> int:
        """The step at which `candidate` is looked at next; the last one is the end of its run."""
        return self.look_steps[self._runners[candidate].num_looks]

    def looked(
        self, candidate: int, step: int, scores: Mapping[str, float], failure: PromptFailure | None = None
    ) -> Move:
        """Take note of a look (or of a failure between looks) and say what to do now."""
        runner = self._runners[candidate]
        runner.step, runner.scores, runner.failure = step, scores, failure
        runner.num_looks += failure is None
        for stage in range(len(self.look_steps)):
            if self._has_enough(stage):
                continue
            follower = self._best_waiting(stage) or (self._new() if self._may_start() else None)
            if follower is not None:
                return Run(follower.candidate)
        finished = next((r for r in self._alive() if r.num_looks == len(self.look_steps)), None)
        if finished is not None:
            return Finish(finished.candidate)
        last = max((r for r in self._runners if r.failure is not None), key=lambda r: (r.step, r.candidate))
        assert last.failure is not None
        return GiveUp(last.failure)

    def history(self, chosen: int | None) -> FieldHistory:
        """Every candidate so far; those that neither failed nor were `chosen` were outrun."""

        def verdict(runner: Runner) -> str:
            if runner.failure is not None:
                return runner.failure.failure_class
            return "chosen" if runner.candidate == chosen else "outrun"

        return FieldHistory(
            self.step_budget,
            tuple(CandidateResult(r.candidate, r.step, verdict(r), dict(r.scores or {})) for r in self._runners),
        )

    def steps_ahead(self, candidate: int, step: int) -> int:
        """Steps still to do if nothing fails, `candidate` being at `step`."""
        done = sum(runner.step for runner in self._runners if runner.candidate != candidate) + step
        return max(planned_steps(self._probes, self._num_steps) - done, self._num_steps - step, 0)

    def _has_enough(self, stage: int) -> bool:
        """Whether as many have passed this look as go up to it; who failed later has passed it."""
        passed = sum(runner.num_looks > stage for runner in self._runners)
        return passed >= _num_passing(self._probes, stage, len(self.look_steps))

    def _best_waiting(self, stage: int) -> Runner | None:
        """Of those that have not passed this look and can still be finished: the furthest, the best."""
        waiting = [r for r in self._alive() if r.num_looks <= stage and self._affords(self._num_steps - r.step)]
        return max(waiting, key=lambda r: (r.num_looks, (r.scores or {}).get(MERIT, 0.0)), default=None)

    def _may_start(self) -> bool:
        most = self._probes.best_of + self._probes.max_restarts
        wanted = sum(runner.failure is not None for runner in self._runners) + self._probes.best_of
        return len(self._runners) < min(most, wanted) and self._affords(self._num_steps)

    def _affords(self, steps: int) -> bool:
        return sum(runner.step for runner in self._runners) + steps <= self.step_budget

    def _alive(self) -> list[Runner]:
        return [runner for runner in self._runners if runner.failure is None]

    def _new(self) -> Runner:
        self._runners.append(Runner(len(self._runners)))
        return self._runners[-1]


def look_steps(probes: ProbeConfig, num_steps: int) -> tuple[int, ...]:
    """The steps after which a candidate is looked at: rising, the end of the run last."""
    early = {max(1, round(share * num_steps)) for share in probes.at}
    return (*sorted(step for step in early if step < num_steps), num_steps)


def planned_steps(probes: ProbeConfig, num_steps: int) -> int:
    """Steps of all candidates together if none fails."""
    steps = look_steps(probes, num_steps)
    parts = zip((0, *steps), steps, strict=False)
    return sum(_num_passing(probes, stage, len(steps)) * (end - start) for stage, (start, end) in enumerate(parts))


def _num_passing(probes: ProbeConfig, stage: int, num_stages: int) -> int:
    """How many candidates run up to look number `stage`: half as many as to the one before."""
    return 1 if stage == num_stages - 1 else max(1, -(-probes.best_of // 2**stage))
