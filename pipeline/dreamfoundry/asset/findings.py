"""Findings of gates, and the status of every gate that follows from them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dreamfoundry.records import Finding

TOOL = "dreamfoundry"


def gate_results(findings: Sequence[Finding], gates: Iterable[str]) -> dict[str, str]:
    """Status per gate: "passed", or the worst of its findings in the order "warn", "not_run", "block"."""
    ranks = ("passed", "warn", "not_run", "block")
    results = dict.fromkeys(gates, "passed")
    for finding in findings:
        results[finding.gate] = max(results[finding.gate], finding.severity, key=ranks.index)
    return results


def block(gate: str, message: str) -> Finding:
    """A finding that refuses publication."""
    return Finding("block", gate, TOOL, message)


def warn(gate: str, message: str) -> Finding:
    """A finding for a person to look at; the asset is published."""
    return Finding("warn", gate, TOOL, message)


def not_run(gate: str, reason: str, tool: str = TOOL) -> Finding:
    """A gate that did not run, never to be read as passed."""
    return Finding("not_run", gate, tool, reason)
