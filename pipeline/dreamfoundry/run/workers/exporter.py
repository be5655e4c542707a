"""Stages 4 to 8 for one asset at a time: snapshot -> files -> blobs -> one outcome -> named view.

Runs on CPU only and needs nothing but the library, so it can be repeated anywhere. The files are
made in a child process (`export_process`), which may hang or crash.
"""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Mapping

from dreamfoundry.asset.deliverables import MEDIA_TYPES
from dreamfoundry.asset.export import export_asset
from dreamfoundry.asset.files.metadata import asset_metadata
from dreamfoundry.asset.files.sidecar import with_provenance
from dreamfoundry.errors import InfrastructureError, ObjectCorrupt, ObjectMissing
from dreamfoundry.host.log_events import log_context, log_event
from dreamfoundry.identity import recipe_digest
from dreamfoundry.library.library import Library
from dreamfoundry.library.views import write_view
from dreamfoundry.object_store.open import open_store
from dreamfoundry.records import FieldHistory, FieldSnapshot, Outcome
from dreamfoundry.run.messages import Decision, ExportReport, ExportTask, Failure, Fault, WorkerSettings
from dreamfoundry.run.outcomes import decision_of, effort, now_text, publish, quarantined_outcome, request_provenance
from dreamfoundry.run.unreadable_keys import UnreadableKeys
from dreamfoundry.run.workers.export_process import Exported, ExportProcess
from dreamfoundry.serialization import to_plain

LOG = logging.getLogger(__name__)


def open_exporter(settings: WorkerSettings) -> Exporter:
    """Open the library and warm the child process; InfrastructureError if either fails."""
    library = Library(open_store(settings.library_url, retry_timeout_s=settings.store_s, check_s=settings.store_s))
    exporter = Exporter(library, settings, ExportProcess(export_asset))
    exporter.start()
    return exporter


class Exporter:
    """Publishes stored fields, or quarantines them with the reason."""

    def __init__(self, library: Library, settings: WorkerSettings, child: ExportProcess) -> None:
        self._unreadable = UnreadableKeys()
        self._library, self._settings, self._child = Library(library.store, self._unreadable), settings, child

    def start(self) -> None:
        """Have the child process ready; InfrastructureError if it does not come up."""
        self._child.start()

    def close(self) -> None:
        """End the child process."""
        self._child.close()

    def export(self, task: ExportTask) -> ExportReport:
        """Decide one asset key. Never raises."""
        started_s = time.monotonic()
        with log_context(asset_key=task.build.asset_key, field_key=task.build.field_key):
            report = self._report(task)
            log_event(
                LOG,
                "export_ended",
                logging.WARNING if report.fault else logging.INFO,
                stage="export",
                seconds=time.monotonic() - started_s,
                state=report.decision.state if report.decision else None,
                cause=report.fault.message if report.fault else None,
            )
            return report

    def _report(self, task: ExportTask) -> ExportReport:
        key = task.build.asset_key
        try:
            try:
                snapshot = FieldSnapshot.from_bytes(self._library.get_blob(task.snapshot))
            except (ObjectCorrupt, ObjectMissing) as error:
                cause = f"the snapshot of field {task.build.field_key} is lost: {error}"
                return ExportReport(key, None, fault=Fault(cause, lost_snapshot=True))
            return ExportReport(key, self._decide(task, snapshot), notes=self._unreadable.take_notes())
        except InfrastructureError as error:
            return ExportReport(key, None, fault=Fault(f"{type(error).__name__}: {error}"))
        except Exception:  # noqa: BLE001 an exception object of a library may not be readable elsewhere
            return ExportReport(key, None, fault=Fault(traceback.format_exc(limit=-4), crashed=True))

    def _decide(self, task: ExportTask, snapshot: FieldSnapshot) -> Decision:
        """Decide one asset key and write its named views; returns the decision that stands, ours or an earlier one."""
        build, started_s = task.build, time.monotonic()
        request = request_provenance(build, self._settings.prior_identity, self._settings.metadata_policy)
        metadata = asset_metadata(
            build.prompt,
            self._settings.prior_identity,
            build.field_key,
            build.asset_key,
            recipe_digest(build.recipe),
            build.profile,
            self._settings.metadata_policy,
        )

        exported = self._child.export(snapshot, build.prompt, build.profile, metadata)
        exported_s = time.monotonic()
        outcome = self._outcome(task, exported, snapshot.history, {**request, "export_s": time.monotonic() - started_s})

        standing = publish(self._library, outcome, build.instead_of)
        if standing.state == "published":
            for prompt_id in build.prompt_ids:
                write_view(self._library, standing, prompt_id)
        log_event(LOG, "export_stage_ended", stage="publish", seconds=time.monotonic() - exported_s)
        return decision_of(standing, str(self._settings.provenance.get("run_id", "")))

    def _outcome(
        self, task: ExportTask, exported: Exported, history: FieldHistory, known: Mapping[str, object]
    ) -> Outcome:
        """The outcome of an export; `known` is the part of its provenance that is known already."""
        result = exported.result
        provenance = {
            **self._settings.provenance,
            **known,
            "optimize_s": task.optimize_s,
            "export_cpu_s": exported.cpu_s,
            "export_attempts": exported.tries,
            "resumed_from_step": task.resumed_from_step,
        }
        if isinstance(result, Failure):
            return quarantined_outcome(task.build, result, task.tries, provenance, task.snapshot, history)

        sidecar = with_provenance(result.files["asset.json"], self._provenance(task))
        files = {
            name: self._library.put_blob(data, MEDIA_TYPES[name.rsplit(".", 1)[-1]])
            for name, data in {**result.files, "asset.json": sidecar}.items()
        }

        return Outcome(
            asset_key=task.build.asset_key,
            field_key=task.build.field_key,
            prompt_id=task.build.prompt.prompt_id,
            prompt=task.build.prompt.text,
            state="published",
            slug=result.slug,
            tries=task.tries,
            candidate=history.chosen.candidate if history.chosen else 0,
            files=files,
            snapshot=task.snapshot,
            scores=dict(result.scores),
            provenance={
                **provenance,
                **effort(history),
                "created_at": now_text(),
                "findings": [f"{f.severity} {f.gate}: {f.message}" for f in result.findings],
                "export_timings_s": dict(result.timings_s),
                "budget_profile": task.build.profile.name,
            },
        )

    def _provenance(self, task: ExportTask) -> dict[str, object]:
        """The run's part of the sidecar: it is in no key and in no other file."""
        rows = {"prompt_ids": list(task.build.prompt_ids)} if self._settings.metadata_policy.embed_prompt else {}
        return {
            **self._settings.provenance,
            **rows,
            **({"tags": list(task.build.prompt.tags)} if rows and task.build.prompt.tags else {}),
            "created_at": now_text(),
            "scale_source": task.build.prompt.scale_source,
            "optimize_s": task.optimize_s,
            **({"kernels": task.kernels} if task.kernels else {}),
            "recipe": {name: value for name, value in to_plain(task.build.recipe).items() if name != "prior"},
        }
