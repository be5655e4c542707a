"""Markdown page and contact sheet of a check of delivered assets.

Medians and extremes are over the assets of one export profile.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from dreamfoundry.asset.gates.khronos import UNKNOWN_EXTENSIONS
from dreamfoundry.evaluation.delivery.before import comparison
from dreamfoundry.evaluation.delivery.measures import (
    ASSET_MEASURES,
    COLUMN_TITLES,
    LEVEL_MEASURES,
    MEGABYTES,
    NOTHING,
    SECONDS,
    TRIANGLES,
)
from dreamfoundry.evaluation.delivery.summary import Row

MAX_REASONS = 3
"""Distinct reasons in the table of gates, for each gate."""

GATE_WORDS: Mapping[str, str] = {"passed": "passed", "warn": "warn", "not_run": "not run", "block": "block"}

CELL_PX, CAPTION_PX, BAND_PX, COLUMNS = 160, 18, 26, 8
GROUND, INK = (250, 250, 250), (20, 20, 20)


def page(figures: Mapping[str, Any], picture: str, before: Mapping[str, Any] | None = None) -> str:
    """The page of a check (`check.check_library`); `picture` is the path of the sheet, relative to the page.

    `before` are the figures of an earlier version (`before.kept`).
    """
    wrong = figures["wrong"]
    parts = [
        "# Delivered assets, checked",
        f"{figures['asked']} assets were asked for, {figures['published']} are published.",
        "\n\n".join(["Wrong:", _list(wrong)]) if wrong else "Nothing is wrong.",
        f"![All assets by profile and prompt]({picture})" if picture else "",
        f"```sh\n{figures['command']}\n```",
        _list([f"{what}: {words}" for what, words in figures["environment"].items()]),
        "## Workmanship",
        *_of_workmanship(figures, before),
        "## Other readers",
        _of_readers(figures["readers"]),
    ]
    for name, profile in figures["profiles"].items():
        parts += [f"## Profile {name}", *_of_profile(profile), _of_assets(figures["assets"][name])]
    return "\n\n".join(filter(None, parts)) + "\n"


def _of_workmanship(figures: Mapping[str, Any], before: Mapping[str, Any] | None) -> list[str]:
    """Before and now, of each profile, with what is judged of the library as a whole."""
    clashes = figures["clashing_names"]
    examples = f", such as {', '.join(clashes[:MAX_REASONS])}" if clashes else ""
    earlier = f"; before: {before['clashing_names']}" if before else ""
    parts = [
        "What an art lead looks at first, measured in the delivered files: the median, in brackets the worst asset.",
        f"Names of materials and pictures that different contents share: {len(clashes)}{examples}{earlier}.",
        f"Before: {before['made_by']}." if before else "",
    ]
    for name, profile in figures["profiles"].items():
        then = before["profiles"].get(name, {}).get("workmanship", {}) if before else None
        heads, *rows = comparison(profile["workmanship"], then)
        parts += [f"### {name}", _table(heads, rows)]
    return parts


def _of_readers(readers: Mapping[str, Any]) -> str:
    rows = []
    for name, reader in readers.items():
        if "not_run" in reader:
            rows.append([name, NOTHING, NOTHING, f"not run: {reader['not_run']}"])
        else:
            rows.append(
                [reader["version"], str(reader["assets"]), str(reader["files"]), str(len(reader["disagreements"]))]
            )
    return _table(["reader", "assets", "files", "disagreements on dimensions, triangles, pictures"], rows)


def _of_profile(profile: Mapping[str, Any]) -> list[str]:
    """Paragraphs before the table of assets."""
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
    """Counts of validator messages, with the allow-list."""
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
    for gate, counts in gates.items():
        reasons = counts["reasons"][:MAX_REASONS]
        left = len(counts["reasons"]) - len(reasons)
        words = [str(counts["words"].get(word, 0)) for word in GATE_WORDS]
        rows.append([gate, *words, "; ".join(reasons) + (f"; … and {left} more" if left else "")])
    return _table(["gate", *GATE_WORDS.values(), "because"], rows)


def _of_levels(levels: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        ["triangles", *(TRIANGLES.format_spread(level["triangles"]) for level in levels)],
        ["GLB, MB", *(MEGABYTES.format_spread(level["bytes"]) for level in levels)],
    ]
    for name, measure in LEVEL_MEASURES.items():
        rows.append([measure.title, *(measure.format_spread(level["scores"][name]) for level in levels)])
    return _table(["level by level", *(f"LOD{number}" for number in range(len(levels)))], rows)


def _of_scores(profile: Mapping[str, Any]) -> str:
    rows = [[measure.title, measure.format_spread(profile["scores"][name])] for name, measure in ASSET_MEASURES.items()]
    return _table(["once for each asset", ""], [*rows, ["all files, MB", MEGABYTES.format_spread(profile["bytes"])]])


def _of_times(profile: Mapping[str, Any]) -> str:
    """Seconds by the clock, the longest stage first, and the runs that they are from."""
    stages = sorted(profile["timings_s"].items(), key=lambda stage: -stage[1]["median"])
    rows = [[stage, SECONDS.format_spread(spread)] for stage, spread in stages]
    rows.append(["all stages", SECONDS.format_spread(profile["all_stages_s"])])
    rows.append(["with reading the field and storing the files", SECONDS.format_spread(profile["export_s"])])
    rows.append(["CPU seconds, with every process that it starts", SECONDS.format_spread(profile["export_cpu_s"])])

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
        solid = [TRIANGLES.format(row["triangles"][0]), "yes" if row["watertight"] else "no"]
        scores = [measures[name].format(row["scores"].get(name)) for name in COLUMN_TITLES]
        lines.append(
            [*words, *solid, *scores, SECONDS.format(sum(row["timings_s"].values())), MEGABYTES.format(row["bytes"])]
        )
    return _table(heads, lines)


def _list(items: Iterable[str]) -> str:
    return "\n".join(f"- {item}" for item in items)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |" for cells in lines)


def contact_sheet(thumbnails: Mapping[str, Sequence[tuple[str, Path]]], path: Path) -> None:
    """All thumbnails (prompt, picture) in one picture, a band for each profile; WebP or PNG, as `path` ends."""
    row_px = CELL_PX + CAPTION_PX
    heights = {profile: BAND_PX + math.ceil(len(cells) / COLUMNS) * row_px for profile, cells in thumbnails.items()}
    sheet = Image.new("RGB", (COLUMNS * CELL_PX, max(1, sum(heights.values()))), GROUND)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)

    top = 0
    for profile, cells in thumbnails.items():
        draw.text((6, top + 6), profile, fill=INK, font=ImageFont.load_default(15))
        for index, (caption, file) in enumerate(cells):
            x, y = index % COLUMNS * CELL_PX, top + BAND_PX + index // COLUMNS * row_px
            with Image.open(file) as picture:
                small = picture.convert("RGBA").resize((CELL_PX, CELL_PX), Image.Resampling.LANCZOS)
            sheet.paste(small, (x, y), small)
            draw.text((x + CELL_PX // 2, y + CELL_PX), caption, fill=INK, font=font, anchor="ma")
        top += heights[profile]

    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, quality=82)
