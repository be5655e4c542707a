"""One visit to a borrowed GPU machine: every check and measurement that needs a GPU, in the order of their worth.

    python infra/gpu/day.py OUT --wheels WHEELS --views VIEWS      all blocks, in fourteen minutes
    python infra/gpu/day.py OUT --blocks A      in two commands: all but the training, then B, the training
    python infra/gpu/day.py OUT --blocks facts table --seconds 120      some blocks
    python infra/gpu/day.py OUT --device cpu --tiny      a rehearsal without a GPU, with tiny priors
    python infra/gpu/day.py --list

The machine needs torch, triton, transformers with its tokenizers, safetensors, huggingface_hub and regex, requests,
numpy, scipy, pillow, jaxtyping, packaging, pip and pytest, and neither a network nor Ray. To be brought: this
repository; WHEELS, a folder with what else it lacks (`pip download --no-deps diffusers -c constraints.txt -d WHEELS`,
6 MB); VIEWS, the traced views of the toys (`dreamfoundry dev train --trace-only`, about 18 MB).

Each block is a process of its own and is killed when its share of the time is over. OUT/figures.json is replaced after
every single figure, so that whatever ends the day, what was measured is there. A later command into the same OUT adds
to it, and replaces a figure only by a newer one of its name. OUT has eight files at most, none above 16 MiB:
figures.json, log.txt, and of the training its weights, as parts of a tar, its loss and samples.

exit codes: 0 all blocks ended by themselves, 1 some did not, 2 the command line cannot be used
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]

BLOCKS = {
    "facts": 25.0,
    "kernels": 50.0,
    "prior": 75.0,
    "step": 35.0,
    "table": 90.0,
    "switches": 55.0,
    "training": 300.0,
}
"""Seconds of each block; of a shorter or longer day, shares."""

GROUPS = {"A": [name for name in BLOCKS if name != "training"], "B": ["training"]}
"""Two commands, where one may not take so long."""

ANYWAY = ("step", "table", "switches")
"""Blocks that go on, when they fail, with the prior computed kernel by kernel: no recorded graphs."""

FAREWELL_S = 3.0
"""A block is told to end this much earlier than it is killed."""

LONGEST_S = 86_400.0
"""A day has no more seconds."""

PROGRAM = ("-m", "dreamfoundry.evaluation.gpu_day.block")
"""Arguments of Python for a block; what it is told follows."""

Json = dict[str, Any]

NOTHING: Json = {"left_out": "not asked for"}
"""In place of the figures of a case that has none."""


@dataclass
class Day:
    """The figures so far, in OUT/figures.json, and the time that is left."""

    out: Path
    blocks: list[str]
    task: Json
    """What every block is told: device, tiny, views."""
    environment: dict[str, str]
    ends_at: float
    program: Sequence[str] = PROGRAM

    def __post_init__(self) -> None:
        """Begin with the figures of earlier commands, if there are any."""
        self.figures: Json = {"blocks": earlier_blocks(self.out / "figures.json")}

    def run(self) -> bool:
        """Run the blocks in their order; True if all ended by themselves."""
        for name in self.blocks:
            later_s = sum(BLOCKS[other] for other in self.blocks[self.blocks.index(name) :])
            killed_at = time.time() + max(0.0, self.ends_at - time.time()) * BLOCKS[name] / later_s
            measured = self._run_block(name, "graphs", killed_at, skip=[])
            if self.figures["blocks"][name]["state"] == "failed" and name in ANYWAY:
                self._run_block(name, "eager", killed_at, skip=measured)
        return all(self.figures["blocks"][name]["state"] == "ended" for name in self.blocks)

    def _run_block(self, name: str, engine: str, killed_at: float, skip: list[str]) -> list[str]:
        """Run one block, but for the cases in `skip`, until it ends or is killed; the names of its cases.

        Earlier figures stay until a newer one of their name takes their place.
        """
        started_at = time.time()
        block = self.figures["blocks"].setdefault(name, {"cases": {}})
        block |= {"state": "running", "limit_s": round(killed_at - started_at, 1)}
        self._write()

        source = {"device": self.task["device"], "is_tiny": self.task["is_tiny"], "engine": engine}
        own = {"block": name, "engine": engine, "until": killed_at - FAREWELL_S, "skip": skip}
        command = [sys.executable, *self.program, json.dumps(self.task | own)]
        with (
            (self.out / "log.txt").open("a") as log,
            subprocess.Popen(
                command, cwd=ROOT, env=self.environment, stdout=subprocess.PIPE, stderr=log, text=True, process_group=0
            ) as child,
        ):
            assert child.stdout is not None
            killer = threading.Timer(max(0.0, killed_at - time.time()), os.killpg, [child.pid, signal.SIGKILL])
            killer.start()
            names = []
            for case, figures in cases(child.stdout):
                names.append(case)
                if is_measured(figures) or not is_measured(block["cases"].get(case, NOTHING)):
                    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
                    block["cases"][case] = {**figures, "run": {**source, "at": at}}
                    self._write()
            status = child.wait()
            killer.cancel()

        is_late = status == -signal.SIGKILL and time.time() >= killed_at
        block["state"] = "ended" if status == 0 else "out of time" if is_late else "failed"
        block["seconds"] = round(time.time() - started_at, 1)
        self._write()
        print(f"{name} ({engine}): {block['state']} after {block['seconds']:.0f} s", flush=True)
        return names

    def _write(self) -> None:
        partial = self.out / "figures.partial"
        partial.write_text(json.dumps(self.figures, indent=1) + "\n")
        partial.replace(self.out / "figures.json")


def earlier_blocks(path: Path) -> Json:
    """Blocks of a file of figures; none of one that is damaged, which is moved aside."""
    if not path.exists():
        return {}
    try:
        blocks: Json = json.loads(path.read_text())["blocks"]
        if all(isinstance(figures, dict) for block in blocks.values() for figures in block["cases"].values()):
            return blocks
    except (ValueError, LookupError, TypeError, AttributeError):
        pass
    aside = path.with_name("figures.json.damaged")
    path.replace(aside)
    print(f"day.py: {path} is damaged: it is {aside.name} now, and the day begins without earlier figures", flush=True)
    return {}


def is_measured(figures: Json) -> bool:
    """True for a case that has figures, and not only the reason why there are none."""
    return not figures.keys() & {"left_out", "error"}


def cases(lines: IO[str]) -> Iterator[tuple[str, Json]]:
    """Names and figures of the cases that a block writes, a line each. The last line of a killed one may be cut off."""
    for line in lines:
        try:
            figures = json.loads(line)
        except json.JSONDecodeError:
            return
        yield figures.pop("case"), figures


def site_of(wheels: Path | None) -> str:
    """A folder with the packages of `wheels`; outside of OUT, which has few files.

    A wheel that cannot be installed is named in one line, and the blocks that can do without it go on.
    """
    if wheels is None:
        return ""
    site = tempfile.mkdtemp(prefix="site-")
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--target", site]
    for wheel in sorted(wheels.glob("*.whl")):
        done = subprocess.run([*install, str(wheel)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            reason = next((line for line in done.stderr.splitlines() if "ERROR" in line), done.stderr.strip()[-200:])
            print(f"day.py: {wheel.name} is not installed: {reason}", file=sys.stderr, flush=True)
    return site


def seconds_of(text: str) -> float:
    """Seconds of a day, as --seconds names them."""
    with suppress(ValueError):
        if math.isfinite(seconds := float(text)) and 0 < seconds <= LONGEST_S:
            return seconds
    raise argparse.ArgumentTypeError(f"{text!r} is no number above 0 and up to {LONGEST_S:.0f}, such as 120")


def check_what_is_brought(parser: argparse.ArgumentParser, options: argparse.Namespace, blocks: Sequence[str]) -> None:
    """End with exit code 2 where views or wheels are not there, before any time is spent."""
    views, wheels = options.views, options.wheels
    if "training" in blocks and not options.tiny and views is None:
        parser.error("--views is missing: training needs the views that `dreamfoundry dev train --trace-only` makes")
    if views is not None and not (views.is_file() and zipfile.is_zipfile(views)):
        reason = "damaged or no file of views" if views.exists() else "not there"
        parser.error(f"--views {views} is {reason}: name the .npz that `dreamfoundry dev train --trace-only` makes")
    if wheels is not None and not any(wheels.glob("*.whl")):
        parser.error(f"--wheels {wheels} is no folder with a .whl: fill it with `pip download`, or leave --wheels out")


def check_out(parser: argparse.ArgumentParser, out: Path) -> None:
    """Make the folder of the figures; exit code 2 if it cannot be written."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out).close()
    except OSError as error:
        parser.error(f"OUT {out} cannot be written ({error.strerror}): name a folder, there or to be made")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, nargs="?", metavar="OUT")
    parser.add_argument("--list", action="store_true", help="print the blocks with their seconds")
    parser.add_argument("--blocks", nargs="+", choices=[*BLOCKS, *GROUPS], default=list(BLOCKS), metavar="BLOCK")
    parser.add_argument("--seconds", type=seconds_of, help="of all blocks together; by itself what --list says of them")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda")
    parser.add_argument("--tiny", action="store_true", help="priors and sizes of a rehearsal")
    parser.add_argument("--wheels", type=Path, help="folder of packages that the machine lacks")
    parser.add_argument("--views", type=Path, help="file of traced views for the training")
    options = parser.parse_args()
    if options.list:
        print("\n".join(f"{name:10} {seconds:4.0f} s" for name, seconds in BLOCKS.items()))
        return 0
    if options.out is None:
        parser.error("name the folder OUT for the figures")
    blocks = [one for name in options.blocks for one in GROUPS.get(name, [name])]
    check_what_is_brought(parser, options, blocks)
    check_out(parser, options.out)

    ends_at = time.time() + (options.seconds or sum(BLOCKS[name] for name in blocks))
    paths = [str(ROOT / "pipeline"), site_of(options.wheels), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "PYTHONUNBUFFERED": "1"}
    if options.device == "cpu":
        environment["OMP_NUM_THREADS"] = "1"  # small steps on shared cores: several threads would wait for one another
    task = {
        "device": options.device,
        "is_tiny": options.tiny,
        "out": str(options.out.resolve()),
        "views": str(options.views.resolve()) if options.views else "",
        "parent": os.getpid(),
    }
    return 0 if Day(options.out, blocks, task, environment, ends_at).run() else 1


if __name__ == "__main__":
    sys.exit(main())
