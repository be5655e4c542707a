"""Log events of the candidates of a field: refused, started, parked, chosen, pruned."""

from __future__ import annotations

import logging

from dreamfoundry.distill.successive_halving import Action, Finish, Run, SuccessiveHalving
from dreamfoundry.errors import PromptFailure
from dreamfoundry.host.log_events import log_event

LOG = logging.getLogger(__name__)


def log_probe(
    field_key: str, halving: SuccessiveHalving, candidate: int, failure: PromptFailure | None, action: Action
) -> None:
    """Log the end of a probe: what it says about `candidate`, and the action that follows from it."""
    step = halving.candidates[candidate].step
    log_event(
        LOG,
        "candidate_passed" if failure is None else "candidate_refused",
        logging.INFO if failure is None else logging.WARNING,
        field_key=field_key,
        candidate=candidate,
        step=step,
        failure_class=failure.failure_class if failure else None,
        cause=str(failure) if failure else None,
    )

    if isinstance(action, Run) and action.candidate != candidate:
        if failure is None:
            log_event(LOG, "candidate_parked", field_key=field_key, candidate=candidate, step=step)
        follower = halving.candidates[action.candidate]
        event = "candidate_started" if follower.step == 0 else "candidate_resumed"
        log_event(LOG, event, field_key=field_key, candidate=follower.number, step=follower.step)

    if isinstance(action, Finish):
        log_event(LOG, "candidate_chosen", field_key=field_key, candidate=action.candidate)
        for result in halving.history(action.candidate).candidates:
            if result.verdict == "outrun":
                log_event(
                    LOG, "candidate_pruned", field_key=field_key, candidate=result.candidate, step=result.num_steps
                )
