"""A check as a value: the gates that it answers, the part of an asset that it reads, and its result."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from dreamfoundry.asset.files.draft import AssetDraft
from dreamfoundry.records import Finding

Subject = Literal["files", "pictures", "scores"]
"""The part of an asset that a check reads, which says when it can run."""


@dataclass(frozen=True)
class CheckResult:
    """Findings, with scores measured on the way and the raw reports of a tool by the name of its gate."""

    findings: Sequence[Finding]
    scores: Mapping[str, float] = field(default_factory=dict)
    reports: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Check:
    """One check; `gates` names everything that its findings may be about."""

    gates: tuple[str, ...]
    subject: Subject
    run: Callable[[AssetDraft], CheckResult]


def run_checks(checks: Iterable[Check], subject: Subject, draft: AssetDraft) -> CheckResult:
    """The results of the checks that read `subject`, in their order, as one."""
    results = [check.run(draft) for check in checks if check.subject == subject]
    return CheckResult(
        findings=[finding for result in results for finding in result.findings],
        scores={name: score for result in results for name, score in result.scores.items()},
        reports={gate: report for result in results for gate, report in result.reports.items()},
    )
