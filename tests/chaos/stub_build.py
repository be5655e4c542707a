"""jobs/build_library.py in small, on Ray, with workers that answer at once.

    python tests/chaos/stub_build.py MANIFEST LIBRARY

Everything of a run is real but the steps of the optimizer and the stages of the export.
"""

from __future__ import annotations

import sys

from dreamfoundry.cluster.build import RunRequest, build_library
from dreamfoundry.cluster.driver import Workers
from dreamfoundry.cluster.messages import WorkerSettings
from dreamfoundry.export_profiles import export_profile
from dreamfoundry.recipes import bundled_recipe


def open_stubs(settings: WorkerSettings, run_id: str) -> Workers:
    from stub_actors import stub_workers  # brings ray

    return stub_workers(settings, run_id)


def main() -> int:
    manifest, library = sys.argv[1:]
    request = RunRequest(
        manifest,
        library,
        bundled_recipe("toybox"),
        export_profile("preview"),
        num_optimizers=2,
        num_exporters=2,
        num_slots=16,
    )
    report = build_library(request, sys.stderr, open_workers=open_stubs).report
    print(f"{report.published} published, {report.skipped} skipped, {report.pending} pending")
    return report.exit_code


if __name__ == "__main__":
    sys.exit(main())
