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
import itertools
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from dreamfoundry.cli.command_line import CommandLine, exit_code_of
from dreamfoundry.evaluation.benchmark.measure import BASELINE, DECODING_BASELINE, FACTORS, slots_case
from dreamfoundry.host.cpu_environment import CPU_ENVIRONMENT

Figures = dict[str, Any]

MEDIANS = (
    *("step_s", "prior_s", "optimizer_s", "rest_s", "prior_share"),
    *("snapshot_s", "optimize_s", "peak_memory_mib"),
)
"""Figures of a case that are medians over its rounds."""

CHILD = Path(__file__).with_name("benchmark_child.py")

SHARED = ("recipe", "architecture", "device", "profile", "whole", "window")
"""Arguments that a measurement in a process of its own is given too."""

QUIET = {"DIFFUSERS_VERBOSITY": "error", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
"""Their bars and notes about weights, from dozens of processes, would bury the figures."""


def main() -> int:
    return exit_code_of(lambda: run(parse_arguments()))


def run(arguments: argparse.Namespace) -> int:
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
            for before, after in itertools.pairwise(names)
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


def child(arguments: argparse.Namespace, what: str, **more: object) -> Figures:
    """What jobs/benchmark_child.py says of one measurement."""
    with started(arguments, what, **more) as process:
        output = process.communicate()[0]
    if process.returncode:
        raise SystemExit(process.returncode)
    answer: Figures = json.loads(output.splitlines()[-1])
    return answer


def started(arguments: argparse.Namespace, what: str, **more: object) -> subprocess.Popen[str]:
    told = {**{key: value for key in SHARED if (value := getattr(arguments, key)) is not None}, **more}
    command = [sys.executable, str(CHILD), what, *(f"--{key}={value}" for key, value in told.items())]
    command += [f"--set={change}" for change in arguments.set]
    environment = {**os.environ, **CPU_ENVIRONMENT, **QUIET}  # the first as the optimizer actors have it
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
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
