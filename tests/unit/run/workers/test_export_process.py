"""Exports in a child process: real hangs, crashes and hunger, and nothing is left running."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dreamfoundry.asset.export import export_asset
from dreamfoundry.asset.files.metadata import asset_metadata
from dreamfoundry.errors import InfrastructureError
from dreamfoundry.library.library import Library
from dreamfoundry.object_store.directory import DirectoryStore
from dreamfoundry.records import AssetBundle, FieldSnapshot, Prompt
from dreamfoundry.run.messages import ExportTask, Failure, WorkerSettings
from dreamfoundry.run.workers.export_process import MAX_TRIES, Exported, ExportProcess
from dreamfoundry.run.workers.exporter import Exporter
from dreamfoundry.settings.export_profiles import ExportProfile
from dreamfoundry.settings.prior import PriorConfig
from dreamfoundry.settings.prior_identity import PriorIdentity
from support import export_fakes
from support.log_lines import recorded_events
from support.processes import MARK, is_running, marked_processes, wait_until, wait_until_gone
from support.real_builds import PRIOR, real_build

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux kills children with their parents")

TESTS = Path(__file__).parents[3]
"""Where a child finds the package `support`."""


@pytest.fixture(autouse=True)
def mark(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """The mark of all processes that a test starts; none of them is left running."""
    made = tmp_path.name + str(os.getpid())
    monkeypatch.setenv(MARK, made)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")]))
    yield made
    wait_until_gone(made, timeout_s=5.0)


class World:
    """A child with the fake stages, and a diary in which every attempt leaves its pid."""

    def __init__(self, snapshot: FieldSnapshot, diary: Path, **settings: Any) -> None:
        self.child = ExportProcess(export_fakes.stages, **settings)
        self.snapshot, self.diary = snapshot, diary

    def export(self, what: str) -> Exported:
        return self.child.export(self.snapshot, Prompt("p", what), ExportProfile(), {"diary": str(self.diary)})

    def failure(self, what: str) -> Failure:
        result = self.export(what).result
        assert isinstance(result, Failure)
        return result

    @property
    def pids(self) -> list[int]:
        return [int(line) for line in self.diary.read_text().split()]


@pytest.fixture
def world_of(ball_snapshot: FieldSnapshot, tmp_path: Path) -> Iterator[Callable[..., World]]:
    made: list[World] = []

    def make(**settings: Any) -> World:
        made.append(World(ball_snapshot, tmp_path / "diary", **settings))
        return made[-1]

    yield make
    for world in made:
        world.child.close()


def test_one_warm_child_serves_many_exports_and_sees_no_gpu(
    world_of: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    world = world_of()
    world.child.start()
    first, second = world.export("work"), world.export("work")
    assert (first.tries, second.tries) == (1, 1)
    assert isinstance(first.result, AssetBundle)
    assert first.result.files == {"asset.json": b"{'gpus': ''}"}
    assert len(world.pids) == 2
    assert len(set(world.pids)) == 1
    assert os.getpid() not in world.pids


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are counted from /proc")
def test_the_cpu_time_of_an_export_is_its_own_and_that_of_what_it_has_started(
    world_of: Callable[..., World], mark: str
) -> None:
    world = world_of()
    costly, cheap = world.export("have work done").cpu_s, world.export("work").cpu_s
    assert costly is not None
    assert cheap is not None
    assert cheap < export_fakes.HELPER_CPU_S <= costly + 0.02, "a tick is 0.01 s"
    assert world.export("crash").cpu_s is None, "what a dead process has used nobody knows"


def test_a_stage_that_hangs_is_killed_with_all_that_it_started_and_named_with_the_limit(
    world_of: Callable[..., World], mark: str
) -> None:
    world = world_of(limit_s=1.0)
    world.child.start()
    started_s = time.monotonic()
    failure = world.failure("hang")
    assert failure.failure_class == "export_timeout"
    assert "stage unwrap" in failure.message
    assert "limit_s = 1 s" in failure.message
    assert "fewer triangles" in failure.message
    assert 1.0 <= time.monotonic() - started_s < 10.0
    assert not marked_processes(mark), "the helper of the hanging stage is gone as well"
    assert isinstance(world.export("work").result, AssetBundle), "the next asset gets a fresh child"
    assert len(set(world.pids)) == 2


def test_a_stage_that_crashes_is_tried_again_and_given_up_in_the_end(world_of: Callable[..., World]) -> None:
    world = world_of()
    exported = world.export("crash")
    assert isinstance(exported.result, Failure)
    assert exported.result.failure_class == "export_died"
    assert "stage unwrap" in exported.result.message
    assert "SIGSEGV" in exported.result.message
    assert exported.tries == MAX_TRIES == len(set(world.pids))


def test_stages_and_deaths_of_the_child_are_log_events(world_of: Callable[..., World]) -> None:
    world = world_of()
    with recorded_events() as events:
        world.export("crash once")
        world.export("refuse")

    trail = [event.get("stage", event["event"].removeprefix("export_child_")) for event in events]
    assert " ".join(trail) == "started start mesh died started start mesh unwrap start mesh unwrap"
    assert (events[3]["tries"], events[3]["max_tries"]) == (1, MAX_TRIES)
    assert "SIGSEGV" in events[3]["cause"]
    assert (events[-1]["event"], events[-1]["failure_class"]) == ("export_stage_failed", "surface")


def test_a_crash_that_does_not_come_again_costs_one_attempt(world_of: Callable[..., World]) -> None:
    exported = world_of().export("crash once")
    assert isinstance(exported.result, AssetBundle)
    assert exported.tries == 2


def test_too_little_memory_has_a_class_of_its_own_and_is_not_tried_again(world_of: Callable[..., World]) -> None:
    world = world_of(memory_limit_bytes=2**30)
    exported = world.export("eat")
    assert isinstance(exported.result, Failure)
    assert exported.result.failure_class == "export_memory"
    assert "stage unwrap" in exported.result.message
    assert "1 GiB" in exported.result.message
    assert exported.tries == 1


def test_34_a_full_disk_is_the_fault_of_the_machine_and_the_next_export_has_a_fresh_child(
    world_of: Callable[..., World],
) -> None:
    world = world_of()
    with pytest.raises(InfrastructureError, match=r"stage unwrap: .*File too large.*has room for temporary files"):
        world.export("fill the disk")
    assert isinstance(world.export("work").result, AssetBundle)
    assert len(set(world.pids)) == 2


def test_a_kill_by_the_kernel_counts_as_want_of_memory(world_of: Callable[..., World]) -> None:
    failure = world_of().failure("be killed")
    assert failure.failure_class == "export_memory"
    assert "SIGKILL" in failure.message
    assert "fewer exports at once" in failure.message


def test_a_refusal_of_a_stage_keeps_its_class(world_of: Callable[..., World]) -> None:
    assert world_of().failure("refuse") == Failure("surface", "no surface")


def test_an_error_that_nobody_foresaw_is_quoted(world_of: Callable[..., World]) -> None:
    failure = world_of().failure("stumble")
    assert failure.failure_class == "export_died"
    assert "KeyError: 'nobody thought of this'" in failure.message


def test_a_child_that_was_killed_while_idle_is_replaced_at_no_charge(world_of: Callable[..., World]) -> None:
    world = world_of()
    world.export("work")
    os.kill(world.pids[0], signal.SIGKILL)
    wait_until(lambda: not is_running(world.pids[0]), "the child is dead")
    exported = world.export("work")
    assert isinstance(exported.result, AssetBundle)
    assert exported.tries == 1


def test_a_child_that_cannot_start_is_nobodys_fault_and_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "here_only.py").write_text("def stages(): ...\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    child = ExportProcess(importlib.import_module("here_only").stages)
    with pytest.raises(InfrastructureError, match="No module named 'here_only'"):
        child.start()


WORKER = """
    import sys, threading
    from dreamfoundry.records import FieldSnapshot, Prompt
    from dreamfoundry.run.workers.export_process import ExportProcess
    from dreamfoundry.settings.export_profiles import ExportProfile
    from support import export_fakes

    snapshot = FieldSnapshot.from_bytes(open(sys.argv[1], "rb").read())
    child = ExportProcess(export_fakes.stages)
    child.start()
    print("ready", flush=True)
    child.export(snapshot, Prompt("p", sys.argv[2]), ExportProfile(), {"diary": sys.argv[3]})
"""


@pytest.fixture
def start_worker(ball_snapshot: FieldSnapshot, tmp_path: Path) -> Callable[[str], subprocess.Popen[bytes]]:
    """A process that has a child of its own export something."""
    (tmp_path / "snapshot").write_bytes(ball_snapshot.to_bytes())

    def start(what: str) -> subprocess.Popen[bytes]:
        arguments = [str(tmp_path / "snapshot"), what, str(tmp_path / "diary")]
        return subprocess.Popen([sys.executable, "-c", textwrap.dedent(WORKER), *arguments], stdout=subprocess.DEVNULL)

    return start


def test_a_worker_that_ends_takes_its_child_along(start_worker: Callable[[str], subprocess.Popen[bytes]]) -> None:
    worker = start_worker("work")
    assert worker.wait(timeout=100) == 0


def test_a_worker_that_is_killed_takes_a_hanging_validator_along(
    start_worker: Callable[[str], subprocess.Popen[bytes]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    mark: str,
) -> None:
    """`node` stands at the end of the chain: worker, child, node."""
    node, package = tmp_path / "bin" / "node", tmp_path / "gltf-validator"
    node.parent.mkdir()
    package.mkdir()
    (package / "package.json").write_text("{}")
    node.write_text("#!/bin/sh\nexec sleep 1000\n")
    node.chmod(0o755)
    monkeypatch.setenv("PATH", f"{node.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("DREAMFOUNDRY_GLTF_VALIDATOR", str(package))
    worker = start_worker("hang at Khronos")
    wait_until(lambda: any("sleep 1000" in line for line in marked_processes(mark).values()), "the validator hangs")
    assert len(marked_processes(mark)) == 3
    worker.kill()
    worker.wait()
    wait_until_gone(mark, timeout_s=5.0)


def test_the_real_stages_make_the_same_files_in_the_child(ball_snapshot: FieldSnapshot) -> None:
    profile = ExportProfile("tiny", (300,), (64,), thumbnail_px=48)
    prompt, prior = Prompt("p", "ball"), PriorIdentity("any", "r1", "d" * 64, "Apache-2.0")
    metadata = asset_metadata(prompt, prior, "f" * 64, "a" * 64, "e" * 64, profile)
    here = export_asset(ball_snapshot, prompt, profile=profile, metadata=metadata)
    child = ExportProcess(export_asset)
    try:
        there = child.export(ball_snapshot, prompt, profile, metadata).result
    finally:
        child.close()
    assert isinstance(there, AssetBundle)
    assert {**there.files, "asset.json": b""} == {**here.files, "asset.json": b""}


def test_an_exporter_quarantines_a_deadly_export_and_keeps_the_field(
    ball_snapshot: FieldSnapshot, tmp_path: Path
) -> None:
    """`crash_always` stands for `export_asset`: the exporter hands over its own metadata."""
    library = Library(DirectoryStore(tmp_path / "library"))
    snapshot = library.put_blob(ball_snapshot.to_bytes(), "application/x-npz")
    settings = WorkerSettings("", PriorConfig(), PRIOR, "cpu", 1)
    build = real_build(Prompt("p", "a cube"), snapshot=snapshot)
    exporter = Exporter(library, settings, ExportProcess(export_fakes.crash_always))
    report = exporter.export(ExportTask(build, snapshot, tries=1, optimize_s=2.0))
    exporter.close()
    assert report.decision is not None
    assert report.decision.state == "quarantined"
    outcome = library.get_outcome(build.asset_key)
    assert outcome is not None
    assert outcome.failure_class == "export_died"
    assert outcome.snapshot == snapshot
    assert (outcome.tries, outcome.provenance["export_attempts"]) == (1, MAX_TRIES)
