"""Outcomes and metadata of an exporter, without its child process."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dreamfoundry.asset.export import export_asset
from dreamfoundry.identity import digest
from dreamfoundry.library.library import Library
from dreamfoundry.library.views import views
from dreamfoundry.object_store.directory import DirectoryStore
from dreamfoundry.records import AssetBundle, Prompt
from dreamfoundry.run.messages import Decision, ExportTask, Failure, WorkerSettings
from dreamfoundry.run.workers.export_process import Exported, ExportProcess
from dreamfoundry.run.workers.exporter import Exporter
from dreamfoundry.settings.metadata_policy import MetadataPolicy
from dreamfoundry.settings.prior import PriorConfig
from support.real_builds import PRIOR, real_build
from support.stubs import InstantStages, snapshot
from support.tiny_distiller import RECIPE


class InstantProcess(InstantStages, ExportProcess):
    """The child process of an exporter, without a process."""


def test_an_exporter_says_whether_the_outcome_that_stands_is_of_its_run(tmp_path: Path) -> None:
    library = Library(DirectoryStore(tmp_path))
    ref = library.put_blob(snapshot().to_bytes(), "application/x-npz")
    build = real_build(Prompt("one", "a ball"), recipe=RECIPE)

    def export(run_id: str) -> Decision | None:
        settings = WorkerSettings("", PriorConfig(), PRIOR, "cpu", 1, provenance={"run_id": run_id})
        return Exporter(library, settings, InstantProcess(export_asset)).export(ExportTask(build, ref, 1, 1.0)).decision

    assert export("first") == Decision("published")
    assert export("second") == Decision("published", is_ours=False)
    assert export("first") == Decision("published"), "an exporter before it has died without an answer"


class RecordingProcess(InstantProcess):
    """Writes down what the files are to say."""

    def export(self, *arguments: Any) -> Exported:
        return Exported(AssetBundle("a", {"asset.json": json.dumps(arguments[-1]).encode()}, (), {}, {}), tries=1)


def test_what_the_files_of_an_exporter_say_follows_the_policy_of_its_run(tmp_path: Path) -> None:
    library = Library(DirectoryStore(tmp_path))
    ref = library.put_blob(snapshot().to_bytes(), "application/x-npz")
    policy = MetadataPolicy(embed_prompt=False, asset_license="CC0-1.0")
    build = real_build(Prompt("one", "a ball"), recipe=RECIPE, policy=policy)
    settings = WorkerSettings("", PriorConfig(), PRIOR, "cpu", 1, metadata_policy=policy)

    Exporter(library, settings, RecordingProcess(export_asset)).export(ExportTask(build, ref, 1, 1.0))

    outcome = library.get_outcome(build.asset_key)
    assert outcome is not None
    told = json.loads(library.get_blob(outcome.files["asset.json"]))
    assert told["asset_license"] == "CC0-1.0"
    assert "prompt" not in told
    assert "a ball" not in json.dumps(told)


class RefusingProcess(InstantProcess):
    """Finds something wrong with every asset."""

    def export(self, *arguments: Any) -> Exported:
        return Exported(Failure("invalid", "a hole"), tries=1)


@pytest.mark.parametrize(("child", "state"), [(InstantProcess, "published"), (RefusingProcess, "quarantined")])
def test_every_outcome_of_an_exporter_carries_the_request_that_its_keys_are_made_of(
    tmp_path: Path, child: type[InstantProcess], state: str
) -> None:
    library = Library(DirectoryStore(tmp_path))
    ref = library.put_blob(snapshot().to_bytes(), "application/x-npz")
    build = real_build(Prompt("one", "a ball", seed=7), recipe=RECIPE)
    settings = WorkerSettings("", PriorConfig(), PRIOR, "cpu", 1)

    Exporter(library, settings, child(export_asset)).export(ExportTask(build, ref, 1, 1.0))

    outcome = library.get_outcome(build.asset_key)
    assert outcome is not None
    request = outcome.provenance["request"]
    assert isinstance(request, dict)
    assert (digest(request["field"]), digest(request["asset"])) == (outcome.field_key, outcome.asset_key)
    assert (outcome.state, request["field"]["prompt"], request["field"]["seed"]) == (state, "a ball", 7)


def test_43_an_exporter_writes_nothing_under_the_key_of_another_request(tmp_path: Path) -> None:
    library = Library(DirectoryStore(tmp_path))
    ref = library.put_blob(snapshot().to_bytes(), "application/x-npz")
    build = replace(real_build(Prompt("one", "a red chair"), recipe=RECIPE), prompt=Prompt("one", "a blue car"))
    settings = WorkerSettings("", PriorConfig(), PRIOR, "cpu", 1)

    report = Exporter(library, settings, InstantProcess(export_asset)).export(ExportTask(build, ref, 1, 1.0))

    assert report.decision is None
    assert report.fault is not None
    assert (report.fault.crashed, "KeyMismatch: one: the field key" in report.fault.message) == (False, True)
    assert [*library.decided(), *views(library)] == []


@pytest.mark.parametrize(
    ("tags", "policy", "told"),
    [
        (("wood", "old"), MetadataPolicy(), ["wood", "old"]),
        ((), MetadataPolicy(), None),
        (("wood",), MetadataPolicy(embed_prompt=False), None),
    ],
)
def test_the_sidecar_has_the_tags_of_its_rows_unless_prompts_are_confidential(
    tmp_path: Path, tags: tuple[str, ...], policy: MetadataPolicy, told: list[str] | None
) -> None:
    library = Library(DirectoryStore(tmp_path))
    ref = library.put_blob(snapshot().to_bytes(), "application/x-npz")
    build = real_build(Prompt("one", "a ball", tags=tags), recipe=RECIPE, policy=policy)
    settings = WorkerSettings("", PriorConfig(), PRIOR, "cpu", 1, metadata_policy=policy)

    Exporter(library, settings, InstantProcess(export_asset)).export(ExportTask(build, ref, 1, 1.0))

    outcome = library.get_outcome(build.asset_key)
    assert outcome is not None
    assert json.loads(library.get_blob(outcome.files["asset.json"]))["provenance"].get("tags") == told


def test_the_sidecar_tells_which_kernels_served_a_field_of_this_run(tmp_path: Path) -> None:
    library = Library(DirectoryStore(tmp_path))
    ref = library.put_blob(snapshot().to_bytes(), "application/x-npz")
    exporter = Exporter(library, WorkerSettings("", PriorConfig(), PRIOR, "cpu", 1), RecordingProcess(export_asset))

    def provenance_of(name: str, kernels: str) -> dict[str, Any]:
        build = real_build(Prompt(name, f"a {name}"), recipe=RECIPE)
        exporter.export(ExportTask(build, ref, 1, 1.0, kernels=kernels))
        outcome = library.get_outcome(build.asset_key)
        assert outcome is not None
        sidecar: dict[str, dict[str, Any]] = json.loads(library.get_blob(outcome.files["asset.json"]))
        return sidecar["provenance"]

    assert provenance_of("ball", "triton 3.7.1")["kernels"] == "triton 3.7.1"
    assert "kernels" not in provenance_of("cone", ""), "a field of an earlier run"
