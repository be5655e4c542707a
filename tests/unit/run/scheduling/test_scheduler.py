"""The scheduler, driven by a small world in which workers finish, fail, crash and die at random."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dreamfoundry.records import BlobRef, Prompt
from dreamfoundry.run.messages import (
    Blame,
    Build,
    Decision,
    Export,
    ExportReport,
    Failure,
    Fault,
    FinishedField,
    HandBack,
    KillWorker,
    Quarantine,
    RunSlice,
    SliceReport,
    StartWorker,
)
from dreamfoundry.run.scheduling.completion import MAX_DEATHS
from dreamfoundry.run.scheduling.field_job import Claim
from dreamfoundry.run.scheduling.ports import SchedulerConfig, SchedulerPorts
from dreamfoundry.run.scheduling.scheduler import Scheduler
from dreamfoundry.run.scheduling.supervision import MAX_FAULTS
from dreamfoundry.run.scheduling.timeouts import Limits
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
        assert deaths > self.deaths.get(field_key, 0), "attempts never fall"
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
            match command:
                case StartWorker(worker):
                    assert worker not in self.alive
                    assert worker not in self.starting
                    self.starting.append(worker)
                case KillWorker(worker):
                    self.vanish(worker)
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

    def start(self, worker: str, works: bool) -> None:
        self.starting.remove(worker)
        if works:
            self.alive.add(worker)
            self.scheduler.worker_ready(worker)
        else:
            self.scheduler.worker_died(worker, "no weights")

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


builds_of_a_run = st.lists(
    st.builds(
        build_of,
        name=st.sampled_from("abcdefg"),
        recipe=st.integers(0, 1),
        priority=st.integers(0, 2),
        profile=st.sampled_from(["preview", "mobile"]),
    ),
    min_size=1,
    max_size=10,
    unique_by=lambda build: build.asset_key,
)


@settings(max_examples=60, deadline=None)
@given(builds=builds_of_a_run, stored=st.sets(st.sampled_from("abcdefg"), max_size=2), data=st.data())
def test_every_build_ends_exactly_once_whatever_happens_in_whatever_order(
    builds: list[Build], stored: set[str], data: st.DataObject
) -> None:
    builds = [replace(b, snapshot=BLOB) if b.prompt.prompt_id in stored else b for b in builds]
    distillers, slots, look_ahead = (data.draw(st.integers(1, most)) for most in (3, 3, 12))
    world = World(builds, distillers=distillers, slots=slots, look_ahead=look_ahead)
    faults = {
        "crash": Fault("bug", crashed=True),
        "glitch": Fault("the store is away"),
        "full": Fault("the memory of the GPU is too small", out_of_memory=True),
    }
    events = st.sampled_from(
        ["start", "no start", "go", "fail", "die", "crash", "glitch", "full", "node lost", "memory", "leave", "lose"]
    )
    for event in data.draw(st.lists(events, max_size=60)):
        world.obey()
        world.now_s += 1.0
        if event in ("start", "no start") and world.starting:
            world.start(data.draw(st.sampled_from(world.starting)), works=event == "start")
        elif event not in ("start", "no start") and world.running:
            worker = data.draw(st.sampled_from(sorted(world.running)))
            is_export = isinstance(world.running[worker], Export)
            if event in ("die", "node lost", "memory"):
                blames: dict[str, Blame] = {"node lost": "node", "memory": "memory"}
                world.die(worker, blames.get(event, "itself"))
            elif event == "leave":
                world.scheduler.leave([worker])
            elif event == "lose":
                world.claims.newly_lost |= world.slot_contents.get(worker, {}).keys()
            elif event == "fail":
                world.finish(worker, failure=Failure("empty", "nothing to see"))
            else:
                world.finish(worker, fault=None if event == "full" and is_export else faults.get(event))
    if world.scheduler.abort_cause is None:
        world.run_to_the_end()
    if world.scheduler.abort_cause is None:
        assert world.outcomes == Counter({build.asset_key: 1 for build in builds})
        fields = {build.field_key for build in builds}
        assert fields - world.claims.ever_lost <= world.claims.forgotten <= fields
    assert max(world.outcomes.values(), default=0) <= 1
    assert max(world.optimized.values(), default=0) <= 1


def test_a_poisonous_prompt_is_quarantined_after_three_deaths_alone_and_its_neighbours_are_published() -> None:
    world = World([build_of("poison", priority=1), build_of("good"), build_of("fine")], distillers=1)
    for _ in range(200):
        world.obey()
        if world.scheduler.is_finished:
            break
        world.start_all()
        for worker in list(world.running):
            if "poison/0" in world.slot_contents.get(worker, {}):
                world.die(worker)
            else:
                world.finish(worker)
    states = {key: decision.state for key, decision in world.decisions.items()}
    assert states == {
        "poison/0/preview": "quarantined", "good/0/preview": "published", "fine/0/preview": "published",
    }  # fmt: skip
    assert world.claims.deaths == {"poison/0": MAX_DEATHS}


def test_an_exporter_that_dies_does_not_cost_the_field_an_attempt_and_is_given_up_after_three() -> None:
    world = World([build_of("deadly", stored=True), build_of("good", stored=True)])
    deaths = 0
    for _ in range(200):
        world.obey()
        if world.scheduler.is_finished:
            break
        world.start_all()
        for worker, command in list(world.running.items()):
            if isinstance(command, Export) and command.task.build.asset_key == "deadly/0/preview":
                assert command.task.tries == 1
                deaths += 1
                world.die(worker)
            else:
                world.finish(worker)
    decision = world.decisions["deadly/0/preview"]
    assert decision.failure is not None
    assert decision.failure.failure_class == "export_died"
    assert deaths == MAX_DEATHS
    assert world.decisions["good/0/preview"].state == "published"
    assert world.claims.deaths == {}, "charges are for optimisations"


def test_prompts_that_were_side_by_side_in_a_death_are_run_alone_afterwards() -> None:
    world = World([build_of("a"), build_of("b")], distillers=1)
    run_until(world, "distiller-0")
    assert len(world.slot_contents["distiller-0"]) == 2
    world.die("distiller-0")
    run_until(world, "distiller-0")
    assert len(world.slot_contents["distiller-0"]) == 1
    command = world.running["distiller-0"]
    assert isinstance(command, RunSlice)
    assert command.num_slots == 1
    assert world.claims.deaths == {}, "a death in company is no proof"


def test_three_setup_failures_in_a_row_abort_the_run_with_their_cause() -> None:
    world = World([build_of("a")], distillers=1)
    for _ in range(3):
        world.obey()
        world.start("distiller-0", works=False)
    assert world.scheduler.is_finished
    assert world.scheduler.abort_cause == "no weights"


def test_one_broken_place_does_not_stop_a_run_that_has_another() -> None:
    world = World([build_of("a"), build_of("b")], distillers=2, slots=1)
    for _ in range(3):
        world.obey()
        world.start("distiller-0", works=False)
    world.run_to_the_end()
    assert world.scheduler.abort_cause is None
    assert world.outcomes.total() == 2


def test_34_an_exporter_on_a_full_disk_gets_no_more_work_and_the_others_finish_everything() -> None:
    world = World([build_of(f"p{n}") for n in range(8)], distillers=1, exporters=2, slots=4)
    num_faults = 0
    for _ in range(60):
        world.obey()
        if world.scheduler.is_finished:
            break
        world.start_all()
        for worker in list(world.running):
            is_full = worker == "exporter-0"
            num_faults += is_full
            world.finish(worker, fault=Fault("no space left on device") if is_full else None)
    assert num_faults == MAX_FAULTS
    assert world.outcomes.total() == 8
    assert {decision.state for decision in world.decisions.values()} == {"published"}


def test_a_field_is_optimised_once_for_all_the_budgets_that_need_it() -> None:
    world = World([build_of("a", profile="preview"), build_of("a", profile="mobile")], distillers=1)
    world.run_to_the_end()
    assert world.optimized == {"a/0": 1}
    assert world.outcomes == {"a/0/preview": 1, "a/0/mobile": 1}


def test_a_node_that_goes_hands_its_fields_back_and_they_go_on_elsewhere() -> None:
    world = World([build_of("a"), build_of("b")], distillers=2, slots=2)
    run_until(world, "distiller-0")
    held = set(world.slot_contents["distiller-0"])
    world.scheduler.leave(["distiller-0"])
    world.running.pop("distiller-0")
    world.scheduler.slice_ended("distiller-0", SliceReport(dict.fromkeys(held, 5), (), 5))
    world.obey()
    assert isinstance(world.running["distiller-0"], HandBack)
    world.finish("distiller-0")
    world.obey()
    assert "distiller-0" not in world.alive
    world.run_to_the_end()
    assert world.claims.deaths == {}
    assert world.outcomes.total() == 2


@pytest.mark.parametrize("blame", ["itself", "node"])
def test_a_death_with_its_node_is_charged_to_nobody(blame: Blame) -> None:
    world = World([build_of("a")], distillers=1)
    run_until(world, "distiller-0")
    world.die("distiller-0", blame)
    assert world.claims.deaths == ({"a/0": 1} if blame == "itself" else {})


def test_17_a_death_on_a_node_that_was_about_to_go_is_charged_to_nobody_but_the_next_one_is() -> None:
    world = World([build_of("a")], distillers=1)
    run_until(world, "distiller-0")
    world.scheduler.leave(["distiller-0"])
    world.die("distiller-0")
    assert world.claims.deaths == {}
    for deaths in range(1, MAX_DEATHS + 1):
        run_until(world, "distiller-0")
        world.die("distiller-0")
        assert world.claims.deaths == {"a/0": deaths}
    world.obey()
    assert world.decisions["a/0/preview"].state == "quarantined"


def test_22_a_prompt_that_raises_is_quarantined_once_with_the_end_of_its_traceback() -> None:
    world = World([build_of("a")], distillers=1)
    for _ in range(MAX_DEATHS):
        run_until(world, "distiller-0")
        world.deaths_alone["a/0"] += 1
        world.running.pop("distiller-0")
        fault = Fault("  File guidance.py, line 7\nValueError: nobody thought of this", crashed=True)
        world.scheduler.slice_ended("distiller-0", SliceReport({"a/0": 5}, (), 0, fault))
        world.obey()
    failure = world.decisions["a/0/preview"].failure
    assert failure is not None
    assert failure.failure_class == "worker_died"
    assert "ValueError: nobody thought of this" in failure.message
    assert world.outcomes == {"a/0/preview": 1}


def test_32_while_exports_are_slow_slots_are_not_refilled_and_the_queue_stays_short() -> None:
    world = World([build_of(f"p{n}") for n in range(12)], distillers=1, exporters=1, slots=2)
    for _ in range(30):
        world.obey()
        world.start_all()
        for worker in [name for name in world.running if name.startswith("distiller")]:
            world.finish(worker)
    assert 2 <= len(world.unexported) <= 2 + world.slots - 1
    assert not world.slot_contents["distiller-0"], "the distiller waits"
    world.run_to_the_end()
    assert world.outcomes.total() == 12


def test_where_the_gpu_is_too_small_an_distiller_gets_half_the_slots_and_nobody_is_charged() -> None:
    world = World([build_of(name) for name in "abcd"], distillers=1, slots=4)
    run_until(world, "distiller-0")
    world.finish("distiller-0", fault=Fault("too small", out_of_memory=True))
    world.obey()
    command = world.running["distiller-0"]
    assert isinstance(command, RunSlice)
    assert (command.num_slots, len(command.add)) == (2, 2)
    world.run_to_the_end()
    assert world.outcomes.total() == 4
    assert world.claims.deaths == {}


def test_where_host_memory_is_short_there_is_one_exporter_less_until_the_last_one() -> None:
    world = World([build_of(name, stored=True) for name in "abc"], exporters=2)
    run_until(world, "exporter-1")
    world.die("exporter-1", "memory")
    run_until(world, "exporter-0")
    world.die("exporter-0", "memory")
    world.run_to_the_end()
    assert world.alive == {"exporter-0"}
    assert world.outcomes.total() == 3


def test_a_run_that_is_stopped_hands_everything_back_and_begins_nothing() -> None:
    world = World([build_of(name) for name in "abcdef"], distillers=1, slots=2)
    run_until(world, "distiller-0")
    world.scheduler.stop()
    world.obey()
    assert not world.scheduler.is_drained
    contents = dict(world.slot_contents["distiller-0"])
    world.running.pop("distiller-0")
    world.scheduler.slice_ended("distiller-0", SliceReport(contents, (), 5))
    world.obey()
    assert isinstance(world.running["distiller-0"], HandBack)
    world.finish("distiller-0")
    world.obey()
    assert world.scheduler.is_drained
    assert not world.running
    assert not world.scheduler.is_finished


def test_a_field_whose_lease_was_lost_leaves_its_slot_and_the_others_go_on() -> None:
    world = World([build_of("theirs"), build_of("ours")], distillers=1, slots=2)
    run_until(world, "distiller-0")
    world.claims.newly_lost, world.claims.foreign = {"theirs/0"}, {"theirs/0"}
    contents = dict(world.slot_contents["distiller-0"])
    world.running.pop("distiller-0")
    world.scheduler.slice_ended("distiller-0", SliceReport(contents, (), 5))
    world.obey()
    world.finish("distiller-0")
    world.obey()
    assert list(world.slot_contents["distiller-0"]) == ["ours/0"]
    world.run_to_the_end()
    assert world.scheduler.num_delegated == 1
    assert world.outcomes == {"ours/0/preview": 1}


def test_builds_are_taken_as_they_are_needed_and_the_most_urgent_at_hand_come_first() -> None:
    builds = [build_of(f"p{n}", priority=n) for n in range(6)]
    world = World(builds, distillers=1, slots=1, look_ahead=3)
    run_until(world, "distiller-0")
    assert list(world.slot_contents["distiller-0"]) == ["p2/0"], "the most urgent of the first three"
    world.run_to_the_end()
    assert world.outcomes.total() == 6
    backlog = world.scheduler._backlog
    assert not backlog.fields, "nothing is kept of what has ended"
    assert not backlog.builds


def test_stored_fields_need_no_distiller() -> None:
    world = World([build_of(name, stored=True) for name in "abc"])
    world.run_to_the_end()
    assert world.alive == {"exporter-0"}
    assert world.scheduler.status().published == 3


def test_an_export_is_given_to_one_exporter_only() -> None:
    world = World([build_of("a", profile=profile, stored=True) for profile in ("preview", "mobile")], exporters=3)
    for _ in range(3):
        world.obey()
        world.start_all()
    exports = [command for command in world.running.values() if isinstance(command, Export)]
    assert sorted(export.task.build.profile.name for export in exports) == ["mobile", "preview"]


def test_a_field_that_a_live_run_holds_is_asked_for_twice_and_then_left_to_it() -> None:
    world = World([build_of("theirs"), build_of("ours")])
    world.claims.foreign = {"theirs/0"}
    world.run_to_the_end()
    assert world.now_s >= Limits().lease_s
    assert world.scheduler.num_delegated == 1
    assert world.decisions.keys() == {"ours/0/preview"}


def test_a_field_whose_owner_has_died_is_taken_over_when_the_lease_is_over() -> None:
    world = World([build_of("orphan")])
    world.claims.foreign = {"orphan/0"}
    world.obey()
    world.start("distiller-0", works=True)
    world.obey()
    world.claims.foreign = set()
    world.run_to_the_end()
    assert world.outcomes == {"orphan/0/preview": 1}


def test_what_another_run_has_published_meanwhile_is_not_built() -> None:
    world = World([build_of("theirs")])
    standing = Decision("published", is_ours=False)
    world.claims.outcomes = {"theirs/0/preview": standing}
    world.run_to_the_end()
    assert world.decisions == {"theirs/0/preview": standing}
    assert world.optimized == {}


def test_what_another_run_has_published_during_an_export_is_not_ours() -> None:
    world = World([build_of("theirs", stored=True)])
    run_until(world, "exporter-0")
    standing = Decision("published", is_ours=False)
    world.scheduler.export_ended("exporter-0", ExportReport("theirs/0/preview", standing))
    assert world.decisions == {"theirs/0/preview": standing}


def test_a_worker_that_gives_no_answer_is_killed_and_its_prompt_charged() -> None:
    world = World([build_of("stuck")], distillers=1)
    run_until(world, "distiller-0")
    world.now_s = Limits().slice_limit_s + 1.0
    world.obey()
    assert "distiller-0" not in world.alive
    assert world.claims.deaths == {"stuck/0": 1}


@pytest.mark.parametrize("priority_of_last", [0, 5])
def test_urgent_rows_come_first_and_equal_ones_in_their_order(priority_of_last: int) -> None:
    names = [build_of("a"), build_of("b"), build_of("c", priority=priority_of_last)]
    world = World(names, distillers=1, slots=1)
    run_until(world, "distiller-0")
    assert list(world.slot_contents["distiller-0"]) == ["c/0" if priority_of_last else "a/0"]


def test_the_last_rows_are_spread_over_all_distillers() -> None:
    world = World([build_of(f"p{n}") for n in range(6)], distillers=2, slots=4)
    world.obey()
    for worker in ("distiller-0", "distiller-1"):
        world.start(worker, works=True)
    world.obey()

    assert sorted(len(contents) for contents in world.slot_contents.values()) == [3, 3]


def test_an_distiller_whose_slots_are_full_goes_on() -> None:
    world = World([build_of(f"p{n}") for n in range(4)], distillers=1, slots=2)
    run_until(world, "distiller-0")
    contents = world.slot_contents["distiller-0"]
    world.running.pop("distiller-0")
    world.scheduler.slice_ended("distiller-0", SliceReport(dict.fromkeys(contents, 5), (), 5))
    world.obey()

    assert world.running["distiller-0"].add == ()


def test_what_is_in_a_checkpoint_is_not_wasted_by_a_death() -> None:
    world = World([build_of("a")], distillers=1)
    run_until(world, "distiller-0")
    world.now_s += 30.0
    world.running.pop("distiller-0")
    world.scheduler.slice_ended("distiller-0", SliceReport({"a/0": 5}, (), 5, saved=("a/0",)))
    world.obey()
    world.now_s += 10.0
    world.die("distiller-0")
    assert world.scheduler.status().wasted_s == 10.0
    run_until(world, "distiller-0")
    world.now_s += 20.0
    world.finish("distiller-0")
    assert world.scheduler.status().useful_s == 50.0


def test_the_time_of_the_distillers_is_useful_or_wasted_to_the_second() -> None:
    world = World([build_of(name) for name in ("good", "bad", "lost")], distillers=1, slots=3)
    run_until(world, "distiller-0")
    world.now_s += 30.0  # three fields, 10 s each
    world.finish("distiller-0")
    world.obey()
    world.now_s += 20.0  # two fields, 10 s each
    world.finish("distiller-0", failure=Failure("empty", "nothing to see"))
    world.obey()
    status = world.scheduler.status()
    assert (status.useful_s, status.wasted_s) == (10.0, 20.0)
    assert status.failure_classes == {"empty": 1}
    assert status.workers["distiller"] == 1
    world.now_s += 5.0  # alone
    world.die("distiller-0")
    status = world.scheduler.status()
    assert (status.useful_s, status.wasted_s) == (10.0, 45.0)
    assert status.workers["distiller"] == 0


def test_37_what_distillers_were_held_for_is_useful_wasted_or_idle_and_sums_to_the_time_that_passed() -> None:
    world = World([build_of(name) for name in ("good", "lost", "open")], distillers=2, slots=2)
    for _ in range(2):
        world.obey()
        world.start_all()
        world.obey()
        world.now_s += 10.0
        for worker in sorted(world.running):
            world.finish(worker)
        world.now_s += 3.0  # nobody is told anything
    world.obey()
    status = world.scheduler.status()
    assert status.optimizer_s["useful"] > 0.0
    assert status.optimizer_s["idle"] > 0.0
    assert sum(status.optimizer_s.values()) == pytest.approx(2 * 26.0)
