"""Outcomes as records: the request behind a key, quarantined builds, bad rows, effort, and the decision that stands."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime

from dreamfoundry.errors import KeyMismatch, ObjectCorrupt, OutcomeUnreadable, RowError
from dreamfoundry.identity import asset_key, asset_parts, bad_row_parts, digest, field_key, field_parts, recipe_digest
from dreamfoundry.library.library import Library, outcome_key
from dreamfoundry.library.rows import BAD_ROW
from dreamfoundry.records import NO_HISTORY, BlobRef, FieldHistory, Outcome
from dreamfoundry.run.messages import Build, Decision, Failure
from dreamfoundry.serialization import to_plain
from dreamfoundry.settings.metadata_policy import MetadataPolicy
from dreamfoundry.settings.prior_identity import PriorIdentity


def now_text(now_s: float | None = None) -> str:
    """The present, by the clock of this machine or in Unix seconds, as RFC 3339 in UTC, whole seconds."""
    now = datetime.now(UTC) if now_s is None else datetime.fromtimestamp(now_s, UTC)
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")


def publish(library: Library, outcome: Outcome, instead_of: Outcome | None) -> Outcome:
    """Decide the key of `outcome`; returns the outcome that stands now, this one or an earlier one.

    The time of the decision is by the clock of the store: of several machines the one that is ahead would have the
    last word on what is the latest.
    """
    decided_at = now_text(library.store.now_s())
    outcome = dataclasses.replace(outcome, provenance={**outcome.provenance, "created_at": decided_at})
    if library.publish(outcome, instead_of):
        return outcome
    return standing_outcome(library, outcome.asset_key) or outcome


def standing_outcome(library: Library, asset_key: str) -> Outcome | None:
    """The outcome of `asset_key`, None while it is undecided.

    For a record that cannot be read stands an outcome that is not written anywhere: quarantined as `unreadable`.
    """
    try:
        return library.get_outcome(asset_key)
    except ObjectCorrupt as error:
        library.on_unreadable(outcome_key(asset_key), error)
        message = f"{error}; `dreamfoundry verify --repair` takes it out of the way"
        return Outcome(
            asset_key, "", "", "", "quarantined", failure_class=OutcomeUnreadable.failure_class, message=message
        )


def decision_of(outcome: Outcome, run_id: str) -> Decision:
    """The decision of an outcome that stands, for the run `run_id`.

    It is ours by its provenance: its writer may have died before it could answer.
    """
    failure = Failure(outcome.failure_class, outcome.message) if outcome.state == "quarantined" else None
    return Decision(outcome.state, failure, is_ours=outcome.provenance.get("run_id") == run_id)


def effort(history: FieldHistory) -> dict[str, object]:
    """The cost of a field, for the provenance of its outcome: every candidate, and steps against the budget."""
    return {
        "candidates": to_plain(history.candidates),
        "steps_spent": history.steps_spent,
        "step_budget": history.step_budget,
    }


def request_provenance(build: Build, prior: PriorIdentity, policy: MetadataPolicy) -> dict[str, object]:
    """Everything that the keys of `build` are made of, for the provenance of its outcome.

    KeyMismatch if its keys are not the digests of that: then it would be published as what it is not.
    """
    _require_own_keys(build, prior, policy)
    field = field_parts(build.prompt, build.recipe, prior)
    asset = asset_parts(build.field_key, build.profile, build.prompt.target_height_m, to_plain(policy))
    return {"request": {"field": field, "asset": asset}, "recipe_digest": recipe_digest(build.recipe)}


def checked_builds(builds: Iterable[Build], prior: PriorIdentity, policy: MetadataPolicy) -> Iterator[Build]:
    """`builds` as they are; KeyMismatch at the first whose keys are not those of its own content."""
    for build in builds:
        _require_own_keys(build, prior, policy)
        yield build


def _require_own_keys(build: Build, prior: PriorIdentity, policy: MetadataPolicy) -> None:
    field = field_key(build.prompt, build.recipe, prior)
    asset = asset_key(build.field_key, build.profile, build.prompt.target_height_m, to_plain(policy))
    for name, key, made in (("field key", build.field_key, field), ("asset key", build.asset_key, asset)):
        if made != key:
            raise KeyMismatch(
                f"{build.prompt.prompt_id}: the {name} of its build is {key}, but its prompt, recipe and profile make "
                f"{made}: must be the same; nothing is written under either. Run again, and report it if it stays"
            )


def quarantined_outcome(
    build: Build,
    failure: Failure,
    tries: int,
    provenance: Mapping[str, object],
    snapshot: BlobRef | None = None,
    history: FieldHistory = NO_HISTORY,
) -> Outcome:
    """The outcome of a build that was given up; `snapshot` is its field, if one was stored."""
    return Outcome(
        asset_key=build.asset_key,
        field_key=build.field_key,
        prompt_id=build.prompt.prompt_id,
        prompt=build.prompt.text,
        state="quarantined",
        failure_class=failure.failure_class,
        message=failure.message,
        tries=tries,
        candidate=max((candidate.candidate for candidate in history.candidates), default=0),
        snapshot=snapshot,
        provenance={
            **provenance,
            **effort(history),
            "created_at": now_text(),
            "budget_profile": build.profile.name,
        },
    )


def bad_row_outcome(error: RowError, provenance: Mapping[str, object]) -> Outcome:
    """The outcome of a row that is no prompt; its key is its prompt id and its content, wherever it stands.

    So a row that stays as it is has one outcome, whatever stands around it. A row without a usable id gets one
    of its content.
    """
    content = error.content or digest(str(error))
    parts = bad_row_parts(error.prompt_id or "", content)
    return Outcome(
        asset_key=digest(parts),
        field_key="",
        prompt_id=error.prompt_id or f"row-{content[:12]}",
        prompt=error.prompt,
        state="quarantined",
        failure_class=BAD_ROW,
        message=str(error),
        provenance={**provenance, "request": {"asset": parts}, "created_at": now_text()},
    )
