"""What jobs/assets_check.py found, as a person reads it: tables in Markdown, and one sheet of all thumbnails.

Medians and extremes are over the assets of one export profile.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from PIL import Image, ImageDraw, ImageFont

from dreamfoundry.asset.deliverables import GATES
from dreamfoundry.asset.gates.khronos import UNKNOWN_EXTENSIONS

Row = Mapping[str, Any]
NOTHING = "–"
MAX_REASONS = 3
"""Distinct reasons that the table of gates tells of one gate."""

GATE_WORDS: Mapping[str, str] = {"passed": "passed", "warn": "warn", "not_run": "not run", "block": "block"}

CELL_PX, CAPTION_PX, BAND_PX, COLUMNS = 160, 18, 26, 8
GROUND, INK = (250, 250, 250), (20, 20, 20)


@dataclass(frozen=True)
class Measure:
    """How a number is shown: what it is, by which factor, in which form, and which end is the worse one, if one is."""

    title: str
    form: str = "{:.3f}"
    factor: float = 1.0
    worst: Literal["lowest", "highest", ""] = ""

    def shown(self, value: float | None) -> str:
        return NOTHING if value is None else self.form.format(value * self.factor)

    def spread(self, found: Mapping[str, float] | None) -> str:
        """The median, and in brackets the worst, or both ends where none is worse."""
        if found is None:
            return NOTHING
        ends = [found[self.worst]] if self.worst else [found["lowest"], found["highest"]]
        return f"{self.shown(found['median'])} ({' to '.join(map(self.shown, ends))})"


TRIANGLES = Measure("triangles", "{:,.0f}")
SECONDS = Measure("s", "{:.2f}", worst="highest")
MEGABYTES = Measure("MB", "{:.2f}", 1e-6, "highest")

LEVEL_MEASURES: Mapping[str, Measure] = {
    "surface_error_mean": Measure("surface error, mean, % of the diagonal", "{:.3f}", 100.0, "highest"),
    "surface_error_max": Measure("surface error, largest, % of the diagonal", "{:.2f}", 100.0, "highest"),
    "silhouette_iou": Measure("silhouette IoU with the render", worst="lowest"),
    "level_iou": Measure("silhouette IoU with LOD0", worst="lowest"),
    "uv_coverage": Measure("UV coverage: share of the texture within triangles", "{:.2f}", worst="lowest"),
    "uv_overlap": Measure("UV overlap: share of that within several", "{:.4f}", worst="highest"),
    "detail_found_share": Measure("share of texels that found the dense surface", worst="lowest"),
}
"""Scores that each level has, by their names without the level."""

ASSET_MEASURES: Mapping[str, Measure] = {
    "view_color_error_mean": Measure("colour error against the render, of 1", worst="highest"),
    "largest_component_area_share": Measure("share of the surface that is in its largest part", worst="lowest"),
    "isovalue_per_unit": Measure("isovalue, per scene unit", "{:.1f}"),
    "num_collision_hulls": Measure("collision hulls", "{:.0f}"),
    "collision_volume_ratio": Measure("volume of the hulls by that of LOD0", "{:.2f}"),
}
"""Scores that an asset has once."""

COLUMN_TITLES: Mapping[str, str] = {
    "uv_coverage_LOD0": "UV coverage",
    "uv_overlap_LOD0": "UV overlap",
    "surface_error_mean_LOD0": "surface error, mean, %",
    "silhouette_iou_LOD0": "silhouette IoU",
    "num_collision_hulls": "hulls",
    "collision_volume_ratio": "their volume",
}
"""Scores that stand in the table of assets."""


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """The figures of the assets of one profile (rows of `assets_check.figures_of`)."""
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


def _khronos(rows: Sequence[Row]) -> dict[str, Any]:
    """How many GLBs there are and how many were validated, and the messages by severity and code."""
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
    """How many assets have each word, and the reasons of those that did not pass, the commonest first."""
    words = Counter(row["gates"][gate] for row in rows if gate in row["gates"])
    reasons = Counter(one["message"] for row in rows for one in row["findings"] if one["gate"] == gate)
    return {"words": dict(words), "reasons": [reason for reason, _ in reasons.most_common()]}


def _level(rows: Sequence[Row], number: int) -> dict[str, Any]:
    scores = {name: spread(row["scores"].get(f"{name}_LOD{number}") for row in rows) for name in LEVEL_MEASURES}
    there = [row for row in rows if number < len(row["triangles"])]
    return {
        "triangles": spread(row["triangles"][number] for row in there),
        "bytes": spread(row["level_bytes"][number] for row in there),
        "scores": scores,
    }


def markdown(figures: Mapping[str, Any], picture: str) -> str:
    """The page of a check (`assets_check.check_library`); `picture` is where the sheet lies, seen from the page."""
    wrong = figures["wrong"]
    parts = [
        "# Delivered assets, checked",
        f"{figures['asked']} assets were asked for, {figures['published']} are published.",
        "\n\n".join(["Wrong:", _list(wrong)]) if wrong else "Nothing is wrong.",
        f"![All assets by profile and prompt]({picture})" if picture else "",
        f"```sh\n{figures['command']}\n```",
        _list([f"{what}: {words}" for what, words in figures["environment"].items()]),
        "## Other readers",
        _of_readers(figures["readers"]),
    ]
    for name, profile in figures["profiles"].items():
        parts += [f"## Profile {name}", *_of_profile(profile), _of_assets(figures["assets"][name])]
    return "\n\n".join(filter(None, parts)) + "\n"


def _of_readers(readers: Mapping[str, Any]) -> str:
    rows = []
    for name, told in readers.items():
        if "not_run" in told:
            rows.append([name, NOTHING, NOTHING, f"not run: {told['not_run']}"])
        else:
            rows.append([told["version"], str(told["assets"]), str(told["files"]), str(len(told["disagreements"]))])
    return _table(["reader", "assets", "files", "disagreements on dimensions, triangles, pictures"], rows)


def _of_profile(profile: Mapping[str, Any]) -> list[str]:
    """What stands before the table of assets, paragraph by paragraph."""
    count = profile["assets"]
    return [
        f"{count} assets of {profile['kinds']} kinds of toy; {profile['watertight']} of {count} watertight, "
        f"{profile['one_component']} of {count} in one component.",
        _of_messages(profile["khronos"], profile["usd"]),
        _of_gates(profile["gates"]),
        "In what follows: the median, and in brackets the worst asset; of what has no worse end, both ends.",
        _of_levels(profile["levels"]),
        _of_scores(profile),
        _of_times(profile),
    ]


def _of_messages(khronos: Mapping[str, Any], usd: Mapping[str, int]) -> str:
    """What the validators said."""
    counts = Counter[str]()
    by_code = []
    for message in khronos["messages"]:
        counts["expected" if message["is_expected"] else message["severity"]] += message["count"]
        expected = ", expected" if message["is_expected"] else ""
        by_code.append(f"{message['code']} ({message['severity']}{expected}): {message['count']}")
    allowed = ", ".join(f"`{name}` in `*{end}`" for name, end in UNKNOWN_EXTENSIONS.items())
    return _list(
        [
            f"Khronos validator: {khronos['validated']} of {khronos['glbs']} GLBs, {counts['error']} errors, "
            f"{counts['warning']} warnings, {counts['information'] + counts['hint']} notes outside the allow-list",
            f"messages by code: {'; '.join(by_code) or 'none'}",
            f"allow-list: UNSUPPORTED_EXTENSION of what is ratified but unknown to the validator: {allowed}",
            f"USD validators: {usd['validated']} files, {usd['errors']} errors",
        ]
    )


def _of_gates(gates: Mapping[str, Any]) -> str:
    rows = []
    for gate, found in gates.items():
        reasons = found["reasons"][:MAX_REASONS]
        left = len(found["reasons"]) - len(reasons)
        words = [str(found["words"].get(word, 0)) for word in GATE_WORDS]
        rows.append([gate, *words, "; ".join(reasons) + (f"; … and {left} more" if left else "")])
    return _table(["gate", *GATE_WORDS.values(), "because"], rows)


def _of_levels(levels: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        ["triangles", *(TRIANGLES.spread(level["triangles"]) for level in levels)],
        ["GLB, MB", *(MEGABYTES.spread(level["bytes"]) for level in levels)],
    ]
    for name, measure in LEVEL_MEASURES.items():
        rows.append([measure.title, *(measure.spread(level["scores"][name]) for level in levels)])
    return _table(["level by level", *(f"LOD{number}" for number in range(len(levels)))], rows)


def _of_scores(profile: Mapping[str, Any]) -> str:
    rows = [[measure.title, measure.spread(profile["scores"][name])] for name, measure in ASSET_MEASURES.items()]
    return _table(["once for each asset", ""], [*rows, ["all files, MB", MEGABYTES.spread(profile["bytes"])]])


def _of_times(profile: Mapping[str, Any]) -> str:
    """Seconds by the clock, the longest stage first, and the runs that they are from."""
    stages = sorted(profile["timings_s"].items(), key=lambda stage: -stage[1]["median"])
    rows = [[stage, SECONDS.spread(found)] for stage, found in stages]
    rows.append(["all stages", SECONDS.spread(profile["all_stages_s"])])
    rows.append(["with reading the field and storing the files", SECONDS.spread(profile["export_s"])])
    rows.append(["CPU seconds, with every process that it starts", SECONDS.spread(profile["export_cpu_s"])])
    runs = []
    for run in profile["runs"]:
        ended = f"{run['published']} published, {run['quarantined']} quarantined in {run['wall_s']:.0f} s"
        steps = f"{run['num_steps']} steps of optimisation beside the exports" if run["num_steps"] else "exports alone"
        runs.append(f"{ended}, {steps}")
    by = ["The runs that these are from:", _list(runs or ["not ended yet"])]
    return "\n\n".join([_table(["export stage", "s"], rows), *by])


def _of_assets(rows: Sequence[Row]) -> str:
    """One line for each asset, by its finest level; of the gates those that warn or refuse."""
    measures = {**ASSET_MEASURES, **{f"{name}_LOD0": measure for name, measure in LEVEL_MEASURES.items()}}
    heads = [
        "kind",
        "prompt",
        "gates not passed",
        "triangles",
        "watertight",
        *COLUMN_TITLES.values(),
        "export, s",
        "MB",
    ]
    lines = []
    for row in rows:
        bad = [gate for gate, word in row["gates"].items() if word in ("warn", "block")]
        words = [row["kind"] or NOTHING, row["prompt"], ", ".join(bad) or "none"]
        solid = [TRIANGLES.shown(row["triangles"][0]), "yes" if row["watertight"] else "no"]
        scores = [measures[name].shown(row["scores"].get(name)) for name in COLUMN_TITLES]
        lines.append(
            [*words, *solid, *scores, SECONDS.shown(sum(row["timings_s"].values())), MEGABYTES.shown(row["bytes"])]
        )
    return _table(heads, lines)


def _list(items: Iterable[str]) -> str:
    return "\n".join(f"- {item}" for item in items)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |" for cells in lines)


def contact_sheet(shown: Mapping[str, Sequence[tuple[str, Path]]], path: Path) -> None:
    """All thumbnails (prompt, picture) in one picture, a band for each profile; WebP or PNG, as `path` ends."""
    row_px = CELL_PX + CAPTION_PX
    heights = {profile: BAND_PX + math.ceil(len(cells) / COLUMNS) * row_px for profile, cells in shown.items()}
    sheet = Image.new("RGB", (COLUMNS * CELL_PX, max(1, sum(heights.values()))), GROUND)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    top = 0
    for profile, cells in shown.items():
        draw.text((6, top + 6), profile, fill=INK, font=ImageFont.load_default(15))
        for index, (caption, thumbnail) in enumerate(cells):
            x, y = index % COLUMNS * CELL_PX, top + BAND_PX + index // COLUMNS * row_px
            with Image.open(thumbnail) as picture:
                small = picture.convert("RGBA").resize((CELL_PX, CELL_PX), Image.Resampling.LANCZOS)
            sheet.paste(small, (x, y), small)
            draw.text((x + CELL_PX // 2, y + CELL_PX), caption, fill=INK, font=font, anchor="ma")
        top += heights[profile]
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, quality=82)
