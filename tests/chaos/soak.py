"""A night in small: three machines, two drivers that race, a store that refuses a tenth of its requests, and deaths.

    make soak MINUTES=20 ROWS=200 SEED=0          (pytest tests/chaos/soak.py -s)

Twenty of the rows are toys of 30 steps with the full export; the others have one step of a tiny
field, and their exports are as real. Every few seconds something dies: a distiller, an exporter,
the child of an exporter, a driver (killed, or asked to stop) or a whole node; a driver that has
ended is started again with the same command. Should all rows have ended before the time is over,
the studio hands in some more. Every write of an outcome is counted from outside, the library is
verified, and the figures are printed.
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
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dreamfoundry.library import catalog
from dreamfoundry.library.audit.audit import Audit
from dreamfoundry.library.library import Library
from dreamfoundry.object_store.open import open_store
from dreamfoundry.run import report
from dreamfoundry.run.exit_codes import EXIT_CODES
from dreamfoundry.toybox.captions import COLORS, KINDS
from support.fault_proxy import FaultProxy
from support.private_ray import private_nodes
from support.processes import JOBS, MARK, marked_processes, wait_until_gone
from support.runs import IMPATIENT

MINUTES = float(os.environ.get("SOAK_MINUTES", "20"))
NUM_ROWS = int(os.environ.get("SOAK_ROWS", "200"))
SEED = int(os.environ.get("SOAK_SEED", "0"))

NUM_REAL, NUM_REPEATED, NUM_MORE = 20, 5, 50
NUM_NODES = 3
SHARE_REFUSED = 0.10
PAUSE_S = (8.0, 30.0)
"""Between two deaths."""

PRICE_PER_HOUR = 1.0

NO_GATES = {
    "gates.min_mean_opacity": 0.0,
    "gates.max_mean_opacity": 1.0,
    "gates.min_flatness_ratio": 0.0,
    "looks.at": [],
    "looks.best_of": 1,
    "looks.max_restarts": 0,
}
REAL = {"optimize.num_steps": 30, **NO_GATES}
TINY = {
    "optimize.num_steps": 1,
    "optimize.views_per_step": 1,
    "field.level_resolutions": [8, 16],
    "field.density_blob_scale": 30.0,
    "render.image_px": 8,
    "render.samples_per_ray": 8,
    "render.later": [],
    "snapshot.grid_resolution": 32,
    "snapshot.num_views": 4,
    "snapshot.view_px": 32,
    **NO_GATES,
}

pytestmark = pytest.mark.timeout(60.0 * MINUTES + 7200.0)


def write_manifest(path: Path, num_rows: int) -> None:
    """NUM_REAL real rows among the tiny ones; some tiny rows say the same as the one before."""
    prompts = [f"a {color} {kind}" for kind in KINDS for color in COLORS]
    every = NUM_ROWS // NUM_REAL
    rows: dict[str, list[Any]] = {"prompt_id": [], "prompt": [], "seed": [], "recipe_overrides": []}
    for number in range(num_rows):
        is_real = number % every == 0 and number < NUM_ROWS
        says = number - 1 if number % every == 2 and number < NUM_REPEATED * every else number
        rows["prompt_id"].append(f"row-{number}")
        rows["prompt"].append(prompts[says % len(prompts)])
        rows["seed"].append(says // len(prompts))
        rows["recipe_overrides"].append(json.dumps(REAL if is_real else TINY))
    pq.write_table(pa.table(rows), path)


class Night:
    """Two drivers with one command, started again when they have ended."""

    def __init__(self, folder: Path, library: str, variables: dict[str, str]) -> None:
        self.manifest, self.num_rows = folder / "manifest.parquet", NUM_ROWS
        self.drivers: dict[str, subprocess.Popen[bytes]] = {}
        self.exit_codes: Counter[int] = Counter()
        self._folder, self._library, self._variables = folder, library, variables
        write_manifest(self.manifest, self.num_rows)

    def goes_on(self) -> bool:
        """False once a driver has found every row decided."""
        for name in ("first", "second"):
            driver = self.drivers.get(name)
            if driver is not None and driver.poll() is None:
                continue
            if driver is not None:
                self.exit_codes[driver.returncode] += 1
            self._start(name)
            if driver is not None and driver.returncode in (EXIT_CODES["complete"], EXIT_CODES["partial"]):
                return False
        return True

    def hand_in_more(self) -> None:
        """A driver reads the manifest once, so this is for those that start from now on."""
        self.num_rows += NUM_MORE
        write_manifest(self.manifest, self.num_rows)

    def end(self) -> None:
        for driver in self.drivers.values():
            driver.terminate()
        for driver in self.drivers.values():
            driver.wait(timeout=200)

    def _start(self, name: str) -> None:
        command = [sys.executable, str(JOBS / "build_library.py"), str(self.manifest), self._library, *IMPATIENT]
        command += ["--slots", "4", "--limit", "progress_s=2", "--price", str(PRICE_PER_HOUR)]
        with open(self._folder / f"{name}.log", "ab") as log:
            self.drivers[name] = subprocess.Popen(
                command, env={**os.environ, **self._variables}, stdout=log, stderr=log
            )


@dataclass
class Chaos:
    """Ends processes, by seed."""

    mark: str
    cluster: Any
    night: Night
    random: random.Random
    deaths: Counter[str] = field(default_factory=Counter)

    def strike(self) -> None:
        """One death, of a kind drawn at random; none if nothing of that kind is there."""
        kinds: list[Callable[[], str]] = [self._optimizer, self._exporter, self._child, self._driver, self._node]
        name = self.random.choices(kinds, weights=[3, 3, 2, 1, 1])[0]()
        if name:
            self.deaths[name] += 1

    def _optimizer(self) -> str:
        return self._end("ray::DistillActor", "distiller")

    def _exporter(self) -> str:
        return self._end("ray::ExportActor", "exporter")

    def _child(self) -> str:
        return self._end("dreamfoundry.run.workers.export_process", "child of an exporter")

    def _driver(self) -> str:
        number = self.random.choice([signal.SIGKILL, signal.SIGTERM])
        driver = self.night.drivers[self.random.choice(sorted(self.night.drivers))]
        if driver.poll() is not None:
            return ""
        driver.send_signal(number)
        return f"driver, {number.name}"

    def _node(self) -> str:
        node = self.random.choice(sorted(self.cluster.worker_nodes, key=lambda node: node.node_id))
        os.kill(node.all_processes["raylet"][0].process.pid, signal.SIGKILL)
        self.cluster.remove_node(node, allow_graceful=False)
        self.cluster.add_node(num_cpus=2)
        return "node"

    def _end(self, words: str, name: str) -> str:
        number = self.random.choice([signal.SIGKILL, signal.SIGSEGV])
        victims = sorted(pid for pid, line in marked_processes(self.mark).items() if words in line)
        with suppress(IndexError, ProcessLookupError):
            os.kill(self.random.choice(victims), number)
            return f"{name}, {number.name}"
        return ""


@pytest.fixture
def proxy(s3_url: str, environment: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """All processes but this one speak to the store through it."""
    with FaultProxy(os.environ["AWS_ENDPOINT_URL_S3"]) as running:
        running.rule("", "503", share=SHARE_REFUSED)
        yield running


@pytest.fixture
def mark(environment: pytest.MonkeyPatch) -> Iterator[str]:
    """On everything that is started here."""
    mark = f"soak-{os.getpid()}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MARK, mark)
        yield mark


def test_a_night_with_deaths_and_refusals_loses_nothing_and_makes_nothing_twice(
    s3_url: str, proxy: FaultProxy, mark: str, tmp_path: Path
) -> None:
    url = f"{s3_url}/soak"
    store_variables = {"AWS_ENDPOINT_URL_S3": proxy.url}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in store_variables.items():
            patch.setenv(name, value)  # for the nodes
        with private_nodes() as cluster:
            for _ in range(NUM_NODES):
                cluster.add_node(num_cpus=2)
            night = Night(tmp_path, url, {"RAY_ADDRESS": cluster.address})
            chaos = Chaos(mark, cluster, night, random.Random(SEED))
            try:
                minutes = last_until_the_end(night, chaos)
            finally:
                night.end()
    wait_until_gone(mark, timeout_s=60.0)

    library = Library(open_store(url))
    print(json.dumps({"minutes": round(minutes, 1), **figures(library, proxy, night, chaos)}, indent=1))
    assert list(Audit(library, silent_s=0.0).defects()) == []
    assert lost_rows(library, night) == set()
    writes = writes_of_outcomes(proxy)
    assert [line for line, times in writes.items() if times > 1] == []
    assert len(writes) == len(list(library.decided()))


def last_until_the_end(night: Night, chaos: Chaos) -> float:
    """Until MINUTES are over and every row has ended; returns the minutes that it took."""
    began_s, next_s = time.monotonic(), 20.0
    while True:
        elapsed_s = time.monotonic() - began_s
        if not night.goes_on():
            if elapsed_s >= 60.0 * MINUTES:
                return elapsed_s / 60.0
            night.hand_in_more()
        if elapsed_s > next_s:
            chaos.strike()
            next_s = elapsed_s + chaos.random.uniform(*PAUSE_S)
            print(f"{elapsed_s:5.0f} s  {dict(chaos.deaths)}, exit codes {dict(night.exit_codes)}", flush=True)
        time.sleep(0.5)


def lost_rows(library: Library, night: Night) -> set[str]:
    """Rows of the manifest that the catalog does not know."""
    known = pq.read_table(pa.BufferReader(library.store.get(catalog.KEY)), columns=["prompt_id"])
    asked = pq.read_table(night.manifest, columns=["prompt_id"])
    return set(asked["prompt_id"].to_pylist()) - set(known["prompt_id"].to_pylist())


def writes_of_outcomes(proxy: FaultProxy) -> Counter[str]:
    """The number of writes of each outcome, as the store saw it."""
    return Counter(
        line for line, status in proxy.answers if line.startswith("PUT ") and "/outcomes/" in line and status == 200
    )


def figures(library: Library, proxy: FaultProxy, night: Night, chaos: Chaos) -> dict[str, object]:
    """Rows by state and class, deaths, requests, and what the distillers were held for."""
    outcomes = list(library.outcomes())
    runs = [
        report.latest(library.store.get, run_id)
        for run_id in {key.split("/")[1] for key in library.store.list("runs/")}
    ]
    held_s: Counter[str] = Counter()
    for run in runs:
        held_s.update(run.optimizer_s)

    spent: dict[str, Any] = {
        outcome.field_key: outcome.provenance["steps_spent"] for outcome in outcomes if outcome.state == "published"
    }
    return {
        "rows": night.num_rows,
        "assets": {state: sum(o.state == state for o in outcomes) for state in ("published", "quarantined")},
        "failure_classes": dict(Counter(o.failure_class for o in outcomes if o.failure_class)),
        "attempts": dict(Counter(o.tries for o in outcomes)),
        "deaths": dict(chaos.deaths),
        "runs": len(runs),
        "exit_codes": dict(night.exit_codes),
        "requests": len(proxy.answers) + len(proxy.done),
        "refused": len(proxy.done),
        "steps": sum(run.num_steps for run in runs),
        "steps_of_published_fields": sum(spent.values()),
        "optimizer_s": {name: round(value) for name, value in held_s.items()},
        "cost": round(report.cost(held_s, PRICE_PER_HOUR), 3),
    }
