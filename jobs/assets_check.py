"""Check every asset of a library as it was delivered, and write down how good the assets are.

examples:
  make assets-check
  python jobs/assets_check.py out/library
  python jobs/assets_check.py out/library --markdown out/README.md --contact-sheet out/assets.webp --json out/all.json

The exporter is not believed: every file must have the digest that asset.json says, and asset.json
the one that its outcome says; the Khronos validator, the validators of USD and the readers of
jobs/importers.py look at the delivered bytes once more. Gates, scores and seconds are those of
asset.json. Of several exports of one prompt in one profile the newest counts. What is absent is
"not run", which is never to be read as passed.

exit codes:
   0  nothing is wrong
   1  a prompt was refused, or something is wrong with what was delivered
   4  the command line cannot be used
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import platform
import shlex
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from assets_report import contact_sheet, markdown, summary
from importers import READERS, ReaderAbsent, all_disagreements, levels_of

from dreamfoundry.asset.files import usdz
from dreamfoundry.asset.gates import khronos
from dreamfoundry.cli.command_line import CommandLine, exit_code_of
from dreamfoundry.errors import InputError
from dreamfoundry.library.library import OUTCOMES, VIEW_FILE, Library, decided_order, view_key
from dreamfoundry.object_store.open import open_store
from dreamfoundry.records import Outcome
from dreamfoundry.run import report
from dreamfoundry.run.exit_codes import EXIT_CODES
from dreamfoundry.run.report import RunReport
from dreamfoundry.toybox.captions import kind_of

SIDECAR = "asset.json"

UNREADABLE = {"severity": 0, "code": "UNREADABLE"}
"""Stands for the messages of a file that the Khronos validator cannot read at all."""


@dataclass(frozen=True)
class Asset:
    """One published asset as it lies in its folder, and what is wrong with it.

    `sidecar` is empty where asset.json cannot be believed; then nothing else was looked at. `khronos`
    has the validator's reports by file, none where it was not run. `usd_errors` is None where
    there is no USDZ, or nothing to validate it with.
    """

    outcome: Outcome
    folder: Path
    defects: Sequence[str]
    sidecar: Mapping[str, Any] = field(default_factory=dict)
    khronos: Mapping[str, Any] = field(default_factory=dict)
    usd_errors: Sequence[str] | None = None

    @property
    def profile(self) -> str:
        return profile_of(self.outcome)


def main() -> int:
    command_line = CommandLine(__doc__)
    command_line.add_argument("library", type=Path, metavar="LIBRARY", help="a folder that build_library.py has filled")
    command_line.add_argument("--markdown", type=Path, metavar="FILE", help="where to write the tables")
    command_line.add_argument("--json", type=Path, metavar="FILE", help="where to write every figure")
    command_line.add_argument("--contact-sheet", type=Path, metavar="FILE", help="all thumbnails, as .webp or .png")
    arguments = command_line.parse_args()

    def check() -> int:
        figures, assets = check_library(arguments.library)
        sheet = arguments.contact_sheet
        if sheet:
            contact_sheet(_thumbnails(assets), sheet)
        picture = os.path.relpath(sheet, arguments.markdown.parent) if sheet and arguments.markdown else ""
        texts = {arguments.json: json.dumps(figures, indent=1) + "\n", arguments.markdown: markdown(figures, picture)}
        for path, text in texts.items():
            if path:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
        return EXIT_CODES["failed" if figures["wrong"] else "complete"]

    return exit_code_of(check)


def check_library(folder: Path) -> tuple[dict[str, Any], list[Asset]]:
    """Every figure, as JSON takes them, and the assets behind them; prints what is wrong, and a summary.

    InputError where the folder is no library.
    """
    if not (folder / OUTCOMES).is_dir():
        raise InputError(f"{folder} is no library; name a folder that jobs/build_library.py has filled")
    library = Library(open_store(folder))
    outcomes = newest(library.outcomes())
    wrong = [f"{_row(one)}: refused: {one.failure_class}: {one.message}" for one in outcomes if not _is_published(one)]
    assets = [looked_at(folder, outcome) for outcome in outcomes if _is_published(outcome)]
    wrong += [f"{_row(asset.outcome)}: {defect}" for asset in assets for defect in asset.defects]
    sound = [asset for asset in assets if not asset.defects]
    readers = {name: read_by(name, sound) for name in READERS}
    wrong += [f"{name}: {line}" for name, told in readers.items() for line in told.get("disagreements", ())]
    rows = {
        profile: [figures_of(asset) for asset in assets if asset.sidecar and asset.profile == profile]
        for profile in sorted({asset.profile for asset in assets})
    }
    figures = {
        "command": shlex.join(["python", "jobs/assets_check.py", *sys.argv[1:]]),
        "environment": environment(assets, readers),
        "asked": len(outcomes),
        "published": len(assets),
        "wrong": wrong,
        "readers": readers,
        "profiles": {
            profile: {**summary(group), "runs": runs_of(library, [a.outcome for a in assets if a.profile == profile])}
            for profile, group in rows.items()
        },
        "assets": rows,
    }
    for line in wrong:
        print(f"not ok  {line}")
    for name, told in readers.items():
        print(f"{name}: {_told(told)}")
    print(
        f"{len(outcomes)} asked, {len(assets)} published, {sum(len(o.files) for o in outcomes)} files: "
        f"{f'{len(wrong)} things are wrong' if wrong else 'nothing is wrong'}"
    )
    return figures, assets


def newest(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """The one decided last for each prompt id and profile, by prompt id."""
    found = {(one.prompt_id, profile_of(one)): one for one in sorted(outcomes, key=decided_order)}
    return [found[key] for key in sorted(found)]


def profile_of(outcome: Outcome) -> str:
    return str(outcome.provenance.get("budget_profile", ""))


def looked_at(library: Path, outcome: Outcome) -> Asset:
    """The published `outcome` with the files of its named view, none of which is believed."""
    folder = (library / view_key(outcome.prompt_id, outcome.asset_key, VIEW_FILE)).parent
    files = {path.name: path.read_bytes() for path in folder.glob("*") if path.name != VIEW_FILE}
    if defect := damage(files.get(SIDECAR), outcome.files[SIDECAR].sha256, "its outcome"):
        return Asset(outcome, folder, [f"{SIDECAR}: {defect}"])
    sidecar = json.loads(files.pop(SIDECAR))
    told = sidecar["files"]
    defects = [f"{name}: {SIDECAR} does not name it" for name in sorted(files.keys() - told.keys())]
    damaged = {name: damage(files.get(name), told[name]["sha256"], SIDECAR) for name in sorted(told)}
    defects += [f"{name}: {defect}" for name, defect in damaged.items() if defect]
    defects += [f"gate {gate} refuses it" for gate, word in sidecar["gates"].items() if word == "block"]
    whole = [name for name, defect in damaged.items() if not defect]
    findings, reports = khronos.check_khronos({name: files[name] for name in whole if name.endswith(".glb")})
    defects += [f"{khronos.TOOL}: {finding.message}" for finding in findings if finding.severity != "not_run"]
    stages = [folder / name for name in whole if name.endswith(".usdz")]
    usd_errors = None
    if stages and importlib.util.find_spec("pxr"):
        usd_errors = [f"{stage.name}: {error}" for stage in stages for error in usdz.validation_errors(stage)]
        defects += [f"{usdz.TOOL}: {error}" for error in usd_errors]
    return Asset(outcome, folder, defects, sidecar, reports, usd_errors)


def damage(data: bytes | None, sha256: str, teller: str) -> str:
    """How the bytes of a file differ from the digest that `teller` says, "" where they do not."""
    if data is None:
        return f"is missing, {teller} names it"
    found = hashlib.sha256(data).hexdigest()
    return "" if found == sha256 else f"has SHA-256 {found}, {teller} says {sha256}"


def read_by(name: str, assets: Sequence[Asset]) -> dict[str, Any]:
    """What one importer says of the levels of whole assets: its version and disagreements, or why it was not run."""
    levels = {asset.folder: levels_of(asset.folder) for asset in assets}
    try:
        return {
            "version": READERS[name].version(),
            "assets": len(levels),
            "files": sum(map(len, levels.values())),
            "disagreements": all_disagreements(name, levels),
        }
    except ReaderAbsent as reason:
        return {"not_run": str(reason)}


def figures_of(asset: Asset) -> dict[str, Any]:
    """One line of the table of assets, as JSON takes it."""
    outcome, sidecar = asset.outcome, asset.sidecar
    files, levels = sidecar["files"], [file.name for file in levels_of(asset.folder)]
    return {
        "prompt_id": outcome.prompt_id,
        "prompt": outcome.prompt,
        "kind": kind_of(outcome.prompt) or "",
        "asset_key": outcome.asset_key,
        "faults": list(asset.defects),
        "gates": sidecar["gates"],
        "findings": sidecar["findings"],
        "triangles": [files[name]["triangles"] for name in levels],
        "level_bytes": [files[name]["bytes"] for name in levels],
        "bytes": sum(told["bytes"] for told in files.values()),
        "num_glbs": sum(name.endswith(".glb") for name in files),
        **{name: sidecar[name] for name in ("watertight", "num_components", "genus", "scores", "timings_s")},
        "export_s": outcome.provenance.get("export_s"),
        "export_cpu_s": outcome.provenance.get("export_cpu_s"),
        "optimize_s": outcome.provenance.get("optimize_s"),
        "khronos": {"files": len(asset.khronos), "messages": messages(asset.khronos)},
        "usd_errors": asset.usd_errors,
    }


def messages(reports: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The messages of the Khronos validator by severity and code, those that say nothing about a file on their own."""
    counts = Counter(
        (khronos.SEVERITY_WORDS[message["severity"]], message["code"], khronos.is_expected(name, message))
        for name, report in reports.items()
        for message in report.get("issues", {"messages": [UNREADABLE]})["messages"]
    )
    return [
        {"severity": severity, "code": code, "is_expected": is_expected, "count": count}
        for (severity, code, is_expected), count in sorted(counts.items())
    ]


def runs_of(library: Library, outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """How long the runs took that have ended and published `outcomes`, and what they did besides."""
    run_ids = dict.fromkeys(str(outcome.provenance["run_id"]) for outcome in outcomes if "run_id" in outcome.provenance)
    records = [report.latest(library.store.get, run_id) for run_id in run_ids]
    return [
        {
            "run_id": record.run_id,
            "published": record.published,
            "quarantined": record.quarantined,
            "num_steps": record.num_steps,
            "wall_s": (_time(record.finished_at) - _time(record.started_at)).total_seconds(),
        }
        for record in records
        if isinstance(record, RunReport)
    ]


def environment(assets: Sequence[Asset], readers: Mapping[str, Any]) -> dict[str, str]:
    """What made the assets and what looked at them, in words by what it is."""
    sidecars = [asset.sidecar for asset in assets if asset.sidecar]
    told = [sidecar["metadata"] for sidecar in sidecars]
    reports = [report for asset in assets for report in asset.khronos.values()]
    validators = sorted({report["validatorVersion"] for report in reports if "validatorVersion" in report})
    software = sorted({", ".join(f"{name} {one}" for name, one in side["software"].items()) for side in sidecars})
    priors = sorted({f"{one['prior']['id']}, weights `{one['prior']['digest']}`" for one in told})
    checkers = [f"{khronos.TOOL} {version}" for version in validators]
    checkers += [f"{usdz.TOOL} {metadata.version(usdz.TOOL)}"] if importlib.util.find_spec("pxr") else []
    checkers += [reader["version"] for reader in readers.values() if "version" in reader]
    return {
        "made by": "; ".join(sorted({f"{one['generator']}, export version {one['export_version']}" for one in told})),
        "with": "; ".join(software),
        "priors": "; ".join(priors),
        "checked with": ", ".join(checkers),
        "machine of the check": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    }


def _thumbnails(assets: Sequence[Asset]) -> dict[str, list[tuple[str, Path]]]:
    """(prompt, picture) of each asset that can be believed, by profile."""
    shown: dict[str, list[tuple[str, Path]]] = {}
    for asset in assets:
        if asset.sidecar:
            shown.setdefault(asset.profile, []).append((asset.outcome.prompt, asset.folder / "thumbnail.png"))
    return shown


def _told(reader: Mapping[str, Any]) -> str:
    if "not_run" in reader:
        return f"not run: {reader['not_run']}"
    return f"{reader['files']} files of {reader['assets']} assets, {len(reader['disagreements'])} disagreements"


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _row(outcome: Outcome) -> str:
    return f"{outcome.prompt_id} ({profile_of(outcome)})"


def _is_published(outcome: Outcome) -> bool:
    return outcome.state == "published"


if __name__ == "__main__":
    sys.exit(main())
