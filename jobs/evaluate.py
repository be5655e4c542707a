"""Build a set of toybox prompts and measure the results against the true toys.

    python jobs/evaluate.py                                   24 prompts, a third held out, 2 seeds
    python jobs/evaluate.py --pairs all-held-out --json out/evaluation.json --markdown out/evaluation.md
    python jobs/evaluate.py --prompts my_prompts.txt --seeds 1 --clip CLIP_FOLDER

Every denominator is prompts x seeds asked: what was not published counts as wrong, or as 0. The
library is built by jobs/build_library.py like any other, so running this again resumes it and
judges everything anew. Of several results of one prompt and seed (after a change of the recipe) the
newest counts.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shlex
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh

from dreamfoundry.asset.files.glb_reader import read_glb
from dreamfoundry.asset.gates.scores import diversity, views_on_white
from dreamfoundry.asset.pictures.thumbnail import judged_views
from dreamfoundry.errors import InputError
from dreamfoundry.evaluation.clip_score import ClipScorer, load_clip, own_text_first
from dreamfoundry.evaluation.metrics import NUM_POINTS, TOLERANCES
from dreamfoundry.evaluation.report import contact_sheet, kind_plot, markdown
from dreamfoundry.evaluation.toys import DeliveredSurface, Row, all_held_out_prompts, few_prompts, judged, summary
from dreamfoundry.library.library import Library
from dreamfoundry.object_store.open import open_store
from dreamfoundry.records import FieldSnapshot, Outcome

JOBS = Path(__file__).parent
PAIRS = {"few": few_prompts, "all-held-out": all_held_out_prompts}

CLIP_VIEWS = 4
"""Pictures of each asset that CLIP looks at, evenly around it."""


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


def newest_outcomes(library: Library) -> dict[tuple[str, str], Outcome]:
    """What became of each prompt and seed."""
    by_age = sorted(library.outcomes(), key=lambda outcome: str(outcome.provenance.get("created_at", "")))
    return {(outcome.prompt, outcome.prompt_id.rpartition("-s")[2]): outcome for outcome in by_age}


def prior_named(outcome: Outcome) -> str:
    """The prior of an asset and what its weights are."""
    prior: Any = outcome.provenance.get("prior") or {}
    return f"{prior.get('prior_id', 'unknown')}, weights `{prior.get('digest', '')}`"


def delivered_glb(library: Library, outcome: Outcome | None) -> bytes | None:
    """The first level of an asset, None if it was not published."""
    if outcome is None or outcome.state != "published":
        return None
    return library.get_blob(outcome.files[f"{outcome.slug}.glb"])


def surface(glb: bytes) -> DeliveredSurface:
    """Points on the delivered surface and their texture colors."""
    mesh: Any = trimesh.load(io.BytesIO(glb), file_type="glb", force="mesh")
    points, faces = trimesh.sample.sample_surface(mesh, NUM_POINTS, seed=0)
    barycentric = trimesh.triangles.points_to_barycentric(mesh.triangles[faces], points)
    uv = (mesh.visual.uv[mesh.faces[faces]] * barycentric[..., None]).sum(axis=1)
    colors = mesh.visual.material.baseColorTexture.convert("RGB")
    width, height = colors.size
    x = np.clip((uv[:, 0] * width).astype(int), 0, width - 1)
    y = np.clip(((1 - uv[:, 1]) * height).astype(int), 0, height - 1)
    return DeliveredSurface(np.asarray(points), np.asarray(colors)[y, x] / 255.0)


def seed_diversity(library: Library, rows: Sequence[Row], outcomes: Sequence[Outcome | None]) -> dict[str, float]:
    """How much the published seeds of each prompt differ, where there are at least two."""
    by_prompt = defaultdict(list)
    for row, outcome in zip(rows, outcomes, strict=True):
        if row["published"] and outcome is not None and outcome.snapshot is not None:
            by_prompt[row["prompt"]].append(outcome.snapshot)
    return {
        text: diversity([views_on_white(FieldSnapshot.from_bytes(library.get_blob(ref))) for ref in snapshots])
        for text, snapshots in by_prompt.items()
        if len(snapshots) > 1
    }


def rank_by_clip(clip: ClipScorer, rows: Sequence[Row], glbs: Sequence[bytes | None]) -> None:
    """Write into each row the share of its views that find their own prompt among all."""
    texts = list(dict.fromkeys(row["prompt"] for row in rows))
    published = [(row, glb) for row, glb in zip(rows, glbs, strict=True) if glb is not None]
    own = torch.tensor([texts.index(row["prompt"]) for row, _ in published]).repeat_interleave(CLIP_VIEWS)
    modes: Mapping[str, Any] = {"r_precision_color": "albedo", "r_precision_geometry": "textureless"}
    for name, mode in modes.items():
        for row in rows:
            row[name] = 0.0
        if not published:
            continue
        views = np.concatenate([judged_views(read_glb(glb), mode, CLIP_VIEWS, clip.picture_px) for _, glb in published])
        pictures = torch.from_numpy(views).permute(0, 3, 1, 2).float() / 255.0
        found = own_text_first(clip.similarities(pictures, texts), own).float().view(-1, CLIP_VIEWS).mean(dim=1)
        for (row, _), share in zip(published, found.tolist(), strict=True):
            row[name] = share


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--pairs",
        choices=PAIRS,
        default="few",
        help="24 pairs of kind and color, or all 27 that training never saw and as many that it did",
    )
    parser.add_argument("--prompts", type=Path, help="a file with one prompt per line, instead of --pairs")
    parser.add_argument("--seeds", type=int, default=2, help="seeds per prompt")
    parser.add_argument("--clip", type=Path, help="a local CLIP (transformers folder): adds R-Precision")
    parser.add_argument("--library", type=Path, default=Path("out/evaluate/library"))
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--markdown", type=Path, help="where to write them as tables")
    parser.add_argument("--plot", type=Path, default=Path("out/evaluate/kinds.png"), help="figures of each kind")
    parser.add_argument("--sheet", type=Path, default=Path("out/evaluate/results.png"), help="picture of all results")
    parser.add_argument("build_arguments", nargs="*", help="after --: passed on to build_library.py")
    arguments = parser.parse_args()

    prompts = PAIRS[arguments.pairs]()
    if arguments.prompts:
        prompts = [line.strip() for line in arguments.prompts.read_text().splitlines() if line.strip()]
    clip = load_clip(arguments.clip) if arguments.clip else None  # a bad folder is refused before hours of building
    build_s = build(prompts, arguments.seeds, arguments.library, arguments.build_arguments)
    library = Library(open_store(arguments.library))
    found = newest_outcomes(library)
    asked = [(text, seed) for text in prompts for seed in range(arguments.seeds)]
    outcomes = [found.get((text, str(seed))) for text, seed in asked]
    glbs = [delivered_glb(library, outcome) for outcome in outcomes]
    rows = [
        judged(text, seed, outcome, None if glb is None else surface(glb))
        for (text, seed), outcome, glb in zip(asked, outcomes, glbs, strict=True)
    ]
    if clip:
        rank_by_clip(clip, rows, glbs)
    result = {
        "prompts": len(prompts),
        "seeds": arguments.seeds,
        "command": shlex.join(["python", "jobs/evaluate.py", *sys.argv[1:]]),
        "setting": {
            "asked": f"{len(prompts)} prompts, seeds 0 to {arguments.seeds - 1}",
            "time": f"{build_s:.0f} s for the build, {build_s / len(asked):.0f} s an asset, on {os.cpu_count()} cores",
            "priors": ", ".join(sorted({prior_named(outcome) for outcome in outcomes if outcome})),
        },
        "build_s": build_s,
        "tolerances_share_of_diagonal": TOLERANCES,
        **({"clip": clip.model_id} if clip else {}),
        **summary(rows, seed_diversity(library, rows, outcomes)),
    }
    thumbnails = [
        library.get_blob(outcome.files["thumbnail.png"]) if outcome and outcome.state == "published" else None
        for outcome in outcomes
    ]
    contact_sheet(rows, thumbnails, arguments.sheet)
    kind_plot(result, arguments.plot)
    for path, text in ((arguments.json, json.dumps(result, indent=2) + "\n"), (arguments.markdown, markdown(result))):
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    print(markdown(result))
    print(f"pictures: {arguments.sheet}, {arguments.plot}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except InputError as error:
        sys.exit(f"error: {error}")
