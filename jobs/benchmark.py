r"""How many assets an hour, against a loop in the shape of the research codes, on this machine.

    python jobs/benchmark.py                                 toybox on the CPU: about ten minutes
    python jobs/benchmark.py --slots 1 4 8 --repeats 1 --json out/benchmark.json --plot out/benchmark.png
    python jobs/benchmark.py --device cuda --recipe dreamfusion_hash --architecture sd21 --whole 0 --slots 1 8 16

The baseline optimises one prompt per process: eager, 512 samples on a ray, a field read by torch's
grid_sample, numbers copied to the host in every step. From it to ours the cases change one thing at
a time, with the same prior, steps, draws and losses. Every case runs in a process of its own, so
that peak memory is its own; rounds take turns, and figures are medians over the rounds. Compare
ratios of one run, not times of two machines, and keep the machine free of other work.

With --side-by-side N, N processes of one case run at once: on a CPU ours with one thread each, on a
GPU the baseline, packed as a studio would do it. With --beside-exports N, N processes export while
ours optimises: what it loses is the time that a GPU would stand idle. With --whole STEPS one asset
is made from start to end and exported. Without these two (--whole 0) the packages of the export are
not needed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import select
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from dreamfoundry.allocation import LARGE_ALLOCATIONS
from dreamfoundry.config import Recipe
from dreamfoundry.library.command_line import CommandLine, exit_code_of
from dreamfoundry.recipes import resolve_recipe, with_overrides

Figures = dict[str, Any]

MEDIANS = (
    *("step_s", "prior_s", "optimizer_s", "rest_s", "prior_share"),
    *("snapshot_s", "optimize_s", "peak_memory_mib"),
)
"""Figures of a case that are medians over its rounds."""

SHARED = ("recipe", "architecture", "device", "profile", "whole", "window")
"""Arguments that a measurement in a process of its own is given too."""


def main() -> int:
    return exit_code_of(lambda: run(parse_arguments()))


def run(arguments: argparse.Namespace) -> int:
    if arguments.child:
        print(json.dumps(CHILDREN[arguments.child](arguments)))
        return 0
    from dreamfoundry.benchmark.measure import BASELINE, DECODING_BASELINE, FACTORS, slots_case

    result = child(arguments, "about")
    whole = child(arguments, "whole") if arguments.whole else {}
    if whole:
        say(
            f"one asset: {whole['num_steps']} steps in {whole['optimize_s']:.1f} s, export as {arguments.profile} in "
            f"{whole['export_s']:.1f} s, together {whole['total_s']:.1f} s; prior loaded in {whole['load_s']:.1f} s"
        )
    decoding = [DECODING_BASELINE] if "sd21" in (arguments.architecture or "") else []
    cases = [*decoding, *FACTORS, *map(slots_case, arguments.slots)]
    rounds: dict[str, list[Figures]] = defaultdict(list)
    for number in range(arguments.repeats):
        for case in cases:
            steps = arguments.steps if case.num_slots else arguments.baseline_steps
            rounds[case.name].append(child(arguments, "measure", case=case.name, steps=steps))
            say(f"round {number + 1}: {line(rounds[case.name][-1])}")
    figures = {name: {key: median(run[key] for run in runs) for key in MEDIANS} for name, runs in rounds.items()}
    for case_figures in figures.values():
        # On a GPU machine the exports have cores of their own.
        made_s = case_figures["optimize_s"] + (0.0 if arguments.device == "cuda" else whole.get("export_s", 0.0))
        case_figures["assets_per_hour"] = 3600.0 / made_s
    fastest = max((slots_case(slots).name for slots in arguments.slots), key=lambda name: -figures[name]["optimize_s"])
    ratio = figures[fastest]["assets_per_hour"] / figures[BASELINE.name]["assets_per_hour"]
    packed_name = BASELINE.name if arguments.device == "cuda" else slots_case(1).name
    packed = [side_by_side(arguments, packed_name, count) for count in arguments.side_by_side]
    step_flop = result["prior_flop_per_view"] * result["views_per_step"]
    names = [case.name for case in FACTORS] + [fastest]
    result |= {
        "whole_asset": whole,
        "cases": figures,
        "rounds": rounds,
        "fastest": fastest,
        "assets_per_hour_ratio": ratio,
        "factors": {
            f"{before} -> {after}": figures[before]["step_s"] / figures[after]["step_s"]
            for before, after in zip(names, names[1:], strict=False)
        },
        "step_ratio": figures[BASELINE.name]["step_s"] / figures[fastest]["step_s"],
        "prior_efficiency": {
            name: step_flop / found["prior_s"] / result["matmul_flop_per_s"] for name, found in figures.items()
        },
        "side_by_side": packed,
        "beside_exports": [beside_exports(arguments, fastest, count) for count in arguments.beside_exports],
        "operators": child(arguments, "operators", case=fastest) if arguments.operators else {},
    }
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    if arguments.plot:
        plot(figures, arguments.plot)
    summarize(result)
    return 0


def summarize(result: Figures) -> None:
    for factor, ratio in result["factors"].items():
        say(f"{factor}: {ratio:.2f} times the steps per second")
    for found in result["side_by_side"]:
        say(
            f"{found['count']} processes side by side: {found['steps_per_s']:.2f} steps/s, "
            f"{found['share_of_linear']:.2f} of linear"
        )
    for found in result["beside_exports"]:
        say(
            f"{found['case']} beside {found['count']} exporting processes: {found['share_kept']:.1%} of the steps "
            f"that it makes alone; they made {found['exports_per_hour']:.0f} exports per hour"
        )
    for stage, operators in result["operators"].items():
        say(f"{stage}: " + ", ".join(f"{one['name']} {one['share']:.0%}" for one in operators[:8]))
    say(
        f"{result['fastest']}: {result['cases'][result['fastest']]['assets_per_hour']:.1f} assets per hour, "
        f"{result['assets_per_hour_ratio']:.1f} times the baseline"
    )


def line(figures: Figures) -> str:
    stages = ", ".join(f"{stage['image_px']} px x {stage['samples_per_ray']}" for stage in figures["stages"])
    return (
        f"{figures['case']['name']} ({stages}): {figures['step_s']:.3f} s per step and asset; "
        f"prior {figures['prior_share']:.0%}; peak {figures['peak_memory_mib']:.0f} MiB"
    )


def about_child(arguments: argparse.Namespace) -> Figures:
    """The machine, its ceilings, and what is measured on it; what this holds of a device goes with its process."""
    import torch

    from dreamfoundry.benchmark import ceilings
    from dreamfoundry.diffusion.prior import usual_dtype

    prior, recipe = opened(arguments, "eager")
    dtype, is_cuda = usual_dtype(arguments.device), arguments.device == "cuda"
    views = recipe.optimize.views_per_step
    return {
        "device": torch.cuda.get_device_name() if is_cuda else platform.processor() or platform.machine(),
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "dtype": str(dtype).removeprefix("torch."),
        "recipe": arguments.recipe,
        "overrides": arguments.set,
        "prior": prior.identity.prior_id,
        "steps_per_asset": recipe.optimize.num_steps,
        "views_per_step": views,
        "matmul_flop_per_s": ceilings.matmul_flop_per_s(arguments.device, dtype, 8192 if is_cuda else 2048),
        "copy_bytes_per_s": ceilings.copy_bytes_per_s(arguments.device, 2**32 if is_cuda else 2**28),
        "prior_flop_per_view": ceilings.prior_flop(prior, views, 2, recipe.render.image_px) / views,
    }


def measure_child(arguments: argparse.Namespace) -> Figures:
    from dreamfoundry.benchmark.measure import measure

    case = case_named(arguments.case)
    prior, recipe = opened(arguments, engine_of(case))
    decode = random_decoder(arguments) if case.decodes else None
    return measure(case, prior, recipe, device=arguments.device, decode=decode, num_steps=arguments.steps)


def random_decoder(arguments: argparse.Namespace) -> Any:
    from dreamfoundry.diffusion.random_weights import SD_VAE_WIDTHS, TINY_VAE_WIDTHS, random_sd_decoder

    is_tiny = arguments.architecture.startswith("tiny")
    return random_sd_decoder(arguments.device, widths=TINY_VAE_WIDTHS if is_tiny else SD_VAE_WIDTHS)


def engine_of(case: Any) -> str:
    """The research codes run a prior kernel by kernel; on a CPU so do we."""
    return "graphs" if case.num_slots else "eager"


def rate_child(arguments: argparse.Namespace) -> Figures:
    """Steps per second while others do the same; begins when it is told to."""
    from dreamfoundry.benchmark.measure import Loop, steps_per_s

    case = case_named(arguments.case)
    prior, recipe = opened(arguments, engine_of(case))
    loop = Loop(case, prior, recipe, arguments.device)
    loop.go_to(0.5)
    steps_per_s(loop, 2.0)
    wait_for_go()
    return {"steps_per_s": steps_per_s(loop, arguments.window)}


def whole_child(arguments: argparse.Namespace) -> Figures:
    """One asset as a laptop makes it: all steps and looks, the snapshot, and the files of the profile."""
    from dreamfoundry.benchmark.measure import PROMPT
    from dreamfoundry.diffusion.weights import prior_identity
    from dreamfoundry.export import asset_metadata, export_asset
    from dreamfoundry.export_profiles import export_profile
    from dreamfoundry.identity import field_key, recipe_digest
    from dreamfoundry.optimize import Assignment, optimize_all
    from dreamfoundry.records import Prompt

    start = time.perf_counter()
    prior, recipe = opened(arguments, "graphs")
    loaded = time.perf_counter()
    recipe = with_overrides(recipe, {"optimize.num_steps": arguments.whole})
    profile, identity, prompt = export_profile(arguments.profile), prior_identity(recipe.prior), Prompt("bench", PROMPT)
    key = field_key(prompt, recipe, identity)
    (made,) = optimize_all(prior, recipe, [Assignment(prompt, key)], 1, arguments.device)
    if made.snapshot is None:
        raise SystemExit(f"error: {PROMPT!r} gave no field: {made.failure}")
    optimized = time.perf_counter()
    metadata = asset_metadata(prompt, identity, key, key, recipe_digest(recipe), profile)
    bundle = export_asset(made.snapshot, prompt, profile=profile, metadata=metadata)
    exported = time.perf_counter()
    return {
        "num_steps": made.history.steps_spent,
        "load_s": loaded - start,
        "optimize_s": optimized - loaded,
        "export_s": exported - optimized,
        "total_s": exported - loaded,
        "files": sorted(bundle.files),
    }


def operators_child(arguments: argparse.Namespace) -> Figures:
    from dreamfoundry.benchmark.measure import Loop
    from dreamfoundry.benchmark.operators import costliest_operators

    case = case_named(arguments.case)
    prior, recipe = opened(arguments, engine_of(case))
    loop = Loop(case, prior, recipe, arguments.device)
    found = {}
    for start, end in recipe.render.spans:
        loop.go_to((start + end) / 2)
        stage = recipe.render.at((start + end) / 2)
        found[f"{stage.image_px} px x {stage.samples_per_ray}"] = costliest_operators(loop)
    return found


def export_child(arguments: argparse.Namespace) -> Figures:
    """Exports a ball again and again on the CPU, from when it is told to until its input ends."""
    import torch

    from dreamfoundry.export import asset_metadata, export_asset
    from dreamfoundry.export_profiles import export_profile
    from dreamfoundry.nerf.field import RadianceFields
    from dreamfoundry.nerf.snapshot import take_snapshot
    from dreamfoundry.records import PriorIdentity, Prompt

    # The blob that a field starts with, made solid.
    recipe = resolve_recipe("toybox", ["field.density_blob_scale=20.0"])
    fields = RadianceFields(recipe.field, 1)
    fields.init_slot(0, torch.Generator().manual_seed(0))
    snapshot = take_snapshot(fields, 0, recipe.render, recipe.snapshot, recipe.cameras)
    profile, prompt = export_profile(arguments.profile), Prompt("bench", "a ball")
    metadata = asset_metadata(prompt, PriorIdentity("none", "none", "none", "CC0-1.0"), "0", "0", "0", profile)
    export_asset(snapshot, prompt, profile=profile, metadata=metadata)
    wait_for_go()
    num_exports, start = 0, time.perf_counter()
    while not select.select([sys.stdin], [], [], 0.0)[0]:
        export_asset(snapshot, prompt, profile=profile, metadata=metadata)
        num_exports += 1
    return {"exports_per_hour": 3600.0 * num_exports / (time.perf_counter() - start)}


def wait_for_go() -> None:
    print("ready", flush=True)
    sys.stdin.readline()


CHILDREN = {
    "about": about_child,
    "measure": measure_child,
    "rate": rate_child,
    "whole": whole_child,
    "operators": operators_child,
    "export": export_child,
}


def opened(arguments: argparse.Namespace, engine: Any) -> tuple[Any, Recipe]:
    """The prior on its device, and the recipe, in a process with the threads that it was given."""
    import torch

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    recipe = resolve_recipe(arguments.recipe, arguments.set)
    if arguments.architecture:
        from dreamfoundry.diffusion.random_weights import ARCHITECTURES

        return ARCHITECTURES[arguments.architecture](arguments.device, engine=engine), recipe
    from dreamfoundry.diffusion.prior import load_prior

    return load_prior(recipe.prior, device=arguments.device, engine=engine), recipe


def case_named(name: str) -> Any:
    from dreamfoundry.benchmark.measure import DECODING_BASELINE, FACTORS, slots_case

    named = {case.name: case for case in (DECODING_BASELINE, *FACTORS)}
    return named.get(name) or slots_case(int(name.removeprefix("K = ")))


def child(arguments: argparse.Namespace, what: str, **more: object) -> Figures:
    """What this program says when it is started for one measurement."""
    with started(arguments, what, **more) as process:
        output = process.communicate()[0]
    if process.returncode:
        raise SystemExit(process.returncode)
    answer: Figures = json.loads(output.splitlines()[-1])
    return answer


def started(arguments: argparse.Namespace, what: str, **more: object) -> subprocess.Popen[str]:
    told = {"child": what, **{key: value for key in SHARED if (value := getattr(arguments, key)) is not None}, **more}
    command = [sys.executable, __file__, *(f"--{key}={value}" for key, value in told.items())]
    command += [f"--set={change}" for change in arguments.set]
    environment = {**os.environ, **LARGE_ALLOCATIONS}  # as the optimizer actors have it
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def made_ready(arguments: argparse.Namespace, what: str, **more: object) -> subprocess.Popen[str]:
    """A child that has done all but what is to be measured."""
    process = started(arguments, what, **more)
    assert process.stdout is not None
    if process.stdout.readline() != "ready\n":
        raise SystemExit("error: a process of the benchmark ended before it was ready")
    return process


def let_go(processes: Sequence[subprocess.Popen[str]]) -> None:
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()


def answers(processes: Sequence[subprocess.Popen[str]]) -> list[Figures]:
    """What the children say at their end; those that go on until their input ends hear of it here."""
    return [json.loads(process.communicate()[0].splitlines()[-1]) for process in processes]


def rates(arguments: argparse.Namespace, name: str, count: int, threads: int) -> list[float]:
    """Steps per second of each of `count` processes at once."""
    crew = [made_ready(arguments, "rate", case=name, threads=threads) for _ in range(count)]
    let_go(crew)
    return [answer["steps_per_s"] for answer in answers(crew)]


def side_by_side(arguments: argparse.Namespace, name: str, count: int) -> Figures:
    """Steps per second of `count` processes at once, and as a share of `count` times one alone."""
    threads = 0 if arguments.device == "cuda" else 1
    alone, together = [], []
    for _ in range(arguments.repeats):
        alone.append(sum(rates(arguments, name, 1, threads)))
        together.append(sum(rates(arguments, name, count, threads)))
    share = median(pair / (count * one) for one, pair in zip(alone, together, strict=True))
    return {"case": name, "count": count, "threads": threads, "steps_per_s": median(together), "share_of_linear": share}


def beside_exports(arguments: argparse.Namespace, name: str, count: int) -> Figures:
    """What is left of the steps of one process while `count` others export; the rest it waits for the CPU."""
    kept, exports_per_hour = [], []
    for _ in range(arguments.repeats):
        (alone,) = rates(arguments, name, 1, 0)
        exporters = [made_ready(arguments, "export", threads=1) for _ in range(count)]
        let_go(exporters)
        (beside,) = rates(arguments, name, 1, 0)
        kept.append(beside / alone)
        exports_per_hour.append(sum(answer["exports_per_hour"] for answer in answers(exporters)))
    return {"case": name, "count": count, "share_kept": median(kept), "exports_per_hour": median(exports_per_hour)}


def plot(figures: dict[str, Figures], path: Path) -> None:
    """Seconds of a step per asset, by part."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 0.6 + 0.55 * len(figures)), layout="constrained")
    parts = (("prior_s", "frozen prior"), ("optimizer_s", "optimizer"), ("rest_s", "field, renderer, bookkeeping"))
    names = list(figures)
    left = [0.0] * len(names)
    for key, label in parts:
        values = [figures[name][key] for name in names]
        axes.barh(names, values, left=left, label=label)
        left = [start + value for start, value in zip(left, values, strict=True)]
    for index, total in enumerate(left):
        axes.text(total, index, f" {total:.3f} s", va="center")
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.set_xlabel("seconds per step and asset")
    axes.legend(loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def say(words: str) -> None:
    print(words, flush=True)


def parse_arguments() -> argparse.Namespace:
    parser = CommandLine(__doc__)
    parser.add_argument("--recipe", default="toybox", help="a bundled recipe or a TOML file (default: %(default)s)")
    parser.add_argument(
        "--architecture",
        choices=["sd21", "if-m", "if-l", "if-xl", "tiny-sd21", "tiny-if"],
        help="random weights in the shape of Stable Diffusion 2.1 or DeepFloyd IF instead of the recipe's prior",
    )
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change one key of the recipe")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"], help="default: %(default)s")
    parser.add_argument("--profile", default="preview", help="of the one export (default: %(default)s)")
    parser.add_argument("--slots", type=int, nargs="+", default=[1, 4], metavar="K", help="slots of the main loop")
    parser.add_argument("--repeats", type=int, default=3, help="rounds over all cases (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=20, help="measured per render stage (default: %(default)s)")
    parser.add_argument("--baseline-steps", type=int, default=6, help="those of the baseline (default: %(default)s)")
    parser.add_argument("--side-by-side", type=int, nargs="*", default=[2], metavar="N", help="processes at once")
    parser.add_argument("--beside-exports", type=int, nargs="*", default=[], metavar="N", help="exporting processes")
    parser.add_argument("--operators", action="store_true", help="also say which operators take the time")
    parser.add_argument("--window", type=float, default=20.0, metavar="S", help="how long those are counted for")
    parser.add_argument("--whole", type=int, default=300, metavar="STEPS", help="of one whole asset; 0 makes none")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--plot", type=Path, help="where to draw them")
    parser.add_argument("--child", choices=sorted(CHILDREN), help=argparse.SUPPRESS)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
