"""Outcomes and metadata of an exporter, without its child process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dreamfoundry.asset.export import export_asset
from dreamfoundry.library.library import Library
from dreamfoundry.object_store.directory import DirectoryStore
from dreamfoundry.records import AssetBundle, PriorIdentity, Prompt
from dreamfoundry.run.messages import Build, Decision, ExportTask, WorkerSettings
from dreamfoundry.run.workers.export_process import Exported, ExportProcess
from dreamfoundry.run.workers.exporter import Exporter
from dreamfoundry.settings.export_profiles import ExportProfile
from dreamfoundry.settings.metadata_policy import MetadataPolicy
from dreamfoundry.settings.prior import PriorConfig
from support.stubs import InstantStages, snapshot
from support.tiny_distiller import RECIPE


class InstantProcess(InstantStages, ExportProcess):
    """The child process of an exporter, without a process."""


def test_an_exporter_says_whether_the_outcome_that_stands_is_of_its_run(tmp_path: Path) -> None:
    library = Library(DirectoryStore(tmp_path))
    ref = library.put_blob(snapshot().to_bytes(), "application/x-npz")
    build = Build("ab" * 32, "cd" * 32, Prompt("one", "a ball"), ("one",), RECIPE, ExportProfile())
    prior = PriorIdentity("stub", "1", "0" * 64, "Apache-2.0")

    def export(run_id: str) -> Decision | None:
        settings = WorkerSettings("", PriorConfig(), prior, "cpu", 1, provenance={"run_id": run_id})
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
    build = Build("ab" * 32, "cd" * 32, Prompt("one", "a ball"), ("one",), RECIPE, ExportProfile())
    prior = PriorIdentity("stub", "1", "0" * 64, "Apache-2.0")
    policy = MetadataPolicy(embed_prompt=False, asset_license="CC0-1.0")
    settings = WorkerSettings("", PriorConfig(), prior, "cpu", 1, metadata_policy=policy)

    Exporter(library, settings, RecordingProcess(export_asset)).export(ExportTask(build, ref, 1, 1.0))

    outcome = library.get_outcome(build.asset_key)
    assert outcome is not None
    told = json.loads(library.get_blob(outcome.files["asset.json"]))
    assert told["asset_license"] == "CC0-1.0"
    assert "prompt" not in told
    assert "a ball" not in json.dumps(told)
