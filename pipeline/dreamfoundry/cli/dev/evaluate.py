"""Build a set of toybox prompts and measure the results against the true toys.

examples:
  dreamfoundry dev evaluate                                   24 prompts, a third held out, 2 seeds
  dreamfoundry dev evaluate --pairs all-held-out --json out/evaluation.json --markdown out/evaluation.md
  dreamfoundry dev evaluate --prompts my_prompts.txt --seeds 1 --clip CLIP_FOLDER
  dreamfoundry dev evaluate -- --actors 2 --slots 4           what follows -- goes to the build

Every denominator is prompts x seeds asked: what was not published counts as wrong, or as 0. The
library is built like any other, so running this again resumes it and measures everything anew. Of
several results of one prompt and seed (after a change of the recipe) the newest counts.

exit codes:
   0  measured
   4  the command line cannot be used
  other codes are those of the build
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from dreamfoundry.cli.command_line import command_app, typed_command
from dreamfoundry.cli.flags import ExistingFile, OutputFile, OutputFolder, Positive
from dreamfoundry.run.exit_codes import EXIT_CODES

if TYPE_CHECKING:
    from dreamfoundry.evaluation.clip_score import ClipScorer

app = command_app("evaluate", __doc__)


@Parameter(name="*", group="Files")
@dataclass(frozen=True)
class Outputs:
    """Files that an evaluation writes; None leaves one out."""

    json: Annotated[OutputFile | None, Parameter(help="where to write the figures")] = None
    markdown: Annotated[OutputFile | None, Parameter(help="where to write them as tables")] = None
    plot: Annotated[OutputFile, Parameter(help="figures of each kind")] = Path("out/evaluate/kinds.png")
    sheet: Annotated[OutputFile, Parameter(help="picture of all results")] = Path("out/evaluate/results.png")


@app.default
def evaluate(
    *build_arguments: Annotated[str, Parameter(help="after --: passed on to `dreamfoundry build`")],
    pairs: Annotated[
        Literal["few", "all-held-out"],
        Parameter(help="24 pairs of kind and color, or all 27 that training never saw and as many that it did"),
    ] = "few",
    prompts: Annotated[ExistingFile | None, Parameter(help="one prompt per line, instead of --pairs")] = None,
    seeds: Annotated[Positive, Parameter(help="seeds per prompt")] = 2,
    clip: Annotated[Path | None, Parameter(help="a local CLIP (transformers folder): adds R-Precision")] = None,
    library: OutputFolder = Path("out/evaluate/library"),
    outputs: Outputs = Outputs(),
) -> int:
    """Build prompts x seeds into the library, measure them, and write the files; the exit code."""
    from dreamfoundry.evaluation.clip_score import load_clip

    texts = read_prompts(prompts) if prompts else bundled_prompts(pairs)
    # a bad folder is refused before hours of building
    clip_score = load_clip(clip) if clip else None

    start = time.monotonic()
    if code := build(texts, seeds, library, build_arguments):
        return code
    measure(texts, seeds, library, clip_score, outputs, build_s=time.monotonic() - start)
    return EXIT_CODES["complete"]


def read_prompts(path: Path) -> list[str]:
    """Lines of a file that are not blank."""
    return [line.strip() for line in path.read_text().splitlines() if line.strip()]


def bundled_prompts(pairs: str) -> list[str]:
    """The prompts that --pairs names."""
    from dreamfoundry.evaluation.toys import all_held_out_prompts, few_prompts

    return few_prompts() if pairs == "few" else all_held_out_prompts()


def measure(
    prompts: Sequence[str],
    num_seeds: int,
    folder: Path,
    clip: ClipScorer | None,
    outputs: Outputs,
    *,
    build_s: float,
) -> None:
    """Measure the library `folder` of prompts x seeds, and write the `outputs`."""
    from dreamfoundry.evaluation.measure_library import evaluate_library, prior_title
    from dreamfoundry.evaluation.metrics import TOLERANCES
    from dreamfoundry.library.library import Library
    from dreamfoundry.object_store.open import open_store

    library = Library(open_store(folder))
    evaluation = evaluate_library(library, prompts, num_seeds, clip)
    num_assets = len(prompts) * num_seeds
    result = {
        "prompts": len(prompts),
        "seeds": num_seeds,
        "command": typed_command(),
        "setting": {
            "asked": f"{len(prompts)} prompts, seeds 0 to {num_seeds - 1}",
            "time": f"{build_s:.0f} s for the build, {build_s / num_assets:.0f} s an asset, on {os.cpu_count()} cores",
            "priors": ", ".join(sorted({prior_title(outcome) for outcome in evaluation.outcomes if outcome})),
        },
        "build_s": build_s,
        "tolerances_share_of_diagonal": TOLERANCES,
        **({"clip": clip.model_id} if clip else {}),
        **evaluation.figures,
    }
    thumbnails = [
        library.get_blob(outcome.files["thumbnail.png"]) if outcome and outcome.state == "published" else None
        for outcome in evaluation.outcomes
    ]
    write(result, thumbnails, outputs)


def build(prompts: Sequence[str], num_seeds: int, library: Path, extra: Sequence[str]) -> int:
    """Build prompts x seeds by the product's own commands; an exit code that ends the evaluation, or 0."""
    library.mkdir(parents=True, exist_ok=True)
    rows, manifest = library.parent / f"{library.name}.jsonl", library.parent / f"{library.name}.parquet"
    rows.write_text(
        "".join(
            dumps({"prompt_id": f"p{index:03d}-s{seed}", "prompt": text, "seed": seed}) + "\n"
            for index, text in enumerate(prompts)
            for seed in range(num_seeds)
        )
    )
    package = [sys.executable, "-m", "dreamfoundry"]
    if code := subprocess.run([*package, "make", rows, manifest], check=False).returncode:
        return code
    code = subprocess.run([*package, "build", manifest, library, *extra], check=False).returncode
    # refused prompts are part of the result
    return EXIT_CODES["complete"] if code == EXIT_CODES["partial"] else code


def write(result: Mapping[str, Any], thumbnails: Sequence[bytes | None], outputs: Outputs) -> None:
    """Write figures, tables and pictures, and print the tables."""
    from dreamfoundry.evaluation.report import contact_sheet, kind_plot, markdown

    contact_sheet(result["assets"], thumbnails, outputs.sheet)
    kind_plot(result, outputs.plot)
    page = markdown(result)
    for path, text in ((outputs.json, dumps(result, indent=2) + "\n"), (outputs.markdown, page)):
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    print(page)
    print(f"pictures: {outputs.sheet}, {outputs.plot}")
