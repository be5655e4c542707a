"""A world for the scheduler: workers, leases and a clock that a test moves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from dreamfoundry.records import BlobRef, Prompt
from dreamfoundry.run.messages import (
    Blame,
    Build,
    Decision,
    DrainNode,
    Export,
    ExportReport,
    Failure,
    Fault,
    FinishedField,
    HandBack,
    KillWorker,
    Quarantine,
    Ready,
    RunSlice,
    SliceReport,
    StartWorker,
)
from dreamfoundry.run.scheduling.completion import MAX_DEATHS
from dreamfoundry.run.scheduling.field_job import Claim
from dreamfoundry.run.scheduling.ports import SchedulerConfig, SchedulerPorts
from dreamfoundry.run.scheduling.scheduler import Scheduler
from dreamfoundry.settings.export_profiles import ExportProfile
from dreamfoundry.settings.loading import with_overrides
from dreamfoundry.settings.recipe import Recipe

RECIPES = [with_overrides(Recipe(), {"optimize.num_steps": steps}) for steps in (10, 20)]


BLOB = BlobRef("0" * 64, 1, "application/octet-stream")


def build_of(name: str, recipe: int = 0, priority: int = 0, profile: str = "preview", stored: bool = False) -> Build:
    prompt = Prompt(name, f"a {name}", priority=priority)
    return Build(
        asset_key=f"{name}/{recipe}/{profile}",
        field_key=f"{name}/{recipe}",
        prompt=prompt,
        prompt_ids=(name,),
        recipe=RECIPES[recipe],
        profile=ExportProfile(profile),
        snapshot=BLOB if stored else None,
    )


@dataclass
class Ledger:
    """Claims of one run; other runs hold what is in `foreign`."""

    foreign: set[str] = field(default_factory=set)
    outcomes: dict[str, Decision] = field(default_factory=dict)
    deaths: dict[str, int] = field(default_factory=dict)
    forgotten: set[str] = field(default_factory=set)
    newly_lost: set[str] = field(default_factory=set)
    ever_lost: set[str] = field(default_factory=set)
    epochs: Counter[str] = field(default_factory=Counter)

    def claim(self, field_key: str) -> Claim | None:
        if field_key in self.foreign:
            return None
        self.epochs[field_key] += 1
        return Claim(self.deaths.get(field_key, 0), self.epochs[field_key])

    def lost(self) -> set[str]:
        lost, self.newly_lost = self.newly_lost, set()
        self.ever_lost |= lost
        return lost

    def charge(self, field_key: str, deaths: int) -> None:
        assert deaths > self.deaths.get(field_key, 0), "deaths never fall"
        self.deaths[field_key] = deaths

    def forget(self, field_key: str) -> None:
        self.forgotten.add(field_key)

    def standing(self, asset_key: str) -> Decision | None:
        return self.outcomes.get(asset_key)


class World:
    """Executes commands as workers would, and checks on the way what must always hold."""

    def __init__(
        self, builds: list[Build], *, distillers: int = 2, exporters: int = 1, slots: int = 2, look_ahead: int = 100
    ) -> None:
        self.claims, self.now_s, self.slots = Ledger(), 0.0, slots
        self.builds, self.decisions = builds, dict[str, Decision]()
        self.given: list[Build] = []
        self.optimized: Counter[str] = Counter()
        config = SchedulerConfig(
            num_builds=len(builds),
            num_distill_workers=distillers,
            num_export_workers=exporters,
            num_slots=slots,
            look_ahead=look_ahead,
        )
        ports = SchedulerPorts(
            self.claims, lambda: self.now_s, lambda recipe: str(recipe.optimize.num_steps), self.take_note
        )
        self.scheduler = Scheduler(self.feed(), config, ports)

        self.exporters = exporters
        self.alive: set[str] = set()
        self.starting: list[str] = []
        self.running: dict[str, RunSlice | HandBack | Export] = {}
        self.slot_contents: dict[str, dict[str, int]] = {}
        self.outcomes: Counter[str] = Counter()
        self.deaths_alone: Counter[str] = Counter()
        self.export_deaths: Counter[str] = Counter()
        self.unexported: set[str] = set()
        self.drained: list[str] = []

    def feed(self) -> Iterator[Build]:
        """The builds as a plan gives them: a field that is stored by then needs no distiller."""
        for build in self.builds:
            self.given.append(build)
            yield replace(build, snapshot=BLOB) if self.optimized[build.field_key] else build

    def take_note(self, build: Build, decision: Decision) -> None:
        assert build.asset_key not in self.decisions, "a build ends once"
        self.decisions[build.asset_key] = decision

    def obey(self) -> None:
        for command in self.scheduler.commands():
            # Each command comes in a state of its worker that allows it.
            match command:
                case StartWorker(worker):
                    assert worker not in self.alive
                    assert worker not in self.starting
                    self.starting.append(worker)
                case KillWorker(worker):
                    self.vanish(worker)
                case DrainNode(node):
                    assert node not in self.drained
                    self.drained.append(node)
                case RunSlice(worker, recipe, num_slots, add):
                    self.check_slice(command)
                    for task in add:
                        self.slot_contents[worker][task.field_key] = recipe.optimize.num_steps
                    assert 0 < len(self.slot_contents[worker]) <= num_slots
                    self.running[worker] = command
                case HandBack(worker):
                    assert worker in self.alive
                    assert worker not in self.running
                    assert self.slot_contents[worker], "only what holds fields can hand them back"
                    self.running[worker] = command
                case Export(worker, task):
                    assert worker in self.alive
                    assert worker not in self.running
                    self.running[worker] = command
                case Quarantine(build, failure):
                    if failure.failure_class == "worker_died":
                        assert self.deaths_alone[build.field_key] >= MAX_DEATHS
                    if failure.failure_class == "export_died":
                        assert self.export_deaths[build.asset_key] == MAX_DEATHS
                    self.outcomes[build.asset_key] += 1
                    self.unexported.discard(build.asset_key)
                    self.scheduler.decided(build.asset_key, Decision("quarantined", failure))

    def check_slice(self, command: RunSlice) -> None:
        held = self.slot_contents.setdefault(command.worker, {})
        assert command.worker in self.alive
        assert command.worker not in self.running
        steps = {command.recipe.optimize.num_steps} | set(held.values())
        assert len(steps) == 1, "all slots of a distiller share one recipe"
        in_slots = {key for contents in self.slot_contents.values() for key in contents}
        assert not in_slots & {task.field_key for task in command.add}, "a field is in one slot only"
        if command.add:
            assert len(self.unexported) < 2 * self.exporters, "a full export queue pauses refilling"

    def vanish(self, worker: str) -> None:
        self.alive.discard(worker)
        self.running.pop(worker, None)
        self.slot_contents.pop(worker, None)

    def start(self, worker: str, works: bool, *, node: str = "", blame: Blame = "itself") -> None:
        self.starting.remove(worker)
        if node:
            self.scheduler.worker_placed(worker, node)
        if works:
            self.alive.add(worker)
            self.scheduler.worker_ready(worker, Ready())
        else:
            self.scheduler.worker_died(worker, "no weights" if blame == "itself" else f"no {blame}", blame)

    def die(self, worker: str, blame: Blame = "itself") -> None:
        held = self.running[worker]
        contents = list(self.slot_contents.get(worker, {}))
        if isinstance(held, Export):
            self.export_deaths[held.task.build.asset_key] += 1
        elif len(contents) == 1 and blame != "node":
            self.deaths_alone[contents[0]] += 1
        self.vanish(worker)
        self.scheduler.worker_died(worker, "killed", blame)

    def start_all(self) -> None:
        for worker in list(self.starting):
            self.start(worker, works=True)

    def finish(self, worker: str, *, failure: Failure | None = None, fault: Fault | None = None) -> None:
        command = self.running.pop(worker)
        if isinstance(command, Export):
            build = command.task.build
            if fault is not None:
                report = ExportReport(build.asset_key, None, fault=fault)
                if fault.crashed:
                    self.export_deaths[build.asset_key] += 1
            else:
                self.outcomes[build.asset_key] += 1
                self.unexported.discard(build.asset_key)
                decision = Decision("quarantined" if failure else "published", failure)
                report = ExportReport(build.asset_key, decision)
            self.scheduler.export_ended(worker, report)
            return

        contents = self.slot_contents[worker]
        if isinstance(command, HandBack) or (fault is not None and fault.out_of_memory):
            self.slot_contents[worker] = {}
            self.scheduler.slice_ended(worker, SliceReport({}, (), 0, fault, returned=dict.fromkeys(contents, 5)))
            return

        done = () if fault is not None else tuple(list(contents)[:1])
        for key in done:
            self.optimized[key] += failure is None
            contents.pop(key)
            self.unexported |= {
                b.asset_key
                for b in self.given
                if b.field_key == key and b.asset_key not in self.decisions and not failure
            }
        if fault is not None and fault.crashed and len(contents) == 1:
            self.deaths_alone[next(iter(contents))] += 1
        finished = tuple(FinishedField(key, 1.0, None if failure else BLOB, failure) for key in done)
        self.scheduler.slice_ended(worker, SliceReport(dict.fromkeys(contents, 5), finished, 5, fault))

    def run_to_the_end(self) -> None:
        """From here on everything works."""
        for _ in range(1000):
            self.obey()
            if self.scheduler.is_finished:
                return
            self.start_all()
            for worker in list(self.running):
                self.finish(worker)
            self.now_s += 1.0
        raise AssertionError(f"never ended: {self.scheduler.status()}")


def run_until(world: World, worker: str) -> None:
    """Let everything start until `worker` is busy."""
    for _ in range(5):
        world.obey()
        if worker in world.running:
            return
        world.start_all()
    raise AssertionError(f"{worker} never got work")
