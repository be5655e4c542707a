"""jobs/build_library.py in small, on Ray, with workers that do next to nothing.

    PYTHONPATH=tests python -m support.stub_build MANIFEST LIBRARY [instant | raising | broken_card | slow]

Everything of a run is real but the steps of the distiller and the stages of the export.
"""

from __future__ import annotations

import sys

from dreamfoundry.run.build import build_library
from dreamfoundry.run.driver import Workers
from dreamfoundry.run.messages import WorkerSettings
from dreamfoundry.run.request import RunRequest
from dreamfoundry.settings.export_profiles import export_profile
from dreamfoundry.settings.loading import bundled_recipe

NUM_DISTILLERS, NUM_SLOTS = 2, 16

POISON = "mug"
"""Workers that raise do so at a prompt with this word."""


def main() -> int:
    manifest, library, *manner = sys.argv[1:]

    def open_stubs(settings: WorkerSettings, run_id: str) -> Workers:
        from support.stub_actors import stub_workers  # brings ray

        return stub_workers(settings, run_id, *(manner or ["instant"]))

    request = RunRequest(
        manifest,
        library,
        bundled_recipe("toybox"),
        export_profile("preview"),
        num_distill_workers=NUM_DISTILLERS,
        num_export_workers=1 if manner == ["slow"] else 2,
        num_slots=NUM_SLOTS,
    )
    report = build_library(request, sys.stderr, open_workers=open_stubs).report
    print(f"{report.published} published, {report.skipped} skipped, {report.pending} pending")
    return report.exit_code


if __name__ == "__main__":
    sys.exit(main())
