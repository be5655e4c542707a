"""Fields that nobody wants: each ends as an asset that passes its gates, or in a class that says why.

All go the way of a run: exporter, child process with its limits, outcome in the library.

Dimension key:  R grid vertices per side
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from dreamfoundry.asset.export import export_asset
from dreamfoundry.library.library import Library
from dreamfoundry.object_store.directory import DirectoryStore
from dreamfoundry.records import FieldSnapshot, Outcome, Prompt
from dreamfoundry.run.messages import ExportTask, WorkerSettings
from dreamfoundry.run.workers.export_process import ExportProcess
from dreamfoundry.run.workers.exporter import Exporter
from dreamfoundry.settings.export_profiles import EXPORT_PROFILES, ExportProfile
from dreamfoundry.settings.field import SnapshotConfig
from dreamfoundry.settings.prior import PriorConfig
from support.processes import children, members, wait_until
from support.real_builds import PRIOR, real_build

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")

SIDE = 32
REAL_SIDE = SnapshotConfig().grid_resolution

SMALL = replace(
    EXPORT_PROFILES["game_prop"],
    name="small",
    triangles=(1000, 500, 250, 100),
    texture_px=(64, 64, 64, 64),
    thumbnail_px=64,
    turntable_frames=2,
    turntable_px=32,
    video=False,
)
"""Every stage of `game_prop` with little to do."""

BARE = ExportProfile("bare", (1000,), (64,), detail_maps=False, thumbnail_px=64)
"""So that a large field costs little but its surface."""

LIMIT_S = 250.0
"""For one export here, half of what a run allows; alone on a core each takes a few seconds."""


def places(side: int) -> np.ndarray:
    """x, y, z of the grid vertices, [3, R, R, R]."""
    axis = np.linspace(-1.0, 1.0, side)
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"))


def ball() -> np.ndarray:
    return np.where(np.linalg.norm(places(SIDE), axis=0) < 0.5, 80.0, 0.0)


def solid(value: float) -> np.ndarray:
    return np.full((SIDE, SIDE, SIDE), value)


def rod(axis: int, width: int) -> np.ndarray:
    """As long as the grid and `width` vertices thick; the cell around one vertex is thinner than a voxel."""
    return block(*(slice(1, -1) if k == axis else slice(16, 16 + width) for k in range(3)))


def sheet(axis: int) -> np.ndarray:
    return block(*(slice(16, 17) if k == axis else slice(1, -1) for k in range(3)))


def block(*where: slice) -> np.ndarray:
    density = solid(0.0)
    density[where] = 1000.0
    return density


def balls(num_balls: int) -> np.ndarray:
    """At most 512 balls of three voxels, on a lattice, none touching another."""
    cell, within = np.divmod(np.indices((64, 64, 64)), 8)
    is_one = np.tensordot([64, 8, 1], cell, axes=1) < num_balls
    return np.where(is_one & (np.linalg.norm(within - 3.5, axis=0) < 1.8), 1000.0, 0.0)


def checkerboard() -> np.ndarray:
    return np.where((ball() > 0.0) & (np.indices((SIDE,) * 3).sum(axis=0) % 2 == 1), 60_000.0, 0.0)


def white_noise(side: int, share: float) -> np.ndarray:
    return np.where(np.random.default_rng(0).random((side, side, side)) < share, 60_000.0, 0.0)


def crumbs(side: int) -> np.ndarray:
    """A gyroid with a period of six voxels: at its isovalue a sponge and tens of thousands of crumbs."""
    x, y, z = places(side) * np.pi * side / 6.0
    return np.where(np.sin(x) * np.cos(y) + np.sin(y) * np.cos(z) + np.sin(z) * np.cos(x) > 0.3, 80.0, 0.0)


def with_one(density: np.ndarray, value: float) -> np.ndarray:
    density[0, 0, 0] = value
    return density


PUBLISHED = ("published",)
AS_IT_COMES = ("published", "surface", "invalid")
"""So thin or so rough that the budgets of the levels decide whether closed surfaces within them exist."""


@dataclass(frozen=True)
class Hostile:
    """A density, how it may end ("published" or a failure class) and what the message says.

    The pictures show `shown`, by default the field itself; `opacity` is put into every pixel of them.
    """

    density: Callable[[], np.ndarray]
    ends: tuple[str, ...]
    says: str = ""
    shown: Callable[[], np.ndarray] | None = None
    opacity: int | None = None


FIELDS = {
    "empty": Hostile(lambda: solid(0.0), ("empty",), "half opaque"),
    "empty, pictures of a ball": Hostile(lambda: solid(0.0), ("empty",), "vanished", shown=ball),
    "full": Hostile(lambda: solid(80.0), ("full",), "100% of the cube"),
    "a fog": Hostile(lambda: solid(0.6), ("full",), "100% of the cube"),
    "500 components": Hostile(lambda: balls(500), ("surface",), "in pieces, the largest with 0.2%"),
    "a rod thinner than a voxel, upright": Hostile(lambda: rod(1, 1), AS_IT_COMES),
    "a rod thinner than a voxel, lying": Hostile(lambda: rod(0, 1), AS_IT_COMES),
    "a rod of two voxels, upright": Hostile(lambda: rod(1, 2), AS_IT_COMES),
    "a rod of two voxels, lying": Hostile(lambda: rod(0, 2), AS_IT_COMES),
    "a sheet, standing": Hostile(lambda: sheet(2), AS_IT_COMES),
    "a sheet of no height": Hostile(lambda: sheet(1), AS_IT_COMES),
    "one voxel": Hostile(lambda: block(*[slice(16, 17)] * 3), AS_IT_COMES),
    "one voxel in the corner": Hostile(lambda: block(*[slice(0, 1)] * 3), AS_IT_COMES),
    "one value not a number": Hostile(lambda: with_one(ball(), np.nan), ("surface",), "1 of 32768 grid", shown=ball),
    "no value a number": Hostile(lambda: solid(np.nan), ("surface",), "32768 of 32768", shown=ball),
    "one infinity": Hostile(lambda: with_one(ball(), np.inf), PUBLISHED, shown=ball),
    "infinity everywhere": Hostile(lambda: solid(np.inf), ("full",), "100% of the cube", opacity=255),
    "infinity inside, minus infinity outside": Hostile(
        lambda: np.where(ball() > 0.0, np.inf, -np.inf), PUBLISHED, shown=ball
    ),
    "as dense as float16 goes": Hostile(lambda: ball() / 80.0 * 65_504.0, PUBLISHED),
    "denormal": Hostile(lambda: ball() / 80.0 * 6e-8, ("empty",), "vanished", shown=ball),
    "negative": Hostile(lambda: -1.0 - ball(), ("empty",), "vanished", shown=ball),
    "a ball, transparent pictures": Hostile(ball, ("empty",), "half opaque", opacity=0),
    "a ball, opaque pictures": Hostile(ball, ("surface",), "pictures disagree", opacity=255),
    "a checkerboard": Hostile(checkerboard, AS_IT_COMES),
    "white noise": Hostile(lambda: white_noise(SIDE, 0.2), AS_IT_COMES),
}

BOMBS = {
    "white noise of the real size": Hostile(lambda: white_noise(REAL_SIDE, 0.2), AS_IT_COMES),
    "crumbs of the real size": Hostile(lambda: crumbs(REAL_SIDE), AS_IT_COMES),
}
"""Fields of the size that runs have, with the surfaces that are the most to count."""


@dataclass
class Factory:
    """An exporter with its child, and pictures for fields."""

    exporter: Exporter
    child: ExportProcess
    library: Library
    pictured: Callable[..., FieldSnapshot]

    def snapshot(self, field: Hostile) -> FieldSnapshot:
        density = field.density()
        albedo = np.random.default_rng(1).integers(0, 256, (*density.shape, 3), dtype=np.uint8)
        seen = self.pictured(np.asarray((field.shown or field.density)()).clip(0.0, 60_000.0), albedo, num_views=4)
        opacity = seen.view_opacity if field.opacity is None else np.full_like(seen.view_opacity, field.opacity)
        return replace(seen, density=density.astype(np.float16), view_opacity=opacity)

    def outcome(self, field: Hostile, profile: ExportProfile, name: str) -> Outcome:
        """The outcome in the library; of the process group of the export only an idle child may be left."""
        blob = self.library.put_blob(self.snapshot(field).to_bytes(), "application/x-npz")
        build = real_build(Prompt("p", f"hostile {name}"), profile=profile, snapshot=blob)
        self.child.start()
        (group,) = children(os.getpid(), "export_process")
        report = self.exporter.export(ExportTask(build, blob, tries=1, optimize_s=0.0))
        assert report.fault is None
        outcome = self.library.get_outcome(build.asset_key)
        assert outcome is not None
        idle = {group} if outcome.state == "published" else set[int]()
        wait_until(lambda: set(members(group)) == idle, f"nothing but {idle} is left of the export", timeout_s=5.0)
        return outcome


def factory_in(folder: Path, snapshots: ModuleType, child: ExportProcess) -> Factory:
    library = Library(DirectoryStore(folder))
    settings = WorkerSettings("", PriorConfig(), PRIOR, "cpu", 1)
    return Factory(Exporter(library, settings, child), child, library, snapshots.pictured)


@pytest.fixture(scope="module")
def factory(tmp_path_factory: pytest.TempPathFactory, snapshots: ModuleType) -> Iterator[Factory]:
    made = factory_in(tmp_path_factory.mktemp("library"), snapshots, ExportProcess(export_asset, limit_s=LIMIT_S))
    yield made
    made.exporter.close()
    assert not children(os.getpid(), "export_process")


def require_end(factory: Factory, field: Hostile, outcome: Outcome) -> None:
    """That it ended as it may, with a message or with files that no gate blocks."""
    assert (outcome.failure_class or outcome.state) in field.ends, outcome.message
    assert field.says in outcome.message
    if outcome.state == "published":
        gates = json.loads(factory.library.get_blob(outcome.files["asset.json"]))["gates"]
        assert "block" not in gates.values()


@pytest.mark.parametrize("name", FIELDS)
def test_a_hostile_field_ends_in_an_asset_or_a_class_and_leaves_nothing_running(factory: Factory, name: str) -> None:
    require_end(factory, FIELDS[name], factory.outcome(FIELDS[name], SMALL, name))


@pytest.mark.slow
@pytest.mark.parametrize("profile", ["preview", "game_prop"])
@pytest.mark.parametrize("name", [*FIELDS, *BOMBS])
def test_a_hostile_field_ends_so_in_real_profiles_and_at_the_real_size(
    factory: Factory, name: str, profile: str
) -> None:
    field = (FIELDS | BOMBS)[name]
    require_end(factory, field, factory.outcome(field, EXPORT_PROFILES[profile], name))


def test_a_field_in_ten_thousand_pieces_ends_far_below_the_limit(factory: Factory) -> None:
    field = BOMBS["crumbs of the real size"]
    require_end(factory, field, factory.outcome(field, BARE, "crumbs"))


def test_a_limit_that_real_stages_exceed_ends_them_with_all_that_they_started(
    factory: Factory, tmp_path: Path, snapshots: ModuleType
) -> None:
    factory.exporter.close()  # one child at a time: it is found by its parent
    hasty = factory_in(tmp_path, snapshots, ExportProcess(export_asset, limit_s=0.5))
    try:
        outcome = hasty.outcome(BOMBS["crumbs of the real size"], EXPORT_PROFILES["game_prop"], "crumbs")
    finally:
        hasty.exporter.close()
    assert outcome.failure_class == "export_timeout"
    assert "export_limit_s = 0.5 s" in outcome.message
    assert "fewer triangles" in outcome.message
