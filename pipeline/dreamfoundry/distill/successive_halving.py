"""Successive halving of a prompt's candidates, with restarts, under a step budget.

    halving = SuccessiveHalving(recipe.probes, num_steps)
    candidate = halving.start()
    while True:
        step = halving.next_probe(candidate)      # ... optimise the candidate up to there, probe it
        action = halving.report(candidate, step, scores, failure)
        ...                                   # Run(candidate) | Finish(candidate) | GiveUp(failure)

A prompt has one slot. Its candidates run one after another to the first rung (its first probe),
where they are parked; the better half goes on to the next rung (Jamieson & Talwalkar, arXiv
1502.07943), and one of them to the end. Pruned candidates stay parked and step in when a better one
fails. Pure bookkeeping: nothing here knows what a field or a picture is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from dreamfoundry.errors import PromptFailure
from dreamfoundry.records import CandidateResult, FieldHistory
from dreamfoundry.settings.selection import ProbeConfig

RANKING_SCORE = "prompt_gain"
"""The score that candidates are compared by."""


@dataclass(frozen=True)
class Run:
    """Optimise this candidate up to its next probe: the same one, a parked one, or a new one."""

    candidate: int


@dataclass(frozen=True)
class Finish:
    """This candidate is done and is the one."""

    candidate: int


@dataclass(frozen=True)
class GiveUp:
    """No candidate is left and none may be started; `failure` is that of the last one."""

    failure: PromptFailure


Action = Run | Finish | GiveUp


@dataclass
class Candidate:
    """One candidate: its step at the last probe, the scores of that probe, and the failure that ended it."""

    number: int
    step: int = 0
    num_probes: int = 0
    scores: Mapping[str, float] | None = None
    failure: PromptFailure | None = None


class SuccessiveHalving:
    """The candidates of one prompt; candidate numbers count from 0 and are never used twice.

    Interrupted, it goes on from its `candidates`.
    """

    def __init__(self, probes: ProbeConfig, num_steps: int, candidates: Iterable[Candidate] = ()) -> None:
        self._probes = probes
        self.probe_steps = probe_steps(probes, num_steps)
        self._num_steps = num_steps
        self.step_budget = round(probes.step_budget * num_steps)
        self._candidates = [replace(candidate) for candidate in candidates]

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """Copies of all candidates as they stand."""
        return tuple(map(replace, self._candidates))

    def start(self) -> int:
        """The first candidate."""
        return self._new().number

    def next_probe(self, number: int) -> int:
        """The step at which candidate `number` is probed at next; the last one is the end of its run."""
        return self.probe_steps[self._candidates[number].num_probes]

    def report(
        self, number: int, step: int, scores: Mapping[str, float], failure: PromptFailure | None = None
    ) -> Action:
        """Record a probe (or a failure between probes) and return the next action."""
        candidate = self._candidates[number]
        candidate.step, candidate.scores, candidate.failure = step, scores, failure
        candidate.num_probes += failure is None

        # the lowest rung first: candidates are only compared where all of them have arrived
        for rung in range(len(self.probe_steps)):
            if self._has_enough(rung):
                continue
            follower = self._best_waiting(rung) or (self._new() if self._may_start() else None)
            if follower is not None:
                return Run(follower.number)

        finished = next((c for c in self._alive() if c.num_probes == len(self.probe_steps)), None)
        if finished is not None:
            return Finish(finished.number)
        last = max((c for c in self._candidates if c.failure is not None), key=lambda c: (c.step, c.number))
        assert last.failure is not None
        return GiveUp(last.failure)

    def history(self, chosen: int | None) -> FieldHistory:
        """Every candidate so far; those that neither failed nor were `chosen` were pruned (stored as "outrun")."""

        def verdict(candidate: Candidate) -> str:
            if candidate.failure is not None:
                return candidate.failure.failure_class
            return "chosen" if candidate.number == chosen else "outrun"

        return FieldHistory(
            self.step_budget,
            tuple(CandidateResult(c.number, c.step, verdict(c), dict(c.scores or {})) for c in self._candidates),
        )

    def steps_ahead(self, number: int, step: int) -> int:
        """Steps still to do if nothing fails, candidate `number` being at `step`."""
        done = sum(candidate.step for candidate in self._candidates if candidate.number != number) + step
        return max(planned_steps(self._probes, self._num_steps) - done, self._num_steps - step, 0)

    def _has_enough(self, rung: int) -> bool:
        """True if as many have passed this rung as are planned for it; one that failed later has passed it."""
        passed = sum(candidate.num_probes > rung for candidate in self._candidates)
        return passed >= _num_passing(self._probes, rung, len(self.probe_steps))

    def _best_waiting(self, rung: int) -> Candidate | None:
        """The furthest, then the best, of those below this rung that the budget can still finish."""
        waiting = [c for c in self._alive() if c.num_probes <= rung and self._affords(self._num_steps - c.step)]
        return max(waiting, key=lambda c: (c.num_probes, (c.scores or {}).get(RANKING_SCORE, 0.0)), default=None)

    def _may_start(self) -> bool:
        most = self._probes.best_of + self._probes.max_restarts
        target = sum(candidate.failure is not None for candidate in self._candidates) + self._probes.best_of
        return len(self._candidates) < min(most, target) and self._affords(self._num_steps)

    def _affords(self, steps: int) -> bool:
        return sum(candidate.step for candidate in self._candidates) + steps <= self.step_budget

    def _alive(self) -> list[Candidate]:
        return [candidate for candidate in self._candidates if candidate.failure is None]

    def _new(self) -> Candidate:
        self._candidates.append(Candidate(len(self._candidates)))
        return self._candidates[-1]


def probe_steps(probes: ProbeConfig, num_steps: int) -> tuple[int, ...]:
    """Steps after which a candidate is probed at: rising, the end of the run last."""
    early = {max(1, round(share * num_steps)) for share in probes.at}
    return (*sorted(step for step in early if step < num_steps), num_steps)


def planned_steps(probes: ProbeConfig, num_steps: int) -> int:
    """Steps of all candidates together if none fails."""
    steps = probe_steps(probes, num_steps)
    parts = zip((0, *steps), steps, strict=False)
    return sum(_num_passing(probes, rung, len(steps)) * (end - start) for rung, (start, end) in enumerate(parts))


def _num_passing(probes: ProbeConfig, rung: int, num_rungs: int) -> int:
    """Candidates that run up to a rung: half as many as to the one before."""
    return 1 if rung == num_rungs - 1 else max(1, -(-probes.best_of // 2**rung))
