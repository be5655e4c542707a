"""A night in small on three machines that die, two drivers that race, and a store that refuses a tenth of its requests.

    python tests/chaos/soak.py [--minutes 20] [--rows 200] [--seed 0]

Twenty of the rows are toys of 30 steps with the full export; the others have one step of a tiny
field, and their exports are as real. Until the time is over and every row has ended, something dies
every few seconds: an optimizer, an exporter, the child of an exporter, a driver (killed or asked to
stop) or a whole node; a driver that has ended is started again with the same command. Then the
library is verified, every write of an outcome is counted from outside, and the figures are printed.
Exit code 1 if a row is lost, decided twice, or anything in the library is not as it should be.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))  # beside this folder, which python itself has put there

import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402
from fault_proxy import FaultProxy  # noqa: E402
from night import IMPATIENT, JOB  # noqa: E402
from processes import marked_processes  # noqa: E402

from dreamfoundry.audit import Audit  # noqa: E402
from dreamfoundry.store import Library  # noqa: E402
from dreamfoundry.toybox.captions import COLORS, KINDS  # noqa: E402

NUM_REAL = 20
NUM_REPEATED = 5
NUM_NODES = 3
SHARE_REFUSED = 0.10
PAUSE_S = (4.0, 16.0)
"""Between two deaths."""

TINY = {
    "optimize.num_steps": 1,
    "optimize.views_per_step": 1,
    "field.level_resolutions": [8, 16],
    "field.density_blob_scale": 30.0,
    "render.image_px": 8,
    "render.samples_per_ray": 8,
    "render.later": [],
    "looks.at": [],
    "looks.best_of": 1,
    "looks.max_restarts": 0,
    "gates.min_mean_opacity": 0.0,
    "gates.max_mean_opacity": 1.0,
    "gates.min_flatness_ratio": 0.0,
    "snapshot.grid_resolution": 32,
    "snapshot.num_views": 4,
    "snapshot.view_px": 32,
}
REAL = {"optimize.num_steps": 30, "gates.min_mean_opacity": 0.0, "gates.max_mean_opacity": 1.0}


def write_manifest(path: Path, num_rows: int) -> None:
    """NUM_REAL real rows among the tiny ones, and at the end some that say the same as others."""
    prompts = [f"a {color} {kind}" for color in COLORS for kind in KINDS]
    every = max(1, num_rows // NUM_REAL)
    rows: dict[str, list[Any]] = {"prompt_id": [], "prompt": [], "seed": [], "recipe_overrides": []}
    for number in range(num_rows):
        same = number - 1 if number >= num_rows - NUM_REPEATED and number % every else number
        is_real = number % every == 0 and number // every < NUM_REAL
        rows["prompt_id"].append(f"row-{number}")
        rows["prompt"].append(prompts[same % len(prompts)])
        rows["seed"].append(same // len(prompts))
        rows["recipe_overrides"].append(json.dumps(REAL if is_real else TINY))
    pq.write_table(pa.table(rows), path)


@dataclass
class Chaos:
    """Ends processes of one soak, by seed."""

    mark: str
    cluster: Any
    drivers: dict[str, subprocess.Popen[bytes]]
    random: random.Random
    events: Counter[str] = field(default_factory=Counter)

    def strike(self) -> None:
        """One death, of a kind drawn at random among those that find a victim."""
        kinds: list[Callable[[], str]] = [self._actor, self._actor, self._actor, self._child, self._driver, self._node]
        self.events[self.random.choice(kinds)()] += 1

    def _actor(self) -> str:
        kind = self.random.choice(["ray::OptimizerActor", "ray::ExportActor"])
        number = self.random.choice([signal.SIGKILL, signal.SIGSEGV])
        return self._end(lambda line: line.startswith(kind), number, f"{kind.removeprefix('ray::')} {number.name}")

    def _child(self) -> str:
        return self._end(lambda line: "cluster.export_child" in line, signal.SIGKILL, "child of an exporter")

    def _driver(self) -> str:
        number = self.random.choice([signal.SIGKILL, signal.SIGTERM])
        driver = self.drivers[self.random.choice(sorted(self.drivers))]
        if driver.poll() is not None:
            return "nobody"
        driver.send_signal(number)
        return f"driver {number.name}"

    def _node(self) -> str:
        node = self.random.choice(self.cluster.worker_nodes)
        os.kill(node.all_processes["raylet"][0].process.pid, signal.SIGKILL)
        self.cluster.remove_node(node, allow_graceful=False)
        self.cluster.add_node(num_cpus=2)
        return "node"

    def _end(self, fits: Callable[[str], bool], number: signal.Signals, name: str) -> str:
        victims = sorted(pid for pid, line in marked_processes(self.mark).items() if fits(line))
        if not victims:
            return "nobody"
        try:
            os.kill(self.random.choice(victims), number)
        except ProcessLookupError:
            return "nobody"
        return name


class Night:
    """The drivers of a soak: two at a time with one command, started again when they have ended."""

    def __init__(self, folder: Path, cluster: Any, num_rows: int) -> None:
        self.folder, self.num_rows = folder, num_rows
        self.drivers: dict[str, subprocess.Popen[bytes]] = {}
        self.exits: Counter[int] = Counter()
        self._environment = {**os.environ, "RAY_ADDRESS": cluster.address}
        write_manifest(self.manifest, num_rows)

    @property
    def manifest(self) -> Path:
        return self.folder / "manifest.parquet"

    def keep_going(self) -> bool:
        """False once a driver has found every row decided."""
        for name in ("first", "second"):
            driver = self.drivers.get(name)
            if driver is not None and driver.poll() is None:
                continue
            if driver is not None:
                self.exits[driver.returncode] += 1
                if driver.returncode in (EXIT_CODES["complete"], EXIT_CODES["partial"]):
                    return False
            self._start(name)
        return True

    def add_rows(self, num_rows: int) -> None:
        """The studio has more of them; the drivers read the manifest when they are started again."""
        self.num_rows += num_rows
        write_manifest(self.manifest, self.num_rows)

    def end(self) -> None:
        for driver in self.drivers.values():
            driver.terminate()
        for driver in self.drivers.values():
            driver.wait(timeout=120)

    def _start(self, name: str) -> None:
        command = [sys.executable, str(JOB), str(self.manifest), LIBRARY, "--slots", "4", "--price", "1.0"]
        with open(self.folder / f"{name}.log", "ab") as log:
            self.drivers[name] = subprocess.Popen([*command, *IMPATIENT], env=self._environment, stdout=log, stderr=log)


def soak(night: Night, chaos: Chaos, minutes: float) -> float:
    """Until `minutes` are over and every row has ended; returns the minutes that it took."""
    began_s, next_s = time.monotonic(), 0.0
    while True:
        elapsed_s = time.monotonic() - began_s
        if not night.keep_going():
            if elapsed_s >= 60.0 * minutes:
                return elapsed_s / 60.0
            night.add_rows(NUM_MORE)
        if elapsed_s > next_s:
            chaos.strike()
            next_s = elapsed_s + chaos.random.uniform(*PAUSE_S)
            print(f"{elapsed_s:5.0f} s  {dict(chaos.events)}  exit codes {dict(night.exits)}", flush=True)
        time.sleep(0.5)


def faults_of(library: Library, proxy: FaultProxy, night: Night) -> list[str]:
    """What is not as it should be: rows without an end or with two, and whatever an audit finds."""
    found = [f"{defect}" for defect in Audit(library).defects()]
    listed = pq.read_table(pa.BufferReader(library.store.get(catalog.KEY)), columns=["prompt_id"])
    asked = pq.read_table(night.manifest, columns=["prompt_id"])
    lost = set(asked["prompt_id"].to_pylist()) - set(listed["prompt_id"].to_pylist())
    found += [f"{prompt_id}: lost" for prompt_id in sorted(lost)]
    decided = Counter(
        line for line, status in proxy.answers if line.startswith("PUT") and "/outcomes/" in line and status == 200
    )
    found += [f"{line}: written {times} times" for line, times in decided.items() if times > 1]
    if len(decided) != len(list(library.decided())):
        found.append(f"{len(decided)} outcomes were written, {len(list(library.decided()))} are there")
    return found


def figures(library: Library, proxy: FaultProxy) -> dict[str, object]:
    """Rows by state and class, requests and refusals, and what the optimizers have cost."""
    outcomes = list(library.outcomes())
    store = library.store
    return {
        "published": sum(outcome.state == "published" for outcome in outcomes),
        "quarantined": dict(Counter(outcome.failure_class for outcome in outcomes if outcome.failure_class)),
        "attempts": dict(Counter(outcome.attempts for outcome in outcomes)),
        "requests": len(proxy.requests),
        "refused": len(proxy.done),
    }
