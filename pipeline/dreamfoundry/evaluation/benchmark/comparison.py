"""Compare the main loop with a loop in the shape of the research codes, one change at a time."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from dreamfoundry.evaluation.benchmark.children import Children
from dreamfoundry.evaluation.benchmark.measure import BASELINE, DECODING_BASELINE, FACTORS, Case, slots_case
from dreamfoundry.evaluation.benchmark.measurements import Figures

MEDIANS = (
    *("step_s", "prior_s", "optimizer_s", "rest_s", "prior_share"),
    *("snapshot_s", "optimize_s", "peak_memory_mib"),
)
"""Figures of a case that are medians over its rounds."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """Cases and rounds of a comparison; counts of processes for the two measurements of several at once."""

    slots: Sequence[int]
    num_rounds: int
    num_steps: int
    baseline_steps: int
    side_by_side: Sequence[int] = ()
    beside_exports: Sequence[int] = ()
    decoding: bool = False
    """Also measure the baseline that decodes latents in every step."""
    profile: str = ""
    """Export profile of the one whole asset; "" makes none."""
    operators: bool = False

    @property
    def cases(self) -> list[Case]:
        """The cases of a round, in their order."""
        return [*([DECODING_BASELINE] if self.decoding else []), *FACTORS, *map(slots_case, self.slots)]


def compare(plan: Plan, children: Children, say: Say) -> Figures:
    """All figures, as JSON takes them; progress goes to `say` line by line."""
    result = children.measure("about")
    whole = children.measure("whole") if plan.profile else {}
    if whole:
        say(
            f"one asset: {whole['num_steps']} steps in {whole['optimize_s']:.1f} s, export as {plan.profile} in "
            f"{whole['export_s']:.1f} s, together {whole['total_s']:.1f} s; prior loaded in {whole['load_s']:.1f} s"
        )

    rounds = measure_rounds(plan, children, say)
    # on a GPU machine the exports have cores of their own
    export_s = 0.0 if children.device == "cuda" else whole.get("export_s", 0.0)
    figures = {name: _case_figures(runs, export_s) for name, runs in rounds.items()}
    fastest = min((slots_case(slots).name for slots in plan.slots), key=lambda name: figures[name]["optimize_s"])

    # on a CPU ours are packed with one thread each, on a GPU the baseline, as a studio would do it
    packed_case = BASELINE.name if children.device == "cuda" else slots_case(1).name
    packed = [children.side_by_side(packed_case, count, plan.num_rounds) for count in plan.side_by_side]
    beside = [children.beside_exports(fastest, count, plan.num_rounds) for count in plan.beside_exports]
    return result | {
        "whole_asset": whole,
        "cases": figures,
        "rounds": rounds,
        "fastest": fastest,
        **_ratios(figures, fastest, result),
        "side_by_side": packed,
        "beside_exports": beside,
        "operators": children.measure("operators", case=fastest) if plan.operators else {},
    }


def measure_rounds(plan: Plan, children: Children, say: Say) -> dict[str, list[Figures]]:
    """Figures of every round by case. Cases take turns: they share the good and the bad minutes of the machine."""
    rounds: dict[str, list[Figures]] = defaultdict(list)
    for number in range(plan.num_rounds):
        for case in plan.cases:
            steps = plan.num_steps if case.num_slots else plan.baseline_steps
            rounds[case.name].append(children.measure("measure", case=case.name, steps=steps))
            say(f"round {number + 1}: {_line(rounds[case.name][-1])}")
    return rounds


def _case_figures(runs: Sequence[Figures], export_s: float) -> Figures:
    figures: Figures = {key: median(run[key] for run in runs) for key in MEDIANS}
    return figures | {"assets_per_hour": 3600.0 / (figures["optimize_s"] + export_s)}


def _ratios(figures: Mapping[str, Figures], fastest: str, about: Figures) -> Figures:
    """Factors from each case to the next, and efficiencies against the ceilings of the device."""
    names = [*(case.name for case in FACTORS), fastest]
    step_flop = about["prior_flop_per_view"] * about["views_per_step"]
    return {
        "assets_per_hour_ratio": figures[fastest]["assets_per_hour"] / figures[BASELINE.name]["assets_per_hour"],
        "factors": {
            f"{before} -> {after}": figures[before]["step_s"] / figures[after]["step_s"]
            for before, after in itertools.pairwise(names)
        },
        "step_ratio": figures[BASELINE.name]["step_s"] / figures[fastest]["step_s"],
        "prior_efficiency": {
            name: step_flop / own["prior_s"] / about["matmul_flop_per_s"] for name, own in figures.items()
        },
    }


def _line(figures: Figures) -> str:
    phases = ", ".join(f"{phase['image_px']} px x {phase['samples_per_ray']}" for phase in figures["stages"])
    return (
        f"{figures['case']['name']} ({phases}): {figures['step_s']:.3f} s per step and asset; "
        f"prior {figures['prior_share']:.0%}; peak {figures['peak_memory_mib']:.0f} MiB"
    )


def summary_lines(result: Figures) -> Iterator[str]:
    """The figures of a comparison as sentences, the most important one last."""
    for factor, ratio in result["factors"].items():
        yield f"{factor}: {ratio:.2f} times the steps per second"
    for packed in result["side_by_side"]:
        yield (
            f"{packed['count']} processes side by side: {packed['steps_per_s']:.2f} steps/s, "
            f"{packed['share_of_linear']:.2f} of linear"
        )
    for beside in result["beside_exports"]:
        yield (
            f"{beside['case']} beside {beside['count']} exporting processes: {beside['share_kept']:.1%} of the steps "
            f"that it makes alone; they made {beside['exports_per_hour']:.0f} exports per hour"
        )

    for phase, operators in result["operators"].items():
        yield f"{phase}: " + ", ".join(f"{one['name']} {one['share']:.0%}" for one in operators[:8])
    fastest = result["fastest"]
    yield (
        f"{fastest}: {result['cases'][fastest]['assets_per_hour']:.1f} assets per hour, "
        f"{result['assets_per_hour_ratio']:.1f} times the baseline"
    )
