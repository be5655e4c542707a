"""Build a set of toybox prompts and measure the results against the true toys.

    python jobs/evaluate.py                                   24 prompts, a third held out, 2 seeds
    python jobs/evaluate.py --prompts my_prompts.txt --seeds 1 --json out/evaluation.json

Every denominator is prompts x seeds asked: what was not published counts as wrong, or as 0. The
library is built by jobs/build_library.py like any other, so running this again resumes it.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import subprocess
import sys
import time
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
import trimesh
from PIL import Image, ImageDraw

from dreamfoundry.records import Outcome
from dreamfoundry.store import Library, open_store
from dreamfoundry.toybox.captions import COLORS, KINDS, color_of, held_out_pairs, kind_of
from dreamfoundry.toybox.scoring import (
    NUM_POINTS,
    TOLERANCES,
    aligned,
    dominant_color,
    score_back,
    score_shape,
    sphere_f_scores,
    wilson_interval,
)

JOBS = Path(__file__).parent


def default_prompts() -> list[str]:
    """24 pairs that cover all kinds and colors: every third one was held out of training."""
    held_out = sorted(held_out_pairs(), key=lambda pair: list(KINDS).index(pair[1]))
    unseen = [pair for index, pair in enumerate(held_out) if index % 3 == 0][:8]
    seen: list[tuple[str, str]] = []
    colors = list(COLORS)
    for index in range(len(KINDS) * 2):
        pair = (colors[(index * 7) % len(colors)], list(KINDS)[index % len(KINDS)])
        if len(seen) < 16 and pair not in held_out and pair not in seen:
            seen.append(pair)
    return [f"a {color} {kind}" for color, kind in seen + unseen]


def build(prompts: list[str], num_seeds: int, library: Path, extra: list[str]) -> float:
    """Build prompts x seeds with the product itself; returns the seconds it took."""
    library.mkdir(parents=True, exist_ok=True)
    rows, manifest = library.parent / f"{library.name}.jsonl", library.parent / f"{library.name}.parquet"
    rows.write_text(
        "".join(
            json.dumps({"prompt_id": f"p{index:03d}-s{seed}", "prompt": text, "seed": seed}) + "\n"
            for index, text in enumerate(prompts)
            for seed in range(num_seeds)
        )
    )
    subprocess.run([sys.executable, JOBS / "make_manifest.py", rows, manifest], check=True)
    started_at = time.monotonic()
    code = subprocess.run([sys.executable, JOBS / "build_library.py", manifest, library, *extra]).returncode
    if code not in (0, 3):
        raise SystemExit(code)
    return time.monotonic() - started_at


def surface(glb: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Points on the delivered surface and their texture colors in [0, 1]."""
    mesh: Any = trimesh.load(io.BytesIO(glb), file_type="glb", force="mesh")
    points, faces = trimesh.sample.sample_surface(mesh, NUM_POINTS, seed=0)
    barycentric = trimesh.triangles.points_to_barycentric(mesh.triangles[faces], points)
    uv = (mesh.visual.uv[mesh.faces[faces]] * barycentric[..., None]).sum(axis=1)
    colors = mesh.visual.material.baseColorTexture.convert("RGB")
    width, height = colors.size
    x = np.clip((uv[:, 0] * width).astype(int), 0, width - 1)
    y = np.clip(((1 - uv[:, 1]) * height).astype(int), 0, height - 1)
    return np.asarray(points), np.asarray(colors)[y, x] / 255.0


def judge(library: Library, outcome: Outcome | None, text: str) -> dict[str, Any]:
    """One line of the result: what was asked, what came, how near it is."""
    kind, color = kind_of(text), color_of(text)
    if kind is None or color is None:
        raise SystemExit(f"prompt {text!r}: must name a kind and a color of the toybox")
    entry: dict[str, Any] = {
        "prompt": text,
        "kind": kind,
        "color": color,
        "held_out": (color, kind) in held_out_pairs(),
        "published": outcome is not None and outcome.state == "published",
        "sphere_f_score_5_percent": sphere_f_scores(kind)[0],
        "sphere_f_score_2_percent": sphere_f_scores(kind)[1],
        "f_score_5_percent": 0.0,
        "f_score_2_percent": 0.0,
        "kind_correct": False,
        "color_correct": False,
    }
    if outcome is None or outcome.state != "published":
        return entry | {"failure_class": outcome.failure_class if outcome else "missing"}
    points, colors = surface(library.get_blob(outcome.files[f"{outcome.slug}.glb"]))
    shape, found_color = score_shape(points, kind), dominant_color(colors)
    back = score_back(aligned(points), kind, shape.yaw_deg)
    return entry | {
        "is_second_front": None if back is None else back.is_second_front,
        "front_error_deg": None if back is None else abs((shape.yaw_deg + 180.0) % 360.0 - 180.0),
        "f_score_5_percent": shape.f_scores[0],
        "f_score_2_percent": shape.f_scores[1],
        "nearest_kind": shape.nearest_kind,
        "nearest_color": found_color,
        "kind_correct": shape.nearest_kind == kind,
        "color_correct": found_color == color,
        "chamfer_share": shape.chamfer_share,
        "yaw_deg": shape.yaw_deg,
        "optimize_s": outcome.provenance.get("optimize_s"),
    }


def contact_sheet(library: Library, rows: list[tuple[dict[str, Any], Outcome | None]], path: Path) -> None:
    """All results in one picture, each with its prompt and what it was taken for."""
    cell, columns = 128, 8
    sheet = Image.new("RGB", (columns * cell, math.ceil(len(rows) / columns) * (cell + 30)), (250, 250, 250))
    draw = ImageDraw.Draw(sheet)
    for index, (entry, outcome) in enumerate(rows):
        x, y = index % columns * cell, index // columns * (cell + 30)
        if entry["published"] and outcome is not None:
            name = next(name for name in outcome.files if name.startswith("thumb"))
            picture = Image.open(io.BytesIO(library.get_blob(outcome.files[name]))).convert("RGBA").resize((cell, cell))
            sheet.paste(picture, (x, y), picture)
        good = entry["kind_correct"] and entry["color_correct"]
        draw.text((x + 4, y + cell), entry["prompt"] + (" *" if entry["held_out"] else ""), fill=(0, 0, 0))
        verdict = f"{entry.get('nearest_color', '-')} {entry.get('nearest_kind', entry.get('failure_class', '-'))}"
        draw.text((x + 4, y + cell + 13), verdict, fill=(0, 120, 0) if good else (190, 0, 0))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)


def summary(entries: list[dict[str, Any]], num_prompts: int, num_seeds: int) -> dict[str, Any]:
    asked = len(entries)

    def share(key: str, rows: list[dict[str, Any]]) -> float:
        return sum(bool(row[key]) for row in rows) / max(1, len(rows))

    unseen = [entry for entry in entries if entry["held_out"]]
    with_front = [entry for entry in entries if entry.get("is_second_front") is not None]
    times_s = [entry["optimize_s"] for entry in entries if entry.get("optimize_s")]
    return {
        "prompts": num_prompts,
        "seeds": num_seeds,
        "asked": asked,
        "yield": share("published", entries),
        "kind_accuracy": share("kind_correct", entries),
        "colour_accuracy": share("color_correct", entries),
        "f_score": mean(entry["f_score_5_percent"] for entry in entries),
        "f_score_2_percent": mean(entry["f_score_2_percent"] for entry in entries),
        "sphere_f_score": mean(entry["sphere_f_score_5_percent"] for entry in entries),
        "sphere_f_score_2_percent": mean(entry["sphere_f_score_2_percent"] for entry in entries),
        "yield_interval_95": wilson_interval(sum(entry["published"] for entry in entries), asked),
        "kind_interval_95": wilson_interval(sum(entry["kind_correct"] for entry in entries), asked),
        "colour_interval_95": wilson_interval(sum(entry["color_correct"] for entry in entries), asked),
        "held_out_kind_accuracy": share("kind_correct", unseen),
        "held_out_colour_accuracy": share("color_correct", unseen),
        "with_front": len(with_front),
        "second_fronts": sum(entry["is_second_front"] for entry in with_front),
        "median_front_error_deg": median(entry["front_error_deg"] for entry in with_front) if with_front else None,
        "tolerances_share_of_diagonal": TOLERANCES,
        "median_optimize_s": median(times_s) if times_s else None,
        "assets": entries,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=Path, help="a file with one prompt per line (default: 24 toybox prompts)")
    parser.add_argument("--seeds", type=int, default=2, help="seeds per prompt")
    parser.add_argument("--library", type=Path, default=Path("out/evaluate/library"))
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--sheet", type=Path, default=Path("out/evaluate/results.png"), help="picture of all results")
    parser.add_argument("build_arguments", nargs="*", help="after --: passed on to build_library.py")
    arguments = parser.parse_args()

    prompts = default_prompts()
    if arguments.prompts:
        prompts = [line.strip() for line in arguments.prompts.read_text().splitlines() if line.strip()]
    build_s = build(prompts, arguments.seeds, arguments.library, arguments.build_arguments)
    library = Library(open_store(arguments.library))
    by_row: dict[str, Outcome] = {outcome.prompt_id: outcome for outcome in library.outcomes()}
    rows = []
    for index, text in enumerate(prompts):
        for seed in range(arguments.seeds):
            outcome = by_row.get(f"p{index:03d}-s{seed}")
            rows.append((judge(library, outcome, text) | {"seed": seed}, outcome))
    result = summary([entry for entry, _ in rows], len(prompts), arguments.seeds) | {"build_s": build_s}
    contact_sheet(library, rows, arguments.sheet)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    print(
        f"{result['asked']} asked: yield {result['yield']:.0%}, kind {result['kind_accuracy']:.0%}, "
        f"colour {result['colour_accuracy']:.0%}, F-score {result['f_score']:.2f} (a sphere: "
        f"{result['sphere_f_score']:.2f}), {result['second_fronts']} of {result['with_front']} with a front show it "
        f"twice -> {arguments.sheet}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
