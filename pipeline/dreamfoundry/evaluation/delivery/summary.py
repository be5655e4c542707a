"""Figures over the assets of one export profile: medians, extremes and counts."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dreamfoundry.asset.deliverables import GATES
from dreamfoundry.evaluation.delivery.measures import ASSET_MEASURES, LEVEL_MEASURES, WORKMANSHIP, Measure

Row = Mapping[str, Any]


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """The figures of the assets of one profile (rows of `check.asset_figures`)."""
    num_levels = max((len(row["triangles"]) for row in rows), default=0)
    stages = {stage for row in rows for stage in row["timings_s"]}
    return {
        "assets": len(rows),
        "kinds": len({row["kind"] for row in rows} - {""}),
        "khronos": _khronos(rows),
        "usd": _usd(rows),
        "watertight": sum(row["watertight"] for row in rows),
        "one_component": sum(row["num_components"] == 1 for row in rows),
        "gates": {gate: _gate(rows, gate) for gate in GATES},
        "levels": [_level(rows, number) for number in range(num_levels)],
        "workmanship": {name: _judged(rows, name, measure) for name, measure in WORKMANSHIP.items()},
        "scores": {name: spread(row["scores"].get(name) for row in rows) for name in ASSET_MEASURES},
        "timings_s": {stage: spread(row["timings_s"].get(stage) for row in rows) for stage in sorted(stages)},
        "all_stages_s": spread(sum(row["timings_s"].values()) for row in rows),
        "export_s": spread(row["export_s"] for row in rows),
        "export_cpu_s": spread(row["export_cpu_s"] for row in rows),
        "bytes": spread(row["bytes"] for row in rows),
    }


def spread(values: Iterable[float | None]) -> dict[str, float] | None:
    """Median and both ends of the numbers among `values`; None where there is none."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    return {"median": statistics.median(known), "lowest": min(known), "highest": max(known)}


def _judged(rows: Sequence[Row], name: str, measure: Measure) -> dict[str, float] | None:
    """The spread of a figure, with the number of assets that have it and of those beyond its limit."""
    values = [float(row["workmanship"][name]) for row in rows if row["workmanship"].get(name) is not None]
    known = spread(values)
    return known and {**known, "assets": len(values), "beyond": sum(map(measure.is_beyond, values))}


def _khronos(rows: Sequence[Row]) -> dict[str, Any]:
    """Number of GLBs and of validated ones, and the messages by severity and code."""
    counts: Counter[tuple[str, str, bool]] = Counter()
    for message in (message for row in rows for message in row["khronos"]["messages"]):
        counts[message["severity"], message["code"], message["is_expected"]] += message["count"]
    return {
        "glbs": sum(row["num_glbs"] for row in rows),
        "validated": sum(row["khronos"]["files"] for row in rows),
        "messages": [
            {"severity": severity, "code": code, "is_expected": is_expected, "count": count}
            for (severity, code, is_expected), count in sorted(counts.items())
        ],
    }


def _usd(rows: Sequence[Row]) -> dict[str, int]:
    validated = [row["usd_errors"] for row in rows if row["usd_errors"] is not None]
    return {"validated": len(validated), "errors": sum(map(len, validated))}


def _gate(rows: Sequence[Row], gate: str) -> dict[str, Any]:
    """Assets by verdict of the gate, and the reasons of those that did not pass, the commonest first."""
    words = Counter(row["gates"][gate] for row in rows if gate in row["gates"])
    reasons = Counter(one["message"] for row in rows for one in row["findings"] if one["gate"] == gate)
    return {"words": dict(words), "reasons": [reason for reason, _ in reasons.most_common()]}


def _level(rows: Sequence[Row], number: int) -> dict[str, Any]:
    scores = {name: spread(row["scores"].get(f"{name}_LOD{number}") for row in rows) for name in LEVEL_MEASURES}
    having = [row for row in rows if number < len(row["triangles"])]
    return {
        "triangles": spread(row["triangles"][number] for row in having),
        "bytes": spread(row["level_bytes"][number] for row in having),
        "scores": scores,
    }
