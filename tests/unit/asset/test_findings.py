"""The worst finding of a gate decides its status."""

from dreamfoundry.asset.deliverables import GATES
from dreamfoundry.asset.findings import gate_results
from dreamfoundry.records import Finding


def test_each_gate_has_one_word_and_the_worst_finding_decides() -> None:
    results = gate_results(
        [
            Finding("warn", "khronos", "t", "m"),
            Finding("not_run", "khronos", "t", "m"),
            Finding("block", "volume", "t", "m"),
            Finding("warn", "volume", "t", "m"),
        ],
        GATES,
    )

    assert tuple(results) == GATES
    assert results["khronos"] == "not_run"
    assert results["volume"] == "block"
    assert results["height"] == "passed"
